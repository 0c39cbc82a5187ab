//! The append-only record of what happened.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::AccountId;
use crate::domain::event::Event;
use crate::domain::fault::Fault;

/// Facts that concern no other change, and the reading of all facts.
#[async_trait]
pub trait Events: Send + Sync {
    /// Records facts.
    async fn append(&self, events: &[Event]) -> Result<(), Fault>;

    /// Facts, newest first.
    async fn list(&self, filter: EventFilter) -> Result<Vec<Event>, Fault>;

    /// What was recorded after `cursor`, whoever recorded it (this process or another on the same store), in the order
    /// of recording, at most `most`, and the new cursor. `None` as cursor: only the newest cursor is wanted, with no
    /// events.
    async fn recorded_since(&self, cursor: Option<i64>, most: usize) -> Result<(Vec<Event>, i64), Fault>;

    /// Removes the oldest facts of before that time, at most so many, and never the one recorded last. Answers how many.
    async fn sweep(&self, before: Timestamp, most: u64) -> Result<u64, Fault>;
}

/// Which facts to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those of this account.
    pub account: Option<AccountId>,
    /// Only those from then on.
    pub since: Option<Timestamp>,
    /// At most so many.
    pub most: usize,
}

impl EventFilter {
    /// The newest facts of everybody.
    pub const fn newest(most: usize) -> Self {
        Self {
            account: None,
            since: None,
            most,
        }
    }
}
