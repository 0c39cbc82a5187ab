//! A running gateway, from the configuration to an orderly stop.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use async_trait::async_trait;
use governor::{DefaultKeyedRateLimiter, Quota as GovernorQuota, RateLimiter};
use http::HeaderName;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::crypto::blocklist::Blocklist;
use crate::crypto::entropy::OsEntropy;
use crate::crypto::hashing::Argon2Hasher;
use crate::crypto::jwt::JwtSigner;
use crate::domain::fault::Fault;
use crate::domain::limits::Quota;
use crate::domain::password::{KnownPasswords, Listed};
use crate::flows::{
    Authenticate, DeliverLetters, ForgotPassword, Housekeeping, MailBudget, MailLimits, OwnAccount, Pace, RecordSeen,
    Refusals, ResetLimits, SetPassword, SignIn, SignInLimits, SignOut, TicketLimits, World,
};
use crate::mail::ReturnPath;
use crate::mail::letters::Templates;
use crate::mail::smtp::SmtpMailer;
use crate::ports::{Floor, Hasher, Limiter, Outbox, Sessions};
use crate::proxy::{
    ConnectionLimits, Connections, Front, Gateway, GatewayParts, GatewayTimes, Issuing, Measures, Pool, Protected,
    Streams, TlsFiles, TrustedProxies, bind,
};
use crate::store::{CachedSessions, MemoryLimiter, SqliteStore, StoreLock};
use crate::web::{Branding, Health, Logo, Portal, PortalFlows, PortalRoutes, PortalSettings, Theme};

use super::backup;
use super::floor::StoredHashes;
use super::keys::SigningKeys;
use super::monitor::Monitor;
use super::office::{open_secrets, return_path, world};
use super::pool::pool_terms;
use super::tasks::{self, Tasks};
use super::theme::{self, ThemeFiles};

/// What a gateway that has just become ready can tell.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The addresses it listens on, with their real ports.
    pub addresses: Vec<SocketAddr>,
    /// Where metrics and health are asked for.
    pub metrics: Option<SocketAddr>,
}

/// Most meters the limits keep: about 100 bytes each.
const METERS: usize = 500_000;
/// Most sessions kept in memory; others are read from the store at each use.
const SESSIONS_IN_MEMORY: u64 = 200_000;
/// A stop waits this long for background work, mail under way among it.
const FINISH: Duration = Duration::from_secs(10);
/// Uses of sessions are written down this often.
const SEEN: Duration = Duration::from_secs(1);

/// Serves until `stop`, then drains. `ready` is called once everything is in place.
///
/// # Errors
/// When something needed at start is missing: says what, where and how to mend it.
pub async fn serve(mut config: Config, stop: CancellationToken, ready: impl FnOnce(Listening)) -> Result<(), Fault> {
    let _lock = StoreLock::acquire(&config.store.directory)?;
    backup::tidy(&config.store.directory);
    config.passwords.rules.listed = known_passwords(&config.passwords.blocklist)?;
    let listeners = bind(&config.server.listen)?;
    let addresses = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect();
    let store = Arc::new(SqliteStore::open(&config.store.directory).await?);
    store.give_back_taken().await?;

    let tasks = Tasks::new(stop.clone());
    let drained = CancellationToken::new();
    let monitor = Monitor::new(&config, world());
    let metrics = monitor.open(&config, &tasks, drained.clone());
    let front = Arc::new(compose(&config, &store, &tasks, &drained, &monitor).await?);
    if !config.limits.enabled {
        tracing::warn!("limits.enabled = false: passwords can be guessed without bound");
    }
    ready(Listening { addresses, metrics });

    let (stopping, stopped) = watch::channel(false);
    let serving = tokio::spawn(front.serve(listeners, stopped, config.server.drain_timeout));
    stop.cancelled().await;
    tracing::info!("stopping: no new connections are taken, open requests are finished");
    let _ = stopping.send(true);
    match serving.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Fault::unavailable("could not serve", error)),
        Err(error) => return Err(Fault::unavailable("a listener ended unexpectedly", error)),
    }
    drained.cancel();
    tasks.finish(FINISH).await;
    store.close().await;
    Ok(())
}

