//! The outbox: letters accepted and not yet handed to the mail server. Most letters enter it as
//! consequences of other acts, in the same transaction.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::Email;
use crate::domain::bounce::Bounce;
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::outbox::{Batch, Letter, LetterId, QueuedLetter};

/// Letters on their way.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Accepts letters and events that no other change causes: a reset request.
    async fn accept(&self, then: Consequences) -> Result<(), Fault>;

    /// Takes up to `most` letters that are due and hides them from other takers for `lease`: paced ones last,
    /// otherwise oldest first. One that cannot be understood is not among them, and is hidden as long.
    async fn take(&self, now: Timestamp, most: Batch, lease: Duration) -> Result<Vec<QueuedLetter>, Fault>;

    /// Gives back what a process took that is no longer there. Called once, at start, by the one server
    /// that holds the store.
    async fn give_back_taken(&self) -> Result<(), Fault>;

    /// The mail server accepted it for this address, with these words. Nothing that bounced earlier speaks against the
    /// address from now on.
    async fn delivered(&self, id: LetterId, to: &Email, now: Timestamp, words: &str, event: Event)
    -> Result<(), Fault>;

    /// It was decided that nothing is sent.
    async fn withheld(&self, id: LetterId, now: Timestamp, event: Event) -> Result<(), Fault>;

    /// The attempt failed with these words; it is due again at `again_at`.
    async fn failed(&self, id: LetterId, words: &str, again_at: Timestamp) -> Result<(), Fault>;

    /// It failed for good with these words and stays in listings.
    async fn given_up(&self, id: LetterId, now: Timestamp, words: &str, event: Event) -> Result<(), Fault>;

    /// When the next letter is due; `None` when nothing waits.
    async fn next_due(&self) -> Result<Option<Timestamp>, Fault>;

    /// Makes letters due at `now` that wait until after `far` and were tried before, or were due as soon as they were
    /// accepted: the clock was ahead by then, and has been set right. Answers how many.
    async fn recall(&self, now: Timestamp, far: Timestamp) -> Result<u64, Fault>;

    /// How many letters wait, and since when the most overdue of them is due.
    async fn queue(&self, now: Timestamp) -> Result<Queue, Fault>;

    /// All letters, newest first, at most `most`.
    async fn list(&self, most: usize) -> Result<Vec<LetterListing>, Fault>;

    /// Removes letters that ended before `before`, and what bounced before then at addresses that nobody has any more.
    /// Answers how many letters.
    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault>;
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Letters that wait, those whose time has not come among them.
    pub waiting: u64,
    /// Since when the letter that is overdue for longest is due: since its time came, or, once it was tried in vain,
    /// since it was accepted. `None` when none is overdue.
    pub due_since: Option<Timestamp>,
}

/// A letter in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterListing {
    /// The letter.
    pub letter: Letter,
    /// Where it stands.
    pub status: LetterStatus,
    /// Failed attempts.
    pub attempts: u32,
    /// The mail server's last words.
    pub words: Option<String>,
    /// Whether it leaves at the rate of crowds.
    pub paced: bool,
    /// The address it was handed over for.
    pub sent_to: Option<Email>,
    /// What was reported about it afterwards.
    pub bounce: Option<Bounce>,
}

/// Where a letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterStatus {
    /// Waits until then.
    Waiting(Timestamp),
    /// Handed to the mail server.
    Delivered(Timestamp),
    /// Not sent, on purpose.
    Withheld(Timestamp),
    /// Given up.
    GivenUp(Timestamp),
    /// Handed to the mail server, and reported as undeliverable then.
    Bounced(Timestamp),
}
