//! The record of a signing key: what the store keeps and what the key ring decides by.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How assertions are signed. RSA and HMAC are not offered (RFC 8725 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256: what upstream stacks everywhere verify.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519: smaller and faster, where the upstream knows it.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SigningAlgorithm {
    /// The JWA name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SigningAlgorithm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|a| a.as_str() == text)
            .ok_or("the algorithm must be ES256 or EdDSA")
    }
}

/// A signing key as the store holds it: the private part sealed under a key that is not in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// RFC 7638 thumbprint of the public key; the `kid` of assertions.
    pub kid: String,
    /// What it signs with.
    pub algorithm: SigningAlgorithm,
    /// The private key (PKCS#8), sealed.
    pub sealed: Vec<u8>,
    /// The public key as a JWK, in JSON.
    pub public_jwk: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a newer key took over, if one has; it stays published until its last assertion has expired.
    pub retired_at: Option<Timestamp>,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRecord({} {})", self.kid, self.algorithm)
    }
}
