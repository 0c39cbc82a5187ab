//! The outbox in memory.

use std::cmp::Reverse;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{MemoryStore, State};
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::outbox::{Batch, Letter, LetterId, Matter, QueuedLetter};
use crate::domain::session::later;
use crate::ports::{LetterListing, LetterStatus, Outbox, Queue};

/// A letter and where it stands. It ends once: an outcome reported after that records nothing.
pub(super) struct StoredLetter {
    letter: Letter,
    status: LetterStatus,
    attempts: u32,
    taken_until: Option<Timestamp>,
    words: Option<String>,
}

impl StoredLetter {
    pub(super) fn new(letter: Letter) -> Self {
        let due_at = letter.created_at;
        Self::due(letter, due_at)
    }

    pub(super) fn due(letter: Letter, due_at: Timestamp) -> Self {
        Self {
            status: LetterStatus::Waiting(due_at),
            letter,
            attempts: 0,
            taken_until: None,
            words: None,
        }
    }

    pub(super) const fn letter(&self) -> &Letter {
        &self.letter
    }

    /// When it may be taken next; a letter that has ended never is.
    fn free_at(&self) -> Option<Timestamp> {
        match self.status {
            LetterStatus::Waiting(due) => Some(self.taken_until.map_or(due, |until| until.max(due))),
            LetterStatus::Delivered(_) | LetterStatus::Withheld(_) | LetterStatus::GivenUp(_) => None,
        }
    }

    fn age(&self) -> (Timestamp, String) {
        (self.letter.created_at, self.letter.id.to_string())
    }

    fn ended_at(&self) -> Option<Timestamp> {
        match self.status {
            LetterStatus::Waiting(_) => None,
            LetterStatus::Delivered(at) | LetterStatus::Withheld(at) | LetterStatus::GivenUp(at) => Some(at),
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
        let (welcomes, others): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|stored| matches!(stored.letter.matter, Matter::Welcome { .. }));
        let taken = others.into_iter().take(most.others);
        Ok(taken
            .chain(welcomes.into_iter().take(most.welcomes))
            .map(|stored| {
                stored.taken_until = Some(later(now, lease));
                QueuedLetter {
                    letter: stored.letter.clone(),
                    attempts: stored.attempts,
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

    async fn delivered(&self, id: LetterId, now: Timestamp, words: &str, event: Event) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if let Some(stored) = state.waiting(id) {
            stored.status = LetterStatus::Delivered(now);
            stored.words = Some(words.to_owned());
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
        Ok(letters
            .into_iter()
            .map(|stored| LetterListing {
                letter: stored.letter.clone(),
                status: stored.status,
                attempts: stored.attempts,
                words: stored.words.clone(),
            })
            .collect())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let held = state.letters.len();
        state
            .letters
            .retain(|stored| stored.ended_at().is_none_or(|ended| ended >= before));
        Ok((held - state.letters.len()) as u64)
    }
}

impl State {
    fn waiting(&mut self, id: LetterId) -> Option<&mut StoredLetter> {
        self.letters
            .iter_mut()
            .find(|stored| stored.letter.id == id && matches!(stored.status, LetterStatus::Waiting(_)))
    }
}
