//! Each flaw is the only one, and nothing that is signed speaks of anybody.

use std::collections::HashSet;

use super::*;
use crate::crypto::jwt::{AssertionVerifier, VerifyProblem, make_key};
use crate::crypto::secrets::SealingKey;
use crate::domain::account::Extension;
use crate::domain::key::{KeyRecord, SigningAlgorithm};

const NOW: i64 = 1_800_000_000;
const FLAWS: [Flaw; 24] = [
    Flaw::ForeignSignature,
    Flaw::AlteredClaims,
    Flaw::CutSignature,
    Flaw::EmptySignature,
    Flaw::ZeroSignature,
    Flaw::AlgNone("none"),
    Flaw::AlgNone("nOnE"),
    Flaw::HmacWithPublicKey(Form::Pem),
    Flaw::HmacWithPublicKey(Form::Der),
    Flaw::UnknownKid,
    Flaw::NoKid,
    Flaw::OtherKid,
    Flaw::KeyInside,
    Flaw::CertificateInside,
    Flaw::KeyElsewhere,
    Flaw::CertificateElsewhere,
    Flaw::LongExpired,
    Flaw::JustExpired,
    Flaw::NotYetValid,
    Flaw::OtherAudience,
    Flaw::NoAudience,
    Flaw::OtherIssuer,
    Flaw::OtherType,
    Flaw::Critical,
];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn sealing() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn record(algorithm: SigningAlgorithm, made: i64) -> KeyRecord {
    make_key(algorithm, at(made), &sealing()).unwrap()
}

fn terms() -> AssertionTerms {
    AssertionTerms {
        issuer: "https://door.example.org".to_owned(),
        audience: "web".to_owned(),
        life: Duration::from_mins(5),
    }
}

fn forger(records: Vec<KeyRecord>) -> (Forger, AssertionVerifier) {
    let ring = KeyRing::load(records, &sealing()).unwrap();
    let jwks: JwkSet = serde_json::from_slice(&ring.jwks_json()).unwrap();
    let verifier = AssertionVerifier::new(&jwks, &terms().issuer, &terms().audience);
    let forger = Forger::new(ring, terms(), "http://192.0.2.1:1".to_owned()).unwrap();
    (forger, verifier)
}

fn two_keys(algorithm: SigningAlgorithm) -> Vec<KeyRecord> {
    let mut old = record(algorithm, NOW - 100);
    old.retired_at = Some(at(NOW - 50));
    vec![old, record(algorithm, NOW - 50)]
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn the_genuine_one_is_accepted_and_each_flaw_is_refused() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let (forger, verifier) = forger(two_keys(algorithm));
        let genuine = forger.genuine(at(NOW)).unwrap();
        verifier.verify(&genuine, at(NOW)).unwrap();
        let mut problems = HashSet::new();
        for flaw in FLAWS {
            let token = forger.flawed(flaw, at(NOW)).unwrap().unwrap();
            let problem = verifier.verify(&token, at(NOW)).unwrap_err();
            problems.insert(std::mem::discriminant(&problem));
        }
        // Form, type, crit, algorithm, kid missing, kid unknown, signature, claims, issuer, audience, two of time.
        assert!(problems.len() >= 10, "each is refused for its own reason");
    }
}

#[test]
fn what_the_real_key_signs_fails_by_its_one_flaw_alone() {
    let (forger, verifier) = forger(two_keys(SigningAlgorithm::Es256));
    let problem = |flaw| {
        let token = forger.flawed(flaw, at(NOW)).unwrap().unwrap();
        verifier.verify(&token, at(NOW)).unwrap_err()
    };
    assert_eq!(problem(Flaw::LongExpired), VerifyProblem::Expired(3600));
    assert_eq!(problem(Flaw::JustExpired), VerifyProblem::Expired(90));
    assert_eq!(problem(Flaw::NotYetValid), VerifyProblem::NotYetValid(3600));
    assert_eq!(
        problem(Flaw::OtherAudience),
        VerifyProblem::Audience("web.other".into())
    );
    let issuer = "https://door.example.org.other".to_owned();
    assert_eq!(problem(Flaw::OtherIssuer), VerifyProblem::Issuer(issuer));
    assert_eq!(problem(Flaw::OtherType), VerifyProblem::Type(Some("at+jwt".into())));
    assert_eq!(problem(Flaw::Critical), VerifyProblem::Critical);
    assert_eq!(problem(Flaw::OtherKid), VerifyProblem::Signature);
}

#[test]
fn nothing_that_is_signed_speaks_of_anybody_or_lasts() {
    let (forger, _) = forger(two_keys(SigningAlgorithm::Es256));
    let genuine = forger.genuine(at(NOW)).unwrap();
    let flawed = FLAWS.map(|flaw| forger.flawed(flaw, at(NOW)).unwrap().unwrap());
    for token in flawed.iter().chain([&genuine]) {
        let claims = part(token, 1);
        assert_eq!((&claims["sub"], &claims["ext"]), (&NOBODY.into(), &NO_EXTENSION.into()));
        assert_eq!(claims["groups"], json!([]));
        assert!(claims["exp"].as_i64().unwrap() <= NOW + 30, "{claims}");
        let never = claims["nbf"].as_i64() > claims["exp"].as_i64();
        assert!(
            never || claims["nbf"].as_i64().unwrap() <= NOW,
            "nothing becomes valid later: {claims}"
        );
    }
    assert!(Extension::parse(NO_EXTENSION).is_err());
    let id = uuid::Uuid::parse_str(NOBODY).unwrap();
    assert_ne!(id.get_version_num(), 7, "every account has an id of version 7");
}

#[test]
fn the_kid_of_another_key_takes_two_published_ones() {
    let (forger, _) = forger(vec![record(SigningAlgorithm::Es256, NOW)]);
    assert_eq!(forger.flawed(Flaw::OtherKid, at(NOW)).unwrap(), None);
}

#[test]
fn the_public_key_is_written_as_others_write_it() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let ring = KeyRing::load(vec![record(algorithm, NOW)], &sealing()).unwrap();
        let stranger = StrangersKey::like(&ring).unwrap();
        // Its certificate was written by another library, and holds the same bytes.
        let der = spki(&stranger.jwk);
        assert!(stranger.certificate.windows(der.len()).any(|window| window == der));
        let text = pem("PUBLIC KEY", &der);
        let parsed: rustls_pki_types::SubjectPublicKeyInfoDer<'_> =
            rustls_pki_types::pem::PemObject::from_pem_slice(text.as_bytes()).unwrap();
        assert_eq!(&*parsed, &der[..]);
    }
}

#[test]
fn the_lure_serves_what_its_tokens_point_at() {
    let (forger, _) = forger(vec![record(SigningAlgorithm::Es256, NOW)]);
    let token = forger.flawed(Flaw::KeyElsewhere, at(NOW)).unwrap().unwrap();
    let set: JwkSet = serde_json::from_str(&forger.strangers_jwks()).unwrap();
    assert_eq!(part(&token, 0)["jku"], "http://192.0.2.1:1/jwks.json");
    let fooled = AssertionVerifier::new(&set, &terms().issuer, &terms().audience);
    fooled.verify(&token, at(NOW)).unwrap();
}
