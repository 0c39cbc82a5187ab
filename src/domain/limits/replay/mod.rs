//! A policy tried on attempts that were recorded, with the same ledger that decides in a running gateway: whom it would have
//! stopped, and how much guessing it would have left.
//!
//! Each record is decided over at its time and settled when it was settled. Three things cannot be had again and are told:
//! how an attempt would have ended that the policy in force stopped (it counts as a wrong one, so that it stays drawn, and
//! as nobody's success), passwords (none is recorded, so that a rule that counts by password counts nothing), and whatever
//! a person would have done differently.

mod course;
mod guesses;
mod people;
mod series;
mod tally;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use jiff::Timestamp;

pub use course::{Course, Ordered, Spell};
pub use guesses::Guesses;
pub use people::{PATIENCE, People};
pub use series::{Bucket, Series};
pub use tally::{Agreement, Counted, Replayed, RuleFigures, Tally, Worst};

use super::attempt::Attempt;
use super::ledger::{Decision, Ledger, Outcome, Reservation};
use super::meter::Nanos;
use super::policy::{KeyKind, LimitRule, Policy, RuleName};
use super::record::{AttemptRecord, Verdict};

/// A policy on its way through a record.
pub struct Replay {
    course: Course,
    without: Vec<RuleName>,
    ledger: Ledger,
    /// Granted, and not yet settled.
    under_way: BinaryHeap<Reverse<UnderWay>>,
    granted: u64,
    counted_from: Timestamp,
    tally: Tally,
}

impl Replay {
    /// Nothing has been tried yet. What is earlier than `counted_from` fills the meters, as it had done when the first
    /// attempt after it was made, and is not counted.
    pub fn new(policies: impl Into<Course>, counted_from: Timestamp) -> Self {
        let course = policies.into();
        Self {
            without: not_replayed(&course),
            course,
            ledger: Ledger::new(Ledger::MOST),
            under_way: BinaryHeap::new(),
            granted: 0,
            counted_from,
            tally: Tally::default(),
        }
    }

    /// Decides over the next attempt. They come in the order of their times.
    pub fn take(&mut self, record: &AttemptRecord) -> Verdict {
        let now = nanos(record.at);
        self.settle_until(now);
        let (verdict, delay) = self.decide(record, now);
        if record.at >= self.counted_from {
            self.tally.count(record, &verdict, delay);
        }
        verdict
    }

    /// What came of it.
    pub fn finish(self) -> Replayed {
        Replayed {
            without: self.without,
            ..self.tally.finish()
        }
    }

    fn decide(&mut self, record: &AttemptRecord, now: Nanos) -> (Verdict, Duration) {
        let decision = self
            .ledger
            .decide(self.course.at(record.at).draws(&record.attempt()), now);
        let mut verdict = Verdict::of(&decision);
        // A ban has its way under every policy, and what it stops is counted like any wrong attempt.
        if record.is_banned() {
            verdict = verdict.under_a_ban();
        }
        let Decision::Granted { reservation, delay, .. } = decision else {
            return (verdict, Duration::ZERO);
        };
        self.granted += 1;
        self.under_way.push(Reverse(UnderWay {
            until: now.plus(record.took),
            number: self.granted,
            reservation,
            outcome: record.outcome.unwrap_or(Outcome::Failed),
        }));
        if record.took.is_zero() {
            self.settle_until(now);
        }
        (verdict, delay)
    }

    fn settle_until(&mut self, now: Nanos) {
        while let Some(Reverse(next)) = self.under_way.peek()
            && next.until <= now
        {
            if let Some(Reverse(ended)) = self.under_way.pop() {
                self.ledger.settle(ended.reservation, ended.outcome, ended.until);
            }
        }
    }
}

/// Rules that a record does not hold what they count by for.
fn not_replayed(course: &Course) -> Vec<RuleName> {
    let by_password = |rule: &&LimitRule| rule.enabled && rule.key == KeyKind::Password;
    let rules = course.policies().flat_map(|policy| &policy.rules);
    let names: BTreeSet<_> = rules.filter(by_password).map(|rule| rule.name.clone()).collect();
    names.into_iter().collect()
}

/// An attempt that was granted and holds what it drew.
struct UnderWay {
    until: Nanos,
    number: u64,
    reservation: Reservation,
    outcome: Outcome,
}

impl UnderWay {
    const fn place(&self) -> (Nanos, u64) {
        (self.until, self.number)
    }
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl AttemptRecord {
    /// As the limits saw it, but for the password.
    pub const fn attempt(&self) -> Attempt {
        Attempt {
            endpoint: self.endpoint,
            client: self.client,
            budgets: self.budgets,
            account: self.account,
            device: self.device,
            password: None,
            banned: self.is_banned(),
        }
    }
}

/// The clock of a replay begins in 1970 and ends in 2554: it never goes back, whatever a log of another system says.
fn nanos(at: Timestamp) -> Nanos {
    Nanos(u64::try_from(at.as_nanosecond().max(0)).unwrap_or(u64::MAX))
}

impl Policy {
    /// How long any of its meters remembers.
    pub fn memory(&self) -> Duration {
        let periods = self
            .rules
            .iter()
            .filter(|rule| rule.enabled)
            .map(|rule| rule.quota.period());
        periods.max().unwrap_or_default()
    }

    /// The same with another quota for one rule; `None` when it has no rule of this name.
    pub fn with_quota(&self, name: &RuleName, quota: super::quota::Quota) -> Option<Self> {
        let mut policy = self.clone();
        policy.rules.iter_mut().find(|rule| rule.name == *name)?.quota = quota;
        Some(policy)
    }
}

#[cfg(test)]
mod tests;
