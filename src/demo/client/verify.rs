//! How an upstream verifies the gateway's assertion: written to be read, copied and adapted.
//!
//! It leans on nothing of the gateway: only on a JWT library, the JWKS the gateway publishes
//! (`keys.rs`) and four agreed values (`Rules`). Every request takes every step, in this order, and
//! the first step that fails refuses it:
//!
//! 1. **One header.** Exactly one assertion header; with two, nobody can say which one counts.
//! 2. **Form.** A compact JWT whose header says it is of our type and asks for no extension.
//! 3. **Key.** The header names a key (`kid`) that the gateway publishes. A key that the token
//!    brings along or points at (`jwk`, `jku`, `x5u`) is never used.
//! 4. **Algorithm.** The *published key* decides the algorithm; the token only may agree. So `none`,
//!    or HMAC with the public key as its secret, cannot be asked for (RFC 8725 section 3.1).
//! 5. **Signature.** Over the header and the claims, as received.
//! 6. **Lifetime.** `nbf` to `exp`, with a few seconds for clocks that differ.
//! 7. **Issuer** and 8. **audience.** From our gateway, and meant for us: an assertion for another
//!    upstream behind the same gateway is worth nothing here.
//! 9. **Identity.** The claims this application works with are there.
//!
//! Only then is anything in the token believed.

use std::fmt;

use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keys::{KeyError, Keys};

/// How far the clocks of gateway and upstream may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(5);

/// What gateway and upstream have agreed on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The header that carries the assertion.
    pub header: HeaderName,
    /// The `iss` of the gateway.
    pub issuer: String,
    /// The `aud` of this application.
    pub audience: String,
}

/// The claims this application works with.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claims {
    /// The stable id of the account: the one to key data by, as names and extensions change hands.
    pub sub: String,
    /// The session.
    pub sid: String,
    /// The extension number.
    pub ext: String,
    /// The person's name.
    pub name: String,
    /// The e-mail address, when there is one.
    pub email: Option<String>,
    /// The person's groups.
    pub groups: Vec<String>,
    /// When the person signed in, in seconds.
    pub auth_time: i64,
}

/// A step of the verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Exactly one assertion header.
    Header,
    /// A compact JWT of the right type.
    Form,
    /// Signed by a published key.
    Key,
    /// With the algorithm of that key.
    Algorithm,
    /// The signature is right.
    Signature,
    /// Valid now.
    Lifetime,
    /// From our gateway.
    Issuer,
    /// For this application.
    Audience,
    /// Says who it is.
    Identity,
}

impl Step {
    const ALL: [Self; 9] = [
        Self::Header,
        Self::Form,
        Self::Key,
        Self::Algorithm,
        Self::Signature,
        Self::Lifetime,
        Self::Issuer,
        Self::Audience,
        Self::Identity,
    ];
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it must be.
    Passed,
    /// Not as it must be: the request is refused.
    Failed,
    /// An earlier step failed, so this one was not looked at.
    NotReached,
}

/// One line of the record of a verification.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Which step.
    pub name: Step,
    /// How it ended.
    pub mark: Mark,
    /// What was compared, without words, so that it needs no translation.
    pub detail: String,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It carries no assertion: it did not come through the gateway.
    NoHeader,
    /// It carries several.
    SeveralHeaders,
    /// What it carries is not a JWT.
    Malformed,
    /// A JWT made for another purpose.
    WrongType,
    /// Signed by a key that the gateway does not publish.
    UnknownKey,
    /// The keys could not be fetched, so nothing can be verified.
    KeysUnavailable,
    /// Not the algorithm of the key.
    WrongAlgorithm,
    /// The signature does not match.
    BadSignature,
    /// Past its `exp`.
    Expired,
    /// Before its `nbf`.
    NotYetValid,
    /// Another issuer.
    WrongIssuer,
    /// Meant for another application.
    WrongAudience,
    /// A claim is missing or of the wrong kind.
    MissingClaim,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A verified assertion.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The claims this application works with.
    pub claims: Claims,
    /// The token's header, as signed.
    pub raw_header: Value,
    /// All claims, as signed.
    pub raw_claims: Value,
}

/// The whole verification: what was decided, and how.
#[derive(Clone, Debug)]
pub struct Examination {
    /// One line for each step, in order.
    pub checks: Vec<Check>,
    /// The decision.
    pub outcome: Result<Verified, Refusal>,
}

