//! The charter: what one configuration decides about requests. It is replaced as a whole, and a request keeps the one
//! it came in under from its first byte to its last.
//!
//! What must outlive a configuration (open streams, connections, keys, counted attempts) is not in it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::domain::assertion::AssertionTerms;
use crate::domain::body::BodyCaps;
use crate::domain::pattern::Pattern;
use crate::domain::policy::Policy;
use crate::domain::site::Place;
use crate::flows::{Authenticate, AuthenticateService};
use crate::web::Portal;

use super::client::TrustedProxies;
use super::framing::HeadLimits;
use super::headers::Protected;
use super::hsts::Hsts;
use super::reception::Reception;
use super::upstream::{Pool, ServerHealth};

/// The charter in force. Storing another one puts that in force for every request that comes in from then on.
pub type InForce = Arc<ArcSwap<Charter>>;

/// What one configuration decides about requests.
pub struct Charter {
    terms: CharterTerms,
    reception: Reception,
}

/// What a charter is made of.
pub struct CharterTerms {
    /// The sites, the main one first.
    pub sites: Vec<Site>,
    /// Whose word about its client is believed.
    pub trusted: TrustedProxies,
    /// Who may ask about requests that it forwards itself.
    pub asking: TrustedProxies,
    /// Who is asking, and for how long a session counts.
    pub authenticate: Arc<Authenticate>,
    /// Which program is asking.
    pub services: Arc<AuthenticateService>,
    /// Our own pages, on every host.
    pub portal: Arc<Portal>,
    /// Name of the session cookie.
    pub session_cookie: String,
    /// What is stripped and set.
    pub protected: Protected,
    /// Keeps browsers on TLS.
    pub hsts: Hsts,
    /// Paths whose streams keep a session in use.
    pub active_streams: Vec<Pattern>,
    /// The largest request head.
    pub head: HeadLimits,
    /// The most a client may take to send a form to one of our own pages.
    pub body_timeout: Duration,
    /// The most a client may take to accept the next piece of an answer.
    pub write_timeout: Duration,
}

/// A site: a web client, and what holds for it alone.
pub struct Site {
    /// Its name, its hosts and its part of them.
    pub place: Arc<Place>,
    /// Who may go where.
    pub policy: Policy,
    /// Under which terms assertions are signed for it. Their audience is no other site's.
    pub assertion: Arc<AssertionTerms>,
    /// How large the bodies of requests may be.
    pub bodies: BodyCaps,
    /// Where permitted requests go.
    pub upstream: Arc<Pool>,
}

impl Charter {
    /// From what the configuration decides.
    pub fn new(terms: CharterTerms) -> Self {
        let places = terms.sites.iter().map(|site| &*site.place);
        let reception = Reception::new(places, terms.trusted.clone(), terms.head);
        Self { terms, reception }
    }

    /// The first look at requests.
    pub(super) const fn reception(&self) -> &Reception {
        &self.reception
    }

    /// Every server of every site, with the name of its site.
    pub fn servers(&self) -> impl Iterator<Item = (&str, ServerHealth)> {
        self.terms.sites.iter().flat_map(|site| {
            let servers = site.upstream.health();
            servers.into_iter().map(|server| (site.place.name.as_str(), server))
        })
    }

    /// A site, by its number.
    pub(super) fn site(&self, number: usize) -> Option<&Site> {
        self.terms.sites.get(number)
    }
}

impl std::ops::Deref for Charter {
    type Target = CharterTerms;

    fn deref(&self) -> &CharterTerms {
        &self.terms
    }
}

impl std::fmt::Debug for Charter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.terms.sites.iter().map(|site| site.place.name.as_str());
        f.debug_list().entries(names).finish()
    }
}
