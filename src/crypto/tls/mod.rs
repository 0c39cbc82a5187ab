//! The TLS that people meet: which certificate answers to which name, read from files that are followed while the
//! gateway runs.

mod certificates;
mod choice;
mod pair;
mod survey;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};

pub use certificates::Certificates;
pub use survey::{Survey, survey};

use crate::config::TlsVersion;

/// How handshakes are made from now on. HTTP/2 is offered before HTTP/1.1.
pub fn terms(certificates: Arc<Certificates>, least: TlsVersion) -> Arc<ServerConfig> {
    let versions = match least {
        TlsVersion::V1_2 => &[&TLS13, &TLS12][..],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let mut terms = ServerConfig::builder_with_protocol_versions(versions)
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    terms.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(terms)
}
