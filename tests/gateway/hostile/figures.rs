//! What hostile clients cost, as figures: small enough here for every test run, and as large as asked for by hand (see
//! docs/security-figures.md). Each says what it measured on standard error.

use std::any::Any;
use std::time::{Duration, Instant};

use http::Method;
use rstest::rstest;
use serde_json::json;

use super::Scene;
use crate::harness::frames::{END_HEADERS, END_STREAM, Frame, HEADERS, frame};
use crate::harness::{House, LATEST, OTHER_PASSWORD, SOON, asked, within};

/// A line of `/proc/PID/status`, in KiB.
fn kib(house: &House, line: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.gateway.pid())).unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

/// So many connections are opened before anything is measured: they take what the start has left over.
const WARM: usize = 150;

/// How somebody holds a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    IdleHttp1,
    IdleHttp2,
    SlowHead,
    WebSocket,
}

impl Hold {
    /// Twice and more of what one has been seen to take: a few at a time are measured by the page.
    const fn most(self) -> usize {
        match self {
            Self::IdleHttp2 => 96 << 10,
            Self::IdleHttp1 | Self::SlowHead => 32 << 10,
            Self::WebSocket => 40 << 10,
        }
    }
}

#[rstest]
#[case(Hold::IdleHttp1)]
#[case(Hold::IdleHttp2)]
#[case(Hold::SlowHead)]
#[case(Hold::WebSocket)]
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_idle_or_slow_cost_little_each(#[case] hold: Hold) {
    let patience = "[server]\nmax_connections_per_client = 10000\nheader_timeout = \"10m\"\nidle_timeout = \"10m\"";
    let scene = Scene::set(patience).await;
    let count = asked("SEKISHO_CONNECTIONS", 150);
    let request = format!("GET /x HTTP/1.1\r\nHost: in.test\r\n{}\r\n", scene.cookie);
    let fields = scene.fields("/x", &[]);
    // Nobody speaks on them again.
    let mut held: Vec<Box<dyn Any>> = Vec::new();
    let mut before = 0;
    for number in 0..count + WARM {
        if number == WARM {
            before = kib(&scene.house, "VmRSS:");
        }
        if hold == Hold::IdleHttp2 {
            let mut frames = scene.frames().await;
            frames.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)).await;
            let heard = frames.until(SOON, |frame| frame.status().is_some()).await;
            assert_eq!(heard.last().and_then(Frame::status), Some(200), "{heard:?}");
            held.push(Box::new(frames));
        } else if hold == Hold::WebSocket {
            held.push(Box::new(scene.visitor.websocket("/ws").await.unwrap()));
        } else {
            let mut raw = scene.visitor.raw().await;
            if hold == Hold::SlowHead {
                raw.say(&request[..request.len() - 2]).await;
            } else {
                raw.say(&request).await;
                assert_eq!(raw.hear_one().await.status(), Some(200));
            }
            held.push(Box::new(raw));
        }
    }
    let each = kib(&scene.house, "VmRSS:").saturating_sub(before) * 1024 / count;
    eprintln!("figure: {count} connections, {hold:?}: {each} bytes each");
    assert!(each < hold.most(), "{each} bytes for each connection, {hold:?}");
    assert!(scene.visitor.passes().await);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_sign_ins_from_many_addresses_is_shed_at_once_and_in_bounded_memory() {
    let count = asked("SEKISHO_FLOOD", 300);
    let (memory, threads) = (64, 1);
    let house = House::with(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n\
         [passwords.hashing]\nmemory = \"{memory} MiB\"\npasses = 3\nthreads = {threads}\nqueue = 8"
    ))
    .await;
    house.invite("101", &[]).await;
    let before = kib(&house, "VmRSS:");
    let mut posts = Vec::new();
    for number in 0..count {
        let address = format!("198.51.100.{}", number % 200 + 1);
        let visitor = house.visitor().always("x-forwarded-for", &address);
        posts.push(tokio::spawn(async move {
            // The handshake is not what is measured.
            visitor.get("/login").await;
            let begun = Instant::now();
            let body = json!({"login": format!("9{number}"), "password": OTHER_PASSWORD});
            let asking = visitor.script(Method::POST, "/login").json(&body);
            (
                asking.try_send_within(LATEST).await.map(|answer| answer.status),
                begun.elapsed(),
            )
        }));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut shed, mut judged) = (Vec::new(), Vec::new());
    for post in posts {
        match post.await.unwrap() {
            (Ok(503), took) => shed.push(took),
            (Ok(401), took) => judged.push(took),
            (other, took) => panic!("{other:?} after {took:?}"),
        }
    }
    shed.sort();
    judged.sort();
    assert!(
        !judged.is_empty() && !shed.is_empty(),
        "{judged:?} judged, {} shed",
        shed.len()
    );
    let at = |hundredths: usize| shed[(shed.len() - 1) * hundredths / 100];
    let grown = kib(&house, "VmHWM:").saturating_sub(before) / 1024;
    eprintln!(
        "figure: {count} sign-ins from 200 addresses, 200 a second: {} judged, {} shed after {:?} (median), {:?} (99 of 100), {:?} (longest); memory grew by {grown} MiB",
        judged.len(),
        shed.len(),
        at(50),
        at(99),
        at(100)
    );
    // However busy the machine is: at once is well before whoever waits for a thread has waited.
    let waited = judged[judged.len() / 2];
    assert!(
        4 * at(50) < waited,
        "half of the shed wait longer than {:?}, half of the others {waited:?}",
        at(50)
    );
    assert!(grown <= memory * threads + 64, "{grown} MiB");
    within(Duration::from_secs(30), "the queue to be empty", async || {
        let body = json!({"login": "101", "password": OTHER_PASSWORD});
        (house.visitor().post_json("/login", &body).await.status == 401).then_some(())
    })
    .await;
}
