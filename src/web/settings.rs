//! What the portal is built from: the operator's choices it needs and the flows it calls.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use crate::domain::language::Language;
use crate::domain::session::Lifetime;
use crate::domain::site::Place;
use crate::flows::{Authenticate, ForgotPassword, OwnAccount, SetPassword, SignIn, SignOut, UnlockBrowser};

use super::overrides::Theme;

/// What the operator decides about the gateway's own pages.
pub struct PortalSettings {
    /// Paths of the pages that take the place of the web client's own.
    pub routes: PortalRoutes,
    /// Name, logo and colour.
    pub branding: Branding,
    /// Pages, texts and files in the place of ours.
    pub theme: Theme,
    /// Name of the session cookie; our other cookies are named after it.
    pub cookie: String,
    /// The language where the browser asks for none we speak.
    pub language: Language,
    /// Where the pages' clock hangs: the zone in which they say when to try again.
    pub zone: TimeZone,
    /// How long sessions live, as `/.sekisho/session` tells scripts.
    pub lifetime: Lifetime,
    /// Authenticates forms; the same in every process behind the same doors.
    pub form_key: Zeroizing<[u8; 32]>,
    /// Authenticates device cookies; the same in every process behind the same doors.
    pub device_key: Zeroizing<[u8; 32]>,
    /// Authenticates notice cookies; the same in every process behind the same doors.
    pub notice_key: Zeroizing<[u8; 32]>,
}

/// Paths of the four pages, each starting with a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalRoutes {
    /// Sign-in.
    pub login: String,
    /// Sign-out.
    pub logout: String,
    /// Setting a password by link; letters point here with `?ticket=`.
    pub set_password: String,
    /// Asking for such a link.
    pub forgot_password: String,
}

/// How the pages look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// The name on every page.
    pub name: String,
    /// Shown instead of the built-in mark.
    pub logo: Option<Logo>,
    /// Accent colour, `#rrggbb`.
    pub accent: String,
    /// Whom people ask for help, in the operator's words.
    pub support: Option<String>,
}

/// A picture, already read from its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    /// The file's bytes.
    pub bytes: Bytes,
    /// `image/svg+xml` or `image/png`.
    pub media_type: &'static str,
}

/// What the pages call.
pub struct PortalFlows {
    /// Who is asking.
    pub authenticate: Arc<Authenticate>,
    /// The sign-in page.
    pub sign_in: Arc<SignIn>,
    /// The sign-out page.
    pub sign_out: Arc<SignOut>,
    /// The page that asks for a link.
    pub forgot_password: Arc<ForgotPassword>,
    /// The page behind a link.
    pub set_password: Arc<SetPassword>,
    /// The button on the sign-in page of whoever is stopped, and the page behind the link it sends.
    pub unlock: Arc<UnlockBrowser>,
    /// The person's own page.
    pub own_account: Arc<OwnAccount>,
    /// The public keys, as a JWK set in JSON.
    pub jwks: Arc<dyn Fn() -> Bytes + Send + Sync>,
    /// Whether the gateway works.
    pub health: Arc<dyn Health>,
}

/// Tells load balancers and operators how the gateway is.
#[async_trait]
pub trait Health: Send + Sync {
    /// Whether this process should be left running.
    fn live(&self) -> bool;

    /// How each part is that people need.
    async fn parts(&self) -> Vec<PartHealth>;
}

/// How one part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHealth {
    /// Its stable name.
    pub name: &'static str,
    /// Whether it works.
    pub well: bool,
    /// Whether nobody is served without it. Without another one, whoever is signed in is.
    pub is_needed: bool,
}

/// Names one request in logs, on error pages and in JSON problems. The proxy sets it as a request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// The site that the pages on the host of a request belong to: its doors are what our own pages are sent from, and what
/// a letter asked for here leads to. The proxy sets it as a request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At(pub Arc<Place>);

/// Why a portal cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum PortalProblem {
    /// A route cannot be one of ours.
    #[error("routes.{key} = {path:?}: {problem}")]
    Route {
        /// The key in the configuration.
        key: &'static str,
        /// The path.
        path: String,
        /// What is wrong with it and how to mend it.
        problem: &'static str,
    },
    /// The accent is no colour.
    #[error("branding.accent = {0:?}: write a colour as #rrggbb, for example #0f766e")]
    Accent(String),
    /// A file of the theme cannot be used.
    #[error("branding.theme: {file}: {problem}")]
    Theme {
        /// Its path below the theme's directory.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An embedded template or message file is broken: a fault of the build.
    #[error("the built-in {what} cannot be used: {problem}")]
    BuiltIn {
        /// Which file.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}
