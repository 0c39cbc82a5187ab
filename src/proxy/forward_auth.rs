//! The answer to a proxy that asks about a request and forwards it itself. The request it asks about takes the place of
//! the question and is judged by [`Gateway::judge`], so that both ways cannot disagree.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, COOKIE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use pingora::proxy::Session;

use crate::telemetry::metrics::Outcome;
use crate::web::Failure;

use super::bridge;
use super::exchange::Exchange;
use super::gateway::Gateway;
use super::headers;
use super::question::{Manner, Question};
use super::refusal::{UNAVAILABLE, fail};

/// What of the client's headers Envoy takes off before it forwards.
static TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

impl Gateway {
    /// Judges the request that a listed proxy asks about, and answers in its manner.
    pub(super) async fn answer_proxy(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        manner: Manner,
    ) -> pingora::Result<()> {
        let response = match Question::read(manner, session.req_header(), &exchange.charter.trusted) {
            Ok(question) => self.answer(session, exchange, question).await,
            Err(unclear) => {
                tracing::info!(request = &*exchange.request_id, problem = %unclear, "a question of a proxy was refused");
                in_manner(manner, exchange, fail(Some(session), exchange, Failure::BadRequest))
            }
        };
        bridge::write(session, response, exchange.after).await
    }

    async fn answer(&self, session: &mut Session, exchange: &mut Exchange, question: Question) -> Response<Bytes> {
        let Question { manner, about } = question;
        let target = String::from_utf8_lossy(about.raw_path()).into_owned();
        exchange.about = Some(Box::new((about.method.clone(), target)));
        let asked = std::mem::replace(session.req_header_mut(), about);
        let refused = self.judge(session, exchange).await;
        let response = match (refused, manner) {
            (Some(refusal), _) => in_manner(manner, exchange, refusal),
            // It was refused a moment ago and would pass now. Its client must not be given the assertion.
            (None, Manner::Refusal) => {
                exchange.outcome = Outcome::Failed;
                fail(Some(session), exchange, UNAVAILABLE)
            }
            (None, _) => self.approval(session, exchange, manner).unwrap_or_else(|error| {
                tracing::error!(request = &*exchange.request_id, %error, "could not answer a proxy");
                exchange.outcome = Outcome::Failed;
                in_manner(manner, exchange, fail(Some(session), exchange, UNAVAILABLE))
            }),
        };
        *session.req_header_mut() = asked;
        response
    }

    /// It may pass: with the assertion, and with the client's cookies but for ours.
    fn approval(&self, session: &Session, exchange: &Exchange, manner: Manner) -> pingora::Result<Response<Bytes>> {
        let protected = &exchange.charter.protected;
        let mut response = Response::new(Bytes::new());
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some((jwt, party)) = self.identity(exchange)? {
            protected.set_identity(answer, jwt, party)?;
        }
        let mut cookies = HeaderMap::new();
        for value in session.req_header().headers.get_all(COOKIE) {
            cookies.append(COOKIE, value.clone());
        }
        protected.strip_cookies(&mut cookies);
        answer.extend(cookies);
        if manner == Manner::Prefixed {
            let names = protected.identity_names().into_iter().chain([&COOKIE]);
            let unset: Vec<&str> = names
                .filter(|name| !answer.contains_key(*name))
                .map(HeaderName::as_str)
                .collect();
            if !unset.is_empty() {
                answer.insert(&TO_REMOVE, headers::value(unset.join(", "))?);
            }
        }
        Ok(response)
    }
}

/// The answer with the whole address it leads to: Traefik takes a path for one on the host that it asked. The host is one
/// of the doors', or nothing would have led anywhere.
fn with_host(mut refusal: Response<Bytes>, exchange: &Exchange) -> Response<Bytes> {
    let location = refusal.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    if let (Some(path), Some(origin)) = (location.filter(|to| to.starts_with('/')), &exchange.origin) {
        let host = origin.host.to_str().unwrap_or_default();
        if let Ok(whole) = headers::value(format!("https://{host}{path}")) {
            refusal.headers_mut().insert(LOCATION, whole);
        }
    }
    refusal
}

/// A refusal as the proxy understands it. nginx takes every status but 401 and 403 for a failure of its own.
fn in_manner(manner: Manner, exchange: &Exchange, refusal: Response<Bytes>) -> Response<Bytes> {
    let status = refusal.status();
    let challenged = exchange.outcome == Outcome::Challenged;
    let told = match manner {
        Manner::Verdict if challenged => StatusCode::UNAUTHORIZED,
        Manner::Verdict if status.is_server_error() => status,
        Manner::Verdict => StatusCode::FORBIDDEN,
        // The way on to another protocol is the proxy's; it carries no such answer.
        _ if status.is_informational() => StatusCode::UNAUTHORIZED,
        // A preflight is answered with a success, which these proxies would take for a yes.
        Manner::Forward if status.is_success() => StatusCode::UNAUTHORIZED,
        Manner::Prefixed if status == StatusCode::OK => StatusCode::UNAUTHORIZED,
        Manner::Forward => return with_host(refusal, exchange),
        Manner::Refusal | Manner::Prefixed => return refusal,
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = told;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for name in [LOCATION, RETRY_AFTER] {
        if let Some(value) = refusal.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}
