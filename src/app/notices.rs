//! Rules of the limits that only tell: the log and an event say that one was reached, at most once a minute for each rule.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::event::{Actor, Event, Fact};
use crate::domain::limits::policy::RuleName;
use crate::flows::World;
use crate::ports::Events;

/// Seconds between two notices of one rule.
const EVERY: i64 = 60;
/// Rules remembered; those that are quiet again are forgotten beyond it.
const MOST: usize = 256;
/// Notices that wait to be written down. One that finds no room is in the log all the same.
const WAITING: usize = 256;

/// Where it is told that a rule was reached.
pub(super) struct Notices {
    world: World,
    told: Mutex<HashMap<RuleName, i64>>,
    sender: mpsc::Sender<Event>,
}

/// Notices on their way to the store.
pub(super) struct Waiting(mpsc::Receiver<Event>);

impl Notices {
    /// Nothing was told yet.
    pub fn new(world: World) -> (Arc<Self>, Waiting) {
        let (sender, waiting) = mpsc::channel(WAITING);
        let notices = Self {
            world,
            told: Mutex::default(),
            sender,
        };
        (Arc::new(notices), Waiting(waiting))
    }

    /// There was no room under a rule that only tells. Never waits.
    pub fn reached(&self, rule: &RuleName) {
        let now = self.world.now();
        let second = now.as_second();
        {
            let mut told = self.told.lock();
            if told.get(rule).is_some_and(|at| (second - at).abs() < EVERY) {
                return;
            }
            if told.len() >= MOST {
                told.retain(|_, at| (second - *at).abs() < EVERY);
            }
            told.insert(rule.clone(), second);
        }
        tracing::warn!(%rule, "a limit that only tells was reached");
        let event = Event {
            id: self.world.uuid(),
            at: now,
            actor: Actor::Gateway,
            client: None,
            account: None,
            fact: Fact::LimitReached(rule.to_string()),
        };
        if self.sender.try_send(event).is_err() {
            tracing::warn!(%rule, "no event says so: too many wait to be written down");
        }
    }
}

impl Waiting {
    /// Writes them down until the stop.
    pub async fn record(mut self, events: Arc<dyn Events>, stop: CancellationToken) {
        loop {
            let event = tokio::select! {
                event = self.0.recv() => event,
                () = stop.cancelled() => self.0.try_recv().ok(),
            };
            let Some(event) = event else { return };
            if let Err(fault) = events.append(&[event]).await {
                tracing::error!(fault = fault.chain(), "could not record that a limit was reached");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::Timestamp;

    use super::*;
    use crate::domain::limits::Nanos;
    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::{Clock, Entropy, EventFilter};
    use crate::store::MemoryStore;

    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
        }

        fn monotonic(&self) -> Nanos {
            Nanos(1)
        }
    }

    impl Entropy for Hands {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [7; TOKEN_BYTES]
        }
    }

    #[tokio::test]
    async fn a_rule_that_is_reached_all_the_time_is_told_once_a_minute() {
        let clock = Arc::new(Hands(AtomicI64::new(1_800_000_000)));
        let (notices, waiting) = Notices::new(World::new(clock.clone(), clock.clone()));
        let (spray, other) = (RuleName::parse("spray").unwrap(), RuleName::parse("other").unwrap());
        for _ in 0..120 {
            notices.reached(&spray);
            clock.0.fetch_add(1, Ordering::Relaxed);
        }
        notices.reached(&other);
        let store = Arc::new(MemoryStore::new());
        let stop = CancellationToken::new();
        stop.cancel();
        waiting.record(store.clone(), stop).await;
        let recorded = store.list(EventFilter::newest(100)).await.unwrap();
        let mut details: Vec<_> = recorded.iter().filter_map(|event| event.fact.detail()).collect();
        details.sort();
        assert_eq!(details, ["other", "spray", "spray"]);
        assert!(recorded.iter().all(|event| event.fact.name() == "limits.reached"));
    }
}
