//! What outlives a configuration while the gateway runs: the store, secrets and keys, hashing threads, counted attempts,
//! remembered sessions, open streams. A new configuration is built on it and leaves it as it is.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::Config;
use crate::crypto::entropy::OsEntropy;
use crate::crypto::hashing::Argon2Hasher;
use crate::crypto::jwt::JwtSigner;
use crate::crypto::secrets::SealingKey;
use crate::domain::fault::Fault;
use crate::flows::{
    Aliases, AttemptSender, RecordAttempts, RecordSeen, Refusals, SeenSender, Sentinel, StandingOrders, WallClock,
    World,
};
use crate::ports::{Floor, Hasher, SeveralLogs};
use crate::proxy::{PageGuard, Streams};
use crate::store::{CachedSessions, KnownTokens, LimiterTerms, MemoryLimiter, SqliteStore};

use super::applied::Applied;
use super::campaigns::{CampaignWatch, Desks};
use super::counts::Counts;
use super::crowds;
use super::exemptions::Exemptions;
use super::floor::StoredHashes;
use super::keys::SigningKeys;
use super::monitor::Monitor;
use super::notices::Notices;
use super::office::{open_secrets, world};
use super::regime::Regimes;
use super::tasks::{self, Tasks};

/// Most sessions kept in memory; others are read from the store at each use.
const SESSIONS_IN_MEMORY: u64 = 200_000;
/// Uses of sessions and API tokens are written down this often.
const SEEN: Duration = Duration::from_secs(1);

/// What outlives a configuration.
pub(super) struct Lasting {
    /// Time and chance.
    pub world: World,
    /// Whether its time of day can be believed.
    pub wall_clock: Arc<WallClock>,
    /// What is stored.
    pub store: Arc<SqliteStore>,
    /// What other lasting keys are derived from.
    pub sealing: Arc<SealingKey>,
    /// Counted attempts: a new configuration forgets none.
    pub limiter: Arc<MemoryLimiter>,
    /// Where they are written down.
    pub counts: Arc<Counts>,
    /// Whose names are whose, for the records of attempts.
    pub aliases: Arc<Aliases>,
    /// Guards our own pages, under the same policy.
    pub pages: Arc<PageGuard>,
    /// Looks at attempts for attacks.
    pub campaigns: Arc<CampaignWatch>,
    /// Notices addresses that many people share.
    pub sentinel: Arc<Sentinel>,
    /// The hashing threads.
    pub hasher: Arc<dyn Hasher>,
    /// How long refusals take.
    pub refusals: Arc<Refusals>,
    /// Who watches over it all.
    pub monitor: Arc<Monitor>,
    /// The signing keys.
    pub keys: Arc<SigningKeys>,
    /// Signs with them.
    pub signer: Arc<JwtSigner>,
    /// The sessions in use.
    pub sessions: Arc<CachedSessions>,
    /// The API tokens there are.
    pub tokens: Arc<KnownTokens>,
    /// Where uses of sessions and API tokens are noted.
    pub seen: SeenSender,
    /// The policies of the limits.
    pub regimes: Arc<Regimes>,
    /// The orders in force: who is banned and who is exempt.
    pub orders: Arc<StandingOrders>,
    /// What of them exempts clients from the limits.
    pub exemptions: Arc<Exemptions>,
    /// What of them applies another policy.
    pub applied: Arc<Applied>,
    /// Writes them down, once somebody lets it.
    pub recorder: Mutex<Option<RecordAttempts>>,
    /// The open streams.
    pub streams: Arc<Streams>,
    /// The work in the background that goes on as long as requests do.
    pub requests: Tasks,
}

