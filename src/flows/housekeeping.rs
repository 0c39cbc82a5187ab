//! Sweeps out what has ended long ago: sessions, tickets, API tokens, orders, letters, changes, attacks, attempts, events.
//!
//! Whoever sets the clock ahead could have all of it deleted: what tells of an attack, bans that are still to hold, links
//! and tokens that still work. While the time of day is doubted nothing goes by it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::fault::Fault;
use crate::domain::session::{Lifetime, earlier, later};
use crate::ports::{ApiTokens, Attempts, CampaignBook, Events, Orders, Outbox, Sessions, Tickets, Unlocks};

use super::{WallClock, World};

/// Keeps the store from growing without end.
pub struct Housekeeping {
    /// Sessions past their limits go.
    pub sessions: Arc<dyn Sessions>,
    /// Tickets go a month after their end, so that an old link is still explained kindly.
    pub tickets: Arc<dyn Tickets>,
    /// So do links that unlock a browser.
    pub unlocks: Arc<dyn Unlocks>,
    /// API tokens go three months after their end, so that a forgotten program is still recognised.
    pub tokens: Arc<dyn ApiTokens>,
    /// Orders go three months after they were over, so that it can be told who was banned and why. What bears on attempts
    /// stays as long as these.
    pub orders: Arc<dyn Orders>,
    /// Letters go a month after their end.
    pub outbox: Arc<dyn Outbox>,
    /// Attacks go a year after their end.
    pub campaigns: Arc<dyn CampaignBook>,
    /// Attempts go when nobody wants to try policies on them any more.
    pub attempts: Arc<dyn Attempts>,
    /// How long attempts stay.
    pub keep_attempts: Duration,
    /// Events go when the operator wants them no more.
    pub events: Arc<dyn Events>,
    /// How long events stay; `None` is for ever.
    pub keep_events: Option<Duration>,
    /// Nothing goes by a time of day that is doubted.
    pub wall_clock: Arc<WallClock>,
    /// Time and chance.
    pub world: World,
    /// When sessions are past their limits.
    pub lifetime: Lifetime,
}

/// How long ended tickets and letters stay to be looked up.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// How long ended API tokens do, and orders.
const KEEP_LONG: Duration = Duration::from_hours(90 * 24);

/// No letter waits for so long to be tried again.
const FAR: Duration = Duration::from_hours(24);

/// How long attacks that are over do.
const KEEP_CAMPAIGNS: Duration = Duration::from_hours(365 * 24);

/// The most attempts that stay, about a hundred bytes each.
const MOST_ATTEMPTS: u64 = 5_000_000;

/// Attempts and events are removed in steps of this many, each in a few milliseconds, so that a sign-in never waits for long.
const AT_ONCE: u64 = 2000;

/// Steps of one round: more attempts than can be kept in the time between two rounds.
const MOST_STEPS: u32 = 5000;

/// What one round removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions past their limits.
    pub sessions: u64,
    /// Tickets that ended long ago.
    pub tickets: u64,
    /// Links that unlock a browser and ended long ago.
    pub unlocks: u64,
    /// API tokens that ended long ago.
    pub tokens: u64,
    /// Orders that were over long ago.
    pub orders: u64,
    /// Letters that ended long ago.
    pub letters: u64,
    /// Attacks that ended long ago.
    pub campaigns: u64,
    /// Attempts of long ago, and more than there may be.
    pub attempts: u64,
    /// Events of long ago.
    pub events: u64,
}

impl Housekeeping {
    /// One round.
    pub async fn run_once(&self) -> Result<Swept, Fault> {
        self.recall_letters().await?;
        let Some(now) = self.wall_clock.believed(&self.world) else {
            tracing::warn!(
                "the clock is far ahead of what was recorded and of the time that has passed; nothing is deleted by its age \
                 until it is right, or has stayed so for a week"
            );
            return Ok(Swept {
                attempts: self.bound_attempts().await?,
                ..Swept::default()
            });
        };
        let before = earlier(now, KEEP);
        // A request may have used a session up to a minute after the stored time.
        let seen_before = earlier(earlier(now, self.lifetime.idle), Duration::from_mins(2));
        let sessions = self
            .sessions
            .sweep(earlier(now, self.lifetime.absolute), seen_before)
            .await?;
        let tickets = self.tickets.sweep(before).await?;
        let unlocks = self.unlocks.sweep(before).await?;
        let tokens = self.tokens.sweep(earlier(now, KEEP_LONG)).await?;
        let bearing = earlier(now, KEEP_LONG.max(self.keep_attempts));
        let orders = self.orders.sweep(earlier(now, KEEP_LONG), bearing).await?;
        let letters = self.outbox.sweep(before).await?;
        let campaigns = self.campaigns.sweep(earlier(now, KEEP_CAMPAIGNS)).await?;
        self.sessions
            .sweep_changes(earlier(now, Duration::from_hours(1)))
            .await?;
        let attempts = self.sweep_attempts(now).await? + self.bound_attempts().await?;
        let events = self.sweep_events(now).await?;
        tracing::debug!(
            sessions, tickets, unlocks, tokens, orders, letters, campaigns, attempts, events, "swept"
        );
        Ok(Swept {
            sessions,
            tickets,
            unlocks,
            tokens,
            orders,
            letters,
            campaigns,
            attempts,
            events,
        })
    }

