//! The connection before it turns to TLS, read one line at a time. Separate because it is all that
//! stands between STARTTLS and an attacker who answers ahead.
//!
//! Whoever can write into the clear part of the conversation could send further answers right behind
//! the one to STARTTLS. A reader that has taken them in already would believe, once TLS is up, that
//! they came through it (CVE-2011-0411 and its successors on the client side). Here no read returns
//! more than one line, so what was sent ahead stays behind and is handed to the TLS handshake, which
//! fails on it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP connection that hands out at most one line for each read.
#[derive(Debug)]
pub(super) struct ClearText {
    stream: TcpStream,
    ahead: Box<[u8; 1024]>,
    start: usize,
    end: usize,
}

impl ClearText {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: Box::new([0; 1024]),
            start: 0,
            end: 0,
        }
    }
}

impl AsyncRead for ClearText {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            let mut fresh = ReadBuf::new(&mut this.ahead[..]);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut fresh))?;
            (this.start, this.end) = (0, fresh.filled().len());
        }
        let ahead = &this.ahead[this.start..this.end];
        let line = ahead
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(ahead.len(), |at| at + 1);
        let taken = line.min(out.remaining());
        out.put_slice(&ahead[..taken]);
        this.start += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClearText {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for ClearText {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_read_never_goes_beyond_the_end_of_a_line() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut client = ClearText::new(listener.accept().await.unwrap().0);
        server.write_all(b"220 one\r\n250 two\r\nrest").await.unwrap();
        server.shutdown().await.unwrap();
        let mut buffer = [0; 64];
        let mut reads = Vec::new();
        loop {
            match client.read(&mut buffer).await.unwrap() {
                0 => break,
                n => reads.push(String::from_utf8(buffer[..n].to_vec()).unwrap()),
            }
        }
        assert_eq!(reads[..2], ["220 one\r\n", "250 two\r\n"]);
        assert_eq!(reads[2..].concat(), "rest");
    }
}
