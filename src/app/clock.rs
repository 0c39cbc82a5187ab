//! The real clock. Everybody else is handed the time.

use std::time::Instant;

use jiff::Timestamp;

use crate::domain::limits::Nanos;
use crate::ports::Clock;

/// The machine's clock.
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Counts monotonic time from now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that owns the real clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Nanos {
        // A year in, so that a refund never meets the beginning of time.
        const START: u64 = 365 * 24 * 3600 * 1_000_000_000;
        Nanos(START.saturating_add(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)))
    }
}
