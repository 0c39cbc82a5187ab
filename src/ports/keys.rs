//! Signing keys as stored.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::key::KeyRecord;

/// The signing keys. The store holds private parts only sealed.
#[async_trait]
pub trait Keys: Send + Sync {
    /// All stored keys, newest first.
    async fn list(&self) -> Result<Vec<KeyRecord>, Fault>;

    /// Stores a new key, retires every earlier one at its creation time and records the consequences.
    async fn add(&self, key: &KeyRecord, then: Consequences) -> Result<(), Fault>;

    /// Forgets keys retired before `before`. Answers how many.
    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault>;
}
