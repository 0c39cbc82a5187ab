//! Attacks: how many are under way, and whether they get anywhere.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labelled, names, register};

/// Attacks, by kind.
#[derive(Clone, Debug)]
pub struct AttackMetrics {
    /// Noticed.
    pub begun: Labelled<Counter>,
    /// Sign-ins that worked and belong to one.
    pub successes: Labelled<Counter>,
    /// Attempts that nobody looked at.
    pub missed: Counter,
    living: Labelled<Gauge>,
}

const KINDS: [[&str; 1]; 5] = [["guessing"], ["spraying"], ["stuffing"], ["mail-bomb"], ["probing"]];

impl Default for AttackMetrics {
    fn default() -> Self {
        Self {
            begun: Labelled::new(&names::CAMPAIGNS_BEGUN, KINDS),
            successes: Labelled::new(&names::CAMPAIGN_SUCCESSES, KINDS),
            missed: Counter::default(),
            living: Labelled::new(&names::CAMPAIGNS, KINDS),
        }
    }
}

impl AttackMetrics {
    /// How many of a kind are under way.
    pub fn set_living(&self, kind: &str, count: usize) {
        if let Some(gauge) = self.living.get(&[kind]) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        register(registry, &names::CAMPAIGNS, self.living.clone());
        register(registry, &names::CAMPAIGNS_BEGUN, self.begun.clone());
        register(registry, &names::CAMPAIGN_SUCCESSES, self.successes.clone());
        register(registry, &names::ATTEMPTS_MISSED, self.missed.clone());
    }
}
