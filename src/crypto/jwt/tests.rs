//! Assertions from the signing to the verdict, and every way to get one wrong.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::AlgorithmParameters;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::crypto::secrets::SealingKey;
use crate::domain::key::{KeyRecord, SigningAlgorithm};

const ISSUER: &str = "https://door.example.org";
const AUDIENCE: &str = "sekisho-upstream";
const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn sealing() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn key(algorithm: SigningAlgorithm, made: i64) -> KeyRecord {
    make_key(algorithm, at(made), &sealing()).unwrap()
}

fn signer(records: Vec<KeyRecord>) -> JwtSigner {
    JwtSigner::new(KeyRing::load(records, &sealing()).unwrap())
}

fn verifier(signer: &JwtSigner) -> AssertionVerifier {
    let jwks: JwkSet = serde_json::from_slice(&signer.jwks_json()).unwrap();
    AssertionVerifier::new(&jwks, ISSUER, AUDIENCE)
}

fn assertion() -> Assertion {
    Assertion {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: "0199b7a0-0000-7000-8000-000000000001".to_owned(),
        sid: Some("0199b7a0-0000-7000-8000-000000000002".to_owned()),
        client_id: None,
        jti: "0199b7a0-0000-7000-8000-000000000003".to_owned(),
        iat: NOW,
        nbf: NOW,
        exp: NOW + 60,
        auth_time: Some(NOW - 100),
        amr: vec!["pwd".to_owned()],
        ext: Some("101".to_owned()),
        name: "田中 ゆき\r\nX-Injected: 🦀".to_owned(),
        email: None,
        groups: vec!["support".to_owned()],
        cnf: None,
        cert_subject: None,
    }
}

fn sign(signer: &JwtSigner, assertion: &Assertion) -> String {
    String::from_utf8(signer.sign(assertion).unwrap().to_vec()).unwrap()
}

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&B64.decode(part).unwrap()).unwrap()
}

fn encoded(part: &Value) -> String {
    B64.encode(part.to_string())
}

