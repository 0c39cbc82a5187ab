//! A quota: how many per how long, as the operator writes it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::meter::{Meter, Nanos};

/// So many attempts at once, and as many again spread evenly over each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    burst: u32,
    period: Duration,
}

impl Quota {
    /// The most at once.
    const MAX_BURST: u32 = 1_000_000;

    /// The longest period: a year.
    pub const MAX_PERIOD: Duration = Duration::from_hours(8784);

    /// `burst` attempts per `period`; neither may be nothing.
    pub fn new(burst: u32, period: Duration) -> Option<Self> {
        (burst > 0 && burst <= Self::MAX_BURST && period >= Duration::from_secs(1) && period <= Self::MAX_PERIOD)
            .then_some(Self { burst, period })
    }

    /// So many an hour, at least one.
    pub const fn hourly(burst: u32) -> Self {
        Self {
            burst: if burst == 0 { 1 } else { burst },
            period: Duration::from_hours(1),
        }
    }

    /// How many may come at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which an empty bucket fills.
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The time in which room for one attempt comes back.
    pub fn interval(&self) -> Duration {
        self.period / self.burst
    }

    /// The same rate without its burst: at most what comes in a second, and two, so that a late wake-up is made up for.
    #[must_use]
    pub fn evenly(&self) -> Self {
        let interval = self.interval().max(Duration::from_nanos(1));
        let in_a_second = Duration::from_secs(1).as_nanos().div_ceil(interval.as_nanos());
        let burst = u32::try_from(in_a_second).unwrap_or(u32::MAX).max(2);
        Self::new(burst, interval.saturating_mul(burst)).unwrap_or(*self)
    }

    /// So many times as many, in the same time.
    #[must_use]
    pub fn times(&self, many: u32) -> Self {
        let burst = self.burst.saturating_mul(many.max(1)).min(Self::MAX_BURST);
        Self { burst, ..*self }
    }

    /// Whether whatever the other one grants is granted by this one: as many at once, and no later again.
    pub fn is_as_wide_as(&self, other: &Self) -> bool {
        self.burst >= other.burst && self.interval() <= other.interval()
    }

    /// How many draws a meter grants at this moment, up to `most`.
    pub fn room(&self, mut meter: Meter, now: Nanos, most: usize) -> usize {
        (0..most)
            .take_while(|_| meter.draw(self, now).map(|drawn| meter = drawn).is_ok())
            .count()
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.burst, humantime::format_duration(self.period))
    }
}

/// Why a quota was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a quota reads like \"10 per 15m\": a number from 1 to 1000000, and a time from 1s to 1year")]
pub struct QuotaProblem;

impl FromStr for Quota {
    type Err = QuotaProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (burst, period) = text.split_once(" per ").ok_or(QuotaProblem)?;
        let burst = burst.trim().parse().map_err(|_| QuotaProblem)?;
        let period = humantime::parse_duration(period.trim()).map_err(|_| QuotaProblem)?;
        Self::new(burst, period).ok_or(QuotaProblem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_rate_is_the_same_rate_without_its_burst() {
        for (written, burst) in [
            ("60 per 1m", 2),
            ("4 per 1s", 4),
            ("6000 per 1m", 100),
            ("1 per 100h", 2),
        ] {
            let quota: Quota = written.parse().unwrap();
            let even = quota.evenly();
            assert_eq!((even.burst(), even.interval()), (burst, quota.interval()), "{written}");
        }
        let rate = "60 per 1m".parse::<Quota>().unwrap().evenly();
        let mut meter = Meter::default();
        let mut left = 0;
        // An overdue backlog, looked at four times a second for a minute.
        for quarter in 0..240_u64 {
            let now = Nanos((1_000 + quarter) * 250_000_000);
            for _ in 0..rate.room(meter, now, 8) {
                meter = meter.draw(&rate, now).unwrap();
                left += 1;
            }
        }
        assert_eq!(left, 61);
    }

    #[test]
    fn a_quota_for_several_is_that_many_times_as_large_in_the_same_time() {
        let quota: Quota = "10 per 15m".parse().unwrap();
        assert_eq!(quota.times(3).to_string(), "30 per 15m");
        assert_eq!((quota.times(1), quota.times(0)), (quota, quota));
        assert_eq!(quota.times(u32::MAX).burst(), 1_000_000);
    }

    #[test]
    fn a_quota_reads_as_it_is_written() {
        let quota: Quota = "10 per 15m".parse().unwrap();
        assert_eq!(
            (quota.burst(), quota.period().as_secs(), quota.interval().as_secs()),
            (10, 900, 90)
        );
        assert_eq!(quota.to_string(), "10 per 15m");
        for bad in [
            "",
            "10",
            "10 per",
            "0 per 1m",
            "-1 per 1m",
            "10 per 0s",
            "10 per 15",
            "10 / 15m",
            "10 per 10years",
            "9999999 per 1m",
        ] {
            assert!(bad.parse::<Quota>().is_err(), "{bad:?}");
        }
    }
}
