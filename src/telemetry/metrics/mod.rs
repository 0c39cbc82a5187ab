//! [`Metrics`]: what the gateway counts, and the text it is scraped as. Every name is in [`names`].
//!
//! Each series is made at the start with the value 0, from closed lists of label values: an alert sees the first
//! increase, nothing a stranger sends makes a new series, and counting takes neither a lock nor a look-up by label on
//! the proxied path.

mod attacks;
mod cells;
mod facts;
mod histogram;
mod machine;
pub mod names;
mod proxied;
mod rules;
#[cfg(test)]
mod tests;
mod work;

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

pub use attacks::AttackMetrics;
pub use cells::Labelled;
pub use facts::FactMetrics;
pub use histogram::Histogram;
pub use machine::{About, AboutConfig, MachineMetrics};
pub use names::Name;
pub use proxied::{
    Breach, ConnectionMetrics, HandshakeFailure, Outcome, ProxyMetrics, RequestMetrics, SlowAt, StreamEnd, StreamKind,
    StreamMetrics, UpstreamError,
};
pub use rules::RuleCounters;
pub use work::{HashingFigures, WorkMetrics};

use super::health::Health;

/// Everything that is counted.
pub struct Metrics {
    /// On the proxied path.
    pub proxy: ProxyMetrics,
    /// What was recorded as events.
    pub facts: FactMetrics,
    /// Limits, hashing, the store, the outbox.
    pub work: WorkMetrics,
    /// Attacks.
    pub attacks: AttackMetrics,
    /// Keys and certificates.
    pub machine: MachineMetrics,
    registry: Registry,
    refresh: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Metrics {
    /// All at zero.
    pub fn new(about: &About, health: &Arc<Health>) -> Self {
        let metrics = Self {
            proxy: ProxyMetrics::default(),
            facts: FactMetrics::default(),
            work: WorkMetrics::default(),
            attacks: AttackMetrics::default(),
            machine: MachineMetrics::default(),
            registry: Registry::default(),
            refresh: OnceLock::new(),
        };
        let mut registry = Registry::default();
        metrics.proxy.register(&mut registry);
        metrics.facts.register(&mut registry);
        metrics.work.register(&mut registry);
        metrics.attacks.register(&mut registry);
        metrics.machine.register(about, health, &mut registry);
        Self { registry, ..metrics }
    }

    /// Does this before each scrape: what others count is fetched then, and not each time it changes.
    pub fn refresh_by(&self, refresh: impl Fn() + Send + Sync + 'static) {
        let _ = self.refresh.set(Box::new(refresh));
    }

    /// What a scraper gets.
    pub fn text(&self) -> String {
        if let Some(refresh) = self.refresh.get() {
            refresh();
        }
        let mut text = String::with_capacity(32 << 10);
        // Writing into a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn register(registry: &mut Registry, name: &Name, metric: impl Metric) {
    registry.register(name.name, name.help, metric);
}
