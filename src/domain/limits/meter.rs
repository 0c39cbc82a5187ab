//! A meter: the state of one bucket, by the generic cell rate algorithm (ITU-T I.371, virtual scheduling).

use std::time::Duration;

use super::quota::Quota;

/// A point on a clock that never goes back, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// So much later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// One bucket, as its theoretical arrival time: the moment at which it will be full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    full_at: Nanos,
}

impl Meter {
    /// Draws once.
    ///
    /// # Errors
    /// How long to wait until a draw would be granted.
    pub fn draw(self, quota: &Quota, now: Nanos) -> Result<Self, Duration> {
        let interval = quota.interval();
        let after = self.full_at.max(now).plus(interval);
        // All of `burst` intervals may be in use at once.
        let limit = now.plus(interval * quota.burst());
        if after > limit {
            Err(Duration::from_nanos(after.0 - limit.0))
        } else {
            Ok(Self { full_at: after })
        }
    }

    /// This much longer until it is full, counted from `now` at the earliest.
    #[must_use]
    pub fn charged(self, nanos: u64, now: Nanos) -> Self {
        Self {
            full_at: Nanos(self.full_at.max(now).0.saturating_add(nanos)),
        }
    }

    /// How long until it is full, in nanoseconds.
    pub const fn missing(self, now: Nanos) -> u64 {
        self.full_at.0.saturating_sub(now.0)
    }

    /// The bucket that is full again at this time.
    pub const fn full_at_time(full_at: Nanos) -> Self {
        Self { full_at }
    }

    /// The one of two that holds less.
    #[must_use]
    pub fn emptier(self, other: Self) -> Self {
        Self {
            full_at: self.full_at.max(other.full_at),
        }
    }

    /// Whether the bucket is full, so that forgetting it changes nothing.
    pub fn is_full(self, now: Nanos) -> bool {
        self.full_at <= now
    }

    /// When the bucket will be full again.
    pub const fn full_at(self) -> Nanos {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quota() -> Quota {
        "3 per 30s".parse().unwrap()
    }

    fn second(n: u64) -> Nanos {
        Nanos(n * 1_000_000_000)
    }

    #[test]
    fn the_quota_may_come_at_once_and_then_one_per_interval() {
        let mut meter = Meter::default();
        for _ in 0..3 {
            meter = meter.draw(&quota(), second(100)).unwrap();
        }
        assert_eq!(meter.draw(&quota(), second(100)), Err(Duration::from_secs(10)));
        assert_eq!(meter.draw(&quota(), second(109)), Err(Duration::from_secs(1)));
        assert!(meter.draw(&quota(), second(110)).is_ok());
    }

    proptest! {
        #[test]
        fn no_window_grants_more_than_the_burst_and_what_refilled_in_it(
            burst in 1_u32..20,
            period in 1_u64..1000,
            gaps in prop::collection::vec(0_u64..5_000_000_000, 1..200),
            window in 0_u64..100_000_000_000,
        ) {
            let quota = Quota::new(burst, Duration::from_secs(period)).unwrap();
            let mut meter = Meter::default();
            let mut now = 1_u64 << 40;
            let mut granted = Vec::new();
            for gap in gaps {
                now += gap;
                if let Ok(next) = meter.draw(&quota, Nanos(now)) {
                    meter = next;
                    granted.push(now);
                }
            }
            let interval = u64::try_from(quota.interval().as_nanos()).unwrap();
            let most = u64::from(burst) + window / interval;
            for (index, start) in granted.iter().enumerate() {
                let within = granted[index..].iter().take_while(|at| **at <= start + window).count() as u64;
                prop_assert!(within <= most, "{within} in {window} ns, at most {most}");
            }
        }
    }
}