/// Verifies the assertion among a request's headers.
pub async fn examine(headers: &HeaderMap, rules: &Rules, keys: &Keys, now: Timestamp) -> Examination {
    let mut trail = Trail::default();
    let outcome = walk(headers, rules, keys, now, &mut trail).await;
    Examination {
        checks: trail.finish(),
        outcome,
    }
}

async fn walk(
    headers: &HeaderMap,
    rules: &Rules,
    keys: &Keys,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Verified, Refusal> {
    let jwt = single_header(headers, &rules.header, trail)?;
    let (head, raw_header) = read_head(jwt, trail)?;
    let key = published_key(&head, keys, trail).await?;
    let algorithm = agreed_algorithm(&head, &key, trail)?;
    let raw_claims = signed_claims(jwt, &key, algorithm, trail)?;
    check_lifetime(&raw_claims, now, trail)?;
    check_issuer(&raw_claims, rules, trail)?;
    check_audience(&raw_claims, rules, trail)?;
    let claims = identity(&raw_claims, trail)?;
    Ok(Verified {
        claims,
        raw_header,
        raw_claims,
    })
}

fn single_header<'a>(headers: &'a HeaderMap, name: &HeaderName, trail: &mut Trail) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return trail.fail(Step::Header, Refusal::NoHeader, format!("{name}: 0"));
    };
    let more = values.count();
    if more > 0 {
        return trail.fail(Step::Header, Refusal::SeveralHeaders, format!("{name}: {}", more + 1));
    }
    trail.pass(Step::Header, format!("{name}: 1"));
    match first.to_str() {
        Ok(jwt) => Ok(jwt),
        Err(_) => trail.fail(Step::Form, Refusal::Malformed, "ASCII"),
    }
}

/// The part of the token's header that matters here. It is unverified: it may choose among the
/// published keys, and nothing else.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

fn read_head(jwt: &str, trail: &mut Trail) -> Result<(Head, Value), Refusal> {
    let Some((head, raw)) = parse_head(jwt) else {
        return trail.fail(Step::Form, Refusal::Malformed, "header.claims.signature");
    };
    // `crit` lists extensions that must be understood; this application understands none.
    if head.crit.is_some() {
        return trail.fail(Step::Form, Refusal::Malformed, "crit");
    }
    match &head.typ {
        Some(typ) if typ.eq_ignore_ascii_case("JWT") => trail.pass(Step::Form, format!("typ {typ}")),
        other => {
            let typ = other.as_deref().unwrap_or("–");
            return trail.fail(Step::Form, Refusal::WrongType, format!("typ {typ} ≠ JWT"));
        }
    }
    Ok((head, raw))
}

fn parse_head(jwt: &str) -> Option<(Head, Value)> {
    let (head, rest) = jwt.split_once('.')?;
    let (_claims, signature) = rest.split_once('.')?;
    if signature.contains('.') {
        return None;
    }
    let raw: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    Some((Head::deserialize(&raw).ok()?, raw))
}

async fn published_key(head: &Head, keys: &Keys, trail: &mut Trail) -> Result<Jwk, Refusal> {
    let Some(kid) = &head.kid else {
        return trail.fail(Step::Key, Refusal::UnknownKey, "kid –");
    };
    match keys.find(kid).await {
        Ok(key) => {
            trail.pass(Step::Key, format!("kid {kid}"));
            Ok(key)
        }
        Err(KeyError::Unknown) => trail.fail(Step::Key, Refusal::UnknownKey, format!("kid {kid}")),
        Err(KeyError::Unavailable(why)) => trail.fail(Step::Key, Refusal::KeysUnavailable, why),
    }
}

/// The algorithm that the key is for, if the token agrees with it.
fn agreed_algorithm(head: &Head, key: &Jwk, trail: &mut Trail) -> Result<Algorithm, Refusal> {
    let Some((algorithm, name)) = algorithm_of(key) else {
        return trail.fail(Step::Algorithm, Refusal::WrongAlgorithm, "JWK ≠ ES256, EdDSA");
    };
    if head.alg != name {
        return trail.fail(
            Step::Algorithm,
            Refusal::WrongAlgorithm,
            format!("alg {} ≠ {name}", head.alg),
        );
    }
    trail.pass(Step::Algorithm, format!("alg {name}"));
    Ok(algorithm)
}

fn algorithm_of(key: &Jwk) -> Option<(Algorithm, &'static str)> {
    if !matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, name, declared) = match &key.algorithm {
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, "ES256", KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, "EdDSA", KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    match key.common.key_algorithm {
        None => Some((algorithm, name)),
        Some(said) => (said == declared).then_some((algorithm, name)),
    }
}

