//! The servers that permitted requests go to: which there are, whose turn it is, and how to speak to them.
//!
//! A [`Pool`] is all the servers of one web client. Its addresses are looked up in the background and its servers asked
//! for their health; a request never waits for either. The way of one request through a pool is a [`Route`].

mod check;
mod choice;
mod clock;
mod idle;
mod names;
mod route;
mod server;
mod standing;
mod trust;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use pingora::protocols::tls::CaType;
use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::CertKey;
use tokio_util::sync::CancellationToken;

use crate::domain::fault::Fault;

use check::Prober;
use choice::Turn;
use clock::{Line, Lines};
use names::{Names, SystemNames};
use server::{Origin, Server, Target};
use standing::News;

pub use choice::Balance;
pub(super) use route::{Broken, Route};
pub(super) use server::Seat;
pub use server::ServerAddress;
pub use standing::{HealthCheck, Tolerance};
pub use trust::ClientFiles;

/// The upstream as the operator describes it.
#[derive(Clone, Debug)]
pub struct PoolTerms {
    /// Its servers.
    pub servers: Vec<ServerAddress>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// What is spoken with them; a WebSocket always uses HTTP/1.1.
    pub protocol: Protocol,
    /// The name verified under TLS instead of the host's.
    pub server_name: Option<String>,
    /// Who may vouch for them; `None`: whom the system believes.
    pub ca_file: Option<PathBuf>,
    /// What the gateway shows them.
    pub client: Option<ClientFiles>,
    /// Whether they are sent the `Host` the browser used, or their own.
    pub preserve_host: bool,
    /// Connecting, TLS included.
    pub connect_timeout: Duration,
    /// Waiting for the head of an answer.
    pub response_timeout: Duration,
    /// The longest silence within an answer; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Asking them for their health; `None`: never.
    pub check: Option<HealthCheck>,
    /// When requests that fail take a server out.
    pub tolerance: Tolerance,
}

impl PoolTerms {
    /// What is wrong with the certificates and keys that it names.
    pub fn check_files(&self) -> Vec<Fault> {
        let ca = self.ca_file.as_deref().map(|path| trust::read_ca(path).map(|_| ()));
        let client = self.client.as_ref().map(|files| trust::read_client(files).map(|_| ()));
        [ca, client].into_iter().flatten().filter_map(Result::err).collect()
    }
}

/// What is spoken with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: agreed on under TLS, known beforehand without.
    Http2,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Requests,
    WebSocket,
}

/// One server as others may see it: for metrics and readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHealth {
    /// The address it is connected to.
    pub server: String,
    /// Whether it is sent requests.
    pub is_in: bool,
    /// Requests and streams that are there now, a WebSocket among them.
    pub open: usize,
    /// Failures in a row.
    pub failures: u32,
}

/// The servers of one web client.
pub struct Pool {
    terms: PoolTerms,
    number: u64,
    origins: Vec<Arc<Origin>>,
    servers: ArcSwap<Vec<Arc<Server>>>,
    turn: Turn,
    names: Box<dyn Names>,
    ca: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
    lines: Arc<Lines>,
}

/// Names are looked up this often.
const RESOLVE: Duration = Duration::from_secs(30);
/// A name that has no address yet is looked up again after this time, and then less and less often: the name servers may have
/// started later than the gateway.
const RESOLVE_SOON: Duration = Duration::from_secs(1);
/// Answers that are late are noticed this often.
const SWEEP: Duration = Duration::from_millis(100);
/// The most an HTTP/2 server may send ahead of a slow client: what memory one answer can take.
const WINDOW: u32 = 1 << 20;

impl Pool {
    /// Looks every name up once; where that fails, requests are answered 502 until it resolves.
    ///
    /// # Errors
    /// When a file cannot be used, or a name is empty: an empty name would switch verification off.
    pub async fn new(terms: PoolTerms) -> Result<Arc<Self>, Fault> {
        Self::with_names(terms, Box::new(SystemNames)).await
    }

