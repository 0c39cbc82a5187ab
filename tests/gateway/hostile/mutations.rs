//! Requests that nobody has thought of: sound ones, changed in a few places by a generator that does the same each time.
//! Nobody is signed in, so nothing may reach the web client; nothing may panic, and nothing may hang.
//!
//! As many as fit into a test run; `SEKISHO_MUTATIONS=1000000` asks for so many of HTTP/1 and a tenth of HTTP/2.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::harness::frames::{Frames, PREFACE, block, frame};
use crate::harness::{House, IN};

/// The longest an answer to anything may take; a body that never comes is waited for as long as the configuration says.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many at a time.
const AT_ONCE: u64 = 8;

/// Sound requests, and some that are only just not.
const SEEDS: &[&str] = &[
    "GET /x HTTP/1.1\r\nHost: in.test\r\nAccept: */*\r\n\r\n",
    "GET /login?return_to=%2Fx HTTP/1.1\r\nHost: in.test\r\nAccept: text/html\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: in.test\r\nContent-Length: 5\r\n\r\nhello",
    "POST /x HTTP/1.1\r\nHost: in.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST /login HTTP/1.1\r\nHost: in.test\r\nOrigin: https://in.test\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "POST /login HTTP/1.1\r\nHost: in.test\r\nOrigin: https://in.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 20\r\n\r\nlogin=101&password=x",
    "GET https://in.test/x HTTP/1.1\r\nHost: in.test\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: in.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://in.test\r\n\r\n",
    "HEAD /.sekisho/session HTTP/1.1\r\nHost: out.test\r\nCookie: __Host-sekisho=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; a=1\r\n\r\n",
    "GET /one HTTP/1.1\r\nHost: in.test\r\n\r\nGET /two HTTP/1.1\r\nHost: in.test\r\nConnection: close\r\n\r\n",
    "OPTIONS /x HTTP/1.1\r\nHost: in.test\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\nExpect: 100-continue\r\n\r\n",
    "PUT /a;b=c//d%2Fe/%E5%86%85?q=1 HTTP/1.0\r\nHost: in.test\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n",
];

/// Pieces that mean something.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    ":",
    ";",
    ",",
    "=",
    "%",
    "%00",
    "%2f",
    "%2e%2e/",
    "/../",
    "//",
    "?",
    "#",
    "*",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Host: in.test\r\n",
    "Host: evil.example\r\n",
    "Connection: close\r\n",
    "Connection: x-sekisho-assertion\r\n",
    "Upgrade: h2c\r\n",
    "Expect: 100-continue\r\n",
    "X-Sekisho-Assertion: x\r\n",
    "X_Sekisho_Assertion: x\r\n",
    "Remote-User: 101\r\n",
    "Cookie: __Host-sekisho=x\r\n",
    "HTTP/1.0",
    "HTTP/2.0",
    "GET ",
    "POST ",
    "CONNECT ",
    "https://",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "-1",
    "\u{fe}\u{ff}",
    "GET /smuggled HTTP/1.1\r\nHost: in.test\r\n\r\n",
];

/// A small generator of numbers (Knuth's MMIX): what is drawn need not be unpredictable, only the same each time.
struct Draw(u64);

