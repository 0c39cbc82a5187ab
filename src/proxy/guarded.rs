//! A connection with a deadline for whole request heads and one for the pause between two requests, and an end when the
//! session of its stream ends. It holds its place among the open ones. A WebSocket takes both over.
//!
//! Pingora's time limit is per read, so a client that sends a byte a minute holds a connection for
//! hours. This wrapper counts from the first byte of a head to its end. Pingora also sets a timer anew for each pause
//! between requests, which costs more than judging one; here there is one timer for the connection, which is left alone
//! until it fires or would be late. And what Pingora itself answers to bytes that are no head names the program; nobody
//! else is asked about that, so it is put into our words here.
//!
//! What is written waits for what is written next, see [`gather`](super::gather), until it is flushed; at the latest until
//! the connection is read from, which is what Pingora does while it waits for more of an answer.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::telemetry::metrics::Breach;

use super::breach::Outgoing;
use super::connections::OpenConnection;
use super::gather::Gathered;
use super::streams::Ending;

/// Between two requests: the next byte starts a head.
const WAITING: u8 = 0;
/// Within a head.
const HEAD: u8 = 1;
/// The head is complete: bodies have their own time limits.
const BODY: u8 = 2;

/// How much longer than Pingora waits for a client to take the next piece of a body. Where it waits as well, it comes first.
const SPARE: Duration = Duration::from_secs(1);

/// Bytes of the HTTP/2 preface; after it HTTP/2's own limits take over.
const H2_PREFACE_BYTES: usize = 24;

/// The answer to what is no head of a request.
const NO_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n";

/// The connection.
pub struct Guarded {
    inner: Stream,
    gathered: Gathered,
    /// Whether anything was written since all had gone out.
    is_owed: bool,
    phase: AtomicU8,
    /// A phase, and when it must be over.
    due: Option<(u8, Instant)>,
    /// Fires when the phase must be over, or before.
    alarm: Pin<Box<Sleep>>,
    limits: Limits,
    /// Counts clients that were too slow, this one once.
    slow: Option<Slow>,
    /// When the client must have taken what is being written, while it does not.
    untaken: Option<Instant>,
    /// Whose certificate the client holds.
    digest: Option<Arc<SslDigest>>,
    /// Bytes of the HTTP/2 preface still expected; 0 on HTTP/1.
    preface_left: usize,
    /// Follows what HTTP/2 says to its client; on HTTP/1 nothing has to be followed.
    outgoing: Option<Box<Outgoing>>,
    /// What is left to write of [`NO_REQUEST`], once that is being written in the place of Pingora's answer.
    refusal: Option<&'static [u8]>,
    /// Counts it among the open connections.
    place: Option<OpenConnection>,
    /// Set once there is an order.
    has_order: AtomicBool,
    order: Mutex<Order>,
}

/// A connection that was given away.
pub struct Released {
    /// The connection itself, without deadlines.
    pub stream: Stream,
    /// Counts it among the open ones for as long as it is held.
    pub place: Option<OpenConnection>,
}

/// How long a phase may last.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A whole request head.
    pub head: Duration,
    /// The pause between two requests.
    pub pause: Duration,
    /// The client's taking the next piece of an answer. HTTP/2 sees to that for each stream.
    pub answer: Duration,
}

/// Where clients are counted that are too slow.
#[derive(Clone, Debug, Default)]
pub struct Slow {
    /// With the head of a request.
    pub head: Counter,
    /// In taking an answer.
    pub answer: Counter,
}

/// What becomes of the connection beyond its present request.
enum Order {
    /// Nothing else.
    Nothing,
    /// It carries a stream, which ends with its session.
    End(Pin<Box<WaitForCancellationFutureOwned>>),
    /// At the next read it gives itself away, and looks closed from then on.
    Release,
    /// Given away.
    Released(Option<Released>),
}

