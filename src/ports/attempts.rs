//! What was tried, as it is kept for trying policies on it.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::fault::Fault;
use crate::domain::limits::record::AttemptRecord;

/// Attempts, in the order of their times.
#[async_trait]
pub trait Attempts: Send + Sync {
    /// Keeps these.
    async fn add(&self, records: &[AttemptRecord]) -> Result<(), Fault>;

    /// Whether this one is kept, as far as time, place and name tell it from every other one.
    async fn holds(&self, record: &AttemptRecord) -> Result<bool, Fault>;

    /// The number of the one that was kept last; every one that is kept later has a higher number.
    async fn newest(&self) -> Result<i64, Fault>;

    /// The next ones, at most `most`, of those from `since` on with a number up to `newest`: the oldest first, and those of
    /// one moment in the order in which they were kept. Fewer than `most` are the last.
    async fn page(&self, since: Since, newest: i64, most: usize) -> Result<AttemptPage, Fault>;

    /// How many there are from then on.
    async fn count(&self, since: Timestamp) -> Result<u64, Fault>;

    /// Removes attempts from before `before`, at most `at_once`. Answers how many.
    async fn sweep(&self, before: Timestamp, at_once: u64) -> Result<u64, Fault>;

    /// Removes what is more than `most` attempts, at most `at_once` of them: first the oldest of those that a policy
    /// stopped, of which strangers can make any number, and only then the oldest of the others. Answers how many.
    async fn bound(&self, most: u64, at_once: u64) -> Result<u64, Fault>;
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the first attempt at that time or later.
    Time(Timestamp),
    /// After the last one of another page.
    Place(AttemptPlace),
}

/// The place of an attempt in the order of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptPlace {
    /// Its time.
    pub at: Timestamp,
    /// Its number in the order in which they were kept.
    pub number: i64,
}

/// Some attempts in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptPage {
    /// The attempts.
    pub records: Vec<AttemptRecord>,
    /// Where the last of them is; `None` when there is none.
    pub last: Option<AttemptPlace>,
}
