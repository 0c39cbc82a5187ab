//! [`MemoryLimiter`]: the ledgers of the policy in force and of the one on trial, for everybody at once. What is decided and
//! counted is `domain::limits`; here are the lock, the clock and the keys.
//!
//! One lock guards both ledgers, and the clock is read under it: so decisions have one order, and whoever decides over the
//! same attempts in that order again comes to the same end. What the policies make of an attempt is worked out before.

mod passwords;
mod records;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::domain::account::AccountId;
use crate::domain::limits::attempt::Attempt;
use crate::domain::limits::ledger::{Bucket, Counted, Decision, Draw, Ledger, Outcome, Reservation, Subject};
use crate::domain::limits::policy::{KeyKind, Policy, RuleName};
use crate::domain::limits::record::{Seen, Verdict};
use crate::domain::limits::regime::Regime;
use crate::domain::limits::{NameDigest, Nanos};
use crate::domain::password::Password;
use crate::ports::{AttemptLog, Clock, Crowds, Entropy, Grant, Limiter, NoLog, Nobody, Ruling, Stopped, Witness};

use passwords::PasswordKeys;
use records::{Almanac, digest, ended, seen};

/// Meters that are told to another process under one lock: well below a millisecond's worth.
const PART: usize = 4096;

/// What the limits' memory rests on.
pub struct LimiterTerms {
    /// Most meters of each policy, about 120 bytes each.
    pub most: usize,
    /// Names are digested under it, so that no table is a list of names and nobody can choose names that fall together.
    pub key: [u8; 32],
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes the keys of passwords.
    pub entropy: Arc<dyn Entropy>,
    /// Which addresses many people share.
    pub crowds: Arc<dyn Crowds>,
    /// Where every attempt is noted.
    pub log: Arc<dyn AttemptLog>,
    /// Who counts decisions.
    pub witness: Arc<dyn Witness>,
}

impl LimiterTerms {
    /// Nobody looks, nothing is noted.
    pub fn alone(most: usize, key: [u8; 32], clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            most,
            key,
            clock,
            entropy,
            crowds: Arc::new(Nobody),
            log: Arc::new(NoLog),
            witness: Arc::new(Nobody),
        }
    }
}

/// Counts attempts in memory.
pub struct MemoryLimiter(Arc<Shared>);

struct Shared {
    books: Mutex<Books>,
    passwords: Mutex<PasswordKeys>,
    regime: ArcSwap<Regime>,
    most: usize,
    digest_key: Zeroizing<[u8; 32]>,
    clock: Arc<dyn Clock>,
    crowds: Arc<dyn Crowds>,
    log: Arc<dyn AttemptLog>,
    witness: Arc<dyn Witness>,
}

/// What the lock guards.
struct Books {
    active: Ledger,
    candidate: Ledger,
    /// How many trials have ended: what was held on one means nothing to the next.
    trials: u64,
    almanac: Almanac,
}

/// What is held on a trial, the one of this number.
type Trial = (u64, Reservation);

/// An attempt that goes on.
struct Open {
    held: Reservation,
    trial: Option<Trial>,
    began: Nanos,
    /// Of an attempt under a policy; draws on fixed budgets are not noted.
    seen: Option<Seen>,
}

impl MemoryLimiter {
    /// Most meters that a gateway keeps for each policy, the one in force and the one on trial: 20 to 26 MiB each.
    pub const MOST: usize = Ledger::MOST;

    /// Nothing is counted yet, and no policy is in force.
    pub fn new(terms: LimiterTerms) -> Self {
        Self(Arc::new(Shared {
            books: Mutex::new(Books {
                active: Ledger::new(terms.most),
                candidate: Ledger::new(terms.most),
                trials: 0,
                almanac: Almanac::new(&*terms.clock),
            }),
            passwords: Mutex::new(PasswordKeys::new(terms.entropy, terms.clock.monotonic())),
            regime: ArcSwap::default(),
            most: terms.most,
            digest_key: Zeroizing::new(terms.key),
            clock: terms.clock,
            crowds: terms.crowds,
            log: terms.log,
            witness: terms.witness,
        }))
    }

