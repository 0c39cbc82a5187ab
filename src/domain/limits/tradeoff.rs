//! What a quota costs and what it is good for: people stopped against guesses left, over a grid of quotas, and the point
//! between them that a team would pick.

use std::time::Duration;

use serde::Serialize;

use super::quota::Quota;

/// A quota, and what it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// What was tried.
    pub quota: Quota,
    /// Real people who would have been stopped.
    pub stopped: u64,
    /// Guesses that are left in a day to somebody whom the rule bounds.
    pub guesses: u64,
}

/// How good a point is beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Another point stops no more people and leaves no more guesses.
    Beaten,
    /// Whatever is better in one is worse in the other.
    Front,
    /// The point of the front that is nearest to nobody stopped and no guess left.
    Knee,
}

/// How each of these points stands.
pub fn standings(points: &[Point]) -> Vec<Standing> {
    let mut standings: Vec<Standing> = (0..points.len())
        .map(|index| {
            if is_beaten(points, index) {
                Standing::Beaten
            } else {
                Standing::Front
            }
        })
        .collect();
    let front = |index: &usize| standings.get(*index) == Some(&Standing::Front);
    let on_front: Vec<(usize, Point)> = points
        .iter()
        .copied()
        .enumerate()
        .filter(|(index, _)| front(index))
        .collect();
    if let Some(knee) = knee(&on_front)
        && let Some(standing) = standings.get_mut(knee)
    {
        *standing = Standing::Knee;
    }
    standings
}

/// Of several equal points the first is not beaten.
fn is_beaten(points: &[Point], index: usize) -> bool {
    let Some(point) = points.get(index) else {
        return false;
    };
    points.iter().enumerate().any(|(other, by)| {
        let no_worse = by.stopped <= point.stopped && by.guesses <= point.guesses;
        let equal = by.stopped == point.stopped && by.guesses == point.guesses;
        no_worse && (!equal || other < index)
    })
}

/// Both measures run from 0 to 1 over the front. Guesses are compared by their magnitude: from 10 to 100 is as far as from
/// 100 to 1000.
fn knee(front: &[(usize, Point)]) -> Option<usize> {
    let stopped = Scale::over(front.iter().map(|(_, point)| whole(point.stopped)));
    let guesses = Scale::over(front.iter().map(|(_, point)| magnitude(point.guesses)));
    let far = |point: &Point| {
        let stopped = stopped.place(whole(point.stopped)).unwrap_or_default();
        stopped.hypot(guesses.place(magnitude(point.guesses)).unwrap_or_default())
    };
    let nearest = front
        .iter()
        .min_by(|(_, one), (_, other)| far(one).total_cmp(&far(other)))?;
    Some(nearest.0)
}

/// A count, to be compared or drawn.
#[expect(clippy::cast_precision_loss, reason = "only compared, and no count is near 2^53")]
pub const fn whole(count: u64) -> f64 {
    count as f64
}

/// By what factor there are more: 10 is as far from 100 as that from 1000.
pub fn magnitude(count: u64) -> f64 {
    whole(count).ln_1p()
}

/// From the least of some values to the most.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The one end.
    pub least: f64,
    /// The other.
    pub most: f64,
}

impl Scale {
    /// From the least of these to the most.
    pub fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        Self {
            least: values.clone().fold(f64::INFINITY, f64::min),
            most: values.fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// Where a value is between the ends, from 0 to 1; `None` where they are one.
    pub fn place(&self, value: f64) -> Option<f64> {
        (self.most > self.least).then(|| (value - self.least) / (self.most - self.least))
    }
}

/// At most `steps` numbers from the least to the most, each about as many times the one before.
pub fn counts(least: u32, most: u32, steps: u32) -> Vec<u32> {
    let (from, to) = (f64::from(least.max(1)), f64::from(most.max(least).max(1)));
    let parts = f64::from(steps.saturating_sub(1).max(1));
    let mut found: Vec<u32> = (0..steps.max(1))
        .map(|step| {
            let exact = from * (to / from).powf(f64::from(step) / parts);
            nearest(exact)
        })
        .collect();
    found.dedup();
    found
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two numbers of this type"
)]
fn nearest(exact: f64) -> u32 {
    exact.round() as u32
}

/// Times that people say, from the least to the most, both included.
pub fn periods(least: Duration, most: Duration) -> Vec<Duration> {
    const SAID: [u64; 19] = [
        1, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
        2_592_000,
    ];
    let said = SAID.map(Duration::from_secs).into_iter();
    let mut found: Vec<_> = said
        .filter(|period| *period > least && *period < most)
        .chain([least, most.max(least)])
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::Standing::{Beaten, Front, Knee};
    use super::*;

    fn point(stopped: u64, guesses: u64) -> Point {
        Point {
            quota: "1 per 1m".parse().unwrap(),
            stopped,
            guesses,
        }
    }

    #[test]
    fn the_knee_is_where_both_are_low() {
        let points = [
            point(90, 10),
            point(40, 20),
            point(4, 40),
            point(2, 400),
            point(0, 4000),
            point(50, 300),
        ];
        assert_eq!(standings(&points), [Front, Front, Knee, Front, Front, Beaten]);
    }

    #[test]
    fn where_nobody_is_stopped_the_tightest_quota_is_the_knee() {
        let points = [point(0, 300), point(0, 30), point(0, 30), point(0, 3000)];
        assert_eq!(standings(&points), [Beaten, Knee, Beaten, Beaten]);
        assert!(standings(&[]).is_empty());
    }

    #[test]
    fn a_grid_has_both_ends_and_no_number_twice() {
        assert_eq!(counts(3, 50, 8), [3, 4, 7, 10, 15, 22, 33, 50]);
        assert_eq!(counts(1, 3, 8), [1, 2, 3]);
        assert_eq!(counts(5, 5, 8), [5]);
        let minutes = |all: Vec<Duration>| all.iter().map(|period| period.as_secs() / 60).collect::<Vec<_>>();
        assert_eq!(
            minutes(periods(Duration::from_mins(5), Duration::from_hours(1))),
            [5, 10, 15, 30, 60]
        );
        assert_eq!(minutes(periods(Duration::from_mins(7), Duration::from_mins(7))), [7]);
    }
}
