//! The budget of letters with links: how many one account, one client and everybody together may cause.
//!
//! A reset beyond it sends nothing, since its sender may be anybody. A Welcome, which an operator wanted, waits
//! for room at its account and uses up nothing that resets need: its own limit is the pace. Notices of what happened to an
//! account always go out, and count towards the day.
//!
//! A reset asked for on a device that is known for the account draws on a bucket of that device and not on those that
//! strangers can use up: neither that of the account nor the day, towards which it counts all the same.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::account::Account;
use crate::domain::device::Device;
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
    /// Resets in all.
    pub day: Quota,
}

/// Counts letters before their links are made.
pub struct MailBudget {
    limiter: Arc<dyn Limiter>,
    limits: Option<MailLimits>,
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
        Self { limiter, limits }
    }

    /// Charges a letter to this account; `device` is the one it was asked for on, when that is known for the account.
    pub fn charge(&self, letter: &Letter, account: &Account, device: Option<&Device>, world: &World) -> Budget {
        let Some(limits) = self.limits else {
            return Budget::Room(None);
        };
        if letter.matter.purpose().is_none() {
            return Budget::Room(self.count(&limits, world));
        }
        let mut draws = vec![(self.whose(account, device), limits.account)];
        let asked_by = match &letter.matter {
            Matter::ResetRequested { client, .. } => Some(*client),
            _ => None,
        };
        if let Some(client) = asked_by {
            if device.is_none() {
                draws.push((LimitKey::MailDay, limits.day));
            }
            draws.push((LimitKey::MailClient(client.limit_key()), limits.client));
        }
        let draws = draws.into_iter().map(|(key, quota)| Draw { key, quota }).collect();
        match self.limiter.reserve(draws, world.monotonic()) {
            Decision::Granted(mut drawn) => {
                let counted = device.and_then(|_| self.count(&limits, world));
                drawn.0.extend(counted.into_iter().flat_map(|counted| counted.0));
                Budget::Room(Some(drawn))
            }
            Decision::Refused { rule, .. } if asked_by.is_some() => Budget::Refused(rule),
            Decision::Refused { retry_after, rule } => Budget::Wait(later(world.now(), retry_after), rule),
        }
    }

    /// The account's bucket, or that of one of its own devices.
    fn whose(&self, account: &Account, device: Option<&Device>) -> LimitKey {
        match device {
            None => LimitKey::MailAccount(self.limiter.digest_text(&account.id.to_string())),
            Some(device) => {
                let device = Uuid::from_bytes(*device.id());
                let both = format!("device {device} {}", account.id);
                LimitKey::MailDevice(self.limiter.digest_text(&both))
            }
        }
    }

    /// What strangers cannot cause uses up the day like any letter; where nothing is left, it goes all the same.
    fn count(&self, limits: &MailLimits, world: &World) -> Option<Reservation> {
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parking_lot::Mutex;
    use uuid::Uuid;

    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::limits::{NameDigest, Nanos};
    use crate::domain::outbox::LetterId;
    use crate::domain::session::tests::{account, at};
    use crate::domain::site::SiteName;
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

    /// Refuses everything and notes which rules were drawn on.
    #[derive(Default)]
    struct Noting(Mutex<Vec<&'static str>>);

    impl Limiter for Noting {
        fn reserve(&self, draws: Vec<Draw>, _: Nanos) -> Decision {
            self.0.lock().extend(draws.iter().map(|draw| draw.key.rule()));
            Decision::Refused {
                retry_after: Duration::ZERO,
                rule: "noted",
            }
        }

        fn refund(&self, _: &Reservation) {}

        fn digest_text(&self, _: &str) -> NameDigest {
            NameDigest(0, 0)
        }
    }

    #[test]
    fn welcomes_use_up_nothing_of_the_day_that_resets_need() {
        let quota: Quota = "12 per 1m".parse().unwrap();
        let limits = MailLimits {
            account: quota,
            client: quota,
            day: quota,
        };
        let limiter = Arc::new(Noting::default());
        let budget = MailBudget::new(limiter.clone(), Some(limits));
        charged(&budget, Matter::Welcome { account: account().id });
        assert_eq!(*limiter.0.lock(), ["mail.account"]);
        limiter.0.lock().clear();
        charged(&budget, reset());
        assert_eq!(*limiter.0.lock(), ["mail.account", "mail.day", "mail.client"]);
    }

    #[test]
    fn a_reset_asked_for_on_an_own_device_draws_on_nothing_that_strangers_can_use_up() {
        let quota: Quota = "12 per 1m".parse().unwrap();
        let limits = MailLimits {
            account: quota,
            client: quota,
            day: quota,
        };
        let device = Device::fresh([1; 32]);
        let limiter = Arc::new(Noting::default());
        let refusing = MailBudget::new(limiter.clone(), Some(limits));
        assert_eq!(charged_on(&refusing, reset(), Some(&device)), Budget::Refused("noted"));
        assert_eq!(
            *limiter.0.lock(),
            ["mail.device", "mail.client"],
            "bounded all the same"
        );
        let open = MailBudget::new(Arc::new(Open), Some(limits));
        let Budget::Room(Some(drawn)) = charged_on(&open, reset(), Some(&device)) else {
            panic!("there is room");
        };
        let rules: Vec<_> = drawn.0.iter().map(|draw| draw.key.rule()).collect();
        assert_eq!(
            rules,
            ["mail.device", "mail.client", "mail.day"],
            "it counts towards the day"
        );
    }

    fn reset() -> Matter {
        Matter::ResetRequested {
            email: crate::domain::account::Email::parse("a@b.example").unwrap(),
            client: ClientAddr::new("192.0.2.1".parse().unwrap()),
            device: None,
            site: SiteName::main(),
        }
    }

    fn charged(budget: &MailBudget, matter: Matter) -> Budget {
        charged_on(budget, matter, None)
    }

    fn charged_on(budget: &MailBudget, matter: Matter, device: Option<&Device>) -> Budget {
        let letter = Letter {
            id: LetterId::new(Uuid::from_u128(1)),
            matter,
            created_at: at(0),
        };
        budget.charge(
            &letter,
            &account(),
            device,
            &World::new(Arc::new(Still), Arc::new(Still)),
        )
    }

    #[test]
    fn a_welcome_waits_a_reset_is_refused_and_notices_always_go() {
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
        assert_eq!(charged(&budget, reset()), Budget::Refused("mail.day"));
        let notice = charged(&budget, Matter::PasswordChanged { account: whose });
        assert_eq!(notice, Budget::Room(None));
        let off = MailBudget::new(Arc::new(Closed), None);
        assert_eq!(charged(&off, Matter::Welcome { account: whose }), Budget::Room(None));
    }
}
