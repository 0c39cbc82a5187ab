//! Everything that can be wrong with a request, by stable names: what programs read as
//! `application/problem+json` (RFC 9457) and people read on a page.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::domain::password::{Weakness, Weaknesses};
use crate::domain::ticket::{Purpose, TicketState};
use crate::flows::Refusal;

use super::form::BodyProblem;
use super::routes::ASK_UNLOCK_PATH;

/// A failure the proxy decided on. The page says it in plain words and no detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 400: the request cannot be read, or not in one way only.
    BadRequest,
    /// 400: a program and a person at once, or several fields that say who is asking.
    UnclearCredentials,
    /// 401: what was presented as an API token opens nothing.
    InvalidToken,
    /// 403: the policy refuses.
    Forbidden,
    /// 403: an operator has banned the client's address.
    Banned,
    /// 403: the API token is not for this.
    InsufficientScope,
    /// 404: nothing here, a near miss of our own routes among it.
    NotFound,
    /// 405: a method we do not forward; `allow` is the value of the `Allow` header.
    MethodNotAllowed {
        /// Methods that are served, separated by commas.
        allow: &'static str,
    },
    /// 408: the request took too long to arrive.
    RequestTimeout,
    /// 413: the body is too large.
    BodyTooLarge,
    /// 414: the address is too long.
    TargetTooLong,
    /// 421: the request came through no door of ours.
    Misdirected,
    /// 429: too many requests.
    TooManyRequests {
        /// When to try again.
        retry_after: Duration,
    },
    /// 431: the head is too large.
    HeadTooLarge,
    /// 500: we failed.
    Internal,
    /// 502: the web client did not answer in a way we understand, or could not be reached.
    BadGateway,
    /// 503: something we depend on is down.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// 504: the web client did not answer in time.
    GatewayTimeout,
}

impl Failure {
    /// The error code for whoever presents a bearer token (RFC 6750 section 3.1). Only programs do.
    pub(super) const fn bearer_error(self) -> Option<&'static str> {
        match self {
            Self::UnclearCredentials => Some("invalid_request"),
            Self::InvalidToken => Some("invalid_token"),
            Self::InsufficientScope => Some("insufficient_scope"),
            _ => None,
        }
    }
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Something the proxy may decide on as well.
    Failed(Failure),
    /// A session is needed and there is none, or a dead one.
    SignInRequired(Option<Refusal>),
    /// The same redirect would be sent for the third time in a row.
    RedirectLoop,
    /// Sign-in refused, for whatever reason.
    WrongCredentials,
    /// Too many attempts.
    Throttled(Duration),
    /// Too many attempts at one account on devices that it does not know: a link may unlock this one.
    Stopped(Duration),
    /// A bounded resource is full: try again shortly.
    Busy,
    /// Another site sent the request.
    ForeignOrigin,
    /// An honest page whose form token is missing or of another time.
    StaleForm,
    /// The body is neither a form nor JSON.
    UnsupportedMediaType,
    /// JSON was asked for where there is only a page.
    NotAcceptable,
    /// The body has not the fields it should have.
    Body(BodyProblem),
    /// What was given as an e-mail address is none.
    NotAnAddress,
    /// No link was presented.
    LinkMissing,
    /// The link was never made, or is long gone.
    LinkUnknown,
    /// The link worked once.
    LinkDead(TicketState, Purpose),
    /// The link that unlocks a browser works no longer, or never did.
    UnlockDead,
    /// A sensitive act needs the password again.
    ConfirmationRequired,
    /// The password given again, or the old one, is wrong; this is the field.
    WrongPassword(&'static str),
    /// There is no such session of this person.
    NoSuchSession,
    /// The two passwords differ.
    PasswordsDiffer,
    /// The new password is the old one.
    SamePassword,
    /// The new password is not good enough.
    WeakPassword {
        /// Why.
        weakness: Weaknesses,
        /// Fewest characters.
        min_chars: usize,
        /// Most characters.
        max_chars: usize,
    },
}

impl Problem {
    /// How long to wait when a dependency is down.
    pub(super) const LATER: Duration = Duration::from_secs(10);

    /// How long to wait when a queue is full.
    pub(super) const SHORTLY: Duration = Duration::from_secs(5);

