//! One request to one of our own pages, with everything a page asks of it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, UPGRADE, USER_AGENT};
use http::{HeaderMap, Method, Request, request};
use url::form_urlencoded;
use uuid::Uuid;

use crate::domain::client::ClientAddr;
use crate::domain::principal::Principal;
use crate::domain::token::SessionToken;
use crate::flows::Presented;

use super::cookie;
use super::csrf::{self, FormTokens};
use super::form::Fields;
use super::language::Spoken;
use super::settings::{PortalSettings, RequestId};

/// How an answer is to be given: what is known of a request even when it goes no further.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts of one request, each asked for by its name"
)]
pub(super) struct Voice {
    /// In which language.
    pub spoken: Spoken,
    /// As a page, or else as JSON.
    pub page: bool,
    /// Whether a person navigates here.
    pub navigation: bool,
    /// Whether lesser cookies (language, form seed) may be set: never on a script's fetch.
    pub cookies: bool,
    /// Whether the answer goes without its body.
    pub bodiless: bool,
    /// Names the request.
    pub request_id: Option<Arc<str>>,
    /// The path and query asked for, to come back to.
    pub target: String,
    /// The language asked for in the query, to be remembered.
    pub asked: Option<crate::domain::language::Language>,
}

impl Voice {
    /// For a request that is answered as a page when a person navigates. The query is read only at an
    /// address of ours; elsewhere it is the web client's business.
    pub(super) fn of(head: &request::Parts, ours: bool, settings: &PortalSettings, names: &CookieNames) -> Self {
        let navigation = is_navigation(head);
        let asked = Query::of(head).sole("lang").filter(|_| ours);
        Self {
            spoken: Spoken::negotiate(asked.as_deref(), &head.headers, &names.language, settings.language),
            page: navigation,
            navigation,
            cookies: navigation || !head.headers.contains_key("sec-fetch-mode"),
            bodiless: head.method == Method::HEAD,
            request_id: head.extensions.get::<RequestId>().map(|id| Arc::clone(&id.0)),
            target: head
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str())
                .to_owned(),
            asked: asked.and_then(|text| text.parse().ok()),
        }
    }

    /// For a request of which nothing could be read.
    pub(super) fn to_nobody(settings: &PortalSettings) -> Self {
        Self {
            spoken: Spoken::negotiate(None, &HeaderMap::new(), "", settings.language),
            page: false,
            navigation: false,
            cookies: false,
            bodiless: false,
            request_id: None,
            target: "/".to_owned(),
            asked: None,
        }
    }
}

/// The names of our cookies; every one starts with the session cookie's.
#[derive(Clone, Debug)]
pub(super) struct CookieNames {
    /// The session.
    pub session: String,
    /// The seed of form tokens.
    pub form: String,
    /// The token of a link, once it has left the address bar.
    pub ticket: String,
    /// The chosen language.
    pub language: String,
}

impl CookieNames {
    /// After the session cookie's name.
    pub(super) fn after(session: &str) -> Self {
        Self {
            session: session.to_owned(),
            form: format!("{session}-form"),
            ticket: format!("{session}-ticket"),
            language: format!("{session}-lang"),
        }
    }
}

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
    /// Reads the head. `None` when the proxy did not say who the client is.
    pub(super) fn read(
        request: &Request<Bytes>,
        settings: &PortalSettings,
        names: &CookieNames,
        tokens: &FormTokens,
        fresh: impl FnOnce() -> Uuid,
    ) -> Option<Self> {
        let (head, ()) = without_body(request).into_parts();
        let client = *head.extensions.get::<ClientAddr>()?;
        let mut voice = Voice::of(&head, true, settings, names);
        voice.page = !prefers_json(&head.headers);
        let kept = cookie::sole(&head.headers, &names.form).filter(|seed| csrf::is_seed(seed));
        let seed = match kept {
            Some(text) => Seed {
                text: text.to_owned(),
                fresh: false,
            },
            None => Seed {
                text: tokens.seed(fresh()),
                fresh: true,
            },
        };
        Some(Self {
            voice,
            path: head.uri.path().to_owned(),
            query: Query::of(&head),
            method: head.method,
            headers: head.headers,
            client,
            seed,
            sent: Submission::None,
            principal: None,
        })
    }

    /// What it presents as its session.
    pub(super) fn presented(&self, names: &CookieNames) -> Presented {
        cookie::presented(&self.headers, &names.session)
    }

    /// The session of this browser that a new one takes the place of.
    pub(super) fn replaces(&self, names: &CookieNames) -> Option<crate::domain::token::TokenDigest> {
        match self.presented(names) {
            Presented::Token(token) => Some(SessionToken::digest(&token)),
            Presented::Nothing | Presented::Unclear => None,
        }
    }

    /// The browser's own words about itself.
    pub(super) fn user_agent(&self) -> &str {
        self.headers
            .get(USER_AGENT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether the answer is to be a page.
    pub(super) const fn wants_page(&self) -> bool {
        self.voice.page
    }
}

/// The query of a request.
#[derive(Clone, Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    fn of(head: &request::Parts) -> Self {
        let query = head.uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The value of a key that is there exactly once.
    pub(super) fn sole(&self, key: &str) -> Option<String> {
        let mut values = self.all(key);
        values.next().filter(|_| values.next().is_none()).map(ToOwned::to_owned)
    }

    /// Whether a key is there at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.all(key).next().is_some()
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// The kind of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// A form.
    Form,
    /// JSON.
    Json,
    /// Something a form of another site could send, or nothing we read.
    Other,
}

