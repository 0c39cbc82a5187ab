//! Sessions, and how a running server learns that one of them changed.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::{Account, AccountId};
use crate::domain::api_token::ApiTokenId;
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::session::{Session, SessionId};
use crate::domain::token::TokenDigest;

/// The sessions people have.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Stores a new session and notes the account's sign-in, provided that the account is still
    /// active and of the session's generation; `false` otherwise, and nothing is stored.
    /// `replaces` is the session of the same browser that ends thereby, whosever it was. Where the account would then
    /// have more living sessions than there is `room` for, those used longest ago end.
    async fn begin(
        &self,
        session: &Session,
        replaces: Option<TokenDigest>,
        room: &Room<'_>,
        then: Consequences,
    ) -> Result<bool, Fault>;

    /// The session with this digest and its account, dead or alive: judging is the caller's.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<(Session, Account)>, Fault>;

    /// The session with this id and its account, dead or alive.
    async fn find_by_id(&self, id: SessionId) -> Result<Option<(Session, Account)>, Fault>;

    /// Ends one session. `false` when there was none.
    async fn end(&self, id: SessionId, then: Consequences) -> Result<bool, Fault>;

    /// The person gave the password again: the session goes on under a new token, used and authenticated as of `now`,
    /// and the old token opens nothing any more. `false`, and nothing is stored, unless the session lives and has the
    /// old token.
    async fn renew(&self, renewal: &Renewal, now: Timestamp, then: Consequences) -> Result<bool, Fault>;

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

/// How many sessions there is room for.
#[derive(Clone, Copy)]
pub struct Room<'a> {
    /// The most living sessions of one account.
    pub most: usize,
    /// What is recorded of each that has to make room.
    pub ended: &'a (dyn Fn(SessionId) -> Event + Send + Sync),
}

/// A new token for a session that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Whose session it is.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
    /// Digest of the token it has.
    pub old: TokenDigest,
    /// Digest of the token it gets.
    pub new: TokenDigest,
}

/// What another part, or another process on the same store, has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Anything about this account: its record, its state, its sessions.
    Account(AccountId),
    /// This token opens nothing any more: its session ended, or goes on under another token.
    Session(TokenDigest),
    /// This API token: it was made or revoked.
    Token(ApiTokenId),
    /// The signing keys.
    Keys,
}