/// The token with changed header and claims, properly signed by the current key of the ring.
fn resigned(
    record: &KeyRecord,
    token: &str,
    header: impl FnOnce(&mut Value),
    claims: impl FnOnce(&mut Value),
) -> String {
    let [head, payload, _] = parts(token);
    let (mut head, mut payload) = (decoded(&head), decoded(&payload));
    header(&mut head);
    claims(&mut payload);
    let message = format!("{}.{}", encoded(&head), encoded(&payload));
    let private = crate::crypto::seal::open(&sealing(), &record.kid, &record.sealed).unwrap();
    let key = jsonwebtoken::EncodingKey::from_ec_der(&private);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

fn unchanged(_: &mut Value) {}

#[rstest]
#[case(SigningAlgorithm::Es256, "EC", "P-256")]
#[case(SigningAlgorithm::EdDsa, "OKP", "Ed25519")]
fn an_assertion_survives_the_round_trip_under_the_published_key(
    #[case] algorithm: SigningAlgorithm,
    #[case] kty: &str,
    #[case] crv: &str,
) {
    let record = key(algorithm, NOW);
    let signer = signer(vec![record.clone()]);
    let token = sign(&signer, &assertion());
    assert_eq!(verifier(&signer).verify(&token, at(NOW + 1)), Ok(assertion()));
    let [head, payload, signature] = parts(&token);
    assert_eq!(
        decoded(&head),
        json!({"alg": algorithm.as_str(), "typ": "JWT", "kid": record.kid})
    );
    assert_eq!(decoded(&payload)["name"], assertion().name);
    assert_eq!(B64.decode(signature).unwrap().len(), 64);
    assert!(http::HeaderValue::from_str(&token).is_ok());

    let jwks = serde_json::from_slice::<Value>(&signer.jwks_json()).unwrap();
    let jwk = &jwks["keys"][0];
    assert_eq!(*jwk, serde_json::from_str::<Value>(&record.public_jwk).unwrap());
    assert_eq!(
        [&jwk["kty"], &jwk["crv"], &jwk["alg"], &jwk["use"], &jwk["kid"]],
        [kty, crv, algorithm.as_str(), "sig", &record.kid]
    );
    assert!(jwk.get("d").is_none() && jwk["x"].is_string());
    assert_eq!(jwk.get("y").is_some(), kty == "EC");
}

#[test]
fn the_kid_is_the_thumbprint_of_rfc_7638() {
    use sha2::{Digest, Sha256};
    let record = key(SigningAlgorithm::Es256, NOW);
    let jwk: Value = serde_json::from_str(&record.public_jwk).unwrap();
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    assert_eq!(record.kid, B64.encode(Sha256::digest(canonical)));
}

#[test]
fn the_newest_key_in_force_signs_whatever_the_order() {
    let (old, new) = (
        key(SigningAlgorithm::Es256, NOW - 9),
        key(SigningAlgorithm::EdDsa, NOW - 5),
    );
    let mut retired = key(SigningAlgorithm::Es256, NOW);
    retired.retired_at = Some(at(NOW));
    for records in [
        vec![old.clone(), new.clone(), retired.clone()],
        vec![retired, new.clone(), old],
    ] {
        let signer = signer(records);
        assert_eq!(signer.current_kid(), new.kid);
        let jwks: JwkSet = serde_json::from_slice(&signer.jwks_json()).unwrap();
        assert_eq!(jwks.keys.len(), 3);
    }
}

#[test]
fn a_token_of_the_key_before_verifies_with_the_new_key_set() {
    let mut old = key(SigningAlgorithm::Es256, NOW - 100);
    let signer = signer(vec![old.clone()]);
    let before = sign(&signer, &assertion());
    let outdated = verifier(&signer);

    let new = key(SigningAlgorithm::EdDsa, NOW);
    old.retired_at = Some(at(NOW));
    signer.replace(KeyRing::load(vec![new.clone(), old], &sealing()).unwrap());
    let after = sign(&signer, &assertion());

    assert!(verifier(&signer).verify(&before, at(NOW)).is_ok());
    assert!(verifier(&signer).verify(&after, at(NOW)).is_ok());
    assert_eq!(
        outdated.verify(&after, at(NOW)),
        Err(VerifyProblem::UnknownKid(new.kid))
    );
}

#[test]
fn a_key_sealed_under_another_sealing_key_is_named() {
    let record = key(SigningAlgorithm::Es256, NOW);
    let fault = KeyRing::load(vec![record.clone()], &SealingKey::from_bytes([8; 32])).unwrap_err();
    assert!(matches!(fault, Fault::Corrupt { .. }));
    let said = fault.to_string();
    assert!(
        said.contains(&record.kid) && said.contains("sealing.key is not the one that sealed it"),
        "{said}"
    );
}

#[test]
fn a_ring_without_a_key_in_force_is_refused() {
    let mut retired = key(SigningAlgorithm::Es256, NOW);
    retired.retired_at = Some(at(NOW));
    for records in [vec![], vec![retired]] {
        let fault = KeyRing::load(records, &sealing()).unwrap_err();
        assert!(fault.to_string().contains("sekisho key rotate"));
    }
}

#[test]
fn a_public_key_slipped_into_the_store_is_never_published() {
    let (mut record, attackers) = (key(SigningAlgorithm::Es256, NOW), key(SigningAlgorithm::Es256, NOW));
    record.public_jwk = attackers.public_jwk.replace(&attackers.kid, &record.kid);
    let signer = signer(vec![record.clone()]);
    let forged = resigned(&attackers, &sign(&signer, &assertion()), unchanged, unchanged);
    assert_eq!(
        verifier(&signer).verify(&forged, at(NOW)),
        Err(VerifyProblem::Signature)
    );
    assert!(verifier(&signer).verify(&sign(&signer, &assertion()), at(NOW)).is_ok());
}

#[test]
fn an_assertion_too_long_for_a_header_is_a_fault_that_names_the_account() {
    let signer = signer(vec![key(SigningAlgorithm::Es256, NOW)]);
    let mut long = assertion();
    long.groups = (0..1000).map(|i| format!("group-{i}")).collect();
    let said = signer.sign(&long).unwrap_err().to_string();
    assert!(said.contains(&long.sub) && said.contains("groups"), "{said}");
    assert_eq!(
        verifier(&signer).verify(&"a".repeat(6145), at(NOW)),
        Err(VerifyProblem::TooLong(6145))
    );
}

#[rstest]
#[case(SigningAlgorithm::Es256)]
#[case(SigningAlgorithm::EdDsa)]
fn an_altered_byte_anywhere_is_refused(#[case] algorithm: SigningAlgorithm) {
    let signer = signer(vec![key(algorithm, NOW)]);
    let (token, verifier) = (sign(&signer, &assertion()), verifier(&signer));
    assert!(verifier.verify(&token, at(NOW)).is_ok());
    for i in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[i] = if altered[i] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(verifier.verify(&altered, at(NOW)).is_err(), "byte {i}");
    }
}

