//! The limits' memory.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::domain::account::{AccountId, LoginName};
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Attempt, Endpoint};
use crate::domain::limits::ledger::{Decision, Draw, Outcome};
use crate::domain::limits::policy::{KeyKind, Policy, RuleName};
use crate::domain::password::Password;

/// Decides over attempts under the policies in force, and keeps what is counted. Never waits and never fails: without room
/// for a new meter it counts in a shared one.
pub trait Limiter: Send + Sync {
    /// Whether an attempt would be refused whatever account it is aimed at: for a look before anybody is looked up. Draws
    /// on nothing; an attempt that is refused here is over. What it says of the account is for the records.
    fn knock(&self, attempt: &Attempt, person: Option<AccountId>) -> Option<Stopped>;

    /// Decides over an attempt before any work is done for it. `person` is whom it is aimed at, where there is such an
    /// account. How many people's worth of room its client has is seen to here.
    fn attempt(&self, attempt: Attempt, person: Option<AccountId>) -> Ruling;

    /// Draws on budgets that belong to no policy, atomically over all of them.
    fn draw(&self, draws: Vec<Draw>) -> Ruling;

    /// By what the rule of this name counts, in the policy in force.
    fn counts_by(&self, rule: &RuleName) -> Option<KeyKind>;

    /// The keyed digest under which a name is counted.
    fn digest(&self, name: &LoginName) -> NameDigest {
        self.digest_text(name.key())
    }

    /// The keyed digest of a text that is no name at all; it is counted all the same.
    fn digest_text(&self, text: &str) -> NameDigest;

    /// The digest of a password, under a key that lives for minutes and in memory only.
    fn digest_password(&self, password: &Password) -> NameDigest;
}

/// What the limits say to an attempt.
#[derive(Debug)]
pub enum Ruling {
    /// Go on.
    Granted(Grant),
    /// Stop.
    Refused(Stopped),
}

/// Why an attempt goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// When it may be tried again.
    pub retry_after: Duration,
    /// The rule that refuses for longest. Strangers are not told.
    pub rule: RuleName,
}

type Settle = Box<dyn FnOnce(Outcome) + Send + Sync>;

/// The right of an attempt to go on. It is settled once; whoever drops it has failed: a client that hangs up has guessed.
#[must_use = "an attempt that is dropped has failed"]
pub struct Grant {
    delay: Duration,
    settle: Option<Settle>,
}

impl Grant {
    /// With what follows from how it ends.
    pub fn new(delay: Duration, settle: impl FnOnce(Outcome) + Send + Sync + 'static) -> Self {
        Self {
            delay,
            settle: Some(Box::new(settle)),
        }
    }

    /// Nothing follows.
    pub const fn free() -> Self {
        Self {
            delay: Duration::ZERO,
            settle: None,
        }
    }

    /// How long the attempt is kept waiting before any work.
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// The attempt has ended so.
    pub fn settle(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(settle) = self.settle.take() {
            settle(outcome);
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.end(Outcome::Failed);
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}

/// Knows which addresses many people share.
pub trait Crowds: Send + Sync {
    /// How many people's worth of room a client has, as limits count it.
    fn budgets(&self, client: IpAddr) -> u32;
}

/// Is told what the limits decide, as it is decided. Never waits and never fails.
pub trait Witness: Send + Sync {
    /// The policy in force, or a fixed budget, where nothing is tried, decided so.
    fn decided(&self, endpoint: Option<Endpoint>, decision: &Decision);

    /// The policy on trial would have decided so.
    fn tried(&self, decision: &Decision);

    /// These policies come into force.
    fn governs(&self, active: &Policy, candidate: Option<&Policy>);
}

/// Every client is one, and nobody looks.
#[derive(Debug, Default)]
pub struct Nobody;

impl Crowds for Nobody {
    fn budgets(&self, _: IpAddr) -> u32 {
        1
    }
}

impl Witness for Nobody {
    fn decided(&self, _: Option<Endpoint>, _: &Decision) {}

    fn tried(&self, _: &Decision) {}

    fn governs(&self, _: &Policy, _: Option<&Policy>) {}
}
