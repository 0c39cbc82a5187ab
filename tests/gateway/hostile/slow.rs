//! Clients that never finish, and those that take every place.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Scene;
use crate::harness::{SOON, eventually};

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
    let counted = scene
        .metric("sekisho_connections_refused_total{reason=\"per-client\"}")
        .await;
    assert!(counted >= 4, "{counted} of them are counted");
    crate::harness::eventually("room for another connection", async || {
        scene.house.visitor().connect(&[b"http/1.1"]).await.ok().map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clients_together_cannot_take_more_connections_than_there_are() {
    let limits = "[server]\nmax_connections = 6\nmax_connections_per_client = 6";
    let scene = Scene::set(limits).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        if let Ok(connection) = scene.house.visitor().connect(&[b"http/1.1"]).await {
            held.push(connection);
        }
    }
    assert!(held.len() <= 6, "{} of 6 places are taken", held.len());
    drop(held);
    let counted = scene
        .metric("sekisho_connections_refused_total{reason=\"total\"}")
        .await;
    assert!(counted >= 4, "{counted} of them are counted");
    eventually("room for another connection", async || {
        scene.house.visitor().connect(&[b"http/1.1"]).await.ok().map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_never_ends_is_cut() {
    let scene = Scene::set("").await;
    let address = *scene.house.gateway.address().lock();
    let begun = Instant::now();
    let silent = TcpStream::connect(address).await.unwrap();
    let mut begins = TcpStream::connect(address).await.unwrap();
    // The beginning of a hello that promises more.
    tokio::io::AsyncWriteExt::write_all(&mut begins, &[0x16, 3, 1, 2, 0, 1, 0])
        .await
        .unwrap();
    for mut socket in [silent, begins] {
        let mut byte = [0];
        let heard = tokio::time::timeout(SOON, socket.read(&mut byte)).await;
        assert!(matches!(heard, Ok(Ok(0) | Err(_))), "{heard:?}");
    }
    assert!(
        begun.elapsed() >= Duration::from_secs(5),
        "and no sooner than slow networks need"
    );
    assert!(scene.visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_asks_for_nothing_more_is_closed() {
    let scene = Scene::set("[server]\nidle_timeout = \"2s\"").await;
    let mut raw = scene.visitor.raw().await;
    for path in ["/one", "/two"] {
        raw.say(format!("GET {path} HTTP/1.1\r\nHost: in.test\r\n{}\r\n", scene.cookie))
            .await;
        let heard = raw.hear_one().await;
        assert_eq!(heard.status(), Some(200), "{heard:?}");
    }
    let begun = Instant::now();
    assert!(raw.hear_for(SOON).await.closed);
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "not before its time: {:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_counted_by_what_they_were_slow_at() {
    let scene = Scene::set("[server]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"").await;
    let mut slow_head = scene.visitor.raw().await;
    slow_head.say("GET /x").await;
    let mut slow_form = scene.visitor.raw().await;
    slow_form
        .say("POST /login HTTP/1.1\r\nHost: in.test\r\nOrigin: https://in.test\r\nContent-Length: 100\r\n\r\nlogin=1")
        .await;
    for what in ["head", "form"] {
        let series = format!("sekisho_slow_clients_total{{at=\"{what}\"}}");
        eventually(&series, async || (scene.metric(&series).await == 1).then_some(())).await;
    }
}
