//! Attempts in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::domain::fault::Fault;
use crate::domain::limits::record::AttemptRecord;
use crate::ports::{AttemptPage, AttemptPlace, Attempts, Since};

#[async_trait]
impl Attempts for MemoryStore {
    async fn add(&self, records: &[AttemptRecord]) -> Result<(), Fault> {
        let mut state = self.state.lock();
        for record in records {
            let number = state.newest_attempt;
            state.newest_attempt += 1;
            let place = AttemptPlace { at: record.at, number };
            state.attempts.insert(place, record.clone());
        }
        Ok(())
    }

    async fn holds(&self, record: &AttemptRecord) -> Result<bool, Fault> {
        let state = self.state.lock();
        let same = |kept: &AttemptRecord| {
            let told = |one: &AttemptRecord| (one.at, one.endpoint, one.client, one.account);
            told(kept) == told(record)
        };
        Ok(state.attempts.values().any(same))
    }

    async fn newest(&self) -> Result<i64, Fault> {
        Ok(self.state.lock().newest_attempt - 1)
    }

    async fn page(&self, since: Since, newest: i64, most: usize) -> Result<AttemptPage, Fault> {
        let state = self.state.lock();
        let after = |place: &AttemptPlace| match since {
            Since::Time(at) => place.at >= at,
            Since::Place(last) => *place > last,
        };
        let wanted = |place: &AttemptPlace| place.number <= newest && after(place);
        let found = state.attempts.iter().filter(|(place, _)| wanted(place)).take(most);
        let mut page = AttemptPage::default();
        for (place, record) in found {
            page.records.push(record.clone());
            page.last = Some(*place);
        }
        Ok(page)
    }

    async fn count(&self, since: Timestamp) -> Result<u64, Fault> {
        let state = self.state.lock();
        Ok(state.attempts.keys().filter(|place| place.at >= since).count() as u64)
    }

    async fn sweep(&self, before: Timestamp, at_once: u64) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let old = state.attempts.keys().filter(|place| place.at < before);
        let old: Vec<_> = old.take(at_once.try_into().unwrap_or(usize::MAX)).copied().collect();
        for place in &old {
            state.attempts.remove(place);
        }
        Ok(old.len() as u64)
    }

    async fn bound(&self, most: u64, at_once: u64) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let surplus = (state.attempts.len() as u64).saturating_sub(most).min(at_once);
        let stopped = state.attempts.iter().filter(|(_, record)| record.outcome.is_none());
        let others = state.attempts.iter().filter(|(_, record)| record.outcome.is_some());
        let first: Vec<_> = stopped.chain(others).map(|(place, _)| *place).collect();
        let gone = first.into_iter().take(surplus.try_into().unwrap_or(usize::MAX));
        for place in gone {
            state.attempts.remove(&place);
        }
        Ok(surplus)
    }
}