impl Guarded {
    /// A fresh connection, whose first head is due at once.
    pub fn new(inner: Stream, limits: Limits, slow: Slow) -> Self {
        let due = Instant::now() + limits.head;
        let preface_left = match inner.selected_alpn_proto() {
            Some(ALPN::H2) => H2_PREFACE_BYTES,
            _ => 0,
        };
        Self {
            digest: None,
            inner,
            gathered: Gathered::default(),
            is_owed: false,
            phase: AtomicU8::new(HEAD),
            due: Some((HEAD, due)),
            alarm: Box::pin(tokio::time::sleep_until(due)),
            limits,
            slow: Some(slow),
            untaken: None,
            preface_left,
            outgoing: (preface_left > 0).then(Box::default),
            refusal: None,
            place: None,
            has_order: AtomicBool::new(false),
            order: Mutex::new(Order::Nothing),
        }
    }

    /// The client has proved to hold this certificate. All that a request over HTTP/2 sees of its connection is this digest.
    pub fn held_by(mut self, holder: Option<SslDigest>) -> Self {
        self.digest = holder.map(Arc::new);
        self
    }

    /// Counted among the open connections until it is closed.
    pub fn counted(mut self, place: OpenConnection) -> Self {
        self.place = Some(place);
        self
    }

    /// From now on the connection carries one stream, which ends when `ending` says so.
    pub fn bind(stream: &Stream, ending: &Ending) {
        Self::order(stream, Order::End(Box::pin(ending.token().clone().cancelled_owned())));
    }

    /// The connection gives itself away at the next read.
    pub fn release(stream: &Stream) {
        Self::order(stream, Order::Release);
    }

    /// The connection that was given away, once.
    pub fn released(stream: &Stream) -> Option<Released> {
        let guarded = (**stream).as_any().downcast_ref::<Self>()?;
        match &mut *guarded.order.lock() {
            Order::Released(connection) => connection.take(),
            _ => None,
        }
    }

    fn order(stream: &Stream, order: Order) {
        if let Some(guarded) = (**stream).as_any().downcast_ref::<Self>() {
            *guarded.order.lock() = order;
            guarded.has_order.store(true, Ordering::Release);
        }
    }

    /// The head of the current request is complete.
    pub fn head_done(stream: &Stream) {
        Self::set(stream, BODY);
    }

    /// The current request is over.
    pub fn request_done(stream: &Stream) {
        Self::set(stream, WAITING);
    }

    fn set(stream: &Stream, phase: u8) {
        if let Some(guarded) = (**stream).as_any().downcast_ref::<Self>() {
            guarded.phase.store(phase, Ordering::Relaxed);
        }
    }

    /// Whether the stream's session has ended.
    fn has_ended(&mut self, cx: &mut Context<'_>) -> bool {
        self.has_order.load(Ordering::Acquire)
            && match self.order.get_mut() {
                Order::End(ended) => ended.as_mut().poll(cx).is_ready(),
                Order::Nothing | Order::Release | Order::Released(_) => false,
            }
    }

    /// Whether the connection has been given away, which happens here when it is due.
    fn is_gone(&mut self) -> bool {
        if !self.has_order.load(Ordering::Acquire) {
            return false;
        }
        match self.order.get_mut() {
            Order::Released(_) => true,
            Order::Release => {
                let (closed, _) = tokio::io::duplex(1);
                *self.order.get_mut() = Order::Released(Some(Released {
                    stream: std::mem::replace(&mut self.inner, Box::new(closed)),
                    place: self.place.take(),
                }));
                true
            }
            Order::Nothing | Order::End(_) => false,
        }
    }

    /// Whether this is an answer to something that we have not seen as a request.
    fn is_unasked(&self, written: &[u8]) -> bool {
        self.refusal.is_some() || (self.phase.load(Ordering::Relaxed) != BODY && written.starts_with(b"HTTP/1."))
    }

