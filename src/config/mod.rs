//! The configuration: what the operator wrote, read once into domain types.
//!
//! [`Config`] is what the rest of the program sees. How it is read from TOML, with every error of
//! the file reported in one run, is this module's own business.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::assertion::AssertionTerms;
use crate::domain::doors::Doors;
use crate::domain::key::SigningAlgorithm;
use crate::domain::language::Language;
use crate::domain::limits::Quota;
use crate::domain::password::PasswordRules;
use crate::domain::policy::Policy;
use crate::domain::session::Lifetime;
use crate::domain::ticket::TicketLife;

/// Everything the operator decides.
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
    /// `[access]`: `public = ["/favicon.ico", "/assets/*"]`, default none.
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
    /// `[log]`
    pub log: Log,
}

/// Where the gateway listens and whom it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Addresses to serve HTTPS on. Default `["0.0.0.0:8443", "[::]:8443"]`.
    pub listen: Vec<SocketAddr>,
    /// PEM file with the certificate chain. Default `/etc/sekisho/tls/fullchain.pem`.
    pub tls_certificate: PathBuf,
    /// PEM file with its private key (0600 or 0640). Default `/etc/sekisho/tls/privkey.pem`.
    pub tls_key: PathBuf,
    /// Proxies whose `X-Forwarded-For` is believed. Default none; `/0` is refused.
    pub trusted_proxies: Vec<IpNet>,
    /// The most a client may take to send a whole request head. Default `15s`.
    pub header_timeout: Duration,
    /// The most a client may take to send a form to one of our own pages. Default `15s`.
    pub body_timeout: Duration,
    /// The largest request head, in bytes. Default `32 KiB`.
    pub max_header_bytes: usize,
    /// Most open connections in all. Default 10000.
    pub max_connections: usize,
    /// Most open connections of one client address (IPv6: of one /64). Default 500.
    pub max_connections_per_client: usize,
    /// How long a stop waits for open requests. Default `30s`.
    pub drain_timeout: Duration,
}

/// The web client behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `http://host:port` or `https://host:port`; nothing else may be in it. Parts of `url`.
    pub tls: bool,
    /// Host name or address of `url`; also the name verified under TLS.
    pub host: String,
    /// Port of `url`.
    pub port: u16,
    /// PEM file with the CA certificates that sign the upstream's certificate. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// Sends the upstream the `Host` the browser used (default `true`), or the upstream's own.
    pub preserve_host: bool,
    /// Connecting, TLS included. Default `5s`.
    pub connect_timeout: Duration,
    /// Waiting for the first byte of an answer. Default `60s`. Never cuts an upgraded or streaming answer.
    pub response_timeout: Duration,
}

/// Paths of the gateway's own pages, so that they take the place of the web client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// Default `/login`.
    pub login: String,
    /// Default `/logout`.
    pub logout: String,
    /// Default `/set-password`.
    pub set_password: String,
    /// Default `/forgot-password`.
    pub forgot_password: String,
}

/// Everything else of the gateway lives under this prefix.
pub const RESERVED_PREFIX: &str = "/.sekisho/";

/// Where upstreams fetch the public keys.
pub const JWKS_PATH: &str = "/.well-known/sekisho/jwks.json";

/// The embedded database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Directory of the database files. Default `/var/lib/sekisho`.
    pub directory: PathBuf,
}

/// The files that hold secrets: made on first start where they can be, 0600, never inside the store's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Directory of `pepper` and `sealing.key`. Default `/etc/sekisho/secrets`.
    pub directory: PathBuf,
}

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// `idle = "8h"`, `absolute = "7d"`.
    pub lifetime: Lifetime,
    /// How long sessions known in memory keep passing while the store is down. Default `60s`.
    pub outage_grace: Duration,
    /// Name of the cookie. Default `__Host-sekisho`; must start with `__Host-`.
    pub cookie: String,
}

/// `[passwords]`: `min_chars`, `max_chars`, `min_score`, `site_words` and the hashing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passwords {
    /// What a new password must meet.
    pub rules: PasswordRules,
    /// `[passwords.hashing]`
    pub hashing: Hashing,
}

/// Argon2id and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// Memory of one hash. Default `19456 KiB` (OWASP); at least `8 MiB`... `1 GiB`.
    pub memory_kib: u32,
    /// Passes. Default 2; 1 to 20.
    pub passes: u32,
    /// Hashing threads. Default 0: one fewer than cores, at least one.
    pub threads: usize,
    /// Waiting hashes beyond which sign-ins are answered 503. Default 16.
    pub queue: usize,
}

/// `[assertion]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Header that carries it. Default `X-Sekisho-Assertion`.
    pub header: String,
    /// `issuer` (default: the out-of-office door), `audience` (default `sekisho-upstream`), `life` (default `60s`, at most `5m`).
    pub terms: AssertionTerms,
    /// `ES256` (default) or `EdDSA`.
    pub algorithm: SigningAlgorithm,
    /// Age at which a key is replaced by itself. Default `90d`.
    pub rotate_every: Duration,
    /// Also set `Remote-User`, `Remote-Name`, `Remote-Email`, `Remote-Groups`. Default `false`; stripped from clients always.
    pub plain_headers: bool,
}

/// `[mail]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Sender address.
    pub from: String,
    /// Sender's name. Default: the product name of `[branding]`.
    pub from_name: Option<String>,
    /// Mail server.
    pub smtp_host: String,
    /// Default: 587, or 465 with `tls`, or 25 with `danger_plain`.
    pub smtp_port: u16,
    /// `starttls` (default), `tls` or `danger_plain`.
    pub security: MailSecurity,
    /// PEM file with the CA certificates that sign the server's certificate. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// User name for authentication. Default none.
    pub username: Option<String>,
    /// File with its password (0600).
    pub password_file: Option<PathBuf>,
    /// Time limit of one conversation. Default `30s`.
    pub timeout: Duration,
}

/// How the conversation with the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// Begins in the clear and must turn to TLS; never falls back.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// In the clear: for a mail server on this machine.
    DangerPlain,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `false` switches all limits off, and says so in the log. Default `true`.
    pub enabled: bool,
    /// `sign_in_per_client`. Default `30 per 15m`.
    pub sign_in_client: Quota,
    /// `sign_in_per_account`. Default `100 per 1h`.
    pub sign_in_account: Quota,
    /// `sign_in_per_client_and_account`. Default `10 per 15m`.
    pub sign_in_client_account: Quota,
    /// `reset_per_client`. Default `10 per 1h`.
    pub reset_client: Quota,
    /// `reset_per_email`. Default `3 per 1h`.
    pub reset_email: Quota,
    /// `link_per_client`: links presented. Default `60 per 15m`.
    pub ticket_client: Quota,
    /// `pages_per_client`: any request to our own pages. Default `600 per 1m`.
    pub pages_client: Quota,
}

/// `[branding]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// The name on pages and letters. Default `Sekisho`.
    pub name: String,
    /// SVG or PNG file shown on pages. Default: the built-in mark.
    pub logo: Option<PathBuf>,
    /// Accent colour, `#rrggbb`. Default `#0f766e`.
    pub accent: String,
    /// Language where the browser asks for none we speak. Default `en`.
    pub language: Language,
    /// Whom people ask for help; shown on pages. Default none.
    pub support: Option<String>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `json` or `human`; default `auto`: human on a terminal.
    pub format: LogFormat,
    /// `error`, `warn`, `info` (default), `debug` or `trace`.
    pub level: String,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For reading.
    Human,
}
