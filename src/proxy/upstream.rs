//! Which peer a permitted request goes to: addresses resolved in the background, TLS, time limits.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::protocols::tls::CaType;
use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::domain::fault::Fault;

/// The upstream as the operator describes it.
#[derive(Clone, Debug)]
pub struct UpstreamTerms {
    /// Whether to speak TLS.
    pub tls: bool,
    /// Host name or address; under TLS also the verified name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Connecting, TLS included.
    pub connect_timeout: Duration,
    /// Waiting for the first byte of an answer.
    pub response_timeout: Duration,
}

/// The upstream's addresses and how to speak to them.
pub struct UpstreamPeers {
    terms: UpstreamTerms,
    addresses: ArcSwap<Vec<SocketAddr>>,
    next: AtomicUsize,
    ca: Option<Arc<CaType>>,
}

/// Idle connections to the upstream are closed after this time.
const IDLE: Duration = Duration::from_mins(1);

impl UpstreamPeers {
    /// Resolves the host once; failing that, requests are answered 502 until it resolves.
    ///
    /// # Errors
    /// When the CA file cannot be used, or the host is empty: an empty name would switch verification off.
    pub async fn new(terms: UpstreamTerms, ca_file: Option<&Path>) -> Result<Self, Fault> {
        if terms.host.is_empty() {
            return Err(Fault::corrupt(
                "upstream.url names no host",
                "an empty name cannot be verified",
            ));
        }
        let ca = ca_file.map(read_ca).transpose()?;
        let peers = Self {
            terms,
            addresses: ArcSwap::from_pointee(Vec::new()),
            next: AtomicUsize::new(0),
            ca,
        };
        peers.resolve().await;
        Ok(peers)
    }

    /// Looks the host up again. What cannot be resolved keeps its last addresses.
    pub async fn resolve(&self) {
        let UpstreamTerms { host, port, .. } = &self.terms;
        if let Ok(ip) = host.parse::<IpAddr>() {
            self.addresses.store(Arc::new(vec![SocketAddr::new(ip, *port)]));
            return;
        }
        match tokio::net::lookup_host((host.as_str(), *port)).await {
            Ok(found) => {
                let found: Vec<SocketAddr> = found.collect();
                if !found.is_empty() {
                    self.addresses.store(Arc::new(found));
                }
            }
            Err(error) => {
                tracing::warn!(host, %error, "could not resolve the upstream's name; its last addresses stay");
            }
        }
    }

    /// How long to wait for an answer.
    pub const fn patience(&self) -> Duration {
        self.terms.response_timeout
    }

    /// The next peer; `None` while the name has never resolved. A `stream` of events may be silent for as long as it
    /// likes.
    pub fn peer(&self, stream: bool) -> Option<HttpPeer> {
        let addresses = self.addresses.load();
        let index = if addresses.len() > 1 {
            self.next.fetch_add(1, Ordering::Relaxed) % addresses.len()
        } else {
            0
        };
        let address = *addresses.get(index)?;
        let sni = if self.terms.tls {
            self.terms.host.clone()
        } else {
            String::new()
        };
        let mut peer = HttpPeer::new(address, self.terms.tls, sni);
        let options = &mut peer.options;
        options.alpn = ALPN::H1;
        options.connection_timeout = Some(self.terms.connect_timeout);
        options.total_connection_timeout = Some(self.terms.connect_timeout);
        options.read_timeout = (!stream).then_some(self.terms.response_timeout);
        options.idle_timeout = Some(IDLE);
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_mins(1),
            interval: Duration::from_secs(10),
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        options.ca.clone_from(&self.ca);
        Some(peer)
    }

    /// The host as the upstream knows itself.
    pub fn authority(&self) -> String {
        let UpstreamTerms { host, port, tls, .. } = &self.terms;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let standard = if *tls { 443 } else { 80 };
        if *port == standard {
            host.clone()
        } else {
            format!("{host}:{port}")
        }
    }
}

fn read_ca(path: &Path) -> Result<Arc<CaType>, Fault> {
    let describe = || format!("could not read the upstream's CA certificates from {}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| Fault::unavailable(describe(), error))?
        .collect();
    let found = found.map_err(|error| Fault::corrupt(describe(), error))?;
    if found.is_empty() {
        return Err(Fault::corrupt(describe(), "there is no certificate in the file"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        // Pingora's own parser would panic on what is no certificate.
        roots
            .add(certificate.clone())
            .map_err(|error| Fault::corrupt(describe(), error))?;
    }
    let wrapped: Vec<_> = found
        .iter()
        .map(|der| WrappedX509::new(der.to_vec(), parse_x509))
        .collect();
    Ok(Arc::from(wrapped))
}
