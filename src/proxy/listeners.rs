//! The public listeners: TLS, and the loop that takes connections from the sockets.
//!
//! Pingora documents a custom accept loop; ours refuses a connection over the caps before TLS, bounds the
//! handshake and the request head in time, and ends when the last request has.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::{HttpServerApp, HttpServerOptions, ServerApp};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{ALPN, GetSocketDigest, SocketDigest, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::tls::{CertificateDer, TlsAcceptor, hash_certificate};
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::domain::client::ClientAddr;
use crate::flows::{Sentinel, StandingOrders};
use crate::ports::Crowds;
use crate::telemetry::metrics::{HandshakeFailure, SlowAt};

use super::charter::InForce;
use super::client::TrustedProxies;
use super::connections::{Connections, OpenConnection};
use super::conversation;
use super::framing::HeadLimits;
use super::gateway::Gateway;
use super::guarded::{Guarded, Limits, Slow};
use super::proxy_protocol;
use super::requests::Requests;
use super::roll::{self, Roll};
use super::secured::Secured;
use super::sockets::{Bound, ListeningSocket, SocketFile};
use super::streams::Streams;

/// The longest a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Whoever comes by a Unix socket is this machine. Whether it may speak for others, `server.trusted_proxies` says.
const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The longest a proxy may take to say whose connection it brings.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// Bytes of the last answers, and the goodbyes of HTTP/2, are with the clients by then. A client that has gone to sleep
/// with its connection open holds no stop for longer.
const LINGER: Duration = Duration::from_secs(5);
/// How often a stop looks whether requests are under way.
const LOOK: Duration = Duration::from_millis(100);
/// A request is tried at most this often: on a connection that was closed as idle in that moment, where nothing is sent;
/// on one that had died, after which only idempotent ones are sent again; and on two other servers.
const TRIES: usize = 4;

/// On what terms connections are taken.
pub struct FrontTerms {
    /// How handshakes are made.
    pub tls: Arc<ServerConfig>,
    /// Whose a certificate in its binary form is.
    pub subject: fn(&[u8]) -> Option<String>,
    /// Proxies that begin each connection with the PROXY protocol, and are believed.
    pub announcing: TrustedProxies,
    /// The most a client may take to send a whole request head.
    pub header_timeout: Duration,
    /// How long a connection of HTTP/2 may wait for its next request.
    pub idle_timeout: Duration,
    /// Most requests at once on one connection of HTTP/2.
    pub max_streams: u32,
    /// Threads that serve.
    pub threads: usize,
}

/// The public side of the gateway.
pub struct Front {
    proxy: Arc<HttpProxy<Gateway>>,
    acceptor: TlsAcceptor,
    connections: Arc<Connections>,
    requests: Arc<Requests>,
    roll: Arc<Roll>,
    streams: Arc<Streams>,
    charter: InForce,
    sentinel: Arc<Sentinel>,
    orders: Arc<StandingOrders>,
    announcing: TrustedProxies,
    subject: fn(&[u8]) -> Option<String>,
    header_timeout: Duration,
    idle_timeout: Duration,
    /// Turns true when connections that wait for a request are closed.
    closing: watch::Sender<bool>,
}

impl Front {
    /// Puts the gateway behind TLS on these terms.
    pub fn new(gateway: Gateway, terms: FrontTerms, connections: Arc<Connections>) -> Self {
        let conf = ServerConf {
            threads: terms.threads,
            max_retries: TRIES,
            upstream_keepalive_pool_size: 512,
            ..ServerConf::default()
        };
        let (streams, charter, sentinel) = (gateway.streams(), gateway.charter(), gateway.sentinel());
        let (requests, orders) = (gateway.requests(), gateway.orders());
        let mut proxy = HttpProxy::new(gateway, Arc::new(conf));
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(terms.idle_timeout);
        // It comes as far as our own refusal of the method, which does not name the program.
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        let mut h2 = default_h2_options();
        h2.max_concurrent_streams(terms.max_streams);
        h2.max_header_list_size(header_list(charter.load().head));
        proxy.h2_options = Some(h2);
        proxy.handle_init_modules();
        Self {
            proxy: Arc::new(proxy),
            acceptor: TlsAcceptor::from(terms.tls),
            connections,
            requests,
            roll: Arc::default(),
            streams,
            charter,
            sentinel,
            orders,
            announcing: terms.announcing,
            subject: terms.subject,
            header_timeout: terms.header_timeout,
            idle_timeout: terms.idle_timeout,
            closing: watch::Sender::new(false),
        }
    }

    /// What decides about requests.
    pub fn charter(&self) -> InForce {
        Arc::clone(&self.charter)
    }

    /// The open connections.
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// Who is banned.
    pub fn orders(&self) -> Arc<StandingOrders> {
        Arc::clone(&self.orders)
    }