    /// What was to be tried again while the clock was ahead, or was accepted then, would else wait until it gets there.
    async fn recall_letters(&self) -> Result<(), Fault> {
        let now = self.world.now();
        let letters = self.outbox.recall(now, later(now, FAR)).await?;
        if letters > 0 {
            tracing::warn!(
                letters,
                "the clock has been ahead; letters that waited for that time are due now"
            );
        }
        Ok(())
    }

    /// In small steps as well.
    async fn sweep_events(&self, now: Timestamp) -> Result<u64, Fault> {
        let Some(keep) = self.keep_events else {
            return Ok(0);
        };
        let before = earlier(now, keep);
        let mut swept = 0;
        for _ in 0..MOST_STEPS {
            let removed = self.events.sweep(before, AT_ONCE).await?;
            swept += removed;
            if removed < AT_ONCE {
                break;
            }
        }
        if swept > 0 {
            tracing::info!(events = swept, "events older than store.keep_events were deleted");
        }
        Ok(swept)
    }

    /// In small steps, since whoever signs in meanwhile waits for the one under way.
    async fn sweep_attempts(&self, now: Timestamp) -> Result<u64, Fault> {
        let before = earlier(now, self.keep_attempts);
        let mut swept = 0;
        for _ in 0..MOST_STEPS {
            let removed = self.attempts.sweep(before, AT_ONCE).await?;
            if removed == 0 {
                break;
            }
            swept += removed;
        }
        Ok(swept)
    }

    /// As many as there may be, whatever the time is.
    async fn bound_attempts(&self) -> Result<u64, Fault> {
        let mut swept = 0;
        for _ in 0..MOST_STEPS {
            let removed = self.attempts.bound(MOST_ATTEMPTS, AT_ONCE).await?;
            if removed == 0 {
                break;
            }
            swept += removed;
        }
        Ok(swept)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::campaigns::Campaign;
    use crate::domain::campaigns::tests::Made;
    use crate::domain::client::ClientAddr;
    use crate::domain::event::{Actor, Consequences, Event, Fact};
    use crate::domain::limits::Nanos;
    use crate::domain::order::{Decree, Order, OrderId, PolicySource, Target, Words};
    use crate::domain::session::tests::at;
    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::{Clock, Entropy, EventFilter, Hand};
    use crate::store::MemoryStore;

    const DAY: Duration = Duration::from_hours(24);

    /// It is the hundredth day.
    struct Late;

    impl Clock for Late {
        fn now(&self) -> Timestamp {
            later(at(0), 100 * DAY)
        }

        fn monotonic(&self) -> Nanos {
            Nanos(1)
        }
    }

    impl Entropy for Late {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [0; TOKEN_BYTES]
        }
    }

    fn housekeeping(store: &Arc<MemoryStore>, keep_events: Option<Duration>) -> Housekeeping {
        let world = World::new(Arc::new(Late), Arc::new(Late));
        Housekeeping {
            sessions: store.clone(),
            tickets: store.clone(),
            unlocks: store.clone(),
            tokens: store.clone(),
            orders: store.clone(),
            outbox: store.clone(),
            campaigns: store.clone(),
            attempts: store.clone(),
            keep_attempts: Duration::ZERO,
            events: store.clone(),
            keep_events,
            wall_clock: Arc::new(WallClock::new(&world, None)),
            world,
            lifetime: Lifetime::default(),
        }
    }