    /// Puts policies into force. What was counted stays with rules of the same name and key.
    pub fn govern(&self, regime: Regime) {
        self.0.witness.governs(&regime.active, regime.candidate.as_deref());
        let over = regime.candidate.is_none();
        self.0.regime.store(Arc::new(regime));
        if over {
            let mut books = self.0.books.lock();
            books.candidate = Ledger::new(self.0.most);
            books.trials += 1;
        }
    }

    /// The policies in force.
    pub fn regime(&self) -> Arc<Regime> {
        self.0.regime.load_full()
    }

    /// Forgets every meter that is full again, and keys of passwords that are too old. Answers how many meters.
    pub fn sweep(&self) -> usize {
        self.0.passwords.lock().renew(self.0.clock.monotonic());
        let mut books = self.0.books.lock();
        let now = self.0.clock.monotonic();
        books.active.sweep(now) + books.candidate.sweep(now)
    }

    /// What is counted under the policy in force, for another process. Taken in parts, between which attempts go on.
    pub fn counted(&self) -> Counted {
        let part = |number| {
            let books = self.0.books.lock();
            books.active.counted_part(number, PART, self.0.clock.monotonic())
        };
        let mut counted = Counted::default();
        for part in (0..).map_while(part) {
            counted.extend(part);
        }
        counted
    }

    /// Goes on with what another process has counted; of two meters for one bucket the emptier one counts.
    pub fn take_up(&self, counted: Counted) {
        let mut books = self.0.books.lock();
        let now = self.0.clock.monotonic();
        books.active.take_up(counted, now);
    }