    /// The loops that take connections.
    pub fn roll(&self) -> Arc<Roll> {
        Arc::clone(&self.roll)
    }

    /// Takes connections until `stop` turns true. From then on each is closed after its request.
    pub async fn serve(self: Arc<Self>, listeners: Vec<Bound>, stop: watch::Receiver<bool>) -> io::Result<()> {
        let mut loops = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let listener = Listener::of(listener)?;
            let place = self.roll.enter();
            loops.push(tokio::spawn(Arc::clone(&self).accept(listener, place, stop.clone())));
        }
        for accepting in loops {
            let _ = accepting.await;
        }
        Ok(())
    }

    /// Ends the streams that never end by themselves and waits for the open requests, at most `drain`.
    pub async fn close(&self, drain: Duration) {
        self.streams.end_endless();
        self.closing.send_replace(true);
        self.proxy.http_cleanup().await;
        if tokio::time::timeout(drain, self.emptied(LINGER)).await.is_err() {
            tracing::warn!(
                requests = self.requests.under_way(),
                connections = self.connections.open(),
                "stopping with requests still under way"
            );
        }
    }

    /// Waits until what is open has ended by itself, calls and streams too, while another process takes connections. A
    /// client may send a request as long as its connection is open, so those without one are closed when their time is over.
    pub async fn run_out(&self) {
        self.emptied(self.idle_timeout + self.header_timeout).await;
    }

    /// Waits until no connection is open, or none of them has had a request for `linger`.
    async fn emptied(&self, linger: Duration) {
        tokio::select! {
            () = self.connections.drained() => {}
            () = self.idle_for(linger) => {}
        }
    }

    async fn idle_for(&self, linger: Duration) {
        let mut since = Instant::now();
        while since.elapsed() < linger {
            tokio::time::sleep(LOOK).await;
            if self.requests.under_way() > 0 {
                since = Instant::now();
            }
        }
    }

    async fn accept(self: Arc<Self>, listener: Listener, mut place: roll::Place, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = place.answer() => continue,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok(caller) => self.take(caller, &stop),
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would spin.
                    tracing::error!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, caller: Caller, stop: &watch::Receiver<bool>) {
        let peer = caller.peer;
        if is_banned(&self.orders, peer, &self.connections) {
            return;
        }
        let announced = self.announcing.trusts(peer.ip().to_canonical());
        let clients = if announced { usize::MAX } else { self.clients_of(peer) };
        let Some(open) = self.connections.enter(peer.ip(), clients) else {
            tracing::debug!(%peer, "connection refused: too many are open");
            return;
        };
        // What it takes to get there is much, and is over soon: the task that stays has no room for it.
        let arriving = Box::pin(Arc::clone(self).arrive(caller, open, announced));
        let (front, stop) = (Arc::clone(self), stop.clone());
        tokio::spawn(async move {
            let Some(stream) = arriving.await else { return };
            if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
                front.proxy.process_new(stream, &stop).await;
            } else {
                conversation::hold(&front.proxy, stream, &stop, front.closing.subscribe()).await;
            }
        });
    }

    /// A new connection up to its first request.
    async fn arrive(self: Arc<Self>, caller: Caller, open: OpenConnection, announced: bool) -> Option<Stream> {
        let (caller, open) = if announced {
            self.introduced(caller, open).await?
        } else {
            (caller, open)
        };
        self.secured(caller, open).await
    }

    /// How many clients a peer brings the connections of: a trusted proxy any number, others one, unless many people share
    /// their address.
    fn clients_of(&self, peer: SocketAddr) -> usize {
        if self.charter.load().trusted.trusts(peer.ip().to_canonical()) {
            return usize::MAX;
        }
        let budgets = self.sentinel.budgets(ClientAddr::new(peer.ip()).limit_key());
        usize::try_from(budgets).unwrap_or(usize::MAX)
    }

    /// Hears from a proxy whose connection this is. From then on the client takes the proxy's place, for the caps and for
    /// everything that comes after.
    async fn introduced(&self, mut caller: Caller, open: OpenConnection) -> Option<(Caller, OpenConnection)> {
        let peer = caller.peer;
        let said = match tokio::time::timeout(INTRODUCTION, proxy_protocol::read(&mut caller.stream)).await {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => {
                self.connections.metrics().handshake_failed(HandshakeFailure::Failed);
                tracing::info!(%peer, %error, "a peer of server.proxy_protocol did not say whose connection it brings");
                return None;
            }
            Err(_) => {
                self.connections.metrics().handshake_failed(HandshakeFailure::Timeout);
                tracing::info!(%peer, "a peer of server.proxy_protocol took too long to say whose connection it brings");
                return None;
            }
        };
        caller.stream.rewind(&said.rest);
        let Some(client) = said.client else {
            return Some((caller, open));
        };
        caller.peer = SocketAddr::new(client.ip().to_canonical(), client.port());
        if is_banned(&self.orders, caller.peer, &self.connections) {
            return None;
        }
        let Some(open) = open.pass_to(caller.peer.ip(), self.clients_of(caller.peer)) else {
            tracing::debug!(client = %caller.peer, "connection refused: too many are open");
            return None;
        };
        Some((caller, open))
    }

    /// The connection as the proxy takes it: behind TLS where it came from the network.
    async fn secured(&self, caller: Caller, open: OpenConnection) -> Option<Stream> {
        let Caller { mut stream, peer, tls } = caller;
        let digest = SocketDigest::from_raw_fd(pingora::protocols::UniqueID::id(&stream));
        let _ = digest.peer_addr.set(Some(peer.into()));
        stream.set_socket_digest(digest);
        let (stream, holder): (Stream, _) = if tls {
            let stream = self.handshake(stream, peer).await?;
            let holder = stream.certificate().map(|certificate| self.holder(certificate));
            (Box::new(stream), holder)
        } else {
            (Box::new(stream), None)
        };
        let slow = |at| self.connections.metrics().slow(at);
        let slow = Slow {
            head: slow(SlowAt::Head),
            answer: slow(SlowAt::Answer),
        };
        let limits = Limits {
            head: self.header_timeout,
            pause: self.idle_timeout,
            answer: self.charter.load().write_timeout,
        };
        let guarded = Guarded::new(stream, limits, slow).held_by(holder);
        Some(Box::new(guarded.counted(open)))
    }

    /// Whose certificate it is, as requests see it. Pingora itself would know of the subject the organization alone; the whole
    /// of it takes that place.
    fn holder(&self, certificate: &CertificateDer<'_>) -> SslDigest {
        let subject = (self.subject)(certificate);
        SslDigest::new("", "", subject, None, hash_certificate(certificate))
    }

    async fn handshake(&self, l4: L4Stream, peer: SocketAddr) -> Option<Secured> {
        match tokio::time::timeout(HANDSHAKE, Secured::accept(&self.acceptor, l4)).await {
            Ok(Ok(tls)) => Some(tls),
            Ok(Err(error)) => {
                self.connections.metrics().handshake_failed(HandshakeFailure::Failed);
                tracing::debug!(%peer, %error, "TLS handshake failed");
                None
            }
            Err(_) => {
                self.connections.metrics().handshake_failed(HandshakeFailure::Timeout);
                tracing::debug!(%peer, "TLS handshake took too long");
                None
            }
        }
    }
}

