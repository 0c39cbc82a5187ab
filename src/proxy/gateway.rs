//! The walk of a proxied request, phase by phase. Each phase is a few lines that call elsewhere.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, UPGRADE};
use http::{StatusCode, Version};
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::flows::{Sentinel, StandingOrders, World};
use crate::ports::Signer;
use crate::telemetry::metrics::StreamKind;
use crate::web::Failure;

use super::access_line::AccessLine;
use super::bridge::{self, After};
use super::carriage::{Carriage, Counted};
use super::cause::cause;
use super::charter::InForce;
use super::exchange::{Exchange, Stage, request_id};
use super::framing;
use super::guarded::Guarded;
use super::headers;
use super::measure::Measures;
use super::page_guard::PageGuard;
use super::pulse::Told;
use super::question;
use super::reception;
use super::refusal;
use super::requests::Requests;
use super::sites;
use super::streams::{Leash, Streams};
use super::tunnel::{self, Switched};
use super::upstream::Broken;

/// What the gateway is made of, whatever the configuration.
pub struct GatewayParts {
    /// What decides about requests.
    pub charter: InForce,
    /// Signs assertions.
    pub signer: Arc<dyn Signer>,
    /// The open streams.
    pub streams: Arc<Streams>,
    /// What is counted and noted.
    pub measures: Arc<Measures>,
    /// Notices addresses that many people share.
    pub sentinel: Arc<Sentinel>,
    /// Guards our own pages.
    pub pages: Arc<PageGuard>,
    /// Who is banned.
    pub orders: Arc<StandingOrders>,
    /// Time and chance.
    pub world: World,
}

/// The gateway as Pingora drives it.
pub struct Gateway {
    pub(super) parts: GatewayParts,
    connector: TransportConnector,
    run: String,
    received: AtomicU64,
    requests: Arc<Requests>,
}

impl Gateway {
    /// From its parts.
    pub fn new(parts: GatewayParts) -> Self {
        // Request ids of two runs of the gateway differ in their first part.
        let run = parts.world.uuid().simple().to_string();
        let run = run.get(20..).unwrap_or_default().to_owned();
        Self {
            parts,
            connector: TransportConnector::new(None),
            run,
            received: AtomicU64::new(0),
            requests: Arc::default(),
        }
    }

    /// What decides about requests.
    pub fn charter(&self) -> InForce {
        Arc::clone(&self.parts.charter)
    }

    /// The open streams.
    pub fn streams(&self) -> Arc<Streams> {
        Arc::clone(&self.parts.streams)
    }

    /// Notices addresses that many people share.
    pub fn sentinel(&self) -> Arc<Sentinel> {
        Arc::clone(&self.parts.sentinel)
    }

    /// Who is banned.
    pub fn orders(&self) -> Arc<StandingOrders> {
        Arc::clone(&self.parts.orders)
    }

    /// The requests under way.
    pub fn requests(&self) -> Arc<Requests> {
        Arc::clone(&self.requests)
    }

    /// Binds an event stream or any other answer without a known end to its session.
    fn leash(&self, session: &Session, response: &ResponseHeader, exchange: &mut Exchange) {
        let endless = response.status.is_success() && !response.headers.contains_key(CONTENT_LENGTH);
        if endless {
            exchange.told = Told::of(&response.headers);
            let kind = match exchange.told {
                Told::Events { .. } => StreamKind::Events,
                Told::Everything => StreamKind::Other,
            };
            let leash = self.bind(exchange, kind);
            if let Some(stream) = session.stream() {
                Guarded::bind(stream, leash.ending());
            } else {
                // HTTP/2 carries it beside others. However silent it is, its upstream's part can be ended.
                exchange.cut = exchange.route.cut_with(leash.ending().token().clone());
            }
            exchange.leash = Some(leash);
        }
    }

    fn bind(&self, exchange: &Exchange, kind: StreamKind) -> Leash {
        let client = exchange.origin.as_ref().map(|origin| origin.client);
        self.parts
            .streams
            .bind(exchange.tie.filter(|_| exchange.is_named()), client, kind)
    }

