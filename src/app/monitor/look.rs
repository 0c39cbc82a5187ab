//! Looks every few seconds at what the gateway rests on, so that no request has to: can the store be read, can it be
//! written, how long do letters wait, is there a key that signs.

use std::sync::Arc;
use std::time::Duration;

use crate::app::keys::SigningKeys;
use crate::app::tasks::Tasks;
use crate::domain::fault::Fault;
use crate::flows::World;
use crate::ports::{Outbox, Sessions};
use crate::store::SqliteStore;
use crate::telemetry::health::{Health, Part};
use crate::telemetry::metrics::Metrics;

/// A write costs a disk one flush.
const PAUSE: Duration = Duration::from_secs(5);

/// What is looked at, and where it is noted.
#[derive(Clone)]
pub struct Around {
    /// Read and written.
    pub store: Arc<SqliteStore>,
    /// What signs.
    pub keys: Arc<SigningKeys>,
    /// Ages and lengths.
    pub metrics: Arc<Metrics>,
    /// What works.
    pub health: Arc<Health>,
    /// Time.
    pub world: World,
}

/// Starts looking. Each thing is looked at for itself: that one cannot be had says nothing of the next.
pub fn around(tasks: &Tasks, around: Around) {
    let read = around.clone();
    tasks.every(PAUSE, "reading the store", move || {
        let around = read.clone();
        async move { around.read().await }
    });
    let write = around.clone();
    tasks.every(PAUSE, "writing to the store", move || {
        let around = write.clone();
        async move {
            let tried = around.store.try_writing().await;
            around.note(Part::StoreWrite, tried.is_ok());
            tried
        }
    });
    tasks.every(PAUSE, "looking at letters and keys", move || {
        let around = around.clone();
        async move {
            around.letters().await?;
            around.key().await
        }
    });
}

impl Around {
    fn note(&self, part: Part, well: bool) {
        self.health.note(part, well, || self.world.now().as_second());
    }

    async fn read(&self) -> Result<(), Fault> {
        let tried = self.store.changes_since(None).await;
        self.note(Part::StoreRead, tried.is_ok());
        tried.map(drop)
    }

    async fn letters(&self) -> Result<(), Fault> {
        let now = self.world.now();
        let queue = self.store.queue(now).await?;
        let overdue = queue.due_since.map_or(Duration::ZERO, |since| {
            Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO)
        });
        let work = &self.metrics.work;
        work.outbox_waiting
            .set(i64::try_from(queue.waiting).unwrap_or(i64::MAX));
        work.outbox_oldest_due.set(overdue.as_secs_f64());
        self.health.note_outbox(queue.waiting, overdue.as_secs());
        Ok(())
    }

    async fn key(&self) -> Result<(), Fault> {
        let made = self.keys.made_at().await?;
        self.note(Part::SigningKey, made.is_some());
        if let Some(made) = made {
            let seconds = made.as_duration().as_secs_f64();
            self.metrics.machine.signing_key_created.set(seconds);
        }
        Ok(())
    }
}
