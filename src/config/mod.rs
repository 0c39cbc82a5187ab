//! The configuration: what the operator wrote, read once into domain types.
//!
//! [`Config`] is what the rest of the program sees. Each section has a file of its own, which names
//! its keys once; reading them with every error in one run, showing them, `config/sekisho.toml` and
//! the JSON Schema all come from that one description (see `keys`). What must hold of the machine,
//! not of the text, is asked by [`Config::check_files`].

mod access;
mod assertion;
mod attacks;
mod branding;
mod change;
mod doors;
mod files;
mod forward_auth;
mod keys;
mod limits;
pub mod limits_file;
mod links;
mod log;
mod mail;
mod metrics;
mod passwords;
mod problem;
mod routes;
mod server;
mod sessions;
mod sites;
mod store;
#[cfg(test)]
mod tests;
mod upstream;

use std::io;
use std::path::Path;

pub use assertion::Assertion;
pub use attacks::{Attacks, Compromised};
pub use branding::Branding;
pub use change::{Change, RESTART, why_restart};
pub use forward_auth::ForwardAuth;
pub use limits::Limits;
pub use log::{Log, LogFormat};
pub use mail::{LONGEST_RETURN_LOCAL, Mail, MailSecurity};
pub use metrics::Metrics;
pub use passwords::{Hashing, Passwords, Preset};
pub use problem::{ConfigErrors, Problem};
pub use routes::{JWKS_PATH, RESERVED_PREFIX, Routes};
pub use server::{ClientCertificates, Listen, Server, TlsFiles, TlsVersion};
pub use sessions::Sessions;
pub use sites::Site;
pub use store::{Secrets, Store};
pub use upstream::{Address, Balance, Health, Protocol, Upstream};

use crate::domain::doors::Doors;
use crate::domain::policy::Policy;
use crate::domain::ticket::TicketLife;
use doors::Otherwise;
use keys::Walker;
use keys::reader::{Reader, parse_toml};
use keys::schema::Schema;
use keys::writer::Writer;
use sites::Main;

