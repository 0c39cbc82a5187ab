//! One request to one of our own pages, with everything a page asks of it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, Method, Request};
use uuid::Uuid;

use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::domain::site::Place;
use crate::domain::token::{TicketToken, TokenDigest, UnlockToken};
use crate::domain::unlock;
use crate::flows::Presented;

use super::cookie;
use super::csrf::{self, FormTokens};
use super::form::Fields;
use super::problem::{Failure, Problem};
use super::settings::{At, PortalSettings};
use super::voice::{CookieNames, Medium, Query, Voice, prefers_json};

/// A request to one of our own pages.
pub(super) struct Visit {
    /// How to answer.
    pub voice: Voice,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The query.
    pub query: Query,
    /// The head's fields.
    pub headers: HeaderMap,
    /// From where.
    pub client: ClientAddr,
    /// The site that the pages on its host belong to.
    pub at: Arc<Place>,
    /// The seed of this browser's form tokens.
    pub seed: Seed,
    /// What was posted, once it has been read and found to come from our own page.
    pub sent: Submission,
    /// Who is asking, where the route needs to know.
    pub principal: Option<Arc<Principal>>,
}

/// The seed of form tokens: the browser's own, or a fresh one to be set.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    /// Its text.
    pub text: String,
    /// Whether the browser must still be given it.
    pub fresh: bool,
    /// The link this browser holds, where the form is the one that spends it.
    pub ticket: Option<TokenDigest>,
}

/// What was posted.
pub(super) enum Submission {
    /// Nothing: it was a look.
    None,
    /// By our own page, or as JSON from our own origin.
    Sound(Fields),
    /// From our own origin, but the form token does not fit: the form is shown again.
    Stale(Fields),
}

impl Visit {
    /// Reads the head. `None` when the proxy did not say who the client is, or whose pages it asks for.
    pub(super) fn read(
        request: &Request<Bytes>,
        settings: &PortalSettings,
        names: &CookieNames,
        tokens: &FormTokens,
        fresh: impl FnOnce() -> Uuid,
    ) -> Option<Self> {
        let (head, ()) = without_body(request).into_parts();
        let client = *head.extensions.get::<ClientAddr>()?;
        let At(at) = head.extensions.get::<At>()?.clone();
        let mut voice = Voice::of(&head, true, settings, names);
        voice.medium = if prefers_json(&head.headers) {
            Medium::Json
        } else {
            Medium::Page
        };
        let kept = cookie::sole(&head.headers, &names.form).filter(|seed| csrf::is_seed(seed));
        let kept_for = |path: &str, name| cookie::sole(&head.headers, name).filter(|_| head.uri.path() == path);
        let ticket = kept_for(&settings.routes.set_password, &names.ticket)
            .and_then(TicketToken::parse)
            .map(|token| token.digest());
        let unlock = kept_for(unlock::PATH, &names.unlock)
            .and_then(UnlockToken::parse)
            .map(|token| token.digest());
        let seed = Seed {
            fresh: kept.is_none(),
            text: kept.map_or_else(|| tokens.seed(fresh()), ToOwned::to_owned),
            ticket: ticket.or(unlock),
        };
        Some(Self {
            voice,
            path: head.uri.path().to_owned(),
            query: Query::of(&head),
            method: head.method,
            headers: head.headers,
            client,
            at,
            seed,
            sent: Submission::None,
            principal: None,
        })
    }

    /// What it presents as its session.
    pub(super) fn presented(&self, names: &CookieNames) -> Presented {
        cookie::presented(&self.headers, &names.session)
    }

    /// The browser's own words about itself.
    pub(super) fn user_agent(&self) -> &str {
        self.headers
            .get(USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether the answer is to be a page.
    pub(super) fn wants_page(&self) -> bool {
        self.voice.medium == Medium::Page
    }

    /// Notes a fault for the operator, once, and says what to tell a stranger about it.
    pub(super) fn mishap(&self, fault: &Fault) -> Problem {
        let request = self.voice.request_id.as_deref().unwrap_or_default();
        tracing::error!(request, path = self.path, fault = fault.chain(), "could not answer");
        match fault {
            Fault::Overloaded { .. } => Problem::Busy,
            Fault::Unavailable { .. } => Problem::Failed(Failure::Unavailable {
                retry_after: Problem::LATER,
            }),
            Fault::Corrupt { .. } => Problem::Failed(Failure::Internal),
        }
    }
}

fn without_body(request: &Request<Bytes>) -> Request<()> {
    let mut head = Request::new(());
    request.method().clone_into(head.method_mut());
    request.uri().clone_into(head.uri_mut());
    request.headers().clone_into(head.headers_mut());
    request.extensions().clone_into(head.extensions_mut());
    head
}
