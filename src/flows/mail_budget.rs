//! The budget of letters with links: how many one account, one client and everybody together may cause.
//!
//! A reset beyond it sends nothing, since its sender may be anybody. A Welcome, which an operator wanted, waits for a
//! turn of its own. Notices of what happened to an account always go out, and count towards the day.

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
        let Some(limits) = self.limits else {
            return Budget::Room(None);
        };
        if letter.matter.purpose().is_none() {
            return Budget::Room(self.count_notice(&limits, world));
        }
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

    /// A notice uses up the day like any letter; where nothing is left, it goes all the same.
    fn count_notice(&self, limits: &MailLimits, world: &World) -> Option<Reservation> {
        let draw = Draw {
            key: LimitKey::MailDay,
            quota: limits.day,
        };
        match self.limiter.reserve(vec![draw], world.monotonic()) {
            Decision::Granted(drawn) => Some(drawn),
            Decision::Refused { .. } => None,
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::limits::{NameDigest, Nanos};
    use crate::domain::outbox::LetterId;
    use crate::domain::session::tests::{account, at};
    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::{Clock, Entropy};

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            at(0)
        }

        fn monotonic(&self) -> Nanos {
            Nanos(1)
        }
    }

    impl Entropy for Still {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [1; TOKEN_BYTES]
        }
    }

    /// Grants everything.
    struct Open;

    impl Limiter for Open {
        fn reserve(&self, draws: Vec<Draw>, _: Nanos) -> Decision {
            Decision::Granted(Reservation(draws))
        }

        fn refund(&self, _: &Reservation) {}

        fn digest_text(&self, _: &str) -> NameDigest {
            NameDigest(0, 0)
        }
    }

    #[test]
    fn a_notice_uses_up_the_day_and_nothing_else() {
        let quota: Quota = "12 per 1m".parse().unwrap();
        let limits = MailLimits {
            account: quota,
            client: quota,
            day: quota,
        };
        let budget = MailBudget::new(Arc::new(Open), Some(limits));
        let drawn = Draw {
            key: LimitKey::MailDay,
            quota,
        };
        let notice = charged(&budget, Matter::PasswordChanged { account: account().id });
        assert_eq!(notice, Budget::Room(Some(Reservation(vec![drawn]))));
    }

    /// Refuses everything for ten seconds.
    struct Closed;

    impl Limiter for Closed {
        fn reserve(&self, _: Vec<Draw>, _: Nanos) -> Decision {
            Decision::Refused {
                retry_after: Duration::from_secs(10),
                rule: "mail.day",
            }
        }

        fn refund(&self, _: &Reservation) {}

        fn digest_text(&self, _: &str) -> NameDigest {
            NameDigest(0, 0)
        }
    }

    fn charged(budget: &MailBudget, matter: Matter) -> Budget {
        let letter = Letter {
            id: LetterId::new(Uuid::from_u128(1)),
            matter,
            created_at: at(0),
        };
        budget.charge(&letter, &account(), &World::new(Arc::new(Still), Arc::new(Still)))
    }

    #[test]
    fn each_welcome_that_waits_gets_a_turn_of_its_own_and_notices_always_go() {
        let quota: Quota = "12 per 1m".parse().unwrap();
        let limits = MailLimits {
            account: quota,
            client: quota,
            day: quota,
        };
        let budget = MailBudget::new(Arc::new(Closed), Some(limits));
        let whose = account().id;
        let welcome = || charged(&budget, Matter::Welcome { account: whose });
        assert_eq!(welcome(), Budget::Wait(at(10), "mail.day"));
        assert_eq!(welcome(), Budget::Wait(at(15), "mail.day"));
        let reset = Matter::ResetRequested {
            email: crate::domain::account::Email::parse("a@b.example").unwrap(),
            client: ClientAddr::new("192.0.2.1".parse().unwrap()),
        };
        assert_eq!(charged(&budget, reset), Budget::Refused("mail.day"));
        let notice = charged(&budget, Matter::PasswordChanged { account: whose });
        assert_eq!(notice, Budget::Room(None));
        let off = MailBudget::new(Arc::new(Closed), None);
        assert_eq!(charged(&off, Matter::Welcome { account: whose }), Budget::Room(None));
    }
}
