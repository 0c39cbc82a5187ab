//! The walk of a proxied request, phase by phase. Each phase is a few lines that call elsewhere.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ORIGIN, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::connectors::TransportConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

use crate::domain::assertion::{Assertion, AssertionTerms};
use crate::domain::certificate::ClientCertificate;
use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::policy::{Permit, Verdict};
use crate::domain::principal::{Pass, Principal};
use crate::domain::rule::Asked;
use crate::domain::session::later;
use crate::domain::target::RequestPath;
use crate::flows::{Bond, Refusal, World};
use crate::ports::Signer;
use crate::telemetry::metrics::{Outcome, StreamKind};
use crate::web::{Across, Approach, At, Failure, Owner, RequestId, cookie};

use super::bridge::{self, After, BodyProblem};
use super::charter::{Charter, InForce, Site};
use super::closing::Farewell;
use super::exchange::{Exchange, Stage};
use super::guarded::Guarded;
use super::headers::{self, Origin};
use super::measure::Measures;
use super::pulse::{Pulse, Told};
use super::reception::{Refused, without_query};
use super::streams::{Leash, Streams};
use super::tunnel;
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
    pub measures: Measures,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// Time and chance.
    pub world: World,
}

/// The gateway as Pingora drives it.
pub struct Gateway {
    parts: GatewayParts,
    connector: TransportConnector,
    run: String,
    requests: AtomicU64,
}

/// The largest form we take.
const MOST_FORM_BYTES: usize = 64 << 10;

/// When somebody who asked for too many pages may come back.
const RETRY_PAGES: Duration = Duration::from_secs(10);

