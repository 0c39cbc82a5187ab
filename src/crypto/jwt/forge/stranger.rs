//! [`StrangersKey`]: a key that the gateway knows nothing of, as an attacker would make one.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

use super::super::ring::{KeyRing, describe, encoding_key, generate};
use super::sign_shape;
use crate::domain::fault::Fault;
use crate::domain::key::SigningAlgorithm;

/// It, and a certificate for it.
pub struct StrangersKey {
    key: EncodingKey,
    algorithm: Algorithm,
    /// The public key.
    pub jwk: Jwk,
    /// A certificate that vouches for itself, in DER.
    pub certificate: Vec<u8>,
}

impl StrangersKey {
    /// A fresh one that signs with the algorithm of the ring.
    pub fn like(ring: &KeyRing) -> Result<Self, Fault> {
        let algorithm = match ring.library_algorithm() {
            Algorithm::EdDSA => SigningAlgorithm::EdDsa,
            _ => SigningAlgorithm::Es256,
        };
        let failed = |e: Box<dyn std::error::Error + Send + Sync>| Fault::unavailable("could not make a test key", e);
        let private = generate(algorithm).map_err(|e| failed(e.into()))?;
        let key = encoding_key(algorithm, private.as_ref());
        let (_, jwk) = describe(&key, algorithm).map_err(|e| failed(e.into()))?;
        let pair = rcgen::KeyPair::try_from(private.as_ref()).map_err(|e| failed(e.into()))?;
        let certificate = rcgen::CertificateParams::new([])
            .and_then(|params| params.self_signed(&pair))
            .map_err(|e| failed(e.into()))?;
        Ok(Self {
            key,
            algorithm: ring.library_algorithm(),
            jwk,
            certificate: certificate.der().to_vec(),
        })
    }

    pub fn kid(&self) -> &str {
        self.jwk.common.key_id.as_deref().unwrap_or_default()
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, Fault> {
        sign_shape(header, claims, &self.key, self.algorithm)
    }
}
