//! How long a line to a server may be idle.
//!
//! Pingora closes idle connections itself where it is told to, but sets a timer for each pause between two requests. Here
//! whoever looks for late answers anyway looks for lines as well that nobody has used for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Idle connections to a server are closed after this time.
pub const IDLE: Duration = Duration::from_mins(1);

/// Who uses a line, and since when nobody has.
#[derive(Debug)]
pub struct Idle {
    /// How often it was taken, in steps of [`TURN`]; how many requests are on it; and [`GIVEN_UP`]. Together, so that
    /// nobody comes in between.
    state: AtomicU64,
    /// How often it had been taken when that was news, and when that was, in milliseconds.
    seen: Mutex<(Option<Turn>, u64)>,
}

/// Which of the requests it is that a line has carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u64);

/// Nobody may take it any more.
const GIVEN_UP: u64 = 1 << 31;
/// It was taken once more.
const TURN: u64 = 1 << 32;

impl Idle {
    /// Nobody has used it yet.
    pub const fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            seen: Mutex::new((None, 0)),
        }
    }

    /// A request is on it now, and has this turn; `None` when it has been given up.
    pub fn take(&self) -> Option<Turn> {
        let before = self.state.fetch_add(TURN + 1, Ordering::AcqRel);
        (before & GIVEN_UP == 0).then(|| turn(before.wrapping_add(TURN)))
    }

    /// A request is over.
    pub fn leave(&self) {
        self.state.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives it up unless another request has taken it after this turn. Answers whether it did not.
    pub fn end(&self, own: Turn) -> bool {
        let giving_up = |state| (turn(state) == own).then_some(state | GIVEN_UP);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        self.state.fetch_update(set, fetch, giving_up).is_ok()
    }

    /// Gives it up when nobody has used it for [`IDLE`], which counts from when that is looked at first. Answers whether that
    /// has happened now.
    pub fn give_up(&self, now: u64) -> bool {
        let state = self.state.load(Ordering::Acquire);
        let taken = Some(turn(state));
        let mut seen = self.seen.lock();
        if !state.is_multiple_of(TURN) || seen.0 != taken {
            *seen = (taken, now);
            return false;
        }
        // Whoever takes it in this moment has it.
        u128::from(now.saturating_sub(seen.1)) >= IDLE.as_millis()
            && self
                .state
                .compare_exchange(state, state | GIVEN_UP, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }
}

/// The turn of whoever took it last.
const fn turn(state: u64) -> Turn {
    Turn(state / TURN)
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
        assert!(idle.take().is_none(), "nobody gets it any more");
    }

    #[test]
    fn a_line_that_is_used_is_kept_and_idle_from_its_last_use_on() {
        let idle = Idle::new();
        assert!(idle.take().is_some());
        assert!(!idle.give_up(MINUTE) && !idle.give_up(9 * MINUTE));
        idle.leave();
        assert!(
            !idle.give_up(10 * MINUTE - 1),
            "it was in use when it was looked at last"
        );
        assert!(idle.take().is_some());
        idle.leave();
        assert!(!idle.give_up(10 * MINUTE), "it was taken in between");
        assert!(!idle.give_up(11 * MINUTE - 1));
        assert!(idle.give_up(11 * MINUTE));
    }

    #[test]
    fn a_turn_ends_a_line_only_until_another_one_begins() {
        let idle = Idle::new();
        let first = idle.take().unwrap();
        idle.leave();
        let second = idle.take().unwrap();
        assert!(!idle.end(first), "somebody else is on it");
        idle.leave();
        assert!(!idle.end(first) && idle.end(second));
        assert!(idle.take().is_none(), "nobody gets it any more");
    }
}
