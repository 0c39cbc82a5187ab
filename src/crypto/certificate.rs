//! When a certificate on disk runs out, so that somebody hears of it before browsers do.

use std::path::Path;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::domain::fault::Fault;

/// The end of the first certificate of a PEM file, which is the one that browsers judge.
///
/// # Errors
/// When the file cannot be read, or holds no certificate.
pub fn expiry(path: &Path) -> Result<Timestamp, Fault> {
    let reading = || format!("could not read the end of the certificate in {}", path.display());
    let der = CertificateDer::from_pem_file(path).map_err(|error| Fault::unavailable(reading(), error))?;
    let (_, certificate) =
        x509_parser::parse_x509_certificate(&der).map_err(|error| Fault::corrupt(reading(), error.to_string()))?;
    Timestamp::from_second(certificate.validity().not_after.timestamp())
        .map_err(|error| Fault::corrupt(reading(), error))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_and_what_is_none_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tls.pem");
        assert!(expiry(&file).unwrap_err().to_string().contains("tls.pem"));
        let mut params = CertificateParams::new(vec!["door.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 2, 3);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        std::fs::write(&file, certificate.pem()).unwrap();
        assert_eq!(expiry(&file).unwrap().to_string(), "2031-02-03T00:00:00Z");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(expiry(&file), Err(Fault::Corrupt { .. })));
    }
}
