//! [`Forger`]: tokens with exactly one flaw, for trying out whether an upstream refuses them, and the genuine one beside them.
//!
//! A token that is to be refused for its age or its audience alone must be right in everything else, so the gateway's
//! own key signs it. What that key signs here is a closed list, speaks of nobody ([`NOBODY`] is the id of no account,
//! [`NO_EXTENSION`] no extension number), carries no group, and is valid for half a minute or never.

mod stranger;

use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use self::stranger::StrangersKey;
use super::ring::KeyRing;
use crate::domain::assertion::AssertionTerms;
use crate::domain::fault::Fault;
use crate::domain::session::{earlier, later};

/// The `sub` and `sid` of all of them. Ids of accounts carry the time they were made at, so this one is nobody's.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// Their `ext`. No extension number has a bracket in it.
pub const NO_EXTENSION: &str = "(test)";
/// Their `name`, for whoever finds it in a log.
pub const TEST_NAME: &str = "Sekisho upstream verify (test)";

/// How long the genuine one, and those with a flaw other than their time, are valid.
const LIFE: Duration = Duration::from_secs(30);
/// Bytes of a signature of either algorithm.
const SIGNATURE: usize = 64;

/// What is wrong with a token that is otherwise right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// Signed by somebody else's key, under the `kid` of ours.
    ForeignSignature,
    /// A claim was altered after the signing.
    AlteredClaims,
    /// The end of the signature is missing.
    CutSignature,
    /// Nothing stands where the signature should.
    EmptySignature,
    /// A signature of zeros alone, which careless arithmetic finds right for every message.
    ZeroSignature,
    /// Not signed, and says so, in this spelling of `none`.
    AlgNone(&'static str),
    /// Signed with HMAC, the public key in this form being the shared secret.
    HmacWithPublicKey(Form),
    /// Signed by somebody else's key, under its own `kid`.
    UnknownKid,
    /// Signed by somebody else's key, without a `kid`.
    NoKid,
    /// Signed by our key, under the `kid` of another published one.
    OtherKid,
    /// Signed by somebody else's key, which it brings along (`jwk`).
    KeyInside,
    /// The same with a certificate (`x5c`).
    CertificateInside,
    /// Signed by somebody else's key, and names where that is to be had (`jku`).
    KeyElsewhere,
    /// The same with a certificate (`x5u`).
    CertificateElsewhere,
    /// Over since an hour ago.
    LongExpired,
    /// Over since a minute and a half ago: more than clocks differ.
    JustExpired,
    /// Valid from an hour on. It is over before that begins, so that it is valid never.
    NotYetValid,
    /// Meant for somebody else.
    OtherAudience,
    /// Meant for nobody in particular.
    NoAudience,
    /// Issued by somebody else.
    OtherIssuer,
    /// A token of another kind (`typ`).
    OtherType,
    /// Demands an extension that nobody knows (`crit`, RFC 7515 section 4.1.11).
    Critical,
}

/// The forms in which libraries hold a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Text between two lines of dashes.
    Pem,
    /// The bytes inside.
    Der,
}

/// Makes them.
pub struct Forger {
    ring: KeyRing,
    ours: Jwk,
    others: Vec<String>,
    terms: AssertionTerms,
    stranger: StrangersKey,
    lure: String,
}

impl Forger {
    /// Under these terms. `lure` is the address (scheme, host, port) where tokens say that their key is to be had.
    ///
    /// # Errors
    /// The library failed, which it does only without memory or randomness.
    pub fn new(ring: KeyRing, terms: AssertionTerms, lure: String) -> Result<Self, Fault> {
        let published: JwkSet =
            serde_json::from_slice(&ring.jwks_json()).map_err(|e| Fault::corrupt("the key set makes no sense", e))?;
        let (mut ours, others): (Vec<_>, Vec<_>) = published
            .keys
            .into_iter()
            .partition(|jwk| jwk.common.key_id.as_deref() == Some(ring.current_kid()));
        let ours = ours.pop().ok_or_else(|| Fault::Corrupt {
            what: format!("signing key {} is not published", ring.current_kid()),
            source: None,
        })?;
        Ok(Self {
            stranger: StrangersKey::like(&ring)?,
            others: others.into_iter().filter_map(|jwk| jwk.common.key_id).collect(),
            ours,
            ring,
            terms,
            lure,
        })
    }

