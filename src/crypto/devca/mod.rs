//! Certificates for the demo and the tests: an authority made on this machine, and what it vouches for.
//!
//! The authority is confined to the names it was made for (RFC 5280 section 4.2.1.10), so that a
//! browser that trusts it believes nothing else from whoever steals its key.

mod facts;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};

use self::facts::Facts;
use super::durable::{self, Existing};
use super::entropy::OsEntropy;
use crate::domain::fault::Fault;

/// What the demo answers to: its two doors, and the addresses of this machine.
pub const DEMO_NAMES: [&str; 4] = ["localhost", "sekisho.localhost", "127.0.0.1", "::1"];

/// A certificate with less than this left is replaced.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Where the development certificates lie, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevCertificates {
    /// `ca.pem`: the authority, for a browser to trust.
    pub authority: PathBuf,
    /// `demo.pem`: the server's certificate, followed by the authority's.
    pub certificate: PathBuf,
    /// `demo.key`: the server's private key (PKCS#8, 0600).
    pub key: PathBuf,
    /// Whether the authority was made anew, so that whoever trusted the old one has to trust this one.
    pub new_authority: bool,
}

impl DevCertificates {
    /// Makes whatever is missing, broken, for other names or about to expire; changes nothing else.
    /// The authority lasts five years, the server's certificate one.
    ///
    /// # Errors
    /// Says which file cannot be read or written, or that a name is none.
    pub fn ensure(directory: &Path, names: &[&str], now: Timestamp) -> Result<Self, Fault> {
        fs::create_dir_all(directory)
            .map_err(|e| Fault::unavailable(format!("could not make the directory {}", directory.display()), e))?;
        let files = Files {
            authority: directory.join("ca.pem"),
            authority_key: directory.join("ca.key"),
            certificate: directory.join("demo.pem"),
            key: directory.join("demo.key"),
        };
        let wanted = Wanted::new(names, now)?;
        let (authority, new_authority) = match wanted.known_authority(&files)? {
            Some(authority) => (authority, false),
            None => (wanted.make_authority(&files)?, true),
        };
        if new_authority || !wanted.is_served_by(&files, &authority)? {
            wanted.make_certificate(&files, &authority)?;
        }
        Ok(Self {
            authority: files.authority,
            certificate: files.certificate,
            key: files.key,
            new_authority,
        })
    }
}

struct Files {
    authority: PathBuf,
    authority_key: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

struct Authority {
    pem: String,
    key: KeyPair,
    expires: Timestamp,
}

struct Wanted {
    /// Sorted and without repetitions, as [`Facts`] has them.
    names: Vec<String>,
    now: Timestamp,
    today: Date,
}

impl Wanted {
    fn new(names: &[&str], now: Timestamp) -> Result<Self, Fault> {
        let names = facts::normalised(names.iter().map(|name| (*name).to_owned()));
        CertificateParams::new(names.clone())
            .map_err(|e| Fault::unavailable(format!("no certificate can be made for {names:?}"), e))?;
        let today = now.to_zoned(TimeZone::UTC).date();
        Ok(Self { names, now, today })
    }

    fn known_authority(&self, files: &Files) -> Result<Option<Authority>, Fault> {
        let (Some(pem), Some(key)) = (read(&files.authority)?, read(&files.authority_key)?) else {
            return Ok(None);
        };
        let (Some(facts), Ok(key)) = (Facts::read(&pem), KeyPair::from_pem(&key)) else {
            return Ok(None);
        };
        let fits = self.is_current(&facts) && facts.vouches_for == self.names && facts.belongs_to(&key);
        Ok(fits.then_some(Authority {
            pem,
            key,
            expires: facts.not_after,
        }))
    }

