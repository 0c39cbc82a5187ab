//! What has been counted, in bounded memory, and the decision over an attempt. No lock, no clock: whoever holds a ledger
//! hands in the time, so that the gateway, a policy on trial and a replay decide alike.
//!
//! A granted attempt *holds* what it draws until it is settled, and only then is a meter moved on, if the attempt was wrong.
//! What is held counts against the next attempt as if it were drawn, so parallel guesses get exactly the quota; what proves
//! to be honest is let go of, and since no meter has moved for it, that makes no room that was not there before.
//!
//! A meter that is not full is never forgotten: where there is no room for another one, the attempt counts in one meter
//! that all such attempts under the same rule share. So a flood of invented names costs bounded memory and frees nobody
//! from a limit. No rule has more than a quarter of the table, so that one that is flooded leaves the others theirs.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NameDigest;
use super::book::{Book, Found, Held};
use super::meter::Nanos;
use super::policy::{Action, RuleName};
use super::quota::Quota;

pub use super::book::Counted;

/// Whom a meter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// A client, as limits count it.
    Client(IpAddr),
    /// A network of clients.
    Subnet(IpAddr),
    /// An account or address, existing or invented.
    Account(NameDigest),
    /// A client at an account.
    ClientAccount(IpAddr, NameDigest),
    /// A device at an account, or a session.
    Device(NameDigest),
    /// A password at any account.
    Password(NameDigest),
    /// Everybody.
    Global,
}

/// Whose meter of which rule. Two rules never share a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bucket {
    /// The rule.
    pub rule: RuleName,
    /// Whom it counts.
    pub subject: Subject,
}

/// One draw on one meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Whose bucket.
    pub bucket: Bucket,
    /// How large it is and how fast it refills.
    pub quota: Quota,
    /// How many may be under way at once.
    pub in_flight: Option<u32>,
    /// What happens when there is no room.
    pub action: Action,
    /// Whether it is the same whatever account the attempt is aimed at and whoever is known there, so that it can be asked
    /// for before anybody is looked up.
    pub for_anybody: bool,
}

impl Draw {
    /// A draw that is refused where there is no room.
    pub const fn new(rule: RuleName, subject: Subject, quota: Quota) -> Self {
        Self {
            bucket: Bucket { rule, subject },
            quota,
            in_flight: None,
            action: Action::Refuse,
            for_anybody: false,
        }
    }
}

/// How an attempt that was granted has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was honest: what it drew is given back, and nothing else.
    Succeeded,
    /// It was wrong: what it drew stays drawn.
    Failed,
    /// Nothing was tried, as when the machine is too busy: given back, too.
    NotTried,
    /// It was as it should be and is counted all the same, as a wish for a letter is: what it drew stays drawn.
    Used,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::NotTried, Self::Used];

    /// The stable name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NotTried => "not-tried",
            Self::Used => "used",
        }
    }

    /// The opposite of [`Outcome::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

    /// Whether what the attempt drew stays drawn.
    pub const fn is_charged(self) -> bool {
        matches!(self, Self::Failed | Self::Used)
    }
}

/// What a granted attempt holds until it is settled, which happens once.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "what is never settled is held for ever"]
pub struct Reservation(Vec<Held>);

impl Reservation {
    /// The rules it was drawn under.
    pub fn rules(&self) -> impl Iterator<Item = &RuleName> {
        self.0.iter().filter(|held| held.charge > 0).map(|held| &held.rule)
    }
}

/// What the limits say to an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// No rule refused.
    Granted {
        /// To be settled.
        reservation: Reservation,
        /// How long to keep it waiting.
        delay: Duration,
        /// The rules without room that do not refuse: they slow down or tell.
        beyond: Vec<(RuleName, Action)>,
    },
    /// A rule refused; no meter was drawn on.
    Refused {
        /// When the rule would grant, if nobody else drew and what is under way proved to be wrong; a second where nothing
        /// but what is under way is in the way, since how that ends is not known yet.
        retry_after: Duration,
        /// The rule that refuses for longest among those that refuse anybody; among the others, where none of those does.
        /// So what is refused before anybody is looked up is refused by the same rule as it would be afterwards.
        rule: RuleName,
    },
}

/// The rules that refuse for longest: among those that refuse anybody, and among the others.
pub(super) struct Refusal<R>([Option<(Duration, R)>; 2]);

impl<R> Default for Refusal<R> {
    fn default() -> Self {
        Self([None, None])
    }
}

impl<R: Clone> Refusal<R> {
    /// One more refuses.
    pub fn by(&mut self, rule: &R, for_anybody: bool, wait: Duration) {
        let [anybody, others] = &mut self.0;
        let place = if for_anybody { anybody } else { others };
        if place.as_ref().is_none_or(|(longest, _)| wait > *longest) {
            *place = Some((wait, rule.clone()));
        }
    }

    /// The one that is told.
    pub fn first(self) -> Option<(Duration, R)> {
        let [anybody, others] = self.0;
        anybody.or(others)
    }
}

