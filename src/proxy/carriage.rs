//! A WebSocket under way: bytes both ways until either side or the session ends.
//!
//! A task of its own carries it, which is small: most are open for hours and say little. What it began with, the request
//! and all that Pingora keeps for one, is gone by then.

use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::telemetry::metrics::Outcome;

use super::access_line::AccessLine;
use super::closing::FrameEdge;
use super::connections::OpenConnection;
use super::measure::Measures;
use super::pulse::Pulse;
use super::requests::UnderWay;
use super::streams::{Ending, Leash};
use super::upstream::Seat;

/// Bytes carried at once in one direction, while there is much to carry.
const PIECE: usize = 8 << 10;

/// Bytes carried at once otherwise.
const SIP: usize = 1 << 10;

/// The most a side may take to accept the next piece.
const PATIENCE: Duration = Duration::from_mins(1);

/// When one side has ended, what the other still has to say may take this long.
const LINGER: Duration = Duration::from_secs(5);

/// A client that does not read is not waited for longer than this when its session has ended.
pub const GOODBYE: Duration = Duration::from_secs(1);

/// One end of it.
pub struct Side<S = Stream> {
    /// The connection.
    pub stream: S,
    /// What has been read from it already.
    pub ahead: Bytes,
}

/// A WebSocket whose client has been sent the `101`, and all that is held for as long as it is open.
pub struct Carriage {
    /// The client.
    pub client: Side,
    /// The server.
    pub upstream: Side,
    /// Ends it with its session.
    pub leash: Leash,
    /// Hears of traffic that counts as use.
    pub pulse: Option<Pulse>,
    /// What the log says in the end.
    pub line: AccessLine<'static>,
    /// Counts it then.
    pub measures: Arc<Measures>,
    /// As this.
    pub outcome: Outcome,
}

/// Where an open WebSocket is counted; dropping it counts it out.
pub struct Counted {
    _connection: Option<OpenConnection>,
    _request: UnderWay,
    _seat: Option<Seat>,
}

impl Counted {
    /// Among the open connections and those of its client; among the requests under way, for which a stop waits; and on the
    /// server it is on.
    pub const fn new(connection: Option<OpenConnection>, request: UnderWay, seat: Option<Seat>) -> Self {
        Self {
            _connection: connection,
            _request: request,
            _seat: seat,
        }
    }
}

impl Carriage {
    /// Carries it from now on, to its end. It is counted until everything else is done.
    pub fn set_off(mut self, counted: Counted) {
        // Nothing is moved out of it while it goes on: what is moved has two places in a task.
        tokio::spawn(async move {
            let (client, upstream) = (&mut self.client, &mut self.upstream);
            carry(client, upstream, self.leash.ending(), self.pulse.as_ref()).await;
            self.measures.websocket_done(self.outcome);
            self.line.write(StatusCode::SWITCHING_PROTOCOLS.as_u16());
            // A task takes along what it names, and nothing else.
            drop(self);
            drop(counted);
        });
    }
}

/// Both directions until one of them ends, and then a little longer; or until the session ends.
async fn carry<C, U>(client: &mut Side<C>, upstream: &mut Side<U>, ending: &Ending, pulse: Option<&Pulse>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (said, answered) = (mem::take(&mut client.ahead), mem::take(&mut upstream.ahead));
    let (mut from_client, mut to_client) = tokio::io::split(&mut client.stream);
    let (mut from_upstream, mut to_upstream) = tokio::io::split(&mut upstream.stream);
    let (mut edge, mut sent) = (FrameEdge::new(), FrameEdge::new());
    let beat = |data| {
        if data && let Some(pulse) = pulse {
            pulse.beat();
        }
    };
    let ended = {
        // What the client sends is followed only where it counts.
        let follow = |bytes: &[u8]| beat(pulse.is_some() && sent.wrote(bytes));
        let mut up = pin!(pump(said, &mut from_client, &mut to_upstream, follow));
        let told = |bytes: &[u8]| beat(edge.wrote(bytes));
        let mut down = pin!(pump(answered, &mut from_upstream, &mut to_client, told));
        let both = async {
            tokio::select! {
                _ = &mut up => { let _ = timeout(LINGER, &mut down).await; }
                _ = &mut down => { let _ = timeout(LINGER, &mut up).await; }
            }
        };
        tokio::select! {
            () = both => false,
            () = ending.token().cancelled() => true,
        }
    };
    if ended
        && edge.is_edge()
        && let Some(farewell) = ending.farewell()
    {
        let _ = timeout(GOODBYE, to_client.write_all(&farewell.frame())).await;
    }
    let _ = timeout(GOODBYE, to_client.shutdown()).await;
    let _ = timeout(GOODBYE, to_upstream.shutdown()).await;
}

