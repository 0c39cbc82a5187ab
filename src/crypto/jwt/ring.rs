//! The signing keys in use: made, unsealed, and published.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use bytes::Bytes;
use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

use crate::crypto::seal;
use crate::crypto::secrets::SealingKey;
use crate::domain::assertion::Assertion;
use crate::domain::fault::Fault;
use crate::domain::key::{KeyRecord, SigningAlgorithm};

/// The key that signs, and the public keys of all that may still be met.
#[derive(Debug)]
pub struct KeyRing {
    header: Header,
    key: EncodingKey,
    kid: String,
    jwks: Bytes,
}

impl KeyRing {
    /// Unseals the keys. The newest that is not retired signs; all are published, so the caller
    /// leaves out those whose last assertion has long expired.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when a key cannot be unsealed, names its `kid`; or when none is in force.
    pub fn load(mut records: Vec<KeyRecord>, sealing: &SealingKey) -> Result<Self, Fault> {
        records.sort_by(|a, b| (b.created_at, &b.kid).cmp(&(a.created_at, &a.kid)));
        let mut signing = None;
        let mut published = JwkSet::default();
        for record in records {
            let key = unseal(&record, sealing)?;
            published.keys.push(public_jwk(&record, &key)?);
            if record.retired_at.is_none() && signing.is_none() {
                signing = Some((record, key));
            }
        }
        let (record, key) = signing.ok_or_else(|| Fault::Corrupt {
            what: "there is no signing key in force; make one with: sekisho key rotate".to_owned(),
            source: None,
        })?;
        let jwks = serde_json::to_vec(&published).map_err(|e| broken(&record.kid, e))?;
        Ok(Self {
            header: Header {
                kid: Some(record.kid.clone()),
                ..Header::new(library_name(record.algorithm))
            },
            key,
            kid: record.kid,
            jwks: jwks.into(),
        })
    }

    /// The `kid` that signs.
    pub fn current_kid(&self) -> &str {
        &self.kid
    }

    /// The public keys as a JWK set, in JSON.
    pub fn jwks_json(&self) -> Bytes {
        self.jwks.clone()
    }

    /// The JWA name of what it signs with.
    pub(super) fn algorithm(&self) -> &'static str {
        jwa_name(self.header.alg)
    }

    /// Signs a header and claims of any shape: for `forge` alone, which holds the closed list of them.
    pub(super) fn sign_shape(&self, header: &Value, claims: &Value) -> Result<String, Fault> {
        super::forge::sign_shape(header, claims, &self.key, self.header.alg)
    }

    pub(super) fn library_algorithm(&self) -> Algorithm {
        self.header.alg
    }

    /// Signs. The library prepares the key anew each time, about 15 µs, which is why an assertion
    /// is minted once for a session and used again.
    pub(super) fn sign(&self, assertion: &Assertion) -> Result<String, Fault> {
        jsonwebtoken::encode(&self.header, assertion, &self.key)
            .map_err(|e| Fault::unavailable(format!("could not sign with key {}", self.kid), e))
    }
}

/// A fresh signing key, its private part sealed. The library draws the key from its own generator,
/// which is seeded by the operating system.
///
/// # Errors
/// The library failed, which it does only without memory or randomness.
pub fn make_key(algorithm: SigningAlgorithm, now: Timestamp, sealing: &SealingKey) -> Result<KeyRecord, Fault> {
    let failed = |e| Fault::unavailable(format!("could not make a signing key for {algorithm}"), e);
    let private = generate(algorithm).map_err(failed)?;
    let (kid, jwk) = describe(&encoding_key(algorithm, private.as_ref()), algorithm)
        .map_err(|e| Fault::unavailable("could not describe a fresh signing key", e))?;
    let sealed = seal::seal(sealing, &kid, private.as_ref()).map_err(failed)?;
    let public_jwk = serde_json::to_string(&jwk).map_err(|e| broken(&kid, e))?;
    Ok(KeyRecord {
        kid,
        algorithm,
        sealed,
        public_jwk,
        created_at: now,
        retired_at: None,
    })
}

pub(super) fn generate(algorithm: SigningAlgorithm) -> Result<Document, Unspecified> {
    match algorithm {
        SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1(),
        SigningAlgorithm::EdDsa => Ed25519KeyPair::generate()?.to_pkcs8v1(),
    }
}

pub(super) fn encoding_key(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> EncodingKey {
    match algorithm {
        SigningAlgorithm::Es256 => EncodingKey::from_ec_der(pkcs8),
        SigningAlgorithm::EdDsa => EncodingKey::from_ed_der(pkcs8),
    }
}

/// The thumbprint (RFC 7638) and the public key that carries it.
pub(super) fn describe(key: &EncodingKey, algorithm: SigningAlgorithm) -> jsonwebtoken::errors::Result<(String, Jwk)> {
    let mut jwk = Jwk::from_encoding_key(key, library_name(algorithm))?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    jwk.common.key_id = Some(kid.clone());
    Ok((kid, jwk))
}

fn unseal(record: &KeyRecord, sealing: &SealingKey) -> Result<EncodingKey, Fault> {
    let private = seal::open(sealing, &record.kid, &record.sealed).map_err(|e| {
        Fault::corrupt(
            format!(
                "signing key {} cannot be opened: the file sealing.key is not the one that sealed it; \
                 put that file back from a backup",
                record.kid
            ),
            e,
        )
    })?;
    Ok(encoding_key(record.algorithm, &private))
}

/// Computed from the private key, never read from the store: whoever could write a public key of
/// their own there could otherwise have it published and sign in our name.
fn public_jwk(record: &KeyRecord, key: &EncodingKey) -> Result<Jwk, Fault> {
    match describe(key, record.algorithm) {
        Ok((kid, jwk)) if kid == record.kid => Ok(jwk),
        Ok(_) => Err(broken(&record.kid, "its kid is that of another key")),
        Err(e) => Err(broken(&record.kid, e)),
    }
}

fn broken(kid: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::corrupt(format!("signing key {kid} makes no sense"), why)
}

fn library_name(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// The JWA name of the two algorithms that are used.
pub(super) const fn jwa_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "",
    }
}