/// Something we depend on is down: closed, and worth another try soon.
const UNAVAILABLE: Failure = Failure::Unavailable {
    retry_after: Duration::from_secs(5),
};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
            requests: AtomicU64::new(0),
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

    /// Walks 4 and 5: who is asking, and what the policy says to it. `Some` is an answer of ours.
    async fn judge(&self, session: &mut Session, exchange: &mut Exchange) -> Option<http::Response<Bytes>> {
        let charter = Arc::clone(&exchange.charter);
        let path = match charter.reception().receive(session, exchange) {
            Ok(path) => path,
            Err(Refused(failure)) => {
                exchange.after = After::Close;
                return Some(fail(Some(session), exchange, failure));
            }
        };
        match charter.portal.owner(&path) {
            // Boxed, so that the state of a proxied request has no room for what only our own pages need.
            Owner::Ours => {
                exchange.outcome = Outcome::OwnPage;
                return Some(Box::pin(self.own_page(session, exchange)).await);
            }
            Owner::NearMiss => return Some(fail(Some(session), exchange, Failure::NotFound)),
            Owner::Upstream => {}
        }
        exchange.certificate = certificate(session).map(Box::new);
        let sites = charter.reception().sites();
        exchange.chosen = exchange.host.and_then(|host| sites.choose(host, &path));
        let site = exchange.chosen.and_then(|number| charter.site(number));
        let (Some(site), Some(origin)) = (site, &exchange.origin) else {
            tracing::info!(
                request = &*exchange.request_id,
                problem = "the path could be meant for several sites",
                "refused"
            );
            return Some(fail(Some(session), exchange, Failure::BadRequest));
        };
        exchange.across = across(session, site, origin, &path);
        let presented = cookie::presented(&session.req_header().headers, &charter.session_cookie);
        let standing = match charter.authenticate.run(&presented).await {
            Ok(standing) => standing,
            Err(fault) => {
                let answer = unjudged(session, exchange, &fault);
                exchange.outcome = Outcome::Failed;
                return Some(answer);
            }
        };
        let head = session.req_header();
        let instead = if site.policy.names_methods() {
            headers::other_methods(&head.headers)
        } else {
            Vec::new()
        };
        let asked = Asked {
            method: head.method.as_str(),
            host: origin.host_name(),
            client: origin.client.ip(),
            instead: &instead,
        };
        match site.policy.judge(&path, &asked, standing.principal()) {
            Verdict::Allow(_) if is_foreign_upgrade(session, exchange, site) => {
                exchange.outcome = Outcome::Denied;
                Some(fail(Some(session), exchange, Failure::Forbidden))
            }
            Verdict::Allow(permit) => {
                exchange.bond = standing.bond();
                exchange.pulse = pulse(&charter, &path, exchange.bond);
                exchange.outcome = Outcome::Forwarded;
                exchange.stage = Stage::Admitted(permit);
                None
            }
            Verdict::Deny => {
                exchange.outcome = Outcome::Denied;
                Some(fail(Some(session), exchange, Failure::Forbidden))
            }
            Verdict::Challenge => {
                exchange.outcome = Outcome::Challenged;
                Some(challenge(session, exchange, site, standing.refusal()))
            }
        }
    }

    /// Our own pages: the body is read only here, within a bound and a time limit.
    async fn own_page(&self, session: &mut Session, exchange: &Exchange) -> http::Response<Bytes> {
        if let (Some(limiter), Some(origin)) = (&exchange.charter.pages, &exchange.origin) {
            let granted = limiter.check_key(&origin.client.limit_key()).is_ok();
            self.parts.measures.page(granted);
            if !granted {
                return fail(
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
                return fail(Some(session), exchange, failure);
            }
        };
        let parts = parts_for_portal(session, exchange);
        exchange
            .charter
            .portal
            .respond(http::Request::from_parts(parts, body))
            .await
    }

    /// The assertion for this permit: reused until half its life is over, then signed anew.
    /// One that speaks of a certificate is for its connection alone, and signed for each request.
    fn pass(
        &self,
        terms: &Arc<AssertionTerms>,
        permit: &Permit,
        principal: &Principal,
        certificate: Option<&ClientCertificate>,
    ) -> Result<Bytes, Fault> {
        let now = self.parts.world.now();
        if certificate.is_none()
            && let Some(jwt) = principal.pass_for(terms, now)
        {
            return Ok(jwt);
        }
        let jti = self.parts.world.uuid().to_string();
        let assertion = Assertion::for_permit(permit, terms, certificate, jti, now).ok_or_else(|| {
            Fault::corrupt(
                "a permit that names nobody was to be signed",
                "this is a fault of the gateway",
            )
        })?;
        let jwt = self.parts.signer.sign(&assertion)?;
        if certificate.is_some() {
            return Ok(jwt);
        }
        let pass = Pass {
            jwt: jwt.clone(),
            terms: Arc::clone(terms),
            refresh_at: later(now, terms.life / 2),
        };
        principal.keep_pass(&pass, now);
        Ok(jwt)
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
        let named = exchange.permit().is_some_and(|permit| permit.principal().is_some());
        self.parts.streams.bind(exchange.bond.filter(|_| named), kind)
    }

    /// Carries a WebSocket that was let through, to its end.
    async fn websocket(&self, session: &mut Session, exchange: &mut Exchange) -> pingora::Result<()> {
        let pool = Arc::clone(&admitted_site(exchange)?.upstream);
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
        let signed_in = exchange.permit().is_some_and(|permit| permit.principal().is_some());
        exchange.charter.protected.guard_response(&mut head, signed_in)?;
        exchange.charter.hsts.guard(&mut head)?;
        if !answer.has_switched() {
            session.set_keepalive(None);
        }
        let written = session.write_response_header(Box::new(head), false).await;
        written.map_err(Error::into_down)?;
        if answer.has_switched() {
            answer.carry(session, ending, exchange.pulse.as_ref()).await
        } else {
            answer.hand_on(session, ending, patience).await
        }
    }

    fn set_upstream_headers(&self, request: &mut RequestHeader, exchange: &Exchange) -> pingora::Result<()> {
        let permit = exchange
            .permit()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "nothing is forwarded without a permit"))?;
        let (site, protected) = (admitted_site(exchange)?, &exchange.charter.protected);
        let origin = exchange
            .origin
            .as_ref()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "nothing is forwarded from nowhere"))?;
        let identity = match permit.principal() {
            None => None,
            Some(principal) => {
                let certificate = exchange.certificate.as_deref();
                let jwt = self
                    .pass(&site.assertion, permit, principal, certificate)
                    .map_err(|fault| {
                        tracing::error!(
                            request = &*exchange.request_id,
                            fault = fault.chain(),
                            "could not sign an assertion"
                        );
                        Error::explain(ErrorType::HTTPStatus(503), "no assertion")
                    })?;
                Some((jwt, &principal.account))
            }
        };
        if !request.raw_path().starts_with(b"/") {
            // An origin server is sent the origin form (RFC 9112 section 3.2.1); the host has been compared.
            let target = request
                .uri
                .path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str)
                .to_owned();
            request.set_raw_path(target.as_bytes())?;
        }
        headers::rewrite(request, |headers| {
            protected.strip(headers);
            if let Some((jwt, account)) = identity {
                protected.set_identity(headers, jwt, account)?;
            }
            origin.set(headers)?;
            origin.set_host(headers, exchange.route.host());
            headers.insert(&X_REQUEST_ID, headers::value(exchange.request_id.to_string())?);
            Ok(())
        })
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number:x}", self.run);
        Exchange::new(self.parts.charter.load_full(), id.into(), Instant::now())
    }

    async fn early_request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> pingora::Result<()> {
        exchange.started = Instant::now();
        if let Some(stream) = session.stream() {
            Guarded::head_done(stream);
        }
        if session.get_keepalive().is_some() {
            // Pingora would wait for ever.
            session.set_keepalive(Some(self.parts.idle_timeout.as_secs()));
        }
        // A client that takes nothing would hold its connection, or its HTTP/2 stream, for ever.
        session.set_write_timeout(Some(exchange.charter.write_timeout));
        if tunnel::is_handshake(session.req_header()) {
            // Pingora's limit for reading a request also covers what comes after it: a WebSocket would die after a
            // minute of silence.
            session.set_read_timeout(None);
        } else {
            // Any other upgrade is ignored, see `tunnel::is_handshake`.
            session.req_header_mut().remove_header(&UPGRADE);
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> pingora::Result<bool> {
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

    async fn upstream_peer(&self, _session: &mut Session, exchange: &mut Exchange) -> pingora::Result<Box<HttpPeer>> {
        let pool = Arc::clone(&admitted_site(exchange)?.upstream);
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
        exchange.route.connected(fd, reused);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        _end: bool,
        exchange: &mut Exchange,
    ) -> pingora::Result<()> {
        exchange.route.sent();
        Ok(())
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
        let broken = Broken {
            method: &session.req_header().method,
            is_body_kept: !session.as_ref().retry_buffer_truncated(),
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
        let signed_in = exchange.permit().is_some_and(|permit| permit.principal().is_some());
        self.leash(session, response, exchange);
        if response.status.is_informational() {
            return exchange.charter.protected.drop_forged_cookies(response);
        }
        exchange.charter.protected.guard_response(response, signed_in)?;
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
        if let Some(failure) = failure_of(error) {
            tracing::warn!(request = &*exchange.request_id, error = %error.etype().as_str(), source = error.esource().as_str(), cause = %first_line(error), "could not proxy a request");
            if !begun {
                let mut response = fail(Some(session), exchange, failure);
                exchange.charter.hsts.set(response.headers_mut());
                error_code = response.status().as_u16();
                let _ = bridge::write(session, response, After::Close).await;
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
        let status = session
            .response_written()
            .map_or(0, |response| response.status.as_u16());
        self.parts.measures.done(exchange, status);
        if !tracing::enabled!(target: "sekisho::access", tracing::Level::INFO) {
            return;
        }
        let head = session.req_header();
        let path = String::from_utf8_lossy(head.raw_path());
        let account = exchange
            .permit()
            .and_then(Permit::principal)
            .map(|principal| principal.account.extension.as_str());
        tracing::info!(
            target: "sekisho::access",
            request = &*exchange.request_id,
            client = exchange.origin.as_ref().map(|origin| tracing::field::display(origin.client)),
            site = exchange.site().map(|site| site.place.name.as_str()),
            method = %head.method,
            path = without_query(&path),
            status,
            extension = account,
            milliseconds = u64::try_from(exchange.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
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

fn fail(session: Option<&Session>, exchange: &Exchange, failure: Failure) -> http::Response<Bytes> {
    let parts = session.map(|session| parts_for_portal(session, exchange));
    exchange.charter.portal.failure(parts.as_ref(), failure)
}

fn unjudged(session: &Session, exchange: &Exchange, fault: &Fault) -> http::Response<Bytes> {
    tracing::error!(
        request = &*exchange.request_id,
        fault = fault.chain(),
        "could not judge a request"
    );
    fail(Some(session), exchange, UNAVAILABLE)
}

/// Where a request that was let through goes.
fn admitted_site(exchange: &Exchange) -> pingora::Result<&Site> {
    match (exchange.permit(), exchange.site()) {
        (Some(_), Some(site)) => Ok(site),
        _ => Error::e_explain(ErrorType::InternalError, "no site without a permit"),
    }
}

/// A WebSocket that a page of another origin opens, another site's among them. Browsers send cookies along from sibling
/// sites, so the handshake has to say where it comes from; programs without an `Origin` present a session of their own.
fn is_foreign_upgrade(session: &Session, exchange: &Exchange, site: &Site) -> bool {
    let origins = session.req_header().headers.get_all(ORIGIN);
    tunnel::is_handshake(session.req_header())
        && exchange.across.is_none()
        && origins.iter().any(|origin| !is_own(origin, site))
}

fn is_own(origin: &HeaderValue, site: &Site) -> bool {
    origin.to_str().is_ok_and(|origin| site.place.doors.has_origin(origin))
}

/// The page of another origin that asks, where the operator lets it.
fn across(session: &Session, site: &Site, origin: &Origin, path: &RequestPath<'_>) -> Option<Box<Across>> {
    let mut origins = session.req_header().headers.get_all(ORIGIN).iter();
    let sole = origins.next().filter(|_| origins.next().is_none())?;
    let line = site.policy.shares(path, sole.to_str().ok()?)?;
    let door = origin.host.to_str().ok()?;
    (!is_own(sole, site)).then(|| {
        Box::new(Across {
            origin: sole.clone(),
            door: format!("https://{door}"),
            preflight: line.preflight,
        })
    })
}

/// Hears of the traffic of a stream at this path, where that counts as use.
fn pulse(charter: &Charter, path: &RequestPath<'_>, bond: Option<Bond>) -> Option<Pulse> {
    let active = || charter.active_streams.iter().any(|active| active.holds(path));
    match bond {
        Some(Bond::Session(id)) if active() => Some(Pulse::new(Arc::clone(&charter.authenticate), id)),
        _ => None,
    }
}

/// There is no session, and one is needed. A page that opens a WebSocket reads why in how that is closed.
fn challenge(session: &Session, exchange: &Exchange, site: &Site, refusal: Option<Refusal>) -> http::Response<Bytes> {
    let parts = parts_for_portal(session, exchange);
    // Programs say no origin; a status serves them better.
    let by_page = parts.headers.contains_key(ORIGIN) && !is_foreign_upgrade(session, exchange, site);
    if by_page
        && Approach::of(&parts) == Approach::WebSocket
        && let Some(accepted) = tunnel::accept(&parts.headers, Farewell::without_session(refusal))
    {
        return accepted;
    }
    exchange.charter.portal.challenge(&parts, refusal)
}

/// The certificate that the client proved to hold in its handshake; what it says in a header counts for nothing.
fn certificate(session: &Session) -> Option<ClientCertificate> {
    let digest = session.digest()?.ssl_digest.as_ref()?;
    (!digest.cert_digest.is_empty()).then(|| ClientCertificate {
        thumbprint: digest.cert_digest.clone(),
        subject: digest.organization.clone(),
    })
}

/// The head of a request as the pages see it.
fn parts_for_portal(session: &Session, exchange: &Exchange) -> http::request::Parts {
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
fn failure_of(error: &Error) -> Option<Failure> {
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

/// The first line of an error's chain; what follows may hold raw bytes of a request.
fn first_line(error: &Error) -> String {
    error
        .root_cause()
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect()
}
