//! Writes down what was tried, off the path of whoever tries, so that other policies can be tried on it later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::fault::Fault;
use crate::domain::limits::record::{AttemptRecord, Seen};
use crate::ports::{AttemptLog, Attempts};

/// Counts attempts that are not written down.
#[derive(Clone)]
struct Lost {
    since_told: Arc<AtomicU64>,
    count: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Lost {
    fn note(&self, attempts: u64) {
        self.since_told.fetch_add(attempts, Ordering::Relaxed);
        (self.count)(attempts);
    }
}

/// Takes note of attempts without ever waiting.
#[derive(Clone)]
pub struct AttemptSender {
    notes: mpsc::Sender<AttemptRecord>,
    lost: Lost,
}

impl AttemptLog for AttemptSender {
    /// What finds no room is counted and left: a flood must not cost memory, and what a policy did to it shows in the rest.
    fn note(&self, seen: Seen) {
        if self.notes.try_send(seen.record).is_err() {
            self.lost.note(1);
        }
    }
}

/// Collects attempts and writes them to the store in batches.
pub struct RecordAttempts {
    attempts: Arc<dyn Attempts>,
    notes: mpsc::Receiver<AttemptRecord>,
    lost: Lost,
    told: Option<Instant>,
    /// So many of the first that wait may be kept: the store did not answer in time when they were to be.
    doubtful: usize,
}

impl RecordAttempts {
    /// The most attempts that wait, and that one write takes.
    pub const CAPACITY: usize = 8192;

    /// Losses are told in the log at most this often.
    const TELL: Duration = Duration::from_mins(1);

    /// The writer, and the end to note attempts at. `count` is told how many are not written down.
    pub fn new(attempts: Arc<dyn Attempts>, count: impl Fn(u64) + Send + Sync + 'static) -> (Self, AttemptSender) {
        let (sender, notes) = mpsc::channel(Self::CAPACITY);
        let lost = Lost {
            since_told: Arc::default(),
            count: Arc::new(count),
        };
        let sender = AttemptSender {
            notes: sender,
            lost: lost.clone(),
        };
        let writer = Self {
            attempts,
            notes,
            lost,
            told: None,
            doubtful: 0,
        };
        (writer, sender)
    }

    /// Writes until `done`, at most once per `pause`, and then what is left. While they are not `wanted`, none is
    /// written. What the store does not take is tried again as long as there is room for it.
    pub async fn run(mut self, pause: Duration, wanted: impl Fn() -> bool + Send, done: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let last = tokio::select! {
                biased;
                () = done.cancelled() => true,
                taken = self.take(&mut batch) => taken == 0,
            };
            if last {
                while let Ok(note) = self.notes.try_recv() {
                    batch.push(note);
                }
            }
            if !wanted() {
                batch.clear();
            }
            self.write(&mut batch).await;
            self.tell();
            if last {
                self.lost.note(batch.len() as u64);
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = done.cancelled() => {}
            }
        }
    }

    /// Waits for attempts, or for nothing where some are to be tried again. 0 when nobody will ever note one.
    async fn take(&mut self, batch: &mut Vec<AttemptRecord>) -> usize {
        if batch.is_empty() {
            return self.notes.recv_many(batch, Self::CAPACITY).await;
        }
        while batch.len() < Self::CAPACITY
            && let Ok(note) = self.notes.try_recv()
        {
            batch.push(note);
        }
        batch.len()
    }

    async fn write(&mut self, batch: &mut Vec<AttemptRecord>) {
        match self.keep(batch).await {
            Ok(()) => batch.clear(),
            Err(fault) => tracing::warn!(
                fault = fault.chain(),
                "could not write down what was tried; it is tried again"
            ),
        }
    }

    /// Each once: of those that were to be kept together before, all are or none is.
    async fn keep(&mut self, batch: &mut Vec<AttemptRecord>) -> Result<(), Fault> {
        let doubtful = self.doubtful.min(batch.len());
        if doubtful > 0
            && let Some(first) = batch.first()
            && self.attempts.holds(first).await?
        {
            batch.drain(..doubtful);
        }
        self.doubtful = batch.len();
        self.attempts.add(batch).await?;
        self.doubtful = 0;
        Ok(())
    }

    fn tell(&mut self) {
        if self.told.is_some_and(|told| told.elapsed() < Self::TELL) {
            return;
        }
        let attempts = self.lost.since_told.swap(0, Ordering::Relaxed);
        if attempts > 0 {
            tracing::warn!(
                attempts,
                "more was tried than could be written down: these attempts are missing where policies are tried"
            );
            self.told = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use async_trait::async_trait;
    use jiff::Timestamp;
    use parking_lot::Mutex;

    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::limits::attempt::{Endpoint, LaneKind};
    use crate::domain::limits::record::Verdict;
    use crate::domain::session::tests::at;
    use crate::ports::{AttemptPage, Since};

    /// Keeps what it is given, unless it is down. It may be late with its answers: what it keeps seems lost.
    #[derive(Default)]
    struct Shelf {
        late: AtomicBool,
        batches: Mutex<Vec<usize>>,
        kept: Mutex<Vec<AttemptRecord>>,
        down: AtomicBool,
    }

    #[async_trait]
    impl Attempts for Shelf {
        async fn add(&self, records: &[AttemptRecord]) -> Result<(), Fault> {
            if self.down.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not keep attempts", "down"));
            }
            if !records.is_empty() {
                self.batches.lock().push(records.len());
            }
            self.kept.lock().extend_from_slice(records);
            if self.late.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not keep attempts", "no answer within 2 s"));
            }
            Ok(())
        }

        async fn holds(&self, record: &AttemptRecord) -> Result<bool, Fault> {
            if self.down.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not look for an attempt", "down"));
            }
            Ok(self.kept.lock().contains(record))
        }