    /// How many meters are kept under the policy in force.
    pub fn len(&self) -> usize {
        self.0.books.lock().active.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Limiter for MemoryLimiter {
    fn knock(&self, attempt: &Attempt, person: Option<AccountId>) -> Option<Stopped> {
        self.0.knock(attempt, person)
    }

    fn attempt(&self, mut attempt: Attempt, person: Option<AccountId>) -> Ruling {
        let shared = &self.0;
        attempt.budgets = shared.crowds.budgets(attempt.client.limit_key());
        let regime = shared.regime.load();
        let draws = regime.active.draws(&attempt);
        let trial = regime.candidate.as_ref().map(|policy| policy.draws(&attempt));
        let mut books = shared.books.lock();
        let now = shared.clock.monotonic();
        let decision = books.active.decide(draws, now);
        let stopped = matches!(decision, Decision::Refused { .. });
        let tried = trial.map(|draws| books.try_out(draws, stopped, now));
        let at = books.almanac.at(now, &*shared.clock);
        let number = books.trials;
        drop(books);
        if let Some(tried) = &tried {
            shared.witness.tried(tried);
        }
        shared.witness.decided(Some(attempt.endpoint), &decision);
        let candidate = tried.as_ref().map(Verdict::of);
        let trial = match tried {
            Some(Decision::Granted { reservation, .. }) if !stopped => Some((number, reservation)),
            _ => None,
        };
        let seen = seen(&attempt, person, at, Verdict::of(&decision), candidate);
        shared.rule(decision, trial, now, Some(seen))
    }

    fn draw(&self, draws: Vec<Draw>) -> Ruling {
        let shared = &self.0;
        let draws = draws.into_iter().map(|draw| shared.widened(draw)).collect();
        let (decision, now) = {
            let mut books = shared.books.lock();
            let now = shared.clock.monotonic();
            (books.active.decide(draws, now), now)
        };
        shared.witness.decided(None, &decision);
        shared.rule(decision, None, now, None)
    }

    fn counts_by(&self, rule: &RuleName) -> Option<KeyKind> {
        let regime = self.0.regime.load();
        let known = regime.active.rules.iter().find(|known| known.name == *rule);
        known.map(|rule| rule.key)
    }

    fn digest_text(&self, text: &str) -> NameDigest {
        digest(&*self.0.digest_key, text)
    }

    fn digest_password(&self, password: &Password) -> NameDigest {
        let shared = &self.0;
        let (current, former) = shared.passwords.lock().digests(password, shared.clock.monotonic());
        if let Some(former) = former {
            shared.move_over(former, current);
        }
        current
    }
}

impl Shared {
    fn knock(&self, attempt: &Attempt, person: Option<AccountId>) -> Option<Stopped> {
        let mut attempt = attempt.clone();
        attempt.budgets = self.crowds.budgets(attempt.client.limit_key());
        let regime = self.regime.load();
        let draws = regime.active.draws_of_anybody(&attempt);
        if draws.is_empty() {
            return None;
        }
        let mut books = self.books.lock();
        let now = self.clock.monotonic();
        let (retry_after, rule) = books.active.look(&draws, now)?;
        // The attempt is over, so the policy on trial sees it now, as far as it is known.
        let tried = regime
            .candidate
            .as_ref()
            .map(|policy| books.try_out(policy.draws(&attempt), true, now));
        let at = books.almanac.at(now, &*self.clock);
        drop(books);
        if let Some(tried) = &tried {
            self.witness.tried(tried);
        }
        let decision = Decision::Refused { retry_after, rule };
        self.witness.decided(Some(attempt.endpoint), &decision);
        let candidate = tried.as_ref().map(Verdict::of);
        self.log
            .note(seen(&attempt, person, at, Verdict::of(&decision), candidate));
        match decision {
            Decision::Refused { retry_after, rule } => Some(Stopped { retry_after, rule }),
            Decision::Granted { .. } => None,
        }
    }

    /// Hands a decision on: with what follows from how the attempt ends, or noted as it is.
    fn rule(self: &Arc<Self>, decision: Decision, trial: Option<Trial>, began: Nanos, seen: Option<Seen>) -> Ruling {
        match decision {
            Decision::Granted { reservation, delay, .. } => {
                let open = Open {
                    held: reservation,
                    trial,
                    began,
                    seen,
                };
                let shared = Arc::clone(self);
                Ruling::Granted(Grant::new(delay, move |outcome| shared.settle(open, outcome)))
            }
            Decision::Refused { retry_after, rule } => {
                if let Some(seen) = seen {
                    self.log.note(seen);
                }
                Ruling::Refused(Stopped { retry_after, rule })
            }
        }
    }

    fn settle(&self, open: Open, outcome: Outcome) {
        let now = {
            let mut books = self.books.lock();
            let now = self.clock.monotonic();
            books.active.settle(open.held, outcome, now);
            if let Some((number, trial)) = open.trial
                && number == books.trials
            {
                books.candidate.settle(trial, outcome, now);
            }
            now
        };
        if let Some(mut seen) = open.seen {
            let took = Duration::from_nanos(now.0.saturating_sub(open.began.0));
            ended(&mut seen, outcome, took);
            self.log.note(seen);
        }
    }

    /// What was counted under one digest of a password counts under another.
    fn move_over(&self, from: NameDigest, to: NameDigest) {
        let bucket = |rule: &RuleName, digest| Bucket {
            rule: rule.clone(),
            subject: Subject::Password(digest),
        };
        let regime = self.regime.load();
        let of = |policy: &Policy| -> Vec<_> {
            let rules = policy.rules.iter().filter(|rule| rule.key == KeyKind::Password);
            rules
                .map(|rule| (bucket(&rule.name, from), bucket(&rule.name, to)))
                .collect()
        };
        let active = of(&regime.active);
        let candidate = regime.candidate.as_deref().map(of).unwrap_or_default();
        if active.is_empty() && candidate.is_empty() {
            return;
        }
        let mut books = self.books.lock();
        let now = self.clock.monotonic();
        for (from, to) in active {
            books.active.pour(&from, &to, now);
        }
        for (from, to) in candidate {
            books.candidate.pour(&from, &to, now);
        }
    }

    /// A client that stands for many has more room where nothing but the client is counted by.
    fn widened(&self, mut draw: Draw) -> Draw {
        if let Subject::Client(client) = &draw.bucket.subject {
            draw.quota = draw.quota.times(self.crowds.budgets(*client));
        }
        draw
    }
}

impl Books {
    /// What the policy on trial makes of it. Of an attempt that the policy in force has stopped nobody will know how it
    /// would have ended: it counts as wrong at once.
    fn try_out(&mut self, draws: Vec<Draw>, stopped: bool, now: Nanos) -> Decision {
        let decision = self.candidate.decide(draws, now);
        if stopped {
            self.candidate.charge(&decision, now);
        }
        decision
    }
}

#[cfg(test)]
mod tests;
