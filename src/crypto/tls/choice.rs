//! Which certificate answers to the name a client asks for.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use super::pair::Pair;

/// The certificates by their names: the exact name first, then a wildcard, then the first certificate of all.
#[derive(Debug, Default)]
pub struct Choice {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows the star and its dot.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// In the order of the configuration.
    all: Vec<Arc<CertifiedKey>>,
}

impl Choice {
    /// Among these, the first of which also serves who asks for no name or for a foreign one: such a request is refused
    /// by its `Host`, and a browser says more about a certificate than about a connection that failed.
    pub fn among<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Self {
        let mut choice = Self::default();
        for pair in pairs {
            for name in &pair.facts.names {
                let (place, name) = match name.strip_prefix("*.") {
                    Some(suffix) => (&mut choice.wildcard, suffix),
                    None => (&mut choice.exact, name.as_str()),
                };
                place.entry(name.to_owned()).or_default().push(Arc::clone(&pair.key));
            }
            choice.all.push(Arc::clone(&pair.key));
        }
        // A signature with RSA costs ten times as much: it is for clients that know nothing else.
        for keys in choice.exact.values_mut().chain(choice.wildcard.values_mut()) {
            keys.sort_by_key(|key| key.key.algorithm() == SignatureAlgorithm::RSA);
        }
        choice
    }

    /// The certificate for a client that asks for `name` and verifies signatures of these kinds.
    pub fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let parent = || self.wildcard.get(name.split_once('.')?.1);
            self.exact.get(name).or_else(parent)
        });
        let candidates = named.unwrap_or(&self.all);
        candidates
            .iter()
            .find(|key| key.key.choose_scheme(schemes).is_some())
            .or_else(|| candidates.first())
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm as Algorithm};

    use super::*;
    use crate::config::TlsFiles;

    const MODERN: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];
    const OLD: &[SignatureScheme] = &[SignatureScheme::RSA_PKCS1_SHA256];

    fn pair(names: &[&str], algorithm: &'static Algorithm) -> Pair {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: directory.path().join("tls.pem"),
            key: directory.path().join("tls.key"),
        };
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        Pair::read(&files).unwrap()
    }

    fn number(pairs: &[Pair], name: Option<&str>, schemes: &[SignatureScheme]) -> Option<usize> {
        let chosen = Choice::among(pairs.iter()).choose(name, schemes)?;
        pairs.iter().position(|pair| Arc::ptr_eq(&pair.key, &chosen))
    }

    #[test]
    fn the_exact_name_comes_before_the_wildcard_and_the_first_certificate_serves_the_rest() {
        let pairs = [
            pair(&["first.example"], &PKCS_ECDSA_P256_SHA256),
            pair(&["*.office.example"], &PKCS_ECDSA_P256_SHA256),
            pair(&["phone.office.example"], &PKCS_ECDSA_P256_SHA256),
        ];
        for (name, expected) in [
            (Some("phone.office.example"), 2),
            (Some("desk.office.example"), 1),
            (Some("a.desk.office.example"), 0),
            (Some("office.example"), 0),
            (Some("first.example"), 0),
            (None, 0),
        ] {
            assert_eq!(number(&pairs, name, MODERN), Some(expected), "{name:?}");
        }
        assert_eq!(number(&[], None, MODERN), None);
    }

    #[test]
    fn of_two_certificates_for_one_name_the_client_gets_the_one_it_can_verify() {
        let pairs = [
            pair(&["door.example"], &PKCS_RSA_SHA256),
            pair(&["door.example"], &PKCS_ECDSA_P256_SHA256),
        ];
        assert_eq!(number(&pairs, Some("door.example"), MODERN), Some(1));
        assert_eq!(number(&pairs, Some("door.example"), OLD), Some(0));
    }
}