    /// The one without a flaw.
    pub fn genuine(&self, now: Timestamp) -> Result<String, Fault> {
        self.ring.sign_shape(&self.head(), &self.claims(now))
    }

    /// One with this flaw; `None` where it cannot be made, since only one key is published.
    pub fn flawed(&self, flaw: Flaw, now: Timestamp) -> Result<Option<String>, Fault> {
        let claims = self.claims(now);
        let token = match flaw {
            Flaw::ForeignSignature => self.stranger.sign(&self.head(), &claims)?,
            Flaw::UnknownKid
            | Flaw::NoKid
            | Flaw::KeyInside
            | Flaw::KeyElsewhere
            | Flaw::CertificateInside
            | Flaw::CertificateElsewhere => self.stranger.sign(&self.strangers_head(flaw), &claims)?,
            Flaw::AlgNone(spelling) => {
                format!("{}.", message(&self.head_with("alg", spelling.into()), &claims))
            }
            Flaw::HmacWithPublicKey(form) => self.hmac(form, &claims)?,
            Flaw::AlteredClaims | Flaw::CutSignature | Flaw::EmptySignature | Flaw::ZeroSignature => {
                self.damaged(flaw, now)?
            }
            Flaw::OtherKid => match self.others.first() {
                Some(kid) => {
                    let head = self.head_with("kid", kid.as_str().into());
                    self.ring.sign_shape(&head, &claims)?
                }
                None => return Ok(None),
            },
            Flaw::OtherType => {
                let head = self.head_with("typ", "at+jwt".into());
                self.ring.sign_shape(&head, &claims)?
            }
            Flaw::Critical => {
                let mut head = self.head_with("crit", json!(["sekisho-test"]));
                head["sekisho-test"] = true.into();
                self.ring.sign_shape(&head, &claims)?
            }
            Flaw::LongExpired
            | Flaw::JustExpired
            | Flaw::NotYetValid
            | Flaw::OtherAudience
            | Flaw::NoAudience
            | Flaw::OtherIssuer => {
                let claims = self.flawed_claims(flaw, now);
                self.ring.sign_shape(&self.head(), &claims)?
            }
        };
        Ok(Some(token))
    }

    /// The stranger's public key, as whoever believes `jku` would fetch it.
    pub fn strangers_jwks(&self) -> String {
        json!({ "keys": [self.stranger.jwk] }).to_string()
    }

    /// The stranger's certificate, as whoever believes `x5u` would fetch it.
    pub fn strangers_certificate(&self) -> String {
        pem("CERTIFICATE", &self.stranger.certificate)
    }

    fn head(&self) -> Value {
        json!({ "typ": "JWT", "alg": self.ring.algorithm(), "kid": self.ring.current_kid() })
    }

    fn head_with(&self, name: &str, value: Value) -> Value {
        let mut head = self.head();
        head[name] = value;
        head
    }

    fn strangers_head(&self, flaw: Flaw) -> Value {
        let mut head = self.head_with("kid", self.stranger.kid().into());
        let lure = &self.lure;
        match flaw {
            Flaw::NoKid => {
                head = json!({ "typ": "JWT", "alg": self.ring.algorithm() });
            }
            Flaw::KeyInside => head["jwk"] = json!(self.stranger.jwk),
            Flaw::KeyElsewhere => head["jku"] = format!("{lure}/jwks.json").into(),
            Flaw::CertificateInside => {
                head["x5c"] = json!([BASE64_STANDARD.encode(&self.stranger.certificate)]);
            }
            Flaw::CertificateElsewhere => head["x5u"] = format!("{lure}/certificate.pem").into(),
            _ => {}
        }
        head
    }