impl BodyKind {
    /// By the one `Content-Type`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(one), None) = (types.next(), types.next()) else {
            return Self::Other;
        };
        let essence = one
            .to_str()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Self::Form
        } else {
            Self::Other
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

/// Whether a person navigates to an address, rather than a script fetching it.
fn is_navigation(head: &request::Parts) -> bool {
    let is = |name: &str, any_of: &[&str]| {
        head.headers
            .get(name)
            .is_some_and(|value| any_of.iter().any(|text| value.as_bytes() == text.as_bytes()))
    };
    if head.headers.contains_key(UPGRADE) {
        return false;
    }
    if head.headers.contains_key("sec-fetch-mode") {
        return is("sec-fetch-mode", &["navigate"]) && is("sec-fetch-dest", &["document", "iframe", "frame"]);
    }
    matches!(head.method, Method::GET | Method::HEAD) && accepts(&head.headers, "text/html")
}

/// Whether a client of one of our own pages speaks JSON.
fn prefers_json(headers: &HeaderMap) -> bool {
    BodyKind::of(headers) == BodyKind::Json
        || (!accepts(headers, "text/html")
            && (accepts(headers, "application/json") || accepts(headers, "application/problem+json")))
}

fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let essence = range.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case(media_type)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_person_who_navigates_is_told_from_a_script_that_fetches() {
        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (method, headers, navigates) in [
            ("GET", vec![html], true),
            ("HEAD", vec![html], true),
            ("POST", vec![html], false),
            ("GET", vec![], false),
            ("GET", vec![("accept", "*/*")], false),
            ("GET", vec![("accept", "application/json")], false),
            (
                "POST",
                vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
                true,
            ),
            (
                "GET",
                vec![html, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
                true,
            ),
            (
                "GET",
                vec![html, ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
                false,
            ),
            (
                "GET",
                vec![html, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
                false,
            ),
            (
                "GET",
                vec![html, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "object")],
                false,
            ),
            ("GET", vec![html, ("upgrade", "websocket")], false),
        ] {
            assert_eq!(
                is_navigation(&head(method, &headers)),
                navigates,
                "{method} {headers:?}"
            );
        }
    }

    #[test]
    fn a_client_speaks_json_when_it_sends_or_asks_for_nothing_else() {
        for (headers, json) in [
            (vec![], false),
            (vec![("accept", "*/*")], false),
            (vec![("accept", "application/json")], true),
            (vec![("accept", "application/json, text/html;q=0.5")], false),
            (vec![("content-type", "application/json; charset=utf-8")], true),
            (vec![("content-type", "text/plain")], false),
        ] {
            assert_eq!(prefers_json(&head("POST", &headers).headers), json, "{headers:?}");
        }
    }

    #[test]
    fn two_content_types_are_none() {
        let twice = [
            ("content-type", "application/json"),
            ("content-type", "application/json"),
        ];
        assert_eq!(BodyKind::of(&head("POST", &twice).headers), BodyKind::Other);
    }
}
