//! The way of one request through a pool: the server it is on, how long that may take to answer, and where it goes when
//! it fails there.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use pingora::http::ResponseHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::super::cause::cause;
use super::clock::{Line, Used, Wait};
use super::server::{Seat, Server, Target};
use super::{Pool, Use};

/// Where a request has been.
#[derive(Default)]
pub struct Route {
    stay: Option<Stay>,
    /// Where it has failed.
    avoid: Vec<Arc<Server>>,
    /// Anything of an answer has been passed on.
    answered: bool,
    wait: Option<Wait>,
    /// The connection it is on.
    line: Option<Used>,
    /// The connection it was to be on was closed as idle in that moment.
    is_stale: bool,
    /// The next connection is to be a new one.
    afresh: bool,
}

/// A request on a server.
struct Stay {
    pool: Arc<Pool>,
    seat: Seat,
    line: Arc<Line>,
}

/// What is known about a request that broke off.
pub struct Broken {
    /// Whether making it twice changes no more than making it once, and all of its body that was sent is still at hand.
    pub is_repeatable: bool,
    /// Whether its client has sent all of it. Otherwise the client may be what the server waited for.
    pub is_whole: bool,
    /// Whether its connection had served others before.
    pub is_reused: bool,
}

/// A request is made on so many servers at most.
const SERVERS: usize = 3;

/// Marks the connections of requests that ask for a new one. No pool has such a number.
const AFRESH: u64 = 1 << 63;

const NO_SERVER: &str = "the upstream's name has never resolved";
const STALE: &str = "the connection had been idle for too long";
const LATE: &str = "the answer did not begin in time";

impl Route {
    /// The server that the request goes to now: the first, or after a failure another one.
    ///
    /// # Errors
    /// When there is none.
    pub fn next(&mut self, pool: &Arc<Pool>) -> pingora::Result<HttpPeer> {
        self.go(pool, Use::Requests)
    }

    /// The same for a WebSocket.
    ///
    /// # Errors
    /// When there is none.
    pub fn next_for_websocket(&mut self, pool: &Arc<Pool>) -> pingora::Result<HttpPeer> {
        self.go(pool, Use::WebSocket)
    }

    fn go(&mut self, pool: &Arc<Pool>, purpose: Use) -> pingora::Result<HttpPeer> {
        self.wait = None;
        self.line = None;
        self.stay = None;
        let Some(seat) = pool.seat(&self.avoid) else {
            return Error::e_explain(ErrorType::HTTPStatus(502), NO_SERVER);
        };
        let line = pool.lines.dial();
        let mut peer = pool.peer(seat.server(), purpose, Some(&line))?;
        if self.afresh {
            // Of those that are kept, another one may be as old.
            peer.group_key |= AFRESH;
        }
        self.stay = Some(Stay {
            pool: Arc::clone(pool),
            seat,
            line,
        });
        Ok(peer)
    }

    /// The server it is on, for the log.
    pub fn server(&self) -> Option<&Target> {
        self.stay.as_ref().map(|stay| &stay.seat.server().target)
    }

    /// Its place on the server, for what goes on there when the request is over.
    pub fn seat(&mut self) -> Option<Seat> {
        self.stay.take().map(|stay| stay.seat)
    }

    /// The `Host` the server is sent; `None`: the one the browser used.
    pub fn host(&self) -> Option<&HeaderValue> {
        let stay = self.stay.as_ref()?;
        (!stay.pool.terms.preserve_host).then_some(&stay.seat.server().origin.host)
    }

    /// There is a connection; from now on the server has its time to answer.
    ///
    /// # Errors
    /// When the connection has just been closed as idle. Nothing has been sent.
    pub fn connected(&mut self, fd: RawFd, is_reused: bool) -> pingora::Result<()> {
        let Some(stay) = &self.stay else { return Ok(()) };
        let lines = &stay.pool.lines;
        if !is_reused {
            stay.line.opened(fd);
        }
        let Some(line) = lines.find(fd) else { return Ok(()) };
        self.line = line.take();
        self.is_stale = self.line.is_none();
        if self.is_stale {
            return Error::e_explain(ErrorType::ConnectionClosed, STALE).map_err(Error::into_up);
        }
        self.wait = Some(Wait::start(line, stay.pool.patience(), Instant::now()));
        Ok(())
    }

