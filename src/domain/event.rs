//! Events: the closed list of facts the gateway records for ever. Nothing secret is in any of them.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::account::AccountId;
use super::client::ClientAddr;
use super::outbox::{Letter, Matter};
use super::session::SessionId;
use super::ticket::Purpose;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Sorts by time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// From where, when a client did it.
    pub client: Option<ClientAddr>,
    /// Whom it concerns, when that is known.
    pub account: Option<AccountId>,
    /// What happened.
    pub fact: Fact,
}

/// Who did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody not signed in.
    Stranger,
    /// The person of an account.
    Person(AccountId),
    /// Somebody at the command line of the machine.
    Operator,
    /// The gateway itself.
    Gateway,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str("stranger"),
            Self::Person(account) => write!(f, "account:{account}"),
            Self::Operator => f.write_str("operator"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An account was made.
    AccountCreated,
    /// An account was disabled.
    AccountDisabled,
    /// An account was enabled again.
    AccountEnabled,
    /// An account was removed.
    AccountRemoved,
    /// Somebody signed in.
    SignedIn(SessionId),
    /// A sign-in was refused.
    SignInRefused(Reason),
    /// A session was ended by its person.
    SignedOut(SessionId),
    /// A session, or all of the account's, were ended by an operator.
    SessionsEnded,
    /// A Welcome letter was asked for.
    WelcomeRequested,
    /// A reset was asked for by e-mail address.
    ResetRequested,
    /// A reset was refused before any letter was accepted.
    ResetRefused(Reason),
    /// A letter with a link was handed to the mail server.
    LinkSent(Purpose),
    /// A letter was not sent, on purpose.
    LinkWithheld(Purpose, Reason),
    /// A link was opened in a browser (or by a mail scanner: opening changes nothing).
    LinkOpened(Purpose),
    /// A link was presented that no longer works.
    LinkRefused(Reason),
    /// A password was set by link.
    PasswordSet(Purpose),
    /// A notice was handed to the mail server.
    NoticeSent(&'static str),
    /// A letter was given up.
    LetterGivenUp(&'static str),
    /// A signing key was made and took over.
    KeyRotated(String),
}

/// Why something was refused or withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No account has that name or address.
    UnknownName,
    /// The password was wrong.
    WrongPassword,
    /// The account is disabled.
    Disabled,
    /// The account has never set a password.
    NeverActivated,
    /// The account has a password already.
    AlreadyActive,
    /// Two or more accounts share the address.
    SharedEmail,
    /// The account has no address.
    NoEmail,
    /// The limits refused.
    Throttled,
    /// The link's time is over.
    LinkExpired,
    /// The link was used before.
    LinkUsed,
    /// A newer link took its place.
    LinkReplaced,
    /// No such link was ever made, or it is long gone.
    LinkUnknown,
}

impl Reason {
    /// The stable name in the store, in logs and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownName => "unknown-name",
            Self::WrongPassword => "wrong-password",
            Self::Disabled => "disabled",
            Self::NeverActivated => "never-activated",
            Self::AlreadyActive => "already-active",
            Self::SharedEmail => "shared-email",
            Self::NoEmail => "no-email",
            Self::Throttled => "throttled",
            Self::LinkExpired => "link-expired",
            Self::LinkUsed => "link-used",
            Self::LinkReplaced => "link-replaced",
            Self::LinkUnknown => "link-unknown",
        }
    }
}

impl Fact {
    /// The stable name in the store, in logs and in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountCreated => "account.created",
            Self::AccountDisabled => "account.disabled",
            Self::AccountEnabled => "account.enabled",
            Self::AccountRemoved => "account.removed",
            Self::SignedIn(_) => "sign-in.done",
            Self::SignInRefused(_) => "sign-in.refused",
            Self::SignedOut(_) => "session.signed-out",
            Self::SessionsEnded => "session.ended",
            Self::WelcomeRequested => "welcome.requested",
            Self::ResetRequested => "reset.requested",
            Self::ResetRefused(_) => "reset.refused",
            Self::LinkSent(_) => "link.sent",
            Self::LinkWithheld(..) => "link.withheld",
            Self::LinkOpened(_) => "link.opened",
            Self::LinkRefused(_) => "link.refused",
            Self::PasswordSet(_) => "password.set",
            Self::NoticeSent(_) => "notice.sent",
            Self::LetterGivenUp(_) => "letter.given-up",
            Self::KeyRotated(_) => "key.rotated",
        }
    }

    /// What the name leaves open: a reason, a purpose, an id. Never anything a stranger typed.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::SignInRefused(reason) | Self::ResetRefused(reason) | Self::LinkRefused(reason) => {
                Some(reason.as_str().to_owned())
            }
            Self::SignedIn(session) | Self::SignedOut(session) => Some(session.to_string()),
            Self::LinkSent(purpose) | Self::LinkOpened(purpose) | Self::PasswordSet(purpose) => {
                Some(purpose.as_str().to_owned())
            }
            Self::LinkWithheld(purpose, reason) => Some(format!("{purpose} {}", reason.as_str())),
            Self::NoticeSent(matter) | Self::LetterGivenUp(matter) => Some((*matter).to_owned()),
            Self::KeyRotated(kid) => Some(kid.clone()),
            Self::AccountCreated
            | Self::AccountDisabled
            | Self::AccountEnabled
            | Self::AccountRemoved
            | Self::SessionsEnded
            | Self::WelcomeRequested
            | Self::ResetRequested => None,
        }
    }
}

/// What is written in the same transaction as the change that caused it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// Facts to record.
    pub events: Vec<Event>,
    /// Letters to accept.
    pub letters: Vec<Letter>,
}

impl Consequences {
    /// One event and nothing else.
    pub fn event(event: Event) -> Self {
        Self {
            events: vec![event],
            letters: Vec::new(),
        }
    }

    /// Adds a letter.
    #[must_use]
    pub fn and_letter(mut self, id: Uuid, matter: Matter, at: Timestamp) -> Self {
        self.letters.push(Letter {
            id: super::outbox::LetterId::new(id),
            matter,
            created_at: at,
        });
        self
    }

    /// Adds an event.
    #[must_use]
    pub fn and_event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }
}