#[test]
fn a_tampered_payload_is_a_wrong_signature() {
    let signer = signer(vec![key(SigningAlgorithm::Es256, NOW)]);
    let [head, payload, signature] = parts(&sign(&signer, &assertion()));
    let mut claims = decoded(&payload);
    claims["groups"] = json!(["admin"]);
    let tampered = format!("{head}.{}.{signature}", encoded(&claims));
    assert_eq!(
        verifier(&signer).verify(&tampered, at(NOW)),
        Err(VerifyProblem::Signature)
    );
}

#[test]
fn an_unsigned_token_is_refused_in_every_spelling() {
    let signer = signer(vec![key(SigningAlgorithm::Es256, NOW)]);
    let [head, payload, signature] = parts(&sign(&signer, &assertion()));
    for alg in ["none", "None", "NONE", ""] {
        let mut head = decoded(&head);
        head["alg"] = json!(alg);
        for signature in ["", &signature] {
            let token = format!("{}.{payload}.{signature}", encoded(&head));
            assert_eq!(
                verifier(&signer).verify(&token, at(NOW)),
                Err(VerifyProblem::Algorithm(alg.to_owned()))
            );
        }
    }
}

#[rstest]
#[case(SigningAlgorithm::Es256)]
#[case(SigningAlgorithm::EdDsa)]
fn an_hmac_with_the_public_key_as_its_secret_is_refused(#[case] algorithm: SigningAlgorithm) {
    let record = key(algorithm, NOW);
    let signer = signer(vec![record.clone()]);
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_str(&record.public_jwk).unwrap();
    let (AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::OctetKeyPair(_)) = &jwk.algorithm else {
        panic!("a public key of another kind");
    };
    let public = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    let secrets = [
        public.try_get_as_bytes().unwrap().to_vec(),
        record.public_jwk.clone().into_bytes(),
    ];
    for secret in secrets {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
        header.kid = Some(record.kid.clone());
        let secret = jsonwebtoken::EncodingKey::from_secret(&secret);
        let forged = jsonwebtoken::encode(&header, &assertion(), &secret).unwrap();
        assert_eq!(
            verifier(&signer).verify(&forged, at(NOW)),
            Err(VerifyProblem::Algorithm("HS256".to_owned()))
        );
    }
}

#[test]
fn the_algorithm_is_that_of_the_key() {
    let (first, second) = (key(SigningAlgorithm::Es256, NOW), key(SigningAlgorithm::EdDsa, NOW - 1));
    let signer = signer(vec![first.clone(), second.clone()]);
    let token = sign(&signer, &assertion());
    let confused = resigned(&first, &token, |head| head["kid"] = json!(second.kid), unchanged);
    assert_eq!(
        verifier(&signer).verify(&confused, at(NOW)),
        Err(VerifyProblem::Algorithm("ES256".to_owned()))
    );
}

