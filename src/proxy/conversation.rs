//! A connection of HTTP/1.1, from request to request.
//!
//! Pingora would wait for the next request with all the state that a request needs. Most connections wait most of the
//! time, so here they wait with nothing, and that state is made when the first bytes of a head are there.

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
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;

use super::gateway::Gateway;

/// Bytes of a head that are read at once, as Pingora does.
const PIECE: usize = 4 << 10;

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
    async fn whoever_goes_away_says_nothing() {
        let (client, near) = tokio::io::duplex(64);
        let mut stream: Stream = Box::new(near);
        drop(client);
        assert!(first_bytes(&mut stream).await.unwrap().is_empty());
    }
}
