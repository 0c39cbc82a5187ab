//! The public listeners: sockets, TLS, and the loop that takes connections.
//!
//! Pingora documents a custom accept loop; ours refuses a connection over the caps before TLS, bounds the
//! handshake and the request head in time, and ends when the last request has.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::{HttpServerApp, HttpServerOptions, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::domain::fault::Fault;
use crate::telemetry::metrics::HandshakeFailure;

use super::charter::InForce;
use super::client::TrustedProxies;
use super::connections::{Connections, OpenConnection};
use super::gateway::Gateway;
use super::guarded::Guarded;
use super::proxy_protocol;
use super::streams::Streams;

/// The longest a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// An HTTP/2 connection without requests is closed after this time.
const H2_IDLE: Duration = Duration::from_mins(2);
/// Connections the system holds until they are taken.
const BACKLOG: i32 = 1024;
/// The longest a proxy may take to say whose connection it brings.
const INTRODUCTION: Duration = Duration::from_secs(5);
/// A request is sent upstream at most this often; only idempotent ones are sent again, on a connection that had died.
const TRIES: usize = 2;

/// Binds every address of this key of the configuration, or says which one cannot be had.
///
/// # Errors
/// Names the address and the reason, and what to change.
pub fn bind(key: &str, addresses: &[SocketAddr]) -> Result<Vec<StdListener>, Fault> {
    let mut bound: Vec<StdListener> = Vec::with_capacity(addresses.len());
    for address in addresses {
        match listen(*address) {
            Ok(listener) => bound.push(listener),
            // A machine without IPv6 still serves on IPv4.
            Err(error) if address.is_ipv6() && has_no_ipv6(&error) && !bound.is_empty() => {
                tracing::warn!(%address, %error, "this machine has no IPv6; not listening there");
            }
            Err(error) => {
                return Err(Fault::unavailable(
                    format!("could not listen on {address} ({}change {key})", mend(&error)),
                    error,
                ));
            }
        }
    }
    Ok(bound)
}

/// An IPv6 socket takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart does not wait for connections of the run before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn has_no_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program holds this port; stop it, or ",
        io::ErrorKind::PermissionDenied => "ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it, or ",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; ",
        _ => "",
    }
}

/// On what terms connections are taken.
pub struct FrontTerms {
    /// How handshakes are made.
    pub tls: Arc<ServerConfig>,
    /// Proxies that begin each connection with the PROXY protocol, and are believed.
    pub announcing: TrustedProxies,
    /// The most a client may take to send a whole request head.
    pub header_timeout: Duration,
    /// Threads that serve.
    pub threads: usize,
}

