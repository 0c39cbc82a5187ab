//! An unlock: the single-use right to make one browser known for an account, carried by a link to the account's own
//! address. It is for an owner who is stopped on a new device because somebody else keeps guessing at the account: what is
//! tried from that browser then draws on a bucket of its own. It signs nobody in and sets no password.

use std::time::Duration;

use jiff::Timestamp;

use super::account::{Account, AccountId, AccountState, Email};
use super::outbox::LetterId;
use super::token::TokenDigest;

/// Where its link leads, below either door.
pub const PATH: &str = "/.sekisho/unlock";

/// How long a link works.
pub const LIFE: Duration = Duration::from_hours(1);

/// One account is sent at most one link in this time, whoever asks. No longer than a link works: whoever uses up the letter
/// of this hour leaves its owner with a link that works until the next may be sent.
pub const SENT_EVERY: Duration = LIFE;

/// The record of an unlock. The token in the link is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlock {
    /// Digest of the token in the link.
    pub digest: TokenDigest,
    /// For which account it makes a browser known.
    pub account: AccountId,
    /// The letter that carries it.
    pub letter: LetterId,
    /// Where that letter went.
    pub sent_to: Email,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is void.
    pub expires_at: Timestamp,
    /// When it was used, or a newer one took its place.
    pub ended_at: Option<Timestamp>,
}

impl Unlock {
    /// Whether it still works for its account, as that stands now. Whatever takes the address or the password away takes
    /// the link with it.
    pub fn works(&self, account: &Account, password_set_at: Option<Timestamp>, now: Timestamp) -> bool {
        self.ended_at.is_none()
            && now < self.expires_at
            && account.id == self.account
            && account.state == AccountState::Active
            && account.email.as_ref().map(Email::key) == Some(self.sent_to.key())
            && password_set_at.is_some_and(|set| set <= self.created_at)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::session::tests::{account, at};
    use super::*;

    fn unlock(account: &Account) -> Unlock {
        Unlock {
            digest: TokenDigest::from_bytes([1; 32]),
            account: account.id,
            letter: LetterId::new(Uuid::nil()),
            sent_to: Email::parse("Yuki@Example.com").unwrap(),
            created_at: at(10),
            expires_at: at(20),
            ended_at: None,
        }
    }

    #[test]
    fn it_works_once_for_a_while_and_for_its_account_as_it_was() {
        let account = Account {
            state: AccountState::Active,
            email: Email::parse("yuki@example.com").ok(),
            ..account()
        };
        let unlock = unlock(&account);
        let set = Some(at(3));
        assert!(unlock.works(&account, set, at(19)));
        assert!(!unlock.works(&account, set, at(20)), "expired");
        let ended = Unlock {
            ended_at: Some(at(11)),
            ..unlock.clone()
        };
        assert!(!ended.works(&account, set, at(12)), "used or replaced");
        assert!(!unlock.works(&account, Some(at(11)), at(12)), "a new password");
        assert!(!unlock.works(&account, None, at(12)), "no password");
        let of = |change: fn(&mut Account)| {
            let mut changed = account.clone();
            change(&mut changed);
            unlock.works(&changed, set, at(12))
        };
        assert!(of(|_| {}));
        assert!(!of(|account| account.state = AccountState::Disabled));
        assert!(!of(|account| account.email = None));
        assert!(!of(|account| account.email = Email::parse("other@example.com").ok()));
        assert!(!of(|account| account.id = AccountId::new(Uuid::from_u128(99))));
    }
}