    /// Opens a WebSocket that was let through. A task of its own carries it from then on.
    async fn websocket(&self, session: &mut Session, exchange: &mut Exchange) -> pingora::Result<()> {
        let pool = Arc::clone(&sites::admitted(exchange)?.upstream);
        let leash = self.bind(exchange, StreamKind::WebSocket);
        let ending = leash.ending();
        let connecting = tunnel::connect(&self.connector, &pool, &mut exchange.route);
        let upstream = tunnel::while_wanted(session, ending, Box::pin(connecting)).await?;
        let mut request = session.req_header().clone();
        headers::rewrite(&mut request, |headers| {
            tunnel::strip_hop_by_hop(headers);
            Ok(())
        })?;
        self.set_upstream_headers(&mut request, exchange)?;
        let patience = pool.patience();
        let asking = Box::pin(tunnel::ask(upstream, request.into(), patience));
        let answer = tunnel::while_wanted(session, ending, asking).await?;
        self.parts.measures.upstream_answered();
        exchange.route.noted(answer.status().as_u16());
        let mut head = answer.head()?;
        let named = exchange.is_named();
        exchange.charter.protected.guard_response(&mut head, named)?;
        exchange.charter.hsts.guard(&mut head)?;
        if !answer.has_switched() {
            session.set_keepalive(None);
        }
        let written = session.write_response_header(Box::new(head), false).await;
        written.map_err(Error::into_down)?;
        if !answer.has_switched() {
            return answer.hand_on(session, ending, patience).await;
        }
        let Switched {
            client,
            place,
            upstream,
        } = answer.switch(session).await?;
        let line = AccessLine::of(session.req_header(), exchange).into_owned();
        exchange.stage = Stage::Carried;
        let carriage = Carriage {
            client,
            upstream,
            leash,
            pulse: exchange.pulse.take(),
            line,
            measures: Arc::clone(&self.parts.measures),
            outcome: exchange.outcome,
        };
        carriage.set_off(Counted::new(place, self.requests.begin(), exchange.route.seat()));
        Ok(())
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Exchange;

    /// None: what the web client has not compressed goes out as it is, and each module costs every request something.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn new_ctx(&self) -> Exchange {
        let number = self.received.fetch_add(1, Ordering::Relaxed);
        Exchange::new(
            self.parts.charter.load_full(),
            request_id(&self.run, number),
            (Instant::now(), self.parts.world.now()),
            self.requests.begin(),
        )
    }

