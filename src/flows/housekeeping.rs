//! Sweeps out what has ended long ago: sessions, tickets, API tokens, orders, letters, changes.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::fault::Fault;
use crate::domain::session::{Lifetime, earlier};
use crate::ports::{ApiTokens, CampaignBook, Orders, Outbox, Sessions, Tickets};

use super::World;

/// Keeps the store from growing without end.
pub struct Housekeeping {
    /// Sessions past their limits go.
    pub sessions: Arc<dyn Sessions>,
    /// Tickets go a month after their end, so that an old link is still explained kindly.
    pub tickets: Arc<dyn Tickets>,
    /// API tokens go three months after their end, so that a forgotten program is still recognised.
    pub tokens: Arc<dyn ApiTokens>,
    /// Orders go three months after they were over, so that it can be told who was banned and why.
    pub orders: Arc<dyn Orders>,
    /// Letters go a month after their end.
    pub outbox: Arc<dyn Outbox>,
    /// Attacks go a year after their end.
    pub campaigns: Arc<dyn CampaignBook>,
    /// Time and chance.
    pub world: World,
    /// When sessions are past their limits.
    pub lifetime: Lifetime,
}

/// How long ended tickets and letters stay to be looked up.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// How long ended API tokens do, and orders.
const KEEP_LONG: Duration = Duration::from_hours(90 * 24);

/// How long attacks that are over do.
const KEEP_CAMPAIGNS: Duration = Duration::from_hours(365 * 24);

/// What one round removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions past their limits.
    pub sessions: u64,
    /// Tickets that ended long ago.
    pub tickets: u64,
    /// API tokens that ended long ago.
    pub tokens: u64,
    /// Orders that were over long ago.
    pub orders: u64,
    /// Letters that ended long ago.
    pub letters: u64,
    /// Attacks that ended long ago.
    pub campaigns: u64,
}

impl Housekeeping {
    /// One round.
    pub async fn run_once(&self) -> Result<Swept, Fault> {
        let now = self.world.now();
        let before = earlier(now, KEEP);
        // A request may have used a session up to a minute after the stored time.
        let seen_before = earlier(earlier(now, self.lifetime.idle), Duration::from_mins(2));
        let sessions = self
            .sessions
            .sweep(earlier(now, self.lifetime.absolute), seen_before)
            .await?;
        let tickets = self.tickets.sweep(before).await?;
        let tokens = self.tokens.sweep(earlier(now, KEEP_LONG)).await?;
        let orders = self.orders.sweep(earlier(now, KEEP_LONG)).await?;
        let letters = self.outbox.sweep(before).await?;
        let campaigns = self.campaigns.sweep(earlier(now, KEEP_CAMPAIGNS)).await?;
        self.sessions
            .sweep_changes(earlier(now, Duration::from_hours(1)))
            .await?;
        tracing::debug!(sessions, tickets, tokens, orders, letters, campaigns, "swept");
        Ok(Swept {
            sessions,
            tickets,
            tokens,
            orders,
            letters,
            campaigns,
        })
    }
}