impl Lasting {
    /// Opens and starts it all, once in the life of a process. Of the configuration it keeps what needs a restart to
    /// change: the secrets' directory, hashing, the algorithm of new keys and the grace in an outage. `tasks` end with the
    /// stop, and `requests` with the last request.
    pub async fn open(
        config: &Config,
        store: &Arc<SqliteStore>,
        tasks: &Tasks,
        requests: &Tasks,
        monitor: &Arc<Monitor>,
    ) -> Result<Self, Fault> {
        let world = world();
        let wall_clock = watched(&world, store).await?;
        // Before anybody is let in.
        let orders = StandingOrders::new(store.clone(), world.clone());
        orders.follow().await?;
        let secrets = open_secrets(config, store).await?;
        for file in &secrets.made {
            tracing::info!(file = %file.display(), "secret made; keep a copy of it somewhere safe, apart from the store");
        }
        let sealing = Arc::new(secrets.sealing_key);
        let hasher = Argon2Hasher::start(config.passwords.hashing, secrets.pepper, Arc::new(OsEntropy))?;
        let hasher = Arc::new(hasher);
        tasks::follow_pepper(requests, config.secrets.directory.clone(), Arc::clone(&hasher));
        let keys = Arc::new(SigningKeys {
            store: store.clone(),
            sealing: Arc::clone(&sealing),
            algorithm: config.assertion.algorithm,
            world: world.clone(),
        });
        keys.keep(config.assertion.rotate_every).await?;
        monitor.watch(tasks, store, &hasher, &keys).await?;
        let signer = Arc::new(JwtSigner::new(keys.ring().await?));
        let sessions = Arc::new(CachedSessions::new(
            store.clone(),
            world.clock(),
            SESSIONS_IN_MEMORY,
            config.sessions.outage_grace,
        ));
        let tokens = Arc::new(KnownTokens::new(
            store.clone(),
            world.clock(),
            config.sessions.outage_grace,
        ));
        let (record_seen, seen) = RecordSeen::new(store.clone(), store.clone());
        requests.run_until_stop(|drained| record_seen.run(SEEN, drained));
        let (recorder, attempts) = recorder(store, monitor);
        let floor = Arc::new(StoredHashes::new(Arc::clone(store), Arc::clone(&hasher)));
        // Measured before the first attempt, while the machine has nothing else to do.
        floor.current().await?;
        let (sentinel, lookout) = Sentinel::new(world.clone());
        sentinel.declare(crowds::declared(&config.server));
        crowds::watch(tasks, lookout, monitor);
        let (notices, waiting) = Notices::new(world.clone());
        let events = Arc::clone(store);
        requests.run_until_stop(|drained| waiting.record(events, drained));
        let tell = Arc::clone(&notices);
        let pages = Arc::new(PageGuard::new(&monitor.metrics, move |rule| tell.reached(rule)));
        let campaigns = CampaignWatch::new(Desks {
            book: store.clone(),
            accounts: store.clone(),
            world: world.clone(),
            metrics: monitor.metrics.attacks.clone(),
            key: sealing.derive("campaigns"),
        });
        let limiter = MemoryLimiter::new(LimiterTerms {
            crowds: sentinel.clone(),
            witness: monitor.limits(&pages, notices),
            log: Arc::new(SeveralLogs(vec![campaigns.clone(), Arc::new(attempts)])),
            ..LimiterTerms::alone(
                MemoryLimiter::MOST,
                sealing.derive("limits"),
                world.clock(),
                Arc::new(OsEntropy),
            )
        });
        let (limiter, orders) = (Arc::new(limiter), Arc::new(orders));
        let exemptions = Arc::new(Exemptions::new(limiter.clone(), Arc::clone(&orders)));
        let refused = monitor.metrics.work.limits_refused.clone();
        let governed = exemptions.clone();
        let regimes = Regimes::begin(&config.limits, governed, store.clone(), world.clone(), refused)?;
        let regimes = Arc::new(regimes);
        let applied = Applied::new(Arc::clone(&orders), Arc::clone(&regimes));
        applied.look().await;
        Ok(Self {
            wall_clock,
            campaigns,
            counts: Arc::new(Counts::new(&config.store.directory, &limiter, &world)),
            limiter,
            aliases: Arc::default(),
            regimes,
            exemptions,
            applied: Arc::new(applied),
            orders,
            pages,
            sentinel,
            store: Arc::clone(store),
            streams: Arc::new(Streams::new(monitor.metrics.proxy.streams.clone())),
            world,
            sealing,
            hasher: monitor.hasher(hasher),
            refusals: Arc::new(Refusals::new(floor)),
            monitor: Arc::clone(monitor),
            keys,
            signer,
            sessions,
            tokens,
            seen,
            recorder: Mutex::new(Some(recorder)),
            requests: requests.clone(),
        })
    }
}

/// Writes attempts down, and counts those that found no room.
fn recorder(store: &Arc<SqliteStore>, monitor: &Monitor) -> (RecordAttempts, AttemptSender) {
    let unrecorded = monitor.metrics.work.attempts_unrecorded.clone();
    RecordAttempts::new(store.clone(), move |lost| {
        unrecorded.inc_by(lost);
    })
}

/// The clock on the wall, which is watched before anything is recorded by it.
async fn watched(world: &World, store: &SqliteStore) -> Result<Arc<WallClock>, Fault> {
    Ok(Arc::new(WallClock::new(world, store.newest_event().await?)))
}