#[test]
fn a_foreign_or_missing_kid_is_refused() {
    let (ours, foreign) = (key(SigningAlgorithm::Es256, NOW), key(SigningAlgorithm::Es256, NOW));
    let (signer, foreigner) = (signer(vec![ours.clone()]), signer(vec![foreign.clone()]));
    let token = sign(&foreigner, &assertion());
    assert_eq!(
        verifier(&signer).verify(&token, at(NOW)),
        Err(VerifyProblem::UnknownKid(foreign.kid.clone()))
    );
    let as_ours = resigned(&foreign, &token, |head| head["kid"] = json!(ours.kid), unchanged);
    assert_eq!(
        verifier(&signer).verify(&as_ours, at(NOW)),
        Err(VerifyProblem::Signature)
    );
    let remove = |head: &mut Value| drop(head.as_object_mut().unwrap().remove("kid"));
    let without = resigned(&ours, &token, remove, unchanged);
    assert_eq!(verifier(&signer).verify(&without, at(NOW)), Err(VerifyProblem::NoKid));
}

#[test]
fn a_key_inside_the_token_is_not_looked_at() {
    let (ours, foreign) = (key(SigningAlgorithm::Es256, NOW), key(SigningAlgorithm::Es256, NOW));
    let signer = signer(vec![ours.clone()]);
    let bring_a_key = |head: &mut Value| {
        head["kid"] = json!(ours.kid);
        head["jwk"] = serde_json::from_str(&foreign.public_jwk).unwrap();
    };
    let token = resigned(&foreign, &sign(&signer, &assertion()), bring_a_key, unchanged);
    assert_eq!(verifier(&signer).verify(&token, at(NOW)), Err(VerifyProblem::Signature));
}

#[rstest]
#[case(json!("at+jwt"), Some("at+jwt"))]
#[case(json!("jwt"), Some("jwt"))]
#[case(Value::Null, None)]
fn another_type_is_refused(#[case] typ: Value, #[case] found: Option<&str>) {
    let record = key(SigningAlgorithm::Es256, NOW);
    let signer = signer(vec![record.clone()]);
    let token = resigned(
        &record,
        &sign(&signer, &assertion()),
        |head| head["typ"] = typ,
        unchanged,
    );
    assert_eq!(
        verifier(&signer).verify(&token, at(NOW)),
        Err(VerifyProblem::Type(found.map(str::to_owned)))
    );
}

#[test]
fn extensions_that_are_demanded_are_refused() {
    let record = key(SigningAlgorithm::Es256, NOW);
    let signer = signer(vec![record.clone()]);
    let demand = |head: &mut Value| head["crit"] = json!(["exp"]);
    let token = resigned(&record, &sign(&signer, &assertion()), demand, unchanged);
    assert_eq!(verifier(&signer).verify(&token, at(NOW)), Err(VerifyProblem::Critical));
}

#[rstest]
#[case::issuer(|claims: &mut Assertion| claims.iss = "https://other.example".into(), VerifyProblem::Issuer("https://other.example".into()))]
#[case::issuer_prefix(|claims: &mut Assertion| claims.iss.push('/'), VerifyProblem::Issuer(format!("{ISSUER}/")))]
#[case::audience(|claims: &mut Assertion| claims.aud = "other".into(), VerifyProblem::Audience("other".into()))]
#[case::subject(|claims: &mut Assertion| claims.sub.clear(), VerifyProblem::Claims("the subject is empty".into()))]
fn a_token_for_others_is_refused(#[case] change: fn(&mut Assertion), #[case] problem: VerifyProblem) {
    let signer = signer(vec![key(SigningAlgorithm::Es256, NOW)]);
    let mut claims = assertion();
    change(&mut claims);
    let token = sign(&signer, &claims);
    assert_eq!(verifier(&signer).verify(&token, at(NOW)), Err(problem));
}

