//! What a request leaves behind in the figures: which outcome it is, which error, whether the web client answered.

use std::sync::Arc;

use http::StatusCode;
use pingora::{Error, ErrorSource, ErrorType};
use prometheus_client::metrics::counter::Counter;

use crate::flows::World;
use crate::telemetry::health::{Health, Part};
use crate::telemetry::metrics::{Metrics, Outcome, RequestMetrics, SlowAt, StreamKind, UpstreamError};

use super::exchange::Exchange;

/// Counts requests and notes how the web client was last seen. Neither locks nor waits.
pub struct Measures {
    requests: RequestMetrics,
    slow_forms: Counter,
    slow_readers: Counter,
    health: Arc<Health>,
    world: World,
}

impl Measures {
    /// Finds the counters once.
    pub fn new(metrics: &Metrics, health: Arc<Health>, world: World) -> Self {
        Self {
            requests: metrics.proxy.requests.clone(),
            slow_forms: metrics.proxy.connections.slow(SlowAt::Form),
            slow_readers: metrics.proxy.connections.slow(SlowAt::Answer),
            health,
            world,
        }
    }

    /// A form did not come in time.
    pub fn slow_form(&self) {
        self.slow_forms.inc();
    }

    /// The web client answered.
    pub fn upstream_answered(&self) {
        self.health.note(Part::Upstream, true, || self.world.now().as_second());
    }

    /// A request could not be proxied, which was `outcome` so far. `begun`: its answer had begun. Answers what it is now.
    pub fn failed(&self, error: &Error, begun: bool, outcome: Outcome) -> Outcome {
        if let Some(kind) = upstream_error(error) {
            self.requests.upstream_failed(kind);
            self.health.note(Part::Upstream, false, || self.world.now().as_second());
        }
        if *error.etype() == ErrorType::WriteTimedout && *error.esource() != ErrorSource::Upstream {
            self.slow_readers.inc();
        }
        match (error.esource(), error.etype()) {
            // Its stream was cut, by its client or with its session: it had been forwarded.
            (ErrorSource::Downstream, _) if begun => outcome,
            (
                ErrorSource::Downstream,
                ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed | ErrorType::WriteTimedout,
            ) => Outcome::Aborted,
            (ErrorSource::Downstream, _) | (_, ErrorType::HTTPStatus(413)) => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }

    /// A WebSocket is over.
    pub fn websocket_done(&self, outcome: Outcome) {
        let status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
        self.requests.done(outcome, status, None);
    }

    /// The request is over.
    pub fn done(&self, exchange: &Exchange, status: u16) {
        let events = exchange
            .leash
            .as_ref()
            .is_some_and(|leash| leash.kind() == StreamKind::Events);
        let stream = events || status == StatusCode::SWITCHING_PROTOCOLS.as_u16();
        let took = (!stream).then(|| exchange.started.elapsed());
        self.requests.done(exchange.outcome, status, took);
    }
}

/// What kept the web client from answering; `None` when it was not the web client.
fn upstream_error(error: &Error) -> Option<UpstreamError> {
    Some(match (error.etype(), error.esource()) {
        (ErrorType::HTTPStatus(502), _) => UpstreamError::Unresolved,
        (_, ErrorSource::Downstream | ErrorSource::Internal | ErrorSource::Unset) => return None,
        (ErrorType::ConnectTimedout, _) => UpstreamError::ConnectTimeout,
        (
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::BindError
            | ErrorType::SocketError,
            _,
        ) => UpstreamError::Connect,
        (
            ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::HandshakeError
            | ErrorType::InvalidCert,
            _,
        ) => UpstreamError::Tls,
        (ErrorType::ReadTimedout | ErrorType::WriteTimedout, _) => UpstreamError::ResponseTimeout,
        (ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed, _) => UpstreamError::Closed,
        (ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2, _) => {
            UpstreamError::Protocol
        }
        _ => UpstreamError::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{About, AboutConfig};

    fn error(kind: ErrorType, source: ErrorSource) -> Error {
        let mut error = Error::new(kind);
        error.esource = source;
        *error
    }

    #[test]
    fn an_error_of_the_web_client_is_told_apart_from_one_of_the_client() {
        let of = |kind, source| upstream_error(&error(kind, source));
        let up = ErrorSource::Upstream;
        assert_eq!(of(ErrorType::ConnectRefused, up.clone()), Some(UpstreamError::Connect));
        assert_eq!(
            of(ErrorType::ReadTimedout, up.clone()),
            Some(UpstreamError::ResponseTimeout)
        );
        assert_eq!(of(ErrorType::InvalidCert, up), Some(UpstreamError::Tls));
        assert_eq!(of(ErrorType::ReadError, ErrorSource::Downstream), None);
        assert_eq!(of(ErrorType::InternalError, ErrorSource::Internal), None);
    }

    #[test]
    fn a_cut_stream_was_forwarded_and_a_client_that_left_early_was_not() {
        let health = Arc::new(Health::default());
        let about = About {
            version: "1",
            config: AboutConfig {
                digest: String::new(),
                limits: true,
                mail_security: "tls",
            },
            started: 0.0,
        };
        let metrics = Metrics::new(&about, &health);
        let measures = Measures::new(&metrics, Arc::clone(&health), crate::app::world());
        for (kind, source, begun, outcome, well) in [
            (
                ErrorType::ConnectionClosed,
                ErrorSource::Downstream,
                true,
                Outcome::Forwarded,
                None,
            ),
            (
                ErrorType::ConnectionClosed,
                ErrorSource::Downstream,
                false,
                Outcome::Aborted,
                None,
            ),
            (
                ErrorType::ReadTimedout,
                ErrorSource::Downstream,
                false,
                Outcome::Refused,
                None,
            ),
            (
                ErrorType::HTTPStatus(503),
                ErrorSource::Unset,
                false,
                Outcome::Failed,
                None,
            ),
            (
                ErrorType::ConnectRefused,
                ErrorSource::Upstream,
                false,
                Outcome::Failed,
                Some(false),
            ),
        ] {
            let became = measures.failed(&error(kind, source), begun, Outcome::Forwarded);
            assert_eq!(became, outcome);
            assert_eq!(health.is_well(Part::Upstream), well);
        }
        measures.upstream_answered();
        assert_eq!(health.is_well(Part::Upstream), Some(true));
    }
}
