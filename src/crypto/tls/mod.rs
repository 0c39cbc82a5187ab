//! The TLS that people meet: which certificate answers to which name, read from files that are followed while the
//! gateway runs.

mod certificates;
mod choice;
mod clients;
mod pair;
mod survey;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};

pub use certificates::Certificates;
pub use clients::verifier as client_verifier;
pub use survey::{Survey, survey};

use crate::config::TlsVersion;

/// How handshakes are made from now on. HTTP/2 is offered before HTTP/1.1.
/// Clients are asked for a certificate where there is somebody to verify it.
pub fn terms(
    certificates: Arc<Certificates>,
    least: TlsVersion,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Arc<ServerConfig> {
    let versions = match least {
        TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let (terms, asks) = (
        ServerConfig::builder_with_protocol_versions(versions),
        clients.is_some(),
    );
    let terms = match clients {
        Some(verifier) => terms.with_client_cert_verifier(verifier),
        None => terms.with_no_client_auth(),
    };
    let mut terms = terms.with_cert_resolver(certificates);
    if asks {
        // A resumed session would carry on with a certificate that nobody looks at again.
        terms.session_storage = Arc::new(NoServerSessionStorage {});
        terms.send_tls13_tickets = 0;
    }
    terms.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(terms)
}
