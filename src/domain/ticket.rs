//! A ticket: the single-use right to set a password, carried by a Welcome or reset link.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::account::AccountId;
use super::outbox::LetterId;
use super::token::TokenDigest;

/// The record of a ticket. The token in the link is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Digest of the token in the link.
    pub digest: TokenDigest,
    /// Whose password it may set.
    pub account: AccountId,
    /// Why it was made.
    pub purpose: Purpose,
    /// How its link leaves; `None` for one made before that was noted.
    pub way: Option<Way>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on it is void.
    pub expires_at: Timestamp,
    /// How it ended, when it has.
    pub ended: Option<TicketEnd>,
}

/// Why a ticket was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The first password of a new account.
    Welcome,
    /// A forgotten password.
    Reset,
}

impl Purpose {
    /// The name in the store and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::Reset => "reset",
        }
    }

    /// The opposite of [`Purpose::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Welcome, Self::Reset]
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a link leaves the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In this letter.
    Letter(LetterId),
    /// On a page that an operator printed and hands over.
    Page,
}

impl Way {
    /// The opposite of its text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "page" => Some(Self::Page),
            letter => LetterId::parse(letter).map(Self::Letter),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letter(letter) => letter.fmt(f),
            Self::Page => f.write_str("page"),
        }
    }
}

/// How a ticket ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TicketEnd {
    /// It set a password.
    Used,
    /// A newer ticket of the account took its place, or the account changed under it.
    Replaced,
    /// A password was set in another way: it came with an import, or its person changed it.
    Overtaken,
}

impl TicketEnd {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Replaced => "replaced",
            Self::Overtaken => "overtaken",
        }
    }

    /// The opposite of [`TicketEnd::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Used, Self::Replaced, Self::Overtaken]
            .into_iter()
            .find(|end| end.as_str() == text)
    }
}

/// What a ticket is worth at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketState {
    /// May set the password.
    Live,
    /// Its time is over.
    Expired,
    /// It has set a password already.
    Used,
    /// A newer link took its place.
    Replaced,
    /// A password was set in another way in the meantime.
    Overtaken,
}

impl TicketState {
    /// The stable name in JSON answers, events and message keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Used => "used",
            Self::Replaced => "replaced",
            Self::Overtaken => "overtaken",
        }
    }
}

impl Ticket {
    /// Judges the ticket against the clock; exactly at its expiry it is void.
    pub fn state_at(&self, now: Timestamp) -> TicketState {
        match self.ended {
            Some(TicketEnd::Used) => TicketState::Used,
            Some(TicketEnd::Replaced) => TicketState::Replaced,
            Some(TicketEnd::Overtaken) => TicketState::Overtaken,
            None if now >= self.expires_at => TicketState::Expired,
            None => TicketState::Live,
        }
    }
}

/// A link to a password that was taken away lives at least so long: nobody waits for its letter, so it outlives the night.
pub const NEW_PASSWORD_LIFE: Duration = Duration::from_hours(24);

/// How long links live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketLife {
    /// A Welcome link.
    pub welcome: Duration,
    /// A reset link.
    pub reset: Duration,
}

impl TicketLife {
    /// The life of a link of this purpose.
    pub const fn of(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Welcome => self.welcome,
            Purpose::Reset => self.reset,
        }
    }

    /// For so long a link is not replaced because a stranger asked for another one: half the life of a reset. Only the
    /// newest link of an account works, so whoever keeps asking would otherwise keep spending the link that its owner
    /// is about to follow. Until then she has one that works for as long again; after that a new one is worth more to
    /// her than the old one.
    pub fn kept_from_strangers(&self) -> Duration {
        self.reset / 2
    }
}

impl Default for TicketLife {
    fn default() -> Self {
        Self {
            welcome: Duration::from_hours(72),
            reset: Duration::from_mins(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::{account, at};
    use super::*;

    #[test]
    fn a_ticket_lives_until_its_last_moment_and_ends_once() {
        let ticket = Ticket {
            digest: TokenDigest::from_bytes([1; 32]),
            account: account().id,
            purpose: Purpose::Reset,
            way: Some(Way::Page),
            created_at: at(0),
            expires_at: at(10),
            ended: None,
        };
        assert_eq!(ticket.state_at(at(9)), TicketState::Live);
        assert_eq!(ticket.state_at(at(10)), TicketState::Expired);
        let used = Ticket {
            ended: Some(TicketEnd::Used),
            ..ticket.clone()
        };
        assert_eq!(used.state_at(at(9)), TicketState::Used);
        let replaced = Ticket {
            ended: Some(TicketEnd::Replaced),
            ..ticket
        };
        assert_eq!(replaced.state_at(at(9)), TicketState::Replaced);
    }
}
