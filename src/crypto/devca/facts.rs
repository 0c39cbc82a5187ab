//! What a certificate on disk says, as far as it decides whether to keep it.

use std::net::IpAddr;

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

/// Facts about the first certificate of a PEM file.
pub struct Facts {
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// The names and addresses it is for; see [`normalised`].
    pub names: Vec<String>,
    /// The names and addresses it may vouch for; see [`normalised`].
    pub vouches_for: Vec<String>,
    /// Identifier of the key that signed it.
    pub signed_by: Option<Vec<u8>>,
    public_key: Vec<u8>,
}

impl Facts {
    /// `None` for what is not a certificate.
    pub fn read(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
            names: normalised(own_names(&certificate)),
            vouches_for: normalised(permitted_names(&certificate)),
            signed_by: signer(&certificate),
            public_key: certificate.public_key().raw.to_vec(),
        })
    }

    /// Whether this is the private key of the certificate.
    pub fn belongs_to(&self, key: &KeyPair) -> bool {
        self.public_key == key.subject_public_key_info()
    }
}

/// Names as they compare: each once, in order.
pub fn normalised(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    names
}

fn own_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    match certificate.subject_alternative_name() {
        Ok(Some(extension)) => extension.value.general_names.iter().filter_map(name).collect(),
        _ => Vec::new(),
    }
}

fn permitted_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    match certificate.name_constraints() {
        Ok(Some(extension)) => {
            let subtrees = extension.value.permitted_subtrees.iter().flatten();
            subtrees.filter_map(|subtree| name(&subtree.base)).collect()
        }
        _ => Vec::new(),
    }
}

fn signer(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
            _ => None,
        })
        .map(|identifier| identifier.0.to_vec())
}

/// A constraint on addresses carries a mask after the address; ours always cover one address.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 | 8 => bytes[..4].try_into().ok().map(|octets: [u8; 4]| octets.into()),
        16 | 32 => bytes[..16].try_into().ok().map(|octets: [u8; 16]| octets.into()),
        _ => None,
    }
}
