//! Whether the time of day can be believed: what is deleted by it must not go since somebody has set the clock wrongly.

use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::World;
use crate::domain::limits::Nanos;
use crate::domain::session::later;

/// The clock on the wall, watched by the one that never goes back. It may go ahead of that by a day between two looks; beyond
/// that it is doubted, until it is right again or has stayed so for a week.
pub struct WallClock {
    state: Mutex<State>,
}

struct State {
    /// The time of day last believed,
    time: Timestamp,
    /// and at which moment that was.
    moment: Nanos,
    doubted_since: Option<Nanos>,
}

/// By as much it may be ahead.
const AHEAD: Duration = Duration::from_hours(24);

/// So long somebody has to set it right.
const DOUBT: Duration = Duration::from_hours(7 * 24);

/// For so long nothing at all may have happened before a start.
const SILENCE: Duration = Duration::from_hours(30 * 24);

impl WallClock {
    /// At the start of a process. `newest` is when something was recorded last, which a clock that was set wrongly while
    /// nothing ran is far ahead of.
    pub fn new(world: &World, newest: Option<Timestamp>) -> Self {
        let now = world.now();
        Self {
            state: Mutex::new(State {
                time: newest.map_or(now, |newest| now.min(later(newest, SILENCE))),
                moment: world.monotonic(),
                doubted_since: None,
            }),
        }
    }

    /// One look at both clocks: the time of day, or nothing while it is doubted.
    pub fn believed(&self, world: &World) -> Option<Timestamp> {
        let (now, moment) = (world.now(), world.monotonic());
        let mut state = self.state.lock();
        let passed = Duration::from_nanos(moment.0.saturating_sub(state.moment.0));
        if now > later(state.time, passed.saturating_add(AHEAD)) {
            let since = *state.doubted_since.get_or_insert(moment);
            if Duration::from_nanos(moment.0.saturating_sub(since.0)) < DOUBT {
                return None;
            }
        }
        *state = State {
            time: now,
            moment,
            doubted_since: None,
        };
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::session::tests::at;
    use crate::ports::{Clock, Hand};

    const DAY: i64 = 24 * 60 * 60;

    /// Both clocks, moved apart.
    struct Two(Mutex<(i64, i64)>);

    impl Clock for Two {
        fn now(&self) -> Timestamp {
            at(self.0.lock().0)
        }

        fn monotonic(&self) -> Nanos {
            Nanos(
                Duration::from_secs(self.0.lock().1.unsigned_abs())
                    .as_nanos()
                    .try_into()
                    .unwrap(),
            )
        }
    }

    #[test]
    fn a_clock_that_is_set_ahead_is_doubted_until_it_is_right_again_or_a_week_has_passed() {
        let clock = Arc::new(Two(Mutex::new((100 * DAY, 0))));
        let world = World::new(clock.clone(), Hand::at(0));
        let watched = WallClock::new(&world, Some(at(99 * DAY)));
        let believed = |wall: i64, passed: i64| {
            *clock.0.lock() = (wall * DAY, passed * DAY);
            watched.believed(&world).is_some()
        };
        assert!(believed(100, 0) && believed(101, 0) && believed(141, 40), "time passes");
        assert!(!believed(543, 41) && !believed(544, 42));
        assert!(believed(143, 43), "it was set right");
        assert!(!believed(545, 45) && !believed(551, 51));
        assert!(believed(552, 52), "nobody has set it right for a week");
        assert!(believed(553, 53));
        assert!(believed(20, 54) && !believed(554, 55), "what is behind deletes nothing");
    }

    #[test]
    fn a_start_long_after_all_that_is_recorded_is_doubted() {
        let clock = Hand::at(400 * DAY);
        let world = World::new(clock.clone(), clock);
        let is_believed = |newest: Option<i64>| WallClock::new(&world, newest.map(at)).believed(&world).is_some();
        assert!(!is_believed(Some(300 * DAY)));
        assert!(is_believed(Some(380 * DAY)) && is_believed(Some(500 * DAY)) && is_believed(None));
    }
}
