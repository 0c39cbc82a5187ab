//! A stop ends with the last request, and not before; no later than its limit.

use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{House, Visitor, eventually, soon};

/// What a browser says first on HTTP/2: the preface and empty SETTINGS (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A house whose stops may last long, so that what ends one sooner shows.
async fn patient() -> House {
    House::with("[server]\ndrain_timeout = \"60s\"").await
}

/// Asks the gateway to stop, and waits until it does.
async fn begin_to_stop(house: &House) {
    house.gateway.signal("TERM");
    eventually("the stop to begin", async || {
        house.visitor().connect(&[b"http/1.1"]).await.is_err().then_some(())
    })
    .await;
}

async fn stopped(house: &House) {
    let status = eventually("the server to stop", async || house.gateway.ended()).await;
    assert!(status.success(), "{status}");
}

async fn piecewise(visitor: &Visitor) -> Incoming {
    let mut body = visitor.script(Method::GET, "/piecewise").open().await.into_body();
    let first = soon("the first piece", body.frame()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap().as_ref(), b"first, ");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_say_how_long_it_is_is_finished() {
    let house = patient().await;
    let person = house.welcome("101").await;
    let visitors = [
        house.signed_in(&person).await,
        house.signed_in(&person).await.over_http2(),
    ];
    let mut bodies = Vec::new();
    for visitor in &visitors {
        bodies.push(piecewise(visitor).await);
    }
    begin_to_stop(&house).await;
    house.upstream.emit("last");
    for body in bodies {
        let rest = soon("the rest", body.collect()).await.unwrap().to_bytes();
        assert_eq!(rest.as_ref(), b"data: last\n\n");
    }
    stopped(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_request_hold_no_stop() {
    let house = patient().await;
    let person = house.welcome("101").await;
    let idle = [
        house.signed_in(&person).await,
        house.signed_in(&person).await.over_http2(),
    ];
    for visitor in &idle {
        assert_eq!(visitor.fetch("/x").await.status, 200);
    }
    // A browser connects ahead; another was put to sleep with its connection open, and says goodbye to nobody.
    let ahead = house.visitor().raw().await;
    let mut asleep = house.visitor().connect(&[b"h2"]).await.unwrap();
    asleep.write_all(HTTP2_PREFACE).await.unwrap();
    asleep.flush().await.unwrap();
    soon("the settings of the gateway", asleep.read_exact(&mut [0; 9]))
        .await
        .unwrap();
    let begun = Instant::now();
    house.gateway.signal("TERM");
    stopped(&house).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    drop((ahead, asleep));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_end_holds_a_stop_up_to_its_limit() {
    let house = House::with("[server]\ndrain_timeout = \"1s\"").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let endless = piecewise(&visitor).await;
    let begun = Instant::now();
    house.gateway.signal("TERM");
    stopped(&house).await;
    let lasted = begun.elapsed();
    assert!(
        lasted >= Duration::from_secs(1) && lasted < Duration::from_secs(15),
        "{lasted:?}"
    );
    assert!(house.gateway.printed().contains("still under way"));
    assert!(
        soon("the end", endless.collect()).await.is_err(),
        "it was cut, and looks so"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_during_a_stop_opens_nothing_more() {
    let house = patient().await;
    let person = house.welcome("101").await;
    let caller = house.signed_in(&person).await;
    let body = piecewise(&caller).await;
    begin_to_stop(&house).await;
    house
        .gateway
        .cli(&["session", "end", "--account", "101"])
        .await
        .succeeded();
    // Nothing else ends it: its upstream has not said the last word.
    assert!(soon("the stream to be ended", body.collect()).await.is_err());
    stopped(&house).await;
}
