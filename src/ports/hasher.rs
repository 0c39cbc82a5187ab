//! Hashing passwords: slow on purpose, and therefore bounded.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::limits::attempt::{LaneKind, subnet};
use crate::domain::password::{Password, PasswordHash};

/// Turns passwords into hashes and compares the two.
#[async_trait]
pub trait Hasher: Send + Sync {
    /// A fresh hash under the current parameters and pepper. Whoever sets a password has shown a link, a session or the
    /// password itself, so this waits in [`Place::OWN`].
    ///
    /// # Errors
    /// [`Fault::Overloaded`] at once when the queue is full, before any memory is taken.
    async fn hash(&self, password: &Password) -> Result<PasswordHash, Fault>;

    /// Compares. Without a hash the same work is done against a dummy and the answer is a mismatch.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] at once when the queue is full, before any memory is taken; or while waiting, when the place is
    /// needed for somebody who comes before.
    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>, place: Place) -> Result<Compared, Fault>;
}

/// Where in the queue somebody waits: known devices come first, and the subnets of a lane take turns.
///
/// The lane is the one the limits count in. It is told by the signed cookie of the device alone: a name that does not exist
/// and one that has never signed in on this device wait in the same lane, so that a wait tells nobody who has an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Whether the account knows the device.
    pub lane: LaneKind,
    /// The network around the client.
    pub subnet: IpAddr,
}

impl Place {
    /// Where the gateway's own work waits: among the known, and all of it together as one subnet.
    pub const OWN: Self = Self {
        lane: LaneKind::Known,
        subnet: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };

    /// Where this client waits.
    pub fn of(client: ClientAddr, lane: LaneKind) -> Self {
        let subnet = subnet(client.ip());
        Self { lane, subnet }
    }
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
