//! How a request is to be answered: language, page or JSON, cookies or none.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, request};
use url::form_urlencoded;

use crate::domain::language::Language;

use super::across::Across;
use super::approach::{Approach, accepts, is_prefetch};
use super::language::Spoken;
use super::settings::{PortalSettings, RequestId};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// For people.
    Page,
    /// For programs.
    Json,
}

/// How an answer is to be given: what is known of a request even when it goes no further.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    /// In which language.
    pub spoken: Spoken,
    /// In which form.
    pub medium: Medium,
    /// How the request comes.
    pub approach: Approach,
    /// Whether a browser goes there ahead of the person, who may never follow.
    pub ahead: bool,
    /// Whether lesser cookies (language, form seed, notice) may be set: only where a person navigates. A fetch is given
    /// none and loses none, since it may cross a sign-in in another tab.
    pub cookies: bool,
    /// Whether the answer goes without its body.
    pub bodiless: bool,
    /// Names the request.
    pub request_id: Option<Arc<str>>,
    /// The path and query asked for, to come back to.
    pub target: String,
    /// The language asked for in the query, to be remembered.
    pub asked: Option<Language>,
    /// The page of another origin that asks, where it may.
    pub across: Option<Across>,
}

impl Voice {
    /// For a request that is answered as a page when a person navigates. The query is read only at an
    /// address of ours; elsewhere it is the web client's business.
    pub(super) fn of(head: &request::Parts, ours: bool, settings: &PortalSettings, names: &CookieNames) -> Self {
        let approach = Approach::of(head);
        let navigation = approach == Approach::Navigation;
        let asked = Query::of(head).sole("lang").filter(|_| ours);
        Self {
            spoken: Spoken::negotiate(asked.as_deref(), &head.headers, &names.language, settings.language),
            medium: if navigation { Medium::Page } else { Medium::Json },
            approach,
            ahead: is_prefetch(&head.headers),
            cookies: navigation || is_old_form(&head.headers),
            bodiless: head.method == Method::HEAD,
            request_id: head.extensions.get::<RequestId>().map(|id| Arc::clone(&id.0)),
            target: head
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str())
                .to_owned(),
            asked: asked.and_then(|text| text.parse().ok()),
            across: head.extensions.get::<Across>().cloned(),
        }
    }

    /// Whether a person navigates here.
    pub(super) fn navigates(&self) -> bool {
        self.approach == Approach::Navigation
    }

    /// For a request of which nothing could be read.
    pub(super) fn to_nobody(settings: &PortalSettings) -> Self {
        Self {
            spoken: Spoken::negotiate(None, &HeaderMap::new(), "", settings.language),
            medium: Medium::Json,
            approach: Approach::Fetch,
            ahead: false,
            cookies: false,
            bodiless: false,
            request_id: None,
            target: "/".to_owned(),
            asked: None,
            across: None,
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
    /// The token of a link that unlocks this browser, likewise.
    pub unlock: String,
    /// The device.
    pub device: String,
    /// What the sign-in page says once.
    pub notice: String,
    /// How many equal redirects there were in a row.
    pub circle: String,
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
            unlock: format!("{session}-unlock"),
            device: format!("{session}-device"),
            notice: format!("{session}-notice"),
            circle: format!("{session}-circle"),
            language: format!("{session}-lang"),
        }
    }
}

/// The query of a request.
#[derive(Clone, Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(head: &request::Parts) -> Self {
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

/// A form that a browser sends which says nothing of how it comes: those before 2023 do not.
fn is_old_form(headers: &HeaderMap) -> bool {
    !headers.contains_key("sec-fetch-mode") && BodyKind::of(headers) == BodyKind::Form && accepts(headers, "text/html")
}

/// Whether a client of one of our own pages speaks JSON.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    BodyKind::of(headers) == BodyKind::Json
        || (!accepts(headers, "text/html")
            && (accepts(headers, "application/json") || accepts(headers, "application/problem+json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = http::Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
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
