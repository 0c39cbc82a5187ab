//! The servers behind the gateway: several of them, their health, how they are spoken to, and how long they may take.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::upstream::pattern;
use crate::harness::{House, Upstream, Visitor, eventually, soon};
use crate::metrics::{ready, value};

/// A house whose web client has these addresses and is open to everybody: who is asking is another story.
async fn house(urls: &[String], more: &str) -> House {
    let house = House::closed("[access]\npublic = [\"/*\"]").await;
    house.gateway.configure(&format!("[upstream]\nurl = {urls:?}\n{more}"));
    house.gateway.start().await;
    house
}

fn plain(upstream: &Upstream) -> String {
    format!("http://{}", upstream.address())
}

/// Two servers and the house before them.
async fn pair(more: &str) -> (House, Upstream, Upstream) {
    let (one, other) = (Upstream::open().await, Upstream::open().await);
    let house = house(&[plain(&one), plain(&other)], more).await;
    (house, one, other)
}

async fn status(visitor: &Visitor, path: &str) -> u16 {
    visitor.fetch(path).await.status
}

/// How often a line with these words is in the log.
fn said(house: &House, words: &str) -> usize {
    house
        .gateway
        .printed()
        .lines()
        .filter(|line| line.contains(words))
        .count()
}

/// A server that answers every request with these bytes and then closes. Answers where it listens, and how many requests
/// it has had.
async fn blunt(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                    if socket.read_buf(&mut head).await.is_ok_and(|read| read > 0) {
                        continue;
                    }
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = socket.write_all(answer).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_to_each_server_in_turn() {
    let (house, one, other) = pair("").await;
    let visitor = house.visitor();
    for _ in 0..10 {
        assert_eq!(status(&visitor, "/x").await, 200);
    }
    assert_eq!((one.count(), other.count()), (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_load_costs_no_idempotent_request() {
    const EACH: usize = 60;
    let (house, one, other) = pair("").await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut people = tokio::task::JoinSet::new();
    for number in 0..8 {
        let visitor = if number % 2 == 0 {
            house.visitor()
        } else {
            house.visitor().over_http2()
        };
        let done = Arc::clone(&done);
        people.spawn(async move {
            for _ in 0..EACH {
                let answer = visitor.script(Method::PUT, "/x").body("some bytes").send().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(answer.json()["bytes"], 10, "the body was sent again");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    eventually("the load to be under way", async || {
        (done.load(Ordering::Relaxed) >= EACH && one.count() > 0).then_some(())
    })
    .await;
    one.stop();
    while let Some(person) = people.join_next().await {
        person.unwrap();
    }
    assert!(other.count() > one.count());
    eventually("the dead server to be taken out", async || {
        status(&house.visitor(), "/x").await;
        (said(&house, "a server of the upstream is taken out") == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_change_something_is_made_again_only_when_it_was_never_sent() {
    let sound = Upstream::open().await;
    let (address, asked) = blunt(b"").await;
    let urls = [format!("http://{address}"), plain(&sound)];
    let house = house(&urls, "failures = 1000").await;
    let visitor = house.visitor();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let answer = visitor.script(Method::POST, "/x").body("x").send().await;
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502]);
    assert_eq!(sound.count() + asked.load(Ordering::Relaxed), 4, "each was sent once");
    let mut taken_for_another = Vec::new();
    for _ in 0..4 {
        let asking = visitor
            .script(Method::GET, "/x")
            .header("x-http-method-override", "POST");
        taken_for_another.push(asking.send().await.status);
    }
    taken_for_another.sort_unstable();
    assert_eq!(taken_for_another, [200, 200, 502, 502]);
    assert_eq!(sound.count() + asked.load(Ordering::Relaxed), 8, "each was sent once");
    for _ in 0..4 {
        assert_eq!(status(&visitor, "/x").await, 200, "looking changes nothing");
    }

    let gone = Upstream::open().await;
    gone.stop();
    let closed = plain(&gone);
    eventually("the server to be gone", async || {
        tokio::net::TcpStream::connect(gone.address())
            .await
            .is_err()
            .then_some(())
    })
    .await;
    house
        .gateway
        .configure(&format!("[upstream]\nurl = {:?}", [closed, plain(&sound)]));
    house.gateway.restart().await;
    for _ in 0..4 {
        let answer = visitor.script(Method::POST, "/x").body("x").send().await;
        assert_eq!(answer.status, 200, "nothing had been sent: {answer:?}");
    }
    let mut socket = visitor.websocket("/ws").await.unwrap();
    let mut another = visitor.websocket("/ws").await.unwrap();
    for socket in [&mut socket, &mut another] {
        socket.send(Message::text("hello")).await.unwrap();
        let heard = soon("the echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(heard, Message::text("hello"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_server_is_tried_however_often_it_has_failed() {
    let (house, one, other) = pair("failures = 1\nfailure_pause = \"1h\"").await;
    let visitor = house.visitor();
    one.stop();
    other.stop();
    eventually("both servers to be gone and out", async || {
        let answer = status(&visitor, "/x").await;
        (answer == 502 && said(&house, "a server of the upstream is taken out") == 2).then_some(())
    })
    .await;
    other.start_again().await;
    eventually("the one that is there to be found", async || {
        (status(&visitor, "/x").await == 200).then_some(())
    })
    .await;
    for _ in 0..5 {
        assert_eq!(status(&visitor, "/x").await, 200);
    }
    assert_eq!(said(&house, "a server of the upstream is back"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_takes_a_server_out_and_brings_it_back() {
    let check = "health_path = \"/health\"\nhealth_interval = \"100ms\"\nhealth_rise = 2\nhealth_fall = 2";
    let (house, one, other) = pair(&format!("{check}\nfailure_pause = \"1h\"\nfailures = 1")).await;
    let visitor = house.visitor();
    let share = async || {
        let before = (one.count(), other.count());
        for _ in 0..4 {
            assert_eq!(status(&visitor, "/x").await, 200);
        }
        (one.count() - before.0, other.count() - before.1)
    };
    one.set_health(503);
    eventually("the sick server to be taken out", async || {
        (said(&house, "a server of the upstream is taken out") == 1).then_some(())
    })
    .await;
    assert_eq!(share().await, (0, 4));
    assert_eq!(states(&house).await, ["out", "in"], "whoever watches is told of it");
    one.set_health(200);
    eventually("the healthy server to be back", async || {
        (said(&house, "a server of the upstream is back") == 1).then_some(())
    })
    .await;
    assert_eq!(states(&house).await, ["in", "in"]);
    assert_eq!(share().await, (2, 2));

    one.stop();
    eventually("the dead server to be out", async || {
        status(&visitor, "/x").await;
        (said(&house, "a server of the upstream is taken out") == 2).then_some(())
    })
    .await;
    one.start_again().await;
    eventually("the check to bring it back", async || {
        (said(&house, "a server of the upstream is back") == 2).then_some(())
    })
    .await;
    assert_eq!(share().await, (2, 2));
}

/// What readiness says of each server, and that the metrics count the same.
async fn states(house: &House) -> Vec<String> {
    let (_, told) = ready(house).await;
    let servers = told["servers"].as_array().unwrap();
    let states: Vec<String> = servers
        .iter()
        .map(|server| server["state"].as_str().unwrap().to_owned())
        .collect();
    let out = states.iter().filter(|state| *state == "out").count();
    let counted = value(house, "sekisho_upstream_servers{site=\"main\",state=\"out\"}").await;
    assert!(
        (counted - f64::from(u32::try_from(out).unwrap())).abs() < f64::EPSILON,
        "{counted} {told}"
    );
    states
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_requests_and_does_not_answer_is_taken_out() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (hangs_up, asked) = blunt(b"").await;
    let sound = Upstream::open().await;
    let more = "failures = 2\nfailure_pause = \"1h\"\nresponse_timeout = \"1s\"";
    let taken_out = "a server of the upstream is taken out";
    // The system takes the connections, and nobody reads what comes on them.
    for (bad, failure) in [(mute.local_addr().unwrap(), 504), (hangs_up, 502)] {
        let house = house(&[format!("http://{bad}"), plain(&sound)], more).await;
        let visitor = house.visitor();
        let mut failed = 0;
        while said(&house, taken_out) == 0 {
            let answer = visitor.script(Method::POST, "/x").body("x").send().await;
            failed += usize::from(answer.status == failure);
            assert!(failed <= 2 && [200, failure].contains(&answer.status), "{answer:?}");
        }
        assert_eq!(failed, 2);
        for _ in 0..4 {
            assert_eq!(status(&visitor, "/x").await, 200);
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_chosen_status_take_a_server_out() {
    let (house, one, other) = pair("failures = 1\nfailure_statuses = [503]\nfailure_pause = \"1h\"").await;
    let visitor = house.visitor();
    assert_eq!(status(&visitor, "/503").await, 503, "the answer itself is passed on");
    let (bad, good) = if one.count() == 1 {
        (&one, &other)
    } else {
        (&other, &one)
    };
    for _ in 0..4 {
        assert_eq!(status(&visitor, "/x").await, 200);
    }
    assert_eq!((bad.count(), good.count()), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_not_out_of_date_by_the_time_that_a_server_is_reached() {
    const CONNECT: Duration = Duration::from_secs(3);
    let house = House::closed("[assertion]\nlife = \"5s\"").await;
    // It takes connections and says nothing on them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [
        plain(&house.upstream),
        format!("https://{}", silent.local_addr().unwrap()),
    ];
    house
        .gateway
        .configure(&format!("[upstream]\nurl = {urls:?}\nconnect_timeout = \"3s\""));
    house.gateway.start().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let mut before = None;
    for _ in 0..4 {
        let begun = Instant::now();
        assert_eq!(status(&visitor, "/x").await, 200);
        let said = house.upstream.last().assertion().to_owned();
        if let Some(before) = before.filter(|_| begun.elapsed() >= CONNECT) {
            assert_ne!(said, before, "half of its life was over on the way");
            return;
        }
        before = Some(said);
    }
    panic!("no request was on its way to the silent server first");
}

#[tokio::test(flavor = "multi_thread")]
async fn least_connections_counts_streams_and_websockets_and_notices_their_end() {
    let (house, one, other) = pair("balance = \"least-connections\"").await;
    let visitor = house.visitor();
    let stream = open(&visitor, "/events").await;
    let (busy, idle) = if one.streams() == 1 {
        (&one, &other)
    } else {
        (&other, &one)
    };
    let share = async |count: usize| {
        let before = (busy.count(), idle.count());
        for _ in 0..count {
            assert_eq!(status(&visitor, "/x").await, 200);
        }
        (busy.count() - before.0, idle.count() - before.1)
    };
    // A request gives its place back a moment after its answer.
    eventually("everything to go to the idle one", async || {
        (share(4).await == (0, 4)).then_some(())
    })
    .await;
    let sockets = [
        visitor.websocket("/ws").await.unwrap(),
        visitor.websocket("/ws").await.unwrap(),
    ];
    eventually("three open ones to be uneven", async || {
        matches!(share(4).await, (0, 4) | (4, 0)).then_some(())
    })
    .await;
    drop((sockets, stream));
    eventually("both servers to be idle again", async || {
        (share(4).await == (2, 2)).then_some(())
    })
    .await;
}

/// Opens a stream of events and reads its first piece.
async fn open(visitor: &Visitor, path: &str) -> Incoming {
    let response = visitor.script(Method::GET, path).open().await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    assert_eq!(next(&mut body).await, Bytes::from_static(b": open\n\n"));
    body
}

async fn next(body: &mut Incoming) -> Bytes {
    let frame = soon("a piece", body.frame()).await.unwrap().unwrap();
    frame.into_data().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_head_of_an_answer_has_to_come_in_time() {
    for protocol in ["http1", "http2"] {
        let upstream = Upstream::open().await;
        let more = format!("response_timeout = \"1s\"\nprotocol = {protocol:?}");
        let house = house(&[plain(&upstream)], &more).await;
        let (one, two) = (house.visitor(), house.visitor().over_http2());
        // Asked for by a script that accepts anything: nothing says that this will be a stream.
        let (mut first, mut second) = (open(&one, "/events").await, open(&two, "/events").await);
        for _ in 0..2 {
            // A second passes with each.
            one.fetch("/slow").await.is_problem(504, "gateway-timeout");
            two.fetch("/slow").await.is_problem(504, "gateway-timeout");
        }
        upstream.emit("late");
        for body in [&mut first, &mut second] {
            assert_eq!(next(body).await, Bytes::from_static(b"data: late\n\n"), "{protocol}");
        }
        assert_eq!(status(&one, "/x").await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_request_costs_no_time_of_its_answer() {
    let upstream = Upstream::open().await;
    let house = house(&[plain(&upstream)], "response_timeout = \"1s\"").await;
    let visitor = house.visitor();
    let (sender, pieces) = tokio::sync::mpsc::channel(1);
    let sending = async {
        for _ in 0..4 {
            sender.send(Bytes::from_static(b"piece")).await.unwrap();
            // Most of a second passes.
            let other = house.visitor();
            let waiting = tokio::time::timeout(Duration::from_millis(700), other.fetch("/slow"));
            assert!(waiting.await.is_err());
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(visitor.script(Method::POST, "/x").stream(pieces).send(), sending);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["bytes"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_an_answer_begins_when_the_end_of_a_chunked_request_is_there() {
    let upstream = Upstream::open().await;
    let house = house(&[plain(&upstream)], "response_timeout = \"2s\"").await;
    let visitor = house.visitor();
    let most_of_it = async || {
        let other = house.visitor();
        let waiting = tokio::time::timeout(Duration::from_millis(1_400), other.fetch("/slow"));
        assert!(waiting.await.is_err());
    };
    let (sender, pieces) = tokio::sync::mpsc::channel(1);
    let sending = async {
        sender.send(Bytes::from_static(b"piece")).await.unwrap();
        most_of_it().await;
        drop(sender);
        eventually("the whole request to arrive", async || {
            let received = upstream.received();
            received.iter().any(|each| each.bytes == 5).then_some(())
        })
        .await;
        most_of_it().await;
        upstream.emit("now");
    };
    let asking = visitor.script(Method::POST, "/when-told").stream(pieces).send();
    let (answer, ()) = tokio::join!(asking, sending);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["bytes"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_longer_than_the_operator_allows_ends_an_answer() {
    let upstream = Upstream::open().await;
    let house = house(&[plain(&upstream)], "response_timeout = \"1s\"\nidle_timeout = \"1s\"").await;
    let mut body = open(&house.visitor(), "/events").await;
    let end = soon("the stream to be cut", async {
        loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                other => return other,
            }
        }
    });
    assert!(matches!(end.await, Some(Err(_))), "cut, and not as if it were whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_may_listen_on_a_socket_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.sock");
    let upstream = Upstream::open_at(&path);
    let house = house(&[format!("unix:{}", path.display())], "preserve_host = false").await;
    let visitor = house.visitor();
    for _ in 0..3 {
        let answer = visitor.script(Method::POST, "/a?b=c").body("some bytes").send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["bytes"], 10);
    }
    assert_eq!(upstream.last().header("host"), Some("localhost"));
    let mut socket = visitor.websocket("/ws").await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    let heard = soon("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(heard, Message::text("hello"));
    let mut events = open(&visitor, "/events").await;
    upstream.emit("1");
    assert_eq!(next(&mut events).await, Bytes::from_static(b"data: 1\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_is_spoken_to_in_http2_where_the_operator_says_so() {
    let upstream = Upstream::open().await;
    let house = house(&[plain(&upstream)], "protocol = \"http2\"\npreserve_host = false").await;
    let own = upstream.address().to_string();
    for visitor in [house.visitor(), house.visitor().over_http2()] {
        let answer = visitor
            .script(Method::POST, "/a?b=c")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .body("some bytes")
            .send()
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["bytes"], 10);
        let received = upstream.last();
        assert_eq!(received.version, Version::HTTP_2);
        assert_eq!(received.target, format!("http://{own}/a?b=c"));
        assert_eq!(received.header("cookie"), Some("a=1; b=2"));
        let large = visitor.fetch("/download/3000000").await;
        assert_eq!((large.status, large.body.len()), (200, 3_000_000));
    }
    let mut socket = house.visitor().websocket("/ws").await.unwrap();
    assert_eq!(upstream.last().version, Version::HTTP_11);
    socket.send(Message::text("hello")).await.unwrap();
    let heard = soon("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(heard, Message::text("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_between_http2_and_http2() {
    let upstream = Upstream::open().await;
    let house = house(&[plain(&upstream)], "protocol = \"http2\"").await;
    let visitor = house.visitor().over_http2();
    let answer = visitor.script(Method::GET, "/trailers").open().await;
    let whole = soon("the whole answer", answer.into_body().collect()).await.unwrap();
    let trailers = whole.trailers().cloned().unwrap_or_default();
    assert_eq!(trailers.get("x-end").map(http::HeaderValue::as_bytes), Some(&b"1"[..]));
    assert_eq!(whole.to_bytes(), Bytes::from_static(b"body"));
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_pass_before_the_answer() {
    let (address, _) = blunt(
        b"HTTP/1.1 103 Early Hints\r\nLink: </app.css>; rel=preload\r\n\r\n\
          HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    )
    .await;
    let house = house(&[format!("http://{address}")], "").await;
    let mut raw = house.visitor().raw().await;
    raw.say("GET / HTTP/1.1\r\nHost: in.test\r\nConnection: close\r\n\r\n")
        .await;
    let heard = raw.hear().await;
    assert_eq!(heard.statuses(), [103, 200], "{heard:?}");
    assert!(heard.text.contains("</app.css>; rel=preload"), "{heard:?}");
    assert!(heard.text.ends_with("body"), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_when_the_web_client_says_so() {
    let upstream = Upstream::open().await;
    let house = house(&[plain(&upstream)], "").await;
    let mut raw = house.visitor().raw().await;
    raw.say(
        "POST /x HTTP/1.1\r\nHost: in.test\r\nExpect: 100-continue\r\nContent-Length: 10\r\nConnection: close\r\n\r\n",
    )
    .await;
    let first = raw.hear_one().await;
    assert_eq!(first.statuses(), [100], "{first:?}");
    assert_eq!(
        upstream.last().header("expect"),
        Some("100-continue"),
        "the word is the web client's"
    );
    raw.say("some bytes").await;
    let heard = raw.hear().await;
    assert_eq!(heard.status(), Some(200), "{heard:?}");
    assert!(heard.text.contains("\"bytes\":10"), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_without_an_answer_is_a_502() {
    let (address, _) = blunt(b"HTTP/1.1 103 Early Hints\r\nLink: </app.css>; rel=preload\r\n\r\n").await;
    let house = house(&[format!("http://{address}")], "").await;
    let mut raw = house.visitor().raw().await;
    raw.say("GET / HTTP/1.1\r\nHost: in.test\r\nConnection: close\r\n\r\n")
        .await;
    let heard = raw.hear().await;
    assert_eq!(heard.statuses(), [103, 502], "{heard:?}");
}

/// A certificate authority with what it has signed.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

/// Certificates in files, and for a server.
struct Signed {
    pem: String,
    der: rustls_pki_types::CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&key, &Issuer::from_params(&self.params, &self.key))
            .unwrap();
        Signed {
            pem: leaf.pem(),
            der: leaf.der().clone(),
            key,
        }
    }

    fn roots(&self) -> RootCertStore {
        use rustls_pki_types::pem::PemObject;

        let mut roots = RootCertStore::empty();
        let der = rustls_pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        roots.add(der).unwrap();
        roots
    }

    /// A server of this name that wants to see a certificate of `clients`.
    fn server(&self, name: &str, clients: Option<&Self>, alpn: &[&[u8]]) -> rustls::ServerConfig {
        let signed = self.sign(name);
        let builder = rustls::ServerConfig::builder();
        let builder = match clients {
            Some(clients) => {
                let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots()))
                    .build()
                    .unwrap();
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(vec![signed.der], signed.key.into()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }
}

fn write(path: &Path, text: &str) -> PathBuf {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_owned()
}

fn crypto() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_that_wants_a_certificate_sees_the_gateway_s() {
    crypto();
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let upstream = Upstream::open_with_tls(servers.server("127.0.0.1", Some(&clients), &[])).await;
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| write(&directory.path().join(name), text);
    let ca = file("ca.pem", &servers.pem);
    let url = format!("https://{}", upstream.address());
    let house = house(std::slice::from_ref(&url), &format!("ca_file = {ca:?}")).await;
    let visitor = house.visitor();
    visitor.fetch("/x").await.is_problem(502, "bad-gateway");
    for (authority, welcome) in [(&strangers, false), (&clients, true)] {
        let signed = authority.sign("gateway");
        let certificate = file("client.pem", &signed.pem);
        let key = file("client.key", &signed.key.serialize_pem());
        house.gateway.configure(&format!(
            "[upstream]\nclient_certificate = {certificate:?}\nclient_key = {key:?}"
        ));
        house.gateway.restart().await;
        if welcome {
            for _ in 0..3 {
                assert_eq!(status(&visitor, "/x").await, 200);
            }
            let mut socket = visitor.websocket("/ws").await.unwrap();
            socket.send(Message::text("hello")).await.unwrap();
            assert!(soon("the echo", socket.next()).await.unwrap().is_ok());
        } else {
            visitor.fetch("/x").await.is_problem(502, "bad-gateway");
            assert_eq!(upstream.count(), 0);
        }
    }
    let key = directory.path().join("client.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = house.gateway.cli(&["config", "check"]).await;
    assert_ne!(refused.code, Some(0));
    let words = format!("{}{}", refused.out, refused.err);
    assert!(
        words.contains("upstream.client_key") && words.contains("0644"),
        "{words}"
    );
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    write(&key, &strangers.sign("x").key.serialize_pem());
    house.gateway.stop().await;
    let failed = house.gateway.cli(&["serve"]).await;
    assert_eq!(failed.code, Some(1));
    let last = failed.err.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("sekisho: ") && last.contains("client.key"),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_what_is_wrong_with_the_certificate_of_a_web_client() {
    crypto();
    let servers = Authority::new();
    let upstream = Upstream::open_with_tls(servers.server("web.internal", None, &[])).await;
    let directory = tempfile::tempdir().unwrap();
    let ca = write(&directory.path().join("ca.pem"), &servers.pem);
    let url = format!("https://{}", upstream.address());
    let more = format!("ca_file = {ca:?}\nfailures = 1\nhealth_path = \"/health\"\nhealth_interval = \"100ms\"");
    let house = house(std::slice::from_ref(&url), &more).await;
    house.visitor().fetch("/x").await.is_problem(502, "bad-gateway");
    let server = upstream.address().to_string();
    for message in ["could not proxy a request", "a server of the upstream is taken out"] {
        let line = eventually(message, async || {
            let printed = house.gateway.printed();
            printed.lines().find(|line| line.contains(message)).map(str::to_owned)
        })
        .await;
        assert!(line.contains("not valid for name") && line.contains(&server), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_client_is_who_its_certificate_says() {
    crypto();
    let servers = Authority::new();
    let alpn: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let upstream = Upstream::open_with_tls(servers.server("web.internal", None, &alpn)).await;
    let directory = tempfile::tempdir().unwrap();
    let ca = write(&directory.path().join("ca.pem"), &servers.pem);
    let url = format!("https://{}", upstream.address());
    let house = house(&[url], &format!("ca_file = {ca:?}")).await;
    let visitor = house.visitor();
    visitor.fetch("/x").await.is_problem(502, "bad-gateway");
    assert_eq!(upstream.count(), 0, "the address is not its name");
    for (name, right) in [("web.internal", true), ("other.internal", false)] {
        house.gateway.configure(&format!("[upstream]\nserver_name = {name:?}"));
        house.gateway.restart().await;
        assert_eq!(status(&visitor, "/x").await == 200, right, "{name}");
    }
    house
        .gateway
        .configure("[upstream]\nserver_name = \"web.internal\"\nprotocol = \"http2\"");
    house.gateway.restart().await;
    assert_eq!(status(&visitor, "/x").await, 200);
    assert_eq!(upstream.last().version, Version::HTTP_2);

    house.gateway.configure("[upstream]\nserver_name = \"\"");
    let refused = house.gateway.cli(&["config", "check"]).await;
    assert_ne!(refused.code, Some(0));
    let words = format!("{}{}", refused.out, refused.err);
    assert!(words.contains("upstream.server_name"), "{words}");
}

/// The most memory the gateway has ever taken, in bytes.
fn peak(house: &House) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_of_a_gigabyte_up_and_down_takes_no_memory() {
    const BYTES: usize = 256 << 20;
    const ROOM: usize = 32 << 20;
    let long = Duration::from_secs(80);
    for protocol in ["http1", "http2"] {
        let upstream = Upstream::open().await;
        let house = house(&[plain(&upstream)], &format!("protocol = {protocol:?}")).await;
        let visitor = if protocol == "http1" {
            house.visitor()
        } else {
            house.visitor().over_http2()
        };
        for _ in 0..3 {
            assert_eq!(status(&visitor, "/download/100000").await, 200);
        }
        let before = peak(&house);
        let (sender, pieces) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            for chunk in pattern(BYTES) {
                sender.send(chunk).await.unwrap();
            }
        });
        let uploading = visitor.script(Method::POST, "/upload").stream(pieces);
        assert_eq!(uploading.open_within(long).await.status(), 200);
        assert_eq!(upstream.last().bytes, BYTES);
        let mut download = visitor
            .script(Method::GET, &format!("/download/{BYTES}"))
            .open()
            .await
            .into_body();
        let mut read = 0;
        while let Some(frame) = soon("a piece", download.frame()).await {
            read += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(read, BYTES);
        let grown = peak(&house).saturating_sub(before);
        assert!(grown < ROOM, "{protocol}: {} MiB more", grown >> 20);
    }
}