    /// From now on its connection is shut down as soon as `ended` fires, and at the latest forgotten with what this
    /// answers. It carries this request alone; by then it may have been handed on, and is left to the next one.
    pub fn cut_with(&self, ended: CancellationToken) -> Option<AbortOnDropHandle<()>> {
        let (line, turn) = self.line.as_ref()?.turn();
        let cutting = tokio::spawn(async move {
            ended.cancelled().await;
            line.shut_with(turn);
        });
        Some(AbortOnDropHandle::new(cutting))
    }

    /// More of the request has been taken from the client: only then can the answer be waited for.
    pub fn sent(&self) {
        if let Some(wait) = &self.wait {
            wait.renew(Instant::now());
        }
    }

    /// The head of an answer is here, perhaps one that only announces the final one.
    ///
    /// # Errors
    /// When its time was over.
    pub fn answered(&mut self, response: &ResponseHeader) -> pingora::Result<()> {
        self.answered = true;
        if response.status.is_informational() {
            return Ok(());
        }
        if self.wait.take().is_some_and(|wait| !wait.ends_in_time()) {
            return Error::e_explain(ErrorType::ReadTimedout, LATE).map_err(Error::into_up);
        }
        self.noted(response.status.as_u16());
        Ok(())
    }

    /// The server has answered with this status.
    pub fn noted(&self, status: u16) {
        if let Some(stay) = &self.stay {
            stay.pool.answered(stay.seat.server(), status);
        }
    }

    /// The server could not be connected to. Nothing has been sent, so any request may go to another one.
    pub fn unreachable(&mut self, error: &mut Error) {
        self.failed(&format!("no connection: {}", cause(error)));
        error.set_retry(self.has_another() && self.leave());
    }

    /// The request broke off on the server. It may be made again elsewhere when that changes nothing, and nobody has heard
    /// anything of an answer.
    pub fn broke(&mut self, error: &mut Error, broken: &Broken) {
        if std::mem::take(&mut self.is_stale) {
            self.afresh = true;
            error.set_retry(true);
            return;
        }
        let is_late = self.wait.take().is_some_and(|wait| !wait.ends_in_time());
        if is_late && error.esource != ErrorSource::Downstream {
            // What is seen of it is a connection that was lost.
            error.etype = ErrorType::ReadTimedout;
            error.esource = ErrorSource::Upstream;
            error.set_retry(false);
            if broken.is_whole {
                self.failed(LATE);
            }
            return;
        }
        // A connection that had been idle for too long says nothing about its server.
        if is_loss(error) && broken.is_whole && !broken.is_reused && !self.answered {
            self.failed(&format!("no answer: {}", cause(error)));
        }
        if !broken.is_repeatable || self.answered {
            error.set_retry(false);
        } else if is_loss(error) && self.has_another() {
            error.set_retry(self.leave());
        } else {
            error.retry.decide_reuse(broken.is_reused);
        }
    }

    /// The request failed on the server.
    fn failed(&self, why: &str) {
        if let Some(stay) = &self.stay {
            stay.pool.failed(stay.seat.server(), why);
        }
    }

    fn has_another(&self) -> bool {
        let stay = self.stay.as_ref();
        stay.is_some_and(|stay| stay.pool.has_another(stay.seat.server(), &self.avoid))
    }

    /// Goes elsewhere next time; `false` when it has been on enough servers.
    fn leave(&mut self) -> bool {
        let left = self.stay.as_ref().map(|stay| Arc::clone(stay.seat.server()));
        self.avoid.extend(left);
        self.avoid.len() < SERVERS
    }
}

/// Whether the connection was lost, rather than the answer slow or wrong.
fn is_loss(error: &Error) -> bool {
    error.esource == ErrorSource::Upstream
        && matches!(
            error.etype,
            ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError | ErrorType::H2Error
        )
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = self.server();
        f.debug_struct("Route")
            .field("server", &server)
            .field("answered", &self.answered)
            .finish_non_exhaustive()
    }
}
