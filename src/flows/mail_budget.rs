//! The budget of letters with links: how many one account, one client and everybody together may cause.
//!
//! A reset beyond it sends nothing, since its sender may be anybody. A Welcome, which an operator wanted, waits
//! for room at its account and uses up nothing that resets need: its own limit is the pace. Notices of what happened to an
//! account always go out, and count towards the day.
//!
//! A reset asked for on a device that is known for the account draws on a bucket of that device and not on those that
//! strangers can use up: neither that of the account nor the day, towards which it counts all the same.
//!
//! A link that unlocks a browser counts for whoever asked and for the day, as a reset does, and for no account: one account
//! is sent one an hour, which what is stored tells.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::account::Account;
use crate::domain::device::Device;
use crate::domain::limits::Quota;
use crate::domain::limits::fixed::Fixed;
use crate::domain::limits::ledger::{Draw, Outcome, Subject};
use crate::domain::limits::policy::RuleName;
use crate::domain::outbox::{Letter, Matter};
use crate::domain::session::later;
use crate::ports::{Grant, Limiter, Ruling, Stopped};

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
#[derive(Debug)]
pub enum Budget {
    /// It may go.
    Room(Postage),
    /// It is not sent, under this rule.
    Refused(RuleName),
    /// It waits until then, under this rule.
    Wait(Timestamp, RuleName),
}

/// What a letter has drawn. It is used up, unless it is given back.
#[derive(Debug)]
#[must_use = "a letter that does not go gives back what it drew"]
pub struct Postage(Vec<Grant>);

impl Postage {
    /// The letter went.
    pub fn use_up(self) {
        self.settle(Outcome::Used);
    }

    /// The letter did not go: a mail server that is down uses nothing up.
    pub fn give_back(self) {
        self.settle(Outcome::NotTried);
    }

    fn settle(self, outcome: Outcome) {
        for grant in self.0 {
            grant.settle(outcome);
        }
    }
}

impl MailBudget {
    /// `None` when the operator switched limits off.
    pub fn new(limiter: Arc<dyn Limiter>, limits: Option<MailLimits>) -> Self {
        Self { limiter, limits }
    }

    /// Charges a letter to this account; `device` is the one it was asked for on, when that is known for the account.
    pub fn charge(&self, letter: &Letter, account: &Account, device: Option<&Device>, world: &World) -> Budget {
        let Some(limits) = self.limits else {
            return Budget::Room(Postage(Vec::new()));
        };
        // The link to a password that was taken away is wanted by nobody but the gateway, once.
        if matches!(letter.matter, Matter::NewPassword { .. }) {
            return Budget::Room(self.notice());
        }
        let asked_by = letter.matter.asked_by();
        let mut draws = match (letter.matter.purpose(), asked_by) {
            (None, None) => return Budget::Room(self.notice()),
            // One account is sent few links that unlock a browser, whatever this budget says, and no reset less.
            (None, Some(_)) => Vec::new(),
            (Some(_), _) => vec![self.whose(account, device, limits.account)],
        };
        if let Some(client) = asked_by {
            if device.is_none() {
                draws.push(day(&limits));
            }
            draws.push(Fixed::MailClient.draw(Subject::Client(client.limit_key()), limits.client));
        }
        match self.limiter.draw(draws) {
            Ruling::Granted(grant) => {
                let counted = device.and_then(|_| self.count(&limits));
                Budget::Room(Postage([grant].into_iter().chain(counted).collect()))
            }
            Ruling::Refused(Stopped { rule, .. }) if asked_by.is_some() => Budget::Refused(rule),
            Ruling::Refused(Stopped { retry_after, rule }) => Budget::Wait(later(world.now(), retry_after), rule),
        }
    }

    /// Counts a notice of what happened to an account; it goes whatever is used up.
    pub fn notice(&self) -> Postage {
        let drawn = self.limits.and_then(|limits| self.count(&limits));
        Postage(drawn.into_iter().collect())
    }

    /// On the account's bucket, or that of one of its own devices.
    fn whose(&self, account: &Account, device: Option<&Device>, quota: Quota) -> Draw {
        match device {
            None => {
                let account = self.limiter.digest_text(&account.id.to_string());
                Fixed::MailAccount.draw(Subject::Account(account), quota)
            }
            Some(device) => {
                let device = Uuid::from_bytes(*device.id());
                let both = format!("device {device} {}", account.id);
                Fixed::MailDevice.draw(Subject::Device(self.limiter.digest_text(&both)), quota)
            }
        }
    }

    /// What strangers cannot cause uses up the day like any letter; where nothing is left, it goes all the same.
    fn count(&self, limits: &MailLimits) -> Option<Grant> {
        match self.limiter.draw(vec![day(limits)]) {
            Ruling::Granted(drawn) => Some(drawn),
            Ruling::Refused(_) => None,
        }
    }
}

