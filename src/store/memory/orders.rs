//! Orders in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::order::{Kind, Order, OrderId};
use crate::ports::{Orders, PastOrder};

/// An order and when it was ended.
pub(super) struct StoredOrder {
    order: Order,
    ended_at: Option<Timestamp>,
}

#[async_trait]
impl Orders for MemoryStore {
    async fn give(&self, order: &Order, then: Consequences) -> Result<(), Fault> {
        let mut state = self.state.lock();
        let unended = state.orders.iter_mut().filter(|stored| stored.ended_at.is_none());
        for earlier in unended.filter(|stored| stored.order.decree.excludes(&order.decree)) {
            earlier.ended_at = Some(order.made_at);
        }
        state.orders.push(StoredOrder {
            order: order.clone(),
            ended_at: None,
        });
        state.order_revision += 1;
        state.record(then);
        Ok(())
    }

    async fn end(&self, id: OrderId, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let mut unended = state.orders.iter_mut().filter(|stored| stored.ended_at.is_none());
        let Some(found) = unended.find(|stored| stored.order.id == id) else {
            return Ok(false);
        };
        found.ended_at = Some(now);
        state.order_revision += 1;
        state.record(then);
        Ok(true)
    }

    async fn unended(&self) -> Result<(Vec<Order>, i64), Fault> {
        let state = self.state.lock();
        let unended = state.orders.iter().filter(|stored| stored.ended_at.is_none());
        let mut orders: Vec<Order> = unended.map(|stored| stored.order.clone()).collect();
        orders.sort_by_key(|order| std::cmp::Reverse((order.made_at, order.id)));
        Ok((orders, state.order_revision))
    }

    async fn bearing(&self, since: Timestamp) -> Result<Vec<PastOrder>, Fault> {
        let state = self.state.lock();
        let counts = |stored: &&StoredOrder| stored.order.decree.kind() != Kind::Ban;
        let past = state.orders.iter().filter(counts).map(|stored| PastOrder {
            order: stored.order.clone(),
            ended_at: stored.ended_at,
        });
        let mut past: Vec<PastOrder> = past
            .filter(|past| past.until().is_none_or(|until| until > since))
            .collect();
        past.sort_by_key(|past| (past.order.made_at, past.order.id));
        Ok(past)
    }

    async fn revision(&self) -> Result<i64, Fault> {
        Ok(self.state.lock().order_revision)
    }

    async fn sweep(&self, before: Timestamp, bearing: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let all = state.orders.len();
        state.orders.retain(|stored| {
            let is_over = |by: Timestamp| {
                let mut times = [stored.ended_at, stored.order.until].into_iter().flatten();
                times.any(|time| time < by)
            };
            let bears = matches!(stored.order.decree.kind(), Kind::Exemption | Kind::Policy);
            !is_over(before) || (bears && !is_over(bearing))
        });
        Ok((all - state.orders.len()) as u64)
    }
}
