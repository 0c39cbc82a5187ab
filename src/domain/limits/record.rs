//! What is written down about an attempt, so that another policy can be tried on it later. Names and devices are keyed
//! digests; of the password nothing is kept, not even that.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::NameDigest;
use super::attempt::{Endpoint, LaneKind};
use super::ledger::{Decision, Outcome};
use super::policy::{Action, RuleName};
use crate::domain::account::AccountId;
use crate::domain::client::ClientAddr;

/// What a policy said to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Go on.
    Granted,
    /// Go on, late; by this rule.
    Slowed(RuleName),
    /// Go on, and somebody is told; by this rule.
    Noted(RuleName),
    /// Stop; by this rule.
    Refused(RuleName),
    /// Come to nothing: no rule refuses, and a ban does.
    Banned,
}

impl Verdict {
    /// What a decision comes to: a rule that slows down counts for more than one that only tells.
    pub fn of(decision: &Decision) -> Self {
        let beyond = match decision {
            Decision::Refused { rule, .. } => return Self::Refused(rule.clone()),
            Decision::Granted { beyond, .. } => beyond,
        };
        let by = |wanted| beyond.iter().find(|(_, action)| *action == wanted);
        match (by(Action::Slow), by(Action::Notify)) {
            (Some((rule, _)), _) => Self::Slowed(rule.clone()),
            (None, Some((rule, _))) => Self::Noted(rule.clone()),
            (None, None) => Self::Granted,
        }
    }

    /// The same for an attempt that a ban is about. A rule that refuses is asked first, as by everybody else.
    #[must_use]
    pub fn under_a_ban(self) -> Self {
        match self {
            Self::Refused(_) => self,
            Self::Granted | Self::Slowed(_) | Self::Noted(_) | Self::Banned => Self::Banned,
        }
    }
}

/// One attempt that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// When it was decided over, to the nanosecond. Two of them are as far apart as they were on the clock that never goes
    /// back.
    pub at: Timestamp,
    /// What was tried.
    pub endpoint: Endpoint,
    /// From where.
    pub client: ClientAddr,
    /// How many people's worth of room the client had.
    pub budgets: u32,
    /// At whom, existing or invented.
    pub account: Option<NameDigest>,
    /// Who it was, where there is such an account.
    pub person: Option<AccountId>,
    /// Whose attempt.
    pub lane: LaneKind,
    /// From which device, where it is known.
    pub device: Option<NameDigest>,
    /// How it ended; `None` where the policy in force or a ban stopped it, so that nobody knows.
    pub outcome: Option<Outcome>,
    /// How long after `at` that was known; nothing where the policy in force stopped it. Until then the attempt was under way, and what it
    /// drew on was held: whoever decides over it again settles it at `at + took`.
    pub took: Duration,
    /// What the policy in force said.
    pub active: Verdict,
    /// What the policy on trial would have said.
    pub candidate: Option<Verdict>,
}

impl AttemptRecord {
    /// Whether it was made under a ban, as far as that is known: what the policy in force stops, it may have stopped first.
    pub const fn is_banned(&self) -> bool {
        matches!(self.active, Verdict::Banned) || matches!(self.candidate, Some(Verdict::Banned))
    }
}

/// What is handed on about an attempt while the process lives. Only its record is ever written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What may be kept.
    pub record: AttemptRecord,
    /// The password tried, under a key that lives for minutes and in memory only: tells that the same one was tried
    /// elsewhere, and nothing else.
    pub password: Option<NameDigest>,
}
