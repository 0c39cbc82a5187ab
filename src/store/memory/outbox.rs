//! The outbox in memory.

use std::cmp::Reverse;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{MemoryStore, State};
use crate::domain::account::Email;
use crate::domain::bounce::Bounce;
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::outbox::{Batch, Letter, LetterId, QueuedLetter};
use crate::domain::session::later;
use crate::ports::{LetterListing, LetterStatus, Outbox, Queue};

/// A letter and where it stands. It ends once: an outcome reported after that records nothing.
pub(super) struct StoredLetter {
    letter: Letter,
    paced: bool,
    attempts: u32,
    taken_until: Option<Timestamp>,
    words: Option<String>,
    pub(super) status: LetterStatus,
    pub(super) sent_to: Option<Email>,
    pub(super) bounce: Option<Bounce>,
}

impl StoredLetter {
    pub(super) fn new(letter: Letter) -> Self {
        Self {
            status: LetterStatus::Waiting(letter.created_at),
            paced: letter.matter.is_paced(),
            letter,
            attempts: 0,
            taken_until: None,
            words: None,
            sent_to: None,
            bounce: None,
        }
    }

    /// One of many that an import causes.
    pub(super) fn of_crowd(letter: Letter, due_at: Timestamp) -> Self {
        Self {
            status: LetterStatus::Waiting(due_at),
            paced: true,
            ..Self::new(letter)
        }
    }

    pub(super) const fn letter(&self) -> &Letter {
        &self.letter
    }

    /// Whether this is another letter than `id`, or one that was handed over or still may be.
    pub(super) fn may_arrive(&self, id: LetterId) -> bool {
        self.letter.id != id || matches!(self.status, LetterStatus::Waiting(_) | LetterStatus::Delivered(_))
    }

    /// When it may be taken next; a letter that has ended never is.
    fn free_at(&self) -> Option<Timestamp> {
        match self.status {
            LetterStatus::Waiting(due) => Some(self.taken_until.map_or(due, |until| until.max(due))),
            _ => None,
        }
    }

    fn age(&self) -> (Timestamp, String) {
        (self.letter.created_at, self.letter.id.to_string())
    }

    fn ended_at(&self) -> Option<Timestamp> {
        match self.status {
            LetterStatus::Waiting(_) => None,
            LetterStatus::Delivered(at)
            | LetterStatus::Withheld(at)
            | LetterStatus::GivenUp(at)
            | LetterStatus::Bounced(at) => Some(at),
        }
    }

    pub(super) fn listing(&self) -> LetterListing {
        LetterListing {
            letter: self.letter.clone(),
            status: self.status,
            attempts: self.attempts,
            words: self.words.clone(),
            paced: self.paced,
            sent_to: self.sent_to.clone(),
            bounce: self.bounce.clone(),
        }
    }
}

#[async_trait]
impl Outbox for MemoryStore {
    async fn accept(&self, then: Consequences) -> Result<(), Fault> {
        self.state.lock().record(then);
        Ok(())
    }

    async fn take(&self, now: Timestamp, most: Batch, lease: Duration) -> Result<Vec<QueuedLetter>, Fault> {
        let mut state = self.state.lock();
        let mut due: Vec<_> = state
            .letters
            .iter_mut()
            .filter(|stored| stored.free_at().is_some_and(|free| free <= now))
            .collect();
        due.sort_by_key(|stored| stored.age());
        let (paced, others): (Vec<_>, Vec<_>) = due.into_iter().partition(|stored| stored.paced);
        let taken = others.into_iter().take(most.others);
        Ok(taken
            .chain(paced.into_iter().take(most.paced))
            .map(|stored| {
                stored.taken_until = Some(later(now, lease));
                QueuedLetter {
                    letter: stored.letter.clone(),
                    attempts: stored.attempts,
                    paced: stored.paced,
                }
            })
            .collect())
    }

    async fn give_back_taken(&self) -> Result<(), Fault> {
        for stored in &mut self.state.lock().letters {
            stored.taken_until = None;
        }
        Ok(())
    }

    async fn delivered(
        &self,
        id: LetterId,
        to: &Email,
        now: Timestamp,
        words: &str,
        event: Event,
    ) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if let Some(stored) = state.waiting(id) {
            stored.status = LetterStatus::Delivered(now);
            stored.sent_to = Some(to.clone());
            stored.words = Some(words.to_owned());
            state.dead_addresses.remove(to.key());
            state.events.push(event);
        }
        Ok(())
    }

    async fn withheld(&self, id: LetterId, now: Timestamp, event: Event) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if let Some(stored) = state.waiting(id) {
            stored.status = LetterStatus::Withheld(now);
            state.events.push(event);
        }
        Ok(())
    }

    async fn failed(&self, id: LetterId, words: &str, again_at: Timestamp) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if let Some(stored) = state.waiting(id) {
            stored.status = LetterStatus::Waiting(again_at);
            stored.taken_until = None;
            stored.attempts += 1;
            stored.words = Some(words.to_owned());
        }
        Ok(())
    }

    async fn given_up(&self, id: LetterId, now: Timestamp, words: &str, event: Event) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if let Some(stored) = state.waiting(id) {
            stored.status = LetterStatus::GivenUp(now);
            stored.attempts += 1;
            stored.words = Some(words.to_owned());
            state.events.push(event);
        }
        Ok(())
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Fault> {
        let state = self.state.lock();
        Ok(state.letters.iter().filter_map(StoredLetter::free_at).min())
    }

    async fn recall(&self, now: Timestamp, far: Timestamp) -> Result<u64, Fault> {
        let mut recalled = 0;
        for stored in &mut self.state.lock().letters {
            let LetterStatus::Waiting(due) = stored.status else {
                continue;
            };
            let was_due = stored.attempts > 0 || due == stored.letter.created_at;
            if stored.taken_until.is_some_and(|until| until > far) || due > far && was_due {
                stored.status = LetterStatus::Waiting(now);
                stored.taken_until = None;
                recalled += 1;
            }
        }
        Ok(recalled)
    }

    async fn queue(&self, now: Timestamp) -> Result<Queue, Fault> {
        let state = self.state.lock();
        let mut queue = Queue::default();
        for stored in &state.letters {
            if let LetterStatus::Waiting(due) = stored.status {
                queue.waiting += 1;
                let tried = (stored.attempts > 0).then_some(stored.letter.created_at);
                let since = tried.or_else(|| (due <= now).then_some(due));
                queue.due_since = since.into_iter().chain(queue.due_since).min();
            }
        }
        Ok(queue)
    }

    async fn list(&self, most: usize) -> Result<Vec<LetterListing>, Fault> {
        let state = self.state.lock();
        let mut letters: Vec<_> = state.letters.iter().collect();
        letters.sort_by_key(|stored| Reverse(stored.age()));
        letters.truncate(most);
        Ok(letters.into_iter().map(StoredLetter::listing).collect())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let held = state.letters.len();
        state
            .letters
            .retain(|stored| stored.ended_at().is_none_or(|ended| ended >= before));
        let swept = held - state.letters.len();
        state.forget_dead_addresses(before);
        Ok(swept as u64)
    }
}

impl State {
    fn waiting(&mut self, id: LetterId) -> Option<&mut StoredLetter> {
        self.letters
            .iter_mut()
            .find(|stored| stored.letter.id == id && matches!(stored.status, LetterStatus::Waiting(_)))
    }
}
