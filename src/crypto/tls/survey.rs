//! Whether the certificates on disk can serve the doors; for `config check` and the log at start.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::config::TlsFiles;
use crate::domain::fault::Fault;

use super::pair::Pair;

/// A certificate that runs out sooner is spoken of: renewals are due at a third of their life, a month for most.
pub const SOON: SignedDuration = SignedDuration::from_hours(21 * 24);

/// What is wrong with the certificates.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What keeps the gateway from starting.
    pub errors: Vec<String>,
    /// What browsers will complain about.
    pub warnings: Vec<String>,
}

/// Looks at the pairs, the first of which serves who asks for no name, and at who asks for these hosts.
pub fn survey(files: &[TlsFiles], hosts: &[&str], now: Timestamp) -> Survey {
    let mut survey = Survey::default();
    let mut pairs = Vec::with_capacity(files.len());
    for files in files {
        match Pair::read(files) {
            Ok(pair) => {
                survey.warnings.extend(ageing(files, &pair, now));
                pairs.push(pair);
            }
            Err(fault) => survey.errors.push(Fault::chain(&fault)),
        }
    }
    if survey.errors.is_empty() {
        let mut hosts = hosts.to_vec();
        hosts.sort_unstable();
        hosts.dedup();
        survey
            .warnings
            .extend(hosts.into_iter().filter_map(|host| bare(&pairs, host)));
    }
    survey
}

fn ageing(files: &TlsFiles, pair: &Pair, now: Timestamp) -> Option<String> {
    let (file, facts) = (files.certificate.display(), &pair.facts);
    if facts.until <= now {
        Some(format!(
            "the certificate in {file} ran out at {}; browsers turn people away",
            facts.until
        ))
    } else if facts.from > now {
        Some(format!(
            "the certificate in {file} is not valid before {}; browsers turn people away",
            facts.from
        ))
    } else if facts.until.duration_since(now) <= SOON {
        Some(format!(
            "the certificate in {file} runs out at {}; renew it",
            facts.until
        ))
    } else {
        None
    }
}

/// A complaint about a host that no certificate is for.
fn bare(pairs: &[Pair], host: &str) -> Option<String> {
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    // Nobody asks for an address by name, so the first certificate is the answer.
    let candidates = if is_address { pairs.get(..1)? } else { pairs };
    if candidates.iter().any(|pair| pair.facts.covers(host)) {
        return None;
    }
    let first = if is_address {
        "the first certificate is not"
    } else {
        "no certificate is"
    };
    Some(format!("{first} for the door {host}; browsers turn people away there"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_door_without_a_certificate_and_a_certificate_near_its_end_are_spoken_of() {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: directory.path().join("tls.pem"),
            key: directory.path().join("tls.key"),
        };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["in.example".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
        std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        let at = |now: &str, hosts: &[&str]| survey(std::slice::from_ref(&files), hosts, now.parse().unwrap());
        let well = "2026-06-01T00:00:00Z";
        assert_eq!(at(well, &["in.example", "192.0.2.7"]), Survey::default());
        for (now, hosts, words) in [
            (
                well,
                &["out.example", "out.example"][..],
                "no certificate is for the door out.example",
            ),
            (
                well,
                &["192.0.2.8"],
                "the first certificate is not for the door 192.0.2.8",
            ),
            ("2026-12-12T00:00:00Z", &[], "runs out at 2027-01-01"),
            ("2027-01-01T00:00:00Z", &[], "ran out at"),
            ("2025-12-31T00:00:00Z", &[], "is not valid before"),
        ] {
            let found = at(now, hosts);
            assert!(found.errors.is_empty() && found.warnings.len() == 1, "{found:?}");
            assert!(found.warnings[0].contains(words), "{found:?}");
        }
        std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(at(well, &[]).errors[0].contains("do not belong together"));
    }
}