        async fn newest(&self) -> Result<i64, Fault> {
            Ok(0)
        }

        async fn page(&self, _: Since, _: i64, _: usize) -> Result<AttemptPage, Fault> {
            Ok(AttemptPage::default())
        }

        async fn count(&self, _: Timestamp) -> Result<u64, Fault> {
            Ok(0)
        }

        async fn sweep(&self, _: Timestamp, _: u64) -> Result<u64, Fault> {
            Ok(0)
        }

        async fn bound(&self, _: u64, _: u64) -> Result<u64, Fault> {
            Ok(0)
        }
    }

    fn seen(second: i64) -> Seen {
        Seen {
            record: AttemptRecord {
                at: at(second),
                took: Duration::ZERO,
                endpoint: Endpoint::SignIn,
                client: ClientAddr::new("192.0.2.1".parse().unwrap()),
                budgets: 1,
                account: None,
                person: None,
                lane: LaneKind::Strangers,
                device: None,
                outcome: None,
                active: Verdict::Granted,
                candidate: None,
            },
            password: None,
        }
    }

    fn recorder(shelf: &Arc<Shelf>) -> (RecordAttempts, AttemptSender, Arc<AtomicU64>) {
        let counted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&counted);
        let (writer, sender) = RecordAttempts::new(Arc::clone(shelf) as _, move |lost| {
            counter.fetch_add(lost, Ordering::Relaxed);
        });
        (writer, sender, counted)
    }

    const PAUSE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_noted_within_a_second_is_one_batch_and_nothing_is_left_at_the_end() {
        let shelf = Arc::new(Shelf::default());
        let (writer, sender, lost) = recorder(&shelf);
        let done = CancellationToken::new();
        let running = tokio::spawn(writer.run(PAUSE, || true, done.clone()));
        sender.note(seen(0));
        tokio::time::sleep(Duration::from_millis(10)).await;
        for second in 1..100 {
            sender.note(seen(second));
        }
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert_eq!(*shelf.batches.lock(), [1, 99]);
        sender.note(seen(100));
        done.cancel();
        running.await.unwrap();
        assert_eq!(shelf.kept.lock().len(), 101);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_an_attempt_is_counted_and_nobody_waits() {
        let shelf = Arc::new(Shelf::default());
        let (writer, sender, lost) = recorder(&shelf);
        let most = RecordAttempts::CAPACITY;
        for _ in 0..most + 7 {
            sender.note(seen(0));
        }
        assert_eq!(lost.load(Ordering::Relaxed), 7);
        let done = CancellationToken::new();
        done.cancel();
        writer.run(PAUSE, || true, done).await;
        assert_eq!(shelf.kept.lock().len(), most);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_is_down_attempts_wait_and_are_written_once() {
        let shelf = Arc::new(Shelf::default());
        shelf.down.store(true, Ordering::Relaxed);
        let (writer, sender, lost) = recorder(&shelf);
        let done = CancellationToken::new();
        let running = tokio::spawn(writer.run(PAUSE, || true, done.clone()));
        for second in 0..5 {
            sender.note(seen(second));
            tokio::time::sleep(PAUSE).await;
        }
        shelf.down.store(false, Ordering::Relaxed);
        tokio::time::sleep(3 * PAUSE).await;
        let times: Vec<_> = shelf.kept.lock().iter().map(|record| record.at).collect();
        assert_eq!(times, [0, 1, 2, 3, 4].map(at));
        shelf.down.store(true, Ordering::Relaxed);
        sender.note(seen(9));
        done.cancel();
        running.await.unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 1, "what was never written is told");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_down_without_an_answer_is_not_written_down_again() {
        let shelf = Arc::new(Shelf::default());
        let (writer, sender, _) = recorder(&shelf);
        let done = CancellationToken::new();
        let running = tokio::spawn(writer.run(PAUSE, || true, done.clone()));
        for (second, late, down) in [(0, true, false), (1, false, true), (2, true, false), (3, false, false)] {
            shelf.late.store(late, Ordering::Relaxed);
            shelf.down.store(down, Ordering::Relaxed);
            sender.note(seen(second));
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(3 * PAUSE).await;
        done.cancel();
        running.await.unwrap();
        let times: Vec<_> = shelf.kept.lock().iter().map(|record| record.at).collect();
        assert_eq!(times, [0, 1, 2, 3].map(at));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_while_nobody_wants_it() {
        let shelf = Arc::new(Shelf::default());
        let (writer, sender, lost) = recorder(&shelf);
        let wanted = Arc::new(AtomicBool::new(false));
        let (done, asked) = (CancellationToken::new(), Arc::clone(&wanted));
        let running = tokio::spawn(writer.run(PAUSE, move || asked.load(Ordering::Relaxed), done.clone()));
        sender.note(seen(0));
        tokio::time::sleep(2 * PAUSE).await;
        wanted.store(true, Ordering::Relaxed);
        sender.note(seen(1));
        tokio::time::sleep(2 * PAUSE).await;
        done.cancel();
        running.await.unwrap();
        assert_eq!(shelf.kept.lock().len(), 1);
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }
}