/// The claims, once the signature over them is found right.
///
/// The library checks the signature alone: lifetime, issuer and audience are steps of their own
/// below, so that each can be shown. An application without such a page would leave them switched
/// on here, with `set_issuer`, `set_audience`, `set_required_spec_claims` and `validate_nbf`, none of
/// which the library does unasked.
fn signed_claims(jwt: &str, key: &Jwk, algorithm: Algorithm, trail: &mut Trail) -> Result<Value, Refusal> {
    let mut signature_only = Validation::new(algorithm);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    let token = DecodingKey::from_jwk(key).and_then(|key| jsonwebtoken::decode::<Value>(jwt, &key, &signature_only));
    match token {
        Ok(token) => {
            trail.pass(Step::Signature, format!("{algorithm:?}"));
            Ok(token.claims)
        }
        Err(error) => trail.fail(Step::Signature, Refusal::BadSignature, error.to_string()),
    }
}

fn check_lifetime(claims: &Value, now: Timestamp, trail: &mut Trail) -> Result<(), Refusal> {
    let (Some(from), Some(until)) = (seconds(claims, "nbf"), seconds(claims, "exp")) else {
        return trail.fail(Step::Lifetime, Refusal::MissingClaim, "nbf, exp");
    };
    let detail = format!("{from} … {until}");
    if now >= until + LEEWAY {
        trail.fail(Step::Lifetime, Refusal::Expired, detail)
    } else if now + LEEWAY < from {
        trail.fail(Step::Lifetime, Refusal::NotYetValid, detail)
    } else {
        trail.pass(Step::Lifetime, detail);
        Ok(())
    }
}

fn seconds(claims: &Value, name: &str) -> Option<Timestamp> {
    // Years beyond 9998 are no times, and so small that adding the leeway stays in range.
    Timestamp::from_second(claims[name].as_i64()?)
        .ok()
        .filter(|at| (0..253_300_000_000).contains(&at.as_second()))
}

fn check_issuer(claims: &Value, rules: &Rules, trail: &mut Trail) -> Result<(), Refusal> {
    match &claims["iss"] {
        Value::String(issuer) if *issuer == rules.issuer => {
            trail.pass(Step::Issuer, format!("iss {issuer}"));
            Ok(())
        }
        Value::Null => trail.fail(Step::Issuer, Refusal::MissingClaim, "iss"),
        other => trail.fail(
            Step::Issuer,
            Refusal::WrongIssuer,
            format!("iss {other} ≠ {}", rules.issuer),
        ),
    }
}

/// `aud` is one name or a list of names (RFC 7519 section 4.1.3); ours must be among them.
fn check_audience(claims: &Value, rules: &Rules, trail: &mut Trail) -> Result<(), Refusal> {
    let audience = &claims["aud"];
    let names = match audience {
        Value::Array(names) => names.as_slice(),
        Value::Null => return trail.fail(Step::Audience, Refusal::MissingClaim, "aud"),
        one => std::slice::from_ref(one),
    };
    if names.iter().any(|name| *name == rules.audience) {
        trail.pass(Step::Audience, format!("aud {}", rules.audience));
        Ok(())
    } else {
        trail.fail(
            Step::Audience,
            Refusal::WrongAudience,
            format!("aud {audience} ≠ {}", rules.audience),
        )
    }
}

fn identity(raw: &Value, trail: &mut Trail) -> Result<Claims, Refusal> {
    match Claims::deserialize(raw) {
        Ok(claims) => {
            trail.pass(Step::Identity, format!("sub {}", claims.sub));
            Ok(claims)
        }
        Err(error) => trail.fail(Step::Identity, Refusal::MissingClaim, error.to_string()),
    }
}

/// The record of a verification while it is being made.
#[derive(Default)]
struct Trail(Vec<Check>);

impl Trail {
    fn pass(&mut self, name: Step, detail: impl Into<String>) {
        self.push(name, Mark::Passed, detail.into());
    }

    fn fail<T>(&mut self, name: Step, refusal: Refusal, detail: impl Into<String>) -> Result<T, Refusal> {
        self.push(name, Mark::Failed, detail.into());
        Err(refusal)
    }

    fn push(&mut self, name: Step, mark: Mark, detail: String) {
        self.0.push(Check { name, mark, detail });
    }

    fn finish(mut self) -> Vec<Check> {
        for name in Step::ALL.into_iter().skip(self.0.len()) {
            self.push(name, Mark::NotReached, String::new());
        }
        self.0
    }
}
