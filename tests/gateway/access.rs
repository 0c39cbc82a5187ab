//! Access rules: who may see what of the web client, in whatever spelling it is asked for.

use http::Method;
use serde_json::Value;

use crate::harness::gateway::NOTICED;
use crate::harness::{House, IN, SESSION, Visitor, within};

const RULES: &str = r#"[access]
rules = [
  "deny /debug/*",
  "groups admins /admin/*",
  "deny POST /reports/*",
  "public GET /status from 127.0.0.0/8",
  "deny /elsewhere/* from 198.51.100.0/24",
]
public = ["/assets/*"]"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_path_for_a_group_is_open_to_its_members_alone() {
    let house = House::with(RULES).await;
    let member = house.welcome_with("101", &["--group", "admins"]).await;
    let other = house.welcome_with("102", &["--group", "sales"]).await;
    let (member, other) = (house.signed_in(&member).await, house.signed_in(&other).await);
    assert_eq!(member.fetch("/admin/users").await.status, 200);
    house.upstream.last().assertion();
    let reached = house.upstream.count();
    for path in [
        "/admin/users",
        "/ADMIN/users",
        "//admin/users",
        "/admin;v=1/users",
        "/%61dmin/users",
    ] {
        other.fetch(path).await.is_problem(403, "forbidden");
    }
    assert_eq!(other.get("/admin/users").await.status, 403, "a page for people, too");
    let stranger = house.visitor();
    stranger.fetch("/admin/users").await.is_problem(401, "sign-in-required");
    assert_eq!(house.upstream.count(), reached);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_denied_to_everybody_and_what_is_narrowed_stays_narrow() {
    let house = House::with(RULES).await;
    let person = house.welcome("101").await;
    let (visitor, stranger) = (house.signed_in(&person).await, house.visitor());
    for path in ["/debug/x", "/Debug/x", "/debug//x"] {
        visitor.fetch(path).await.is_problem(403, "forbidden");
        stranger.fetch(path).await.is_problem(403, "forbidden");
    }
    assert_eq!(visitor.fetch("/reports/1").await.status, 200);
    let posted = visitor.script(Method::POST, "/reports/1").body("x").send().await;
    posted.is_problem(403, "forbidden");
    assert_eq!(
        visitor.fetch("/elsewhere/x").await.status,
        200,
        "the rule is for another network"
    );
    assert_eq!(stranger.fetch("/status").await.status, 200);
    let posted = stranger.script(Method::POST, "/status").body("x").send().await;
    posted.is_problem(401, "sign-in-required");
    assert_eq!(stranger.fetch("/assets/app.js").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_explained_as_it_is_judged() {
    let house = House::with(RULES).await;
    house.welcome_with("101", &["--group", "sales"]).await;
    let gateway = &house.gateway;
    let explain = async |path: &str| -> Value {
        let url = format!("https://in.test{path}");
        gateway
            .cli_json(&[
                "explain",
                "--url",
                &url,
                "--as",
                "101",
                "--from",
                "203.0.113.7",
                "--json",
            ])
            .await
    };
    let admin = explain("/admin/users").await;
    assert_eq!(admin["verdict"], "refused");
    assert_eq!(admin["readings"][0]["rule"], "groups admins /admin/*");
    assert_eq!(explain("/inbox").await["verdict"], "forwarded");
    assert_eq!(explain("/login").await["verdict"], "ours");
    assert_eq!(explain("//debug/x").await["verdict"], "refused");
    let told = gateway
        .cli(&["explain", "--url", "https://in.test/admin/x", "--as", "101"])
        .await
        .succeeded();
    assert!(
        told.contains("groups admins /admin/*") && told.contains("refused, 403"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_never_decides_is_warned_of() {
    let house = House::closed("[access]\nrules = [\"deny /a/*\", \"public /a/b/*\"]").await;
    let checked = house.gateway.cli(&["config", "check"]).await;
    let told = format!("{checked:?}");
    assert!(told.contains("never decides anything"), "{told}");
}

/// The status of a request written by hand.
async fn by_hand(visitor: &Visitor, request_line: &str, more: &str) -> u16 {
    let cookie = visitor
        .cookie(SESSION)
        .map_or_else(String::new, |session| format!("Cookie: {SESSION}={session}\r\n"));
    let mut raw = visitor.raw().await;
    raw.say(format!(
        "{request_line} HTTP/1.1\r\nHost: {IN}\r\nAccept: application/json\r\n{cookie}{more}Content-Length: 0\r\n\r\n"
    ))
    .await;
    let heard = raw.hear_one().await;
    heard.status().unwrap_or_else(|| panic!("{request_line}: {heard:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_path_is_answered_as_it_is_explained() {
    let house = House::with(
        r#"[access]
rules = ["deny /debug/*", "groups admins /admin/*", "deny /report", "public /open/*", "signed-in /app/*", "deny /shut/*"]
public = ["/favicon.ico"]"#,
    )
    .await;
    let person = house
        .welcome_with("101", &["--group", "sales", "--group", "ａdmins"])
        .await;
    let (member, stranger) = (house.signed_in(&person).await, house.visitor());
    for path in [
        "/debug",
        "/debug/",
        "/DEBUG/x",
        "/debug%2Fx",
        "/debug%2fx",
        "/%2Fdebug/x",
        "//debug//x",
        "/debug;/x",
        "/x/..;/debug",
        "/debug%253bx/y",
        "/%64ebug/x",
        "/%2564ebug/x",
        "/debug%20/x",
        "/debug./x",
        "/debug%09/x",
        "/debug%00/x",
        "/./debug/x",
        "/%2e/debug/x",
        "/open/../debug/x",
        "/open/%2e%2e/debug/x",
        "/open/%252e%252e/debug/x",
        "/open/..%2fdebug/x",
        "/open/%EF%BC%8E%EF%BC%8E/debug/x",
        "/open/...",
        "/open/..%20/debug",
        "/open\\..\\debug",
        "/open%5c..%5cdebug",
        "/debug::$DATA",
        "/debug%3A%3A%24DATA/x",
        "/debug:x:$DATA",
        "/debug:$I30:$INDEX_ALLOCATION/x",
        "/debug:x",
        "/de%E2%80%8Bbug/x",
        "/open/.%E2%80%8B./debug/x",
        "/debuǵ",
        "/deb%EF%BD%95g/x",
        "/%EF%BD%84ebug/x",
        "/debug%3Fx",
        "/debug%23x",
        "/debug?x",
        "/open?/debug/x",
        "/open/?/../debug/x",
        "/debugger",
        "/admin",
        "/Admin",
        "/admin/",
        "/adm%C4%B1n/x",
        "/ADM%C4%B0N/x",
        "/admin;a=b;c/x",
        "/admin%3Bx/y",
        "/report",
        "/report/",
        "/report;x",
        "/report%2F",
        "/report/1",
        "/open",
        "/open/",
        "/open/a.css",
        "/Open/a.css",
        "/open//a",
        "/open/a;b",
        "/open/A%20b",
        "/open/%E5%86%85%E7%B7%9A.wav",
        "/open/%2Fadmin/x",
        "/open/%ff",
        "/open/%c0%af",
        "/open/%u0061",
        "/app",
        "/app/",
        "/app/x",
        "/shut",
        "/shut/x",
        "/favicon.ico",
        "/favicon.ico/",
        "/FAVICON.ico",
        "/favicon.ico;x",
        "/favicon.ico%20/",
        "/",
        "//",
        "/;x",
        "/login",
        "/Login",
        "/login.",
        "/login%20/",
        "/log%C4%B1n",
        "/.sekisho/session",
        "/.sekisho./session",
        "/.SEKISHO/session",
        "/.well-known/sekisho/jwks.json/",
    ] {
        for (visitor, as_person) in [(&member, true), (&stranger, false)] {
            let url = format!("https://{IN}{path}");
            let mut args = vec!["explain", "--url", &url, "--json"];
            if as_person {
                args.extend(["--as", "101"]);
            }
            let explained: Value = house.gateway.cli_json(&args).await;
            let reached = house.upstream.count();
            let status = by_hand(visitor, &format!("GET {path}"), "").await;
            let told = explained["verdict"].as_str().unwrap();
            let forwarded = house.upstream.count() - reached;
            assert_eq!(
                forwarded,
                usize::from(told == "forwarded"),
                "{path} {as_person}: {status} {explained}"
            );
            let fits = match told {
                "forwarded" => status == 200,
                "sign-in-first" => status == 401,
                "refused" => status == 403,
                "not-found" => status == 404,
                "bad-request" => status == 400,
                "ours" => !matches!(status, 400 | 403 | 404),
                _ => false,
            };
            assert!(fits, "{path} {as_person}: {status} {explained}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_judged_by_every_method_that_it_asks_to_be_taken_for() {
    let house = House::with(
        r#"[access]
rules = ["deny DELETE,PATCH /reports/*", "deny HEAD /probe", "public GET /status"]"#,
    )
    .await;
    let person = house.welcome("101").await;
    let (member, stranger) = (house.signed_in(&person).await, house.visitor());
    let post = async |more: &str| by_hand(&member, "POST /reports/1", more).await;
    assert_eq!(post("").await, 200);
    for more in [
        "X-HTTP-Method-Override: DELETE\r\n",
        "x-http-method-override: delete\r\n",
        "X_HTTP_METHOD_OVERRIDE: Patch\r\n",
        "X-HTTP-Method: PUT\r\nX-Method-Override: DELETE\r\n",
        "X-HTTP-Method-Override: PUT, DELETE\r\n",
    ] {
        let reached = house.upstream.count();
        assert_eq!(post(more).await, 403, "{more}");
        assert_eq!(house.upstream.count(), reached, "{more}");
    }
    assert_eq!(post("X-HTTP-Method-Override: PUT\r\n").await, 200, "nobody closed that");
    let status = async |more: &str| by_hand(&stranger, "GET /status", more).await;
    assert_eq!(status("").await, 200);
    assert_eq!(status("X-HTTP-Method-Override: POST\r\n").await, 401);
    assert_eq!(member.script(Method::HEAD, "/probe").send().await.status, 403);
    assert_eq!(by_hand(&member, "GET /probe", "").await, 200);
    // Something is closed, and what a report is about stands in its body.
    assert_eq!(by_hand(&member, "REPORT /calendars/", "").await, 403);
    assert_eq!(by_hand(&member, "PROPFIND /calendars/", "").await, 200);
    assert_eq!(
        by_hand(&member, "POST /other", "X-HTTP-Method-Override: SEARCH\r\n").await,
        403
    );
    let url = format!("https://{IN}/calendars/");
    let explained: Value = house
        .gateway
        .cli_json(&["explain", "--url", &url, "--method", "REPORT", "--as", "101", "--json"])
        .await;
    assert_eq!(explained["verdict"], "refused");
    assert!(
        explained["why"]
            .as_str()
            .unwrap()
            .contains("A REPORT can name other paths"),
        "{explained}"
    );
    for method in ["TRACE", "PURGE", "get", "GETT"] {
        assert_eq!(
            by_hand(&member, &format!("{method} /reports/1"), "").await,
            405,
            "{method}"
        );
        let url = format!("https://{IN}/reports/1");
        let explained: Value = house
            .gateway
            .cli_json(&["explain", "--url", &url, "--method", method, "--as", "101", "--json"])
            .await;
        assert_eq!(explained["verdict"], "not-that-way", "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_request_puts_something_is_judged_like_what_it_asks_for() {
    let house = House::with("[access]\nrules = [\"deny /closed/*\", \"groups staff /staff/*\"]").await;
    let person = house.welcome("101").await;
    let member = house.signed_in(&person).await;
    let put = async |method: &str, more: &str| by_hand(&member, &format!("{method} /mine/a"), more).await;
    for method in ["COPY", "MOVE"] {
        let to = |destination: &str| format!("Destination: {destination}\r\n");
        for open in ["/mine/b", "https://in.test/mine/b?c", "https://IN.test:443/mine/b%20c"] {
            assert_eq!(put(method, &to(open)).await, 200, "{method} {open}");
        }
        let reached = house.upstream.count();
        for (destination, status) in [
            ("/closed/b", 403),
            ("https://in.test/closed/b", 403),
            ("https://in.test/mine//../closed/b", 400),
            ("https://in.test/%63losed/b", 403),
            ("//closed/b", 400),
            ("/staff/b", 403),
            ("/Login", 404),
            ("https://out.test/closed/b", 400),
            ("https://evil.test/closed/b", 400),
            ("closed/b", 400),
            ("/mine/b\r\nDestination: /closed/b", 400),
        ] {
            assert_eq!(put(method, &to(destination)).await, status, "{method} {destination}");
        }
        let instead = format!("X-HTTP-Method-Override: {method}\r\n{}", to("/closed/b"));
        assert_eq!(put("POST", &instead).await, 403, "{method}");
        assert_eq!(house.upstream.count(), reached, "{method}");
    }
    assert_eq!(
        put("GET", "Destination: Kyoto\r\n").await,
        200,
        "a word of the web client's own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_a_network_goes_by_the_client_that_is_known_for_certain() {
    let house = House::with(
        r#"[access]
rules = ["deny /near from ::ffff:198.51.100.0/120", "public /office from 10.0.0.0/8", "deny /six from 2001:db8::/32"]
[server]
trusted_proxies = ["127.0.0.1/32"]"#,
    )
    .await;
    let person = house.welcome("101").await;
    let (member, stranger) = (house.signed_in(&person).await, house.visitor());
    for (visitor, path, forwarded, status) in [
        (&stranger, "/office", "10.1.2.3", 200),
        (&stranger, "/office", "10.1.2.3, 203.0.113.9", 401),
        (&stranger, "/office", "203.0.113.9, 10.1.2.3", 200),
        (&stranger, "/office", "::ffff:10.1.2.3", 200),
        (&stranger, "/office", "10.1.2.3, garbage", 401),
        (&stranger, "/office", "", 401),
        (&member, "/near", "198.51.100.7", 403),
        (&member, "/near", "::ffff:198.51.100.7", 403),
        (&member, "/near", "[::ffff:198.51.100.7]:4711", 403),
        (&member, "/near", "198.51.101.7", 200),
        (&member, "/six", "2001:DB8::7", 403),
        (&member, "/six", "2001:db9::7", 200),
    ] {
        let more = format!("X-Forwarded-For: {forwarded}\r\nForwarded: for=10.1.2.3\r\nX-Real-IP: 10.1.2.3\r\n");
        let answered = by_hand(visitor, &format!("GET {path}"), &more).await;
        assert_eq!(answered, status, "{path} {forwarded}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_groups_is_in_force_within_a_second() {
    let house = House::with(RULES).await;
    let person = house.welcome_with("101", &["--group", "admins"]).await;
    let visitor = house.signed_in(&person).await;
    assert_eq!(visitor.fetch("/admin/users").await.status, 200);
    let change = ["account", "change", "101", "--group", "Admins", "--group", "admins ops"];
    house.gateway.cli(&change).await.succeeded();
    within(NOTICED, "the door to be closed", async || {
        (visitor.fetch("/admin/users").await.status == 403).then_some(())
    })
    .await;
}
