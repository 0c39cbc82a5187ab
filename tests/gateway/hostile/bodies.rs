//! Bodies that are larger than they may be, broken, or a request in disguise.

use http::Method;

use super::Scene;

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
async fn an_answer_is_kept_for_nobody_else() {
    let scene = Scene::set("[access]\npublic = [\"/public-cache\"]").await;
    let before = scene.house.upstream.count();
    for asked in 1..=3 {
        let answer = scene.house.visitor().fetch("/public-cache").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("age"), None);
        assert_eq!(
            scene.house.upstream.count(),
            before + asked,
            "the web client is asked each time"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_says_what_answers() {
    let scene = Scene::set("").await;
    for request in [
        "GET /x HTTP/1.1\r\nHost: in.test\r\nConnection: close\r\n\r\n",
        "GET /.sekisho/nothing HTTP/1.1\r\nHost: in.test\r\nConnection: close\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /../x HTTP/1.1\r\nHost: in.test\r\n\r\n",
        "TRACE /x HTTP/1.1\r\nHost: in.test\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: in.test\r\nContent-Length: 1, 1\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: in.test\r\nContent-Length: 999999\r\n\r\n",
    ] {
        let heard = scene.say(request).await;
        assert!(
            heard.status().is_some_and(|status| status >= 400),
            "{request}: {heard:?}"
        );
        let text = heard.text.to_lowercase();
        for word in ["pingora", "hyper", concat!("sekisho/", env!("CARGO_PKG_VERSION"))] {
            assert!(!text.contains(word), "{request} tells {word}: {heard:?}");
        }
        assert!(!text.contains("\r\nserver:"), "{request}: {heard:?}");
    }
}
