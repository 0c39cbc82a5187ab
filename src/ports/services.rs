//! Which program holds an API token, answered from memory on the proxied path.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::fault::Fault;
use crate::domain::service::Service;
use crate::domain::token::TokenDigest;

/// Looks programs up by their tokens. Memory may lag behind the store by a stated time, well under a second.
#[async_trait]
pub trait Services: Send + Sync {
    /// From memory alone; `None` when it is not there or memory may not be believed. Dead tokens are answered as well:
    /// judging is the caller's.
    fn known(&self, digest: &TokenDigest) -> Option<Arc<Service>>;

    /// Whether memory has it, believed or not: then nobody has guessed it.
    fn remembers(&self, digest: &TokenDigest) -> bool;

    /// From the store.
    async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Service>>, Fault>;
}
