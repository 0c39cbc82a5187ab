//! What a single-page app needs: answers that its scripts can read, how long the session lasts, and streams that end
//! with it.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::harness::{Answer, House, IN, OTHER_PASSWORD, PASSWORD, Person, SESSION, Visitor, eventually, soon};

const APP: &str = "https://app.example.com";

/// One second is promised; the rest is for a machine that is busy with other tests.
const PROMISED: Duration = Duration::from_secs(3);

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// How a WebSocket was closed.
async fn closed(mut socket: Socket) -> (u16, String) {
    let closing = async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                return words(frame);
            }
        }
        words(None)
    };
    soon("the WebSocket to be closed", closing).await
}

fn words(frame: Option<CloseFrame>) -> (u16, String) {
    frame.map_or((0, "without a word".to_owned()), |frame| {
        (u16::from(frame.code), frame.reason.to_string())
    })
}

fn because(reason: &str) -> (u16, String) {
    (4401, reason.to_owned())
}

async fn events(visitor: &Visitor) -> Incoming {
    let asking = visitor
        .script(Method::GET, "/events")
        .without("accept")
        .header("accept", "text/event-stream");
    let answer = asking.open().await;
    assert_eq!(answer.status(), 200);
    let mut events = answer.into_body();
    soon("the stream to open", events.frame()).await.unwrap().unwrap();
    events
}

async fn over(mut events: Incoming) {
    soon("the event stream to end", async {
        while let Some(Ok(_)) = events.frame().await {}
    })
    .await;
}

fn no_cookies(answer: &Answer) {
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
}

