//! What is worked on beside the requests: limits, hashing, the store, the outbox.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::machine::Number;
use super::{Histogram, Labelled, RuleCounters, names, register};

/// Work under way and done.
#[derive(Clone, Debug)]
pub struct WorkMetrics {
    /// Decisions of the limits, by rule and decision.
    pub limit_decisions: RuleCounters,
    /// What the policy on trial would have decided, by rule and decision.
    pub limit_trials: RuleCounters,
    /// Policy files that are refused, by what they are for.
    pub limits_refused: Labelled<Gauge>,
    /// Orders in force, by kind.
    pub orders: Labelled<Gauge>,
    /// Attempts that were not written down.
    pub attempts_unrecorded: Counter,
    /// How long people wait for a hash, by work.
    pub hashing_duration: Labelled<Histogram>,
    /// Letters that wait.
    pub outbox_waiting: Gauge,
    /// How long the most overdue letter has been due.
    pub outbox_oldest_due: Number,
    hashing_running: Gauge,
    hashing_queued: Labelled<Gauge>,
    hashing_completed: Counter,
    hashing_shed: Labelled<Counter>,
    hashing_abandoned: Counter,
    store_faults: Labelled<Counter>,
}

/// How the hashing threads are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashingFigures {
    /// Being hashed.
    pub running: usize,
    /// Waiting: known devices, then strangers.
    pub queued: [usize; 2],
    /// Hashed since the start.
    pub completed: u64,
    /// Refused since the queue was full: known devices, then strangers.
    pub shed: [u64; 2],
    /// Dropped since nobody waited any more.
    pub abandoned: u64,
}

/// The budgets of the limits that are there whatever the policy, by their names in the log.
const BUDGETS: [&str; 9] = [
    "reset.again",
    "reset.repeat",
    "session.client",
    "unlock.client",
    "unlock.name",
    "mail.account",
    "mail.device",
    "mail.client",
    "mail.day",
];

/// The kinds of orders.
const ORDERS: [&str; 7] = [
    "address",
    "network",
    "account",
    "device",
    "pseudonym",
    "exemption",
    "policy",
];

/// The lanes of the hashing queue, in the order of [`HashingFigures`].
const LANES: [[&str; 1]; 2] = [["known"], ["strangers"]];

/// Reads and writes that found the store unavailable or corrupt, in the order of [`WorkMetrics::set_store_faults`].
const STORE_FAULTS: [[&str; 2]; 4] = [
    ["read", "unavailable"],
    ["read", "corrupt"],
    ["write", "unavailable"],
    ["write", "corrupt"],
];

impl Default for WorkMetrics {
    fn default() -> Self {
        Self {
            limit_decisions: RuleCounters::new(&names::LIMIT_DECISIONS, &BUDGETS),
            limit_trials: RuleCounters::new(&names::LIMIT_TRIALS, &[]),
            limits_refused: Labelled::new(&names::LIMITS_REFUSED, [["policy"], ["candidate"]]),
            orders: Labelled::new(&names::ORDERS, ORDERS.map(|kind| [kind])),
            attempts_unrecorded: Counter::default(),
            hashing_duration: Labelled::new(&names::HASHING_DURATION, [["hash"], ["verify"]]),
            outbox_waiting: Gauge::default(),
            outbox_oldest_due: Number::default(),
            hashing_running: Gauge::default(),
            hashing_queued: Labelled::new(&names::HASHING_QUEUED, LANES),
            hashing_completed: Counter::default(),
            hashing_shed: Labelled::new(&names::HASHING_SHED, LANES),
            hashing_abandoned: Counter::default(),
            store_faults: Labelled::new(&names::STORE_FAULTS, STORE_FAULTS),
        }
    }
}

impl WorkMetrics {
    /// What the hashing threads count themselves.
    pub fn set_hashing(&self, figures: HashingFigures) {
        self.hashing_running.set(whole(figures.running));
        for (index, queued) in figures.queued.into_iter().enumerate() {
            if let Some(gauge) = self.hashing_queued.at(index) {
                gauge.set(whole(queued));
            }
        }
        set(&self.hashing_completed, figures.completed);
        for (index, shed) in figures.shed.into_iter().enumerate() {
            if let Some(counter) = self.hashing_shed.at(index) {
                set(counter, shed);
            }
        }
        set(&self.hashing_abandoned, figures.abandoned);
    }

    /// What the store counts itself: reads that found it unavailable and corrupt, then writes.
    pub fn set_store_faults(&self, faults: [u64; 4]) {
        for (index, count) in faults.into_iter().enumerate() {
            if let Some(counter) = self.store_faults.at(index) {
                set(counter, count);
            }
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        register(registry, &names::LIMIT_DECISIONS, self.limit_decisions.clone());
        register(registry, &names::LIMIT_TRIALS, self.limit_trials.clone());
        register(registry, &names::LIMITS_REFUSED, self.limits_refused.clone());
        register(registry, &names::ORDERS, self.orders.clone());
        register(registry, &names::ATTEMPTS_UNRECORDED, self.attempts_unrecorded.clone());
        register(registry, &names::HASHING_RUNNING, self.hashing_running.clone());
        register(registry, &names::HASHING_QUEUED, self.hashing_queued.clone());
        register(registry, &names::HASHING_COMPLETED, self.hashing_completed.clone());
        register(registry, &names::HASHING_SHED, self.hashing_shed.clone());
        register(registry, &names::HASHING_ABANDONED, self.hashing_abandoned.clone());
        register(registry, &names::HASHING_DURATION, self.hashing_duration.clone());
        register(registry, &names::STORE_FAULTS, self.store_faults.clone());
        register(registry, &names::OUTBOX_WAITING, self.outbox_waiting.clone());
        register(registry, &names::OUTBOX_OLDEST_DUE, self.outbox_oldest_due.clone());
    }
}

/// Somebody else counts; a counter of theirs never falls.
fn set(counter: &Counter, count: u64) {
    counter.inner().fetch_max(count, Ordering::Relaxed);
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
