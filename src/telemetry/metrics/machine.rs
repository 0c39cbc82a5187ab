//! What this process is and rests on: program, configuration, signing key, certificate, health.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::names::Name;
use super::{names, register};
use crate::telemetry::health::{Health, Part};

/// A gauge of seconds.
pub type Number = Gauge<f64, AtomicU64>;

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct About {
    /// The program's version.
    pub version: &'static str,
    /// A digest of the configuration in effect, so that a change of it shows.
    pub config_digest: String,
    /// Whether the limits are on.
    pub limits: bool,
    /// How letters travel to the mail server.
    pub mail_security: &'static str,
    /// When the process started, in Unix time.
    pub started: f64,
}

/// What runs out.
#[derive(Clone, Debug, Default)]
pub struct MachineMetrics {
    /// When the signing key in use was made, in Unix time.
    pub signing_key_created: Number,
    /// When the certificate expires, in Unix time.
    pub certificate_expiry: Number,
}

impl MachineMetrics {
    pub(super) fn register(&self, about: &About, health: &Arc<Health>, registry: &mut Registry) {
        register(registry, &names::SIGNING_KEY_CREATED, self.signing_key_created.clone());
        register(registry, &names::CERTIFICATE_EXPIRY, self.certificate_expiry.clone());
        register(registry, &names::HEALTH, HealthGauge(Arc::clone(health)));
        let limits = if about.limits { "on" } else { "off" };
        register(registry, &names::BUILD, info(&names::BUILD, [about.version]));
        register(
            registry,
            &names::CONFIG,
            info(&names::CONFIG, [&about.config_digest, limits, about.mail_security]),
        );
        let started = Number::default();
        started.set(about.started);
        register(registry, &names::START_TIME, started);
    }
}

fn info<const N: usize>(name: &Name, values: [&str; N]) -> Info<Vec<(&'static str, String)>> {
    let values = values.map(str::to_owned);
    Info::new(name.labels.iter().copied().zip(values).collect())
}

/// 1 and 0 for each part that has been seen.
#[derive(Debug)]
struct HealthGauge(Arc<Health>);

impl EncodeMetric for HealthGauge {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        for part in Part::ALL {
            if let Some(well) = self.0.is_well(part) {
                let labels = [("part", part.as_str())];
                encoder.encode_family(&labels)?.encode_gauge(&i64::from(well))?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
