//! What came back about letters, in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::outbox::StoredLetter;
use super::{MemoryStore, State};
use crate::domain::bounce::{Action, Bounce, DeadAddress, Ignored, Report};
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::ports::{Bounces, LetterListing, LetterStatus, Noting};

#[async_trait]
impl Bounces for MemoryStore {
    async fn letter(&self, id: LetterId) -> Result<Option<LetterListing>, Fault> {
        let state = self.state.lock();
        let found = state.letters.iter().find(|stored| stored.letter().id == id);
        Ok(found.map(StoredLetter::listing))
    }

    async fn note(&self, id: LetterId, report: &Report, now: Timestamp, event: Event) -> Result<Noting, Fault> {
        let mut state = self.state.lock();
        let Some(stored) = state.letters.iter_mut().find(|stored| stored.letter().id == id) else {
            return Ok(Noting::Unknown);
        };
        match stored.status {
            LetterStatus::Delivered(_) => {}
            LetterStatus::Bounced(_) => return Ok(Noting::Unchanged),
            LetterStatus::Waiting(_) => return Ok(Noting::NotYetSent),
            LetterStatus::Withheld(_) | LetterStatus::GivenUp(_) => return Ok(Noting::Unknown),
        }
        let bounce = Bounce {
            report: report.clone(),
            at: now,
        };
        match report.action {
            Action::Delivered if stored.bounce.is_none() => return Ok(Noting::Unchanged),
            Action::Delivered => stored.bounce = None,
            Action::Delayed => stored.bounce = Some(bounce),
            Action::Failed => {
                stored.bounce = Some(bounce.clone());
                stored.status = LetterStatus::Bounced(now);
                let sent_to = stored.sent_to.clone().filter(|_| report.is_permanent());
                if let Some(email) = sent_to {
                    state.dead_addresses.insert(email.key().to_owned(), bounce);
                }
                state.events.push(event);
            }
        }
        Ok(Noting::Done)
    }

    async fn ignore(&self, why: Ignored) -> Result<(), Fault> {
        *self.state.lock().ignored.entry(why).or_default() += 1;
        Ok(())
    }

    async fn ignored(&self) -> Result<Vec<(Ignored, u64)>, Fault> {
        let counts = &self.state.lock().ignored;
        Ok(counts.iter().map(|(why, count)| (*why, *count)).collect())
    }

    async fn dead_addresses(&self) -> Result<Vec<DeadAddress>, Fault> {
        let state = self.state.lock();
        let dead = |(key, bounce): (&String, &Bounce)| DeadAddress {
            key: key.clone(),
            bounce: bounce.clone(),
        };
        Ok(state.dead_addresses.iter().map(dead).collect())
    }
}

impl State {
    /// Removes what bounced before then at addresses that nobody has any more.
    pub(super) fn forget_dead_addresses(&mut self, before: Timestamp) {
        let accounts = &self.accounts;
        let is_held = |key: &String| {
            let mut emails = accounts.values().filter_map(|stored| stored.account.email.as_ref());
            emails.any(|email| email.key() == key)
        };
        self.dead_addresses
            .retain(|key, bounce| bounce.at >= before || is_held(key));
    }
}
