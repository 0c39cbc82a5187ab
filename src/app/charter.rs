//! What a configuration decides, built from it as a whole and put in force in one moment.
//!
//! [`decide`] may fail at any point and touches nothing that serves, so that a configuration which cannot be used leaves
//! the one in force as it is.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::HeaderName;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use crate::config::{self, Compromised, Config};
use crate::crypto::blocklist::Blocklist;
use crate::crypto::entropy::OsEntropy;
use crate::domain::assertion::AssertionTerms;
use crate::domain::fault::Fault;
use crate::domain::password::{KnownPasswords, Listed, PasswordRules};
use crate::flows::{
    Alerts, Authenticate, AuthenticateService, DeliverLetters, ForgotPassword, Housekeeping, MailBudget, MailLimits,
    OwnAccount, Pace, ResetLimits, SetPassword, SignIn, SignOut, UnlockBrowser,
};
use crate::mail::letters::Templates;
use crate::mail::smtp::SmtpMailer;
use crate::ports::{Limiter, Sessions};
use crate::proxy::{Charter, CharterTerms, HeadLimits, Hsts, InForce, Pool, Protected, Site, TrustedProxies};
use crate::store::SqliteStore;
use crate::telemetry::health::Part;
use crate::web::{Branding, Health, Logo, PartHealth, Portal, PortalFlows, PortalRoutes, PortalSettings, Theme};

use super::lasting::Lasting;
use super::office::return_path;
use super::pool::pool_terms;
use super::stamp::Stamps;
use super::theme::{self, ThemeFiles};

/// Everything a configuration decides.
pub(super) struct Decided {
    /// The configuration itself.
    pub config: Config,
    /// How the files that it names looked before they were read.
    pub files: Stamps,
    /// About requests.
    pub charter: Arc<Charter>,
    /// About the work in the background.
    pub chores: Arc<Chores>,
}

/// What is done in the background, as the configuration has it.
pub(super) struct Chores {
    /// Letters.
    pub letters: DeliverLetters,
    /// Sweeping the store.
    pub housekeeping: Housekeeping,
    /// The age at which a signing key is replaced.
    pub rotate_every: Duration,
}

/// What is in force: read anew by every request and every round in the background.
pub(super) struct Current {
    /// About requests.
    pub charter: InForce,
    /// About the work in the background.
    pub chores: ArcSwap<Chores>,
}

impl Current {
    /// The first.
    pub fn new(decided: &Decided) -> Self {
        Self {
            charter: Arc::new(ArcSwap::new(Arc::clone(&decided.charter))),
            chores: ArcSwap::new(Arc::clone(&decided.chores)),
        }
    }

    /// Another one. What goes on under the old one ends under it; then nothing of the old one is left.
    pub fn replace(&self, decided: &Decided) {
        self.charter.store(Arc::clone(&decided.charter));
        self.chores.store(Arc::clone(&decided.chores));
    }
}

/// Builds what a configuration decides, without touching anything that serves. What is equal in the configuration
/// `before`, and would lose what it has learned by being built again, is taken over from it.
///
/// # Errors
/// The first thing that cannot be had: a file, a theme, a template.
pub(super) async fn decide(config: Config, lasting: &Lasting, before: Option<&Decided>) -> Result<Decided, Fault> {
    let files = Stamps::of(&config.files());
    let theme = ThemeFiles::of(&config)?;
    let authenticate = Arc::new(Authenticate::new(
        lasting.sessions.clone(),
        lasting.world.clone(),
        config.sessions.lifetime,
        lasting.seen.clone(),
        config.limits.enabled.then(|| lasting.limiter.clone() as _),
    ));
    let services = Arc::new(AuthenticateService {
        services: lasting.tokens.clone(),
        limiter: lasting.limiter.clone(),
        seen: lasting.seen.clone(),
        world: lasting.world.clone(),
    });
    let mut rules = config.passwords.rules.clone();
    rules.listed = known_passwords(&config.passwords.blocklist)?;
    let flows = flows(&config, lasting, Arc::clone(&authenticate), rules);
    let derive = |purpose: &str| lasting.sealing.derive(purpose);
    let portal = Portal::new(settings(&config, theme.pages, derive)?, flows)
        .map_err(|problem| Fault::corrupt("the gateway's own pages cannot be built", problem))?;
    let chores = Arc::new(chores(&config, lasting, &theme.letters)?);
    let assertion = &config.assertion;
    let header = HeaderName::from_bytes(assertion.header.as_bytes())
        .map_err(|error| Fault::corrupt(format!("assertion.header = {:?}", assertion.header), error))?;
    let charter = Arc::new(Charter::new(CharterTerms {
        sites: sites(&config, &files, lasting, before).await?,
        trusted: TrustedProxies::new(config.server.trusted_proxies.clone())
            .naming_clients_in(config.server.forwarded_header),
        asking: TrustedProxies::new(config.forward_auth.proxies.clone()),
        authenticate,
        services,
        portal: Arc::new(portal),
        session_cookie: config.sessions.cookie.clone(),
        protected: Protected::new(header, cookies(&config, before), assertion.plain_headers),
        hsts: Hsts::new(config.server.hsts, config.server.hsts_subdomains),
        active_streams: config.sessions.active_streams.clone(),
        head: HeadLimits {
            bytes: config.server.max_header_bytes,
            fields: config.server.max_header_fields,
        },
        body_timeout: config.server.body_timeout,
        write_timeout: config.server.write_timeout,
    }));
    Ok(Decided {
        config,
        files,
        charter,
        chores,
    })
}

