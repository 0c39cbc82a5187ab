//! What the fuzz target `proxy` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sekisho::proxy::read_proxy_header;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header that is taken, of whatever version.
const LONGEST: usize = 4096;

/// Whatever a connection from a proxy begins with: a header is read or the connection refused, nothing of what follows
/// is lost, and it makes no difference in which pieces it comes.
pub fn proxy(bytes: &[u8]) {
    let whole = said(bytes, bytes);
    if let Some((_, after)) = &whole {
        assert!(bytes.ends_with(after), "what follows is not what was sent");
        assert!(
            bytes.len() - after.len() <= LONGEST,
            "more was taken for a header than is one"
        );
        assert!(bytes.len() > after.len(), "nothing was taken for a header");
    }
    for cut in [1, 6, 12, 16, bytes.len() / 2] {
        if let (Some(first), Some(second)) = (bytes.get(..cut), bytes.get(cut..))
            && !first.is_empty()
            && !second.is_empty()
        {
            assert_eq!(said(first.chain(second), bytes), whole, "in two pieces it is another");
        }
    }
}

/// The client, and what follows the header.
fn said(mut socket: impl AsyncRead + Unpin, sent: &[u8]) -> Option<(Option<SocketAddr>, Vec<u8>)> {
    let said = ready(read_proxy_header(&mut socket)).ok()?;
    let mut after = said.rest;
    ready(socket.read_to_end(&mut after)).expect("memory can be read");
    assert!(after.len() <= sent.len(), "more follows than was sent");
    Some((said.client, after))
}

/// What needs no waiting: all is in memory.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for more than there is"),
    }
}
