//! A connection of HTTP/1.1, from request to request.
//!
//! Pingora would wait for the next request with all the state that a request needs. Most connections wait most of the
//! time, so here they wait with nothing, and that state is made when a head is there. One that comes drop by drop waits with
//! its own bytes.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::watch;

use super::gateway::Gateway;

/// Bytes of a head that are read at once, as Pingora does. The rest of a longer one is left to Pingora.
const PIECE: usize = 4 << 10;
/// Fields that Pingora reads.
const FIELDS: usize = 256;

/// Answers requests until the connection ends, or `closing` turns true while it waits for one. From the moment that `stop`
/// is true it is closed after its request.
pub async fn hold(
    proxy: &Arc<HttpProxy<Gateway>>,
    mut stream: Stream,
    stop: &watch::Receiver<bool>,
    mut closing: watch::Receiver<bool>,
) {
    loop {
        let begun = tokio::select! {
            biased;
            begun = first_bytes(&mut stream) => begun,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        // Whoever goes away between two requests, or is too slow with the next, is told nothing.
        let Ok(begun) = begun else { return };
        if begun.is_empty() {
            return;
        }
        let begun = gathered(&mut stream, begun).await;
        // Handed on where it is made: what has a name here has its place here, however long the next pause is.
        let Some(reused) = proxy.process_new_http(session(stream, begun), stop).await else {
            return;
        };
        (stream, _) = reused.consume();
    }
}

/// A request that begins like this.
fn session(stream: Stream, begun: BytesMut) -> ServerSession {
    let mut session = ServerSession::new_http1(stream);
    // Without a limit of Pingora's: `Guarded` counts how long a head may take.
    session.set_keepalive(Some(0));
    session.set_pipelined_prefix(begun);
    session
}

/// Waits for bytes; none are the end.
async fn first_bytes(stream: &mut Stream) -> io::Result<BytesMut> {
    std::future::poll_fn(|cx| {
        // On the stack, and read again when something is there: a buffer of its own would wait as long as the connection.
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        let mut begun = BytesMut::with_capacity(PIECE);
        begun.extend_from_slice(read.filled());
        Poll::Ready(Ok(begun))
    })
    .await
}

/// Waits for the rest of a head. Whatever else comes, also that nothing does any more, is for whoever reads it to tell.
async fn gathered(stream: &mut Stream, mut begun: BytesMut) -> BytesMut {
    while begun.len() < PIECE && is_partial(&begun) {
        if !matches!(stream.read_buf(&mut begun).await, Ok(1..)) {
            break;
        }
    }
    begun
}

/// Whether more has to come of a head, as Pingora reads it.
fn is_partial(begun: &[u8]) -> bool {
    // Most heads are whole, and then Pingora alone reads them.
    if begun.ends_with(b"\r\n\r\n") || memchr::memmem::find(begun, b"\r\n\r\n").is_some() {
        return false;
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let read = httparse::Request::new(&mut fields).parse(begun);
    read.is_ok_and(|read| read.is_partial())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_head_is_read_from_what_came_first_and_from_what_comes_then() {
        let (mut client, near) = tokio::io::duplex(64);
        let mut stream: Stream = Box::new(near);
        assert!(first_bytes(&mut stream).now_or_never().is_none(), "it waits");
        client.write_all(b"GET /pie").await.unwrap();
        let begun = first_bytes(&mut stream).await.unwrap();
        assert_eq!(begun, b"GET /pie"[..]);
        client
            .write_all(b"ces HTTP/1.1\r\nHost: in.test\r\n\r\n")
            .await
            .unwrap();
        let mut session = session(stream, begun);
        assert!(session.read_request().await.unwrap());
        assert_eq!(session.req_header().uri.path(), "/pieces");
    }

    #[tokio::test]
    async fn a_head_is_waited_for_with_nothing_but_its_bytes() {
        let (mut client, near) = tokio::io::duplex(2 * PIECE);
        let mut stream: Stream = Box::new(near);
        let drops = ["\r\nGET", " /x HTTP/1.1\r", "\nHost: in.test\r\nX: ", "1\r\n"];
        let mut gathering = Box::pin(gathered(&mut stream, BytesMut::with_capacity(PIECE)));
        for drop in drops {
            client.write_all(drop.as_bytes()).await.unwrap();
            assert!((&mut gathering).now_or_never().is_none(), "{drop:?}");
        }
        client.write_all(b"\r\nGET /y").await.unwrap();
        let whole = gathering.await;
        assert!(whole.starts_with(drops.concat().as_bytes()) && whole.ends_with(b"\r\n\r\nGET /y"));
    }

    #[tokio::test]
    async fn what_is_no_head_and_what_is_too_long_is_not_waited_for() {
        let (client, near) = tokio::io::duplex(64);
        let mut stream: Stream = Box::new(near);
        let long = format!("GET /{}", "x".repeat(PIECE));
        for begun in ["\x16\x03\x01", "GET /x HTTP/1.1\n\n", "GET / FTP/7\r\n", "G\0", &long] {
            let gathered = gathered(&mut stream, BytesMut::from(begun)).now_or_never();
            assert_eq!(gathered.as_deref(), Some(begun.as_bytes()), "{begun:?}");
        }
        drop(client);
        let end = gathered(&mut stream, BytesMut::from("GET /x")).await;
        assert_eq!(end, b"GET /x"[..], "what there will ever be");
    }

    #[tokio::test]
    async fn whoever_goes_away_says_nothing() {
        let (client, near) = tokio::io::duplex(64);
        let mut stream: Stream = Box::new(near);
        drop(client);
        assert!(first_bytes(&mut stream).await.unwrap().is_empty());
    }
}
