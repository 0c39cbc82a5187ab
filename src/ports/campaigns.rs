//! What is kept of attacks.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::campaigns::{Campaign, CampaignId};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;

/// An attack as it was read; a fault when it is stored and cannot be understood, which keeps nobody from the others.
pub type Stored = Result<Campaign, Fault>;

/// The attacks there were and are.
#[async_trait]
pub trait CampaignBook: Send + Sync {
    /// Stores these as they are now, new or known, together with the consequences. What of these is stored already is not
    /// stored again: what was not answered in time is tried once more, and may have been done.
    async fn put(&self, campaigns: &[Campaign], then: Consequences) -> Result<(), Fault>;

    /// One of them.
    async fn find(&self, id: CampaignId) -> Result<Option<Campaign>, Fault>;

    /// Those that were seen since then, the newest first, at most `most`.
    async fn list(&self, since: Timestamp, most: usize) -> Result<Vec<Stored>, Fault>;

    /// Those of which the administrators were last told at this moment, to the millisecond, in the order of their ids, at
    /// most `most`.
    async fn told_at(&self, moment: Timestamp, most: usize) -> Result<Vec<Stored>, Fault>;

    /// Those under way, in the order of their ids.
    async fn living(&self) -> Result<Vec<Stored>, Fault>;

    /// Removes those that ended before `before`. Answers how many.
    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault>;
}
