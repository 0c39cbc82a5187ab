//! Requests to our own pages: limited by client, and their bodies read within a bound and a time.

use std::time::Duration;

use bytes::Bytes;
use pingora::proxy::Session;

use crate::web::Failure;

use super::bridge::{self, BodyProblem};
use super::exchange::Exchange;
use super::gateway::Gateway;
use super::refusal;

/// The largest form we take.
const MOST_FORM_BYTES: usize = 64 << 10;

/// When somebody who asked for too many pages may come back.
const RETRY_PAGES: Duration = Duration::from_secs(10);

impl Gateway {
    /// Our own pages: the body is read only here, within a bound and a time limit.
    pub(super) async fn own_page(&self, session: &mut Session, exchange: &Exchange) -> http::Response<Bytes> {
        if let Some(origin) = &exchange.origin {
            let bucket = self.parts.sentinel.bucket(origin.client);
            if !self.parts.pages.lets_in(origin.client, &bucket) {
                return refusal::fail(
                    Some(session),
                    exchange,
                    Failure::TooManyRequests {
                        retry_after: RETRY_PAGES,
                    },
                );
            }
        }
        let body = match bridge::read_body(session, MOST_FORM_BYTES, exchange.charter.body_timeout).await {
            Ok(body) => body,
            Err(problem) => {
                let failure = match problem {
                    BodyProblem::TooLarge => Failure::BodyTooLarge,
                    BodyProblem::TooSlow => {
                        self.parts.measures.slow_form();
                        Failure::RequestTimeout
                    }
                    BodyProblem::Broken => Failure::BadRequest,
                };
                return refusal::fail(Some(session), exchange, failure);
            }
        };
        let parts = refusal::parts_for_portal(session, exchange);
        exchange
            .charter
            .portal
            .respond(http::Request::from_parts(parts, body))
            .await
    }
}