/// Builds everything between the sockets and the store, and starts the background work.
async fn compose(
    config: &Config,
    store: &Arc<SqliteStore>,
    tasks: &Tasks,
    drained: &CancellationToken,
    monitor: &Monitor,
) -> Result<Front, Fault> {
    let world = world();
    let theme = ThemeFiles::of(config)?;
    let secrets = open_secrets(config, store).await?;
    for file in &secrets.made {
        tracing::info!(file = %file.display(), "secret made; keep a copy of it somewhere safe, apart from the store");
    }
    let sealing = Arc::new(secrets.sealing_key);
    let limiter = Arc::new(MemoryLimiter::new(METERS, sealing.derive("limits")));
    let hasher = Argon2Hasher::start(config.passwords.hashing, secrets.pepper, Arc::new(OsEntropy))?;
    let hasher = Arc::new(hasher);
    tasks::follow_pepper(tasks, config.secrets.directory.clone(), Arc::clone(&hasher));
    let keys = Arc::new(SigningKeys {
        store: store.clone(),
        sealing: Arc::clone(&sealing),
        algorithm: config.assertion.algorithm,
        world: world.clone(),
    });
    keys.keep(config.assertion.rotate_every).await?;
    monitor.watch(config, tasks, store, &hasher, &keys).await?;
    let counted: Arc<dyn Limiter> = monitor.limiter(limiter.clone());
    let signer = Arc::new(JwtSigner::new(keys.ring().await?));
    let sessions = Arc::new(CachedSessions::new(
        store.clone(),
        world.clock(),
        SESSIONS_IN_MEMORY,
        config.sessions.outage_grace,
    ));
    let upstream = Pool::new(pool_terms(&config.upstream)).await?;
    let pages = config.limits.enabled.then(|| pages(&config.limits.pages_client));

    let (record_seen, seen) = RecordSeen::new(store.clone());
    tasks.run(record_seen.run(SEEN, drained.clone()));
    let authenticate = Arc::new(Authenticate::new(
        sessions.clone(),
        world.clone(),
        config.sessions.lifetime,
        seen,
    ));
    let floor = Arc::new(StoredHashes::new(Arc::clone(store), Arc::clone(&hasher)));
    // Measured before the first attempt, while the machine has nothing else to do.
    floor.current().await?;
    let flows = flows(
        config,
        store,
        &sessions,
        Arc::clone(&authenticate),
        Arc::clone(&counted),
        monitor.hasher(hasher),
        Arc::new(Refusals::new(floor)),
        &signer,
        &world,
    );
    let portal = Arc::new(
        Portal::new(settings(config, theme.pages, |purpose| sealing.derive(purpose))?, flows)
            .map_err(|problem| Fault::corrupt("the gateway's own pages cannot be built", problem))?,
    );

    start(
        config,
        store,
        tasks,
        &world,
        Background {
            sessions,
            keys,
            signer: signer.clone(),
            limiter,
            counted,
            pages: pages.clone(),
            upstream: upstream.clone(),
            letters: theme.letters,
            returns: return_path(config, &sealing)?,
        },
        monitor,
    )?;
    let streams = Arc::new(Streams::new(monitor.metrics.proxy.streams.clone()));
    tasks::end_streams(tasks, Arc::clone(&streams), Arc::clone(&authenticate));
    let measures = monitor.measures();
    let gateway = gateway(
        config,
        streams,
        authenticate,
        portal,
        signer,
        upstream,
        pages,
        measures,
        &world,
    )?;
    let connections = connections(config, monitor);
    let tls = TlsFiles {
        certificate: config.server.tls_certificate.clone(),
        key: config.server.tls_key.clone(),
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    Front::new(gateway, &tls, connections, config.server.header_timeout, threads)
}

fn connections(config: &Config, monitor: &Monitor) -> Arc<Connections> {
    let limits = ConnectionLimits {
        total: config.server.max_connections,
        per_client: config.server.max_connections_per_client,
    };
    Connections::new(limits, monitor.metrics.proxy.connections.clone())
}

/// The lists that a new password must not be on.
fn known_passwords(paths: &[PathBuf]) -> Result<Listed, Fault> {
    let mut lists: Vec<Arc<dyn KnownPasswords>> = Vec::with_capacity(paths.len());
    for path in paths {
        let list = Blocklist::load(path)?;
        tracing::info!(file = %path.display(), passwords = list.passwords(), "list of known passwords read");
        lists.push(Arc::new(list));
    }
    Ok(Listed::new(lists))
}

#[expect(clippy::too_many_arguments, reason = "a wiring list, called once")]
fn flows(
    config: &Config,
    store: &Arc<SqliteStore>,
    sessions: &Arc<CachedSessions>,
    authenticate: Arc<Authenticate>,
    limiter: Arc<dyn Limiter>,
    hasher: Arc<dyn Hasher>,
    refusals: Arc<Refusals>,
    signer: &Arc<JwtSigner>,
    world: &World,
) -> PortalFlows {
    let limits = &config.limits;
    let signer = Arc::clone(signer);
    let sign_in_limits = limits.enabled.then_some(SignInLimits {
        client: limits.sign_in_client,
        account: limits.sign_in_account,
        client_account: limits.sign_in_client_account,
    });
    let set_password = Arc::new(SetPassword {
        tickets: store.clone(),
        events: store.clone(),
        limiter: Arc::clone(&limiter),
        hasher: Arc::clone(&hasher),
        world: world.clone(),
        rules: config.passwords.rules.clone(),
        limits: limits.enabled.then_some(TicketLimits {
            client: limits.ticket_client,
        }),
    });
    PortalFlows {
        authenticate,
        sign_in: Arc::new(SignIn {
            accounts: store.clone(),
            sessions: store.clone(),
            events: store.clone(),
            limiter: Arc::clone(&limiter),
            hasher: Arc::clone(&hasher),
            refusals: Arc::clone(&refusals),
            world: world.clone(),
            limits: sign_in_limits,
            sessions_per_account: config.sessions.per_account,
            throttled_noted_at: AtomicI64::new(0),
        }),
        sign_out: Arc::new(SignOut {
            sessions: store.clone(),
            principals: sessions.clone(),
            world: world.clone(),
        }),
        forgot_password: Arc::new(ForgotPassword {
            outbox: store.clone(),
            limiter: Arc::clone(&limiter),
            world: world.clone(),
            limits: limits.enabled.then_some(ResetLimits {
                client: limits.reset_client,
                email: limits.reset_email,
                again: limits.reset_again,
            }),
        }),
        own_account: Arc::new(OwnAccount {
            accounts: store.clone(),
            sessions: store.clone(),
            principals: sessions.clone(),
            events: store.clone(),
            limiter,
            hasher,
            refusals,
            set_password: Arc::clone(&set_password),
            world: world.clone(),
            limits: sign_in_limits,
            lifetime: config.sessions.lifetime,
            fresh_for: config.sessions.fresh_for,
        }),
        set_password,
        jwks: Arc::new(move || signer.jwks_json()),
        health: Arc::new(StoreHealth(store.clone())),
    }
}

pub(super) fn settings(
    config: &Config,
    theme: Theme,
    derive: impl Fn(&str) -> [u8; 32],
) -> Result<PortalSettings, Fault> {
    let routes = &config.routes;
    Ok(PortalSettings {
        routes: PortalRoutes {
            login: routes.login.clone(),
            logout: routes.logout.clone(),
            set_password: routes.set_password.clone(),
            forgot_password: routes.forgot_password.clone(),
        },
        doors: config.doors.clone(),
        branding: Branding {
            name: config.branding.name.clone(),
            logo: config.branding.logo.as_deref().map(logo).transpose()?,
            accent: config.branding.accent.clone(),
            support: config.branding.support.clone(),
        },
        theme,
        cookie: config.sessions.cookie.clone(),
        language: config.branding.language,
        lifetime: config.sessions.lifetime,
        form_key: Zeroizing::new(derive("forms")),
        device_key: Zeroizing::new(derive("devices")),
        notice_key: Zeroizing::new(derive("notices")),
    })
}

fn logo(path: &std::path::Path) -> Result<Logo, Fault> {
    let bytes = std::fs::read(path)
        .map_err(|error| Fault::unavailable(format!("could not read branding.logo from {}", path.display()), error))?;
    let media_type = if bytes.starts_with(b"\x89PNG") {
        "image/png"
    } else {
        "image/svg+xml"
    };
    Ok(Logo {
        bytes: bytes.into(),
        media_type,
    })
}

fn mail_limits(config: &Config) -> Option<MailLimits> {
    let limits = &config.limits;
    limits.enabled.then_some(MailLimits {
        account: limits.mail_account,
        client: limits.mail_client,
        day: limits.mail_day,
    })
}

struct Background {
    sessions: Arc<CachedSessions>,
    keys: Arc<SigningKeys>,
    signer: Arc<JwtSigner>,
    limiter: Arc<MemoryLimiter>,
    counted: Arc<dyn Limiter>,
    pages: Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>,
    upstream: Arc<Pool>,
    letters: Templates,
    returns: Option<ReturnPath>,
}

fn start(
    config: &Config,
    store: &Arc<SqliteStore>,
    tasks: &Tasks,
    world: &World,
    parts: Background,
    monitor: &Monitor,
) -> Result<(), Fault> {
    let Background {
        sessions,
        keys,
        signer,
        limiter,
        counted,
        pages,
        upstream,
        letters: templates,
        returns,
    } = parts;
    if returns.is_none() {
        tracing::info!("mail.bounces is not set: what bounces after the mail server took it is not seen here");
    }
    tasks::follow(tasks, sessions, Arc::clone(&keys), signer, world.clone());
    let press = theme::press(config, &templates)?;
    if let Some(problem) = config
        .branding
        .theme
        .as_ref()
        .and_then(|_| press.problems().into_iter().next())
    {
        return Err(theme::refusal(problem));
    }
    let mailer = SmtpMailer::new(&config.mail, press, returns, world.clock(), Arc::new(OsEntropy))?;
    let letters = Arc::new(DeliverLetters {
        outbox: store.clone(),
        accounts: store.clone(),
        tickets: store.clone(),
        mailer: monitor.mailer(Arc::new(mailer)),
        world: world.clone(),
        life: config.links,
        budget: MailBudget::new(counted, mail_limits(config)),
        pace: Pace::new(config.mail.rate),
    });
    tasks::deliver(tasks, letters, store.clone(), world.clone());
    let housekeeping = Housekeeping {
        sessions: store.clone(),
        tickets: store.clone(),
        outbox: store.clone(),
        world: world.clone(),
        lifetime: config.sessions.lifetime,
    };
    let swept = monitor.metrics.facts.sessions_swept.clone();
    tasks::keep(tasks, housekeeping, swept, keys, config.assertion.rotate_every);
    tasks::keep_pool(tasks, &upstream);
    tasks::keep_limits(tasks, limiter, pages, world.clone());
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "a wiring list, called once")]
fn gateway(
    config: &Config,
    streams: Arc<Streams>,
    authenticate: Arc<Authenticate>,
    portal: Arc<Portal>,
    signer: Arc<JwtSigner>,
    upstream: Arc<Pool>,
    pages: Option<Arc<DefaultKeyedRateLimiter<IpAddr>>>,
    measures: Measures,
    world: &World,
) -> Result<Gateway, Fault> {
    let assertion = &config.assertion;
    let header = HeaderName::from_bytes(assertion.header.as_bytes())
        .map_err(|error| Fault::corrupt(format!("assertion.header = {:?}", assertion.header), error))?;
    Ok(Gateway::new(GatewayParts {
        doors: config.doors.clone(),
        trusted: TrustedProxies::new(config.server.trusted_proxies.clone()),
        authenticate,
        policy: config.policy.clone(),
        portal,
        issuing: Issuing {
            signer,
            audience: assertion.terms.audience.as_str().into(),
            terms: assertion.terms.clone(),
        },
        session_cookie: config.sessions.cookie.clone(),
        protected: Protected::new(header, &config.sessions.cookie, assertion.plain_headers),
        upstream,
        pages,
        streams,
        times: GatewayTimes {
            max_header_bytes: config.server.max_header_bytes,
            body_timeout: config.server.body_timeout,
        },
        measures,
        world: world.clone(),
    }))
}

fn pages(quota: &Quota) -> Arc<DefaultKeyedRateLimiter<IpAddr>> {
    let burst = NonZeroU32::new(quota.burst()).unwrap_or(NonZeroU32::MIN);
    let quota = GovernorQuota::with_period(quota.interval())
        .unwrap_or_else(|| GovernorQuota::per_second(NonZeroU32::MIN))
        .allow_burst(burst);
    Arc::new(RateLimiter::keyed(quota))
}

/// Ready means that people can be served: the store answers.
struct StoreHealth(Arc<SqliteStore>);

#[async_trait]
impl Health for StoreHealth {
    fn live(&self) -> bool {
        true
    }

    async fn ready(&self) -> Vec<(&'static str, bool)> {
        vec![("store", self.0.changes_since(None).await.is_ok())]
    }
}
