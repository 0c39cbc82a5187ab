//! Whoever watches over the gateway: what people do shows in the figures, on a listener of their own that answers
//! nobody else.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{House, PASSWORD, eventually, quotas, soon};

/// Asks as a scraper does, and as one that lies about whom it asks.
pub async fn ask(address: SocketAddr, method: &str, path: &str, host: &str) -> (u16, String) {
    let talk = async {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = soon("an answer from the metrics listener", talk).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

/// A series' value; 0 would be there too, so a name that does not exist is a mistake of the test.
pub async fn value(house: &House, series: &str) -> f64 {
    let (status, text) = ask(house.gateway.metrics(), "GET", "/metrics", "localhost").await;
    assert_eq!(status, 200);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not there: {text}"))
        .parse()
        .unwrap()
}

/// Waits until a series has this value.
async fn reaches(house: &House, series: &str, wanted: f64) {
    eventually(&format!("{series} to be {wanted}"), async || {
        let is = value(house, series).await;
        assert!(is <= wanted, "{series} is {is}, beyond {wanted}");
        ((is - wanted).abs() < f64::EPSILON).then_some(())
    })
    .await;
}

/// What is said of every part.
pub async fn ready(house: &House) -> (u16, Value) {
    let (status, answer) = ask(house.gateway.metrics(), "GET", "/health/ready", "127.0.0.1").await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// Waits until a part is in this state.
async fn part_is(house: &House, part: &str, state: &str) {
    eventually(&format!("{part} to be {state}"), async || {
        (ready(house).await.1["parts"][part]["state"] == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_shows_in_the_figures() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    reaches(&house, "sekisho_events_total{name=\"account.created\"}", 1.0).await;
    reaches(&house, "sekisho_links_total{purpose=\"welcome\",step=\"used\"}", 1.0).await;
    reaches(&house, "sekisho_letters_total{kind=\"welcome\",result=\"sent\"}", 1.0).await;

    let visitor = house.signed_in(&person).await;
    reaches(&house, "sekisho_sign_ins_total{result=\"done\",reason=\"none\"}", 1.0).await;
    reaches(&house, "sekisho_sessions_begun_total", 1.0).await;
    let wrong = "not that one, but long enough";
    assert_eq!(house.visitor().sign_in("101", wrong).await.status, 401);
    house.visitor().sign_in("nobody", wrong).await;
    house.visitor().sign_in("nobody else", wrong).await;
    reaches(
        &house,
        "sekisho_sign_ins_total{result=\"refused\",reason=\"wrong-password\"}",
        1.0,
    )
    .await;
    reaches(
        &house,
        "sekisho_sign_ins_total{result=\"refused\",reason=\"unknown-name\"}",
        2.0,
    )
    .await;
    reaches(&house, "sekisho_hashing_duration_seconds_count{work=\"verify\"}", 4.0).await;
    reaches(
        &house,
        "sekisho_limit_decisions_total{rule=\"sign-in.client\",decision=\"granted\"}",
        4.0,
    )
    .await;

    for _ in 0..3 {
        assert!(visitor.passes().await);
    }
    reaches(
        &house,
        "sekisho_requests_total{outcome=\"forwarded\",status=\"2xx\"}",
        3.0,
    )
    .await;
    reaches(
        &house,
        "sekisho_request_duration_seconds_count{outcome=\"forwarded\"}",
        3.0,
    )
    .await;
    assert_eq!(house.visitor().fetch("/somewhere").await.status, 401);
    reaches(
        &house,
        "sekisho_requests_total{outcome=\"challenged\",status=\"4xx\"}",
        1.0,
    )
    .await;
    assert_eq!(visitor.fetch("/a/../b").await.status, 400);
    reaches(
        &house,
        "sekisho_requests_total{outcome=\"refused\",status=\"4xx\"}",
        1.0,
    )
    .await;

    let mut socket = visitor.websocket("/ws").await.unwrap();
    reaches(&house, "sekisho_streams{kind=\"websocket\"}", 1.0).await;
    house
        .gateway
        .cli(&["session", "end", "--account", "101"])
        .await
        .succeeded();
    eventually("the WebSocket to end with its session", async || {
        let ended = value(
            &house,
            "sekisho_streams_ended_total{kind=\"websocket\",reason=\"session-ended\"}",
        );
        (ended.await > 0.5).then_some(())
    })
    .await;
    reaches(&house, "sekisho_sessions_ended_total{reason=\"ended\"}", 1.0).await;
    reaches(
        &house,
        "sekisho_requests_total{outcome=\"forwarded\",status=\"1xx\"}",
        1.0,
    )
    .await;
    drop(socket.close(None).await);

    let (_, text) = ask(house.gateway.metrics(), "GET", "/metrics", "localhost").await;
    assert!(text.contains("application/openmetrics-text; version=1.0.0"), "{text}");
    for secret in ["101", &person.email, "Person", "127.0.0.1", "/somewhere"] {
        let said = text
            .lines()
            .any(|line| line.contains('{') && line.contains(&format!("\"{secret}")));
        assert!(!said, "{secret} is a label: {text}");
    }
    assert!(!text.contains("other\"} 1"), "something is on no list: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_for_a_shared_address_raises_its_metric_and_tells_the_stranger_nothing() {
    let house = House::open().await;
    let shared = "front@phone.example";
    for extension in ["101", "102"] {
        let args = [
            "account",
            "add",
            extension,
            "--name",
            "Front",
            "--email",
            shared,
            "--no-welcome",
        ];
        house.gateway.cli(&args).await.succeeded();
    }
    let asked = |email: &'static str| {
        let visitor = house.visitor();
        async move {
            let body = serde_json::json!({ "email": email });
            visitor.post_json("/forgot-password", &body).await
        }
    };
    let (one, other) = (asked(shared).await, asked("nobody@phone.example").await);
    assert_eq!((one.status, one.text()), (other.status, other.text()));
    for (reason, count) in [("shared-email", 1.0), ("unknown-name", 1.0), ("no-email", 0.0)] {
        let series = format!("sekisho_resets_total{{result=\"withheld\",reason=\"{reason}\"}}");
        reaches(&house, &series, count).await;
    }
    reaches(
        &house,
        "sekisho_resets_total{result=\"requested\",reason=\"none\"}",
        2.0,
    )
    .await;
    reaches(&house, "sekisho_events_total{name=\"link.withheld\"}", 2.0).await;
    house.event("link.withheld", Some("reset shared-email")).await;

    // Counters begin anew with the process; the events of before are not counted again.
    house.gateway.restart().await;
    asked(shared).await;
    reaches(
        &house,
        "sekisho_resets_total{result=\"withheld\",reason=\"shared-email\"}",
        1.0,
    )
    .await;
    reaches(
        &house,
        "sekisho_resets_total{result=\"withheld\",reason=\"unknown-name\"}",
        0.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_attempts_are_all_counted() {
    let house = House::with(&quotas(&[("sign-in.client+account", "2 per 1h")])).await;
    for _ in 0..7 {
        house.visitor().sign_in("101", "a guess that is wrong").await;
    }
    reaches(
        &house,
        "sekisho_sign_ins_total{result=\"throttled\",reason=\"throttled\"}",
        5.0,
    )
    .await;
    reaches(
        &house,
        "sekisho_limit_decisions_total{rule=\"sign-in.client+account\",decision=\"refused\"}",
        5.0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_asked_for_at_home_and_nowhere_else() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let at = house.gateway.metrics();
    for host in ["evil.example", "in.test", &format!("evil.example:{}", at.port())] {
        assert_eq!(ask(at, "GET", "/metrics", host).await.0, 421, "{host}");
    }
    assert_eq!(ask(at, "GET", "/metrics", &at.to_string()).await.0, 200);
    assert_eq!(ask(at, "GET", "/health/live", "localhost").await.0, 200);
    assert_eq!(ask(at, "POST", "/metrics", "localhost").await.0, 405);
    assert_eq!(ask(at, "GET", "/login", "localhost").await.0, 404);

    // On the public listener it is a path of the web client like any other.
    let stranger = house.visitor();
    assert_eq!(stranger.get("/metrics").await.status, 303);
    assert_eq!(stranger.fetch("/metrics").await.status, 401);
    let signed_in = house.signed_in(&person).await;
    let answer = signed_in.fetch("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("sekisho_requests"), "{answer:?}");
    assert_eq!(house.upstream.last().target, "/metrics");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_which_part_does_not_work() {
    let house = House::open().await;
    for part in ["store-read", "store-write", "signing-key"] {
        part_is(&house, part, "well").await;
    }
    let (status, told) = ready(&house).await;
    assert_eq!((status, &told["ready"]), (200, &Value::Bool(true)), "{told}");
    assert_eq!(told["parts"]["upstream"]["state"], "unknown");
    let person = house.welcome("101").await;
    part_is(&house, "mail", "well").await;
    let visitor = house.signed_in(&person).await;
    assert!(visitor.passes().await);
    part_is(&house, "upstream", "well").await;

    house.upstream.stop();
    eventually("the web client to be gone", async || {
        (visitor.fetch("/x").await.status == 502).then_some(())
    })
    .await;
    part_is(&house, "upstream", "unwell").await;
    // The first of them may have been sent down a connection that was open still.
    eventually("connecting to fail", async || {
        visitor.fetch("/x").await;
        (value(&house, "sekisho_upstream_errors_total{kind=\"connect\"}").await > 0.5).then_some(())
    })
    .await;
    house.upstream.start_again().await;
    eventually("the web client to be back", async || {
        visitor.passes().await.then_some(())
    })
    .await;
    part_is(&house, "upstream", "well").await;

    house
        .mailbox
        .behave(sekisho::demo::mailcatcher::Behaviour::RejectRecipient(
            450,
            "4.2.1 come back later".into(),
        ));
    let body = serde_json::json!({ "email": person.email });
    house.visitor().post_json("/forgot-password", &body).await;
    part_is(&house, "mail", "unwell").await;
    eventually("the letter to be seen waiting", async || {
        let letters = ready(&house).await.1["letters"].clone();
        (letters["last"] == "deferred" && letters["waiting"] == 1).then_some(())
    })
    .await;
    assert!(value(&house, "sekisho_letters_total{kind=\"reset\",result=\"deferred\"}").await > 0.5);

    // What a full disk does to writes, another process does here: reading goes on, and nobody signs in.
    let holder = super::outage::hold_database(&house).await;
    part_is(&house, "store-write", "unwell").await;
    let (status, told) = ready(&house).await;
    assert_eq!(status, 200, "whoever is signed in goes on: {told}");
    assert_eq!(told["parts"]["store-read"]["state"], "well");
    assert!(value(&house, "sekisho_health{part=\"store-write\"}").await < 0.5);
    let public = house.visitor().fetch("/.sekisho/health/ready").await;
    assert_eq!(
        public.json(),
        serde_json::json!({ "ready": true, "parts": { "store": true, "store-write": false } })
    );
    // The port in the configuration is what the command goes by.
    let address = *house.gateway.address().lock();
    house.gateway.configure(&format!("[server]\nlisten = [\"{address}\"]"));
    let asked = house.gateway.cli(&["healthcheck"]).await;
    assert_eq!(asked.code, Some(0), "a restart would mend nothing: {asked:?}");
    assert!(asked.err.contains("not working: store-write"), "{asked:?}");
    drop(holder);
    part_is(&house, "store-write", "well").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_stops_nobody_from_signing_in() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let house = House::with(&format!("[metrics]\nlisten = \"{listen}\"")).await;
    house.welcome("101").await;
    assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
    eventually("the log to say so", async || {
        house
            .gateway
            .printed()
            .contains("metrics cannot be served")
            .then_some(())
    })
    .await;
    drop(taken);
    eventually("the port to be taken up once it is free", async || {
        TcpStream::connect(listen).await.ok().map(drop)
    })
    .await;
    assert_eq!(ask(listen, "GET", "/health/live", "localhost").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn off_is_off_and_says_so() {
    let house = House::with("[metrics]\nenabled = false").await;
    let said = house.gateway.said();
    assert!(!said.iter().any(|line| line.starts_with("metrics on ")), "{said:?}");
    eventually("the log to say so", async || {
        house
            .gateway
            .printed()
            .contains("metrics.enabled = false")
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_can_be_read_while_the_gateway_drains() {
    let house = House::with("[server]\ndrain_timeout = \"20s\"").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let open = tokio::spawn(async move { visitor.fetch("/slow").await });
    eventually("the slow request to arrive", async || {
        house
            .upstream
            .received()
            .iter()
            .any(|request| request.target == "/slow")
            .then_some(())
    })
    .await;
    let at = house.gateway.metrics();
    house.gateway.signal("TERM");
    eventually("the stop to begin", async || {
        house.gateway.printed().contains("stopping").then_some(())
    })
    .await;
    assert_eq!(ask(at, "GET", "/metrics", "localhost").await.0, 200);
    open.abort();
    eventually("the end", async || house.gateway.ended()).await;
}
