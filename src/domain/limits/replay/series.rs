//! [`Series`]: how attempts went over time, in a bounded number of equal steps, whatever the time they span.

use jiff::Timestamp;
use serde::Serialize;

/// What came in one step of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// Attempts.
    pub attempts: u64,
    /// Of those, refused.
    pub refused: u64,
    /// Wrong ones that were let through.
    pub wrong: u64,
}

/// Steps in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// The length of a step, in seconds.
    pub step: i64,
    /// The number of the first step: it begins at so many times `step` after 1970.
    first: i64,
    /// From the first attempt to the last.
    pub buckets: Vec<Bucket>,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            step: 60,
            first: 0,
            buckets: Vec::new(),
        }
    }
}

impl Series {
    /// More steps than this are joined, two by two.
    const MOST: usize = 400;

    /// Adds what came at this time.
    pub(super) fn add(&mut self, at: Timestamp, more: Bucket) {
        let second = at.as_second();
        if self.buckets.is_empty() {
            self.first = second.div_euclid(self.step);
        }
        let index = loop {
            // Records come in order; one that does not belongs to the first.
            let index = usize::try_from(second.div_euclid(self.step) - self.first).unwrap_or_default();
            if index < Self::MOST {
                break index;
            }
            self.join();
        };
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, Bucket::default());
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.add(more);
        }
    }

    /// When a step begins.
    pub fn begins(&self, index: usize) -> Timestamp {
        let number = self.first.saturating_add(i64::try_from(index).unwrap_or(i64::MAX));
        Timestamp::from_second(number.saturating_mul(self.step)).unwrap_or(Timestamp::MAX)
    }

    fn join(&mut self) {
        let first = self.first.div_euclid(2);
        let mut joined: Vec<Bucket> = Vec::with_capacity(Self::MOST);
        for (number, bucket) in (self.first..).zip(&self.buckets) {
            let index = usize::try_from(number.div_euclid(2) - first).unwrap_or_default();
            if index >= joined.len() {
                joined.push(Bucket::default());
            }
            if let Some(into) = joined.last_mut() {
                into.add(*bucket);
            }
        }
        self.buckets = joined;
        self.first = first;
        self.step *= 2;
    }
}

impl Bucket {
    const fn add(&mut self, more: Self) {
        self.attempts += more.attempts;
        self.refused += more.refused;
        self.wrong += more.wrong;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Bucket = Bucket {
        attempts: 1,
        refused: 0,
        wrong: 0,
    };

    fn series(minutes: &[i64]) -> Series {
        let mut series = Series::default();
        for minute in minutes {
            series.add(Timestamp::from_second(1_800_000_000 + minute * 60).unwrap(), ONE);
        }
        series
    }

    #[test]
    fn a_short_time_is_told_by_the_minute_and_silence_is_shown() {
        let series = series(&[0, 0, 3]);
        let counts: Vec<_> = series.buckets.iter().map(|bucket| bucket.attempts).collect();
        assert_eq!((series.step, counts), (60, vec![2, 0, 0, 1]));
        assert_eq!(series.begins(3).as_second(), 1_800_000_180);
    }

    #[test]
    fn a_long_time_takes_no_more_steps_and_nothing_is_lost() {
        let minutes: Vec<i64> = (0..500_000).step_by(7).collect();
        let series = series(&minutes);
        assert!(series.buckets.len() <= Series::MOST && series.buckets.len() > Series::MOST / 2 - 2);
        let sum: u64 = series.buckets.iter().map(|bucket| bucket.attempts).sum();
        assert_eq!(sum, minutes.len() as u64);
        let first = series.begins(0).as_second();
        assert!(first <= 1_800_000_000 && 1_800_000_000 < first + series.step);
    }
}
