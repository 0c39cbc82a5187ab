//! Hostile visitors: requests that two servers could read in two ways, paths that are not what they seem, and
//! clients that never finish. The measure is always the same: what reached the upstream.

use std::time::{Duration, Instant};

use http::Method;
use rstest::rstest;

use crate::harness::visitor::Heard;
use crate::harness::{House, PASSWORD, Visitor};

/// A house with somebody signed in, whose session would open every door.
struct Scene {
    house: House,
    visitor: Visitor,
    cookie: String,
}

impl Scene {
    async fn set(overrides: &str) -> Self {
        let house = House::with(overrides).await;
        let person = house.welcome("101").await;
        let visitor = house.signed_in(&person).await;
        let cookie = format!("Cookie: __Host-sekisho={}\r\n", visitor.session());
        Self { house, visitor, cookie }
    }

    /// Says this on a bare connection; `{cookie}` stands for a live session.
    async fn say(&self, bytes: &str) -> Heard {
        let mut raw = self.visitor.raw().await;
        raw.say(bytes.replace("{cookie}", &self.cookie)).await;
        raw.hear_for(Duration::from_secs(3)).await
    }

    /// Says this, and expects a refusal of one of these kinds that closes and reaches nobody.
    #[track_caller]
    fn refuses<'a>(&'a self, bytes: &'a str, statuses: &'a [u16]) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let before = self.house.upstream.count();
            let heard = self.say(bytes).await;
            let status = heard.status();
            let refused = status.is_some_and(|status| statuses.contains(&status)) || (status.is_none() && heard.closed);
            assert!(refused, "{caller}: {bytes:?} was answered {heard:?}");
            assert!(
                heard.closed,
                "{caller}: the connection stays open after {bytes:?}: {heard:?}"
            );
            assert!(heard.statuses().len() <= 1, "{caller}: {heard:?}");
            assert_eq!(
                self.house.upstream.count(),
                before,
                "{caller}: {bytes:?} reached the upstream"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_request_on_a_bare_connection_passes() {
    let scene = Scene::set("").await;
    let heard = scene
        .say("GET /x HTTP/1.1\r\nHost: in.test\r\n{cookie}Connection: close\r\n\r\n")
        .await;
    assert_eq!(heard.status(), Some(200), "{heard:?}");
    let heard = scene
        .say("POST /x HTTP/1.1\r\nHost: in.test\r\n{cookie}Connection: close\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    assert_eq!(heard.status(), Some(200), "{heard:?}");
    assert_eq!(scene.house.upstream.last().bytes, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_framing_is_refused_and_reaches_nobody() {
    let scene = Scene::set("").await;
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: \r\n",
        "Content_Length: 5\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "X: y\r\n folded\r\n",
        " X: y\r\n",
        "X : y\r\n",
        "X\r\n",
        ": y\r\n",
        "X: a\nY: b\r\n",
        "X: a\rY: b\r\n",
        "X: a\0b\r\n",
        "X\0Y: b\r\n",
        "X(Y): b\r\n",
    ] {
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: in.test\r\n{{cookie}}{fields}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: in.test\r\n{{cookie}}\r\n"
        );
        scene.refuses(&request, &[400]).await;
    }
    for request in [
        "GET /x HTTP/1.1\r\n{cookie}\r\n",
        "GET /x HTTP/1.1\r\nHost: in.test\r\nHost: in.test\r\n{cookie}\r\n",
        "GET /x HTTP/1.1\r\nHost: in.test\r\nHost: out.test\r\n{cookie}\r\n",
        "GET /x HTTP/1.1\r\nHost:\r\n{cookie}\r\n",
        "GET  /x HTTP/1.1\r\nHost: in.test\r\n{cookie}\r\n",
        "GET /x  HTTP/1.1\r\nHost: in.test\r\n{cookie}\r\n",
        "GET /x HTTP/1.1 \r\nHost: in.test\r\n{cookie}\r\n",
        "GET /x HTTP/3.0\r\nHost: in.test\r\n{cookie}\r\n",
        "GET /x\r\nHost: in.test\r\n{cookie}\r\n",
        "GET\t/x\tHTTP/1.1\r\nHost: in.test\r\n{cookie}\r\n",
        "G@T /x HTTP/1.1\r\nHost: in.test\r\n{cookie}\r\n",
        "GET /x HTTP/1.1\nHost: in.test\n\n",
        "POST /x HTTP/1.0\r\nHost: in.test\r\n{cookie}Content-Length: 3\r\n\r\nabc",
        "POST /x HTTP/1.0\r\nHost: in.test\r\n{cookie}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        scene.refuses(request, &[400, 421]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_host_is_misdirected() {
    let scene = Scene::set("").await;
    for request in [
        "GET /x HTTP/1.1\r\nHost: evil.example\r\n{cookie}Connection: close\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: in.test:8443\r\n{cookie}Connection: close\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: in.test.\r\n{cookie}Connection: close\r\n\r\n",
        "GET https://evil.example/x HTTP/1.1\r\nHost: evil.example\r\n{cookie}Connection: close\r\n\r\n",
    ] {
        scene.refuses(request, &[421, 400]).await;
    }
    for request in [
        "GET https://evil.example/x HTTP/1.1\r\nHost: in.test\r\n{cookie}Connection: close\r\n\r\n",
        "GET https://in.test/x HTTP/1.1\r\nHost: out.test\r\n{cookie}Connection: close\r\n\r\n",
        "GET ftp://in.test/x HTTP/1.1\r\nHost: in.test\r\n{cookie}Connection: close\r\n\r\n",
    ] {
        scene.refuses(request, &[400, 421]).await;
    }
    let agrees = scene
        .say("GET https://in.test/x HTTP/1.1\r\nHost: in.test\r\n{cookie}Connection: close\r\n\r\n")
        .await;
    assert_eq!(agrees.status(), Some(200), "{agrees:?}");
    assert_eq!(
        scene.house.upstream.last().target.trim_start_matches("https://in.test"),
        "/x"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_without_a_registered_meaning_are_refused() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    for method in ["TRACE", "CONNECT", "get", "Get", "DEBUG", "TRACK", "FOO"] {
        let target = if method == "CONNECT" { "in.test:443" } else { "/x" };
        let heard = scene
            .say(&format!(
                "{method} {target} HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Connection: close\r\n\r\n"
            ))
            .await;
        assert!(
            matches!(heard.status(), Some(400 | 405 | 501) | None),
            "{method}: {heard:?}"
        );
        assert!(!heard.text.contains("__Host-sekisho="), "nothing is echoed: {heard:?}");
    }
    assert_eq!(scene.house.upstream.count(), before);
}

#[rstest]
#[case::dots(&["/../x", "/a/../x", "/./x", "/a/..", "/..", "/.", "/a/./b"])]
#[case::encoded_dots(&["/%2e%2e/x", "/%2E%2e/x", "/a/%2e/x", "/.%2e/x", "/%252e%252e/x", "/a%2f..%2fx", "/a%2F%2e%2e%2fx"])]
#[case::parameters(&["/..;/x", "/..;a=b/x", "/%2e%2e;/x", "/.;/x"])]
#[case::bytes(&["/%00", "/x%00.png", "/%0a", "/%0d%0aX:%20y", "/%09", "/%7f", "/a\\b", "/%5c", "/%5C..%5Cx", "/#x", "/%23x%2523"])]
#[case::broken(&["/%", "/%4", "/%zz", "/%u0041", "x", "*", "?x"])]
#[tokio::test(flavor = "multi_thread")]
async fn paths_that_are_not_what_they_seem_are_refused(#[case] paths: &[&str]) {
    let scene = Scene::set("[access]\npublic = [\"/open/*\"]").await;
    for path in paths {
        let before = scene.house.upstream.count();
        for prefix in ["", "/open"] {
            if !prefix.is_empty() && !path.starts_with('/') {
                continue;
            }
            let heard = scene
                .say(&format!(
                    "GET {prefix}{path} HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Connection: close\r\n\r\n"
                ))
                .await;
            // `/%23x%2523` holds a doubly encoded fragment; `%23` alone is an honest byte of a path.
            assert!(matches!(heard.status(), Some(400) | None), "{prefix}{path}: {heard:?}");
        }
        assert_eq!(scene.house.upstream.count(), before, "{path} reached the upstream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_near_miss_of_our_routes_never_reaches_the_upstream() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    for path in [
        "/Login",
        "/LOGIN",
        "/login/",
        "/login//",
        "//login",
        "/login;x",
        "/login;jsessionid=1",
        "/%6cogin",
        "/%6Cogin",
        "/logi%6e",
        "/%256cogin",
        "/login%2f",
        "/Set-Password",
        "/set-password/",
        "/set%2dpassword",
        "/forgot-password;a",
        "/FORGOT-password",
        "/logout/",
        "/.Sekisho/session",
        "/.sekisho",
        "//.sekisho/session",
        "/%2esekisho/session",
        "/.sekisho%2fsession",
        "/.sekisho;a/session",
        "/.well-known/sekisho/JWKS.json",
        "/.well-known/sekisho/jwks.json/",
    ] {
        for visitor in [&scene.visitor, &scene.house.visitor()] {
            let answer = visitor
                .ask(Method::POST, path)
                .header("origin", "https://in.test")
                .form(&[("login", "101"), ("password", PASSWORD)])
                .send()
                .await;
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
        }
    }
    for path in [
        "/.sekisho/",
        "/.sekisho/nothing",
        "/.sekisho/health",
        "/.sekisho/assets/../session",
    ] {
        let answer = scene.visitor.fetch(path).await;
        assert!(matches!(answer.status, 404 | 400), "{path}: {answer:?}");
    }
    assert_eq!(scene.house.upstream.count(), before);
    for path in ["/logins", "/login.js", "/a/login", "/x.sekisho/", "/.well-known/other"] {
        assert_eq!(
            scene.visitor.fetch(path).await.status,
            200,
            "{path} is the web client's"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_we_do_not_serve_on_our_pages_is_not_forwarded() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        for path in [
            "/login",
            "/set-password",
            "/.sekisho/session",
            "/.well-known/sekisho/jwks.json",
        ] {
            let answer = scene.visitor.script(method.clone(), path).send().await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            assert!(answer.header("allow").unwrap().contains("GET"), "{answer:?}");
        }
    }
    assert_eq!(scene.house.upstream.count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_which_program_refuses() {
    let scene = Scene::set("").await;
    let sound = "GET /x HTTP/1.1\r\nHost: in.test\r\n{cookie}\r\n";
    for no_request in [
        "no request at all\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: in.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: in.test\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: in test\r\n\r\n",
        "CONNECT in.test:443 HTTP/1.1\r\nHost: in.test:443\r\n\r\n",
        &format!("{sound}no request at all\r\n\r\n"),
    ] {
        let heard = scene.say(no_request).await;
        assert!(heard.closed, "{no_request:?}: {heard:?}");
        let text = heard.text.to_lowercase();
        let last = text
            .rfind("http/1.1 4")
            .unwrap_or_else(|| panic!("{no_request:?}: {heard:?}"));
        let refusal = &text[last..];
        assert!(
            !refusal.contains("server:") && !refusal.contains("pingora"),
            "{heard:?}"
        );
        assert!(!refusal.contains("1994"), "{heard:?}");
    }
    let connect = scene
        .house
        .visitor()
        .over_http2()
        .ask(Method::CONNECT, "")
        .try_send()
        .await;
    if let Ok(answer) = connect {
        assert!(
            answer.status == 405 && !answer.headers.contains_key("server"),
            "{answer:?}"
        );
    }
    assert!(scene.visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let scene = Scene::set("").await;
    let large = format!(
        "GET /x HTTP/1.1\r\nHost: in.test\r\n{{cookie}}X: {}\r\n\r\n",
        "a".repeat(33 << 10)
    );
    scene.refuses(&large, &[431, 400]).await;
    let many = format!(
        "GET /x HTTP/1.1\r\nHost: in.test\r\n{{cookie}}{}\r\n",
        "X: a\r\n".repeat(120)
    );
    scene.refuses(&many, &[431, 400]).await;
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: in.test\r\n{{cookie}}\r\n",
        "a".repeat(33 << 10)
    );
    scene.refuses(&long, &[431, 414, 400]).await;
    let endless = format!("GET /x HTTP/1.1\r\nHost: in.test\r\nX: {}", "a".repeat(2 << 20));
    scene.refuses(&endless, &[431, 400]).await;
    let h2 = scene.house.visitor().over_http2();
    let before = scene.house.upstream.count();
    let answer = h2
        .script(Method::GET, "/x")
        .header("cookie", scene.cookie.trim().trim_start_matches("Cookie: "))
        .header("x-large", &"a".repeat(33 << 10))
        .try_send()
        .await;
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 431),
        "{answer:?}"
    );
    assert_eq!(scene.house.upstream.count(), before);
    assert!(scene.visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_cut_at_the_deadline_however_it_dribbles() {
    let scene = Scene::set("[server]\nheader_timeout = \"1s\"").await;
    for start in ["", "GET /x", "GET /x HTTP/1.1\r\nHost: in.test\r\nX: "] {
        let mut raw = scene.visitor.raw().await;
        let begun = Instant::now();
        raw.say(start).await;
        let closed = loop {
            if raw.hear_for(Duration::from_millis(100)).await.closed {
                break true;
            }
            if begun.elapsed() > Duration::from_secs(8) {
                break false;
            }
            if !start.is_empty() {
                raw.say("a").await;
            }
        };
        assert!(closed, "after {start:?} the connection is held beyond its deadline");
        assert!(
            begun.elapsed() >= Duration::from_millis(800),
            "and not cut before it: {:?}",
            begun.elapsed()
        );
    }
    assert!(scene.visitor.passes().await, "others are served meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_form_is_cut_at_the_deadline() {
    let scene = Scene::set("[server]\nbody_timeout = \"1s\"").await;
    let mut raw = scene.visitor.raw().await;
    raw.say("POST /login HTTP/1.1\r\nHost: in.test\r\nOrigin: https://in.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nlogin=1")
        .await;
    let begun = Instant::now();
    let heard = raw.hear_for(Duration::from_secs(10)).await;
    assert!(heard.closed, "{heard:?}");
    assert!(matches!(heard.status(), Some(408) | None), "{heard:?}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_too_large_is_refused_early() {
    let scene = Scene::set("").await;
    let mut raw = scene.visitor.raw().await;
    raw.say("POST /login HTTP/1.1\r\nHost: in.test\r\nOrigin: https://in.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10000000\r\n\r\nlogin=")
        .await;
    let heard = raw.hear_one().await;
    assert_eq!(heard.status(), Some(413), "before the body is there: {heard:?}");
    let body = format!("login={}", "a".repeat(1 << 20));
    let answer = scene
        .house
        .visitor()
        .script(Method::POST, "/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.clone())
        .try_send()
        .await;
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 413),
        "{answer:?}"
    );
    let h2 = scene.house.visitor().over_http2();
    let answer = h2.script(Method::POST, "/login").body(body).try_send().await;
    assert!(
        answer.as_ref().map_or(true, |answer| answer.status == 413),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_early_answer_is_never_taken_for_a_request() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: in.test\r\n{cookie}\r\n";
    let length = smuggled.len() + scene.cookie.len() - "{cookie}".len();
    for request in [
        // The body of a refused request is itself a request.
        format!("POST /x HTTP/1.1\r\nHost: in.test\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("POST /x HTTP/1.1\r\nHost: evil.example\r\n{{cookie}}Content-Length: {length}\r\n\r\n{smuggled}"),
        format!("POST /login/ HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Content-Length: {length}\r\n\r\n{smuggled}"),
        format!("POST /login HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Content-Length: 10000000\r\n\r\n{smuggled}"),
        format!(
            "POST /login HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Transfer-Encoding: chunked\r\n\r\nzz\r\n{smuggled}"
        ),
        format!("TRACE /x HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Content-Length: {length}\r\n\r\n{smuggled}"),
        format!("GET /login HTTP/1.1\r\nHost: in.test\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("GET /.sekisho/session HTTP/1.1\r\nHost: in.test\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
    ] {
        let heard = scene.say(&request).await;
        assert_eq!(
            scene.house.upstream.count(),
            before,
            "{request} let something through: {heard:?}"
        );
    }
    // Honest pipelining of a GET goes on working.
    let two = "GET /one HTTP/1.1\r\nHost: in.test\r\n{cookie}\r\nGET /two HTTP/1.1\r\nHost: in.test\r\n{cookie}Connection: close\r\n\r\n";
    let heard = scene.say(two).await;
    assert!(heard.statuses().iter().all(|status| *status == 200), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chunked_body_does_not_become_a_second_request() {
    let scene = Scene::set("").await;
    for body in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcX0\r\n\r\n",
    ] {
        let heard = scene
            .say(&format!(
                "POST /x HTTP/1.1\r\nHost: in.test\r\n{{cookie}}Transfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nHost: in.test\r\n{{cookie}}\r\n"
            ))
            .await;
        let reached = scene.house.upstream.received();
        assert!(
            !reached.iter().any(|request| request.target.contains("smuggled")),
            "{body:?}: {heard:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_take_every_connection() {
    let scene = Scene::set("[server]\nmax_connections_per_client = 8").await;
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..12 {
        match scene.house.visitor().connect(&[b"http/1.1"]).await {
            Ok(connection) => held.push(connection),
            Err(_) => refused += 1,
        }
    }
    assert!(refused >= 4, "{refused} of 12 were refused");
    drop(held);
    crate::harness::eventually("room for another connection", async || {
        scene.house.visitor().connect(&[b"http/1.1"]).await.ok().map(drop)
    })
    .await;
}