/// Whether nobody is to be listened to who comes from there. The connection is closed without a word, before TLS: a ban costs
/// the gateway nothing.
pub(super) fn is_banned(orders: &StandingOrders, peer: SocketAddr, connections: &Connections) -> bool {
    let banned = orders.bans(ClientAddr::new(peer.ip()));
    if banned && let Some(since) = connections.turn_away() {
        tracing::info!(client = %peer.ip(), since, "connection refused: its client is banned");
    }
    banned
}

/// How large the fields of a request may be, counted as HTTP/2 does (RFC 9113 section 6.5.2). Somewhat larger heads are let
/// in, so that they are refused in words.
fn header_list(head: HeadLimits) -> u32 {
    /// What each field is taken to cost beside its bytes.
    const FIELD: usize = 32;
    /// Pingora's own bound.
    const LEAST: usize = 64 << 10;
    u32::try_from((head.bytes + head.fields * FIELD).max(LEAST)).unwrap_or(u32::MAX)
}

/// A socket that connections are taken from.
enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Goes with the listener.
        _file: SocketFile,
    },
}

/// Somebody on the line.
struct Caller {
    stream: L4Stream,
    peer: SocketAddr,
    /// Whether TLS begins now.
    tls: bool,
}

impl Listener {
    fn of(bound: Bound) -> io::Result<Self> {
        Ok(match bound.socket {
            ListeningSocket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            ListeningSocket::Unix(listener, file) => Self::Unix {
                listener: UnixListener::from_std(listener)?,
                _file: file,
            },
        })
    }

    async fn accept(&self) -> io::Result<Caller> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                // Without it, a client that lost its power under an idle WebSocket would stay for ever.
                let _ = SockRef::from(&socket).set_tcp_keepalive(
                    &TcpKeepalive::new()
                        .with_time(Duration::from_mins(1))
                        .with_interval(Duration::from_secs(10))
                        .with_retries(3),
                );
                let mut stream = L4Stream::from(socket);
                let _ = stream.set_nodelay();
                Ok(Caller {
                    stream,
                    peer,
                    tls: true,
                })
            }
            Self::Unix { listener, .. } => {
                let (socket, _) = listener.accept().await?;
                Ok(Caller {
                    stream: socket.into(),
                    peer: UNIX_PEER,
                    tls: false,
                })
            }
        }
    }
}
