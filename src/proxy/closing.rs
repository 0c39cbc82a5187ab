//! Says goodbye on a WebSocket in words that JavaScript can read: a close frame, put in only where a frame of the
//! upstream's has just ended.

use crate::flows::{Refusal, Severed};

/// Follows what is written to a client after an upgrade, byte by byte, to know where frames end (RFC 6455 section 5.2).
#[derive(Debug)]
pub struct FrameEdge {
    place: Place,
    /// Whether the frame at hand carries data, and is neither close, ping nor pong.
    data: bool,
}

/// How a WebSocket is closed: a code and a few words that JavaScript can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// The code.
    pub code: u16,
    /// The words, within what a close frame has room for.
    pub reason: &'static str,
}

impl Farewell {
    /// There is no session, or none any more.
    pub fn without_session(refusal: Option<Refusal>) -> Self {
        Self {
            code: SESSION_ENDED,
            reason: refusal.map_or("absent", Refusal::as_str),
        }
    }

    /// The gateway stops, perhaps to start again.
    pub const RESTART: Self = Self {
        code: SERVICE_RESTART,
        reason: "restart",
    };

    /// The session lives on; what was opened before is opened anew, with the cookie it has now.
    pub const ANEW: Self = Self {
        code: SERVICE_RESTART,
        reason: "renewed",
    };

    /// An operator has banned the client.
    pub const BANNED: Self = Self {
        code: POLICY_VIOLATION,
        reason: "banned",
    };

    /// An open stream had to end.
    pub fn severed(why: Severed) -> Self {
        match why {
            Severed::Over(refusal) => Self::without_session(Some(refusal)),
            Severed::Anew => Self::ANEW,
        }
    }

    /// As a server sends it.
    pub fn frame(self) -> Vec<u8> {
        close_frame(self.code, self.reason)
    }
}

#[derive(Debug)]
enum Place {
    /// Between two frames.
    Edge,
    /// Within the header of a frame.
    Header(Vec<u8>),
    /// Within a payload; so many bytes to go.
    Payload(u64),
}

/// The session has ended: the code the web client may tell apart from a network failure.
pub const SESSION_ENDED: u16 = 4401;

/// The client is not welcome (RFC 6455 section 7.4.1).
pub const POLICY_VIOLATION: u16 = 1008;

/// The client may connect again at once (registered with IANA).
pub const SERVICE_RESTART: u16 = 1012;

impl FrameEdge {
    /// The `101` head has been written: the next byte starts a frame.
    pub const fn new() -> Self {
        Self {
            place: Place::Edge,
            data: false,
        }
    }

    /// Bytes that were written. Answers whether some of them belong to a frame with data.
    pub fn wrote(&mut self, mut bytes: &[u8]) -> bool {
        let mut data = false;
        while let Some((first, rest)) = bytes.split_first() {
            match &mut self.place {
                Place::Edge => self.place = Place::Header(Vec::with_capacity(14)),
                Place::Header(header) => {
                    if header.is_empty() {
                        // Opcodes from 8 on are control frames (RFC 6455 section 5.5).
                        self.data = first & 0x08 == 0;
                    }
                    data |= self.data;
                    header.push(*first);
                    bytes = rest;
                    if let Some(length) = payload(header) {
                        self.place = if length == 0 {
                            Place::Edge
                        } else {
                            Place::Payload(length)
                        };
                    }
                }
                Place::Payload(left) => {
                    data |= self.data;
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= here as u64;
                    bytes = bytes.get(here..).unwrap_or_default();
                    if *left == 0 {
                        self.place = Place::Edge;
                    }
                }
            }
        }
        data
    }

    /// Whether a frame may be put in here.
    pub const fn is_edge(&self) -> bool {
        matches!(self.place, Place::Edge)
    }
}

/// The payload's length, once the header is complete.
fn payload(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (length, extended) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?)), 2),
        127 => (u64::from_be_bytes(header.get(2..10)?.try_into().ok()?), 8),
        short => (u64::from(short), 0),
    };
    (header.len() == 2 + extended + mask).then_some(length)
}

/// A close frame with this code and reason, as a server sends it.
fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let reason = reason.as_bytes().get(..reason.len().min(123)).unwrap_or_default();
    let mut frame = vec![0x88, u8::try_from(2 + reason.len()).unwrap_or(125)];
    frame.extend(code.to_be_bytes());
    frame.extend(reason);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![0x88; length]);
        frame
    }

    #[test]
    fn pings_pongs_and_closes_are_told_from_data() {
        let mut edge = FrameEdge::new();
        for (bytes, data) in [
            (&[0x89, 0][..], false),
            (&[0x8a, 0x82, 1, 2, 3, 4, 9, 9], false),
            (&[0x81], true),
            (&[2, b'h'], true),
            (&[b'i', 0x89], true),
            (&[1, b'p'], false),
            (&[0x80, 0], true),
            (&[0x88, 0], false),
        ] {
            assert_eq!(edge.wrote(bytes), data, "{bytes:?}");
        }
    }

    #[test]
    fn every_reason_fits_into_a_close_frame() {
        for refusal in [
            None,
            Some(Refusal::Unclear),
            Some(Refusal::Unknown),
            Some(Refusal::Unasked),
            Some(Refusal::Idle),
            Some(Refusal::Expired),
            Some(Refusal::Ended),
            Some(Refusal::Renewed),
        ] {
            let farewell = Farewell::without_session(refusal);
            let frame = farewell.frame();
            assert_eq!(
                frame[..4],
                [0x88, u8::try_from(2 + farewell.reason.len()).unwrap(), 0x11, 0x31]
            );
            assert_eq!(&frame[4..], farewell.reason.as_bytes());
        }
        assert_eq!(close_frame(4401, &"x".repeat(200)).len(), 127);
    }

    #[test]
    fn a_close_frame_says_why() {
        assert_eq!(close_frame(4401, "bye"), [0x88, 5, 0x11, 0x31, b'b', b'y', b'e']);
    }

    proptest! {
        #[test]
        fn an_edge_is_seen_exactly_where_a_frame_has_ended(
            lengths in prop::collection::vec(prop_oneof![0_usize..200, 65_000_usize..70_000], 1..5),
            cut in 1_usize..4000,
        ) {
            let mut edge = FrameEdge::new();
            prop_assert!(edge.is_edge());
            for length in lengths {
                let frame = frame(length);
                let (last, body) = frame.split_last().unwrap();
                for part in body.chunks(cut) {
                    edge.wrote(part);
                    prop_assert!(!edge.is_edge());
                }
                edge.wrote(&[*last]);
                prop_assert!(edge.is_edge());
            }
        }
    }
}