    async fn with_names(terms: PoolTerms, names: Box<dyn Names>) -> Result<Arc<Self>, Fault> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let origins: Result<Vec<_>, Fault> = terms
            .servers
            .iter()
            .map(|address| origin(address, terms.server_name.as_deref()).map(Arc::new))
            .collect();
        let pool = Arc::new(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            origins: origins?,
            servers: ArcSwap::from_pointee(Vec::new()),
            turn: Turn::new(terms.balance),
            names,
            ca: terms.ca_file.as_deref().map(trust::read_ca).transpose()?,
            client: terms.client.as_ref().map(trust::read_client).transpose()?,
            lines: Lines::new(Instant::now()),
            terms,
        });
        pool.resolve().await;
        Ok(pool)
    }

    /// Looks names up, asks for health and notices late answers, until `stop` or until the pool is dropped.
    pub fn keep(self: &Arc<Self>, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let pool = Arc::downgrade(self);
        let check = self.terms.check.clone();
        async move {
            let sweeping = every(SWEEP, &pool, |pool| async move { pool.lines.sweep(Instant::now()) });
            let resolving = resolve_again(&pool);
            let checking = async {
                let Some(check) = check else {
                    return std::future::pending().await;
                };
                let prober = Arc::new(Prober::new(check));
                every(prober.interval(), &pool, |pool| pool.check(Arc::clone(&prober))).await;
            };
            // Each of them ends when the pool is gone, the first within a moment.
            tokio::select! {
                () = sweeping => {}
                () = resolving => {}
                () = checking => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Every server and its standing, as of now.
    pub fn health(&self) -> Vec<ServerHealth> {
        let now = Instant::now();
        let servers = self.servers.load();
        let look = |server: &Arc<Server>| ServerHealth {
            server: server.target.to_string(),
            is_in: server.standing.is_in(now),
            open: server.open(),
            failures: server.standing.failures(),
        };
        servers.iter().map(look).collect()
    }

    /// How long to wait for the head of an answer.
    pub const fn patience(&self) -> Duration {
        self.terms.response_timeout
    }

    /// Looks every name up. New addresses come in, those that are gone get no more requests, and a name that cannot be
    /// resolved keeps its last ones.
    async fn resolve(&self) {
        let before = self.servers.load_full();
        let mut now = Vec::with_capacity(before.len());
        for origin in &self.origins {
            let known = || before.iter().filter(|server| Arc::ptr_eq(&server.origin, origin));
            let Some(targets) = self.targets(&origin.address).await else {
                now.extend(known().map(Arc::clone));
                continue;
            };
            for target in targets {
                let server = known().find(|server| server.target == target).map(Arc::clone);
                now.push(server.unwrap_or_else(|| Arc::new(Server::new(Arc::clone(origin), target))));
            }
        }
        let gone = |server: &&Arc<Server>| !now.iter().any(|kept| Arc::ptr_eq(kept, server));
        for server in before.iter().filter(gone) {
            tracing::info!(server = %server.target, "a server's name no longer means this address; it gets no more requests");
        }
        let new = |server: &&Arc<Server>| !before.iter().any(|known| Arc::ptr_eq(known, server));
        for server in now.iter().filter(new).filter(|_| !before.is_empty()) {
            tracing::info!(server = %server.target, "a server's name means another address; it gets requests");
        }
        self.servers.store(Arc::new(now));
    }

    /// Whether every server has an address.
    fn is_found(&self) -> bool {
        let servers = self.servers.load();
        let has = |origin| servers.iter().any(|server| Arc::ptr_eq(&server.origin, origin));
        self.origins.iter().all(has)
    }

    /// The addresses behind one server; `None` when they cannot be had.
    async fn targets(&self, address: &ServerAddress) -> Option<Vec<Target>> {
        if let Some(target) = address.fixed() {
            return Some(vec![target]);
        }
        let ServerAddress::Host { host, port, .. } = address else {
            return None;
        };
        match self.names.look_up(host, *port).await {
            Ok(found) if !found.is_empty() => Some(found.into_iter().map(Target::Inet).collect()),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(host, %error, "could not resolve the upstream's name; its last addresses stay");
                None
            }
        }
    }

    /// Asks every server for its health at once.
    async fn check(self: Arc<Self>, prober: Arc<Prober>) {
        let mut asking = tokio::task::JoinSet::new();
        for server in self.servers.load().iter() {
            let peer = self.peer(server, Use::Requests, None);
            let (prober, server) = (Arc::clone(&prober), Arc::clone(server));
            asking.spawn(async move {
                let answer = prober.ask(peer, &server.origin.host).await;
                (server, answer)
            });
        }
        while let Some(answered) = asking.join_next().await {
            let Ok((server, answer)) = answered else { continue };
            match answer {
                Ok(()) => announce(
                    &server,
                    server.standing.passed(prober.rise()),
                    "it answers its health check",
                ),
                Err(why) => announce(&server, server.standing.missed(prober.fall()), &why),
            }
        }
    }

    /// A seat on the server whose turn it is; `None` when there is none, or none but `avoid`.
    fn seat(&self, avoid: &[Arc<Server>]) -> Option<Seat> {
        let servers = self.servers.load();
        self.turn.choose(&servers, avoid, Instant::now).map(Seat::take)
    }

    /// Whether there is any server but this one and those to `avoid`.
    fn has_another(&self, server: &Arc<Server>, avoid: &[Arc<Server>]) -> bool {
        let is_known =
            |other: &Arc<Server>| Arc::ptr_eq(other, server) || avoid.iter().any(|avoid| Arc::ptr_eq(other, avoid));
        self.servers.load().iter().any(|other| !is_known(other))
    }

    /// A request failed on this server.
    fn failed(&self, server: &Arc<Server>, why: &str) {
        announce(
            server,
            server.standing.failed(Instant::now(), &self.terms.tolerance),
            why,
        );
    }

    /// A server has answered with this status.
    fn answered(&self, server: &Arc<Server>, status: u16) {
        if self.terms.tolerance.statuses.contains(&status) {
            self.failed(server, &format!("it answers {status}"));
        } else {
            announce(server, server.standing.served(), "it answers");
        }
    }

    /// How to connect to a server.
    fn peer(&self, server: &Server, purpose: Use, line: Option<&Arc<Line>>) -> pingora::Result<HttpPeer> {
        let verified = server.origin.verified.as_deref();
        let name = verified.unwrap_or_default().to_owned();
        let mut peer = match &server.target {
            Target::Inet(address) => HttpPeer::new(address, verified.is_some(), name),
            Target::Socket(path) => HttpPeer::new_uds(&path.to_string_lossy(), verified.is_some(), name)?,
        };
        // Two pools may reach one address with different certificates: their connections are not each other's.
        peer.group_key = self.number;
        peer.client_cert_key.clone_from(&self.client);
        let options = &mut peer.options;
        options.alpn = match (self.terms.protocol, purpose) {
            (Protocol::Http2, Use::Requests) => ALPN::H2,
            _ => ALPN::H1,
        };
        options.connection_timeout = Some(self.terms.connect_timeout);
        options.total_connection_timeout = Some(self.terms.connect_timeout);
        options.read_timeout = self.terms.idle_timeout;
        // Idle lines are swept: Pingora would set a timer for each pause between two requests.
        options.idle_timeout = None;
        if matches!(server.target, Target::Inet(_)) {
            options.tcp_keepalive = Some(KEEPALIVE);
        }
        options.h2_stream_window_size = Some(WINDOW);
        options.h2_connection_window_size = Some(WINDOW);
        options.ca.clone_from(&self.ca);
        options.tracer = line.map(Line::tracer);
        Ok(peer)
    }
}

const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_mins(1),
    interval: Duration::from_secs(10),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// Looks names up again and again, while the pool is there.
async fn resolve_again(pool: &Weak<Pool>) {
    let mut soon = RESOLVE_SOON;
    loop {
        let is_found = pool.upgrade().is_none_or(|pool| pool.is_found());
        tokio::time::sleep(if is_found { RESOLVE } else { soon }).await;
        soon = (2 * soon).min(RESOLVE);
        let Some(pool) = pool.upgrade() else { return };
        pool.resolve().await;
    }
}

/// Does `work` now and then after each pause, while the pool is there.
async fn every<W>(pause: Duration, pool: &Weak<Pool>, mut work: impl FnMut(Arc<Pool>) -> W)
where
    W: Future<Output = ()>,
{
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        work(pool).await;
    }
}

fn announce(server: &Server, news: Option<News>, why: &str) {
    let server = &server.target;
    match news {
        Some(News::Out) => tracing::warn!(%server, why, "a server of the upstream is taken out"),
        Some(News::In) => tracing::info!(%server, why, "a server of the upstream is back"),
        None => {}
    }
}

fn origin(address: &ServerAddress, server_name: Option<&str>) -> Result<Origin, Fault> {
    let verified = match address {
        ServerAddress::Host { tls: true, host, .. } => Some(server_name.unwrap_or(host).to_owned()),
        _ => None,
    };
    if verified.as_ref().is_some_and(String::is_empty) {
        return Err(Fault::corrupt(
            "upstream.url names no host",
            "an empty name cannot be verified",
        ));
    }
    let host = HeaderValue::from_str(&address.authority()).map_err(|error| Fault::corrupt("upstream.url", error))?;
    Ok(Origin {
        address: address.clone(),
        host,
        verified,
    })
}

#[cfg(test)]
mod tests;
