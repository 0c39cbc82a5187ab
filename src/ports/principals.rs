//! Who holds a session token, answered from memory on the proxied path.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::domain::token::TokenDigest;

/// Looks sessions up with their accounts. Memory may lag behind the store by a stated time, well under a second.
#[async_trait]
pub trait Principals: Send + Sync {
    /// From memory alone; `None` when it is not there or memory may no longer be believed.
    fn known(&self, digest: &TokenDigest) -> Option<Arc<Principal>>;

    /// From the store, and remembered. Dead sessions are answered as well: judging is the caller's.
    async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Principal>>, Fault>;

    /// Forgets one at once: this process has just ended it.
    fn forget(&self, digest: &TokenDigest);
}
