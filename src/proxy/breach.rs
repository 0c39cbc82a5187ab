//! What HTTP/2 says to clients that break its rules, read from the frames that go out.
//!
//! The library beneath Pingora ends such a connection, or refuses such a request, and neither tells anybody. Of the other
//! frames only their lengths are looked at, so that following them costs little.

use crate::telemetry::metrics::Breach;

/// A frame's head: the length of its payload in three bytes, its type, its flags and its stream (RFC 9113 section 4.1).
const HEAD: usize = 9;
const TYPE: usize = 3;

const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// Codes of RFC 9113 section 7.
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Follows the frames that are written.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// What of the present frame has to be read, as far as it was written.
    begun: [u8; HEAD + 8],
    /// How much of it that is.
    seen: u8,
    /// What is left of a payload that nobody reads.
    left: u32,
}

impl Outgoing {
    /// Bytes that were written. `tell` hears of each breach that they name.
    pub fn wrote(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Breach)) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left = self.left.saturating_sub(u32::try_from(skipped).unwrap_or(u32::MAX));
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let seen = usize::from(self.seen);
            let wanted = self.wanted();
            let (taken, rest) = bytes.split_at(bytes.len().min(wanted.saturating_sub(seen)));
            if let Some(place) = self.begun.get_mut(seen..seen + taken.len()) {
                place.copy_from_slice(taken);
            }
            bytes = rest;
            self.seen = u8::try_from(seen + taken.len()).unwrap_or(u8::MAX);
            if usize::from(self.seen) == wanted && self.wanted() == wanted {
                if let Some(breach) = self.breach(wanted) {
                    tell(breach);
                }
                let read = u32::try_from(wanted - HEAD).unwrap_or_default();
                self.left = self.length().saturating_sub(read);
                self.seen = 0;
            }
        }
    }

    /// How much of the present frame has to be read, as far as that is known.
    fn wanted(&self) -> usize {
        if usize::from(self.seen) < HEAD {
            return HEAD;
        }
        match (self.begun[TYPE], self.length()) {
            (RST_STREAM, 4..) => HEAD + 4,
            (GOAWAY, 8..) => HEAD + 8,
            _ => HEAD,
        }
    }

    fn length(&self) -> u32 {
        u32::from_be_bytes([0, self.begun[0], self.begun[1], self.begun[2]])
    }

    /// What the frame says, of which so much was read: the code comes last.
    fn breach(&self, read: usize) -> Option<Breach> {
        if read == HEAD {
            return None;
        }
        let code = self.begun.get(read - 4..read)?.try_into().ok()?;
        match (self.begun[TYPE], u32::from_be_bytes(code)) {
            (_, ENHANCE_YOUR_CALM) => Some(Breach::Flood),
            (RST_STREAM, REFUSED_STREAM) => Some(Breach::Streams),
            (RST_STREAM, PROTOCOL_ERROR) => Some(Breach::Frames),
            // Other resets happen in the best of conversations.
            (RST_STREAM, _) | (_, NO_ERROR | INTERNAL_ERROR | CANCEL) => None,
            _ => Some(Breach::Frames),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATA: u8 = 0;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    fn reset(code: u32) -> Vec<u8> {
        frame(RST_STREAM, &code.to_be_bytes())
    }

    fn goaway(code: u32, why: &[u8]) -> Vec<u8> {
        frame(GOAWAY, &[&9_u32.to_be_bytes()[..], &code.to_be_bytes(), why].concat())
    }

    fn told(pieces: &[&[u8]]) -> Vec<&'static str> {
        let (mut outgoing, mut told) = (Outgoing::default(), Vec::new());
        for piece in pieces {
            outgoing.wrote(piece, |breach| told.push(breach.as_str()));
        }
        told
    }

    #[test]
    fn what_ends_a_connection_and_what_refuses_a_request_is_told_from_what_goes_well() {
        for (frame, breach) in [
            (goaway(NO_ERROR, b""), None),
            (goaway(INTERNAL_ERROR, b""), None),
            (goaway(PROTOCOL_ERROR, b""), Some("http2")),
            (goaway(9, b""), Some("http2")),
            (goaway(ENHANCE_YOUR_CALM, b"too_many_resets"), Some("http2-flood")),
            (reset(NO_ERROR), None),
            (reset(CANCEL), None),
            (reset(REFUSED_STREAM), Some("http2-streams")),
            (reset(PROTOCOL_ERROR), Some("http2")),
            (reset(ENHANCE_YOUR_CALM), Some("http2-flood")),
        ] {
            assert_eq!(told(&[&frame]), Vec::from_iter(breach), "{frame:?}");
        }
    }

    #[test]
    fn what_looks_like_a_frame_within_another_is_none() {
        let inner = goaway(ENHANCE_YOUR_CALM, b"");
        assert_eq!(
            told(&[&frame(DATA, &inner), &frame(4, &inner), &frame(6, b"")]),
            [""; 0]
        );
    }

    proptest! {
        #[test]
        fn frames_are_followed_whatever_they_are_cut_into(
            lengths in prop::collection::vec(0_usize..300, 0..5),
            size in 1_usize..40,
        ) {
            let mut written = Vec::new();
            for length in &lengths {
                written.extend(frame(DATA, &vec![7; *length]));
                written.extend(reset(REFUSED_STREAM));
                written.extend(goaway(PROTOCOL_ERROR, &vec![7; *length]));
            }
            let pieces: Vec<&[u8]> = written.chunks(size).collect();
            prop_assert_eq!(told(&pieces), ["http2-streams", "http2"].repeat(lengths.len()));
        }
    }
}
