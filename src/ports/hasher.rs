//! Hashing passwords: slow on purpose, and therefore bounded.

use async_trait::async_trait;

use crate::domain::fault::Fault;
use crate::domain::password::{Password, PasswordHash};

/// Turns passwords into hashes and compares the two.
#[async_trait]
pub trait Hasher: Send + Sync {
    /// A fresh hash under the current parameters and pepper.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] at once when the queue is full, before any memory is taken.
    async fn hash(&self, password: &Password) -> Result<PasswordHash, Fault>;

    /// Compares. Without a hash the same work is done against a dummy and the answer is a mismatch.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] at once when the queue is full, before any memory is taken.
    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, Fault>;
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It is the password. `stale` when parameters or pepper have moved on since it was hashed.
    Match {
        /// Whether to hash it anew.
        stale: bool,
    },
    /// It is not.
    Mismatch,
}
