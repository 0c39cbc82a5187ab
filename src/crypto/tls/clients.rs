//! Certificates of clients: whose authorities are believed, and whether a connection may do without.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::domain::fault::Fault;

/// Verifies against the authorities of a PEM file.
///
/// # Errors
/// When the file cannot be read, or holds no certificate that can vouch for others.
pub fn verifier(authorities: &Path, required: bool) -> Result<Arc<dyn ClientCertVerifier>, Fault> {
    let reading = || {
        format!(
            "could not read the authorities of client certificates in {}",
            authorities.display()
        )
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(authorities)
        .map_err(|error| Fault::unavailable(reading(), error))?
        .collect();
    let mut roots = RootCertStore::empty();
    for certificate in certificates.map_err(|error| Fault::corrupt(reading(), error))? {
        roots
            .add(certificate)
            .map_err(|error| Fault::corrupt(reading(), error))?;
    }
    let provider = CryptoProvider::get_default()
        .ok_or_else(|| Fault::corrupt("no TLS provider is installed", "this is a fault of the gateway"))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = if required {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    verifier.build().map_err(|error| Fault::corrupt(reading(), error))
}
