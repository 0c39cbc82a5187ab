//! Programs and their API tokens: what one opens, what it never opens, that it stays here, and that it ends at once.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use http::Method;
use http::header::AUTHORIZATION;
use http_body_util::BodyExt;
use sekisho::domain::bearer::BearerToken;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::gateway::NOTICED;
use crate::harness::visitor::Asking;
use crate::harness::{ASSERTION, Answer, House, IN, SESSION, Visitor, eventually, quotas, soon, within};

/// One second is promised; the rest is for a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_secs(3);

/// Makes a token for a month.
async fn token(house: &House, name: &str, more: &[&str]) -> String {
    token_for(house, name, "30d", more).await
}

async fn token_for(house: &House, name: &str, life: &str, more: &[&str]) -> String {
    let args = [&["token", "add", name, "--expires", life], more].concat();
    house.gateway.cli(&args).await.succeeded().trim_end().to_owned()
}

/// A program that asks with this token, to be added to.
fn program<'a>(visitor: &'a Visitor, method: Method, target: &str, token: &str) -> Asking<'a> {
    visitor
        .ask(method, target)
        .header("accept", "application/json")
        .header(AUTHORIZATION, &format!("Bearer {token}"))
}

async fn get(visitor: &Visitor, target: &str, token: &str) -> Answer {
    program(visitor, Method::GET, target, token).send().await
}

#[track_caller]
fn is_refused(answer: &Answer, status: u16, kind: &str, error: &str) {
    answer.is_problem(status, kind);
    let challenge = format!("Bearer error=\"{error}\"");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(challenge.as_str()),
        "{answer:?}"
    );
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
}

