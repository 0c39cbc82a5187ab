//! Traffic on a stream that the operator calls active: it counts as use of the session, at most once a minute.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::domain::session::SessionId;
use crate::flows::Authenticate;

/// What a stream tells of its traffic. It neither waits nor locks.
pub struct Pulse {
    authenticate: Arc<Authenticate>,
    session: SessionId,
    started: Instant,
    /// When use is worth noting again, in milliseconds since the start.
    next: AtomicU64,
}

impl Pulse {
    /// Of a stream of this session. The request that opened it has been noted already.
    pub fn new(authenticate: Arc<Authenticate>, session: SessionId) -> Self {
        let every = millis(authenticate.use_every());
        Self {
            authenticate,
            session,
            started: Instant::now(),
            next: AtomicU64::new(every),
        }
    }

    /// Something has passed.
    pub fn beat(&self) {
        let (now, next) = (millis(self.started.elapsed()), self.next.load(Ordering::Relaxed));
        let after = now.saturating_add(millis(self.authenticate.use_every()));
        if now >= next
            && self
                .next
                .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.authenticate.used(self.session);
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pulse({})", self.session)
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Follows an answer to tell what it says from what only keeps the connection open: in an event stream, comments and
/// blank lines are such (HTML Standard, section 9.2.6).
#[derive(Debug)]
pub enum Told {
    /// Every byte says something.
    Everything,
    /// An event stream, within a comment or not, after a line's end or not.
    Events {
        /// Within a comment.
        comment: bool,
        /// The next byte begins a line.
        begins: bool,
    },
}

impl Told {
    /// By the head of the answer.
    pub fn of(headers: &HeaderMap) -> Self {
        const EVENTS: &[u8] = b"text/event-stream";
        // In whatever case it is written (RFC 9110 section 8.3.1).
        let is_events = |media_type: &HeaderValue| {
            let begin = media_type.as_bytes().get(..EVENTS.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(EVENTS))
        };
        if headers.get(CONTENT_TYPE).is_some_and(is_events) {
            Self::events()
        } else {
            Self::Everything
        }
    }

    /// An event stream at its beginning.
    const fn events() -> Self {
        Self::Events {
            comment: false,
            begins: true,
        }
    }

    /// Whether these bytes, which come next, say something.
    pub fn says(&mut self, bytes: &[u8]) -> bool {
        let Self::Events { comment, begins } = self else {
            return !bytes.is_empty();
        };
        let mut said = false;
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                (*comment, *begins) = (false, true);
                continue;
            }
            *comment |= *begins && *byte == b':';
            *begins = false;
            said |= !*comment;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stream_is_one_however_its_type_is_written() {
        for (media_type, events) in [
            ("text/event-stream", true),
            ("Text/Event-Stream;charset=utf-8", true),
            ("text/plain", false),
            ("text", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type.parse().unwrap())]);
            assert_eq!(
                matches!(Told::of(&headers), Told::Events { .. }),
                events,
                "{media_type}"
            );
        }
        assert!(matches!(Told::of(&HeaderMap::new()), Told::Everything));
    }

    #[test]
    fn comments_of_an_event_stream_say_nothing_wherever_they_are_cut() {
        let mut told = Told::events();
        for (piece, says) in [
            (&b": open\n\n"[..], false),
            (b":", false),
            (b" keep alive", false),
            (b"\r\n\r\n", false),
            (b"data: 1\n\n", true),
            (b": ping\n\ndata", true),
            (b": the rest of a line", true),
            (b"\n:\n\n", false),
        ] {
            assert_eq!(told.says(piece), says, "{}", String::from_utf8_lossy(piece));
        }
        assert!(Told::Everything.says(b":"));
        assert!(!Told::Everything.says(b""));
    }
}
