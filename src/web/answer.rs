//! What a page or the API answers, before status codes and headers make a response of it.

use bytes::Bytes;
use http::HeaderValue;
use minijinja::Value;
use serde_json::{Value as Json, json};

use crate::domain::account::Account;
use crate::domain::language::Language;

use super::assets::Asset;
use super::problem::Problem;
use super::visit::Seed;

/// An answer.
pub(super) struct Answer {
    /// What.
    pub body: Body,
    /// `Set-Cookie` values.
    pub cookies: Vec<String>,
}

/// The kinds of answers there are.
pub(super) enum Body {
    /// A page: 200, or the status of its problem.
    Page(Page),
    /// What is wrong, as a page or as JSON.
    Problem(Problem),
    /// 200.
    Json(Json),
    /// 202.
    Accepted(Json),
    /// 503, for load balancers.
    Unready(Json),
    /// 303.
    SeeOther(String),
    /// The public keys.
    Keys(Bytes),
    /// A file; pinned when its address named its version.
    File { file: Asset, pinned: bool },
    /// 304.
    NotModified(Asset),
    /// 200 without a body.
    Nothing,
    /// 204 to the question before a request of a page elsewhere; with the headers that may be sent.
    Preflight(Option<HeaderValue>),
}

/// A page to be filled.
pub(super) struct Page {
    /// The template.
    pub template: &'static str,
    /// What it shows.
    pub content: Value,
    /// What was wrong; the page has its status then.
    pub problem: Option<Problem>,
    /// The seed of the form on it, when there is a form.
    pub seed: Option<Seed>,
    /// The language of the account it is about.
    pub account_language: Option<Language>,
    /// What a change of language must not lose.
    pub carry: Vec<(&'static str, String)>,
}

impl Page {
    /// A page with nothing special about it.
    pub(super) const fn new(template: &'static str, content: Value) -> Self {
        Self {
            template,
            content,
            problem: None,
            seed: None,
            account_language: None,
            carry: Vec::new(),
        }
    }
}

impl Answer {
    /// A page: 200, or the status of its problem.
    pub(super) fn page(page: Page) -> Self {
        Body::Page(page).into()
    }

    /// Something is wrong: a page of its own, or `application/problem+json`.
    pub(super) fn problem(problem: Problem) -> Self {
        Body::Problem(problem).into()
    }

    /// 200 with JSON.
    pub(super) fn json(json: Json) -> Self {
        Body::Json(json).into()
    }

    /// 202 with JSON.
    pub(super) fn accepted(json: Json) -> Self {
        Body::Accepted(json).into()
    }

    /// 200 or 503 with JSON, for load balancers.
    pub(super) fn health(well: bool, json: Json) -> Self {
        if well { Body::Json(json) } else { Body::Unready(json) }.into()
    }

    /// 303.
    pub(super) fn see_other(location: impl Into<String>) -> Self {
        Body::SeeOther(location.into()).into()
    }

    /// The public keys.
    pub(super) fn keys(jwks: Bytes) -> Self {
        Body::Keys(jwks).into()
    }

    /// A file; `pinned` when the address named its version.
    pub(super) fn file(file: Asset, pinned: bool) -> Self {
        Body::File { file, pinned }.into()
    }

    /// 304.
    pub(super) fn not_modified(file: Asset) -> Self {
        Body::NotModified(file).into()
    }

    /// 200 without a body.
    pub(super) fn nothing() -> Self {
        Body::Nothing.into()
    }

    /// 204 to a preflight.
    pub(super) fn preflight(headers: Option<HeaderValue>) -> Self {
        Body::Preflight(headers).into()
    }

    /// Also sets a cookie.
    #[must_use]
    pub(super) fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }
}

impl From<Body> for Answer {
    fn from(body: Body) -> Self {
        Self {
            body,
            cookies: Vec::new(),
        }
    }
}

/// The person behind an account, as the API shows it.
pub(super) fn person(account: &Account) -> Json {
    json!({
        "id": account.id,
        "extension": account.extension,
        "name": account.name,
        "language": account.language,
    })
}
