//! The public listeners: sockets, TLS, and the loop that takes connections.
//!
//! Pingora documents a custom accept loop; ours refuses a connection over the caps before TLS, bounds the
//! handshake and the request head in time, and ends when the last request has.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::apps::{HttpServerApp, HttpServerOptions, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::domain::fault::Fault;
use crate::telemetry::metrics::HandshakeFailure;

use super::charter::InForce;
use super::connections::Connections;
use super::gateway::Gateway;
use super::guarded::Guarded;
use super::streams::Streams;

/// The longest a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// An HTTP/2 connection without requests is closed after this time.
const H2_IDLE: Duration = Duration::from_mins(2);
/// Connections the system holds until they are taken.
const BACKLOG: i32 = 1024;
/// A request is sent upstream at most this often; only idempotent ones are sent again, on a connection that had died.
const TRIES: usize = 2;

/// The certificate and its key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// PEM file with the chain.
    pub certificate: PathBuf,
    /// PEM file with the key.
    pub key: PathBuf,
}

/// Binds every address, or says which one cannot be had.
///
/// # Errors
/// Names the address and the reason, and what to change.
pub fn bind(addresses: &[SocketAddr]) -> Result<Vec<StdListener>, Fault> {
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
                    format!("could not listen on {address} ({})", mend(&error)),
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
        io::ErrorKind::AddrInUse => "another program holds this port; stop it, or change server.listen",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE; grant it, or change server.listen"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; change server.listen",
        _ => "change server.listen",
    }
}

/// The public side of the gateway.
pub struct Front {
    proxy: Arc<HttpProxy<Gateway>>,
    acceptor: Arc<Acceptor>,
    connections: Arc<Connections>,
    streams: Arc<Streams>,
    charter: InForce,
    header_timeout: Duration,
}

impl Front {
    /// Reads the certificate and puts the gateway behind it.
    ///
    /// # Errors
    /// When certificate and key cannot be read or do not belong together.
    pub fn new(
        gateway: Gateway,
        tls: &TlsFiles,
        connections: Arc<Connections>,
        header_timeout: Duration,
        threads: usize,
    ) -> Result<Self, Fault> {
        let conf = ServerConf {
            threads,
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
        Ok(Self {
            proxy: Arc::new(proxy),
            acceptor: Arc::new(acceptor(tls)?),
            connections,
            streams,
            charter,
            header_timeout,
        })
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
        let trusted = self.charter.load().trusted.trusts(peer.ip().to_canonical());
        let Some(open) = self.connections.enter(peer.ip(), trusted) else {
            tracing::debug!(%peer, "connection refused: too many are open");
            return;
        };
        let (front, stop) = (Arc::clone(self), stop.clone());
        tokio::spawn(async move {
            if let Some(stream) = front.handshake(socket, peer).await {
                let mut next = front.proxy.process_new(stream, &stop).await;
                while let Some(stream) = next {
                    next = front.proxy.process_new(stream, &stop).await;
                }
            }
            drop(open);
        });
    }

    async fn handshake(&self, socket: TcpStream, peer: SocketAddr) -> Option<Stream> {
        // Without it, a client that lost its power under an idle WebSocket would stay for ever.
        let _ = SockRef::from(&socket).set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(Duration::from_mins(1))
                .with_interval(Duration::from_secs(10))
                .with_retries(3),
        );
        let mut l4 = L4Stream::from(socket);
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

/// Serves one certificate, whatever name is asked for; a request for a wrong name is refused by its `Host`.
#[derive(Debug)]
struct OneCertificate(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for OneCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn acceptor(files: &TlsFiles) -> Result<Acceptor, Fault> {
    let certificate = certified_key(files)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OneCertificate(ArcSwap::from_pointee(certificate))));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Acceptor::from_server_config(Arc::new(config)))
}

fn certified_key(files: &TlsFiles) -> Result<CertifiedKey, Fault> {
    let (chain, key) = (&files.certificate, &files.key);
    let reading = |path: &PathBuf| format!("could not read the TLS file {}", path.display());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(chain)
        .map_err(|error| Fault::unavailable(reading(chain), error))?
        .collect();
    let certificates = certificates.map_err(|error| Fault::corrupt(reading(chain), error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| Fault::corrupt(reading(key), error))?;
    let provider = CryptoProvider::get_default()
        .ok_or_else(|| Fault::corrupt("no TLS provider is installed", "this is a fault of the gateway"))?;
    CertifiedKey::from_der(certificates, private, provider).map_err(|error| {
        let what = format!(
            "the certificate {} and the key {} do not belong together, or one of them is broken",
            chain.display(),
            key.display()
        );
        Fault::corrupt(what, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_served_on_one_port() {
        let first = listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = first.local_addr().unwrap().port();
        let both = bind(&[SocketAddr::new("::".parse().unwrap(), port)]);
        // A machine without IPv6 says so; one that has it serves both.
        assert!(both.is_ok() || has_no_ipv6(&listen("[::]:0".parse().unwrap()).unwrap_err()));
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_what_to_change() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let fault = bind(&[address]).unwrap_err();
        assert!(fault.to_string().contains(&format!(
            "could not listen on {address} (another program holds this port"
        )));
    }
}
