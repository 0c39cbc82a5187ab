//! Writing a letter and handing it to the mail server.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::{Account, AccountState, Email};
use crate::domain::campaigns::{Campaign, Kind};
use crate::domain::client::ClientAddr;
use crate::domain::language::Language;
use crate::domain::outbox::{Addressee, LetterId};
use crate::domain::site::SiteName;
use crate::domain::token::{TicketToken, UnlockToken};

/// Speaks to the mail server.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Writes one letter in the reader's language (text and HTML) and hands it over.
    async fn send(&self, mail: Mail<'_>) -> Result<Receipt, Refusal>;
}

/// A letter to one person. It may hold a live token: neither stored nor printed.
pub struct Mail<'a> {
    /// The letter it is, so that a report about it finds back.
    pub letter: LetterId,
    /// The one address it goes to.
    pub to: &'a Email,
    /// Who reads it.
    pub reader: Reader<'a>,
    /// What it says.
    pub content: Content<'a>,
    /// The site whose doors its links lead to; `None`, and one that is no longer configured, is the main one.
    pub site: Option<&'a SiteName>,
}

/// Who reads a letter: the person of an account, or an administrator who need have none.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The person's name; may be empty.
    pub name: &'a str,
    /// The extension number; empty where there is none.
    pub extension: &'a str,
    /// The language of the letter.
    pub language: Language,
    /// Whether the account cannot be used.
    pub disabled: bool,
}

impl Reader<'_> {
    /// Somebody of whom nothing is known but the language.
    pub const fn in_language(language: Language) -> Self {
        Self {
            name: "",
            extension: "",
            language,
            disabled: false,
        }
    }
}

impl<'a> From<&'a Account> for Reader<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            name: &account.name,
            extension: account.extension.as_str(),
            language: account.language,
            disabled: account.state == AccountState::Disabled,
        }
    }
}

/// Somebody whose account has been removed since.
impl<'a> From<&'a Addressee> for Reader<'a> {
    fn from(person: &'a Addressee) -> Self {
        Self {
            name: &person.name,
            extension: person.extension.as_str(),
            language: person.language,
            disabled: true,
        }
    }
}

/// An attack that got in, as administrators are told of it.
pub struct Alert<'a> {
    /// The attack.
    pub campaign: &'a Campaign,
    /// Where it got in.
    pub entries: Vec<Entry>,
    /// Other attacks that got in, of which this letter tells as well.
    pub others: &'a [Campaign],
    /// Whether passwords that it got in with are taken away.
    pub closes: bool,
}

/// An account that an attack got into.
pub struct Entry {
    /// The extension number and the name of its person; empty when the account has been removed.
    pub person: String,
    /// When.
    pub at: Timestamp,
    /// From where.
    pub client: ClientAddr,
}

impl Alert<'_> {
    /// What is being done.
    pub const fn kind(&self) -> Kind {
        self.campaign.kind
    }
}

/// What a letter says.
pub enum Content<'a> {
    /// Set your first password, by one of the two doors.
    Welcome {
        /// The right to do so.
        token: &'a TicketToken,
        /// How long the link works.
        life: Duration,
    },
    /// Set a new password, by one of the two doors.
    Reset {
        /// The right to do so.
        token: &'a TicketToken,
        /// How long the link works.
        life: Duration,
    },
    /// Your password was changed.
    PasswordChanged {
        /// When.
        at: Timestamp,
    },
    /// Somebody signed in to your account on a device it was never used on.
    NewDevice {
        /// When.
        at: Timestamp,
        /// From where.
        client: ClientAddr,
        /// The browser's own words about itself.
        user_agent: &'a str,
    },
    /// The address of your account was changed.
    EmailChanged {
        /// When.
        at: Timestamp,
        /// Whether letters come to the receiver of this one from now on, or no longer.
        current: bool,
    },
    /// Your account can be used again.
    AccountUnlocked {
        /// When.
        at: Timestamp,
    },
    /// Somebody else knows your password, so it was taken away; set another one, by one of the two doors.
    NewPassword {
        /// The right to do so.
        token: &'a TicketToken,
        /// How long the link works.
        life: Duration,
        /// When it was taken away.
        at: Timestamp,
    },
    /// An attack got in. For administrators.
    Campaign(&'a Alert<'a>),
    /// Make a browser known for your account, by one of the two doors.
    BrowserUnlock {
        /// The right to do so.
        token: &'a UnlockToken,
        /// How long the link works.
        life: Duration,
        /// When it was asked for.
        at: Timestamp,
        /// From where.
        client: ClientAddr,
    },
}

impl Content<'_> {
    /// The right to set a password that this letter carries, when it carries one.
    pub const fn token(&self) -> Option<&TicketToken> {
        match self {
            Self::Welcome { token, .. } | Self::Reset { token, .. } | Self::NewPassword { token, .. } => Some(token),
            Self::PasswordChanged { .. }
            | Self::NewDevice { .. }
            | Self::EmailChanged { .. }
            | Self::AccountUnlocked { .. }
            | Self::Campaign(_)
            | Self::BrowserUnlock { .. } => None,
        }
    }
}

/// The mail server accepted the letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its words.
    pub words: String,
}

/// The mail server did not accept the letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether trying again is pointless (5xx to this recipient).
    pub permanent: bool,
    /// Its words, or what went wrong on the way to it.
    pub words: String,
}
