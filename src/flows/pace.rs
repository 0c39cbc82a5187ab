//! The pace of letters that come in crowds, Welcomes and those of an import: an overdue backlog leaves at the
//! operator's rate, as it would have when it was due.

use parking_lot::Mutex;

use crate::domain::limits::{Meter, Nanos, Quota};

/// Meters letters of crowds, whatever made them due.
pub struct Pace {
    rate: Quota,
    meter: Mutex<Meter>,
}

impl Pace {
    /// At this rate, without its burst.
    pub fn new(rate: Quota) -> Self {
        Self {
            rate: rate.evenly(),
            meter: Mutex::default(),
        }
    }

    /// How many may leave now, up to `most`.
    pub fn room(&self, now: Nanos, most: usize) -> usize {
        self.rate.room(*self.meter.lock(), now, most)
    }

    /// One is handed to the mail server.
    pub fn draw(&self, now: Nanos) {
        let mut meter = self.meter.lock();
        *meter = meter.draw(&self.rate, now).unwrap_or(*meter);
    }
}
