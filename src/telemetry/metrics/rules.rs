//! [`RuleCounters`]: what the limits decided, by rule. Which rules there are is the operator's to say, and changes while the
//! gateway runs: the series are those of the rules in force, from the moment they come into force.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::names::Name;

/// Decisions of rules.
#[derive(Clone, Debug)]
pub struct RuleCounters(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    labels: &'static [&'static str],
    rows: RwLock<Vec<Row>>,
    other: Counter,
}

#[derive(Debug)]
struct Row {
    rule: String,
    /// Whether it is there whatever the policy.
    fixed: bool,
    cells: Vec<(&'static str, Counter)>,
}

/// Most rules that have series of their own.
const MOST: usize = 64;
/// What stands for everything that is on no list.
const OTHER: &str = "other";

impl Row {
    fn new(rule: &str, fixed: bool, decisions: &[&'static str]) -> Self {
        Self {
            rule: rule.to_owned(),
            fixed,
            cells: decisions.iter().map(|said| (*said, Counter::default())).collect(),
        }
    }
}

impl RuleCounters {
    /// What a rule can decide.
    pub const DECISIONS: [&'static str; 4] = ["granted", "refused", "slowed", "noted"];

    /// With budgets that are there whatever the policy, which grant or refuse.
    pub fn new(name: &Name, fixed: &[&str]) -> Self {
        let row = |rule: &&str| Row::new(rule, true, &["granted", "refused"]);
        Self(Arc::new(Rules {
            labels: name.labels,
            rows: RwLock::new(fixed.iter().map(row).collect()),
            other: Counter::default(),
        }))
    }

    /// These rules are in force from now on, at most 64; those that are no more are shown no more.
    pub fn govern<'a>(&self, rules: impl IntoIterator<Item = &'a str>) {
        let mut rows = self.0.rows.write();
        let wanted: Vec<&str> = rules.into_iter().take(MOST).collect();
        rows.retain(|row| row.fixed || wanted.contains(&row.rule.as_str()));
        for rule in wanted {
            if !rows.iter().any(|row| row.rule == rule) {
                rows.push(Row::new(rule, false, &Self::DECISIONS));
            }
        }
    }

    /// Counts one; under `other` when there is no such series.
    pub fn count(&self, rule: &str, decision: &str) {
        let rows = self.0.rows.read();
        let row = rows.iter().find(|row| row.rule == rule);
        let cell = row.and_then(|row| row.cells.iter().find(|(said, _)| *said == decision));
        cell.map_or(&self.0.other, |(_, counter)| counter).inc();
    }

    /// How often a rule has decided so.
    pub fn get(&self, rule: &str, decision: &str) -> Option<Counter> {
        let rows = self.0.rows.read();
        let row = rows.iter().find(|row| row.rule == rule)?;
        row.cells
            .iter()
            .find(|(said, _)| *said == decision)
            .map(|(_, counter)| counter.clone())
    }
}

impl EncodeMetric for RuleCounters {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let mut encode = |rule: &str, decision: &str, counter: &Counter| {
            let values = [rule, decision];
            let labels: Vec<_> = self.0.labels.iter().copied().zip(values).collect();
            counter.encode(encoder.encode_family(&labels.as_slice())?)
        };
        for row in &*self.0.rows.read() {
            for (decision, counter) in &row.cells {
                encode(&row.rule, decision, counter)?;
            }
        }
        encode(OTHER, OTHER, &self.0.other)
    }

    fn metric_type(&self) -> MetricType {
        Counter::<u64>::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::names;

    #[test]
    fn series_come_and_go_with_their_rules_and_are_never_too_many() {
        let counters = RuleCounters::new(&names::LIMIT_DECISIONS, &["mail.day"]);
        let of = |rule, decision| counters.get(rule, decision).map(|counter| counter.get());
        assert_eq!(of("sign-in.client", "refused"), None);
        counters.govern(["sign-in.client", "spray"]);
        counters.count("sign-in.client", "refused");
        counters.count("mail.day", "granted");
        counters.govern(["sign-in.client"]);
        assert_eq!(of("sign-in.client", "refused"), Some(1), "it stayed in force");
        assert_eq!(of("mail.day", "granted"), Some(1));
        assert_eq!(of("spray", "refused"), None);
        let many: Vec<String> = (0..1000).map(|number| format!("rule-{number}")).collect();
        counters.govern(many.iter().map(String::as_str));
        assert_eq!(counters.0.rows.read().len(), MOST + 1);
        counters.count("rule-999", "refused");
        assert_eq!(counters.0.other.get(), 1);
    }
}