    #[tokio::test]
    async fn events_stay_for_ever_unless_a_time_is_named_and_then_for_that_time() {
        let store = Arc::new(MemoryStore::new());
        let many = u32::try_from(AT_ONCE).unwrap() * 2 + 7;
        let event = |number: u32, day: u32| Event {
            id: Uuid::from_u128(number.into()),
            at: later(at(0), day * DAY),
            actor: Actor::Gateway,
            client: None,
            account: None,
            fact: Fact::AccountEnabled,
        };
        let events: Vec<Event> = (0..many).map(|number| event(number, 1)).collect();
        store.append(&events).await.unwrap();
        store.append(&[event(many, 69), event(many + 1, 71)]).await.unwrap();
        let swept = async |keep| housekeeping(&store, keep).run_once().await.unwrap().events;
        assert_eq!(swept(None).await, 0);
        assert_eq!(swept(Some(30 * DAY)).await, u64::from(many) + 1);
        let left = Events::list(&*store, EventFilter::newest(9)).await.unwrap();
        assert_eq!(left, [event(many + 1, 71)]);
    }

    #[tokio::test]
    async fn a_clock_that_jumps_ahead_deletes_no_event() {
        let (store, clock) = (Arc::new(MemoryStore::new()), Hand::at(0));
        let world = World::new(clock.clone(), clock.clone());
        let housekeeping = Housekeeping {
            wall_clock: Arc::new(WallClock::new(&world, None)),
            world,
            ..housekeeping(&store, Some(30 * DAY))
        };
        let event = |number: u32, at: Timestamp| Event {
            id: Uuid::from_u128(number.into()),
            at,
            actor: Actor::Gateway,
            client: None,
            account: None,
            fact: Fact::AccountEnabled,
        };
        let old = earlier(at(0), 31 * DAY);
        store
            .append(&[event(0, old), event(1, at(0)), event(2, at(0))])
            .await
            .unwrap();
        clock.set(400 * 24 * 60 * 60);
        assert_eq!(housekeeping.run_once().await.unwrap().events, 0);
        clock.set(60 * 60);
        assert_eq!(housekeeping.run_once().await.unwrap().events, 1, "it is right again");
    }

    #[tokio::test]
    async fn a_clock_that_jumps_ahead_deletes_nothing_that_tells_of_an_attack_and_no_ban() {
        let (store, clock) = (Arc::new(MemoryStore::new()), Hand::at(0));
        let world = World::new(clock.clone(), clock.clone());
        let housekeeping = Housekeeping {
            wall_clock: Arc::new(WallClock::new(&world, None)),
            world,
            keep_attempts: 30 * DAY,
            ..housekeeping(&store, None)
        };
        let attack = Campaign::sample(false, at(0));
        store
            .put(std::slice::from_ref(&attack), Consequences::default())
            .await
            .unwrap();
        let ban = Order {
            id: OrderId::new(Uuid::from_u128(1)),
            decree: Decree::Ban(Target::from_client("203.0.113.7").unwrap()),
            reason: None,
            author: Words::parse("root").unwrap(),
            made_at: at(0),
            until: Some(later(at(0), 7 * DAY)),
        };
        store.give(&ban, Consequences::default()).await.unwrap();
        let attempt = Made::wrong(0, ClientAddr::new([203, 0, 113, 7].into()), 1, 1);
        Attempts::add(&*store, &[attempt.0.record]).await.unwrap();
        clock.set(400 * 24 * 60 * 60);
        assert_eq!(housekeeping.run_once().await.unwrap(), Swept::default());
        clock.set(60 * 60);
        assert_eq!(housekeeping.run_once().await.unwrap(), Swept::default());
        assert_eq!(store.unended().await.unwrap().0, [ban]);
        assert_eq!(CampaignBook::find(&*store, attack.id).await.unwrap(), Some(attack));
        assert_eq!(Attempts::count(&*store, at(0)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn orders_that_bear_on_attempts_stay_as_long_as_these() {
        let store = Arc::new(MemoryStore::new());
        let order = |number: u128, decree| Order {
            id: OrderId::new(Uuid::from_u128(number)),
            decree,
            reason: None,
            author: Words::parse("root").unwrap(),
            made_at: at(0),
            until: Some(later(at(0), DAY)),
        };
        let ban = order(1, Decree::Ban(Target::from_client("203.0.113.7").unwrap()));
        let policy = order(2, Decree::Apply(PolicySource::Preset("strict".to_owned())));
        for order in [&ban, &policy] {
            store.give(order, Consequences::default()).await.unwrap();
        }
        let swept = async |keep_attempts| {
            let housekeeping = Housekeeping {
                keep_attempts,
                ..housekeeping(&store, None)
            };
            housekeeping.run_once().await.unwrap().orders
        };
        assert_eq!(swept(200 * DAY).await, 1, "the ban");
        assert_eq!(store.unended().await.unwrap().0, [policy]);
        assert_eq!(swept(Duration::ZERO).await, 1);
    }
}
