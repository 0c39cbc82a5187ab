//! One bucket as a ledger keeps it: its meter, and what attempts under way hold of it.

use std::time::Duration;

use super::ledger::Draw;
use super::meter::{Meter, Nanos};

/// The wait that is told where nothing but what is under way is in the way: how it ends nobody knows.
const UNDER_WAY_WAIT: Duration = Duration::from_secs(1);

/// A meter and what is held of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub meter: Meter,
    /// What will be charged if all attempts under way prove to be wrong, in nanoseconds until it is full again.
    pub pending: u64,
    /// Attempts under way.
    pub held: u32,
    /// Whether the table has its slot in line, to forget it.
    pub in_line: bool,
}

impl Tally {
    /// How long until such a draw would be granted; `None` when it is.
    pub fn wait(&self, draw: &Draw, now: Nanos) -> Option<Duration> {
        let interval = draw.quota.interval();
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let whole = interval.saturating_mul(draw.quota.burst().into());
        // Of a bucket that is to begin now and was shared under a former, larger quota.
        let missing = self.meter.missing(now).min(whole).saturating_add(interval);
        if missing > whole {
            let wait = missing.saturating_add(self.pending) - whole;
            return Some(Duration::from_nanos(wait));
        }
        let crowded = draw.in_flight.is_some_and(|most| self.held >= most);
        (crowded || missing.saturating_add(self.pending) > whole).then_some(UNDER_WAY_WAIT)
    }

    /// One more attempt is under way, that may be charged so much.
    pub fn hold(&mut self, charge: u64) {
        self.pending = self.pending.saturating_add(charge);
        self.held += 1;
    }

    /// One less is, and it is charged or not.
    pub fn release(&mut self, charge: u64, charged: bool, now: Nanos) {
        self.pending = self.pending.saturating_sub(charge);
        self.held = self.held.saturating_sub(1);
        if charged && charge > 0 {
            self.meter = self.meter.charged(charge, now);
        }
    }

    /// How long until it is full, if everything under way proves to be wrong, in nanoseconds.
    pub fn left(&self, now: Nanos) -> u64 {
        self.meter.missing(now).saturating_add(self.pending)
    }

    /// Whether nothing is lost when it is forgotten.
    pub fn is_idle(&self, now: Nanos) -> bool {
        self.held == 0 && self.meter.is_full(now)
    }
}
