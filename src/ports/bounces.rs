//! What comes back about letters that the mail server had taken.

use async_trait::async_trait;
use jiff::Timestamp;

use super::outbox::LetterListing;
use crate::domain::bounce::{DeadAddress, Ignored, Report};
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;

/// Reports about letters, and the addresses that they speak against.
#[async_trait]
pub trait Bounces: Send + Sync {
    /// The letter that a report is about, while it is kept.
    async fn letter(&self, id: LetterId) -> Result<Option<LetterListing>, Fault>;

    /// Keeps a report with its letter. A failure ends the letter as bounced and records the event; a permanent one
    /// marks the address it was sent to, until a later letter to it is taken. A delay is kept until something newer
    /// is said. What has bounced stays so.
    async fn note(&self, id: LetterId, report: &Report, now: Timestamp, event: Event) -> Result<Noting, Fault>;

    /// Counts a message that told nothing.
    async fn ignore(&self, why: Ignored) -> Result<(), Fault>;

    /// How many messages told nothing so far, by reason; reasons that never occurred are left out.
    async fn ignored(&self) -> Result<Vec<(Ignored, u64)>, Fault>;

    /// The addresses to which mail bounces for good, in the order of their keys.
    async fn dead_addresses(&self) -> Result<Vec<DeadAddress>, Fault>;
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noting {
    /// It is kept.
    Done,
    /// It says nothing that was not known.
    Unchanged,
    /// The letter is not noted as handed over yet: the report was faster, and is to be handed in again.
    NotYetSent,
    /// The letter is not kept any more, or was never handed over.
    Unknown,
}
