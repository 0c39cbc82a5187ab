//! [`Labelled`]: a metric with labels whose values are a closed list, so that every series exists from the start.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::names::Name;

/// One metric for each combination of label values.
#[derive(Debug)]
pub struct Labelled<M>(Arc<[Cell<M>]>);

#[derive(Debug)]
struct Cell<M> {
    labels: Vec<(&'static str, &'static str)>,
    metric: M,
}

/// What stands for every value that is on no list.
const OTHER: &str = "other";

impl<M> Clone for Labelled<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Default> Labelled<M> {
    /// With these combinations, in this order.
    pub fn new<V: AsRef<[&'static str]>>(name: &Name, combinations: impl IntoIterator<Item = V>) -> Self {
        let cell = |values: V| Cell {
            labels: name
                .labels
                .iter()
                .copied()
                .zip(values.as_ref().iter().copied())
                .collect(),
            metric: M::default(),
        };
        Self(combinations.into_iter().map(cell).collect())
    }

    /// With these combinations and one more, at the end, for everything that is not among them.
    pub fn with_rest<V: AsRef<[&'static str]>>(name: &Name, combinations: impl IntoIterator<Item = V>) -> Self {
        let rest = vec![OTHER; name.labels.len()];
        let listed = combinations.into_iter().map(|values| values.as_ref().to_vec());
        Self::new(name, listed.chain([rest]))
    }
}

impl<M> Labelled<M> {
    /// The metric with these label values.
    pub fn get(&self, values: &[&str]) -> Option<&M> {
        let of = |cell: &&Cell<M>| cell.labels.iter().map(|(_, value)| *value).eq(values.iter().copied());
        self.0.iter().find(of).map(|cell| &cell.metric)
    }

    /// The metric in this place of the list.
    pub fn at(&self, index: usize) -> Option<&M> {
        self.0.get(index).map(|cell| &cell.metric)
    }

    /// Every value that a label can have.
    pub fn values(&self) -> impl Iterator<Item = &'static str> {
        self.0
            .iter()
            .flat_map(|cell| cell.labels.iter().map(|(_, value)| *value))
    }
}

impl Labelled<Counter> {
    /// Counts one; under the last combination when this is none of the list.
    pub fn count(&self, values: &[&str]) {
        let cell = self.get(values).or_else(|| self.0.last().map(|cell| &cell.metric));
        if let Some(counter) = cell {
            counter.inc();
        }
    }
}

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Labelled<M> {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        for cell in &*self.0 {
            let labels = cell.labels.as_slice();
            cell.metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}
