//! Limits: how many per how long, counted by whom. Pure: state in, decision and new state out.
//!
//! An attempt draws on several meters at once and is granted by all of them or by none. It is held before any work is done
//! and let go of when it proves to be honest.

pub mod advice;
pub mod allowance;
pub mod attempt;
mod book;
pub mod difference;
pub mod fixed;
pub mod ledger;
mod meter;
mod pages;
pub mod policy;
mod quota;
pub mod reading;
pub mod record;
pub mod regime;
pub mod replay;
pub mod simulate;
mod tally;
#[cfg(test)]
mod tests;
pub mod tradeoff;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use meter::{Meter, Nanos};
pub use quota::{Quota, QuotaProblem};

/// That the same password is tried again is known for so long, since its digest lives no longer. A quota for a longer time
/// could not be kept.
pub const PASSWORDS_KNOWN_FOR: Duration = Duration::from_mins(15);

/// A name somebody typed, as a keyed digest: bounded in size, and no list of names in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameDigest(pub u64, pub u64);
