//! The budget of letters with links: how many one account, one client and everybody together may cause.
//!
//! A reset beyond it sends nothing, since its sender may be anybody. A Welcome, which an operator wanted, waits for a
//! turn of its own. Notices of what happened to an account always go out.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::domain::account::Account;
use crate::domain::limits::{Decision, Draw, LimitKey, Quota, Reservation};
use crate::domain::outbox::{Letter, Matter};
use crate::domain::session::later;
use crate::ports::Limiter;

use super::World;

/// How many letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailLimits {
    /// To one account.
    pub account: Quota,
    /// Caused by one client.
    pub client: Quota,
    /// In all.
    pub day: Quota,
}

/// Counts letters before their links are made.
pub struct MailBudget {
    limiter: Arc<dyn Limiter>,
    limits: Option<MailLimits>,
    /// The last turn given to a letter that waits: each has its own, or all would come back at once.
    last_turn: Mutex<Option<Timestamp>>,
}

/// What the budget says to a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Budget {
    /// It may go; what was drawn is given back when it does not go after all.
    Room(Option<Reservation>),
    /// It is not sent, under this rule.
    Refused(&'static str),
    /// It waits until then, under this rule.
    Wait(Timestamp, &'static str),
}

impl MailBudget {
    /// `None` when the operator switched limits off.
    pub fn new(limiter: Arc<dyn Limiter>, limits: Option<MailLimits>) -> Self {
        Self {
            limiter,
            limits,
            last_turn: Mutex::default(),
        }
    }

    /// Charges a letter to this account.
    pub fn charge(&self, letter: &Letter, account: &Account, world: &World) -> Budget {
        let (Some(limits), Some(_)) = (self.limits, letter.matter.purpose()) else {
            return Budget::Room(None);
        };
        let whose = self.limiter.digest_text(&account.id.to_string());
        let mut draws = vec![
            (LimitKey::MailAccount(whose), limits.account),
            (LimitKey::MailDay, limits.day),
        ];
        let asked_by = match &letter.matter {
            Matter::ResetRequested { client, .. } => Some(*client),
            _ => None,
        };
        draws.extend(asked_by.map(|client| (LimitKey::MailClient(client.limit_key()), limits.client)));
        let draws = draws.into_iter().map(|(key, quota)| Draw { key, quota }).collect();
        match self.limiter.reserve(draws, world.monotonic()) {
            Decision::Granted(drawn) => Budget::Room(Some(drawn)),
            Decision::Refused { rule, .. } if asked_by.is_some() => Budget::Refused(rule),
            Decision::Refused { retry_after, rule } => {
                Budget::Wait(self.turn(world.now(), retry_after, limits.day.interval()), rule)
            }
        }
    }

    /// The letter did not go: a mail server that is down uses nothing up.
    pub fn give_back(&self, drawn: Option<&Reservation>) {
        if let Some(drawn) = drawn {
            self.limiter.refund(drawn);
        }
    }

    fn turn(&self, now: Timestamp, wait: Duration, apart: Duration) -> Timestamp {
        let mut last = self.last_turn.lock();
        let turn = later(now, wait);
        let turn = last.map_or(turn, |last| turn.max(later(last, apart)));
        *last = Some(turn);
        turn
    }
}
