//! Whom the gateway believes to be the upstream, and how it proves itself to it: certificates and keys from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::domain::fault::Fault;

/// A certificate of the gateway's own, for upstreams that ask for one.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// PEM file with the certificate, followed by its intermediates.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

/// The certificates of those who may vouch for the upstream.
///
/// # Errors
/// When the file cannot be read, or holds what is no such certificate.
pub fn read_ca(path: &Path) -> Result<Arc<CaType>, Fault> {
    let describe = || format!("could not read the upstream's CA certificates from {}", path.display());
    let found = certificates(path, &describe)?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
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

/// The certificate the gateway shows, with its key.
///
/// # Errors
/// When the files cannot be read, or do not belong together.
pub fn read_client(files: &ClientFiles) -> Result<Arc<CertKey>, Fault> {
    let describe = || {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        format!("could not use the certificate {certificate} with the key {key} towards the upstream")
    };
    let chain = certificates(&files.certificate, &describe)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| Fault::corrupt(describe(), error))?;
    let bytes = key.secret_der().to_vec();
    // Pingora takes the bytes alone and would panic on those whose form it does not see.
    PrivateKeyDer::try_from(bytes.as_slice()).map_err(|error| Fault::corrupt(describe(), error))?;
    CertifiedKey::from_der(chain.clone(), key, &default_provider())
        .map_err(|error| Fault::corrupt(describe(), error))?;
    let chain = chain.iter().map(|der| der.to_vec()).collect();
    Ok(Arc::new(CertKey::new(chain, bytes)))
}

/// Every certificate of a file, each readable by Pingora's parser, which would panic on what is none.
fn certificates(path: &Path, describe: &dyn Fn() -> String) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| Fault::unavailable(describe(), error))?
        .collect();
    let found = found.map_err(|error| Fault::corrupt(describe(), error))?;
    if found.is_empty() {
        return Err(Fault::corrupt(describe(), "there is no certificate in the file"));
    }
    for certificate in &found {
        x509_parser::parse_x509_certificate(certificate).map_err(|error| Fault::corrupt(describe(), error))?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(certificate: &str, key: &str) -> (tempfile::TempDir, ClientFiles) {
        let dir = tempfile::tempdir().unwrap();
        let files = ClientFiles {
            certificate: dir.path().join("client.pem"),
            key: dir.path().join("client.key"),
        };
        fs::write(&files.certificate, certificate).unwrap();
        fs::write(&files.key, key).unwrap();
        (dir, files)
    }

    #[test]
    fn a_certificate_is_used_with_its_own_key_alone() {
        let one = rcgen::generate_simple_self_signed(["gateway".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
        let (_dir, good) = files(&one.cert.pem(), &one.signing_key.serialize_pem());
        assert!(read_client(&good).is_ok());
        for (certificate, key) in [
            (one.cert.pem(), other.signing_key.serialize_pem()),
            (one.cert.pem(), String::new()),
            (String::new(), one.signing_key.serialize_pem()),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
                one.signing_key.serialize_pem(),
            ),
        ] {
            let (_dir, bad) = files(&certificate, &key);
            assert!(read_client(&bad).is_err(), "{certificate}");
        }
    }

    #[test]
    fn a_file_without_certificates_vouches_for_nobody() {
        let one = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
        let (_dir, good) = files(&one.cert.pem(), "");
        assert_eq!(read_ca(&good.certificate).map(|found| found.len()).ok(), Some(1));
        assert!(read_ca(&good.key).is_err());
    }
}
