//! What verdicts come to.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::guesses::{self, Guesses};
use super::people::{self, People};
use super::series::{Bucket, Series};
use crate::domain::limits::attempt::subnet;
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::policy::RuleName;
use crate::domain::limits::record::{AttemptRecord, Verdict};

/// Attempts and what became of them under one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// In all, bans left out.
    pub attempts: u64,
    /// Stopped by a rule.
    pub refused: u64,
    /// Answered late.
    pub slowed: u64,
    /// By how much in all.
    pub delay_seconds: u64,
    /// Let through, and somebody was told.
    pub noted: u64,
    /// Stopped by a ban and by no rule: they are no part of the other figures.
    pub banned: u64,
    /// Attempts of which nobody knows how they would have ended, since the policy in force stopped them.
    pub unknown: u64,
    /// Of those, let through: they count as wrong ones, and as nobody's success.
    pub unknown_granted: u64,
    /// By rule.
    pub rules: BTreeMap<RuleName, RuleFigures>,
    /// Rules that count by password: nothing is recorded of passwords, so they counted nothing.
    pub without: Vec<RuleName>,
    /// Real people.
    pub people: People,
    /// Guessing that was let through.
    pub guesses: Guesses,
    /// The client addresses with the most refusals, the most first.
    pub addresses: Vec<Counted>,
    /// The networks with the most.
    pub subnets: Vec<Counted>,
    /// The minute with the most refusals.
    pub worst: Option<Worst>,
    /// The first attempt and the last.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How it went over time.
    pub series: Series,
    /// How far these verdicts are those of the record.
    pub agreement: Agreement,
}

/// What one rule did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleFigures {
    /// Attempts it refused.
    pub refused: u64,
    /// Attempts it made wait.
    pub slowed: u64,
    /// Attempts it told of.
    pub noted: u64,
}

/// Refusals of one address or network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Whose; of a network, its first address.
    pub address: IpAddr,
    /// How many.
    pub refused: u64,
}

/// The minute in which most was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Worst {
    /// When it begins.
    pub at: Timestamp,
    /// How much.
    pub refused: u64,
}

/// Verdicts beside those that were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// The same: granted, slowed, told, refused or banned alike.
    pub same: u64,
    /// Others.
    pub other: u64,
}

/// Counts as attempts go by.
#[derive(Default)]
pub struct Tally {
    so_far: Replayed,
    people: people::Finder,
    guesses: guesses::Counter,
    addresses: HashMap<IpAddr, u64>,
    minute: Option<Worst>,
}

impl Tally {
    /// So many addresses and networks are told.
    const TOP: usize = 10;

    /// One attempt, what a policy says to it, and by how much it is answered late.
    pub fn count(&mut self, record: &AttemptRecord, verdict: &Verdict, delay: Duration) {
        let is_same = std::mem::discriminant(verdict) == std::mem::discriminant(&record.active);
        let agreement = &mut self.so_far.agreement;
        *(if is_same {
            &mut agreement.same
        } else {
            &mut agreement.other
        }) += 1;
        let first = self.so_far.span.map_or(record.at, |(first, _)| first);
        self.so_far.span = Some((first, record.at));
        if *verdict == Verdict::Banned {
            self.so_far.banned += 1;
            return;
        }
        self.so_far.attempts += 1;
        let refused = self.judge(record, verdict, delay);
        if record.outcome.is_none() {
            self.so_far.unknown += 1;
            self.so_far.unknown_granted += u64::from(!refused);
        }
        self.people.note(record, verdict);
        self.guesses.note(record, verdict);
        let wrong = !refused && matches!(record.outcome, Some(Outcome::Failed) | None);
        self.so_far.series.add(
            record.at,
            Bucket {
                attempts: 1,
                refused: refused.into(),
                wrong: wrong.into(),
            },
        );
    }

    /// Counts a verdict under its rule; answers whether it is a refusal.
    fn judge(&mut self, record: &AttemptRecord, verdict: &Verdict, delay: Duration) -> bool {
        let mut of = |rule: &RuleName, count: fn(&mut RuleFigures) -> &mut u64| {
            *count(self.so_far.rules.entry(rule.clone()).or_default()) += 1;
        };
        match verdict {
            Verdict::Granted | Verdict::Banned => false,
            Verdict::Slowed(rule) => {
                of(rule, |figures| &mut figures.slowed);
                self.so_far.slowed += 1;
                self.so_far.delay_seconds += delay.as_secs();
                false
            }
            Verdict::Noted(rule) => {
                of(rule, |figures| &mut figures.noted);
                self.so_far.noted += 1;
                false
            }
            Verdict::Refused(rule) => {
                of(rule, |figures| &mut figures.refused);
                self.so_far.refused += 1;
                *self.addresses.entry(record.client.limit_key()).or_default() += 1;
                self.note_minute(record.at);
                true
            }
        }
    }

    fn note_minute(&mut self, at: Timestamp) {
        let begins = at.as_second().div_euclid(60) * 60;
        let begins = Timestamp::from_second(begins).unwrap_or(at);
        let refused = self
            .minute
            .filter(|minute| minute.at == begins)
            .map_or(0, |minute| minute.refused)
            + 1;
        let minute = Worst { at: begins, refused };
        self.minute = Some(minute);
        if self.so_far.worst.is_none_or(|worst| refused > worst.refused) {
            self.so_far.worst = Some(minute);
        }
    }

    /// What it comes to.
    pub fn finish(self) -> Replayed {
        let mut subnets: HashMap<IpAddr, u64> = HashMap::new();
        for (address, refused) in &self.addresses {
            *subnets.entry(subnet(*address)).or_default() += refused;
        }
        Replayed {
            people: self.people.people(),
            guesses: self.guesses.guesses(),
            addresses: top(self.addresses),
            subnets: top(subnets),
            ..self.so_far
        }
    }
}

fn top(counts: HashMap<IpAddr, u64>) -> Vec<Counted> {
    let mut all: Vec<_> = counts
        .into_iter()
        .map(|(address, refused)| Counted { address, refused })
        .collect();
    all.sort_by(|one, other| (other.refused, one.address).cmp(&(one.refused, other.address)));
    all.truncate(Tally::TOP);
    all
}