/// Buckets that are looked at with each attempt, of those whose turn to be forgotten has come. An attempt adds a few and draws
/// on a few, which get another turn for that, so the table keeps pace without a pause.
const FORGET_AT_ONCE: usize = 16;

/// The meters.
#[derive(Debug)]
pub struct Ledger {
    book: Book,
}

impl Ledger {
    /// Most meters that a gateway keeps for each policy, the one in force and the one on trial: 20 to 26 MiB each.
    pub const MOST: usize = 200_000;

    /// With room for so many meters, about 120 bytes each.
    pub fn new(most: usize) -> Self {
        Self { book: Book::new(most) }
    }

    /// Judges an attempt that draws once on each of these, all or nothing.
    pub fn decide(&mut self, draws: Vec<Draw>, now: Nanos) -> Decision {
        self.book.forget_full(now, FORGET_AT_ONCE);
        let mut room = self.book.room();
        let mut wanted: Vec<(Draw, Found, u64)> = Vec::with_capacity(draws.len());
        let (mut beyond, mut delay) = (Vec::new(), Duration::ZERO);
        let mut refusal = Refusal::default();
        for draw in draws {
            let found = self.book.find(&draw.bucket, &mut room);
            self.book.fit(found, &draw, now);
            let Some(wait) = self.book.tally(found, &draw.bucket.rule, now).wait(&draw, now) else {
                let charge = nanos(draw.quota.interval());
                wanted.push((draw, found, charge));
                continue;
            };
            match draw.action {
                Action::Refuse => {
                    refusal.by(&draw.bucket.rule, draw.for_anybody, wait);
                    continue;
                }
                Action::Slow => delay = delay.max(wait.min(Action::LONGEST_DELAY)),
                Action::Notify => {}
            }
            beyond.push((draw.bucket.rule.clone(), draw.action));
            // Beyond the quota nothing more is drawn, but it is under way like any other.
            wanted.push((draw, found, 0));
        }
        if let Some((retry_after, rule)) = refusal.first() {
            return Decision::Refused { retry_after, rule };
        }
        let hold = |(draw, found, charge): (Draw, Found, u64)| self.book.hold(draw.bucket, found, charge, now);
        Decision::Granted {
            reservation: Reservation(wanted.into_iter().map(hold).collect()),
            delay,
            beyond,
        }
    }

    /// The rule that would refuse such an attempt, and how long; nothing is drawn on or remembered. Full meters are
    /// forgotten as in a decision, so that both find the same.
    pub fn look(&mut self, draws: &[Draw], now: Nanos) -> Option<(Duration, RuleName)> {
        self.book.forget_full(now, FORGET_AT_ONCE);
        let mut room = self.book.room();
        let mut refusal = Refusal::default();
        for draw in draws.iter().filter(|draw| draw.action == Action::Refuse) {
            let found = self.book.find(&draw.bucket, &mut room);
            self.book.fit(found, draw, now);
            if let Some(wait) = self.book.tally(found, &draw.bucket.rule, now).wait(draw, now) {
                refusal.by(&draw.bucket.rule, draw.for_anybody, wait);
            }
        }
        refusal.first()
    }

    /// What follows from how a granted attempt ended.
    pub fn settle(&mut self, reservation: Reservation, outcome: Outcome, now: Nanos) {
        for held in reservation.0 {
            self.book.release(&held, outcome.is_charged(), now);
        }
    }

    /// Charges at once whatever a decision has granted: of an attempt that was stopped elsewhere nobody will know how it
    /// would have ended. Nothing is left to be settled.
    pub fn charge(&mut self, decision: &Decision, now: Nanos) {
        if let Decision::Granted { reservation, .. } = decision {
            for held in &reservation.0 {
                self.book.release(held, true, now);
            }
        }
    }

    /// What was counted under one bucket counts under another from now on.
    pub fn pour(&mut self, from: &Bucket, to: &Bucket, now: Nanos) {
        self.book.pour(from, to, now);
    }

    /// Forgets every meter that is full again. Answers how many.
    pub fn sweep(&mut self, now: Nanos) -> usize {
        self.book.forget_full(now, usize::MAX)
    }

    /// What is counted, for another process: what is held is told as drawn, and passwords are left out.
    pub fn counted(&self, now: Nanos) -> Counted {
        self.counted_part(0, usize::MAX, now).unwrap_or_default()
    }

    /// The same in parts of so many slots, for whoever must not keep the ledger for long; `None` beyond the last.
    pub fn counted_part(&self, part: usize, slots: usize, now: Nanos) -> Option<Counted> {
        self.book.counted(part, slots, now)
    }

    /// Goes on with what another process has counted; of two meters for one bucket the emptier one counts.
    pub fn take_up(&mut self, counted: Counted, now: Nanos) {
        self.book.take_up(counted, now);
    }

    /// How many meters are kept.
    pub fn len(&self) -> usize {
        self.book.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