    fn is_served_by(&self, files: &Files, authority: &Authority) -> Result<bool, Fault> {
        let (Some(pem), Some(key)) = (read(&files.certificate)?, read(&files.key)?) else {
            return Ok(false);
        };
        let (Some(facts), Ok(key)) = (Facts::read(&pem), KeyPair::from_pem(&key)) else {
            return Ok(false);
        };
        let signer = CertificateParams::default().key_identifier(&authority.key);
        Ok(self.is_current(&facts)
            && facts.names == self.names
            && facts.belongs_to(&key)
            && facts.signed_by.as_deref() == Some(&*signer)
            && pem.ends_with(&authority.pem))
    }

    fn is_current(&self, facts: &Facts) -> bool {
        facts.not_before <= self.now && facts.not_after.duration_since(self.now) >= RENEW_BEFORE
    }

    fn make_authority(&self, files: &Files) -> Result<Authority, Fault> {
        let until = self.today.saturating_add(5.years());
        let made = KeyPair::generate()
            .and_then(|key| Ok((self.authority_params(until).self_signed(&key)?.pem(), key)))
            .map_err(|e| Fault::unavailable("could not make a development authority", e))?;
        let (pem, key) = made;
        write(&files.authority_key, &key.serialize_pem(), 0o600)?;
        write(&files.authority, &pem, 0o644)?;
        let expires = Facts::read(&pem).map_or(self.now, |facts| facts.not_after);
        Ok(Authority { pem, key, expires })
    }

    fn make_certificate(&self, files: &Files, authority: &Authority) -> Result<(), Fault> {
        let last_day = authority.expires.to_zoned(TimeZone::UTC).date();
        let until = self.today.saturating_add(365.days()).min(last_day);
        let issuer_params = self.authority_params(last_day);
        let issuer = Issuer::from_params(&issuer_params, &authority.key);
        let (certificate, key) = self
            .certificate_params(until)
            .and_then(|params| {
                let key = KeyPair::generate()?;
                Ok((params.signed_by(&key, &issuer)?, key))
            })
            .map_err(|e| Fault::unavailable("could not make a development certificate", e))?;
        write(&files.key, &key.serialize_pem(), 0o600)?;
        write(
            &files.certificate,
            &format!("{}{}", certificate.pem(), authority.pem),
            0o644,
        )
    }

    fn authority_params(&self, until: Date) -> CertificateParams {
        let mut params = self.dated(CertificateParams::default(), until, "Sekisho development authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: self.names.iter().map(|name| subtree(name)).collect(),
            excluded_subtrees: Vec::new(),
        });
        params
    }

    fn certificate_params(&self, until: Date) -> Result<CertificateParams, rcgen::Error> {
        let params = CertificateParams::new(self.names.clone())?;
        let mut params = self.dated(params, until, "Sekisho development certificate");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    /// Valid from yesterday, so that a clock somewhat behind still accepts it.
    fn dated(&self, mut params: CertificateParams, until: Date, name: &str) -> CertificateParams {
        let midnight = |date: Date| {
            date_time_ymd(
                date.year().into(),
                date.month().unsigned_abs(),
                date.day().unsigned_abs(),
            )
        };
        params.not_before = midnight(self.today.saturating_sub(1.day()));
        params.not_after = midnight(until);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }
}

fn subtree(name: &str) -> GeneralSubtree {
    match name.parse() {
        Ok(address @ IpAddr::V4(_)) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 32)),
        Ok(address @ IpAddr::V6(_)) => GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 128)),
        Err(_) => GeneralSubtree::DnsName(name.to_owned()),
    }
}

fn read(path: &Path) -> Result<Option<String>, Fault> {
    match fs::read_to_string(path) {
        // What is not even text is broken, and made anew.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
        Err(e) => Err(Fault::unavailable(format!("could not read {}", path.display()), e)),
        Ok(text) => Ok(Some(text)),
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Fault> {
    durable::write(path, text.as_bytes(), mode, Existing::Replace, &OsEntropy)
        .map_err(|e| Fault::unavailable(format!("could not write {}", path.display()), e))
}

#[cfg(test)]
mod tests;
