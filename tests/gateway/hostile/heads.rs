//! Heads that two servers could read in two ways, ask for somebody else, or are larger than a head has to be.

use http::Method;

use super::{Heard, Scene};
use crate::harness::eventually;

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
async fn a_client_of_http_1_0_is_sent_no_chunks_and_its_connection_ends_with_the_answer() {
    let scene = Scene::set("").await;
    for connection in ["close", "keep-alive"] {
        let head = "GET /trailers HTTP/1.0\r\nHost: in.test\r\n";
        let heard = scene
            .say(&format!("{head}Connection: {connection}\r\n{{cookie}}\r\n"))
            .await;
        assert!(heard.closed && heard.status() == Some(200), "{heard:?}");
        let (head, body) = heard.text.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{heard:?}");
        assert_eq!(body, "body");
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
    // Strangers are told nothing; the log says for whom they asked, and where they came from.
    let is_told = |words: &[&str]| {
        let printed = scene.house.gateway.printed();
        printed
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
            .then_some(())
    };
    let (why, line) = (
        ["\"host\":\"evil.example\"", "no door has this host"],
        ["\"status\":421", "\"client\":\"127.0.0.1\""],
    );
    eventually("the log to say so", async || {
        is_told(&why).and_then(|()| is_told(&line))
    })
    .await;
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
async fn nobody_is_told_which_program_refuses() {
    let scene = Scene::set("").await;
    for no_request in [
        "no request at all\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: in.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: in.test\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: in test\r\n\r\n",
        "CONNECT in.test:443 HTTP/1.1\r\nHost: in.test:443\r\n\r\n",
    ] {
        is_nobodys(&scene.say(no_request).await);
    }
    let mut raw = scene.visitor.raw().await;
    raw.say(format!("GET /x HTTP/1.1\r\nHost: in.test\r\n{}\r\n", scene.cookie))
        .await;
    assert_eq!(raw.hear_one().await.status(), Some(200));
    raw.say("no request at all\r\n\r\n").await;
    is_nobodys(&raw.hear().await);
    let counted = scene.metric("sekisho_protocol_breaches_total{kind=\"head\"}").await;
    assert!(counted >= 2, "what is no request is counted apart: {counted}");
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

/// A refusal that closes the connection and names no program.
#[track_caller]
fn is_nobodys(heard: &Heard) {
    assert!(heard.closed, "{heard:?}");
    let text = heard.text.to_lowercase();
    assert!(text.starts_with("http/1.1 4"), "{heard:?}");
    for telling in ["server:", "pingora", "1994"] {
        assert!(!text.contains(telling), "{heard:?}");
    }
}
