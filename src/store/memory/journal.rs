//! Events and signing keys in memory.

use std::cmp::Reverse;

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::key::KeyRecord;
use crate::ports::{Changed, EventFilter, Events, Keys};

#[async_trait]
impl Events for MemoryStore {
    async fn append(&self, events: &[Event]) -> Result<(), Fault> {
        self.state.lock().events.extend_from_slice(events);
        Ok(())
    }

    async fn list(&self, filter: EventFilter) -> Result<Vec<Event>, Fault> {
        let state = self.state.lock();
        let mut events: Vec<_> = state
            .events
            .iter()
            .filter(|event| filter.account.is_none_or(|account| event.account == Some(account)))
            .filter(|event| filter.since.is_none_or(|since| event.at >= since))
            .filter(|event| !state.swept_events.contains(&event.id))
            .collect();
        events.sort_by_key(|event| Reverse((event.at, event.id)));
        Ok(events.into_iter().take(filter.most).cloned().collect())
    }

    async fn recorded_since(&self, cursor: Option<i64>, most: usize) -> Result<(Vec<Event>, i64), Fault> {
        let state = self.state.lock();
        let start = cursor.map_or(state.events.len(), |cursor| {
            usize::try_from(cursor).unwrap_or(usize::MAX)
        });
        let there = (1..).zip(&state.events).skip(start);
        let there = there.filter(|(_, event)| !state.swept_events.contains(&event.id));
        let found: Vec<(usize, &Event)> = there.take(most).collect();
        let newest = found.last().map_or(start, |(number, _)| *number);
        let found = found.into_iter().map(|(_, event)| event.clone()).collect();
        Ok((found, i64::try_from(newest).unwrap_or(i64::MAX)))
    }

    async fn sweep(&self, before: Timestamp, most: u64) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let all = state.events.iter().rev().skip(1);
        let mut old: Vec<_> = all
            .filter(|event| event.at < before && !state.swept_events.contains(&event.id))
            .map(|event| (event.at, event.id))
            .collect();
        old.sort_unstable();
        old.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        state.swept_events.extend(old.iter().map(|(_, id)| *id));
        Ok(old.len() as u64)
    }
}

#[async_trait]
impl Keys for MemoryStore {
    async fn list(&self) -> Result<Vec<KeyRecord>, Fault> {
        let mut keys = self.state.lock().keys.clone();
        keys.sort_by(|one, other| (other.created_at, &other.kid).cmp(&(one.created_at, &one.kid)));
        Ok(keys)
    }

    async fn add(&self, key: &KeyRecord, then: Consequences) -> Result<(), Fault> {
        let mut state = self.state.lock();
        for earlier in state.keys.iter_mut().filter(|earlier| earlier.retired_at.is_none()) {
            earlier.retired_at = Some(key.created_at);
        }
        state.keys.push(key.clone());
        state.note(key.created_at, Changed::Keys);
        state.record(then);
        Ok(())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let held = state.keys.len();
        state
            .keys
            .retain(|key| key.retired_at.is_none_or(|retired| retired >= before));
        Ok((held - state.keys.len()) as u64)
    }
}