fn day(limits: &MailLimits) -> Draw {
    Fixed::MailDay.draw(Subject::Global, limits.day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parking_lot::Mutex;
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::AccountId;
    use crate::domain::client::ClientAddr;
    use crate::domain::limits::attempt::Attempt;
    use crate::domain::limits::policy::KeyKind;
    use crate::domain::limits::{NameDigest, Nanos};
    use crate::domain::outbox::LetterId;
    use crate::domain::password::Password;
    use crate::domain::session::tests::{account, at};
    use crate::domain::site::SiteName;
    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::{Clock, Entropy};
    use crate::store::{LimiterTerms, MemoryLimiter};

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

    /// Grants everything, or refuses it for ten seconds, and notes which budgets were drawn on.
    #[derive(Default)]
    struct Noting {
        closed: bool,
        drawn: Mutex<Vec<String>>,
    }

    impl Noting {
        fn closed() -> Arc<Self> {
            Arc::new(Self {
                closed: true,
                ..Self::default()
            })
        }

        fn drawn(&self) -> Vec<String> {
            std::mem::take(&mut *self.drawn.lock())
        }
    }

    impl Limiter for Noting {
        fn knock(&self, _: &Attempt, _: Option<AccountId>) -> Option<Stopped> {
            unreachable!("letters are no attempts")
        }

        fn attempt(&self, _: Attempt, _: Option<AccountId>) -> Ruling {
            unreachable!("letters are no attempts")
        }

        fn draw(&self, draws: Vec<Draw>) -> Ruling {
            let rules: Vec<_> = draws.into_iter().map(|draw| draw.bucket.rule).collect();
            self.drawn.lock().extend(rules.iter().map(ToString::to_string));
            if self.closed {
                return Ruling::Refused(Stopped {
                    retry_after: Duration::from_secs(10),
                    rule: rules.last().unwrap().clone(),
                });
            }
            Ruling::Granted(Grant::free())
        }

        fn counts_by(&self, _: &RuleName) -> Option<KeyKind> {
            None
        }

        fn digest_text(&self, _: &str) -> NameDigest {
            NameDigest(0, 0)
        }

        fn digest_password(&self, _: &Password) -> NameDigest {
            NameDigest(0, 0)
        }
    }

    fn limits() -> MailLimits {
        let quota: Quota = "12 per 1m".parse().unwrap();
        MailLimits {
            account: quota,
            client: quota,
            day: quota,
        }
    }

    fn budget(limiter: &Arc<Noting>) -> MailBudget {
        MailBudget::new(Arc::clone(limiter) as _, Some(limits()))
    }

    #[test]
    fn a_notice_uses_up_the_day_and_nothing_else() {
        let limiter = Arc::new(Noting::default());
        let notice = charged(&budget(&limiter), Matter::PasswordChanged { account: account().id });
        assert!(matches!(notice, Budget::Room(_)));
        assert_eq!(limiter.drawn(), ["mail.day"]);
    }

    #[test]
    fn welcomes_use_up_nothing_of_the_day_that_resets_need() {
        let limiter = Noting::closed();
        let budget = budget(&limiter);
        charged(&budget, Matter::Welcome { account: account().id });
        assert_eq!(limiter.drawn(), ["mail.account"]);
        charged(&budget, reset());
        assert_eq!(limiter.drawn(), ["mail.account", "mail.day", "mail.client"]);
    }

    #[test]
    fn a_link_that_unlocks_counts_for_the_day_and_whoever_asked_and_takes_no_reset_from_the_account() {
        let matter = || Matter::UnlockRequested {
            name: crate::domain::account::LoginName::parse("101").unwrap(),
            client: ClientAddr::new("192.0.2.1".parse().unwrap()),
            site: SiteName::main(),
        };
        let open = Arc::new(Noting::default());
        assert!(matches!(charged(&budget(&open), matter()), Budget::Room(_)));
        assert_eq!(open.drawn(), ["mail.day", "mail.client"]);
        let closed = Noting::closed();
        assert!(matches!(charged(&budget(&closed), matter()), Budget::Refused(_)));
    }

    #[test]
    fn a_reset_asked_for_on_an_own_device_draws_on_nothing_that_strangers_can_use_up() {
        let device = Device::fresh([1; 32]);
        let closed = Noting::closed();
        let refused = charged_on(&budget(&closed), reset(), Some(&device));
        assert!(matches!(refused, Budget::Refused(rule) if rule.as_str() == "mail.client"));
        assert_eq!(closed.drawn(), ["mail.device", "mail.client"], "bounded all the same");
        let open = Arc::new(Noting::default());
        let room = charged_on(&budget(&open), reset(), Some(&device));
        assert!(matches!(room, Budget::Room(_)));
        assert_eq!(
            open.drawn(),
            ["mail.device", "mail.client", "mail.day"],
            "it counts towards the day"
        );
    }

    #[test]
    fn what_a_letter_drew_is_used_up_when_it_went_and_given_back_when_it_did_not() {
        let terms = LimiterTerms::alone(100, [0; 32], Arc::new(Still), Arc::new(Still));
        let limits = MailLimits {
            account: "1 per 1h".parse().unwrap(),
            ..limits()
        };
        let budget = MailBudget::new(Arc::new(MemoryLimiter::new(terms)), Some(limits));
        let Budget::Room(postage) = charged(&budget, reset()) else {
            panic!("there is room");
        };
        postage.give_back();
        let Budget::Room(postage) = charged(&budget, reset()) else {
            panic!("there is room again");
        };
        postage.use_up();
        assert!(matches!(charged(&budget, reset()), Budget::Refused(rule) if rule.as_str() == "mail.account"));
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
        let closed = Noting::closed();
        let budget = budget(&closed);
        let whose = account().id;
        let welcome = charged(&budget, Matter::Welcome { account: whose });
        assert!(matches!(welcome, Budget::Wait(until, rule) if until == at(10) && rule.as_str() == "mail.account"));
        assert!(matches!(charged(&budget, reset()), Budget::Refused(_)));
        let notice = charged(&budget, Matter::PasswordChanged { account: whose });
        assert!(matches!(notice, Budget::Room(_)));
        let off = MailBudget::new(closed.clone(), None);
        closed.drawn();
        assert!(matches!(
            charged(&off, Matter::Welcome { account: whose }),
            Budget::Room(_)
        ));
        assert!(closed.drawn().is_empty());
    }
}