    /// Writes all of these pieces, or the first of their bytes.
    fn write(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.has_ended(cx) {
            return Poll::Ready(Err(ended()));
        }
        if self.is_unasked(pieces.first().map_or(&[], |piece| piece)) {
            return self.refuse(cx, pieces.iter().map(|piece| piece.len()).sum());
        }
        self.is_owed = true;
        let written = ready!(self.gathered.poll_write(cx, Pin::new(&mut self.inner), pieces))?;
        self.follow(pieces, written);
        Poll::Ready(Ok(written))
    }

    /// Notes what HTTP/2 has said in the first so many bytes of these pieces.
    fn follow(&mut self, pieces: &[IoSlice<'_>], mut written: usize) {
        let (Some(outgoing), Some(place)) = (&mut self.outgoing, &self.place) else {
            return;
        };
        for piece in pieces {
            let piece = piece.get(..written).unwrap_or(piece);
            outgoing.wrote(piece, |breach| place.breached(breach));
            written -= piece.len();
        }
    }

    /// Lets out whatever has been written. Pingora asks for that several times for an answer.
    fn let_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_ended(cx) {
            return Poll::Ready(Err(ended()));
        }
        if !self.is_owed {
            return Poll::Ready(Ok(()));
        }
        ready!(self.gathered.poll_out(cx, Pin::new(&mut self.inner)))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.is_owed = false;
        self.untaken = None;
        Poll::Ready(Ok(()))
    }

    /// What has come of writing, or an end for a client that takes nothing. Pingora waits for those without a limit where what
    /// it lets out is no body: a head alone, the end of an answer, the goodbye of TLS.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.untaken = None;
            return polled;
        }
        if matches!(self.inner.selected_alpn_proto(), Some(ALPN::H2)) {
            return polled;
        }
        let limit = self.limits.answer + SPARE;
        let due = *self.untaken.get_or_insert_with(|| Instant::now() + limit);
        if !self.is_over(due, cx) {
            return Poll::Pending;
        }
        if let Some(slow) = self.slow.take() {
            slow.answer.inc();
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client took too long to take an answer",
        )))
    }

    /// Writes our own refusal in the place of `written`.
    fn refuse(&mut self, cx: &mut Context<'_>, written: usize) -> Poll<io::Result<usize>> {
        self.is_owed = true;
        ready!(self.gathered.poll_out(cx, Pin::new(&mut self.inner)))?;
        if self.refusal.is_none()
            && let Some(place) = &self.place
        {
            place.breached(Breach::Head);
        }
        let refusal = self.refusal.get_or_insert(NO_REQUEST);
        while !refusal.is_empty() {
            let count = ready!(Pin::new(&mut self.inner).poll_write(cx, refusal))?;
            match refusal.get(count..) {
                Some(rest) if count > 0 => *refusal = rest,
                _ => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            }
        }
        Poll::Ready(Ok(written))
    }

    /// Notes that bytes have come in.
    fn received(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if self.preface_left > 0 {
            self.preface_left = self.preface_left.saturating_sub(bytes);
            if self.preface_left == 0 {
                self.phase.store(BODY, Ordering::Relaxed);
            }
        } else if self.phase.load(Ordering::Relaxed) == WAITING {
            // Most heads are complete by now, and never looked for again.
            self.due = None;
            self.phase.store(HEAD, Ordering::Relaxed);
        }
    }

    /// When this phase must be over, from the first look at it on.
    fn due(&mut self, phase: u8) -> Instant {
        match self.due {
            Some((of, due)) if of == phase => due,
            _ => {
                let limit = if phase == WAITING {
                    self.limits.pause
                } else {
                    self.limits.head
                };
                let due = Instant::now() + limit;
                self.due = Some((phase, due));
                due
            }
        }
    }

    /// The end of a connection whose request did not come in time; one that has only been idle is not counted.
    fn late(&mut self, phase: u8) -> io::Error {
        if let Some(slow) = self.slow.take_if(|_| phase == HEAD) {
            slow.head.inc();
        }
        io::Error::new(io::ErrorKind::TimedOut, "the request took too long to come")
    }

    /// Whether it is as late as this. If not, the task is woken when it is.
    fn is_over(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        if due < self.alarm.deadline() {
            self.alarm.as_mut().reset(due);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return true;
            }
            self.alarm.as_mut().reset(due);
        }
        false
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the session of this stream has ended")
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == HEAD && self.due(HEAD) <= Instant::now() {
            return Poll::Ready(Err(self.late(phase)));
        }
        if self.has_ended(cx) {
            return Poll::Ready(Err(ended()));
        }
        if self.is_owed && self.let_out(cx)?.is_pending() {
            // A client that takes nothing may still send.
        } else if self.is_gone() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() {
            self.received(buf.filled().len() - before);
        } else if phase != BODY {
            let due = self.due(phase);
            if self.is_over(due, cx) {
                return Poll::Ready(Err(self.late(phase)));
            }
        }
        polled
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.write(cx, &[IoSlice::new(buf)]);
        self.in_time(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.write(cx, bufs);
        self.in_time(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.let_out(cx);
        self.in_time(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = if self.is_owed && self.let_out(cx).is_pending() {
            Poll::Pending
        } else {
            Pin::new(&mut self.inner).poll_shutdown(cx)
        };
        self.in_time(cx, polled)
    }
}

#[async_trait]
impl Shutdown for Guarded {
    async fn shutdown(&mut self) {
        // Nobody waits here for a client that takes nothing.
        poll_fn(|cx| {
            let _ = self.let_out(cx);
            Poll::Ready(())
        })
        .await;
        (*self.inner).shutdown().await;
    }
}

impl UniqueID for Guarded {
    fn id(&self) -> UniqueIDType {
        (*self.inner).id()
    }
}

impl Ssl for Guarded {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.digest.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        (*self.inner).selected_alpn_proto()
    }
}

