//! Unlocks: the rights to make a browser known.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::AccountId;
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::domain::token::TokenDigest;
use crate::domain::unlock::Unlock;

/// Unlocks and their end.
#[async_trait]
pub trait Unlocks: Send + Sync {
    /// Stores a new one; every earlier one of the account ends. `false` when there is no such account.
    async fn issue(&self, unlock: &Unlock) -> Result<bool, Fault>;

    /// The one with this digest.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Unlock>, Fault>;

    /// In one transaction, provided that it has neither ended nor expired at `now`: ends it and records the consequences.
    /// `false` when it is over, whoever was faster.
    async fn use_up(&self, digest: &TokenDigest, now: Timestamp, then: Consequences) -> Result<bool, Fault>;

    /// Whether the account has one made after `since` whose letter was handed to the mail server or waits to be. That of
    /// the letter `besides` does not count.
    async fn sent_since(&self, account: AccountId, since: Timestamp, besides: LetterId) -> Result<bool, Fault>;

    /// Removes those that expired before `before`. Answers how many.
    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault>;
}
