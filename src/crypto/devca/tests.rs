//! The development certificates as a TLS client that trusts the authority sees them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::*;
use crate::domain::token::TokenDigest;

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + days * 86_400).unwrap()
}

/// Every file by its digest, so that a failing test prints no key.
fn contents(directory: &Path) -> BTreeMap<String, TokenDigest> {
    let digest = |path: &Path| TokenDigest::from_bytes(Sha256::digest(fs::read(path).unwrap()).into());
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), digest(&entry.path())))
        .collect()
}

fn ensure(directory: &Path, days: i64) -> DevCertificates {
    DevCertificates::ensure(directory, &DEMO_NAMES, at(days)).unwrap()
}

/// Judges as a browser does that trusts the authority and nothing else.
fn trusts(authority: &Path, chain: &[CertificateDer<'static>], name: &str, now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .build()
        .unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(&chain[0], &chain[1..], &name, &[], now)
        .is_ok()
}

fn chain(certificates: &DevCertificates) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(&certificates.certificate)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn a_browser_that_trusts_the_authority_accepts_every_name_and_no_other() {
    let home = tempfile::tempdir().unwrap();
    let made = ensure(&home.path().join("certs"), 0);
    let chain = chain(&made);
    assert_eq!(chain.len(), 2);
    for name in DEMO_NAMES {
        assert!(trusts(&made.authority, &chain, name, at(0)), "{name}");
        assert!(trusts(&made.authority, &chain, name, at(364)), "{name}");
    }
    assert!(!trusts(&made.authority, &chain, "bank.example", at(0)));
    assert!(!trusts(&made.authority, &chain, "localhost", at(366)));
    let key = PrivateKeyDer::from_pem_file(&made.key).unwrap();
    assert!(rustls::sign::CertifiedKey::from_der(chain, key, &default_provider()).is_ok());
}

#[test]
fn a_stolen_authority_vouches_for_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let made = ensure(home.path(), 0);
    let wanted = Wanted::new(&DEMO_NAMES, at(0)).unwrap();
    let key = KeyPair::from_pem(&fs::read_to_string(home.path().join("ca.key")).unwrap()).unwrap();
    let issuer_params = wanted.authority_params(wanted.today);
    let issuer = Issuer::from_params(&issuer_params, &key);
    for (name, believed) in [("localhost", true), ("bank.example", false), ("192.0.2.1", false)] {
        let victim = Wanted::new(&[name], at(0)).unwrap();
        let until = victim.today.saturating_add(10.days());
        let forged = victim
            .certificate_params(until)
            .unwrap()
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        assert_eq!(
            trusts(&made.authority, &[forged.der().clone()], name, at(0)),
            believed,
            "{name}"
        );
    }
}

#[test]
fn a_second_call_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let first = ensure(home.path(), 0);
    let before = contents(home.path());
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        ["ca.key", "ca.pem", "demo.key", "demo.pem"]
    );
    let second = ensure(home.path(), 334);
    assert_eq!(contents(home.path()), before);
    assert!(first.new_authority && !second.new_authority);
    // The order of the names and their case are no difference.
    DevCertificates::ensure(
        home.path(),
        &["::1", "127.0.0.1", "Sekisho.localhost", "localhost"],
        at(1),
    )
    .unwrap();
    assert_eq!(contents(home.path()), before);
}

#[test]
fn private_keys_are_private() {
    let home = tempfile::tempdir().unwrap();
    ensure(home.path(), 0);
    for key in ["ca.key", "demo.key"] {
        let mode = fs::metadata(home.path().join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[test]
fn a_certificate_about_to_expire_is_renewed_under_the_same_authority() {
    let home = tempfile::tempdir().unwrap();
    ensure(home.path(), 0);
    let before = contents(home.path());
    let renewed = ensure(home.path(), 336);
    let after = contents(home.path());
    assert!(!renewed.new_authority);
    assert_eq!(after["ca.pem"], before["ca.pem"]);
    assert_ne!(after["demo.pem"], before["demo.pem"]);
    assert!(trusts(&renewed.authority, &chain(&renewed), "localhost", at(700)));
}

#[test]
fn an_authority_about_to_expire_is_replaced_and_no_certificate_outlives_it() {
    let home = tempfile::tempdir().unwrap();
    ensure(home.path(), 0);
    let late = ensure(home.path(), 5 * 365 - 40);
    assert!(!late.new_authority);
    let leaf = Facts::read(&fs::read_to_string(&late.certificate).unwrap()).unwrap();
    let authority = Facts::read(&fs::read_to_string(&late.authority).unwrap()).unwrap();
    assert_eq!(leaf.not_after, authority.not_after);
    let replaced = ensure(home.path(), 5 * 365 - 10);
    assert!(replaced.new_authority);
    assert!(trusts(
        &replaced.authority,
        &chain(&replaced),
        "localhost",
        at(5 * 365 + 300)
    ));
}

#[test]
fn other_names_get_their_own_authority() {
    let home = tempfile::tempdir().unwrap();
    ensure(home.path(), 0);
    let other = DevCertificates::ensure(home.path(), &["localhost", "gate.test"], at(0)).unwrap();
    assert!(other.new_authority);
    assert!(trusts(&other.authority, &chain(&other), "gate.test", at(0)));
    assert!(!trusts(&other.authority, &chain(&other), "127.0.0.1", at(0)));
}

#[test]
fn a_broken_or_missing_or_mismatched_file_is_mended() {
    for (file, broken) in [
        ("demo.key", None),
        (
            "demo.pem",
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ),
        ("demo.key", Some(KeyPair::generate().unwrap().serialize_pem().as_str())),
        ("ca.key", Some(KeyPair::generate().unwrap().serialize_pem().as_str())),
        ("ca.pem", Some("")),
    ] {
        let home = tempfile::tempdir().unwrap();
        ensure(home.path(), 0);
        let path = home.path().join(file);
        match broken {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let mended = ensure(home.path(), 0);
        assert_eq!(mended.new_authority, file.starts_with("ca."), "{file}");
        let chain = chain(&mended);
        assert!(trusts(&mended.authority, &chain, "localhost", at(0)), "{file}");
        let key = PrivateKeyDer::from_pem_file(&mended.key).unwrap();
        assert!(
            rustls::sign::CertifiedKey::from_der(chain, key, &default_provider()).is_ok(),
            "{file}"
        );
    }
}

#[test]
fn what_cannot_be_read_or_named_is_said() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("ca.pem")).unwrap();
    let fault = DevCertificates::ensure(home.path(), &DEMO_NAMES, at(0)).unwrap_err();
    assert!(fault.to_string().contains("ca.pem"), "{fault}");
    let fault = DevCertificates::ensure(home.path(), &["näme"], at(0)).unwrap_err();
    assert!(fault.to_string().contains("näme"), "{fault}");
}