impl GetTimingDigest for Guarded {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        (*self.inner).get_timing_digest()
    }
}

impl GetProxyDigest for Guarded {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        (*self.inner).get_proxy_digest()
    }
}

impl GetSocketDigest for Guarded {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        (*self.inner).get_socket_digest()
    }
}

#[async_trait]
impl Peek for Guarded {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        (*self.inner).try_peek(buf).await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::timeout;

    use super::super::closing::Farewell;
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_hours(1);

    fn connection(head: Duration, pause: Duration) -> (DuplexStream, Guarded) {
        let (client, inner) = tokio::io::duplex(64);
        let limits = Limits {
            head,
            pause,
            answer: SHORT,
        };
        (client, Guarded::new(Box::new(inner), limits, Slow::default()))
    }

    /// As the gateway drives it: a head of one byte, and an answer.
    async fn exchange(client: &mut DuplexStream, guarded: &mut Guarded) {
        client.write_all(b"a").await.unwrap();
        assert_eq!(guarded.read_u8().await.unwrap(), b'a');
        guarded.phase.store(BODY, Ordering::Relaxed);
        guarded.phase.store(WAITING, Ordering::Relaxed);
    }

    fn is_late<T>(read: io::Result<T>) -> bool {
        read.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test]
    async fn a_head_is_due_however_it_dribbles() {
        let (mut client, mut guarded) = connection(SHORT, LONG);
        client.write_all(b"GET").await.unwrap();
        guarded.read_exact(&mut [0; 3]).await.unwrap();
        assert!(is_late(guarded.read_u8().await), "it is waited for");
        client.write_all(b" ").await.unwrap();
        let slow = guarded.slow.take();
        assert!(slow.is_none(), "the client is counted when it was late first");
        assert!(is_late(guarded.read_u8().await), "it is there, but too late");
    }