    async fn early_request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> pingora::Result<()> {
        if let Some(stream) = session.stream() {
            Guarded::head_done(stream);
        }
        // A client that takes nothing would hold its connection, or its HTTP/2 stream, for ever.
        session.set_write_timeout(Some(exchange.charter.write_timeout));
        // Before HTTP/1.1 nothing was said ahead of an answer (RFC 9110 section 15.2).
        let is_old = session.req_header().version == Version::HTTP_10;
        session.set_ignore_info_resp(is_old);
        if tunnel::is_handshake(session.req_header()) {
            // Pingora's limit for reading a request also covers what comes after it: a WebSocket would die after a
            // minute of silence.
            session.set_read_timeout(None);
        } else if session.req_header().headers.contains_key(UPGRADE) {
            // Any other upgrade is ignored, see `tunnel::is_handshake`.
            session.req_header_mut().remove_header(&UPGRADE);
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> pingora::Result<bool> {
        if let Some(manner) = question::asked(session, &exchange.charter.asking) {
            return Box::pin(self.answer_proxy(session, exchange, manner))
                .await
                .map(|()| true);
        }
        let Some(mut response) = self.judge(session, exchange).await else {
            if !tunnel::is_handshake(session.req_header()) {
                return Ok(false);
            }
            // Boxed, so that the state of other requests has no room for it.
            return Box::pin(self.websocket(session, exchange)).await.map(|()| true);
        };
        exchange.stage = Stage::Answered;
        exchange.charter.hsts.set(response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Box::pin(tunnel::turn_away(session, response)).await.map(|()| true);
        }
        bridge::write(session, response, exchange.after).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, session: &mut Session, exchange: &mut Exchange) -> pingora::Result<Box<HttpPeer>> {
        let pool = Arc::clone(&sites::admitted(exchange)?.upstream);
        headers::forget_spelling(session.req_header_mut())?;
        exchange.intake.again();
        exchange.route.next(&pool).map(Box::new)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        fd: RawFd,
        _digest: Option<&Digest>,
        exchange: &mut Exchange,
    ) -> pingora::Result<()> {
        exchange.route.connected(fd, reused)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> pingora::Result<()> {
        let Some(body) = body else {
            if end && exchange.intake.has_taken() {
                exchange.route.sent();
            }
            return Ok(());
        };
        exchange.route.sent();
        exchange.intake.take(body.len())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        exchange.route.unreachable(&mut error);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        exchange: &mut Exchange,
        reused: bool,
    ) -> Box<Error> {
        if exchange.has_ended() {
            // Cut here: no server has failed.
            error.etype = ErrorType::ConnectionClosed;
            error.as_down();
            error.set_retry(false);
            return error;
        }
        let is_whole = session.is_body_done();
        let head = session.req_header();
        let is_body_kept = !session.as_ref().retry_buffer_truncated();
        let broken = Broken {
            is_repeatable: is_body_kept && headers::is_idempotent(&head.method, &head.headers),
            is_whole,
            is_reused: reused,
        };
        exchange.route.broke(&mut error, &broken);
        error
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> pingora::Result<()> {
        self.set_upstream_headers(request, exchange)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> pingora::Result<()> {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            // Handshakes do not come here, see `tunnel`: nobody has asked to switch.
            return Error::e_explain(ErrorType::InvalidHTTPHeader, "the upstream switched protocols unasked")
                .map_err(Error::into_up);
        }
        exchange.route.answered(response)?;
        self.parts.measures.upstream_answered();
        let named = exchange.is_named();
        self.leash(session, response, exchange);
        if response.status.is_informational() {
            return exchange.charter.protected.drop_forged_cookies(response);
        }
        framing::for_old_client(session, response);
        exchange.charter.protected.guard_response(response, named)?;
        exchange.charter.hsts.guard(response)
    }

    /// Hears of the traffic of streams, and ends those that HTTP/2 carries beside others: nothing goes out any more once
    /// the session has ended.
    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        exchange: &mut Exchange,
    ) -> pingora::Result<Option<Duration>> {
        if exchange.has_ended() {
            return Error::e_explain(ErrorType::ConnectionClosed, "the session of this stream has ended")
                .map_err(Error::into_down);
        }
        if let (Some(_), Some(pulse), Some(body)) = (&exchange.leash, &exchange.pulse, body)
            && exchange.told.says(body)
        {
            pulse.beat();
        }
        Ok(None)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
        let mut error_code = 0;
        // An announcement, such as 103, is followed by an answer.
        let begun = session
            .response_written()
            .is_some_and(|head| !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS);
        exchange.outcome = self.parts.measures.failed(error, begun, exchange.outcome);
        if let Some(failure) = refusal::failure_of(error) {
            tracing::warn!(
                request = &*exchange.request_id,
                server = exchange.route.server().map(tracing::field::display),
                error = %error.etype().as_str(),
                source = error.esource().as_str(),
                cause = cause(error),
                "could not proxy a request"
            );
            if !begun {
                let mut response = refusal::fail(Some(session), exchange, failure);
                exchange.charter.hsts.set(response.headers_mut());
                error_code = response.status().as_u16();
                let after = match failure {
                    Failure::BodyTooLarge => After::Hear,
                    _ => After::Close,
                };
                let _ = bridge::write(session, response, after).await;
            }
        }
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, exchange: &mut Exchange) {
        if let Some(stream) = session.stream() {
            Guarded::request_done(stream);
        }
        if matches!(exchange.stage, Stage::Carried) {
            return;
        }
        let status = session
            .response_written()
            .map_or(0, |response| response.status.as_u16());
        self.parts.measures.done(exchange, status);
        if tracing::enabled!(target: "sekisho::access", tracing::Level::INFO) {
            let line = AccessLine::of(session.req_header(), exchange);
            line.or_from(|| reception::peer(session)).write(status);
        }
    }

    /// Pingora's own summary holds the whole target with its query: tokens would reach the log.
    fn request_summary(&self, _session: &Session, exchange: &Exchange) -> String {
        format!("request {}", exchange.request_id)
    }

    /// Failures are logged once, by [`Gateway::fail_to_proxy`].
    fn suppress_error_log(&self, _session: &Session, _exchange: &Exchange, _error: &Error) -> bool {
        true
    }
}
