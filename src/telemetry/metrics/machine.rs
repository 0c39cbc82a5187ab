//! What this process is and rests on: program, configuration, signing key, certificate, health.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
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
    /// The configuration it started with.
    pub config: AboutConfig,
    /// When the process started, in Unix time.
    pub started: f64,
}

/// What is told of the configuration in force.
#[derive(Clone, Debug, Default)]
pub struct AboutConfig {
    /// A digest of it, so that a change of it shows.
    pub digest: String,
    /// Whether the limits are on.
    pub limits: bool,
    /// How letters travel to the mail server.
    pub mail_security: &'static str,
}

/// What runs out, and what is in force.
#[derive(Clone, Debug, Default)]
pub struct MachineMetrics {
    /// When the signing key in use was made, in Unix time.
    pub signing_key_created: Number,
    /// When the certificate expires, in Unix time.
    pub certificate_expiry: Number,
    /// Addresses that most people come from, and that nobody has declared.
    pub suspected_proxies: Gauge,
    /// The configuration in force.
    pub config: Arc<ArcSwap<AboutConfig>>,
}

impl MachineMetrics {
    pub(super) fn register(&self, about: &About, health: &Arc<Health>, registry: &mut Registry) {
        register(registry, &names::SIGNING_KEY_CREATED, self.signing_key_created.clone());
        register(registry, &names::CERTIFICATE_EXPIRY, self.certificate_expiry.clone());
        register(registry, &names::SUSPECTED_PROXIES, self.suspected_proxies.clone());
        register(registry, &names::HEALTH, HealthGauge(Arc::clone(health)));
        register(registry, &names::UPSTREAM_SERVERS, ServersGauge(Arc::clone(health)));
        self.config.store(Arc::new(about.config.clone()));
        register(registry, &names::BUILD, info(&names::BUILD, [about.version]));
        register(registry, &names::CONFIG, ConfigInfo(Arc::clone(&self.config)));
        let started = Number::default();
        started.set(about.started);
        register(registry, &names::START_TIME, started);
    }
}

fn info<const N: usize>(name: &Name, values: [&str; N]) -> Info<Vec<(&'static str, String)>> {
    let values = values.map(str::to_owned);
    Info::new(name.labels.iter().copied().zip(values).collect())
}

/// The configuration in force, whichever that is when it is asked for.
#[derive(Debug)]
struct ConfigInfo(Arc<ArcSwap<AboutConfig>>);

impl EncodeMetric for ConfigInfo {
    fn encode(&self, encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let config = self.0.load();
        let limits = if config.limits { "on" } else { "off" };
        info(&names::CONFIG, [config.digest.as_str(), limits, config.mail_security]).encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Info
    }
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

/// How many servers of each site are in and out. The sites are those of the configuration in force.
#[derive(Debug)]
struct ServersGauge(Arc<Health>);

impl EncodeMetric for ServersGauge {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let mut sites: BTreeMap<String, [i64; 2]> = BTreeMap::new();
        for server in self.0.servers() {
            let [within, out] = sites.entry(server.site).or_default();
            *(if server.is_in { within } else { out }) += 1;
        }
        for (site, counts) in sites {
            for (state, count) in ["in", "out"].into_iter().zip(counts) {
                let labels = [("site", site.as_str()), ("state", state)];
                encoder.encode_family(&labels)?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
