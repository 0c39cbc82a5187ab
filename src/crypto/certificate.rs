//! What a certificate on disk says: the names it is for, and when it begins and runs out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;

use crate::domain::fault::Fault;

/// The names and the life of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The names it is for, in lower case; `*.example.com` stands for one label. The common name does not count: no
    /// browser looks at it.
    pub names: Vec<String>,
    /// The addresses it is for.
    pub addresses: Vec<IpAddr>,
    /// When it begins.
    pub from: Timestamp,
    /// When it runs out.
    pub until: Timestamp,
}

impl Facts {
    /// Of the first certificate of a PEM file, which is the one that browsers judge.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no certificate.
    pub fn of_file(path: &Path) -> Result<Self, Fault> {
        let reading = || format!("could not read the certificate in {}", path.display());
        let der = CertificateDer::from_pem_file(path).map_err(|error| Fault::unavailable(reading(), error))?;
        Self::of(&der).map_err(|why| Fault::corrupt(reading(), why))
    }

    /// Of a certificate in its binary form.
    ///
    /// # Errors
    /// A sentence that says why it is none.
    pub fn of(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|error| error.to_string())?;
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        let alternatives = certificate
            .subject_alternative_name()
            .map_err(|error| error.to_string())?;
        for name in alternatives.iter().flat_map(|found| &found.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let validity = certificate.validity();
        let time = |seconds| Timestamp::from_second(seconds).map_err(|error| error.to_string());
        Ok(Self {
            names,
            addresses,
            from: time(validity.not_before.timestamp())?,
            until: time(validity.not_after.timestamp())?,
        })
    }

    /// Whether browsers take it for this host (RFC 6125): a name, an address, or an address in brackets.
    pub fn covers(&self, host: &str) -> bool {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.to_ascii_lowercase();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names
            .iter()
            .any(|name| *name == host || name.strip_prefix("*.").is_some_and(|suffix| parent == Some(suffix)))
    }
}

/// Whose a certificate in its binary form is (RFC 4514); `None` when it is none.
pub fn subject(der: &[u8]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(certificate.subject().to_string())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|sixteen| Ipv6Addr::from(sixteen).into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn facts(names: &[&str]) -> Facts {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap();
        Facts::of(certificate.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_and_what_is_none_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tls.pem");
        assert!(Facts::of_file(&file).unwrap_err().to_string().contains("tls.pem"));
        let mut params = CertificateParams::new(vec!["door.example".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2031, 2, 3);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        std::fs::write(&file, certificate.pem()).unwrap();
        assert_eq!(Facts::of_file(&file).unwrap().until.to_string(), "2031-02-03T00:00:00Z");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(Facts::of_file(&file), Err(Fault::Corrupt { .. })));
    }

    #[test]
    fn a_certificate_is_for_its_names_its_addresses_and_one_label_under_a_star() {
        let facts = facts(&["Door.example", "*.office.example", "192.0.2.7", "2001:db8::1"]);
        for covered in [
            "door.example",
            "DOOR.example",
            "a.office.example",
            "192.0.2.7",
            "[2001:db8::1]",
        ] {
            assert!(facts.covers(covered), "{covered}");
        }
        for foreign in [
            "office.example",
            "a.b.office.example",
            "x.door.example",
            "192.0.2.8",
            "2001:db8::2",
            "",
        ] {
            assert!(!facts.covers(foreign), "{foreign}");
        }
    }
}