/// Carries one direction to its end, after what was read `ahead`; `wrote` hears of every byte that went out, also when this
/// is dropped half way.
async fn pump<R, W>(ahead: Bytes, from: &mut R, to: &mut W, mut wrote: impl FnMut(&[u8])) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    if !ahead.is_empty() {
        hand_on(&ahead, to, &mut wrote).await?;
    }
    drop(ahead);
    let mut buffer = Vec::new();
    loop {
        // A side that broke off says nothing more either: the other one hears of that now, and not when it has lingered.
        let read = take_up(from, &mut buffer).await.unwrap_or(0);
        let piece = buffer.get(..read).unwrap_or_default();
        if piece.is_empty() {
            return timeout(PATIENCE, to.shutdown()).await?;
        }
        hand_on(piece, to, &mut wrote).await?;
        let room = room(buffer.len(), read);
        if room != buffer.len() {
            buffer = vec![0; room];
        }
    }
}

/// Reads what there is. While there is nothing, there is no buffer either: a WebSocket is silent most of the time.
async fn take_up<R: AsyncRead + Unpin>(from: &mut R, buffer: &mut Vec<u8>) -> io::Result<usize> {
    std::future::poll_fn(|cx| {
        if buffer.is_empty() {
            *buffer = vec![0; SIP];
        }
        let mut space = ReadBuf::new(buffer);
        let polled = Pin::new(&mut *from).poll_read(cx, &mut space);
        let read = space.filled().len();
        if polled.is_pending() {
            *buffer = Vec::new();
        }
        polled.map_ok(|()| read)
    })
    .await
}

async fn hand_on<W>(mut piece: &[u8], to: &mut W, wrote: &mut impl FnMut(&[u8])) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    while !piece.is_empty() {
        let written = timeout(PATIENCE, to.write(piece)).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let (out, rest) = piece.split_at(written.min(piece.len()));
        wrote(out);
        piece = rest;
    }
    timeout(PATIENCE, to.flush()).await?
}

