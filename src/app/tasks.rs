//! What a running gateway does besides answering: follow changes, deliver letters, sweep, rotate.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::crypto::hashing::Argon2Hasher;
use crate::crypto::secrets::{PepperStamp, read_pepper, stamp_pepper};
use crate::crypto::tls::Certificates;
use crate::domain::fault::Fault;
use crate::flows::{Delivery, World};
use crate::ports::Outbox;

use super::charter::Current;
use super::keys::SigningKeys;
use super::lasting::Lasting;
use super::orders;

/// Changes made by another process are seen after this time at the latest.
const FOLLOW: Duration = Duration::from_millis(200);
/// A pepper that was rotated is taken up after this time at the latest.
const PEPPER: Duration = Duration::from_millis(500);
/// A certificate that was renewed is taken up after this time, or this time twice.
const CERTIFICATES: Duration = Duration::from_millis(400);
/// An open stream outlives its session by this time and [`FOLLOW`] at the most.
const STREAMS: Duration = Duration::from_millis(400);
/// What was tried is written down this often.
const ATTEMPTS: Duration = Duration::from_secs(1);
/// A letter waits at most this long for the worker to look.
const LETTERS: Duration = Duration::from_millis(250);

/// The background work of one gateway.
#[derive(Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Nothing runs yet. Everything started ends soon after `stop`.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop,
        }
    }

    /// Runs `round` now and then after each pause, until the stop; a round under way is finished.
    pub fn every<F, R>(&self, pause: Duration, what: &'static str, mut round: F)
    where
        F: FnMut() -> R + Send + 'static,
        R: Future<Output = Result<(), Fault>> + Send,
    {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            let mut failing = false;
            loop {
                match round().await {
                    Ok(()) if failing => {
                        failing = false;
                        tracing::info!(what, "works again");
                    }
                    Ok(()) => {}
                    // Said once, not every round.
                    Err(_) if failing => {}
                    Err(fault) => {
                        failing = true;
                        tracing::error!(what, fault = fault.chain(), "background work fails; it is tried again");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// Runs something until it ends by itself or hears of the stop.
    pub fn run_until_stop<R>(&self, work: impl FnOnce(CancellationToken) -> R)
    where
        R: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(work(self.stop.clone()));
    }

    /// Waits for rounds under way, at most `limit`.
    pub async fn finish(self, limit: Duration) {
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::warn!("stopping although background work is still under way");
        }
    }

    /// Begins no more rounds, and answers whether those under way have ended within `limit`.
    pub async fn end(self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}

/// Sees what other processes change: sessions, accounts, API tokens, keys.
fn follow(tasks: &Tasks, lasting: &Lasting) {
    let (sessions, tokens) = (Arc::clone(&lasting.sessions), Arc::clone(&lasting.tokens));
    let (keys, signer) = (Arc::clone(&lasting.keys), Arc::clone(&lasting.signer));
    let world = lasting.world.clone();
    let keys_due = Arc::new(AtomicBool::new(false));
    tasks.every(FOLLOW, "following changes in the store", move || {
        let (sessions, tokens) = (Arc::clone(&sessions), Arc::clone(&tokens));
        let (keys, signer, keys_due) = (Arc::clone(&keys), Arc::clone(&signer), Arc::clone(&keys_due));
        let now = world.monotonic();
        async move {
            let followed = sessions.follow(now).await?;
            if followed.tokens_changed {
                tokens.doubt();
            }
            // A change is told once: keys that cannot be read now are due until they can.
            if followed.keys_changed {
                keys_due.store(true, Ordering::Relaxed);
            }
            if keys_due.load(Ordering::Relaxed) {
                signer.replace(keys.ring().await?);
                keys_due.store(false, Ordering::Relaxed);
                sessions.drop_passes();
                tokens.drop_passes();
            }
            tokens.follow(now).await?;
            Ok(())
        }
    });
}

/// Takes up a pepper that was rotated, and lets go of one that was dropped. While the files cannot be read, hashing goes on
/// with what is in memory.
pub fn follow_pepper(tasks: &Tasks, directory: PathBuf, hasher: Arc<Argon2Hasher>) {
    let seen: Arc<parking_lot::Mutex<Option<PepperStamp>>> = Arc::default();
    tasks.every(PEPPER, "looking at the pepper", move || {
        let (directory, hasher, seen) = (directory.clone(), Arc::clone(&hasher), Arc::clone(&seen));
        async move {
            // Before reading: what changes meanwhile is seen by the next round.
            let stamp = stamp_pepper(&directory)?;
            if seen.lock().as_ref() == Some(&stamp) {
                return Ok(());
            }
            hasher.replace_pepper(read_pepper(&directory)?);
            if seen.lock().replace(stamp).is_some() {
                tracing::info!("the pepper has changed and is taken up");
            }
            Ok(())
        }
    });
}

/// Starts what requests and open streams rest on: goes on as long as there are any.
pub fn follow_requests(tasks: &Tasks, lasting: &Lasting, current: &Arc<Current>) {
    follow(tasks, lasting);
    orders::follow(tasks, lasting);
    end_streams(tasks, lasting, current);
    keep_limits(tasks, lasting);
    record_attempts(tasks, lasting, current);
}

/// Writes down what was tried, as long as the configuration in force wants it.
fn record_attempts(tasks: &Tasks, lasting: &Lasting, current: &Arc<Current>) {
    let (recorder, current) = (lasting.recorder.lock().take(), Arc::clone(current));
    let wanted = move || !current.chores.load().housekeeping.keep_attempts.is_zero();
    if let Some(recorder) = recorder {
        tasks.run_until_stop(|drained| recorder.run(ATTEMPTS, wanted, drained));
    }
}

/// Starts what the gateway does besides answering, until the stop. What a round does by the configuration, it does by the
/// one in force when it begins.
pub fn start(tasks: &Tasks, lasting: &Lasting, current: &Arc<Current>) {
    deliver(tasks, current, lasting.store.clone(), &lasting.world);
    lasting.counts.keep(tasks);
    orders::settle(tasks, lasting);
    let swept = &lasting.monitor.metrics.facts.sessions_swept;
    keep(tasks, current, &lasting.keys, swept);
    let (campaigns, current) = (Arc::clone(&lasting.campaigns), Arc::clone(current));
    tasks.run_until_stop(|stop| campaigns.run(current, stop));
}

/// Takes up certificates that were renewed, and says which run out soon. `expiry` shows when the first of them does.
pub fn follow_certificates(
    tasks: &Tasks,
    certificates: Arc<Certificates>,
    expiry: Gauge<f64, AtomicU64>,
    world: World,
) {
    let round = move || {
        if let Some(until) = certificates.follow(world.now()) {
            expiry.set(until.as_duration().as_secs_f64());
        }
    };
    round();
    tasks.every(CERTIFICATES, "looking at the certificates", move || {
        round();
        async { Ok(()) }
    });
}

/// Ends streams whose session or API token has ended, or whose client is banned. What takes nobody to know does not wait
/// for a store that is asked about the rest.
fn end_streams(tasks: &Tasks, lasting: &Lasting, current: &Arc<Current>) {
    let (streams, orders) = (Arc::clone(&lasting.streams), Arc::clone(&lasting.orders));
    let in_force = Arc::clone(current);
    tasks.every(STREAMS, "looking at the limits of open streams", move || {
        streams.turn_away(|client| orders.bans(client));
        streams.outlive(&in_force.charter.load().authenticate);
        async { Ok(()) }
    });
    let (streams, current) = (Arc::clone(&lasting.streams), Arc::clone(current));
    tasks.every(STREAMS, "looking at the sessions of open streams", move || {
        let (streams, charter) = (Arc::clone(&streams), current.charter.load_full());
        async move { streams.check(&charter.authenticate, &charter.services).await }
    });
}

/// Delivers letters as they fall due.
fn deliver(tasks: &Tasks, current: &Arc<Current>, outbox: Arc<dyn Outbox>, world: &World) {
    let (stop, current, world) = (tasks.stop.clone(), Arc::clone(current), world.clone());
    tasks.every(LETTERS, "delivering letters", move || {
        let (current, outbox, stop) = (Arc::clone(&current), Arc::clone(&outbox), stop.clone());
        let world = world.clone();
        async move {
            while !stop.is_cancelled() && outbox.next_due().await?.is_some_and(|due| due <= world.now()) {
                if current.chores.load_full().letters.run_once().await? == Delivery::default() {
                    // What is due waits for its rate.
                    break;
                }
            }
            Ok(())
        }
    });
}

/// Sweeps and rotates, each in its own time.
fn keep(tasks: &Tasks, current: &Arc<Current>, keys: &Arc<SigningKeys>, swept: &Counter) {
    let (sweeping, keys, swept) = (Arc::clone(current), Arc::clone(keys), swept.clone());
    tasks.every(Duration::from_mins(10), "sweeping the store", move || {
        let (chores, swept) = (sweeping.chores.load_full(), swept.clone());
        async move {
            swept.inc_by(chores.housekeeping.run_once().await?.sessions);
            Ok(())
        }
    });
    let rotating = Arc::clone(current);
    tasks.every(Duration::from_mins(10), "keeping the signing keys", move || {
        let (chores, keys) = (rotating.chores.load_full(), Arc::clone(&keys));
        async move { keys.keep(chores.rotate_every).await }
    });
}

/// Keeps the limits' memory small.
fn keep_limits(tasks: &Tasks, lasting: &Lasting) {
    let (limiter, pages) = (Arc::clone(&lasting.limiter), Arc::clone(&lasting.pages));
    tasks.every(Duration::from_secs(30), "sweeping the limits", move || {
        limiter.sweep();
        pages.sweep();
        async { Ok(()) }
    });
}
