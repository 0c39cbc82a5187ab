//! Sessions, and how a running server learns that one of them changed.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::{Account, AccountId};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::session::{Session, SessionId};
use crate::domain::token::TokenDigest;

/// The sessions people have.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Stores a new session and notes the account's sign-in, provided that the account is still
    /// active and of the session's generation; `false` otherwise, and nothing is stored.
    /// `replaces` is the session of the same browser that ends thereby, whosever it was.
    async fn begin(&self, session: &Session, replaces: Option<TokenDigest>, then: Consequences) -> Result<bool, Fault>;

    /// The session with this digest and its account, dead or alive: judging is the caller's.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<(Session, Account)>, Fault>;

    /// Ends one session. `false` when there was none.
    async fn end(&self, which: SessionsToEnd, then: Consequences) -> Result<bool, Fault>;

    /// The person gave the password again: moves `authenticated_at` to `now`. `false` when there is no such session.
    async fn confirm(&self, id: SessionId, now: Timestamp, then: Consequences) -> Result<bool, Fault>;

    /// All stored sessions, of one account or of all, newest first, with their accounts.
    async fn list(&self, account: Option<AccountId>) -> Result<Vec<(Session, Account)>, Fault>;

    /// Moves on `last_seen_at` of the given sessions, never back.
    async fn touch(&self, seen: &[(SessionId, Timestamp)]) -> Result<(), Fault>;

    /// Removes sessions begun before `begun_before`, or last seen before `seen_before`. Answers how many.
    async fn sweep(&self, begun_before: Timestamp, seen_before: Timestamp) -> Result<u64, Fault>;

    /// What changed after `cursor`, whoever changed it (this process or another on the same store), and the new
    /// cursor. `None` as cursor: only the newest cursor is wanted, with no changes.
    async fn changes_since(&self, cursor: Option<i64>) -> Result<(Vec<Changed>, i64), Fault>;

    /// Forgets changes recorded before `before`.
    async fn sweep_changes(&self, before: Timestamp) -> Result<(), Fault>;
}

/// Which session to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsToEnd {
    /// The one with this digest: a sign-out.
    ByDigest(TokenDigest),
    /// The one with this id: an operator.
    ById(SessionId),
}

/// What another part, or another process on the same store, has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Anything about this account: its record, its state, its sessions.
    Account(AccountId),
    /// This session ended.
    Session(TokenDigest),
    /// The signing keys.
    Keys,
}