    #[tokio::test]
    async fn the_head_of_a_later_request_is_due_as_well() {
        let (mut client, mut guarded) = connection(SHORT, LONG);
        exchange(&mut client, &mut guarded).await;
        client.write_all(b"G").await.unwrap();
        guarded.read_u8().await.unwrap();
        assert!(is_late(guarded.read_u8().await));
    }

    #[tokio::test]
    async fn a_pause_between_requests_has_an_end_of_its_own() {
        let (mut client, mut guarded) = connection(LONG, SHORT);
        exchange(&mut client, &mut guarded).await;
        assert!(is_late(guarded.read_u8().await));
        assert!(guarded.slow.is_some(), "who is idle is not slow");
    }

    #[tokio::test]
    async fn an_alarm_that_fires_early_is_none() {
        let (mut client, mut guarded) = connection(SHORT, LONG);
        exchange(&mut client, &mut guarded).await;
        let waited = timeout(2 * SHORT, guarded.read_u8()).await;
        assert!(waited.is_err(), "the pause may last longer than a head");
        exchange(&mut client, &mut guarded).await;
    }

    #[tokio::test]
    async fn what_is_written_waits_for_more_and_at_the_longest_until_more_is_asked_for() {
        let (mut client, mut guarded) = connection(LONG, LONG);
        exchange(&mut client, &mut guarded).await;
        guarded.phase.store(BODY, Ordering::Relaxed);
        guarded.write_all(b"head").await.unwrap();
        assert!(client.read_u8().now_or_never().is_none(), "its body may come at once");
        assert!(guarded.read_u8().now_or_never().is_none());
        let mut head = [0; 4];
        client.read_exact(&mut head).now_or_never().unwrap().unwrap();
        assert_eq!(&head, b"head");
        guarded.write_all(b"body").await.unwrap();
        AsyncWriteExt::shutdown(&mut guarded).await.unwrap();
        let mut body = Vec::new();
        client.read_to_end(&mut body).await.unwrap();
        assert_eq!(body, b"body");
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_not_waited_for_without_end() {
        let (mut client, mut guarded) = connection(LONG, LONG);
        exchange(&mut client, &mut guarded).await;
        guarded.phase.store(BODY, Ordering::Relaxed);
        let slow = guarded.slow.clone().unwrap();
        guarded.write_all(&[b'x'; 65]).await.unwrap();
        assert!(guarded.flush().now_or_never().is_none(), "there is room for 64");
        client.read_exact(&mut [0; 64]).await.unwrap();
        guarded.flush().await.unwrap();
        guarded.write_all(&[b'x'; 64]).await.unwrap();
        for _ in 0..2 {
            let flushed = timeout(10 * SPARE, guarded.flush()).await;
            assert!(is_late(flushed.expect("an end")));
        }
        assert_eq!(slow.answer.get(), 1, "it is counted once");
        assert!(is_late(AsyncWriteExt::shutdown(&mut guarded).await));
    }

    #[tokio::test]
    async fn what_has_not_gone_out_when_a_session_ends_never_does() {
        let (mut client, mut guarded) = connection(LONG, LONG);
        exchange(&mut client, &mut guarded).await;
        let ending = Ending::default();
        let mut stream: Stream = Box::new(guarded);
        Guarded::bind(&stream, &ending);
        stream.write_all(b"said").await.unwrap();
        ending.end(Farewell::RESTART);
        assert!(stream.flush().await.is_err() && stream.write_all(b"more").await.is_err());
        drop(stream);
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty(), "{heard:?}");
    }

    #[tokio::test]
    async fn a_body_may_take_its_time() {
        let (mut client, mut guarded) = connection(SHORT, SHORT);
        exchange(&mut client, &mut guarded).await;
        guarded.phase.store(BODY, Ordering::Relaxed);
        let waited = timeout(2 * SHORT, guarded.read_u8()).await;
        assert!(waited.is_err(), "bodies have their own time limits");
    }
}
