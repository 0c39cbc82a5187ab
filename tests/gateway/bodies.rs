//! How large the body of a request to the web client may be: who sends more hears so, on a connection that was not
//! reset under the answer, and the web client never sees the end of such a request.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::sync::mpsc;

use crate::harness::upstream::pattern;
use crate::harness::{House, Visitor, soon};

/// Small enough to be exceeded at once, with a path for large uploads and one of any size.
const CAPPED: &str = "[upstream]\nmax_body = \"64 KiB\"\nmax_body_paths = [\"1 MiB /up/*\", \"unlimited /any\"]";

const MOST: usize = 64 << 10;

/// Each piece of a body that does not say how long it is.
fn flow(bytes: usize) -> mpsc::Receiver<Bytes> {
    let (sender, pieces) = mpsc::channel(4);
    tokio::spawn(async move {
        for piece in pattern(bytes) {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    pieces
}

async fn both(house: &House) -> [Visitor; 2] {
    let person = house.welcome("101").await;
    let visitors = [house.visitor(), house.visitor().over_http2()];
    for visitor in &visitors {
        assert!(visitor.sign_in(&person.extension, &person.password).await.is_done());
    }
    visitors
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_as_large_as_its_path_allows_and_no_larger() {
    let house = House::with(CAPPED).await;
    for visitor in both(&house).await {
        for (path, most) in [("/x", MOST), ("/up/x", 1 << 20)] {
            for streamed in [false, true] {
                let ask = |bytes: usize| {
                    let asking = visitor.script(Method::POST, path);
                    if streamed {
                        asking.stream(flow(bytes))
                    } else {
                        asking.body(vec![b'a'; bytes])
                    }
                };
                let passed = ask(most).send().await;
                assert_eq!((passed.status, &passed.json()["bytes"]), (200, &most.into()), "{path}");
                let before = house.upstream.count();
                ask(most + 1).send().await.is_problem(413, "body-too-large");
                if !streamed {
                    assert_eq!(
                        house.upstream.count(),
                        before,
                        "a stated length is refused before the web client"
                    );
                }
            }
        }
        let large = visitor.script(Method::POST, "/any").stream(flow(8 << 20)).send().await;
        assert_eq!(large.status, 200, "{large:?}");
        let doubtful = visitor
            .script(Method::POST, "/UP/x")
            .body(vec![b'a'; MOST + 1])
            .send()
            .await;
        assert_eq!(doubtful.status, 413, "another spelling of a path opens nothing");
        assert!(visitor.passes().await);
    }
    for (path, most) in [("x", Some("64 KiB")), ("up/x", Some("1 MiB")), ("any", None)] {
        let url = format!("https://in.test/{path}");
        let told = ["explain", "--url", &url, "--as", "101", "--json"];
        let told: serde_json::Value = house.gateway.cli_json(&told).await;
        assert_eq!(
            told["limits"].get(0).and_then(|limit| limit[1].as_str()),
            most,
            "{told}"
        );
    }
    let whole: Vec<usize> = house.upstream.received().iter().map(|request| request.bytes).collect();
    assert!(
        whole.iter().all(|bytes| [0, MOST, 1 << 20, 8 << 20].contains(bytes)),
        "{whole:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_client_never_sees_the_end_of_a_body_that_became_too_large() {
    for protocol in ["http1", "http2"] {
        let house = House::with(&format!("{CAPPED}\nprotocol = \"{protocol}\"")).await;
        for visitor in both(&house).await {
            let answer = visitor.script(Method::PUT, "/grows").stream(flow(4 << 20)).send().await;
            answer.is_problem(413, "body-too-large");
            let met = house.upstream.received();
            let met = met.iter().filter(|request| request.target.ends_with("/grows"));
            assert!(met.clone().all(|request| request.bytes == 0), "{protocol}: {met:?}");
            assert!(visitor.passes().await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_sends_everything_before_it_listens_hears_that_it_was_too_much() {
    const BYTES: usize = 24 << 20;
    let house = House::with(CAPPED).await;
    let [visitor, _] = both(&house).await;
    let session = visitor.session();
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: in.test\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\
         Cookie: __Host-sekisho={session}\r\n"
    );
    let stated = format!("{head}Content-Length: {BYTES}\r\n\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{BYTES:x}\r\n");
    for start in [stated, chunked] {
        let mut raw = visitor.raw().await;
        assert!(raw.say(&start).await);
        for piece in pattern(BYTES) {
            assert!(
                raw.say(&piece).await,
                "the connection was reset while the body was sent"
            );
        }
        raw.say("\r\n0\r\n\r\n").await;
        let heard = raw.hear().await;
        assert_eq!(heard.statuses(), [413], "{heard:?}");
        assert!(
            heard.text.contains("<!doctype html>") || heard.text.contains("<!DOCTYPE html>"),
            "{heard:?}"
        );
        assert!(
            heard.closed && heard.text.to_lowercase().contains("connection: close"),
            "{heard:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_before_sending_too_much_is_not_told_to_go_on() {
    let house = House::with(CAPPED).await;
    let [visitor, _] = both(&house).await;
    let before = house.upstream.count();
    let ask = async |more: &str| {
        let mut raw = visitor.raw().await;
        let session = visitor.session();
        raw.say(format!(
            "POST /x HTTP/1.1\r\nHost: in.test\r\nCookie: __Host-sekisho={session}\r\nExpect: 100-continue\r\n{more}\r\n\r\n"
        ))
        .await;
        raw
    };
    let mut raw = ask("Content-Length: 10000000").await;
    let heard = raw.hear_one().await;
    assert_eq!(heard.statuses(), [413], "no 100 before it: {heard:?}");
    assert_eq!(house.upstream.count(), before);

    let mut raw = ask("Transfer-Encoding: chunked").await;
    let told = raw.hear_one().await;
    assert_eq!(told.statuses(), [100], "{told:?}");
    let body = "a".repeat(MOST + 1);
    raw.say(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    assert_eq!(raw.hear().await.statuses(), [413]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_body_that_is_too_large_is_never_taken_for_a_request() {
    let house = House::with(CAPPED).await;
    let [visitor, _] = both(&house).await;
    let session = format!("Cookie: __Host-sekisho={}\r\n", visitor.session());
    let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: in.test\r\n{session}\r\n");
    let filled = format!("{smuggled}{}", smuggled.repeat(MOST / smuggled.len() + 1));
    for head in [
        format!("Content-Length: {}\r\n\r\n{filled}", filled.len()),
        format!("Content-Length: 10000000\r\n\r\n{filled}"),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{filled}\r\n0\r\n\r\n{smuggled}",
            filled.len()
        ),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{filled}{filled}\r\n0\r\n\r\n{smuggled}",
            2 * filled.len()
        ),
    ] {
        let mut raw = visitor.raw().await;
        raw.say(format!("POST /x HTTP/1.1\r\nHost: in.test\r\n{session}{head}"))
            .await;
        let heard = raw.hear_for(Duration::from_secs(3)).await;
        assert_eq!(heard.statuses(), [413], "{heard:?}");
        let reached = house.upstream.received();
        assert!(
            !reached.iter().any(|request| request.target.contains("smuggled")),
            "{heard:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_taken_up_by_a_reload_and_belongs_to_its_site() {
    let house = House::with("").await;
    let [visitor, _] = both(&house).await;
    let post = async || {
        visitor
            .script(Method::POST, "/x")
            .body(vec![b'a'; MOST + 1])
            .send()
            .await
            .status
    };
    assert_eq!(post().await, 200, "any size is the default");
    house.gateway.configure(&format!(
        "[upstream]\nmax_body = \"64 KiB\"\n[sites.wiki]\npath = \"/wiki\"\nupstream.url = \"http://{}\"",
        house.upstream.address()
    ));
    house.gateway.cli(&["reload"]).await.succeeded();
    assert_eq!(post().await, 413);
    let wiki = visitor.script(Method::POST, "/wiki/x").body(vec![b'a'; MOST + 1]);
    assert_eq!(soon("the wiki", Box::pin(wiki.send())).await.status, 200);
}
