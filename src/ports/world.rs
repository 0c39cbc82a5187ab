//! Time and chance. Only the composition root owns the real ones.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::limits::Nanos;
use crate::domain::token::TOKEN_BYTES;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time of day, which may be set and may jump.
    fn now(&self) -> Timestamp;

    /// A clock that never goes back, for limits.
    fn monotonic(&self) -> Nanos;
}

/// Draws randomness from the operating system.
pub trait Entropy: Send + Sync {
    /// Fresh bytes for a token.
    fn token(&self) -> [u8; TOKEN_BYTES];
}

/// A fresh UUID version 7 (RFC 9562): it sorts by time, and within a millisecond by `sequence` (section 6.2, method 1),
/// of which twelve bits are used.
pub fn fresh_uuid(now: Timestamp, sequence: u16, entropy: &dyn Entropy) -> Uuid {
    let random = entropy.token();
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&random[..10]);
    bytes[..2].copy_from_slice(&sequence.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.as_millisecond()).unwrap_or(0), &bytes).into_uuid()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::domain::session::tests::at;

    /// A clock whose hand is moved by the test, and no chance at all.
    pub(crate) struct Hand(Mutex<Timestamp>);

    impl Hand {
        /// At this second.
        pub fn at(second: i64) -> Arc<Self> {
            Arc::new(Self(Mutex::new(at(second))))
        }

        /// Moves it.
        pub fn set(&self, second: i64) {
            *self.0.lock() = at(second);
        }
    }

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            *self.0.lock()
        }

        fn monotonic(&self) -> Nanos {
            Nanos(0)
        }
    }

    impl Entropy for Hand {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [7; TOKEN_BYTES]
        }
    }
}