/// The next buffer's size, after so many bytes were read into one of this size.
const fn room(size: usize, read: usize) -> usize {
    if read == size {
        PIECE
    } else if read <= SIP {
        SIP
    } else {
        size
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, DuplexStream};

    use super::super::closing::Farewell;
    use super::*;
    use crate::flows::Refusal;

    const fn fresh<S>(stream: S) -> Side<S> {
        Side {
            stream,
            ahead: Bytes::new(),
        }
    }

    async fn carried(mut client: Side<DuplexStream>, mut upstream: Side<DuplexStream>, ending: Ending) {
        carry(&mut client, &mut upstream, &ending, None).await;
    }

    #[tokio::test]
    async fn everything_is_carried_whatever_it_is_cut_into() {
        let sent: Vec<u8> = (0..60_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let (mut client, mut from) = tokio::io::duplex(20_000);
        let (mut to, mut server) = tokio::io::duplex(20_000);
        let mut heard = Vec::new();
        let talking = async {
            for piece in [0..1, 1..SIP, SIP..5000, 5000..5001, 5001..50_000, 50_000..60_000] {
                client.write_all(&sent[piece]).await.unwrap();
            }
            drop(client);
        };
        let mut received = Vec::new();
        let (carried, (), _) = tokio::join!(
            pump(Bytes::new(), &mut from, &mut to, |bytes| heard.extend_from_slice(bytes)),
            talking,
            async { server.read_to_end(&mut received).await.unwrap() },
        );
        carried.unwrap();
        assert!(received == sent && heard == sent);
    }

    #[tokio::test]
    async fn a_silent_socket_holds_no_buffer() {
        let (mut near, mut far) = tokio::io::duplex(PIECE);
        let mut buffer = Vec::new();
        for said in [1, SIP, SIP + 1] {
            near.write_all(&vec![0; said]).await.unwrap();
            let read = take_up(&mut far, &mut buffer).await.unwrap();
            assert_eq!(read, said.min(SIP), "it is asked for a little first");
            buffer = vec![0; PIECE];
            if read < said {
                assert_eq!(take_up(&mut far, &mut buffer).await.unwrap(), said - read);
            }
            let waiting = take_up(&mut far, &mut buffer).now_or_never();
            assert!(waiting.is_none() && buffer.capacity() == 0);
        }
    }

    #[test]
    fn a_socket_that_says_little_holds_little_memory() {
        for (size, read, next) in [
            (SIP, 1, SIP),
            (SIP, SIP, PIECE),
            (PIECE, PIECE, PIECE),
            (PIECE, SIP + 1, PIECE),
            (PIECE, SIP, SIP),
        ] {
            assert_eq!(room(size, read), next, "{read} of {size}");
        }
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_an_end_is_passed_on() {
        let (client, mut browser) = tokio::io::duplex(64);
        let (upstream, mut server) = tokio::io::duplex(64);
        let early = |stream| Side {
            stream,
            ahead: Bytes::from_static(b"early "),
        };
        let carrying = tokio::spawn(carried(early(client), early(upstream), Ending::default()));
        browser.write_all(b"ping").await.unwrap();
        let mut heard = [0; 10];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"early ping");
        server.write_all(b"pong").await.unwrap();
        drop(server);
        let mut said = Vec::new();
        browser.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"early pong");
        drop(browser);
        carrying.await.unwrap();
    }

    /// A connection that was reset.
    struct Reset;

    impl AsyncRead for Reset {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    #[tokio::test]
    async fn a_side_that_breaks_off_has_ended_for_the_other_one() {
        let (mut to, mut server) = tokio::io::duplex(64);
        let carried = pump(Bytes::from_static(b"early"), &mut Reset, &mut to, |_| ()).await;
        carried.unwrap();
        let mut heard = Vec::new();
        let all = server.read_to_end(&mut heard).now_or_never();
        assert!(all.is_some() && heard == b"early", "{heard:?}");
    }

    #[tokio::test]
    async fn a_session_that_ends_is_told_between_two_frames_and_never_within_one() {
        for (frames, goodbye) in [(&[0x82, 2, 1, 2][..], true), (&[0x82, 9, 1, 2][..], false)] {
            let (client, mut browser) = tokio::io::duplex(64);
            let (upstream, mut server) = tokio::io::duplex(64);
            let ending = Ending::default();
            let heard = ending.clone();
            let carrying = tokio::spawn(carried(fresh(client), fresh(upstream), heard));
            server.write_all(frames).await.unwrap();
            let mut seen = [0; 4];
            browser.read_exact(&mut seen).await.unwrap();
            assert_eq!(seen, frames);
            let farewell = Farewell::without_session(Some(Refusal::Idle));
            ending.end(farewell);
            let mut rest = Vec::new();
            browser.read_to_end(&mut rest).await.unwrap();
            let expected = if goodbye { farewell.frame() } else { Vec::new() };
            assert_eq!(rest, expected);
            carrying.await.unwrap();
        }
    }
}
