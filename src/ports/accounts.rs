//! Accounts and the password hashes that belong to them.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::{Account, AccountEdit, AccountId, AccountState, Email, Extension, LoginName};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::outbox::Letter;
use crate::domain::password::PasswordHash;
use crate::domain::session::SessionId;
use crate::domain::ticket::TicketEnd;

use super::sessions::Renewal;

/// People's records.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Stores a new account (state Invited, generation as given) together with its consequences.
    async fn create(&self, account: &Account, then: Consequences) -> Result<Creation, Fault>;

    /// By id.
    async fn find(&self, id: AccountId) -> Result<Option<Account>, Fault>;

    /// By extension number.
    async fn find_by_extension(&self, extension: &Extension) -> Result<Option<Account>, Fault>;

    /// By folded e-mail address. A disabled account does not make an address shared: it is found only when nobody
    /// else has the address.
    async fn find_by_email(&self, email: &Email) -> Result<EmailMatch, Fault>;

    /// Account and hash for a sign-in. A shared address finds nobody, as an unknown name does.
    async fn credential(&self, name: &LoginName) -> Result<Option<Credential>, Fault>;

    /// Puts a re-computed hash of the same password in the place of `old`; does nothing when the
    /// stored hash is no longer `old`. Ends no session.
    async fn rehash(&self, id: AccountId, old: &PasswordHash, new: &PasswordHash) -> Result<(), Fault>;

    /// The hash of everybody who has one, disabled accounts among them, to tell what they rest on. No order.
    async fn hashes(&self) -> Result<Vec<(AccountId, PasswordHash)>, Fault>;

    /// Everybody, ordered by extension number.
    async fn list(&self) -> Result<Vec<AccountListing>, Fault>;

    /// The active administrators, ordered by extension number. One that cannot be understood is a fault of its own, and
    /// keeps none of the others out.
    async fn administrators(&self) -> Result<Vec<Result<Account, Fault>>, Fault>;

    /// Disables: raises the generation, so that every session ends, and ends every live ticket.
    /// Consequences are recorded only when the account was not disabled yet.
    async fn disable(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault>;

    /// Enables a disabled account again: Active when it has a password, else Invited.
    /// Consequences are recorded only when the account was disabled.
    async fn enable(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault>;

    /// Changes what the edit mentions. A new address replaces every live ticket: a link mailed to the old one must
    /// not set the password. Consequences are recorded only when something is different afterwards.
    async fn update(
        &self,
        id: AccountId,
        edit: &AccountEdit,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault>;

    /// Removes the account with its hash, sessions and tickets. Events stay.
    async fn remove(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault>;

    /// Ends every session of the account by raising its generation.
    async fn end_sessions(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault>;

    /// Ends every session of the account but one, by raising the generation and taking that one along.
    /// [`Change::NotFound`] when the session is not a living one of the account.
    async fn end_other_sessions(
        &self,
        id: AccountId,
        keep: SessionId,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault>;

    /// A new password chosen by its person: in one transaction, provided that the stored hash is still the one the old
    /// password was compared with and that the session can be renewed, stores the new hash, ends live tickets as
    /// overtaken, renews the session as [`Sessions::renew`](super::Sessions::renew) does, and raises the generation,
    /// taking along this session and, unless they are to end, all others. `false` otherwise, and nothing is stored.
    async fn change_password(&self, change: &PasswordChange, now: Timestamp, then: Consequences)
    -> Result<bool, Fault>;

    /// Takes the password away that was set by `set_by`, since others know it: the account counts as invited, or stays
    /// disabled, every session ends, and so does every live ticket. When the password was set stays known.
    /// [`Change::Unchanged`], and nothing is recorded, when it has none or has had another one since.
    async fn close_password(
        &self,
        id: AccountId,
        set_by: Timestamp,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault>;

    /// Accepts letters and events about an account that exists: a Welcome letter, for instance.
    async fn record(&self, id: AccountId, then: Consequences) -> Result<Change, Fault>;

    /// Stores many records, all or none, together with the consequences and the letters. A record that raises its
    /// generation, is disabled or has another address ends the live tickets of its account
    /// ([`AccountRecord::ends_links`]). A hash counts as a
    /// password set at `now`. `stored` hears how many records are stored so far.
    async fn import(
        &self,
        batch: &AccountBatch,
        now: Timestamp,
        stored: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<BatchOutcome, Fault>;
}

/// What became of a new account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is stored.
    Done,
    /// Another account has this extension number.
    ExtensionTaken,
}

/// What became of a change to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is stored.
    Done,
    /// It was so before; nothing was recorded.
    Unchanged,
    /// There is no such account.
    NotFound,
    /// It would leave no administrator who can sign in.
    LastAdministrator,
}

/// Records to be stored together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountBatch {
    /// The records; none twice.
    pub records: Vec<AccountRecord>,
    /// What is recorded in the same transaction.
    pub then: Consequences,
    /// Letters that wait until their time, and leave at the rate of crowds.
    pub later: Vec<DueLetter>,
}

/// One record of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account as the batch was made from; `None` when it is new. Id, extension number and the time of its making
    /// never change.
    pub before: Option<Account>,
    /// The account as it shall be.
    pub after: Account,
    /// A hash made elsewhere, to be stored with it.
    pub hash: Option<PasswordHash>,
}

impl AccountRecord {
    /// Whether running servers must hear of it: they may remember the account as it was, or know of no hash like this.
    pub const fn is_news(&self) -> bool {
        self.before.is_some() || self.hash.is_some()
    }

    /// How links that were mailed before end, when they must stop working: a password is there that they were to set,
    /// or they would reach somebody else, or nobody's account.
    pub fn ends_links(&self) -> Option<TicketEnd> {
        let before = self.before.as_ref()?;
        if self.hash.is_some() && self.after.state == AccountState::Active {
            return Some(TicketEnd::Overtaken);
        }
        let typed = |account: &Account| account.email.as_ref().map(|email| email.as_typed().to_owned());
        let ends = before.generation != self.after.generation
            || self.after.state == AccountState::Disabled
            || typed(before) != typed(&self.after);
        ends.then_some(TicketEnd::Replaced)
    }
}

/// A letter that waits until its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueLetter {
    /// The letter.
    pub letter: Letter,
    /// Not before then.
    pub due_at: Timestamp,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// All of it is stored.
    Done,
    /// An account is not as the batch was made from, or a number is taken by now: nothing is stored.
    Outdated,
    /// It would leave no administrator who can sign in: nothing is stored.
    LastAdministrator,
}

/// Whom an e-mail address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailMatch {
    /// Nobody.
    Nobody,
    /// Exactly one account.
    One(Box<Account>),
    /// So many accounts.
    Shared(usize),
}

/// What a sign-in is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The account.
    pub account: Account,
    /// Its hash, once a password has been set.
    pub hash: Option<PasswordHash>,
    /// When the password was set.
    pub password_set_at: Option<Timestamp>,
    /// Whether a Welcome link has set the password and nobody has signed in since.
    pub welcomed: bool,
}

/// A new password in the place of a known one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChange {
    /// The hash that the old password was compared with.
    pub old: PasswordHash,
    /// The hash of the new one.
    pub new: PasswordHash,
    /// The session it is done in, and with it whose password it is; it lives on under a new token.
    pub renewal: Renewal,
    /// Whether all other sessions end.
    pub end_others: bool,
}

/// An account in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountListing {
    /// The account.
    pub account: Account,
    /// When the password was last set.
    pub password_set_at: Option<Timestamp>,
    /// When the person last signed in.
    pub last_sign_in_at: Option<Timestamp>,
}

impl AccountListing {
    /// Whether the password was taken away, so that the person must set another one.
    pub fn needs_new_password(&self) -> bool {
        self.account.state == AccountState::Invited && self.password_set_at.is_some()
    }
}
