//! How long refusing a password takes at least, so that no refusal is told from another by its time.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::fault::Fault;

/// Knows the dearest hash that a wrong password may have to be compared with.
#[async_trait]
pub trait Floor: Send + Sync {
    /// Long enough for that hash, with what is stored at this moment; `None` while all refusals cost the same anyway.
    async fn current(&self) -> Result<Option<Duration>, Fault>;
}
