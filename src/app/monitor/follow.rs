//! Follows what is recorded as events, by this process and by commands, so that each is counted once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::app::tasks::Tasks;
use crate::domain::fault::Fault;
use crate::ports::Events;
use crate::telemetry::metrics::FactMetrics;

use super::count::count;

/// An event is counted after this time at the latest.
const FOLLOW: Duration = Duration::from_millis(500);
/// Events read at once: an import records thousands.
const AT_ONCE: usize = 1000;

/// Counts what is recorded from now on. While the store cannot be read nothing is counted, and later all of it is.
///
/// # Errors
/// When the store cannot be read now.
pub async fn events(tasks: &Tasks, store: &Arc<impl Events + 'static>, metrics: FactMetrics) -> Result<(), Fault> {
    let (_, start) = store.recorded_since(None, 0).await?;
    let store: Arc<dyn Events> = Arc::clone(store) as _;
    let cursor = Arc::new(Mutex::new(start));
    tasks.every(FOLLOW, "counting events", move || {
        let (store, cursor, metrics) = (Arc::clone(&store), Arc::clone(&cursor), metrics.clone());
        async move { catch_up(&*store, &cursor, &metrics).await }
    });
    Ok(())
}

async fn catch_up(store: &dyn Events, cursor: &Mutex<i64>, metrics: &FactMetrics) -> Result<(), Fault> {
    loop {
        let seen = *cursor.lock();
        let (events, newest) = store.recorded_since(Some(seen), AT_ONCE).await?;
        // What was read is counted before anything else can fail, and the place is kept with it.
        for event in &events {
            count(metrics, &event.fact);
        }
        *cursor.lock() = newest;
        if events.len() < AT_ONCE {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::domain::event::{Actor, Event, Fact};
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn each_event_is_counted_once_and_none_of_before() {
        let store = MemoryStore::new();
        let event = |number: u128| Event {
            id: Uuid::from_u128(number),
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::Operator,
            client: None,
            account: None,
            fact: Fact::AccountCreated,
        };
        store.append(&[event(1)]).await.unwrap();
        let (_, start) = store.recorded_since(None, 0).await.unwrap();
        let (cursor, metrics) = (Mutex::new(start), FactMetrics::default());
        let created = || metrics.events.get(&["account.created"]).unwrap().get();
        let many: Vec<Event> = (2..=2 * AT_ONCE as u128 + 8).map(event).collect();
        store.append(&many).await.unwrap();
        for _ in 0..3 {
            catch_up(&store, &cursor, &metrics).await.unwrap();
            assert_eq!(created(), many.len() as u64);
        }
        store.append(&[event(9_999_999)]).await.unwrap();
        catch_up(&store, &cursor, &metrics).await.unwrap();
        assert_eq!(created(), many.len() as u64 + 1);
    }
}
