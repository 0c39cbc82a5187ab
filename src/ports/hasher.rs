//! Hashing passwords: slow on purpose, and therefore bounded.

use std::time::Duration;

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
    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Compared, Fault>;
}

/// A comparison, and what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// Whether it is the password.
    pub outcome: Verification,
    /// What it took; for whoever must not let that be seen.
    pub spent: Spent,
}

/// What a comparison took, from the moment a thread began with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// By the clock on the wall. How long it waited for a thread is not part of it.
    pub took: Duration,
    /// How many times as long anything takes now as it would on a machine with nothing else to do, at least 1. It is
    /// told from this and the last comparisons, so it is the same whatever they were compared with.
    pub slowdown: f64,
}

impl Spent {
    /// Nothing was compared.
    pub const NOTHING: Self = Self {
        took: Duration::ZERO,
        slowdown: 1.0,
    };
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
