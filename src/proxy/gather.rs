//! What is written in pieces goes out in one: a head and its short body, or the frames of several answers, are one record
//! of TLS and one packet.
//!
//! Pingora writes them one after the other and flushes what is complete. Each piece by itself would cost an encryption and
//! a call into the system, which is more than all of the judgement.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

/// As much as a record of TLS carries (RFC 8446 section 5.1). What is longer gains nothing by waiting.
const MOST: usize = 1 << 14;
/// Room that is made at first: for most heads and a short body.
const USUAL: usize = 2 << 10;

/// What was written and has not gone out yet. It holds no memory while that is nothing.
#[derive(Debug, Default)]
pub struct Gathered(BytesMut);

impl Gathered {
    /// Takes these pieces in, or, where they are too much, lets them out behind what waits. Answers how many of their bytes
    /// it has taken.
    pub fn poll_write<W>(
        &mut self,
        cx: &mut Context<'_>,
        mut out: Pin<&mut W>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>
    where
        W: AsyncWrite + ?Sized,
    {
        let more: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.0.len() + more <= MOST {
            self.0.reserve(if self.0.is_empty() { more.max(USUAL) } else { more });
            for piece in pieces {
                self.0.extend_from_slice(piece);
            }
            return Poll::Ready(Ok(more));
        }
        while !self.0.is_empty() {
            let waited = self.0.len();
            let piece = |place| pieces.get(place).copied().unwrap_or(IoSlice::new(&[]));
            let all = [IoSlice::new(&self.0), piece(0), piece(1)];
            let written = ready!(out.as_mut().poll_write_vectored(cx, &all))?;
            self.sent(written.min(waited))?;
            if written > waited {
                return Poll::Ready(Ok(written - waited));
            }
        }
        out.poll_write_vectored(cx, pieces)
    }

    /// Lets out what waits.
    pub fn poll_out<W>(&mut self, cx: &mut Context<'_>, mut out: Pin<&mut W>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + ?Sized,
    {
        while !self.0.is_empty() {
            let written = ready!(out.as_mut().poll_write(cx, &self.0))?;
            self.sent(written)?;
        }
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.0.advance(bytes);
        if self.0.is_empty() {
            self.0 = BytesMut::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;

    use super::*;

    /// Counts what is written to it, and takes no more than so much at once.
    struct Sink {
        most: usize,
        pieces: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Sink {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.most);
            self.pieces.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all = bufs.iter().flat_map(|piece| piece.iter().copied());
            let all: Vec<u8> = all.take(self.most).collect();
            self.poll_write(cx, &all)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn write(gathered: &mut Gathered, out: &mut Sink, pieces: &[&[u8]]) -> usize {
        let pieces: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        poll_fn(|cx| gathered.poll_write(cx, Pin::new(&mut *out), &pieces))
            .await
            .unwrap()
    }

    async fn out(gathered: &mut Gathered, out: &mut Sink) {
        poll_fn(|cx| gathered.poll_out(cx, Pin::new(&mut *out))).await.unwrap();
    }

    fn sink(most: usize) -> Sink {
        Sink {
            most,
            pieces: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_head_and_a_short_body_go_out_in_one() {
        let (mut gathered, mut sink) = (Gathered::default(), sink(usize::MAX));
        write(&mut gathered, &mut sink, &[b"head"]).await;
        write(&mut gathered, &mut sink, &[b"bo", b"dy"]).await;
        assert!(sink.pieces.is_empty());
        out(&mut gathered, &mut sink).await;
        assert_eq!(sink.pieces, [b"headbody"]);
        assert_eq!(gathered.0.capacity(), 0, "an idle connection holds no memory");
    }

    #[tokio::test]
    async fn a_long_body_takes_its_head_along() {
        let (mut gathered, mut sink) = (Gathered::default(), sink(usize::MAX));
        write(&mut gathered, &mut sink, &[b"head"]).await;
        let body = vec![b'x'; MOST];
        assert_eq!(write(&mut gathered, &mut sink, &[&body]).await, MOST);
        assert_eq!(sink.pieces, [[b"head", &body[..]].concat()]);
    }

    proptest! {
        #[test]
        fn every_byte_goes_out_once_and_in_order(
            writes in prop::collection::vec((prop::collection::vec(0_usize..MOST, 0..4), any::<bool>()), 0..12),
            most in 1_usize..3 * MOST,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (mut gathered, mut sink) = (Gathered::default(), sink(most.max(64)));
            let mut wanted: Vec<u8> = Vec::new();
            runtime.block_on(async {
                for (lengths, flush) in writes {
                    let pieces: Vec<Vec<u8>> = lengths.iter().map(|length| vec![wanted.len().to_le_bytes()[0]; *length]).collect();
                    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
                    let taken = write(&mut gathered, &mut sink, &pieces).await;
                    wanted.extend(&pieces.concat()[..taken]);
                    if flush {
                        out(&mut gathered, &mut sink).await;
                        prop_assert!(gathered.0.is_empty());
                    }
                }
                out(&mut gathered, &mut sink).await;
                prop_assert_eq!(sink.pieces.concat(), wanted);
                Ok(())
            })?;
        }
    }
}