/// The same person in the same browser, over HTTP/2.
fn over_http2(house: &House, visitor: &Visitor) -> Visitor {
    let other = house.visitor().over_http2();
    other.set_cookie(SESSION, Some(&visitor.session()));
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_signed_in_is_answered_in_the_way_that_can_be_read() {
    let house = House::open().await;
    let stranger = house.visitor();
    assert_eq!(
        stranger.get("/calls?day=1").await.location(),
        "/login?return_to=%2Fcalls%3Fday%3D1"
    );
    for http2 in [false, true] {
        let visitor = if http2 {
            house.visitor().over_http2()
        } else {
            house.visitor()
        };
        let fetched = visitor.fetch("/api").await;
        fetched.is_problem(401, "sign-in-required");
        assert_eq!(fetched.json()["login_url"], "/login");
        assert_eq!(fetched.json()["reason"], "absent");
        no_cookies(&fetched);
    }
    // What the browser says of the request comes before what it accepts and before an upgrade.
    let asking = stranger
        .navigate("/api")
        .without("sec-fetch-mode")
        .header("sec-fetch-mode", "cors");
    asking.send().await.is_problem(401, "sign-in-required");
    let upgrade = stranger
        .navigate("/ws")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket");
    assert_eq!(upgrade.send().await.status, 303);

    let socket = stranger.websocket("/ws").await.unwrap();
    assert_eq!(closed(socket).await, because("absent"));
    stranger.set_cookie(SESSION, Some("nonsense"));
    let socket = stranger.websocket("/ws").await.unwrap();
    assert_eq!(closed(socket).await, because("unclear"));
    assert_eq!(house.upstream.count(), 0, "none of it reached the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_accepted_for_a_page_of_ours_alone_and_not_for_long() {
    let house = House::open().await;
    let stranger = house.visitor();
    for origin in ["https://evil.example", "null", APP] {
        let refused = stranger.websocket_from("/ws", origin).await;
        assert!(
            matches!(&refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 401),
            "{origin}: {refused:?}"
        );
    }
    let head = |key: &str, origin: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: {IN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{origin}\r\n"
        )
    };
    for (key, origin) in [
        ("dGhlIHNhbXBsZSBub25jZQ==", ""),
        ("short", "Origin: https://in.test\r\n"),
    ] {
        let mut raw = stranger.raw().await;
        raw.say(head(key, origin)).await;
        assert_eq!(raw.hear_one().await.status(), Some(401), "{key} {origin}");
    }
    // A client that says nothing more is not waited for.
    let mut raw = stranger.raw().await;
    raw.say(head("dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://in.test\r\n"))
        .await;
    let heard = raw.hear().await;
    assert!(heard.closed && heard.status() == Some(101), "{heard:?}");
    assert!(heard.text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{heard:?}");
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_elsewhere_reads_answers_of_ours_only_where_the_operator_lets_it() {
    let house = House::with(&format!(
        "[access]\ncross_origin = [\"{APP} /api/*\", \"{APP} /asked/* with preflight\"]\nrules = [\"deny /api/closed\"]"
    ))
    .await;
    let stranger = house.visitor();
    let from = |path: &'static str, origin: &'static str| {
        let asking = stranger.script(Method::GET, path).without("sec-fetch-site");
        asking.header("sec-fetch-site", "cross-site").header("origin", origin)
    };
    let shared = from("/api/calls", APP).send().await;
    shared.is_problem(401, "sign-in-required");
    assert_eq!(shared.header("access-control-allow-origin"), Some(APP));
    assert_eq!(shared.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(shared.header("vary"), Some("Origin"));
    assert_eq!(shared.json()["login_url"], "https://in.test/login");
    no_cookies(&shared);
    let denied = from("/api/closed", APP).send().await;
    denied.is_problem(403, "forbidden");
    assert_eq!(denied.header("access-control-allow-origin"), Some(APP));
    for (path, origin) in [
        ("/calls", APP),
        ("/api/calls", "https://evil.example"),
        ("/api/calls", "null"),
        ("/api/calls", "https://in.test"),
        ("/API/calls", APP),
        ("/login", APP),
    ] {
        let answer = from(path, origin).send().await;
        let allowed = answer
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("access-control-"));
        assert!(!allowed, "{path} {origin}: {answer:?}");
    }

    let preflight = async |path: &str, origin: &str| {
        let asking = stranger.ask(Method::OPTIONS, path).header("origin", origin);
        let asking = asking.header("access-control-request-method", "PUT");
        asking
            .header("access-control-request-headers", "content-type,x-call")
            .send()
            .await
    };
    let answered = preflight("/asked/calls", APP).await;
    assert_eq!(answered.status, 204, "{answered:?}");
    assert_eq!(answered.header("access-control-allow-origin"), Some(APP));
    assert_eq!(
        answered.header("access-control-allow-headers"),
        Some("content-type,x-call")
    );
    assert!(answered.header("access-control-allow-methods").unwrap().contains("PUT"));
    for (path, origin) in [
        ("/api/calls", APP),
        ("/asked/calls", "https://evil.example"),
        ("/calls", APP),
    ] {
        assert_eq!(preflight(path, origin).await.status, 401, "{path} {origin}");
    }
    // Without the question it is an ordinary request.
    let bare = stranger
        .ask(Method::OPTIONS, "/asked/calls")
        .header("origin", APP)
        .send()
        .await;
    assert_eq!(bare.status, 401, "{bare:?}");
    assert_eq!(house.upstream.count(), 0);

    let socket = stranger.websocket_from("/api/ws", APP).await.unwrap();
    assert_eq!(closed(socket).await, because("absent"));
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let answer = visitor.websocket_from("/api/no-socket", APP).await;
    assert!(
        matches!(&answer, Err(tungstenite::Error::Http(answer)) if answer.status() == 200),
        "it reached the web client: {answer:?}"
    );
    assert!(visitor.websocket_from("/ws", APP).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_sets_no_cookie_and_takes_none_away() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let stale = house.visitor();
    stale.set_cookie(SESSION, Some(&visitor.session()));
    stale.set_cookie("__Host-sekisho-notice", Some("old"));
    stale.set_cookie("__Host-sekisho-circle", Some("2.0.0000000000000000"));
    visitor.post_json("/logout", &json!({})).await;
    eventually("the session to be over", async || {
        (!visitor.passes().await).then_some(())
    })
    .await;
    for path in [
        "/",
        "/api",
        "/login?lang=ja",
        "/forgot-password",
        "/logout",
        "/set-password?ticket=x",
        "/.sekisho/session",
        "/.sekisho/account",
        "/.sekisho/signed-in",
        "/.sekisho/language?lang=ja&return_to=/",
        "/.sekisho/nothing",
    ] {
        no_cookies(&stale.fetch(path).await);
        let page = stale
            .script(Method::GET, path)
            .without("accept")
            .header("accept", "text/html");
        no_cookies(&page.send().await);
        let program = stale.ask(Method::GET, path).header("accept", "*/*");
        no_cookies(&program.send().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_equal_redirect_in_a_row_is_a_page_that_explains() {
    let house = House::open().await;
    let visitor = house.visitor();
    for _ in 0..2 {
        assert_eq!(visitor.get("/calls").await.status, 303);
        // Neither another place nor a script is counted.
        assert_eq!(visitor.fetch("/calls").await.status, 401);
    }
    let explained = visitor.get("/calls").await;
    assert_eq!(explained.status, 403, "{explained:?}");
    assert!(explained.text().contains("Allow cookies"), "{explained:?}");
    assert_eq!(visitor.get("/calls").await.status, 303, "and it may be tried again");
    assert_eq!(visitor.get("/people").await.status, 303);
    assert_eq!(visitor.get("/calls").await.status, 303, "not in a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_without_the_cookie_coming_back_is_explained() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    let fields = [("login", &*person.extension), ("password", PASSWORD)];
    for _ in 0..2 {
        let login = visitor.get("/calls").await.location().to_owned();
        let page = visitor.get(&login).await;
        let done = visitor.send_form(&page, "/login", &fields).await;
        assert_eq!(done.location(), "/calls");
        visitor.set_cookie(SESSION, None);
    }
    let explained = visitor.get("/calls").await;
    assert_eq!(explained.status, 403, "{explained:?}");

    // A browser that keeps no cookie at all does not even get that far.
    let blocked = async |page: &Answer| {
        let asking = visitor.filled_form(page, "/login", &fields);
        asking.without_cookies().send().await
    };
    let page = visitor.get("/login").await;
    let once = blocked(&page).await;
    assert_eq!(once.status, 403, "{once:?}");
    assert!(once.text().contains("did not keep its cookie"), "{once:?}");
    let twice = blocked(&once).await;
    assert!(twice.text().contains("Allow cookies"), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_that_sends_signed_in_people_to_sign_in_is_explained() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    for _ in 0..2 {
        assert_eq!(visitor.get("/login").await.location(), "/");
    }
    let explained = visitor.get("/login").await;
    assert_eq!(explained.status, 403, "{explained:?}");
    assert!(explained.text().contains("clock"), "{explained:?}");
    let form = visitor.get("/login?again=1").await;
    assert_eq!(form.status, 200, "who asks for a new session gets the form");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_learns_the_seconds_left_and_asking_is_no_use() {
    let house = House::with("[sessions]\nidle = \"6s\"\nabsolute = \"1h\"").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let facts = visitor.fetch("/.sekisho/session").await.json();
    assert!(
        facts["seconds_left"]
            .as_i64()
            .is_some_and(|left| (3500..=3600).contains(&left)),
        "{facts}"
    );
    assert!(
        facts["idle_seconds_left"].as_i64().is_some_and(|left| left <= 6),
        "{facts}"
    );
    assert_eq!(facts["renewable"], true);
    assert_eq!(facts["texts"]["stay"], "Stay signed in");
    let japanese = visitor.fetch("/.sekisho/session?lang=ja").await.json();
    assert_eq!(japanese["texts"]["sign_in"], "ログイン");
    let script = visitor.fetch(facts["script_url"].as_str().unwrap()).await;
    assert!(script.status == 200 && script.body.len() <= 2048, "{script:?}");
    assert!(
        script.header("cache-control").unwrap().contains("immutable"),
        "{script:?}"
    );

    eventually("half the time to pass", async || {
        let facts = visitor.fetch("/.sekisho/session").await.json();
        (facts["idle_seconds_left"].as_i64()? <= 2).then_some(())
    })
    .await;
    let kept = visitor.post_json("/.sekisho/session", &json!({})).await.json();
    assert!(
        kept["idle_seconds_left"].as_i64().is_some_and(|left| left >= 4),
        "{kept}"
    );
    let started = Instant::now();
    let ended = eventually("asking alone to be no use", async || {
        let answer = visitor.fetch("/.sekisho/session").await;
        (answer.status == 401).then_some(answer)
    })
    .await;
    assert!(started.elapsed() > Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(ended.json()["reason"], "idle");
    visitor
        .post_json("/.sekisho/session", &json!({}))
        .await
        .is_problem(401, "sign-in-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_window_ends_on_a_page_that_closes_it() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    let fields = [("login", &*person.extension), ("password", PASSWORD)];
    let page = visitor.get("/login?again=1&return_to=/.sekisho/signed-in").await;
    let done = visitor.send_form(&page, "/login", &fields).await;
    assert_eq!(done.location(), "/.sekisho/signed-in");
    let last = visitor.get("/.sekisho/signed-in").await;
    assert!(last.status == 200 && last.text().contains("done.js"), "{last:?}");
    assert_eq!(last.header("cross-origin-opener-policy"), Some("same-origin"));
    assert_eq!(house.visitor().get("/.sekisho/signed-in").await.status, 303);
    let before = visitor.session();
    let page = visitor.get("/login?again=1&return_to=/.sekisho/signed-in").await;
    assert!(visitor.send_form(&page, "/login", &fields).await.is_done());
    assert_ne!(visitor.session(), before, "a new session although the old one lived");
}

/// Keeps a stream busy until it is told to stop, or the stream has ended.
async fn busy(socket: &mut Socket, message: &Message, limit: Duration) -> (u16, String) {
    let started = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    while started.elapsed() < limit {
        tokio::select! {
            _ = beat.tick() => {
                let _ = socket.send(message.clone()).await;
            }
            heard = socket.next() => match heard {
                Some(Ok(Message::Close(frame))) => return words(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return words(None),
            },
        }
    }
    (0, "still open".to_owned())
}

const ACTIVE: &str = "[sessions]\nidle = \"3s\"\nabsolute = \"1h\"\nactive_streams = [\"/ws\", \"/events\"]";
const LONGER: Duration = Duration::from_secs(7);

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_progress_postpones_the_idle_limit_and_pings_do_not() {
    let house = House::with(ACTIVE).await;
    let person = house.welcome("101").await;
    let (caller, pinging) = (house.signed_in(&person).await, house.signed_in(&person).await);
    let (mut call, mut pings) = (
        caller.websocket("/ws").await.unwrap(),
        pinging.websocket("/ws").await.unwrap(),
    );
    let (hello, ping) = (Message::text("hello"), Message::Ping("".into()));
    let (call_went, pings_went) = tokio::join!(
        busy(&mut call, &hello, LONGER),
        busy(&mut pings, &ping, LONGER + PROMISED)
    );
    assert_eq!(call_went, (0, "still open".to_owned()));
    assert_eq!(pings_went, because("idle"), "pings are no use");
    let facts = caller.fetch("/.sekisho/session").await;
    assert_eq!(facts.status, 200, "{facts:?}");
    assert_eq!(closed(call).await, because("idle"), "a silent call is no use either");
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_elsewhere_is_no_use_and_the_absolute_limit_stays() {
    let house = House::with("[sessions]\nidle = \"3s\"\nabsolute = \"5s\"\nactive_streams = [\"/calls/*\"]").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let mut call = visitor.websocket("/ws").await.unwrap();
    let went = busy(&mut call, &Message::text("hello"), LONGER).await;
    assert_eq!(went, because("idle"), "no active path");

    house.gateway.configure("[sessions]\nactive_streams = [\"/ws\"]");
    house.gateway.restart().await;
    let visitor = house.signed_in(&person).await;
    let signed_in = Instant::now();
    let mut call = visitor.websocket("/ws").await.unwrap();
    let went = busy(&mut call, &Message::text("hello"), LONGER + PROMISED).await;
    assert_eq!(went, because("expired"));
    assert!(signed_in.elapsed() < Duration::from_secs(5) + PROMISED);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_postpone_the_idle_limit_and_comments_do_not() {
    let house = House::with(ACTIVE).await;
    let person = house.welcome("101").await;
    let one = house.signed_in(&person).await;
    let two = over_http2(&house, &house.signed_in(&person).await);
    let (mut first, mut second) = (events(&one).await, events(&two).await);
    let started = Instant::now();
    while started.elapsed() < LONGER {
        house.upstream.emit("a call");
        for stream in [&mut first, &mut second] {
            soon("the event", stream.frame()).await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let comments = async {
        loop {
            house.upstream.comment("nothing");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let quiet = Instant::now();
    tokio::select! {
        () = comments => unreachable!("it has no end"),
        _ = async { tokio::join!(over(first), over(second)) } => {}
    }
    assert!(
        quiet.elapsed() < Duration::from_secs(3) + PROMISED,
        "{:?}",
        quiet.elapsed()
    );
}

/// What a page holds open, over both protocols; the event streams are silent.
struct Open {
    call: Socket,
    events: [Incoming; 2],
}

impl Open {
    async fn by(house: &House, visitor: &Visitor) -> Self {
        Self {
            call: visitor.websocket("/ws").await.unwrap(),
            events: [events(visitor).await, events(&over_http2(house, visitor)).await],
        }
    }

    async fn ends(self, reason: &str) {
        let started = Instant::now();
        let [one, two] = self.events;
        let (code, ..) = tokio::join!(closed(self.call), over(one), over(two));
        assert_eq!(code, because(reason));
        assert!(started.elapsed() < PROMISED, "{reason}: {:?}", started.elapsed());
    }
}

async fn reset_password(house: &House, person: &Person) {
    let visitor = house.visitor();
    let asked = visitor
        .post_json("/forgot-password", &json!({ "email": person.email }))
        .await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let links = house.mailbox.next_links(&person.email).await;
    let set = visitor.set_password(&links.in_office, OTHER_PASSWORD).await;
    assert!(set.is_done(), "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_streams_end_with_their_session_whatever_ends_it() {
    let house = House::open().await;
    let (person, bystander) = (house.welcome("101").await, house.welcome("102").await);
    let other = Open::by(&house, &house.signed_in(&bystander).await).await;

    let visitor = house.signed_in(&person).await;
    let open = Open::by(&house, &visitor).await;
    assert!(visitor.post_json("/logout", &json!({})).await.is_done());
    open.ends("ended").await;

    let open = Open::by(&house, &house.signed_in(&person).await).await;
    house
        .gateway
        .cli(&["session", "end", "--account", "101"])
        .await
        .succeeded();
    open.ends("ended").await;

    let open = Open::by(&house, &house.signed_in(&person).await).await;
    reset_password(&house, &person).await;
    open.ends("ended").await;

    let visitor = house.visitor();
    assert!(visitor.sign_in("101", OTHER_PASSWORD).await.is_done());
    let open = Open::by(&house, &visitor).await;
    house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
    open.ends("ended").await;
    eventually("the upstream to hear of it", async || {
        (house.upstream.streams() == 2).then_some(())
    })
    .await;

    house
        .gateway
        .cli(&["session", "end", "--account", "102"])
        .await
        .succeeded();
    other.ends("ended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_streams_end_when_the_session_expires() {
    let house = House::with("[sessions]\nidle = \"6s\"\nabsolute = \"6s\"").await;
    let person = house.welcome("101").await;
    let signed_in = Instant::now();
    let open = Open::by(&house, &house.signed_in(&person).await).await;
    eventually("the end to be near", async || {
        (signed_in.elapsed() > Duration::from_secs(5)).then_some(())
    })
    .await;
    open.ends("expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_over_http2_arrive_as_they_are_sent_and_leave_the_connection_to_others() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = over_http2(&house, &house.signed_in(&person).await);
    let mut stream = events(&visitor).await;
    let sent = house.upstream.last();
    assert_eq!(sent.target, "/events");
    assert_eq!(sent.header("host"), Some(IN));
    assert!(sent.header("cookie").is_none(), "{sent:?}");
    sent.assertion();
    for n in 0..3 {
        house.upstream.emit(&n.to_string());
        let event = soon("the event", stream.frame()).await.unwrap().unwrap();
        assert_eq!(event.into_data().unwrap(), format!("data: {n}\n\n"));
    }
    drop(stream);
    eventually("the upstream to hear that the browser left", async || {
        (house.upstream.streams() == 0).then_some(())
    })
    .await;
    // Whatever else asks for events and gets something shorter.
    let asking = visitor.script(Method::GET, "/download/70000").without("accept");
    let answer = asking.header("accept", "text/event-stream").send().await;
    assert_eq!((answer.status, answer.body.len()), (200, 70_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_replaces_a_token_renewed_a_moment_ago_ends_that_session() {
    let house = House::with("[sessions]\nfresh_for = \"1s\"").await;
    let person = house.welcome("101").await;
    let here = house.signed_in(&person).await;
    let late = house.visitor();
    late.set_cookie(SESSION, Some(&here.session()));
    eventually("the sign-in to be old", async || {
        let facts = here.fetch("/.sekisho/account").await.json();
        (facts["fresh"] == false).then_some(())
    })
    .await;
    let others = "/.sekisho/account/sessions/end-others";
    let confirmed = here.post_json(others, &json!({ "password": PASSWORD })).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let socket = here.websocket("/ws").await.unwrap();
    let signed_in = late
        .post_json("/login", &json!({ "login": "101", "password": PASSWORD }))
        .await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(closed(socket).await, because("ended"));
    assert!(!here.passes().await, "the session goes on under no token");
    assert!(late.passes().await);
}
