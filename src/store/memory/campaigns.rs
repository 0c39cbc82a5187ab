//! Attacks in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::domain::campaigns::{Campaign, CampaignId};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::ports::{CampaignBook, Stored};

#[async_trait]
impl CampaignBook for MemoryStore {
    async fn put(&self, campaigns: &[Campaign], mut then: Consequences) -> Result<(), Fault> {
        let mut state = self.state.lock();
        (then.events).retain(|event| !state.events.iter().any(|known| known.id == event.id));
        (then.letters).retain(|letter| !state.letters.iter().any(|known| known.letter().id == letter.id));
        for campaign in campaigns {
            state.campaigns.insert(campaign.id, campaign.clone());
        }
        state.record(then);
        Ok(())
    }

    async fn find(&self, id: CampaignId) -> Result<Option<Campaign>, Fault> {
        Ok(self.state.lock().campaigns.get(&id).cloned())
    }

    async fn list(&self, since: Timestamp, most: usize) -> Result<Vec<Stored>, Fault> {
        let state = self.state.lock();
        let mut listed: Vec<Campaign> = state.campaigns.values().cloned().collect();
        listed.retain(|campaign| campaign.last_at >= since);
        listed.sort_by_key(|campaign| std::cmp::Reverse((campaign.last_at, campaign.id)));
        listed.truncate(most);
        Ok(listed.into_iter().map(Ok).collect())
    }

    async fn told_at(&self, moment: Timestamp, most: usize) -> Result<Vec<Stored>, Fault> {
        let state = self.state.lock();
        let told = |campaign: &&Campaign| {
            let at = campaign.told_at.map(Timestamp::as_millisecond);
            at == Some(moment.as_millisecond())
        };
        let found = state.campaigns.values().filter(told).take(most);
        Ok(found.cloned().map(Ok).collect())
    }

    async fn living(&self) -> Result<Vec<Stored>, Fault> {
        let state = self.state.lock();
        let living = state.campaigns.values().filter(|campaign| campaign.is_living());
        Ok(living.cloned().map(Ok).collect())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let all = state.campaigns.len();
        state
            .campaigns
            .retain(|_, campaign| campaign.ended_at.is_none_or(|ended| ended >= before));
        Ok((all - state.campaigns.len()) as u64)
    }
}