/// The public side of the gateway.
pub struct Front {
    proxy: Arc<HttpProxy<Gateway>>,
    acceptor: Acceptor,
    connections: Arc<Connections>,
    streams: Arc<Streams>,
    charter: InForce,
    announcing: TrustedProxies,
    header_timeout: Duration,
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
        let (streams, charter) = (gateway.streams(), gateway.charter());
        let mut proxy = HttpProxy::new(gateway, Arc::new(conf));
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(H2_IDLE);
        proxy.server_options = Some(options);
        proxy.handle_init_modules();
        Self {
            proxy: Arc::new(proxy),
            acceptor: Acceptor::from_server_config(terms.tls),
            connections,
            streams,
            charter,
            announcing: terms.announcing,
            header_timeout: terms.header_timeout,
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

    /// Takes connections until `stop` turns true, ends the open streams, and waits for the open requests, at most `drain`.
    pub async fn serve(
        self: Arc<Self>,
        listeners: Vec<StdListener>,
        stop: watch::Receiver<bool>,
        drain: Duration,
    ) -> io::Result<()> {
        let mut loops = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let listener = TcpListener::from_std(listener)?;
            loops.push(tokio::spawn(Arc::clone(&self).accept(listener, stop.clone())));
        }
        for accepting in loops {
            let _ = accepting.await;
        }
        self.streams.end_all();
        self.proxy.http_cleanup().await;
        if tokio::time::timeout(drain, self.connections.drained()).await.is_err() {
            tracing::warn!(open = self.connections.open(), "stopping with connections still open");
        }
        Ok(())
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((socket, peer)) => self.take(socket, peer, &stop),
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would spin.
                    tracing::error!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn take(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr, stop: &watch::Receiver<bool>) {
        let announced = self.announcing.trusts(peer.ip().to_canonical());
        let Some(open) = self.connections.enter(peer.ip(), announced || self.brings_many(peer)) else {
            tracing::debug!(%peer, "connection refused: too many are open");
            return;
        };
        let (front, stop) = (Arc::clone(self), stop.clone());
        tokio::spawn(async move {
            let arrival = if announced {
                front.introduced(socket, peer, open).await
            } else {
                Some(Arrival::direct(socket, peer, open))
            };
            let Some(Arrival {
                socket,
                said,
                peer,
                open,
            }) = arrival
            else {
                return;
            };
            if let Some(stream) = front.handshake(socket, &said, peer).await {
                let mut next = front.proxy.process_new(stream, &stop).await;
                while let Some(stream) = next {
                    next = front.proxy.process_new(stream, &stop).await;
                }
            }
            drop(open);
        });
    }

    /// A trusted proxy brings the connections of many clients.
    fn brings_many(&self, peer: SocketAddr) -> bool {
        self.charter.load().trusted.trusts(peer.ip().to_canonical())
    }

    /// Hears from a proxy whose connection this is. From then on the client takes the proxy's place, for the caps and for
    /// everything that comes after.
    async fn introduced(&self, mut socket: TcpStream, peer: SocketAddr, open: OpenConnection) -> Option<Arrival> {
        let said = match tokio::time::timeout(INTRODUCTION, proxy_protocol::read(&mut socket)).await {
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
        let mut arrival = Arrival::direct(socket, peer, open);
        arrival.said = said.rest;
        let Some(client) = said.client else {
            return Some(arrival);
        };
        arrival.peer = SocketAddr::new(client.ip().to_canonical(), client.port());
        let Some(open) = arrival.open.pass_to(arrival.peer.ip(), self.brings_many(arrival.peer)) else {
            tracing::debug!(client = %arrival.peer, "connection refused: too many are open");
            return None;
        };
        arrival.open = open;
        Some(arrival)
    }

    async fn handshake(&self, socket: TcpStream, said: &[u8], peer: SocketAddr) -> Option<Stream> {
        // Without it, a client that lost its power under an idle WebSocket would stay for ever.
        let _ = SockRef::from(&socket).set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(Duration::from_mins(1))
                .with_interval(Duration::from_secs(10))
                .with_retries(3),
        );
        let mut l4 = L4Stream::from(socket);
        l4.rewind(said);
        let _ = l4.set_nodelay();
        let digest = SocketDigest::from_raw_fd(pingora::protocols::UniqueID::id(&l4));
        let _ = digest.peer_addr.set(Some(peer.into()));
        l4.set_socket_digest(digest);
        match tokio::time::timeout(HANDSHAKE, self.acceptor.tls_handshake(l4)).await {
            Ok(Ok(tls)) => Some(Box::new(Guarded::new(Box::new(tls), self.header_timeout))),
            Ok(Err(error)) => {
                self.connections.metrics().handshake_failed(HandshakeFailure::Failed);
                tracing::debug!(%peer, error = %error.etype().as_str(), "TLS handshake failed");
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

/// A connection, and whose it is.
struct Arrival {
    socket: TcpStream,
    /// What was read of it already.
    said: Vec<u8>,
    peer: SocketAddr,
    open: OpenConnection,
}

impl Arrival {
    const fn direct(socket: TcpStream, peer: SocketAddr, open: OpenConnection) -> Self {
        Self {
            socket,
            said: Vec::new(),
            peer,
            open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_served_on_one_port() {
        let first = listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = first.local_addr().unwrap().port();
        let both = bind("server.listen", &[SocketAddr::new("::".parse().unwrap(), port)]);
        // A machine without IPv6 says so; one that has it serves both.
        assert!(both.is_ok() || has_no_ipv6(&listen("[::]:0".parse().unwrap()).unwrap_err()));
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_what_to_change() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let fault = bind("server.redirect_listen", &[address]).unwrap_err();
        assert!(fault.to_string().contains(&format!(
            "could not listen on {address} (another program holds this port; stop it, or change server.redirect_listen)"
        )));
    }
}
