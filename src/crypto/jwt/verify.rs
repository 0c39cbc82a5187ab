//! [`AssertionVerifier`]: what an upstream does with an assertion, apart from the signing so that it shares no mistake with it.
//!
//! The sample client of the demo and the tests judge with it. The key decides the algorithm, never
//! the token (RFC 8725 section 3.1), and the time is handed in.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::ring::jwa_name;
use crate::domain::assertion::Assertion;

/// Longest token, in bytes: the signer makes none longer, and larger headers are cut by common servers.
pub const MAX_TOKEN_BYTES: usize = 6 * 1024;

/// By how much the clocks of gateway and upstream may differ.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// Judges assertions against a set of public keys.
#[derive(Clone, Debug)]
pub struct AssertionVerifier {
    keys: HashMap<String, (Algorithm, DecodingKey)>,
    issuer: String,
    audience: String,
}

impl AssertionVerifier {
    /// Keys without a `kid`, or for anything but ES256 and `EdDSA` signatures, are left out.
    pub fn new(jwks: &JwkSet, issuer: &str, audience: &str) -> Self {
        Self {
            keys: jwks.keys.iter().filter_map(usable).collect(),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        }
    }

    /// The claims, once everything about the token has proved right at `now`.
    ///
    /// # Errors
    /// The first thing that is wrong. [`VerifyProblem::UnknownKid`] is worth fetching the keys again for.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Assertion, VerifyProblem> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(VerifyProblem::TooLong(token.len()));
        }
        let head = Head::of(token)?;
        let kid = head.judged()?;
        let (algorithm, key) = self
            .keys
            .get(kid)
            .ok_or_else(|| VerifyProblem::UnknownKid(kid.to_owned()))?;
        if head.alg != jwa_name(*algorithm) {
            return Err(VerifyProblem::Algorithm(head.alg));
        }
        let claims = claims(token, *algorithm, key)?;
        self.judge(&claims, now)?;
        Ok(claims)
    }

    fn judge(&self, claims: &Assertion, now: Timestamp) -> Result<(), VerifyProblem> {
        let (now, leeway) = (now.as_second(), LEEWAY.as_secs().cast_signed());
        if claims.iss != self.issuer {
            Err(VerifyProblem::Issuer(claims.iss.clone()))
        } else if claims.aud != self.audience {
            Err(VerifyProblem::Audience(claims.aud.clone()))
        } else if now >= claims.exp.saturating_add(leeway) {
            Err(VerifyProblem::Expired(now.saturating_sub(claims.exp)))
        } else if now < claims.nbf.saturating_sub(leeway) {
            Err(VerifyProblem::NotYetValid(claims.nbf.saturating_sub(now)))
        } else if claims.sub.is_empty() {
            Err(VerifyProblem::Claims("the subject is empty".to_owned()))
        } else {
            Ok(())
        }
    }
}

/// Why a token is refused. Foreign text in it is shown escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyProblem {
    /// More bytes than the gateway ever sends.
    #[error("the token has {0} bytes, more than {MAX_TOKEN_BYTES}")]
    TooLong(usize),
    /// Not three parts of base64url with a JSON header.
    #[error("the token is not a compact JWT")]
    Malformed,
    /// `typ` is not `JWT`.
    #[error("the token is of type {0:?} instead of \"JWT\"")]
    Type(Option<String>),
    /// It demands an extension that is not understood (RFC 7515 section 4.1.11).
    #[error("the token demands extensions that are not understood")]
    Critical,
    /// Not an algorithm that is accepted, or not that of the key.
    #[error("the token is signed with {0:?}, which is not the algorithm of a key that is accepted")]
    Algorithm(String),
    /// It does not say which key signed it.
    #[error("the token does not say which key signed it")]
    NoKid,
    /// Signed with a key that is not in the set.
    #[error("the key {0:?} that signed the token is not published by the gateway")]
    UnknownKid(String),
    /// The signature is not that of the key.
    #[error("the signature is wrong: the token was altered or signed by another key")]
    Signature,
    /// A claim is missing or of the wrong type.
    #[error("the claims are not those of an assertion: {0}")]
    Claims(String),
    /// Another issuer.
    #[error("the token was issued by {0:?}")]
    Issuer(String),
    /// Meant for somebody else.
    #[error("the token is meant for {0:?}")]
    Audience(String),
    /// Too old.
    #[error("the token expired {0} s ago")]
    Expired(i64),
    /// Too young.
    #[error("the token becomes valid in {0} s")]
    NotYetValid(i64),
}

/// The header, read without believing a word of it.
#[derive(Deserialize)]
struct Head {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl Head {
    fn of(token: &str) -> Result<Self, VerifyProblem> {
        let mut parts = token.split('.');
        let head = parts.next().filter(|_| parts.by_ref().count() == 2);
        head.and_then(|head| BASE64_URL_SAFE_NO_PAD.decode(head).ok())
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or(VerifyProblem::Malformed)
    }

    fn judged(&self) -> Result<&str, VerifyProblem> {
        if ![Algorithm::ES256, Algorithm::EdDSA].map(jwa_name).contains(&&*self.alg) {
            Err(VerifyProblem::Algorithm(self.alg.clone()))
        } else if self.typ.as_deref() != Some("JWT") {
            Err(VerifyProblem::Type(self.typ.clone()))
        } else if self.crit.is_some() {
            Err(VerifyProblem::Critical)
        } else {
            self.kid.as_deref().ok_or(VerifyProblem::NoKid)
        }
    }
}

/// Checks the signature and reads the claims; issuer, audience and times are judged by us, who can
/// say what was found and are told the time.
fn claims(token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Assertion, VerifyProblem> {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    match jsonwebtoken::decode(token, key, &validation) {
        Ok(decoded) => Ok(decoded.claims),
        Err(error) => Err(problem(&error)),
    }
}

fn problem(error: &jsonwebtoken::errors::Error) -> VerifyProblem {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::Json(why) => VerifyProblem::Claims(why.to_string()),
        ErrorKind::MissingRequiredClaim(claim) => VerifyProblem::Claims(format!("missing field `{claim}`")),
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => VerifyProblem::Malformed,
        _ => VerifyProblem::Signature,
    }
}

fn usable(jwk: &Jwk) -> Option<(String, (Algorithm, DecodingKey))> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let says_so = jwk
        .common
        .key_algorithm
        .is_none_or(|says| says == KeyAlgorithm::from(algorithm));
    let for_signatures = jwk
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|says| *says == PublicKeyUse::Signature);
    if !says_so || !for_signatures {
        return None;
    }
    Some((
        jwk.common.key_id.clone()?,
        (algorithm, DecodingKey::from_jwk(jwk).ok()?),
    ))
}
