//! What operators have decreed about who may try what.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::order::{Order, OrderId};

/// An order, and when it was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastOrder {
    /// The order.
    pub order: Order,
    /// When it was ended before its time.
    pub ended_at: Option<Timestamp>,
}

impl PastOrder {
    /// From then on it was in force no more, or will be; `None` is never.
    pub fn until(&self) -> Option<Timestamp> {
        match (self.ended_at, self.order.until) {
            (Some(ended), Some(until)) => Some(ended.min(until)),
            (ended, until) => ended.or(until),
        }
    }
}

/// The orders that were given, those that are over among them until they are swept.
#[async_trait]
pub trait Orders: Send + Sync {
    /// Stores an order. One that cannot be in force beside it ends thereby.
    async fn give(&self, order: &Order, then: Consequences) -> Result<(), Fault>;

    /// Ends one before its time, or says that its time is over. `false`, and nothing is recorded, when there is none or it
    /// has been ended already.
    async fn end(&self, id: OrderId, now: Timestamp, then: Consequences) -> Result<bool, Fault>;

    /// Every order that has not been ended, newest first, whether its time is over or not; and the revision that this is.
    async fn unended(&self) -> Result<(Vec<Order>, i64), Fault>;

    /// The orders of what the limits count, applied policies and exemptions, that were in force at any time from `since` on,
    /// in the order they were given; those that are over among them as long as they are kept.
    async fn bearing(&self, since: Timestamp) -> Result<Vec<PastOrder>, Fault>;

    /// A number that is another one after each order that was given or ended, by whatever process.
    async fn revision(&self) -> Result<i64, Fault>;

    /// Removes orders that were over before `before`; those of what the limits count, applied policies and exemptions, only
    /// when that was before `bearing` as well. Answers how many. Nobody need hear of it.
    async fn sweep(&self, before: Timestamp, bearing: Timestamp) -> Result<u64, Fault>;
}
