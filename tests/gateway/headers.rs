//! What a client cannot say: identity headers in any spelling, by any trick, over either protocol.

use http::Method;

use crate::harness::upstream::Received;
use crate::harness::{ASSERTION, House};

/// Names an upstream could fold into one of ours, or take for our word.
const SPELLINGS: [&str; 34] = [
    "X-Sekisho-Assertion",
    "x-sekisho-assertion",
    "X-SEKISHO-ASSERTION",
    "X_Sekisho_Assertion",
    "x_sekisho-assertion",
    "X-Sekisho_Assertion",
    "X.Sekisho.Assertion",
    "x.sekisho_assertion",
    "Remote-User",
    "remote_user",
    "Remote.User",
    "REMOTE_USER",
    "Remote-Name",
    "remote_name",
    "Remote-Email",
    "Remote_Email",
    "Remote-Groups",
    "REMOTE-GROUPS",
    "X-Forwarded-User",
    "X_Forwarded_For",
    "X-Forwarded_Host",
    "X_Forwarded-Proto",
    "X-Real-IP",
    "X_Original_URL",
    "X-Rewrite-URL",
    "SCRIPT_NAME",
    "Script-Name",
    "X-Script-Name",
    "PATH_INFO",
    "Daphne-Root-Path",
    "Proxy",
    "$WSRU",
    "X-Forwarded-Anything",
    "X.Forwarded.For",
];

const FORGED: &str = "forged-by-the-client";

#[track_caller]
fn is_clean(received: &Received, after: &str) {
    for (name, value) in &received.headers {
        assert!(
            !value
                .as_bytes()
                .windows(FORGED.len())
                .any(|part| part == FORGED.as_bytes()),
            "{name} after {after}"
        );
    }
    assert_eq!(
        received.headers.get_all(ASSERTION).iter().count(),
        1,
        "exactly one assertion after {after}"
    );
    assert_eq!(
        received.assertion().split('.').count(),
        3,
        "and it is ours, after {after}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_an_identity_header_is_stripped() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    for visitor in [house.visitor(), house.visitor().over_http2()] {
        assert!(visitor.sign_in(&person.extension, &person.password).await.is_done());
        for name in SPELLINGS {
            let answer = visitor.script(Method::GET, "/x").header(name, FORGED).send().await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            is_clean(&house.upstream.last(), name);
        }
        let mut all = visitor.script(Method::GET, "/x").header("x-harmless", "stays");
        for name in SPELLINGS {
            all = all.header(name, FORGED);
        }
        assert_eq!(all.send().await.status, 200);
        is_clean(&house.upstream.last(), "all at once");
        assert_eq!(house.upstream.last().header("x-harmless"), Some("stays"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_on_a_public_path_cannot_claim_to_be_anybody() {
    let house = House::with("[access]\npublic = [\"/open/*\"]\n[assertion]\nplain_headers = true").await;
    for name in SPELLINGS {
        let answer = house
            .visitor()
            .script(Method::GET, "/open/x")
            .header(name, FORGED)
            .send()
            .await;
        assert_eq!(answer.status, 200, "{name}");
        let received = house.upstream.last();
        let text = format!("{:?}", received.headers);
        assert!(!text.contains(FORGED), "{name}: {text}");
        assert!(
            received.header(ASSERTION).is_none() && received.header("remote-user").is_none(),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_nominate_our_headers_away() {
    let house = House::with("[assertion]\nplain_headers = true").await;
    let person = house.welcome("101").await;
    let cookie = format!("__Host-sekisho={}", house.signed_in(&person).await.session());
    for nominated in [
        "close, X-Sekisho-Assertion",
        "X-Sekisho-Assertion",
        "keep-alive, x-sekisho-assertion, Remote-User, X-Forwarded-For, Forwarded, X-Forwarded-Host, Host",
        "Cookie",
        "close, Cookie, X-Sekisho-Assertion",
    ] {
        let visitor = house.visitor();
        let before = house.upstream.count();
        let mut raw = visitor.raw().await;
        let request = format!(
            "GET /x HTTP/1.1\r\nHost: in.test\r\nCookie: {cookie}\r\nConnection: {nominated}\r\nX-Sekisho-Assertion: {FORGED}\r\n\r\n"
        );
        assert!(raw.say(request).await);
        let heard = raw.hear_one().await;
        match heard.status() {
            Some(200) => {
                let received = house.upstream.last();
                is_clean(&received, nominated);
                assert_eq!(received.header("remote-user"), Some("101"), "{nominated}");
                assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"), "{nominated}");
                assert_eq!(received.header("host"), Some("in.test"), "{nominated}");
                assert!(received.header("forwarded").is_some(), "{nominated}");
            }
            Some(400 | 401) => assert_eq!(house.upstream.count(), before, "{nominated}"),
            other => panic!("{nominated}: {other:?} {heard:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_a_chunked_body_carry_no_identity() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let cookie = format!("__Host-sekisho={}", visitor.session());
    let mut raw = visitor.raw().await;
    let request = format!(
        "POST /x HTTP/1.1\r\nHost: in.test\r\nCookie: {cookie}\r\nTE: trailers\r\nTrailer: X-Sekisho-Assertion, Remote-User\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sekisho-Assertion: {FORGED}\r\nRemote-User: {FORGED}\r\n\r\n"
    );
    assert!(raw.say(request).await);
    let heard = raw.hear_one().await;
    if heard.status() == Some(200) {
        is_clean(&house.upstream.last(), "trailers");
        assert_eq!(house.upstream.last().bytes, 3);
    } else {
        assert_eq!(heard.status(), Some(400), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_name_makes_one_sound_statement() {
    let house = House::with("[assertion]\nplain_headers = true").await;
    let name = "🏯 田中 \"Yuki\" O'Neil, <b>&amp; \\ %0d%0a";
    let add = ["account", "add", "101", "--name", name, "--email", "p101@example.com"];
    house.gateway.cli(&add).await.succeeded();
    let links = house.mailbox.next_links("p101@example.com").await;
    let visitor = house.visitor();
    assert!(
        visitor
            .set_password(&links.in_office, crate::harness::PASSWORD)
            .await
            .is_done()
    );
    assert!(visitor.sign_in("101", crate::harness::PASSWORD).await.is_done());
    assert_eq!(visitor.fetch("/x").await.status, 200);
    let received = house.upstream.last();
    let claims = received.assertion().split('.').nth(1).unwrap().to_owned();
    let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["name"], name);
    let plain = received.header("remote-name").unwrap();
    assert!(plain.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{plain}");
    for bad in ["a\nb", "a\u{0}b", "a\u{1b}[31mb"] {
        if bad.contains('\0') {
            continue;
        }
        house
            .gateway
            .cli(&["account", "add", "102", "--name", bad])
            .await
            .failed();
    }
}