/// Everything the operator decides. Paths that do not start with a slash are relative to the
/// directory the program is started in, not to the file; those of the limits' policies alone are relative to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[doors]`: required.
    pub doors: Doors,
    /// `[upstream]`: required.
    pub upstream: Upstream,
    /// `[routes]`
    pub routes: Routes,
    /// `[access]`: `rules = ["groups admins /admin/*"]`, `public = ["/favicon.ico", "/assets/*"]`; default none.
    pub policy: Policy,
    /// `[store]`
    pub store: Store,
    /// `[secrets]`
    pub secrets: Secrets,
    /// `[sessions]`
    pub sessions: Sessions,
    /// `[passwords]`
    pub passwords: Passwords,
    /// `[links]`: `welcome = "72h"`, `reset = "30m"`.
    pub links: TicketLife,
    /// `[assertion]`
    pub assertion: Assertion,
    /// `[mail]`: `from` and `smtp_host` are required.
    pub mail: Mail,
    /// `[limits]`
    pub limits: Limits,
    /// `[branding]`
    pub branding: Branding,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[forward_auth]`
    pub forward_auth: ForwardAuth,
    /// `[log]`
    pub log: Log,
    /// `[sites.NAME]`: sites beside the main one, which the sections above describe; default none.
    pub sites: Vec<Site>,
}

impl Default for Config {
    /// Every default; the keys that have none are as in `config/sekisho.toml`.
    fn default() -> Self {
        let doors = doors::example();
        Self {
            server: Server::default(),
            upstream: Upstream::default(),
            routes: Routes::default(),
            policy: Policy::default(),
            store: Store::default(),
            secrets: Secrets::default(),
            sessions: Sessions::default(),
            passwords: Passwords::default(),
            links: TicketLife::default(),
            assertion: Assertion::default_for(&doors),
            mail: Mail::default(),
            limits: Limits::default(),
            branding: Branding::default(),
            metrics: Metrics::default(),
            forward_auth: ForwardAuth::default(),
            log: Log::default(),
            sites: Vec::new(),
            doors,
        }
    }
}

/// How the documented file begins.
const PREFACE: &str = "Configuration of Sekisho. Every key is here with its default; doors, upstream.url, mail.from and \
mail.smtp_host have none and hold examples: set them first. A key that is commented out (#key = ..) may stay so. Keys may \
be left out, unknown ones are refused.
Check it: sekisho config check --config FILE. See what is in effect: sekisho config show --config FILE.
Durations and sizes carry their unit: \"30m\", \"8h\", \"7d\", \"8 KiB\". Paths that do not start with a slash are relative \
to the directory the gateway is started in, but for those of the limits' policies, which lie beside this file. A running gateway takes changes up by itself within seconds, \
or at once with: sekisho reload --config FILE. That command also names what only a restart brings into force.";

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let unreadable = |error: io::Error| {
            let message = match error.kind() {
                io::ErrorKind::NotFound => {
                    "there is no such file; start from a copy of config/sekisho.toml, which explains every key, or name \
                     another file with --config"
                        .to_owned()
                }
                io::ErrorKind::PermissionDenied => {
                    "it may not be read; give the user the gateway runs as the right to read it".to_owned()
                }
                io::ErrorKind::InvalidData => "it is not text (UTF-8)".to_owned(),
                _ => format!("it cannot be read: {error}"),
            };
            ConfigErrors(vec![Problem::of_file(path, None, message)])
        };
        let text = files::open(path).and_then(|(file, _)| io::read_to_string(file));
        let text = text.map_err(unreadable)?;
        let mut config = Self::parse(&text, path)?;
        config.limits.lie_beside(path);
        Ok(config)
    }

    /// Reads a configuration. `file` is the name that errors give it.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file; of a text that is not TOML, the
    /// first place where it is not.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigErrors> {
        let root =
            parse_toml(text).map_err(|(line, message)| ConfigErrors(vec![Problem::of_file(file, line, message)]))?;
        let mut config = Self::default();
        let mut reader = Reader::new(file, text, root.get_ref());
        config.walk(&mut reader);
        let problems = reader.finish();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(problems))
        }
    }

    /// The configuration in effect, as TOML that reads back as the same. It holds no secrets, only
    /// the paths of their files.
    pub fn show(&self) -> String {
        let mut writer = Writer::bare();
        self.clone().walk(&mut writer);
        writer.finish()
    }

    /// The content of `config/sekisho.toml`: every key with its explanation and its default.
    pub fn documented() -> String {
        let mut writer = Writer::documented(PREFACE);
        Self::default().walk(&mut writer);
        writer.finish()
    }

    /// The JSON Schema (draft 2020-12) of the file.
    pub fn schema() -> serde_json::Value {
        let mut schema = Schema::default();
        Self::default().walk(&mut schema);
        schema.finish()
    }

    /// Every section in the order of the file. Later ones look at earlier ones for what follows from them.
    fn walk(&mut self, walker: &mut impl Walker) {
        doors::walk(&mut self.doors, walker, Otherwise::Nothing);
        self.server.walk(walker);
        self.upstream.walk(walker, &self.server);
        self.mail.walk(walker);
        self.routes.walk(walker);
        access::walk(&mut self.policy, walker);
        self.store.walk(walker);
        self.secrets.walk(walker, &self.store);
        self.sessions.walk(walker);
        self.passwords.walk(walker);
        links::walk(&mut self.links, walker);
        self.assertion.walk(walker, &self.doors);
        self.limits.walk(walker);
        self.branding.walk(walker);
        self.metrics.walk(walker, &self.server);
        self.forward_auth.walk(walker, &self.server);
        self.log.walk(walker);
        let main = Main {
            doors: &self.doors,
            audience: &self.assertion.terms.audience,
            routes: &self.routes,
            server: &self.server,
        };
        sites::walk(&mut self.sites, walker, &main);
    }

    /// What is allowed and yet weakens the gateway; for the log at start and for `config check`.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        if self.mail.is_exposed() {
            let message = format!(
                "letters and the links in them travel to {} in the clear; use \"starttls\" or \"tls\"",
                self.mail.smtp_host
            );
            warnings.push(Problem::of_key("mail.security", message));
        }
        if self.upstream.has_idle_certificates() {
            let message =
                "no address in it is https://, so upstream.ca_file, server_name and client_certificate have no use";
            warnings.push(Problem::of_key("upstream.url", message));
        }
        if !self.limits.enabled {
            let message = "all limits are off; passwords can be guessed as fast as they can be hashed";
            warnings.push(Problem::of_key("limits.enabled", message));
        }
        if self.metrics.enabled && !self.metrics.listen.ip().is_loopback() {
            let message = format!(
                "whoever reaches {} reads the metrics, without a password; let the firewall admit the monitoring alone",
                self.metrics.listen
            );
            warnings.push(Problem::of_key("metrics.listen", message));
        }
        if self.server.acme_directory.is_some() && self.server.redirect_listen.is_empty() {
            let message = "nobody serves it, since server.redirect_listen is empty";
            warnings.push(Problem::of_key("server.acme_directory", message));
        }
        self.warn_of_proxies(&mut warnings);
        let sites = self.all_sites();
        for site in &sites {
            let (rules, public) = (site.key("access.rules"), site.key("access.public"));
            if site.policy.public().iter().any(|rule| rule.path() == "/*") {
                let message = "\"/*\" opens the whole web client to everybody, signed in or not";
                warnings.push(Problem::of_key(&public, message));
            }
            if site.policy.rules().iter().any(|rule| rule.to_string() == "public /*") {
                let message = "\"public /*\" opens whatever no earlier rule speaks of to everybody, signed in or not";
                warnings.push(Problem::of_key(&rules, message));
            }
            warn_of_bearers(site, &mut warnings);
            for (rule, earlier) in site.policy.hidden() {
                let message = format!(
                    "\"{rule}\" never decides anything: \"{earlier}\" comes before it and speaks of all its requests; put \
                     the narrower rule first"
                );
                warnings.push(Problem::of_key(&rules, message));
            }
            for message in site.idle_rules(&self.routes, &sites) {
                warnings.push(Problem::of_key(&rules, message));
            }
            for message in site.upstream.hidden_sizes() {
                warnings.push(Problem::of_key(&site.key("upstream.max_body_paths"), message));
            }
        }
        warnings
    }

    fn warn_of_proxies(&self, warnings: &mut Vec<Problem>) {
        if self.server.counts_a_socket_as_one() {
            let message = "whoever comes by the Unix socket in server.listen counts as 127.0.0.1, and all of them meet the \
                           limits together; add \"127.0.0.1\" if the proxy there names its clients";
            warnings.push(Problem::of_key("server.trusted_proxies", message));
        }
        let message = match (self.server.danger_trust_everything, self.server.believes_everybody()) {
            (true, true) => {
                "every client chooses the address that it is counted under, so no limit by client holds, and rules with \
                 \"from\" admit whoever says the right address; list your own proxies"
            }
            (true, false) => {
                "no network in server.trusted_proxies needs it; leave it out, before one comes in by mistake"
            }
            (false, _) => return,
        };
        warnings.push(Problem::of_key("server.danger_trust_everything", message));
    }
}

/// Lines by which whoever sends any bearer token at all comes further than the rules may mean.
fn warn_of_bearers(site: &Site, warnings: &mut Vec<Problem>) {
    let key = site.key("access.bearer");
    if site.policy.bearer().iter().any(|line| line.to_string() == "/*") {
        let message =
            "\"/*\" lets whoever sends any bearer token to all of the web client; list only what checks such tokens";
        warnings.push(Problem::of_key(&key, message));
    }
    for (line, rule) in site.policy.passed_by() {
        let message = format!(
            "\"{line}\" lets whoever sends any bearer token past \"{rule}\": whose it is, and whether it is good, only the \
             web client knows there"
        );
        warnings.push(Problem::of_key(&key, message));
    }
}