fn claims(jwt: &str) -> Value {
    let claims = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// A well-formed token that nobody has made.
fn invented(byte: u8) -> String {
    BearerToken::from_entropy([byte; 32]).expose().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_reaches_what_its_token_is_for_and_nothing_else() {
    let house = House::with("[access]\npublic = [\"/assets/*\"]").await;
    let scopes = [
        "--scope",
        "GET /api/*",
        "--scope",
        "POST /api/jobs",
        "--group",
        "reports",
    ];
    let token = token(&house, "nightly", &scopes).await;
    let client = house.visitor();
    for visitor in [client, house.visitor().over_http2()] {
        let asked = get(&visitor, "/api/calls?day=1", &token).await;
        assert_eq!(asked.status, 200, "at once, whoever has heard of it: {asked:?}");
        assert_eq!(asked.header("cache-control"), Some("private"));
        let received = house.upstream.last();
        assert_eq!(received.target, "/api/calls?day=1");
        assert_eq!(received.header("authorization"), None, "it stays here");
        let claims = claims(received.assertion());
        let shown: Value = house.gateway.cli_json(&["token", "show", "nightly", "--json"]).await;
        let id = shown["id"].as_str().unwrap();
        assert_eq!(claims["sub"], format!("svc:{id}"));
        assert_eq!(claims["client_id"], id);
        assert_eq!(claims["amr"], json!(["token"]));
        assert_eq!(claims["name"], "nightly");
        assert_eq!(claims["groups"], json!(["reports"]));
        for persons in ["sid", "ext", "email", "auth_time"] {
            assert!(claims.get(persons).is_none(), "{persons}: {claims}");
        }

        let head = program(&visitor, Method::HEAD, "/api/x", &token).send().await;
        assert_eq!(head.status, 200);
        let posted = program(&visitor, Method::POST, "/api/jobs", &token)
            .body("x")
            .send()
            .await;
        assert_eq!(posted.status, 200);
        let reached = house.upstream.count();
        for path in [
            "/",
            "/api",
            "/API/x",
            "//api/x",
            "/api;x/y",
            "/assets/app.js",
            "/%61pi/x",
        ] {
            let refused = get(&visitor, path, &token).await;
            is_refused(&refused, 403, "insufficient-scope", "insufficient_scope");
        }
        let posted = program(&visitor, Method::POST, "/api/x", &token).body("x").send().await;
        is_refused(&posted, 403, "insufficient-scope", "insufficient_scope");
        let overridden =
            program(&visitor, Method::POST, "/api/jobs", &token).header("x-http-method-override", "DELETE");
        is_refused(
            &overridden.send().await,
            403,
            "insufficient-scope",
            "insufficient_scope",
        );
        assert_eq!(house.upstream.count(), reached);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_puts_nothing_where_its_token_is_not_for() {
    let house = House::with("").await;
    let token = token(&house, "files", &["--scope", "/mine/*"]).await;
    let client = house.visitor();
    let copy = async |destination: &str| {
        let asking = program(&client, Method::from_bytes(b"COPY").unwrap(), "/mine/a", &token);
        asking.header("destination", destination).send().await
    };
    assert_eq!(copy("https://in.test/mine/b").await.status, 200);
    let reached = house.upstream.count();
    for elsewhere in ["https://in.test/other/b", "/other/b", "/Mine/b", "/mine;x/b"] {
        let refused = copy(elsewhere).await;
        is_refused(&refused, 403, "insufficient-scope", "insufficient_scope");
    }
    assert_eq!(house.upstream.count(), reached);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_see_in_a_program_somebody_in_the_groups_of_its_token() {
    let house = House::with(
        "[access]\nrules = [\"deny /api/debug/*\", \"groups ops /admin/*\"]\n[assertion]\nplain_headers = true",
    )
    .await;
    let wide = token(&house, "wide", &["--scope", "/*"]).await;
    let ops = token(
        &house,
        "ops",
        &["--scope", "/admin/*", "--scope", "/api/*", "--group", "ops"],
    )
    .await;
    let visitor = house.visitor();
    get(&visitor, "/admin/x", &wide).await.is_problem(403, "forbidden");
    assert_eq!(get(&visitor, "/admin/x", &ops).await.status, 200);
    let received = house.upstream.last();
    let id = &claims(received.assertion())["client_id"];
    let user = format!("svc:{}", id.as_str().unwrap());
    for (name, value) in [
        ("remote-user", user.as_str()),
        ("remote-name", "ops"),
        ("remote-email", ""),
        ("remote-groups", "ops"),
    ] {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    for token in [&wide, &ops] {
        get(&visitor, "/api/debug/x", token).await.is_problem(403, "forbidden");
    }
    let explained: Value = house
        .gateway
        .cli_json(&[
            "explain",
            "--url",
            "https://in.test/admin/x",
            "--token",
            "ops",
            "--json",
        ])
        .await;
    assert_eq!(explained["verdict"], "forwarded", "{explained}");
    let told = house
        .gateway
        .cli(&["explain", "--url", "https://in.test/x", "--token", "ops"])
        .await
        .succeeded();
    assert!(told.contains("no scope of the token"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn none_of_our_own_pages_knows_a_program() {
    let house = House::open().await;
    let token = token(&house, "wide", &["--scope", "/*"]).await;
    let visitor = house.visitor();
    for path in ["/.sekisho/account", "/.sekisho/session"] {
        let (mine, strangers) = (
            get(&visitor, path, &token).await,
            visitor
                .ask(Method::GET, path)
                .header("accept", "application/json")
                .send()
                .await,
        );
        assert_eq!(mine.status, strangers.status, "{path}: {mine:?}");
        assert_eq!(mine.header("location"), strangers.header("location"), "{path}");
    }
    let page = visitor
        .navigate("/login")
        .header(AUTHORIZATION, &format!("Bearer {token}"));
    let page = page.send().await;
    assert_eq!(page.status, 200, "{page:?}");
    let act = program(&visitor, Method::POST, "/.sekisho/account/sessions/end-others", &token)
        .header("origin", &visitor.origin())
        .header("sec-fetch-site", "same-origin")
        .json(&json!({}));
    act.send().await.is_problem(401, "sign-in-required");
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_open_nothing_are_told_apart_by_the_log_alone() {
    let house = House::open().await;
    let (expired, revoked) = (
        token_for(&house, "short", "1s", &["--scope", "/*"]).await,
        token(&house, "gone", &["--scope", "/*"]).await,
    );
    house.gateway.cli(&["token", "revoke", "gone"]).await.succeeded();
    let visitor = house.visitor();
    eventually("the one to expire", async || {
        (get(&visitor, "/x", &expired).await.status == 401).then_some(())
    })
    .await;
    within(NOTICED, "the other to be revoked", async || {
        (get(&visitor, "/x", &revoked).await.status == 401).then_some(())
    })
    .await;
    let reached = house.upstream.count();
    let mut typo = revoked.clone();
    typo.replace_range(20..21, if &typo[20..21] == "a" { "b" } else { "a" });
    let mut answers = Vec::new();
    for token in [&expired, &revoked, &typo, &invented(1), "sekisho_", "SEKISHO_X"] {
        let answer = get(&visitor, "/x", token).await;
        is_refused(&answer, 401, "invalid-token", "invalid_token");
        let mut told = answer.json();
        told.as_object_mut().unwrap().remove("request_id");
        answers.push(told);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");
    // It counts where everybody may go, too: whoever shows a token wants to be known.
    for scheme in ["Token", "Basic", "bearer"] {
        let asking = visitor
            .ask(Method::GET, "/x")
            .header(AUTHORIZATION, &format!("{scheme} {}x", invented(1)));
        is_refused(&asking.send().await, 401, "invalid-token", "invalid_token");
    }
    assert_eq!(house.upstream.count(), reached);
    let log = house.gateway.printed();
    for reason in ["expired", "revoked", "malformed", "unknown"] {
        assert!(
            log.contains(&format!("\"reason\":\"{reason}\"")),
            "{reason} is in the log"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_presents_two_things_at_once_is_refused() {
    let house = House::with("[access]\npublic = [\"/assets/*\"]\nbearer = [\"/hooks/*\"]").await;
    let token = token(&house, "wide", &["--scope", "/*"]).await;
    let person = house.welcome("101").await;
    let member = house.signed_in(&person).await;
    let reached = house.upstream.count();
    let both = member
        .ask(Method::GET, "/x")
        .header(AUTHORIZATION, &format!("Bearer {token}"));
    is_refused(&both.send().await, 400, "unclear-credentials", "invalid_request");
    let visitor = house.visitor();
    for path in ["/x", "/assets/a.js", "/hooks/x"] {
        for (one, other) in [
            ("Bearer theirs", "Bearer theirs"),
            ("Basic eDp5", &*format!("Bearer {token}")),
        ] {
            let twice = visitor
                .ask(Method::GET, path)
                .header(AUTHORIZATION, one)
                .header(AUTHORIZATION, other);
            is_refused(&twice.send().await, 400, "unclear-credentials", "invalid_request");
        }
        let mut raw = visitor.raw().await;
        raw.say(format!(
            "GET {path} HTTP/1.1\r\nHost: {IN}\r\nauthorization: Bearer {token}\r\nAUTHORIZATION: Bearer {token}\r\n\r\n"
        ))
        .await;
        assert_eq!(raw.hear_one().await.status(), Some(400), "{path}");
    }
    visitor.set_cookie(SESSION, Some("nonsense"));
    is_refused(
        &get(&visitor, "/x", &token).await,
        400,
        "unclear-credentials",
        "invalid_request",
    );
    assert_eq!(house.upstream.count(), reached);
}

async fn call(visitor: &Visitor, token: &str) -> WebSocketStream<TlsStream<TcpStream>> {
    let mut request = format!("wss://{IN}/ws").into_client_request().unwrap();
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(AUTHORIZATION, value);
    let stream = visitor.connect(&[b"http/1.1"]).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await.unwrap().0
}

async fn ended(mut call: WebSocketStream<TlsStream<TcpStream>>) -> Option<u16> {
    while let Some(Ok(message)) = call.next().await {
        if let Message::Close(frame) = message {
            return frame.map(|frame| u16::from(frame.code));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn the_streams_of_a_program_end_with_its_token() {
    let house = House::open().await;
    let visitor = house.visitor();
    for (name, life) in [("revoked", "30d"), ("expiring", "6s")] {
        let token = token_for(&house, name, life, &["--scope", "GET /ws", "--scope", "GET /events"]).await;
        let made = Instant::now();
        let mut socket = call(&visitor, &token).await;
        let received = house.upstream.last();
        assert_eq!(received.header("authorization"), None, "it stays here");
        received.assertion();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(
            soon("the echo", socket.next()).await.unwrap().unwrap(),
            Message::text("hello")
        );
        let mut streams = Vec::new();
        for visitor in [house.visitor(), house.visitor().over_http2()] {
            let asking = program(&visitor, Method::GET, "/events", &token);
            let mut events = asking.open().await.into_body();
            soon("the stream to open", events.frame()).await.unwrap().unwrap();
            streams.push(events);
        }
        let due = if life == "30d" {
            house.gateway.cli(&["token", "revoke", name]).await.succeeded();
            Instant::now()
        } else {
            made + Duration::from_secs(6)
        };
        assert_eq!(soon("the call to end", ended(socket)).await, Some(4401), "{name}");
        for mut events in streams {
            soon("the stream to end", async {
                while let Some(Ok(_)) = events.frame().await {}
            })
            .await;
        }
        assert!(Instant::now() < due + PROMISED, "{name}");
        is_refused(
            &get(&visitor, "/ws", &token).await,
            401,
            "invalid-token",
            "invalid_token",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_tokens_are_limited_by_client_and_real_ones_go_on() {
    let house = House::with(&quotas(&[("token.client", "5 per 1h")])).await;
    let (first, second) = (
        token(&house, "first", &["--scope", "/*"]).await,
        token(&house, "second", &["--scope", "/*"]).await,
    );
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    for _ in 0..8 {
        for token in [&first, &second] {
            assert_eq!(get(&visitor, "/x", token).await.status, 200, "a real one costs nothing");
        }
    }
    for byte in 0..5_u8 {
        let token = if byte.is_multiple_of(2) {
            invented(byte)
        } else {
            "sekisho_x".to_owned()
        };
        is_refused(
            &get(&visitor, "/x", &token).await,
            401,
            "invalid-token",
            "invalid_token",
        );
    }
    for token in [invented(9), "sekisho_x".to_owned()] {
        let throttled = get(&visitor, "/x", &token).await;
        throttled.is_problem(429, "too-many-requests");
        assert!(throttled.header("retry-after").is_some(), "{throttled:?}");
    }
    for token in [&first, &second] {
        assert_eq!(get(&visitor, "/x", token).await.status, 200);
    }
    house.gateway.cli(&["token", "revoke", "first"]).await.succeeded();
    within(NOTICED, "the token to be revoked", async || {
        (get(&visitor, "/x", &first).await.status == 401).then_some(())
    })
    .await;
    is_refused(
        &get(&visitor, "/x", &first).await,
        401,
        "invalid-token",
        "invalid_token",
    );
    assert!(
        house.signed_in(&person).await.passes().await,
        "people are not counted with programs"
    );
    house.gateway.restart().await;
    assert_eq!(
        get(&visitor, "/x", &second).await.status,
        200,
        "from its first moment on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_web_client_pass_where_the_operator_lets_them() {
    let house = House::with(
        r#"[access]
rules = ["deny /api/v1/debug/*", "groups ops /api/v1/admin/*"]
bearer = ["/api/v1/*", "POST /hooks/*"]"#,
    )
    .await;
    let ours = token(&house, "ours", &["--scope", "/other/*"]).await;
    let visitor = house.visitor();
    for (method, path) in [
        (Method::GET, "/api/v1/x"),
        (Method::DELETE, "/api/v1/admin/x"),
        (Method::POST, "/hooks/x"),
    ] {
        let passed = program(&visitor, method.clone(), path, "theirs.a.b").send().await;
        assert_eq!(passed.status, 200, "{path}: {passed:?}");
        let received = house.upstream.last();
        assert_eq!(
            (received.method.as_str(), received.target.as_str()),
            (method.as_str(), path)
        );
        assert_eq!(received.header("authorization"), Some("Bearer theirs.a.b"));
        assert_eq!(received.header(ASSERTION), None, "nobody is known");
    }
    let reached = house.upstream.count();
    for path in ["/x", "/api/V1/x", "//api/v1/x", "/api/v1", "/hooks/x", "/api/v1;x/y"] {
        let refused = get(&visitor, path, "theirs.a.b").await;
        refused.is_problem(401, "sign-in-required");
    }
    get(&visitor, "/api/v1/debug/x", "theirs.a.b")
        .await
        .is_problem(403, "forbidden");
    for said in [None, Some("Basic eDp5"), Some("Bearer"), Some("Bearer ")] {
        let mut asking = visitor
            .ask(Method::GET, "/api/v1/x")
            .header("accept", "application/json");
        if let Some(said) = said {
            asking = asking.header(AUTHORIZATION, said);
        }
        asking.send().await.is_problem(401, "sign-in-required");
    }
    let overridden = program(&visitor, Method::POST, "/hooks/x", "theirs").header("x-http-method-override", "PUT");
    overridden.send().await.is_problem(401, "sign-in-required");
    // One of ours is judged as such there as well.
    is_refused(
        &get(&visitor, "/api/v1/x", &ours).await,
        403,
        "insufficient-scope",
        "insufficient_scope",
    );
    is_refused(
        &get(&visitor, "/api/v1/x", &invented(3)).await,
        401,
        "invalid-token",
        "invalid_token",
    );
    assert_eq!(house.upstream.count(), reached);

    let person = house.welcome("101").await;
    let member = house.signed_in(&person).await;
    for path in ["/api/v1/x", "/elsewhere"] {
        assert_eq!(program(&member, Method::GET, path, "theirs").send().await.status, 200);
        let received = house.upstream.last();
        assert_eq!(
            received.header("authorization"),
            Some("Bearer theirs"),
            "as it was sent"
        );
        assert_eq!(claims(received.assertion())["ext"], "101");
    }
    let explained: Value = house
        .gateway
        .cli_json(&["explain", "--url", "https://in.test/api/v1/x", "--json"])
        .await;
    assert_eq!(explained["verdict"], "sign-in-first");
    assert!(
        explained["why"].as_str().unwrap().contains("access.bearer"),
        "{explained}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_and_is_nowhere_afterwards() {
    let house = House::with("[log]\nlevel = \"trace\"").await;
    let made = house
        .gateway
        .cli(&["token", "add", "reports", "--scope", "GET /api/*", "--expires", "90d"])
        .await;
    let token = made.out.trim_end().to_owned();
    assert_eq!(token.len(), 57, "nothing else is on standard output: {made:?}");
    let visitor = house.visitor();
    for target in ["/api/x", "/elsewhere"] {
        get(&visitor, target, &token).await;
    }
    let listed = eventually("the use to be recorded", async || {
        let listed: Vec<Value> = house.gateway.cli_json(&["token", "list", "--json"]).await;
        (!listed[0]["last_used_at"].is_null()).then_some(listed)
    })
    .await;
    assert_eq!(listed[0]["last_used_from"], "127.0.0.1");
    assert_eq!(listed[0]["scopes"], json!(["GET /api/*"]));
    assert_eq!(listed[0]["state"], "live");
    let again = house
        .gateway
        .cli(&["token", "add", "reports", "--scope", "/x", "--expires", "1d"])
        .await
        .failed();
    assert!(again.contains("another token has this name"), "{again}");
    let endless = house
        .gateway
        .cli(&["token", "add", "endless", "--scope", "/x", "--expires", "400d"])
        .await
        .failed();
    assert!(endless.contains("366 days"), "{endless}");
    let id = listed[0]["id"].as_str().unwrap();
    let added = house.event("token.added", Some(&format!("reports {id}"))).await;
    assert_eq!(added["actor"], "operator");
    let said = house.gateway.cli(&["token", "revoke", id]).await.succeeded();
    assert!(said.contains("reports"), "{said}");
    let said = house.gateway.cli(&["token", "revoke", "reports"]).await.succeeded();
    assert!(said.contains("before"), "{said}");
    house.event("token.revoked", Some(&format!("reports {id}"))).await;
    house.gateway.cli(&["token", "revoke", "nobody"]).await.failed();

    let digits = token.strip_prefix("sekisho_").unwrap();
    let printed = house.gateway.printed();
    assert_eq!(printed.matches(digits).count(), 1, "by the command that made it");
    for (file, bytes) in house.gateway.stored() {
        let found = bytes.windows(digits.len()).any(|part| part == digits.as_bytes());
        assert!(!found, "{}", file.display());
    }
    for received in house.upstream.received() {
        assert!(!format!("{received:?}").contains(digits), "{received:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_brings_no_token_back_to_life() {
    let house = House::open().await;
    let token = token(&house, "reports", &["--scope", "/*"]).await;
    let visitor = house.visitor();
    assert_eq!(get(&visitor, "/x", &token).await.status, 200);
    let file = house.gateway.home().join("b.backup").display().to_string();
    house.gateway.cli(&["backup", "create", &file]).await.succeeded();
    let proof = house.gateway.cli(&["backup", "prove", &file, "--json"]).await;
    let proof: Value = serde_json::from_str(&proof.out).unwrap();
    let checks = proof["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "api-tokens").unwrap();
    assert_eq!(
        (check["verdict"].as_str(), check["looked_at"].as_u64()),
        (Some("proved"), Some(1))
    );
    assert_eq!(get(&visitor, "/x", &token).await.status, 200, "here it goes on working");
    assert!(house.gateway.stop().await.success());
    house
        .gateway
        .cli(&["backup", "restore", &file, "--replace"])
        .await
        .succeeded();
    house.gateway.start().await;
    is_refused(
        &get(&visitor, "/x", &token).await,
        401,
        "invalid-token",
        "invalid_token",
    );
    let listed: Vec<Value> = house.gateway.cli_json(&["token", "list", "--json"]).await;
    assert_eq!(listed[0]["state"], "revoked");
    assert_eq!(listed[0]["scopes"], json!(["/*"]), "to make another by");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_expired_is_a_finding() {
    let house = House::closed("").await;
    token_for(&house, "short", "1s", &["--scope", "/*"]).await;
    let found = eventually("the finding", async || {
        let ran = house.gateway.cli(&["account", "lint", "--json"]).await;
        let found: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
        found.into_iter().find(|finding| finding["kind"] == "token-expired")
    })
    .await;
    assert!(found["detail"].as_str().unwrap().starts_with("short on "), "{found}");
    house.gateway.cli(&["token", "revoke", "short"]).await.succeeded();
    let settled = house.gateway.cli(&["account", "lint"]).await.succeeded();
    assert!(settled.contains("in order"), "{settled}");
}
