//! Hostile HTTP/2, frame by frame: floods of what costs a client nothing, readers that take nothing, and fields that mean
//! something else one protocol further on.

use std::time::{Duration, Instant};

use rstest::rstest;

use super::Scene;
use crate::harness::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, Frames, GOAWAY, HEADERS, PING, PREFACE,
    PRIORITY, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
};
use crate::harness::{IN, SOON, eventually};

const SAID: Duration = Duration::from_secs(5);
/// How many bytes the gateway's memory may grow by a flood.
const FLOOD: u64 = 32 << 20;

impl Scene {
    /// A connection of the signed-in person.
    pub(super) async fn frames(&self) -> Frames {
        Frames::open(&self.visitor, &[]).await
    }

    fn session(&self) -> &str {
        self.cookie.trim().trim_start_matches("Cookie: ")
    }

    /// The fields of a request with a session, and these.
    pub(super) fn fields<'a>(&'a self, path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<u8> {
        let mut fields = vec![
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", IN),
            (":path", path),
            ("cookie", self.session()),
        ];
        fields.extend(more);
        block(&fields)
    }

    /// A whole request without a body.
    fn get(&self, stream: u32, path: &str) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &self.fields(path, &[]))
    }

    /// How many bytes the gateway holds.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.house.gateway.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib << 10
    }

    /// So many clients at least are counted for breaking the protocol in this way.
    async fn counts(&self, kind: &str, least: u64) {
        let series = format!("sekisho_protocol_breaches_total{{kind=\"{kind}\"}}");
        eventually(&series, async || (self.metric(&series).await >= least).then_some(())).await;
    }

    /// Others are served, and what a flood made has gone.
    async fn stands(&self, before: u64, what: &str) {
        assert!(self.visitor.passes().await, "others are served after {what}");
        let grown = self.memory().saturating_sub(before);
        assert!(grown < FLOOD, "{what} costs {} KiB", grown >> 10);
    }
}

/// One field, so many times.
fn many<'a>(field: (&'a str, &'a str), count: usize) -> Vec<(&'a str, &'a str)> {
    std::iter::repeat_n(field, count).collect()
}

