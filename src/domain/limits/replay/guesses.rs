//! How much guessing a policy would have let through.

use std::collections::HashMap;

use serde::Serialize;

use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::record::{AttemptRecord, Verdict};

/// Wrong passwords of strangers that were let through. What the owner's own devices try is no stranger's guess.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Guesses {
    /// In all.
    pub total: u64,
    /// Accounts, existing or invented, at which there was any.
    pub accounts: u64,
    /// The most at one account in one day (UTC).
    pub most: u64,
    /// The median, over the accounts, of the most in one day.
    pub median: u64,
}

#[derive(Clone, Copy, Default)]
struct Days {
    day: i64,
    today: u64,
    most: u64,
}

#[derive(Default)]
pub(super) struct Counter {
    total: u64,
    accounts: HashMap<NameDigest, Days>,
}

impl Counter {
    pub fn note(&mut self, record: &AttemptRecord, verdict: &Verdict) {
        let guessable = matches!(record.endpoint, Endpoint::SignIn | Endpoint::ChangePassword);
        let wrong = matches!(record.outcome, Some(Outcome::Failed) | None);
        let stopped = matches!(verdict, Verdict::Refused(_) | Verdict::Banned);
        if !guessable || !wrong || stopped || record.lane == LaneKind::Known {
            return;
        }
        self.total += 1;
        let Some(account) = record.account else {
            return;
        };
        let days = self.accounts.entry(account).or_default();
        let day = record.at.as_second().div_euclid(24 * 60 * 60);
        if day != days.day {
            days.day = day;
            days.today = 0;
        }
        days.today += 1;
        days.most = days.most.max(days.today);
    }

    pub fn guesses(&self) -> Guesses {
        let mut most: Vec<u64> = self.accounts.values().map(|days| days.most).collect();
        most.sort_unstable();
        Guesses {
            total: self.total,
            accounts: most.len() as u64,
            most: most.last().copied().unwrap_or_default(),
            median: most.get(most.len() / 2).copied().unwrap_or_default(),
        }
    }
}
