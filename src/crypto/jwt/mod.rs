//! Assertions as JWTs (RFC 7519): [`JwtSigner`] signs them, [`AssertionVerifier`] judges them, [`Forger`] gets them wrong on purpose.

pub mod forge;
mod ring;
mod verify;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::domain::assertion::Assertion;
use crate::domain::fault::Fault;
use crate::ports::Signer;

pub use self::forge::{Flaw, Forger};
pub use self::ring::{KeyRing, make_key};
pub use self::verify::{AssertionVerifier, LEEWAY, MAX_TOKEN_BYTES, VerifyProblem};

/// The key set in the form of RFC 7517, for [`AssertionVerifier::new`].
pub use jsonwebtoken::jwk::JwkSet;

/// Signs with the newest key of a ring that can be replaced while requests are served.
pub struct JwtSigner {
    ring: ArcSwap<KeyRing>,
}

impl JwtSigner {
    /// Signs with this ring until another replaces it.
    pub fn new(ring: KeyRing) -> Self {
        Self {
            ring: ArcSwap::from_pointee(ring),
        }
    }

    /// From now on signs with, and publishes, another ring.
    pub fn replace(&self, ring: KeyRing) {
        self.ring.store(ring.into());
    }

    /// The public keys as a JWK set (RFC 7517), in JSON. Made once for each ring.
    pub fn jwks_json(&self) -> Bytes {
        self.ring.load().jwks_json()
    }

    /// The `kid` that signs now.
    pub fn current_kid(&self) -> String {
        self.ring.load().current_kid().to_owned()
    }
}

impl Signer for JwtSigner {
    /// A compact JWT is base64url and dots, so whatever is in a name or a group, it is one header value.
    fn sign(&self, assertion: &Assertion) -> Result<Bytes, Fault> {
        let token = self.ring.load().sign(assertion)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Fault::Corrupt {
                what: format!(
                    "the assertion about account {} takes {} bytes and no more than {MAX_TOKEN_BYTES} fit into a header; \
                     shorten its name or its list of groups",
                    assertion.sub,
                    token.len()
                ),
                source: None,
            });
        }
        Ok(token.into())
    }
}

#[cfg(test)]
mod tests;
