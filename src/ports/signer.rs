//! Signing assertions.

use bytes::Bytes;

use crate::domain::assertion::Assertion;
use crate::domain::fault::Fault;

/// Signs with the current key.
pub trait Signer: Send + Sync {
    /// The compact JWT, ready to be a header value.
    fn sign(&self, assertion: &Assertion) -> Result<Bytes, Fault>;
}
