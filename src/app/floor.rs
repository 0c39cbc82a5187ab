//! [`StoredHashes`]: how long refusals take at least, told from the hashes in the store and the speed of this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::crypto::hashing::Argon2Hasher;
use crate::domain::fault::Fault;
use crate::ports::{Changed, Floor, Sessions};
use crate::store::SqliteStore;

/// A refusal takes so many times what the dearest hash takes on an idle machine: two for the hash on a machine that is
/// not idle, one for a queue and whatever else comes before and after. [`Refusals`](crate::flows::Refusals) reckon with
/// that.
const ROOM: u32 = 3;

/// Floors are multiples of this: a busy machine delays anything by some tens of milliseconds.
const STEP: Duration = Duration::from_millis(100);

/// The hashes are looked through again after this time, though nothing changed: a hash that was replaced at its owner's
/// sign-in is no change that others must hear of.
const AGAIN: Duration = Duration::from_mins(1);

/// Looks through the stored hashes whenever an account has changed, so that the floor is never lower than a hash that
/// could be tried: an import is followed before the next attempt.
pub struct StoredHashes {
    store: Arc<SqliteStore>,
    hasher: Arc<Argon2Hasher>,
    seen: Mutex<Option<Seen>>,
}

struct Seen {
    cursor: i64,
    at: Instant,
    floor: Option<Duration>,
}

impl StoredHashes {
    /// Looks at nothing yet.
    pub fn new(store: Arc<SqliteStore>, hasher: Arc<Argon2Hasher>) -> Self {
        Self {
            store,
            hasher,
            seen: Mutex::default(),
        }
    }

    async fn look(&self) -> Result<Option<Duration>, Fault> {
        let hashes = self.store.hashes_unlike(&self.hasher.usual_head()).await?;
        let dearest = self.hasher.dearest(&hashes).await?;
        Ok(dearest.map(floor_over))
    }
}

#[async_trait]
impl Floor for StoredHashes {
    async fn current(&self) -> Result<Option<Duration>, Fault> {
        let mut seen = self.seen.lock().await;
        let last = seen.take().filter(|last| last.at.elapsed() < AGAIN);
        // Asked for first: what changes while the hashes are read is seen the next time.
        let (changes, cursor) = self.store.changes_since(last.as_ref().map(|last| last.cursor)).await?;
        let changed = changes.iter().any(|change| matches!(change, Changed::Account(_)));
        let now = match last.filter(|_| !changed) {
            Some(last) => Seen { cursor, ..last },
            None => Seen {
                cursor,
                at: Instant::now(),
                floor: self.look().await?,
            },
        };
        let floor = now.floor;
        *seen = Some(now);
        Ok(floor)
    }
}

fn floor_over(dearest: Duration) -> Duration {
    let steps = (dearest * ROOM).as_nanos().div_ceil(STEP.as_nanos());
    STEP * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_has_room_over_the_dearest_hash() {
        assert_eq!(floor_over(Duration::from_micros(10)), Duration::from_millis(100));
        assert_eq!(floor_over(Duration::from_millis(300)), Duration::from_millis(900));
        assert_eq!(floor_over(Duration::from_micros(300_001)), Duration::from_secs(1));
    }
}
