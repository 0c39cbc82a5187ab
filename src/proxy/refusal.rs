//! What a client is told in the place of the web client's answer: that it must sign in, may not pass, or what failed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ORIGIN;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::flows::Refusal;
use crate::web::{Across, Approach, At, Failure, RequestId};

use super::bridge;
use super::charter::Site;
use super::closing::Farewell;
use super::exchange::Exchange;
use super::origins;
use super::tunnel;

/// Something we depend on is down: closed, and worth another try soon.
pub const UNAVAILABLE: Failure = Failure::Unavailable {
    retry_after: Duration::from_secs(5),
};

/// The answer to a failure, in the words that suit whoever asked.
pub fn fail(session: Option<&Session>, exchange: &Exchange, failure: Failure) -> http::Response<Bytes> {
    let parts = session.map(|session| parts_for_portal(session, exchange));
    exchange.charter.portal.failure(parts.as_ref(), failure)
}

/// Something the judgement depends on does not work: closed.
pub fn unjudged(session: &Session, exchange: &Exchange, fault: &Fault) -> http::Response<Bytes> {
    tracing::error!(
        request = &*exchange.request_id,
        fault = fault.chain(),
        "could not judge a request"
    );
    fail(Some(session), exchange, UNAVAILABLE)
}

/// There is no session, and one is needed. A page that opens a WebSocket reads why in how that is closed.
pub fn challenge(
    session: &Session,
    exchange: &Exchange,
    site: &Site,
    refusal: Option<Refusal>,
) -> http::Response<Bytes> {
    let parts = parts_for_portal(session, exchange);
    // Programs say no origin; a status serves them better.
    let by_page = parts.headers.contains_key(ORIGIN) && !origins::is_foreign_upgrade(session, exchange, site);
    if by_page
        && Approach::of(&parts) == Approach::WebSocket
        && let Some(accepted) = tunnel::accept(&parts.headers, Farewell::without_session(refusal))
    {
        return accepted;
    }
    exchange.charter.portal.challenge(&parts, refusal)
}

/// The head of a request as the pages see it.
pub fn parts_for_portal(session: &Session, exchange: &Exchange) -> http::request::Parts {
    let mut parts = bridge::parts(session);
    parts.extensions.insert(RequestId(Arc::clone(&exchange.request_id)));
    if let Some(origin) = &exchange.origin {
        parts.extensions.insert::<ClientAddr>(origin.client);
    }
    if let Some(across) = &exchange.across {
        parts.extensions.insert::<Across>((**across).clone());
    }
    if let Some(place) = exchange.front() {
        parts.extensions.insert(At(place));
    }
    parts
}

/// What the client is told about an error of the proxied path; `None` when it is gone.
pub fn failure_of(error: &Error) -> Option<Failure> {
    use ErrorType::{
        ConnectTimedout, ConnectionClosed, ReadError, ReadTimedout, TLSHandshakeTimedout, WriteError, WriteTimedout,
    };
    Some(match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(503), _) => UNAVAILABLE,
        (ErrorType::HTTPStatus(413), _) => Failure::BodyTooLarge,
        (ConnectTimedout | ReadTimedout | TLSHandshakeTimedout, ErrorSource::Upstream) => Failure::GatewayTimeout,
        (_, ErrorSource::Upstream) | (ErrorType::HTTPStatus(502), _) => Failure::BadGateway,
        (WriteError | ReadError | ConnectionClosed | WriteTimedout, ErrorSource::Downstream) => return None,
        (ReadTimedout, ErrorSource::Downstream) => Failure::RequestTimeout,
        (_, ErrorSource::Downstream) => Failure::BadRequest,
        (_, ErrorSource::Internal | ErrorSource::Unset) => Failure::Internal,
    })
}
