//! API tokens: the rights of programs.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::api_token::{ApiToken, ApiTokenId, LastUse};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::token::TokenDigest;

/// The tokens that were made, ended ones included until they are swept.
#[async_trait]
pub trait ApiTokens: Send + Sync {
    /// Stores a new token, provided that no token that is not revoked has its name.
    async fn add(&self, token: &ApiToken, then: Consequences) -> Result<Adding, Fault>;

    /// The token with this digest, dead or alive: judging is the caller's.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, Fault>;

    /// All of them, newest first.
    async fn list(&self) -> Result<Vec<ApiToken>, Fault>;

    /// Revokes one. `false`, and nothing is recorded, when there is none or it is revoked already.
    async fn revoke(&self, id: ApiTokenId, now: Timestamp, then: Consequences) -> Result<bool, Fault>;

    /// Notes when and from where tokens were used, never moving back. Running servers need not hear of it.
    async fn used(&self, uses: &[(ApiTokenId, LastUse)]) -> Result<(), Fault>;

    /// Removes tokens that were revoked or expired before `before`. Answers how many.
    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault>;
}

/// What became of a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    /// It is stored.
    Done,
    /// Another one that is not revoked has the name.
    NameTaken,
}