/// The names under which browsers may hold the session cookie: the one in force, the one it has unless somebody gives it
/// another, and those that this process has known.
fn cookies(config: &Config, before: Option<&Decided>) -> Vec<String> {
    let former = before.map_or(&[][..], |before| before.charter.protected.cookies());
    let mut names = vec![config.sessions.cookie.clone()];
    for name in former.iter().chain([&config::Sessions::default().cookie]) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The sites, the main one first. An upstream that is described as before, with the same certificates, keeps what it
/// knows of its servers.
async fn sites(
    config: &Config,
    files: &Stamps,
    lasting: &Lasting,
    before: Option<&Decided>,
) -> Result<Vec<Site>, Fault> {
    let known: Vec<_> = before.map_or_else(Vec::new, |before| {
        let described = before.config.all_sites();
        described.into_iter().zip(&before.charter.sites).collect()
    });
    let mut sites = Vec::new();
    for site in config.all_sites() {
        let unchanged = before.is_some_and(|before| {
            let mut named = site.upstream.files();
            named.all(|file| files.agree_on(&before.files, file))
        });
        let same = known
            .iter()
            .find(|(known, _)| unchanged && known.upstream.is_same_but_for_bodies(&site.upstream));
        let upstream = if let Some((_, known)) = same {
            Arc::clone(&known.upstream)
        } else {
            let pool = Pool::new(pool_terms(&site.upstream)).await?;
            // Ends with the pool: at once, should the configuration not come into force after all.
            lasting.requests.run_until_stop(|stop| pool.keep(stop));
            pool
        };
        sites.push(Site {
            place: Arc::new(site.place()),
            assertion: Arc::new(AssertionTerms {
                audience: site.audience,
                ..config.assertion.terms.clone()
            }),
            policy: site.policy,
            bodies: site.upstream.bodies,
            upstream,
        });
    }
    Ok(sites)
}

/// Which of the lists of known passwords would stop the start, and why, a line each; those that cannot be opened are
/// told with all other files.
pub fn check_blocklists(config: &Config) -> Vec<String> {
    let there = config
        .passwords
        .blocklist
        .iter()
        // Whoever opens a pipe waits.
        .filter(|path| path.is_file() && fs::File::open(path).is_ok());
    there
        .filter_map(|path| Blocklist::load(path).err())
        .map(|fault| format!("passwords.blocklist: {}", fault.chain()))
        .collect()
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

fn flows(config: &Config, lasting: &Lasting, authenticate: Arc<Authenticate>, rules: PasswordRules) -> PortalFlows {
    let Lasting {
        world, store, sessions, ..
    } = lasting;
    let limits = &config.limits;
    let limiter: Arc<dyn Limiter> = lasting.limiter.clone();
    let hasher = Arc::clone(&lasting.hasher);
    let refusals = Arc::clone(&lasting.refusals);
    let signer = Arc::clone(&lasting.signer);
    let set_password = Arc::new(SetPassword {
        tickets: store.clone(),
        events: store.clone(),
        limiter: Arc::clone(&limiter),
        hasher: Arc::clone(&hasher),
        orders: Arc::clone(&lasting.orders),
        world: world.clone(),
        rules,
    });
    PortalFlows {
        authenticate,
        sign_in: Arc::new(SignIn {
            accounts: store.clone(),
            sessions: store.clone(),
            principals: sessions.clone(),
            events: store.clone(),
            limiter: Arc::clone(&limiter),
            aliases: Arc::clone(&lasting.aliases),
            hasher: Arc::clone(&hasher),
            refusals: Arc::clone(&refusals),
            orders: Arc::clone(&lasting.orders),
            world: world.clone(),
            sessions_per_account: config.sessions.per_account,
            throttled_noted_at: AtomicI64::new(0),
        }),
        unlock: Arc::new(UnlockBrowser {
            unlocks: store.clone(),
            accounts: store.clone(),
            outbox: store.clone(),
            limiter: Arc::clone(&limiter),
            world: world.clone(),
            limited: limits.enabled,
        }),
        sign_out: Arc::new(SignOut {
            sessions: store.clone(),
            principals: sessions.clone(),
            world: world.clone(),
        }),
        forgot_password: Arc::new(ForgotPassword {
            outbox: store.clone(),
            limiter: Arc::clone(&limiter),
            orders: Arc::clone(&lasting.orders),
            world: world.clone(),
            limits: limits.enabled.then_some(ResetLimits {
                again: limits.reset_again,
                repeat: limits.mail_client,
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
            orders: Arc::clone(&lasting.orders),
            set_password: Arc::clone(&set_password),
            world: world.clone(),
            lifetime: config.sessions.lifetime,
            fresh_for: config.sessions.fresh_for,
        }),
        set_password,
        jwks: Arc::new(move || signer.jwks_json()),
        health: Arc::new(StoreHealth {
            store: store.clone(),
            seen: Arc::clone(&lasting.monitor.health),
        }),
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
        branding: Branding {
            name: config.branding.name.clone(),
            logo: config.branding.logo.as_deref().map(logo).transpose()?,
            accent: config.branding.accent.clone(),
            support: config.branding.support.clone(),
        },
        theme,
        cookie: config.sessions.cookie.clone(),
        language: config.branding.language,
        zone: TimeZone::system(),
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

fn chores(config: &Config, lasting: &Lasting, templates: &Templates) -> Result<Chores, Fault> {
    let Lasting { world, store, .. } = lasting;
    let press = theme::press(config, templates)?;
    if let Some(problem) = config
        .branding
        .theme
        .as_ref()
        .and_then(|_| press.problems().into_iter().next())
    {
        return Err(theme::refusal(problem));
    }
    let returns = return_path(config, &lasting.sealing)?;
    if returns.is_none() {
        tracing::info!("mail.bounces is not set: what bounces after the mail server took it is not seen here");
    }
    let mailer = SmtpMailer::new(&config.mail, press, returns, world.clock(), Arc::new(OsEntropy))?;
    Ok(Chores {
        letters: DeliverLetters {
            outbox: store.clone(),
            accounts: store.clone(),
            tickets: store.clone(),
            unlocks: store.clone(),
            mailer: lasting.monitor.mailer(Arc::new(mailer)),
            orders: Arc::clone(&lasting.orders),
            world: world.clone(),
            life: config.links,
            budget: MailBudget::new(lasting.limiter.clone(), mail_limits(config)),
            pace: Pace::new(config.mail.rate),
            alerts: Alerts {
                accounts: store.clone(),
                campaigns: store.clone(),
                to: config.limits.attacks.alert_to.clone(),
                language: config.branding.language,
                closes: config.limits.attacks.compromised == Compromised::NewPassword,
            },
        },
        housekeeping: Housekeeping {
            sessions: store.clone(),
            tickets: store.clone(),
            unlocks: store.clone(),
            tokens: store.clone(),
            orders: store.clone(),
            outbox: store.clone(),
            campaigns: store.clone(),
            attempts: store.clone(),
            keep_attempts: config.limits.keep_attempts,
            events: store.clone(),
            keep_events: config.store.keep_events,
            wall_clock: Arc::clone(&lasting.wall_clock),
            world: world.clone(),
            lifetime: config.sessions.lifetime,
        },
        rotate_every: config.assertion.rotate_every,
    })
}

/// Ready means that people can be served: the store answers. That nothing can be stored, as on a full disk, is told and
/// turns nobody away who is signed in.
struct StoreHealth {
    store: Arc<SqliteStore>,
    /// Writing is tried every few seconds, and not by whoever asks.
    seen: Arc<crate::telemetry::health::Health>,
}

#[async_trait]
impl Health for StoreHealth {
    fn live(&self) -> bool {
        true
    }

    async fn parts(&self) -> Vec<PartHealth> {
        vec![
            PartHealth {
                name: "store",
                well: self.store.changes_since(None).await.is_ok(),
                is_needed: true,
            },
            PartHealth {
                name: Part::StoreWrite.as_str(),
                well: self.seen.is_well(Part::StoreWrite) != Some(false),
                is_needed: false,
            },
        ]
    }
}
