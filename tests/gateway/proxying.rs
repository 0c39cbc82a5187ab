//! The proxied path: who is asking is stated and signed, and everything else passes as if nobody were between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::Method;
use http_body_util::BodyExt;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::harness::upstream::{hex, pattern};
use crate::harness::{House, IN, OUT, SESSION, Visitor, eventually, now, soon};

/// The published keys.
pub async fn jwks(house: &House) -> JwkSet {
    let answer = house.visitor().fetch("/.well-known/sekisho/jwks.json").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.text().contains("\"d\""), "no private part is published");
    serde_json::from_slice(&answer.body).unwrap()
}

/// Verifies an assertion as an upstream must: by the published key it names, with one algorithm.
pub fn verify(jwt: &str, keys: &JwkSet, issuer: &str, audience: &str) -> jsonwebtoken::errors::Result<Value> {
    let header = decode_header(jwt)?;
    assert_eq!(header.alg, Algorithm::ES256);
    let key = keys
        .find(&header.kid.expect("it names its key"))
        .expect("its key is published");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = 5;
    Ok(decode::<Value>(jwt, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_carries_a_statement_of_who_is_asking_that_verifies() {
    let house = House::open().await;
    let person = house
        .welcome_with("101", &["--group", "sales", "--group", "営業"])
        .await;
    let visitor = house.signed_in(&person).await;
    assert_eq!(visitor.fetch("/a?b=c").await.status, 200);
    let received = house.upstream.last();
    let keys = jwks(&house).await;
    let claims = verify(received.assertion(), &keys, "https://out.test", "sekisho-upstream").unwrap();
    let shown: Value = house.gateway.cli_json(&["account", "show", "101", "--json"]).await;
    let sessions: Vec<Value> = house.gateway.cli_json(&["session", "list", "--json"]).await;
    assert_eq!(claims["sub"], shown["id"]);
    assert_eq!(claims["sid"], sessions[0]["id"]);
    assert_eq!(claims["ext"], "101");
    assert_eq!(claims["name"], "Person 101");
    assert_eq!(claims["email"], "p101@example.com");
    assert_eq!(claims["groups"], serde_json::json!(["sales", "営業"]));
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    let time = |claim: &str| claims[claim].as_i64().unwrap();
    let second = now().as_second();
    assert!(
        (second - time("iat")).abs() <= 5 && (second - time("auth_time")).abs() <= 20,
        "{claims}"
    );
    assert_eq!(time("exp") - time("iat"), 60);
    assert_eq!(time("nbf"), time("iat"));
    assert!(!claims["jti"].as_str().unwrap().is_empty());

    assert!(verify(received.assertion(), &keys, "https://in.test", "sekisho-upstream").is_err());
    assert!(verify(received.assertion(), &keys, "https://out.test", "another-upstream").is_err());
    let mut forged = received.assertion().to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    assert!(verify(&forged, &keys, "https://out.test", "sekisho-upstream").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_reused_until_half_its_life_and_then_made_anew() {
    let house = House::with("[assertion]\nlife = \"5s\"").await;
    let person = house.welcome("101").await;
    // An account that has just changed is looked up anew, and its statement with it.
    house.gateway.restart().await;
    let visitor = house.signed_in(&person).await;
    let assertion = async |visitor: &Visitor| {
        assert_eq!(visitor.fetch("/x").await.status, 200);
        house.upstream.last().assertion().to_owned()
    };
    let first = assertion(&visitor).await;
    let begun = std::time::Instant::now();
    assert_eq!(assertion(&visitor).await, first);
    let other = house.signed_in(&person).await;
    assert_ne!(assertion(&other).await, first, "one for each session");
    let keys = jwks(&house).await;
    let next = eventually("a new statement", async || {
        let next = assertion(&visitor).await;
        (next != first).then_some(next)
    })
    .await;
    assert!(
        begun.elapsed() >= Duration::from_millis(1400),
        "made anew after half its life, not before"
    );
    let claims = verify(&next, &keys, "https://out.test", "sekisho-upstream").unwrap();
    let before = verify(&first, &keys, "https://out.test", "sekisho-upstream").unwrap();
    assert_ne!(claims["jti"], before["jti"]);
    assert_eq!(claims["sid"], before["sid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_takes_over_and_the_old_one_stays_published() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    visitor.fetch("/x").await;
    let old = house.upstream.last().assertion().to_owned();
    let old_kid = decode_header(&old).unwrap().kid.unwrap();
    house.gateway.cli(&["key", "rotate"]).await.succeeded();
    let new = eventually("the new key to sign", async || {
        visitor.fetch("/x").await;
        let new = house.upstream.last().assertion().to_owned();
        (decode_header(&new).unwrap().kid.unwrap() != old_kid).then_some(new)
    })
    .await;
    let keys = jwks(&house).await;
    assert!(keys.find(&old_kid).is_some(), "statements signed before still verify");
    verify(&new, &keys, "https://out.test", "sekisho-upstream").unwrap();
    house.event("key.rotated", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_survive_a_restart() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    visitor.fetch("/x").await;
    let before = house.upstream.last().assertion().to_owned();
    house.gateway.restart().await;
    assert_eq!(visitor.fetch("/x").await.status, 200, "and so does the session");
    let keys = jwks(&house).await;
    verify(&before, &keys, "https://out.test", "sekisho-upstream").unwrap();
    verify(
        house.upstream.last().assertion(),
        &keys,
        "https://out.test",
        "sekisho-upstream",
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reaches_the_upstream_without_a_session() {
    let house = House::with("[access]\npublic = [\"/open/*\"]").await;
    let visitor = house.visitor();
    let browser = visitor.get("/a?b=1").await;
    assert_eq!(
        (browser.status, browser.location()),
        (303, "/login?return_to=%2Fa%3Fb%3D1")
    );
    visitor.fetch("/a").await.is_problem(401, "sign-in-required");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = visitor.script(method.clone(), "/a").body("x").send().await;
        assert_eq!(answer.status, 401, "{method}: {answer:?}");
    }
    // Its page learns why, see `single_page`.
    assert!(visitor.websocket("/ws").await.is_ok());
    visitor.set_cookie(SESSION, Some(&"A".repeat(43)));
    assert_eq!(visitor.fetch("/a").await.status, 401);
    visitor.set_cookie(SESSION, None);
    assert_eq!(house.upstream.count(), 0, "{:?}", house.upstream.received());

    let open = visitor.fetch("/open/app.js").await;
    assert_eq!(open.status, 200);
    assert!(
        house.upstream.last().header(crate::harness::ASSERTION).is_none(),
        "nobody is asking"
    );
    for closed in [
        "/open",
        "/Open/x",
        "//open/x",
        "/open/%2e%2e/a",
        "/open;x/y",
        "/op%65n/x",
    ] {
        let answer = visitor.fetch(closed).await;
        assert!(matches!(answer.status, 400 | 401), "{closed}: {answer:?}");
    }
    assert_eq!(house.upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_cookies_stop_here_in_both_directions() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    visitor.set_cookie("theirs", Some("1"));
    visitor.set_cookie("zz", Some("2"));
    let mine = visitor.session();
    assert_eq!(visitor.fetch("/x").await.status, 200);
    let cookies = house.upstream.last().header("cookie").unwrap().to_owned();
    assert_eq!(cookies, "theirs=1; zz=2");

    let answer = visitor.fetch("/set-cookie").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.cookie("theirs").as_deref(), Some("theirs=1; Path=/"));
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert!(
        set.iter()
            .all(|line| !line.to_str().unwrap().to_lowercase().contains("sekisho")),
        "{set:?}"
    );
    assert_eq!(visitor.session(), mine);
    assert!(visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_saw_stays_out_of_shared_caches() {
    let house = House::with("[access]\npublic = [\"/public-cache\"]").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let control =
        async |visitor: &Visitor, path: &str| visitor.fetch(path).await.header("cache-control").map(str::to_owned);
    assert_eq!(control(&visitor, "/x").await.as_deref(), Some("private"));
    assert_eq!(
        control(&visitor, "/public-cache").await.as_deref(),
        Some("private, max-age=60")
    );
    assert_eq!(control(&visitor, "/no-store").await.as_deref(), Some("no-store"));
    let anonymous = control(&house.visitor(), "/public-cache").await;
    assert_eq!(
        anonymous.as_deref(),
        Some("public, max-age=60, s-maxage=600"),
        "nobody's answer is left alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_told_where_a_request_came_from_by_us_alone() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    for (door, signed_in) in [
        (IN, Visitor::at(&house.gateway, IN)),
        (OUT, Visitor::at(&house.gateway, OUT)),
    ] {
        assert!(signed_in.sign_in(&person.extension, &person.password).await.is_done());
        let answer = signed_in
            .script(Method::GET, "/x")
            .header("x-forwarded-for", "198.51.100.7")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "http")
            .header("forwarded", "for=198.51.100.7;host=evil.example")
            .send()
            .await;
        assert_eq!(answer.status, 200);
        let received = house.upstream.last();
        assert_eq!(received.header("host"), Some(door));
        assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(received.header("x-forwarded-host"), Some(door));
        assert_eq!(received.header("x-forwarded-proto"), Some("https"));
        assert_eq!(
            received.header("forwarded"),
            Some(format!("for=127.0.0.1;host=\"{door}\";proto=https").as_str())
        );
        assert!(received.header("x-request-id").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed_about_its_client_and_the_upstream_may_have_its_own_host() {
    let house = House::with("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n[upstream]\npreserve_host = false").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let answer = visitor
        .script(Method::GET, "/x")
        .header("x-forwarded-for", "1.1.1.1, 198.51.100.7")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    let received = house.upstream.last();
    assert_eq!(received.header("x-forwarded-for"), Some("198.51.100.7"));
    assert_eq!(
        received.header("host"),
        Some(house.upstream.address().to_string().as_str())
    );
    assert_eq!(received.header("x-forwarded-host"), Some(IN));
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_targets_and_bodies_arrive_as_they_were_sent() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    for (method, target) in [
        (Method::GET, "/a//b/%7Ec?x=%2F..&y=;a"),
        (Method::POST, "/a;b=c/d"),
        (Method::PUT, "/%E5%86%85%E7%B7%9A"),
        (Method::PATCH, "/UPPER/case"),
        (Method::DELETE, "/a"),
        (Method::OPTIONS, "/a?"),
    ] {
        let answer = visitor.script(method.clone(), target).body("some bytes").send().await;
        assert_eq!(answer.status, 200, "{method} {target}: {answer:?}");
        let echoed = answer.json();
        assert_eq!(echoed["method"], method.as_str());
        assert_eq!(echoed["target"], target);
        assert_eq!(echoed["bytes"], 10, "{method}");
    }
    let head = visitor.script(Method::HEAD, "/a").send().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_passes_like_http1() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor().over_http2();
    assert!(visitor.sign_in(&person.extension, &person.password).await.is_done());
    let answer = visitor.script(Method::POST, "/a?b=c").body("some bytes").send().await;
    assert_eq!((answer.status, answer.version), (200, http::Version::HTTP_2));
    assert_eq!(answer.json()["bytes"], 10);
    let received = house.upstream.last();
    assert_eq!(received.header("host"), Some(IN));
    received.assertion();
    let refused = house.visitor().over_http2().fetch("/a").await;
    refused.is_problem(401, "sign-in-required");

    // Browsers send each cookie as a header of its own over HTTP/2 (RFC 9113 section 8.2.3).
    let session = format!("{SESSION}={}", visitor.session());
    let crumbs = visitor
        .script(Method::GET, "/crumbs")
        .without_cookies()
        .header("cookie", "a=1")
        .header("cookie", &session)
        .header("cookie", "b=2")
        .send()
        .await;
    assert_eq!(crumbs.status, 200, "{crumbs:?}");
    assert_eq!(house.upstream.last().header("cookie"), Some("a=1; b=2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_and_a_large_download_arrive_byte_for_byte() {
    const BYTES: usize = 50 << 20;
    let house = House::open().await;
    let person = house.welcome("101").await;
    for visitor in [house.visitor(), house.visitor().over_http2()] {
        assert!(visitor.sign_in(&person.extension, &person.password).await.is_done());
        let mut digest = Sha256::new();
        pattern(BYTES).for_each(|chunk| digest.update(&chunk));
        let wanted = hex(&digest.finalize());
        let (sender, pieces) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            for chunk in pattern(BYTES) {
                sender.send(chunk).await.unwrap();
            }
        });
        let answer = visitor.script(Method::POST, "/upload").stream(pieces).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["bytes"], BYTES);
        assert_eq!(answer.json()["sha256"], wanted);

        let download = visitor.fetch(&format!("/download/{BYTES}")).await;
        assert_eq!((download.status, download.body.len()), (200, BYTES));
        assert_eq!(hex(&Sha256::digest(&download.body)), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_one_by_one_as_they_happen() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    for visitor in [house.visitor(), house.visitor().over_http2()] {
        assert!(visitor.sign_in(&person.extension, &person.password).await.is_done());
        let asking = visitor
            .script(Method::GET, "/events")
            .without("accept")
            .header("accept", "text/event-stream");
        let response = asking.open().await;
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let mut next = async || {
            let frame = soon("an event", body.frame()).await.unwrap().unwrap();
            frame.into_data().unwrap()
        };
        assert_eq!(next().await, Bytes::from_static(b": open\n\n"));
        for n in 0..3 {
            house.upstream.emit(&n.to_string());
            assert_eq!(
                next().await,
                format!("data: {n}\n\n"),
                "it comes before the next one is sent"
            );
        }
    }
    eventually("the upstream to notice that the browsers left", async || {
        (house.upstream.streams() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_in_both_directions() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let mut socket = visitor.websocket("/ws?room=7").await.unwrap();
    let received = house.upstream.last();
    assert_eq!(received.target, "/ws?room=7");
    received.assertion();
    let large = "x".repeat(200_000);
    for text in ["hello", "内線", &large] {
        socket.send(Message::text(text)).await.unwrap();
        let said = soon("the echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(said, Message::text(text));
    }
    socket.send(Message::binary(vec![0, 255, 7])).await.unwrap();
    assert_eq!(
        soon("the echo", socket.next()).await.unwrap().unwrap(),
        Message::binary(vec![0, 255, 7])
    );
    socket.close(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_websocket_is_cut_after_its_handshake() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    // One in a hundred used to be.
    for round in 0..40 {
        let open = (0..8).map(|_| visitor.websocket("/ws"));
        for socket in futures_util::future::join_all(open).await {
            let mut socket = socket.unwrap();
            socket.send(Message::text("hello")).await.unwrap();
            let said = soon("the echo", socket.next()).await;
            assert_eq!(said.unwrap().unwrap(), Message::text("hello"), "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_the_web_client_refuses_is_answered_in_its_words() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let refused = visitor.websocket("/no-socket").await;
    assert!(
        matches!(&refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 200),
        "{refused:?}"
    );
    house.upstream.last().assertion();
    house.upstream.stop();
    eventually("the upstream to be gone", async || {
        let refused = visitor.websocket("/ws").await;
        matches!(&refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 502).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_asked_for_by_a_handshake_ends_with_its_session_and_with_its_client() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let open = async |visitor: &Visitor| {
        let events = visitor
            .script(Method::GET, "/events")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .open()
            .await;
        assert_eq!(events.status(), 200);
        let mut events = events.into_body();
        soon("the stream to open", events.frame()).await.unwrap().unwrap();
        events
    };
    let (leaver, stayer) = (house.signed_in(&person).await, house.signed_in(&person).await);
    let mut events = open(&stayer).await;
    drop(open(&leaver).await);
    eventually("the stream of the browser that left to be over", async || {
        (house.upstream.streams() == 1).then_some(())
    })
    .await;
    assert!(stayer.post_json("/logout", &serde_json::json!({})).await.is_done());
    soon("the stream to be closed", async {
        while let Some(Ok(_)) = events.frame().await {}
    })
    .await;
    eventually("the upstream to hear of it", async || {
        (house.upstream.streams() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_nobody_signed_in_for_hears_of_a_stop_as_well() {
    let house = House::with("[access]\npublic = [\"/ws\"]").await;
    let mut socket = house.visitor().websocket("/ws").await.unwrap();
    let heard = tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                return frame.map(|frame| u16::from(frame.code));
            }
        }
        None
    });
    house.gateway.stop().await;
    assert_eq!(soon("the goodbye", heard).await.unwrap(), Some(1012));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    visitor.fetch("/unasked-switch").await.is_problem(502, "bad-gateway");
    assert!(visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_to_anything_else_stays_a_request() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    for other in ["h2c", "TLS/1.0", "websocket, h2c"] {
        let answer = visitor
            .script(Method::GET, "/x")
            .header("connection", "Upgrade, HTTP2-Settings")
            .header("upgrade", other)
            .header("http2-settings", "AAMAAABkAAQAAP__")
            .send()
            .await;
        assert_eq!(answer.status, 200, "{other}: {answer:?}");
        let received = house.upstream.last();
        received.assertion();
        for name in ["upgrade", "http2-settings"] {
            assert!(received.header(name).is_none(), "{other}: {received:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_open_a_websocket() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let before = house.upstream.count();
    for origin in ["https://evil.example", "null", "http://in.test"] {
        let refused = visitor.websocket_from("/ws", origin).await;
        assert!(
            matches!(&refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 403),
            "{origin}: {refused:?}"
        );
    }
    assert_eq!(house.upstream.count(), before);
    assert!(visitor.websocket_from("/ws", "https://in.test").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_that_is_gone_is_a_502_until_it_is_back() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    assert!(visitor.passes().await);
    house.upstream.stop();
    let gone = eventually("the upstream to be gone", async || {
        let answer = visitor.fetch("/x").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    gone.is_problem(502, "bad-gateway");
    let page = visitor.get("/x").await;
    assert_eq!(page.status, 502);
    assert!(
        page.header("content-type").unwrap().starts_with("text/html"),
        "{page:?}"
    );
    assert_eq!(house.visitor().get("/login").await.status, 200, "our own pages go on");
    assert_eq!(
        house.visitor().fetch("/x").await.status,
        401,
        "and nobody is let through"
    );
    house.upstream.start_again().await;
    eventually("the upstream to be back", async || {
        (visitor.fetch("/x").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_that_does_not_answer_is_a_504() {
    let house = House::with("[upstream]\nresponse_timeout = \"1s\"").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    visitor.fetch("/slow").await.is_problem(504, "gateway-timeout");
    assert!(visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_headers_are_set_where_the_operator_wants_them() {
    let house = House::with("[assertion]\nplain_headers = true\nheader = \"X-Who\"").await;
    let person = house
        .welcome_with("101", &["--group", "sales", "--group", "営業"])
        .await;
    let visitor = house.signed_in(&person).await;
    let answer = visitor
        .script(Method::GET, "/x")
        .header("remote-user", "root")
        .header("x-who", "forged")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    let received = house.upstream.last();
    assert_eq!(received.header("remote-user"), Some("101"));
    assert_eq!(received.header("remote-name"), Some("Person 101"));
    assert_eq!(received.header("remote-email"), Some("p101@example.com"));
    assert_eq!(received.header("remote-groups"), Some("sales,%E5%96%B6%E6%A5%AD"));
    let keys = jwks(&house).await;
    verify(
        received.header("x-who").unwrap(),
        &keys,
        "https://out.test",
        "sekisho-upstream",
    )
    .unwrap();
}

/// Puts TLS in front of a plain server, with a certificate of its own authority for 127.0.0.1. Answers where it listens
/// and the authority.
async fn behind_tls(plain: SocketAddr) -> (SocketAddr, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::from_params(&params, &authority_key))
        .unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outer = acceptor.accept(socket).await.ok()?;
                let mut inner = TcpStream::connect(plain).await.ok()?;
                tokio::io::copy_bidirectional(&mut outer, &mut inner).await.ok()
            });
        }
    });
    (address, authority.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_behind_tls_is_reached_only_when_its_certificate_is_right() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let (address, authority) = behind_tls(house.upstream.address()).await;
    let file = house.gateway.home().join("upstream-ca.pem");
    std::fs::write(&file, authority).unwrap();
    let url = |host: &str| format!("[upstream]\nurl = \"https://{host}:{}\"", address.port());

    house.gateway.configure(&url("127.0.0.1"));
    house.gateway.restart().await;
    visitor.fetch("/x").await.is_problem(502, "bad-gateway");

    house
        .gateway
        .configure(&format!("{}\nca_file = {file:?}", url("127.0.0.1")));
    house.gateway.restart().await;
    assert_eq!(visitor.fetch("/x").await.status, 200);
    house.upstream.last().assertion();

    let before = house.upstream.count();
    house
        .gateway
        .configure(&format!("{}\nca_file = {file:?}", url("localhost")));
    house.gateway.restart().await;
    visitor.fetch("/x").await.is_problem(502, "bad-gateway");
    assert_eq!(
        house.upstream.count(),
        before,
        "the right authority for the wrong name is not enough"
    );
}
