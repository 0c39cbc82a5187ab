//! How long a line to a server may be idle.
//!
//! Pingora closes idle connections itself where it is told to, but sets a timer for each pause between two requests. Here
//! whoever looks for late answers anyway looks for lines as well that nobody has used for a while.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Idle connections to a server are closed after this time.
pub const IDLE: Duration = Duration::from_mins(1);

/// Who uses a line, and since when nobody has.
#[derive(Debug)]
pub struct Idle {
    /// How many requests are on it, and [`GIVEN_UP`].
    users: AtomicU32,
    /// How often it was taken.
    taken: AtomicU32,
    /// How often it had been taken when that was news, and when that was, in milliseconds.
    seen: Mutex<(Option<u32>, u64)>,
}

/// Nobody may take it any more.
const GIVEN_UP: u32 = 1 << 31;

impl Idle {
    /// Nobody has used it yet.
    pub const fn new() -> Self {
        Self {
            users: AtomicU32::new(0),
            taken: AtomicU32::new(0),
            seen: Mutex::new((None, 0)),
        }
    }

    /// A request is on it now; `false` when it has been given up.
    pub fn take(&self) -> bool {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.users.fetch_add(1, Ordering::AcqRel) & GIVEN_UP == 0
    }

    /// A request is over.
    pub fn leave(&self) {
        self.users.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives it up when nobody has used it for [`IDLE`], which counts from when that is looked at first. Answers whether that
    /// has happened now.
    pub fn give_up(&self, now: u64) -> bool {
        let taken = Some(self.taken.load(Ordering::Relaxed));
        let mut seen = self.seen.lock();
        if self.users.load(Ordering::Acquire) != 0 || seen.0 != taken {
            *seen = (taken, now);
            return false;
        }
        // Whoever takes it in this moment has it.
        u128::from(now.saturating_sub(seen.1)) >= IDLE.as_millis()
            && self
                .users
                .compare_exchange(0, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn a_line_is_given_up_once_when_nobody_has_used_it_for_a_minute() {
        let idle = Idle::new();
        assert!(!idle.give_up(MINUTE), "it is looked at first");
        assert!(!idle.give_up(2 * MINUTE - 1));
        assert!(idle.give_up(2 * MINUTE));
        assert!(!idle.give_up(9 * MINUTE), "once");
        assert!(!idle.take(), "nobody gets it any more");
    }

    #[test]
    fn a_line_that_is_used_is_kept_and_idle_from_its_last_use_on() {
        let idle = Idle::new();
        assert!(idle.take());
        assert!(!idle.give_up(MINUTE) && !idle.give_up(9 * MINUTE));
        idle.leave();
        assert!(
            !idle.give_up(10 * MINUTE - 1),
            "it was in use when it was looked at last"
        );
        assert!(idle.take());
        idle.leave();
        assert!(!idle.give_up(10 * MINUTE), "it was taken in between");
        assert!(!idle.give_up(11 * MINUTE - 1));
        assert!(idle.give_up(11 * MINUTE));
    }
}
