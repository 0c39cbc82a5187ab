//! What is written down about an attempt, and what that is told by: digests of names, and times that are as far apart as on
//! the clock that never goes back.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::domain::account::AccountId;
use crate::domain::limits::attempt::Attempt;
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::record::{AttemptRecord, Seen, Verdict};
use crate::domain::limits::{NameDigest, Nanos};
use crate::ports::Clock;

/// HMAC-SHA-256, its first 128 bits.
pub(super) fn digest(key: &[u8], text: &str) -> NameDigest {
    let (mut high, mut low) = ([0; 8], [0; 8]);
    // HMAC takes a key of any length, so this always holds.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(text.as_bytes());
        let code = mac.finalize().into_bytes();
        high.copy_from_slice(&code[..8]);
        low.copy_from_slice(&code[8..16]);
    }
    NameDigest(u64::from_be_bytes(high), u64::from_be_bytes(low))
}

/// An attempt as it was decided over, with what the policy in force and the one on trial said to it. How it ends is not known
/// yet, or never will be.
pub(super) fn seen(
    attempt: &Attempt,
    person: Option<AccountId>,
    at: Timestamp,
    active: Verdict,
    candidate: Option<Verdict>,
) -> Seen {
    // What the one has stopped was over before anybody saw the ban; under the other the ban would have.
    let said = |verdict: Verdict| {
        if attempt.banned { verdict.under_a_ban() } else { verdict }
    };
    Seen {
        password: attempt.password,
        record: AttemptRecord {
            at,
            endpoint: attempt.endpoint,
            client: attempt.client,
            budgets: attempt.budgets,
            account: attempt.account,
            person,
            lane: attempt.lane(),
            device: attempt.device,
            outcome: None,
            took: Duration::ZERO,
            active: said(active),
            candidate: candidate.map(said),
        },
    }
}

/// Writes down how it ended, so long after it was decided over. Of what a ban has stopped nobody knows whether it was right.
pub(super) fn ended(seen: &mut Seen, outcome: Outcome, took: Duration) {
    let record = &mut seen.record;
    record.took = took;
    record.outcome = Some(outcome).filter(|outcome| record.active != Verdict::Banned || !outcome.is_charged());
}

/// Tells which time of day a moment of the monotonic clock is. It follows the clock on the wall only where that was set:
/// else two attempts would be nearer to each other in the records than they were.
pub(super) struct Almanac {
    moment: Nanos,
    time: Timestamp,
}

/// Nanoseconds by which the two clocks may drift apart.
const DRIFT: i128 = 1_000_000_000;

impl Almanac {
    pub fn new(clock: &dyn Clock) -> Self {
        Self {
            moment: clock.monotonic(),
            time: clock.now(),
        }
    }

    /// The time of day at this moment, which is about now.
    pub fn at(&mut self, moment: Nanos, clock: &dyn Clock) -> Timestamp {
        let wall = clock.now();
        let since = i128::from(moment.0) - i128::from(self.moment.0);
        let told = Timestamp::from_nanosecond(self.time.as_nanosecond() + since).unwrap_or(wall);
        if (told.as_nanosecond() - wall.as_nanosecond()).abs() <= DRIFT {
            return told;
        }
        (self.moment, self.time) = (moment, wall);
        wall
    }
}