fn error_of(heard: &[Frame], kind: u8) -> Option<u32> {
    heard.iter().rev().find(|frame| frame.kind == kind)?.error()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_request_in_frames_passes() {
    let scene = Scene::set("").await;
    let mut frames = scene.frames().await;
    frames.say(scene.get(1, "/sound")).await;
    let heard = frames.until(SAID, |frame| frame.status().is_some()).await;
    assert_eq!(heard.last().and_then(Frame::status), Some(200), "{heard:?}");
    assert_eq!(scene.house.upstream.last().target, "/sound");
    // The reader of statuses knows those that are not in its table as well.
    frames
        .say(frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            3,
            &block(&[
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", IN),
                (":path", "/x"),
            ]),
        ))
        .await;
    let heard = frames.until(SAID, |frame| frame.status().is_some()).await;
    assert_eq!(heard.last().and_then(Frame::status), Some(401), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_as_soon_as_they_begin_end_the_connection() {
    let scene = Scene::set("").await;
    let before = (scene.house.upstream.count(), scene.memory());
    let mut frames = scene.frames().await;
    let mut burst = Vec::new();
    for number in 0..2_000 {
        let stream = 2 * number + 1;
        burst.extend(scene.get(stream, "/reset"));
        burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    frames.say(burst).await;
    let heard = frames.until(SOON, |frame| frame.kind == GOAWAY).await;
    assert_eq!(error_of(&heard, GOAWAY), Some(ENHANCE_YOUR_CALM), "{:?}", heard.last());
    assert!(frames.closes_within(SOON).await);
    let reached = scene.house.upstream.count() - before.0;
    assert!(reached < 200, "{reached} of 2000 reset requests reached the upstream");
    scene.counts("http2-flood", 1).await;
    scene.stands(before.1, "a rapid reset").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_an_end_is_cut_whatever_its_pieces() {
    let scene = Scene::set("").await;
    let before = (scene.house.upstream.count(), scene.memory());
    for piece in [block(&[("x", &"a".repeat(16_000))]), block(&[("x", "a")]), Vec::new()] {
        let mut frames = scene.frames().await;
        frames
            .say(frame(HEADERS, END_STREAM, 1, &scene.fields("/x", &[])))
            .await;
        let more = frame(CONTINUATION, 0, 1, &piece);
        let batch = more.repeat((256 << 10) / more.len() + 1);
        let mut sent = 0;
        while sent < (64 << 20) && frames.say(&batch).await {
            sent += batch.len();
        }
        assert!(
            sent < (64 << 20),
            "{sent} bytes of a head are taken in pieces of {}",
            piece.len()
        );
    }
    assert_eq!(scene.house.upstream.count(), before.0);
    scene.counts("http2-flood", 1).await;
    scene.stands(before.1, "a flood of CONTINUATION").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_drop_by_drop_holds_its_connection_no_longer_than_idleness_does() {
    let scene = Scene::set("[server]\nheader_timeout = \"1s\"\nidle_timeout = \"2s\"").await;
    for start in [
        Vec::new(),
        PREFACE[..10].to_vec(),
        [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat(),
        [
            PREFACE,
            &frame(SETTINGS, 0, 0, &[]),
            &frame(HEADERS, END_STREAM, 1, &scene.fields("/x", &[])),
        ]
        .concat(),
    ] {
        let mut frames = Frames::silent(&scene.visitor).await;
        frames.say(&start).await;
        let begun = Instant::now();
        while begun.elapsed() < SOON {
            if frames.closes_within(Duration::from_millis(200)).await {
                break;
            }
            if start.len() > PREFACE.len() {
                // Neither pings nor pieces of a head are requests.
                let piece = frame(CONTINUATION, 0, 1, &[]);
                let ping = frame(PING, 0, 0, &[0; 8]);
                frames.say(if start.len() > 64 { piece } else { ping }).await;
            }
        }
        assert!(begun.elapsed() < SOON, "held after {} bytes", start.len());
    }
    assert!(scene.visitor.passes().await);
}

#[rstest]
#[case::settings("SETTINGS", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]))]
#[case::pings("PING", frame(PING, 0, 0, &[7; 8]))]
#[case::acknowledgements("acknowledged PING", frame(PING, ACK, 0, &[7; 8]))]
#[case::priorities("PRIORITY", frame(PRIORITY, 0, 1_001, &[0, 0, 0, 0, 16]))]
#[case::windows("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))]
#[case::unknown("unknown frames", frame(0x77, 0, 0, &[0; 16]))]
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_frames_that_ask_for_nothing_costs_no_memory(#[case] what: &str, #[case] one: Vec<u8>) {
    let scene = Scene::set("").await;
    let before = scene.memory();
    let mut frames = scene.frames().await;
    let batch = one.repeat(2_000);
    let mut taken = 0;
    // Nothing is read meanwhile: what the gateway has to say in return must not pile up.
    for _ in 0..100 {
        match tokio::time::timeout(Duration::from_secs(2), frames.say(&batch)).await {
            Ok(true) => taken += 2_000,
            Ok(false) | Err(_) => break,
        }
    }
    assert!(
        taken > 0 || frames.closes_within(SOON).await,
        "{what}: neither taken nor refused"
    );
    scene.stands(before, &format!("{taken} {what}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_end_the_connection() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    let head = scene.fields("/x", &[]);
    let opened = frame(HEADERS, END_HEADERS, 1, &head);
    for (what, bytes) in [
        ("DATA without a request", frame(DATA, 0, 1, b"x")),
        ("DATA of no stream", frame(DATA, 0, 0, b"x")),
        ("a request of an even number", scene.get(2, "/x")),
        (
            "a request of no stream",
            frame(HEADERS, END_HEADERS | END_STREAM, 0, &head),
        ),
        (
            "a smaller number after a larger",
            [scene.get(5, "/x"), scene.get(3, "/x")].concat(),
        ),
        (
            "CONTINUATION without HEADERS",
            frame(CONTINUATION, END_HEADERS, 1, &head),
        ),
        (
            "another frame within a head",
            [frame(HEADERS, 0, 1, &head), frame(PING, 0, 0, &[0; 8])].concat(),
        ),
        (
            "another stream's CONTINUATION",
            [frame(HEADERS, 0, 1, &head), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
        ),
        (
            "PUSH_PROMISE of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
        ),
        ("SETTINGS of an odd length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("SETTINGS of a stream", frame(SETTINGS, 0, 1, &[])),
        (
            "SETTINGS with a window that is none",
            frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "SETTINGS with a frame size that is none",
            frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]),
        ),
        ("PING of an odd length", frame(PING, 0, 0, &[0; 7])),
        ("WINDOW_UPDATE by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        (
            "a window beyond all bounds",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2),
        ),
        ("a reset of what never began", frame(RST_STREAM, 0, 9, &[0; 4])),
        ("PRIORITY of no stream", frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 1])),
        ("padding longer than the frame", frame(DATA, 8, 1, &[200, 1, 2])),
        (
            "a field from no table",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0x7f]),
        ),
        (
            "an integer without an end",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 64]),
        ),
        (
            "a table larger than allowed",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x3f, 0xff, 0xff, 0x7f]),
        ),
        ("a frame larger than allowed", frame(DATA, 0, 1, &[0; 1_000].repeat(20))),
    ] {
        let mut frames = scene.frames().await;
        frames.say(&bytes).await;
        let heard = frames
            .until(SAID, |frame| matches!(frame.kind, GOAWAY | RST_STREAM))
            .await;
        assert!(
            heard.iter().any(|frame| frame.error().is_some_and(|error| error != 0)) || frames.closes_within(SAID).await,
            "{what} is taken: {heard:?}"
        );
    }
    // One that is open is not harmed by the padding of another, and is cut by what belongs to no protocol at all.
    let mut frames = scene.frames().await;
    frames
        .say([opened.as_slice(), b"GET / HTTP/1.1\r\n\r\n"].concat())
        .await;
    assert!(frames.closes_within(SOON).await, "text amid frames");
    assert!(scene.visitor.passes().await);
    assert!(
        scene.house.upstream.count() <= before + 2,
        "only what was sound may have passed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_would_mean_something_else_to_http1_reach_nobody() {
    let scene = Scene::set("").await;
    let before = scene.house.upstream.count();
    let session = scene.session().to_owned();
    let sound = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", IN),
        (":path", "/x"),
        ("cookie", session.as_str()),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let mut fields = sound.to_vec();
        fields.extend(more);
        block(&fields)
    };
    let instead = |name: &str, value: Option<&'static str>| {
        let fields: Vec<_> = sound
            .iter()
            .filter_map(|(known, was)| {
                if *known == name {
                    Some((*known, value?))
                } else {
                    Some((*known, *was))
                }
            })
            .collect();
        block(&fields)
    };
    for (what, head) in [
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("transfer_encoding", with(&[("transfer_encoding", "chunked")])),
        ("connection", with(&[("connection", "x-sekisho-assertion")])),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("upgrade", with(&[("upgrade", "h2c")])),
        ("te", with(&[("te", "gzip")])),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "0")])),
        ("an odd length", with(&[("content-length", "+0")])),
        ("a length that is not met", with(&[("content-length", "5")])),
        ("another host", with(&[("host", "out.test")])),
        ("a name in capitals", with(&[("X-Upper", "1")])),
        ("a blank in a name", with(&[("x y", "1")])),
        ("a colon in a name", with(&[("x:y", "1")])),
        ("a line end in a value", with(&[("x", "1\r\nx-sekisho-assertion: y")])),
        ("a line feed in a value", with(&[("x", "1\n2")])),
        ("a NUL in a value", with(&[("x", "1\0")])),
        ("an empty name", with(&[("", "1")])),
        ("a second path", with(&[(":path", "/y")])),
        ("an unknown pseudo field", with(&[(":secret", "1")])),
        ("a status", with(&[(":status", "200")])),
        ("a protocol", with(&[(":protocol", "websocket")])),
        ("no path", instead(":path", None)),
        ("an empty path", instead(":path", Some(""))),
        ("a path without a slash", instead(":path", Some("x"))),
        ("a star", instead(":path", Some("*"))),
        (
            "a path with a line in it",
            instead(":path", Some("/x HTTP/1.1\r\nX: y")),
        ),
        ("a path with a blank in it", instead(":path", Some("/x y"))),
        ("dot segments", instead(":path", Some("/a/../x"))),
        ("a near miss", instead(":path", Some("/Login"))),
        ("no method", instead(":method", None)),
        ("an empty method", instead(":method", Some(""))),
        (
            "a method with a line in it",
            instead(":method", Some("GET /y HTTP/1.1\r\nX: y")),
        ),
        ("TRACE", instead(":method", Some("TRACE"))),
        ("CONNECT", instead(":method", Some("CONNECT"))),
        ("a method of nobody", instead(":method", Some("get"))),
        ("no host", instead(":authority", None)),
        ("a host of nobody", instead(":authority", Some("evil.example"))),
        (
            "a host with a user",
            instead(":authority", Some("in.test@evil.example")),
        ),
        ("a host with a path", instead(":authority", Some("in.test/x"))),
        (
            "a host with a line in it",
            instead(":authority", Some("in.test\r\nX: y")),
        ),
        ("no scheme", instead(":scheme", None)),
    ] {
        let mut frames = scene.frames().await;
        frames.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
        let wanted = |frame: &Frame| frame.status().is_some() || frame.error().is_some();
        let heard = frames.until(SAID, wanted).await;
        let last = heard.iter().find(|frame| wanted(frame));
        let refused = last.is_none_or(|frame| {
            frame.error().is_some() || frame.status().is_some_and(|status| (400..500).contains(&status))
        });
        assert!(refused, "{what} is answered {last:?}");
        assert_eq!(scene.house.upstream.count(), before, "{what} reached the upstream");
    }
    assert!(scene.visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_takes_no_part_in_where_a_request_goes() {
    let scene = Scene::set("[access]\nrules = [\"deny /shut/*\", \"public /open/*\"]").await;
    // What reads HTTP/2 cuts it off before anybody could refuse it; one reading is judged and forwarded.
    for (path, status) in [("/x#/shut/y", 200), ("/shut/x#/open/y", 403), ("/shut/#", 403)] {
        let mut frames = scene.frames().await;
        frames.say(scene.get(1, path)).await;
        let heard = frames.until(SAID, |frame| frame.status().is_some()).await;
        assert_eq!(heard.last().and_then(Frame::status), Some(status), "{path}: {heard:?}");
    }
    assert_eq!(scene.house.upstream.last().target, "/x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_as_long_as_it_was_said_to_be_is_no_request() {
    let scene = Scene::set("").await;
    for (said, body) in [("3", &b"12345"[..]), ("5", b"123"), ("0", b"1")] {
        let mut frames = scene.frames().await;
        let mut head = scene.fields("/lengths", &[("content-length", said)]);
        // The method comes first, spelled out.
        let method = block(&[(":method", "GET")]).len();
        head.splice(..method, block(&[(":method", "POST")]));
        let whole = [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, END_STREAM, 1, body)];
        frames.say(whole.concat()).await;
        let wanted = |frame: &Frame| frame.status().is_some() || frame.error().is_some();
        let heard = frames.until(SAID, wanted).await;
        assert_ne!(
            heard.last().and_then(Frame::status),
            Some(200),
            "{said} for {body:?}: {heard:?}"
        );
    }
    let taken = scene.house.upstream.received();
    let odd = taken
        .iter()
        .filter(|request| request.target == "/lengths")
        .map(|request| request.bytes);
    assert!(odd.max().unwrap_or(0) <= 3, "no more than was said: {taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_has_no_more_streams_than_it_is_told() {
    let scene = Scene::set("[server]\nmax_streams_per_connection = 4").await;
    let mut frames = scene.frames().await;
    let settings = frames
        .until(SAID, |frame| frame.kind == SETTINGS && frame.flags & ACK == 0)
        .await;
    let settings = &settings.last().unwrap().payload;
    assert!(
        settings.chunks(6).any(|one| one == [0, 3, 0, 0, 0, 4]),
        "it is told: {settings:?}"
    );
    let streams: Vec<u8> = (0..5).flat_map(|number| scene.get(2 * number + 1, "/slow")).collect();
    frames.say(streams).await;
    let heard = frames.until(SAID, |frame| frame.error().is_some()).await;
    let last = heard.last().unwrap();
    assert_eq!(
        (last.kind, last.stream, last.error()),
        (RST_STREAM, 9, Some(REFUSED_STREAM)),
        "{heard:?}"
    );
    scene.counts("http2-streams", 1).await;
    let slow = || {
        scene
            .house
            .upstream
            .received()
            .iter()
            .filter(|request| request.target == "/slow")
            .count()
    };
    eventually("the four to be on their way", async || (slow() == 4).then_some(())).await;
    // A new one takes the place of one that has ended.
    frames.say(frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
    frames.say(scene.get(11, "/x")).await;
    let heard = frames
        .until(SAID, |frame| frame.stream == 11 && frame.status().is_some())
        .await;
    assert_eq!(heard.last().and_then(Frame::status), Some(200), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_fields_than_a_head_may_have_are_refused() {
    let scene = Scene::set("[server]\nmax_header_fields = 20").await;
    let before = scene.house.upstream.count();
    for (fields, status) in [(10, 200), (30, 431)] {
        let mut frames = scene.frames().await;
        let head = scene.fields("/x", &many(("x", "a"), fields));
        frames.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
        let heard = frames.until(SAID, |frame| frame.status().is_some()).await;
        assert_eq!(
            heard.last().and_then(Frame::status),
            Some(status),
            "{fields}: {heard:?}"
        );
    }
    // Crumbs of cookies are fields too.
    let mut frames = scene.frames().await;
    let head = scene.fields("/x", &many(("cookie", "a=1"), 90));
    frames.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await;
    let heard = frames.until(SAID, |frame| frame.status().is_some()).await;
    assert_eq!(heard.last().and_then(Frame::status), Some(431), "{heard:?}");
    // More than a whole connection may hold is not even read.
    let mut frames = scene.frames().await;
    let head = scene.fields("/x", &many(("x", "aaaaaaaaaaaaaaa"), 2_000));
    let mut pieces = head.chunks(16_000);
    let first = frame(HEADERS, END_STREAM, 1, pieces.next().unwrap());
    let rest: Vec<u8> = pieces.flat_map(|piece| frame(CONTINUATION, 0, 1, piece)).collect();
    frames
        .say([first, rest, frame(CONTINUATION, END_HEADERS, 1, &[])].concat())
        .await;
    let heard = frames
        .until(SAID, |frame| frame.status().is_some() || frame.error().is_some())
        .await;
    let last = heard.last();
    assert!(
        last.is_none_or(|frame| frame.status() == Some(431) || frame.error().is_some()),
        "{heard:?}"
    );
    assert_eq!(scene.house.upstream.count(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answer_is_cut_and_the_upstream_is_let_go() {
    let scene = Scene::set("[server]\nwrite_timeout = \"1s\"\nidle_timeout = \"2s\"").await;
    // A window of nothing, and one that is never opened again.
    for window in [0_u32, 65_535] {
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        let mut frames = Frames::open(&scene.visitor, &settings).await;
        frames.say(scene.get(1, "/download/50000000")).await;
        let heard = frames
            .until(SOON, |frame| frame.kind == RST_STREAM || frame.kind == GOAWAY)
            .await;
        assert!(
            heard.iter().any(|frame| frame.error().is_some()),
            "a window of {window}: {:?}",
            heard.last()
        );
        assert!(frames.closes_within(SOON).await, "nothing is asked for any more");
    }
    // Without HTTP/2 there is no window but that of the socket.
    let mut raw = scene.visitor.raw().await;
    raw.say(format!(
        "GET /download/50000000 HTTP/1.1\r\nHost: {IN}\r\n{}\r\n",
        scene.cookie
    ))
    .await;
    eventually("three to be cut", async || {
        (scene.metric("sekisho_slow_clients_total{at=\"answer\"}").await == 3).then_some(())
    })
    .await;
    let heard = raw.hear().await;
    assert!(heard.closed && heard.text.len() < 50_000_000, "it ends early");
    assert!(scene.visitor.passes().await);
}
