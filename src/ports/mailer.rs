//! Writing a letter and handing it to the mail server.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::{Account, Email};
use crate::domain::token::TicketToken;

/// Speaks to the mail server.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Writes one letter in the account's language (text and HTML) and hands it over.
    async fn send(&self, mail: Mail<'_>) -> Result<Receipt, Refusal>;
}

/// A letter to one person. It may hold a live token: neither stored nor printed.
pub struct Mail<'a> {
    /// The one address it goes to.
    pub to: &'a Email,
    /// Whom it is about.
    pub account: &'a Account,
    /// What it says.
    pub content: Content<'a>,
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