impl Draw {
    fn of(number: u64) -> Self {
        let mut draw = Self(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        draw.below(2);
        draw
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    /// Changes bytes in a few places.
    fn mutate(&mut self, bytes: &mut Vec<u8>, pieces: &[&[u8]]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => {
                    let end = (at + 1 + self.below(8)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                3 => {
                    let twice = bytes[at..].to_vec();
                    bytes.extend(twice);
                }
                _ => drop(bytes.splice(at..at, pieces[self.below(pieces.len())].iter().copied())),
            }
            bytes.truncate(8192);
        }
    }
}

/// How many, of what a whole run has.
fn count(otherwise: u64, share: u64) -> u64 {
    let wanted = std::env::var("SEKISHO_MUTATIONS")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    wanted.map_or(otherwise, |wanted| wanted / share)
}

/// A house with a door for plain HTTP, so that a million handshakes need not be made.
async fn house() -> (House, std::path::PathBuf) {
    let house = House::closed("[limits]\nenabled = false\n[log]\nlevel = \"warn\"\n[server]\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\nidle_timeout = \"2s\"").await;
    let socket = house.gateway.home().join("web.sock");
    let places = format!("[server]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]", socket.display());
    house.gateway.configure(&places);
    house.gateway.start().await;
    (house, socket)
}

/// Runs so many tasks at once until all numbers are done.
async fn run<F: Future<Output = ()> + Send + 'static>(count: u64, one: impl Fn(u64) -> F + Send + Sync + 'static) {
    let (next, one) = (Arc::new(AtomicU64::new(0)), Arc::new(one));
    let mut tasks = Vec::new();
    for _ in 0..AT_ONCE {
        let (next, one) = (Arc::clone(&next), Arc::clone(&one));
        tasks.push(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                one(number).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Nothing has panicked, nothing reached the web client, and whoever comes next is served.
async fn stands(house: &House) {
    assert!(house.gateway.ended().is_none(), "it still runs");
    assert!(!house.gateway.printed().contains("panicked"), "something has panicked");
    let reached = house.upstream.received();
    assert!(reached.is_empty(), "reached the web client: {:?}", reached.first());
    assert_eq!(house.visitor().fetch("/x").await.status, 401);
    assert_eq!(house.visitor().get("/login").await.status, 200);
}

/// What comes back for these bytes, after which nothing more is sent.
async fn say(socket: &Path, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut connection = UnixStream::connect(socket).await?;
    // It may be closed before all is said.
    let _ = connection.write_all(bytes).await;
    let _ = connection.shutdown().await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mutation_of_a_request_reaches_the_web_client_panics_or_hangs() {
    let (house, socket) = house().await;
    run(count(3_000, 1), move |number| {
        let socket = socket.clone();
        async move {
            let mut draw = Draw::of(number);
            let mut bytes = SEEDS[draw.below(SEEDS.len())].as_bytes().to_vec();
            let pieces: Vec<&[u8]> = PIECES.iter().map(|piece| piece.as_bytes()).collect();
            draw.mutate(&mut bytes, &pieces);
            let shown = || String::from_utf8_lossy(&bytes).into_owned();
            let heard = tokio::time::timeout(PATIENCE, say(&socket, &bytes)).await;
            let heard = heard.unwrap_or_else(|_| panic!("number {number} hangs: {:?}", shown()));
            let heard = heard.unwrap_or_else(|error| panic!("number {number} was not taken: {error}"));
            let text = String::from_utf8_lossy(&heard);
            assert!(
                !text.contains("HTTP/1.1 500"),
                "number {number}: {:?} is answered {text}",
                shown()
            );
        }
    })
    .await;
    stands(&house).await;
}

/// Frames that a sound conversation is made of.
fn conversation(draw: &mut Draw) -> Vec<Vec<u8>> {
    let request = |method, path| {
        block(&[
            (":method", method),
            (":scheme", "https"),
            (":authority", IN),
            (":path", path),
            ("cookie", "a=1"),
        ])
    };
    let mut frames = vec![frame(4, 0, 0, &[0, 3, 0, 0, 0, 10, 0, 4, 0, 0, 0xff, 0xff])];
    for number in 0..=draw.below(4) {
        let stream = u32::try_from(2 * number + 1).unwrap();
        match draw.below(8) {
            0 => {
                frames.push(frame(1, 4, stream, &request("POST", "/x")));
                frames.push(frame(0, 1, stream, b"body"));
            }
            1 => {
                let head = request("GET", "/login");
                let (first, rest) = head.split_at(head.len() / 2);
                frames.push(frame(1, 1, stream, first));
                frames.push(frame(9, 4, stream, rest));
            }
            2 => frames.push(frame(6, 0, 0, &[1; 8])),
            3 => frames.push(frame(8, 0, 0, &[0, 0, 1, 0])),
            4 => frames.push(frame(3, 0, stream, &[0, 0, 0, 8])),
            5 => frames.push(frame(2, 0, stream, &[0, 0, 0, 0, 9])),
            _ => frames.push(frame(1, 5, stream, &request("GET", "/x"))),
        }
    }
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mutation_of_a_conversation_in_frames_reaches_the_web_client_panics_or_hangs() {
    let (house, _) = house().await;
    let visitor = Arc::new(house.visitor());
    run(count(400, 10), move |number| {
        let visitor = Arc::clone(&visitor);
        async move {
            let mut draw = Draw::of(number);
            let mut conversation = conversation(&mut draw);
            // Frames change places, are said twice or left out; and then bytes change.
            for _ in 0..draw.below(3) {
                let (one, other) = (draw.below(conversation.len()), draw.below(conversation.len()));
                match draw.below(3) {
                    0 => conversation.swap(one, other),
                    1 => conversation.push(conversation[one].clone()),
                    _ if conversation.len() > 1 => drop(conversation.remove(one)),
                    _ => {}
                }
            }
            let mut bytes = conversation.concat();
            if draw.below(4) > 0 {
                let pieces: [&[u8]; 6] = [
                    &[0],
                    &[0xff; 4],
                    &[0, 0, 0, 9, 4],
                    &[0x3f, 0xe1, 0x1f],
                    &[0x82, 0x87],
                    &[0; 9],
                ];
                draw.mutate(&mut bytes, &pieces);
            }
            let mut frames = Frames::silent(&visitor).await;
            frames.say([PREFACE, &bytes].concat()).await;
            frames.finish().await;
            assert!(frames.closes_within(PATIENCE).await, "number {number} hangs: {bytes:?}");
        }
    })
    .await;
    stands(&house).await;
}
