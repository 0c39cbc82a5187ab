//! The limits' memory.

use crate::domain::account::LoginName;
use crate::domain::limits::{Decision, Draw, NameDigest, Nanos, Reservation};

/// Keeps the meters. Never waits and never fails: without room for a new meter it counts in a shared one.
pub trait Limiter: Send + Sync {
    /// Judges and draws, atomically over all draws.
    fn reserve(&self, draws: Vec<Draw>, now: Nanos) -> Decision;

    /// Gives back what an honest attempt drew.
    fn refund(&self, reservation: &Reservation);

    /// The keyed digest under which a name is counted.
    fn digest(&self, name: &LoginName) -> NameDigest {
        self.digest_text(name.key())
    }

    /// The keyed digest of a text that is no name at all; it is counted all the same.
    fn digest_text(&self, text: &str) -> NameDigest;
}
