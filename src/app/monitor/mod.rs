//! Who watches over a running gateway: what is counted, by whom, and where it is asked for.
//!
//! Flows and adapters do not know that they are watched: [`observed`] stands before the ports, [`follow`] reads what
//! was recorded, and [`look`] tries what the gateway rests on.

mod count;
mod follow;
mod in_force;
mod limits;
mod look;
mod observed;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::crypto::hashing::Argon2Hasher;
use crate::domain::fault::Fault;
use crate::flows::{Crowd, World};
use crate::ports::{Hasher, Mailer, Witness};
use crate::proxy::{Given, InForce, Kept, Measures, PageGuard, ServerHealth, keep};
use crate::store::SqliteStore;
use crate::telemetry::endpoint::{self, Endpoint};
use crate::telemetry::health::{Health, ServerStanding, SharedAddress};
use crate::telemetry::metrics::{About, HashingFigures, Metrics};

use super::keys::SigningKeys;
use super::notices::Notices;
use super::tasks::Tasks;

use limits::LimitsWitness;
use observed::{ObservedHasher, ObservedMailer};

/// The key of the configuration that names the listener.
const KEY: &str = "metrics.listen";

/// Where metrics and health are asked for.
pub struct Shown {
    listen: SocketAddr,
    /// `None`: another program holds the port so far.
    listener: Option<TcpListener>,
}

impl Shown {
    /// With the real port.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// The same socket, for another process.
    pub fn keep(&self) -> Option<Kept> {
        keep(KEY, &self.listen.to_string(), self.listener.as_ref()?).ok()
    }
}

/// Counts, and knows how the parts are.
pub struct Monitor {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How the parts are.
    pub health: Arc<Health>,
    world: World,
    enabled: bool,
}

impl Monitor {
    /// Nothing is counted yet.
    pub fn new(config: &Config, world: World) -> Self {
        let about = About {
            version: env!("CARGO_PKG_VERSION"),
            config: in_force::about(config),
            started: world.now().as_duration().as_secs_f64(),
        };
        let health = Arc::new(Health::default());
        Self {
            metrics: Arc::new(Metrics::new(&about, &health)),
            health,
            world,
            enabled: config.metrics.enabled,
        }
    }

    /// Another configuration is in force.
    pub fn tell_config(&self, config: &Config) {
        self.metrics.machine.config.store(Arc::new(in_force::about(config)));
    }

    /// Many people share these addresses.
    pub fn tell_crowds(&self, crowds: &[Crowd]) {
        let suspected = crowds.iter().filter(|crowd| crowd.suspected_since.is_some()).count();
        let gauge = &self.metrics.machine.suspected_proxies;
        gauge.set(i64::try_from(suspected).unwrap_or(i64::MAX));
        let told = crowds.iter().map(|crowd| SharedAddress {
            address: crowd.address,
            people: crowd.people,
            of: crowd.of,
            suspected_since: crowd.suspected_since.map(Timestamp::as_second),
        });
        self.health.note_shared_addresses(told.collect());
    }

    /// Binds the listener for metrics and health, or takes the one that is given. One that is taken by another program
    /// stops nothing: that people can sign in is worth more than being watched.
    pub fn bind(&self, config: &Config, given: &mut Given) -> Option<Shown> {
        let listen = config.metrics.listen;
        if !self.enabled {
            tracing::info!("metrics.enabled = false: nobody can ask how the gateway is");
            return None;
        }
        let bound = match given.other(KEY, &listen.to_string()) {
            Some(socket) => endpoint::listener(socket),
            None => endpoint::bind(listen),
        };
        let listener = match bound {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::error!(%listen, %error, "metrics cannot be served: free the port, or change metrics.listen; it is tried again");
                None
            }
        };
        Some(Shown { listen, listener })
    }

    /// Serves metrics and health there.
    pub fn show(&self, shown: Shown, tasks: &Tasks) {
        let Shown { listen, listener } = shown;
        let endpoint = Endpoint::new(Arc::clone(&self.metrics), Arc::clone(&self.health), listen);
        tasks.run_until_stop(|stop| endpoint.serve(listener, listen, stop));
    }

    /// Begins to follow and to look. What is recorded from now on is counted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn watch(
        &self,
        tasks: &Tasks,
        store: &Arc<SqliteStore>,
        hasher: &Arc<Argon2Hasher>,
        keys: &Arc<SigningKeys>,
    ) -> Result<(), Fault> {
        if !self.enabled {
            return Ok(());
        }
        let (counted, hasher, faults) = (self.metrics.work.clone(), Arc::clone(hasher), store.faults());
        self.metrics.refresh_by(move || {
            let stats = hasher.stats();
            counted.set_hashing(HashingFigures {
                running: stats.running,
                queued: [stats.waiting.known, stats.waiting.strangers],
                completed: stats.completed,
                shed: [stats.shed.known, stats.shed.strangers],
                abandoned: stats.abandoned,
            });
            counted.set_store_faults(faults.counts());
        });
        follow::events(tasks, store, self.metrics.facts.clone()).await?;
        look::around(
            tasks,
            look::Around {
                store: Arc::clone(store),
                keys: Arc::clone(keys),
                metrics: Arc::clone(&self.metrics),
                health: Arc::clone(&self.health),
                world: self.world.clone(),
            },
        );
        Ok(())
    }

    /// From now on the servers of the web clients are told as the charter in force knows them.
    pub fn tell_servers(&self, charter: &InForce) {
        let charter = Arc::clone(charter);
        self.health.servers_by(move || {
            let charter = charter.load();
            let standing = |(site, server): (&str, ServerHealth)| ServerStanding {
                site: site.to_owned(),
                server: server.server,
                is_in: server.is_in,
                open: server.open,
                failures: server.failures,
            };
            charter.servers().map(standing).collect()
        });
    }

    /// Who counts what the limits decide, and sees to it that the guard of our own pages goes by the same policy.
    pub fn limits(&self, pages: &Arc<PageGuard>, notices: Arc<Notices>) -> Arc<dyn Witness> {
        Arc::new(LimitsWitness::new(&self.metrics, Arc::clone(pages), notices))
    }

    /// The hasher, with the time that people wait for it counted.
    pub fn hasher(&self, inner: Arc<dyn Hasher>) -> Arc<dyn Hasher> {
        Arc::new(ObservedHasher::new(inner, &self.metrics))
    }

    /// The mail server, with what it says counted and noted.
    pub fn mailer(&self, inner: Arc<dyn Mailer>) -> Arc<dyn Mailer> {
        Arc::new(ObservedMailer {
            inner,
            letters: self.metrics.facts.letters.clone(),
            health: Arc::clone(&self.health),
            world: self.world.clone(),
        })
    }

    /// What the proxied path leaves behind.
    pub fn measures(&self) -> Arc<Measures> {
        Arc::new(Measures::new(
            &self.metrics,
            Arc::clone(&self.health),
            self.world.clone(),
        ))
    }
}
