//! HTTP/2 frame by frame, for what no browser would say: nothing is checked before it is sent, and nothing is answered by
//! itself.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{SOON, Visitor};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// The request, or its body, is complete.
pub const END_STREAM: u8 = 1;
/// It answers one of the other side's.
pub const ACK: u8 = 1;
/// No `CONTINUATION` follows.
pub const END_HEADERS: u8 = 4;

/// The error of RFC 9113 section 7 for a stream that was not begun.
pub const REFUSED_STREAM: u32 = 7;
/// The error for a peer that makes too much work.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// How every connection begins.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a reset or of the end of a connection.
    pub fn error(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }

    /// The status of the answer that begins with this frame: it comes first (RFC 9113 section 8.3).
    pub fn status(&self) -> Option<u16> {
        if self.kind != HEADERS {
            return None;
        }
        let mut block = self.payload.as_slice();
        // A table may be resized before anything else.
        while let [0x20..=0x3f, rest @ ..] = block {
            block = rest;
        }
        let (first, rest) = block.split_first()?;
        // RFC 7541 appendix A, entries 8 to 14.
        let known = [200, 204, 206, 304, 400, 404, 500];
        if first & 0x80 != 0 {
            return known.get(usize::from(first & 0x7f).checked_sub(8)?).copied();
        }
        let (length, text) = rest.split_first()?;
        let text = text.get(..usize::from(length & 0x7f))?;
        if length & 0x80 == 0 {
            std::str::from_utf8(text).ok()?.parse().ok()
        } else {
            figures(text)
        }
    }
}

/// Three figures in the code of RFC 7541 appendix B: `0` to `2` have five bits, `3` to `9` six.
fn figures(text: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let value = |length: usize| {
            let bits = bits.get(at..at + length)?.iter();
            Some(bits.fold(0_u16, |sum, bit| sum << 1 | u16::from(*bit)))
        };
        let (figure, length) = match value(5)? {
            short @ 0..=2 => (short, 5),
            _ => (value(6)?.checked_sub(0x19)? + 3, 6),
        };
        number = number * 10 + figure;
        at += length;
    }
    Some(number)
}

/// One frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as a block of RFC 7541, each spelled out.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            length(text.len(), &mut bytes);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits.
fn length(mut length: usize, bytes: &mut Vec<u8>) {
    if length < 127 {
        return bytes.push(u8::try_from(length).unwrap());
    }
    bytes.push(127);
    length -= 127;
    while length >= 128 {
        bytes.push(u8::try_from(length % 128).unwrap() | 0x80);
        length /= 128;
    }
    bytes.push(u8::try_from(length).unwrap());
}

/// A bare connection that has agreed on HTTP/2.
pub struct Frames {
    reading: ReadHalf<TlsStream<TcpStream>>,
    writing: WriteHalf<TlsStream<TcpStream>>,
    bytes: Vec<u8>,
}

impl Frames {
    /// Connects, and says nothing yet.
    pub async fn silent(visitor: &Visitor) -> Self {
        let (reading, writing) = tokio::io::split(visitor.connect(&[b"h2"]).await.unwrap());
        Self {
            reading,
            writing,
            bytes: Vec::new(),
        }
    }

    /// Connects and begins with these settings, of six bytes each.
    pub async fn open(visitor: &Visitor, settings: &[u8]) -> Self {
        let mut frames = Self::silent(visitor).await;
        frames.say([PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await;
        frames
    }

    /// Sends bytes as they are; answers whether the gateway took them. Whoever does not read for long is not read from
    /// either, which is no failure.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sending =
            async { self.writing.write_all(bytes.as_ref()).await.is_ok() && self.writing.flush().await.is_ok() };
        tokio::time::timeout(SOON, sending).await.unwrap_or(false)
    }

    /// The next frame; `None` when the gateway has closed, or says nothing for so long.
    pub async fn next_within(&mut self, limit: Duration) -> Option<Frame> {
        tokio::time::timeout(limit, self.next()).await.ok().flatten()
    }

    /// The next frame; `None` when the gateway has closed.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut piece = vec![0; 16 << 10];
            match self.reading.read(&mut piece).await {
                Ok(count @ 1..) => self.bytes.extend(&piece[..count]),
                Ok(0) | Err(_) => return None,
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let head: [u8; 9] = self.bytes.get(..9)?.try_into().ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = self.bytes.get(9..9 + length)?.to_vec();
        self.bytes.drain(..9 + length);
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Frames until the one that is looked for, which is the last; without it when the gateway closes before, or says
    /// nothing for `limit`.
    pub async fn until(&mut self, limit: Duration, wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut heard = Vec::new();
        while let Some(frame) = self.next_within(limit).await {
            let found = wanted(&frame);
            heard.push(frame);
            if found {
                break;
            }
        }
        heard
    }

    /// Whether the gateway closes within this time, whatever it says before.
    pub async fn closes_within(&mut self, limit: Duration) -> bool {
        let ending = async { while self.next().await.is_some() {} };
        tokio::time::timeout(limit, ending).await.is_ok()
    }

    /// Nothing more is said.
    pub async fn finish(&mut self) {
        let _ = self.writing.shutdown().await;
    }
}
