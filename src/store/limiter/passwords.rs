//! The keys under which passwords are digested: drawn by this process, never written anywhere, and replaced every few
//! minutes, so that what is in memory tells about a password for minutes only.
//!
//! The key before the one in use is kept for as long as that one: what was counted under it moves over when the same password
//! comes again. So no window of at most [`PasswordKeys::LIFE`] is cut by a new key.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::domain::limits::{NameDigest, Nanos, PASSWORDS_KNOWN_FOR};
use crate::domain::password::Password;
use crate::ports::Entropy;

use super::records::digest;

type Key = Zeroizing<[u8; 32]>;

pub(super) struct PasswordKeys {
    entropy: Arc<dyn Entropy>,
    current: Key,
    former: Option<Key>,
    since: Nanos,
}

impl PasswordKeys {
    /// A key is in use for so long, and kept for as long again.
    pub const LIFE: Duration = PASSWORDS_KNOWN_FOR;

    pub fn new(entropy: Arc<dyn Entropy>, now: Nanos) -> Self {
        Self {
            current: Zeroizing::new(entropy.token()),
            former: None,
            entropy,
            since: now,
        }
    }

    /// Under the key in use, and under the one before.
    pub fn digests(&mut self, password: &Password, now: Nanos) -> (NameDigest, Option<NameDigest>) {
        self.renew(now);
        let under = |key: &Key| digest(&**key, password.expose());
        (under(&self.current), self.former.as_ref().map(under))
    }

    /// Replaces what is too old.
    pub fn renew(&mut self, now: Nanos) {
        let age = Duration::from_nanos(now.0.saturating_sub(self.since.0));
        if age < Self::LIFE {
            return;
        }
        let before = std::mem::replace(&mut self.current, Zeroizing::new(self.entropy.token()));
        self.former = (age < 2 * Self::LIFE).then_some(before);
        self.since = now;
    }
}
