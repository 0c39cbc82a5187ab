//! Unlocks in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::domain::account::AccountId;
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::domain::token::TokenDigest;
use crate::domain::unlock::Unlock;
use crate::ports::Unlocks;

#[async_trait]
impl Unlocks for MemoryStore {
    async fn issue(&self, unlock: &Unlock) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        if !state.accounts.contains_key(&unlock.account) {
            return Ok(false);
        }
        let earlier = state.unlocks.values_mut();
        for earlier in earlier.filter(|earlier| earlier.account == unlock.account) {
            earlier.ended_at.get_or_insert(unlock.created_at);
        }
        state.unlocks.insert(unlock.digest, unlock.clone());
        Ok(true)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Unlock>, Fault> {
        Ok(self.state.lock().unlocks.get(digest).cloned())
    }

    async fn use_up(&self, digest: &TokenDigest, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let live = |unlock: &&mut Unlock| unlock.ended_at.is_none() && now < unlock.expires_at;
        let Some(unlock) = state.unlocks.get_mut(digest).filter(live) else {
            return Ok(false);
        };
        unlock.ended_at = Some(now);
        state.record(then);
        Ok(true)
    }

    async fn sent_since(&self, account: AccountId, since: Timestamp, besides: LetterId) -> Result<bool, Fault> {
        let state = self.state.lock();
        Ok(state.unlocks.values().any(|unlock| {
            unlock.account == account
                && unlock.created_at > since
                && unlock.letter != besides
                && state.letters.iter().all(|stored| stored.may_arrive(unlock.letter))
        }))
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let held = state.unlocks.len();
        state.unlocks.retain(|_, unlock| unlock.expires_at >= before);
        Ok((held - state.unlocks.len()) as u64)
    }
}