#[test]
fn a_token_is_valid_from_its_first_second_to_its_last_with_little_leeway() {
    let signer = signer(vec![key(SigningAlgorithm::Es256, NOW)]);
    let (token, verifier) = (sign(&signer, &assertion()), verifier(&signer));
    let judged = |offset| {
        verifier
            .verify(&token, at(NOW) + SignedDuration::from_secs(offset))
            .err()
    };
    assert_eq!(judged(-6), Some(VerifyProblem::NotYetValid(6)));
    assert_eq!(judged(-5), None);
    assert_eq!(judged(0), None);
    assert_eq!(judged(64), None);
    assert_eq!(judged(65), Some(VerifyProblem::Expired(5)));
    assert_eq!(judged(400 * 86_400), Some(VerifyProblem::Expired(400 * 86_400 - 60)));
}

#[rstest]
#[case("exp")]
#[case("nbf")]
#[case("iss")]
#[case("aud")]
#[case("sub")]
fn a_claim_that_is_missing_or_of_another_kind_is_refused(#[case] claim: &str) {
    let record = key(SigningAlgorithm::Es256, NOW);
    let signer = signer(vec![record.clone()]);
    let token = sign(&signer, &assertion());
    let remove = |claims: &mut Value| drop(claims.as_object_mut().unwrap().remove(claim));
    let list = |claims: &mut Value| claims[claim] = json!([claims[claim]]);
    for altered in [
        resigned(&record, &token, unchanged, remove),
        resigned(&record, &token, unchanged, list),
    ] {
        let problem = verifier(&signer).verify(&altered, at(NOW)).unwrap_err();
        assert!(matches!(problem, VerifyProblem::Claims(_)), "{problem}");
    }
}

#[test]
fn a_time_in_text_or_beyond_all_bounds_is_refused() {
    let record = key(SigningAlgorithm::Es256, NOW);
    let signer = signer(vec![record.clone()]);
    let token = sign(&signer, &assertion());
    for exp in [
        json!("1900000000"),
        json!(1e300),
        json!(-1),
        json!(null),
        json!(u64::MAX),
    ] {
        let altered = resigned(&record, &token, unchanged, |claims| claims["exp"] = exp.clone());
        assert!(verifier(&signer).verify(&altered, at(NOW)).is_err(), "{exp}");
    }
}

#[rstest]
#[case("")]
#[case("a")]
#[case("..")]
#[case("a.b.c")]
#[case("a.b.c.d")]
#[case("e30.e30.e30")]
#[case("Bearer e30.e30.e30")]
#[case("\r\n")]
fn what_is_not_a_token_is_malformed(#[case] text: &str) {
    let signer = signer(vec![key(SigningAlgorithm::Es256, NOW)]);
    assert_eq!(verifier(&signer).verify(text, at(NOW)), Err(VerifyProblem::Malformed));
}

#[test]
fn keys_that_are_not_for_our_signatures_are_left_out() {
    let record = key(SigningAlgorithm::Es256, NOW);
    let signer = signer(vec![record.clone()]);
    let token = sign(&signer, &assertion());
    for (member, value) in [
        ("kid", Value::Null),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("use", json!("enc")),
        ("crv", json!("P-384")),
    ] {
        let mut jwk: Value = serde_json::from_str(&record.public_jwk).unwrap();
        jwk[member] = value;
        let jwks: JwkSet = serde_json::from_value(json!({"keys": [jwk]})).unwrap();
        let problem = AssertionVerifier::new(&jwks, ISSUER, AUDIENCE).verify(&token, at(NOW));
        assert_eq!(problem, Err(VerifyProblem::UnknownKid(record.kid.clone())), "{member}");
    }
}

#[test]
fn a_problem_says_what_is_wrong_and_forges_no_line() {
    assert_eq!(
        VerifyProblem::Issuer("https://other.example".into()).to_string(),
        "the token was issued by \"https://other.example\""
    );
    assert!(
        !VerifyProblem::UnknownKid("a\r\nb\u{1b}[0m".into())
            .to_string()
            .contains(['\r', '\n', '\u{1b}'])
    );
}