    /// The last part of the stable `type`, and the key of its messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Failed(failure) => match failure {
                Failure::BadRequest => "malformed-request",
                Failure::UnclearCredentials => "unclear-credentials",
                Failure::InvalidToken => "invalid-token",
                Failure::Forbidden => "forbidden",
                Failure::Banned => "banned",
                Failure::InsufficientScope => "insufficient-scope",
                Failure::NotFound => "not-found",
                Failure::MethodNotAllowed { .. } => "method-not-allowed",
                Failure::RequestTimeout => "request-timeout",
                Failure::BodyTooLarge => "body-too-large",
                Failure::TargetTooLong => "address-too-long",
                Failure::Misdirected => "misdirected",
                Failure::TooManyRequests { .. } => "too-many-requests",
                Failure::HeadTooLarge => "head-too-large",
                Failure::Internal => "internal",
                Failure::BadGateway => "bad-gateway",
                Failure::Unavailable { .. } => "unavailable",
                Failure::GatewayTimeout => "gateway-timeout",
            },
            Self::SignInRequired(_) => "sign-in-required",
            Self::RedirectLoop => "redirect-loop",
            Self::WrongCredentials => "wrong-credentials",
            Self::Throttled(_) | Self::Stopped(_) => "throttled",
            Self::Busy => "busy",
            Self::ForeignOrigin => "foreign-origin",
            Self::StaleForm => "stale-form",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::NotAcceptable => "not-acceptable",
            Self::Body(BodyProblem::Syntax) => "malformed-request",
            Self::Body(BodyProblem::Shape | BodyProblem::Missing(_)) => "invalid-fields",
            Self::NotAnAddress => "not-an-address",
            Self::LinkMissing => "link-missing",
            Self::LinkUnknown | Self::LinkDead(..) => "link-dead",
            Self::UnlockDead => "unlock-dead",
            Self::ConfirmationRequired => "confirmation-required",
            Self::WrongPassword(_) => "wrong-password",
            Self::NoSuchSession => "no-such-session",
            Self::PasswordsDiffer => "passwords-differ",
            Self::SamePassword => "same-password",
            Self::WeakPassword { .. } => "weak-password",
        }
    }

    /// The stable `type`.
    pub(super) fn urn(self) -> String {
        format!("urn:sekisho:problem:{}", self.name())
    }

    /// When to try again, where waiting helps.
    pub(super) const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Throttled(wait)
            | Self::Stopped(wait)
            | Self::Failed(
                Failure::TooManyRequests { retry_after: wait } | Failure::Unavailable { retry_after: wait },
            ) => Some(wait),
            Self::Busy => Some(Self::SHORTLY),
            _ => None,
        }
    }

    /// The members of this problem's own (RFC 9457 section 3.2).
    pub(super) fn members(self) -> Map<String, Value> {
        let members = match self {
            Self::SignInRequired(refusal) => json!({ "reason": refusal.map_or("absent", Refusal::as_str) }),
            Self::Body(BodyProblem::Missing(field)) | Self::WrongPassword(field) => json!({ "field": field }),
            Self::NotAnAddress => json!({ "field": "email" }),
            Self::LinkMissing => json!({ "field": "ticket" }),
            Self::Stopped(_) => json!({ "unlock_url": ASK_UNLOCK_PATH }),
            Self::ConfirmationRequired => json!({ "field": "password" }),
            Self::LinkUnknown => json!({ "state": "unknown" }),
            Self::LinkDead(state, purpose) => json!({ "state": state.as_str(), "purpose": purpose.as_str() }),
            Self::PasswordsDiffer => json!({ "field": "confirmation", "reason": "differ" }),
            Self::SamePassword => json!({ "field": "password", "reason": "same" }),
            Self::WeakPassword {
                weakness,
                min_chars,
                max_chars,
            } => json!({
                "field": "password",
                "reason": weakness.first().as_str(),
                "reasons": weakness.iter().map(Weakness::as_str).collect::<Vec<_>>(),
                "min_chars": min_chars,
                "max_chars": max_chars,
            }),
            _ => json!({}),
        };
        let mut members = match members {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        if let Some(wait) = self.retry_after() {
            members.insert("retry_after".into(), whole_seconds(wait).into());
        }
        members
    }
}

/// Seconds to wait, never too few.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