    fn claims(&self, now: Timestamp) -> Value {
        json!({
            "iss": self.terms.issuer,
            "aud": self.terms.audience,
            "sub": NOBODY,
            "sid": NOBODY,
            "jti": NOBODY,
            "iat": now.as_second(),
            "nbf": now.as_second(),
            "exp": later(now, LIFE).as_second(),
            "auth_time": now.as_second(),
            "amr": ["pwd"],
            "ext": NO_EXTENSION,
            "name": TEST_NAME,
            "groups": [],
        })
    }

    fn flawed_claims(&self, flaw: Flaw, now: Timestamp) -> Value {
        let terms = &self.terms;
        let long_ago = |minutes, seconds| {
            let over = Duration::from_mins(minutes) + Duration::from_secs(seconds);
            self.claims(earlier(now, over + LIFE))
        };
        let mut claims = self.claims(now);
        match flaw {
            Flaw::LongExpired => claims = long_ago(60, 0),
            Flaw::JustExpired => claims = long_ago(1, 30),
            Flaw::NotYetValid => claims["nbf"] = later(now, Duration::from_hours(1)).as_second().into(),
            Flaw::OtherAudience => claims["aud"] = format!("{}.other", terms.audience).into(),
            Flaw::NoAudience => drop(claims.as_object_mut().and_then(|claims| claims.remove("aud"))),
            Flaw::OtherIssuer => claims["iss"] = format!("{}.other", terms.issuer).into(),
            _ => {}
        }
        claims
    }

    /// The genuine one, damaged on its way.
    fn damaged(&self, flaw: Flaw, now: Timestamp) -> Result<String, Fault> {
        let genuine = self.genuine(now)?;
        let (signed, signature) = genuine.rsplit_once('.').unwrap_or_default();
        Ok(match flaw {
            Flaw::AlteredClaims => {
                let mut claims = self.claims(now);
                claims["name"] = "Altered".into();
                format!("{}.{signature}", message(&self.head(), &claims))
            }
            Flaw::ZeroSignature => format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; SIGNATURE])),
            Flaw::CutSignature => {
                let kept: String = signature.chars().take(signature.len() * 3 / 4).collect();
                format!("{signed}.{kept}")
            }
            _ => format!("{signed}."),
        })
    }

    fn hmac(&self, form: Form, claims: &Value) -> Result<String, Fault> {
        let der = spki(&self.ours);
        let secret = match form {
            Form::Pem => pem("PUBLIC KEY", &der).into_bytes(),
            Form::Der => der,
        };
        let message = message(&self.head_with("alg", "HS256".into()), claims);
        let key = EncodingKey::from_secret(&secret);
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256)
            .map(|signature| format!("{message}.{signature}"))
            .map_err(|e| Fault::unavailable("could not make a test token", e))
    }
}

/// What is signed: header and claims in the form of RFC 7515.
fn message(head: &Value, claims: &Value) -> String {
    let [head, claims] = [head, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{head}.{claims}")
}

/// Signs whatever it is given.
pub(super) fn sign_shape(
    header: &Value,
    claims: &Value,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> Result<String, Fault> {
    let message = message(header, claims);
    jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm)
        .map(|signature| format!("{message}.{signature}"))
        .map_err(|e| Fault::unavailable("could not sign a test token", e))
}

/// A public key as certificates hold it (`SubjectPublicKeyInfo`, RFC 5480 and RFC 8410).
fn spki(jwk: &Jwk) -> Vec<u8> {
    const P256: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) => [P256, &bytes(&key.x), &bytes(&key.y)].concat(),
        AlgorithmParameters::OctetKeyPair(key) => [ED25519, &bytes(&key.x)].concat(),
        _ => Vec::new(),
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut lines = format!("-----BEGIN {kind}-----\n");
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            lines.push('\n');
        }
        lines.push(c);
    }
    format!("{lines}\n-----END {kind}-----\n")
}

#[cfg(test)]
mod tests;
