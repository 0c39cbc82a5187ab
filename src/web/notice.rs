//! The notice cookie: what the sign-in page says to somebody whom an answer of ours has just sent there. It is signed,
//! short-lived and shown once, so that no link makes the page say what did not happen.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use zeroize::Zeroizing;

/// How long a redirect may take to be followed.
pub(super) const SHOWN_WITHIN: std::time::Duration = std::time::Duration::from_mins(1);

/// The longest value that is read, in bytes.
const MAX_VALUE: usize = 128;

/// What has just happened: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The password has just been set.
    PasswordSet,
    /// Signed out.
    SignedOut,
    /// A session was presented that is no longer live.
    SessionEnded,
    /// A link that unlocks this browser was asked for.
    UnlockSent,
    /// This browser has just been unlocked.
    Unlocked,
}

impl Notice {
    const ALL: [Self; 5] = [
        Self::PasswordSet,
        Self::SignedOut,
        Self::SessionEnded,
        Self::UnlockSent,
        Self::Unlocked,
    ];

    /// The name in the cookie and in message keys.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordSet => "password-set",
            Self::SignedOut => "signed-out",
            Self::SessionEnded => "session-ended",
            Self::UnlockSent => "unlock-sent",
            Self::Unlocked => "unlocked",
        }
    }
}

/// Signs notices and reads what it has signed.
pub(super) struct NoticeSeal {
    key: Zeroizing<[u8; 32]>,
}

impl NoticeSeal {
    /// With the key shared by every process behind the same doors.
    pub(super) const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self { key }
    }

    /// The cookie's value.
    pub(super) fn write(&self, notice: Notice, now: Timestamp) -> Option<String> {
        let said = format!("{}.{}", notice.as_str(), now.as_second());
        let tag = self.mac(&said)?.finalize().into_bytes();
        Some(format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag)))
    }

    /// The notice in a cookie; `None` for what was not signed here, or not a moment ago.
    pub(super) fn read(&self, value: &str, now: Timestamp) -> Option<Notice> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let (said, tag) = value.rsplit_once('.')?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        // In constant time.
        self.mac(said)?.verify_slice(&tag).ok()?;
        let (name, second) = said.split_once('.')?;
        let age = now.as_second().checked_sub(second.parse().ok()?)?;
        let fresh = u64::try_from(age).is_ok_and(|age| age <= SHOWN_WITHIN.as_secs());
        Notice::ALL.into_iter().find(|notice| fresh && notice.as_str() == name)
    }

    fn mac(&self, said: &str) -> Option<Hmac<Sha256>> {
        // A key of any length is accepted.
        let mac = Hmac::<Sha256>::new_from_slice(&*self.key).ok()?;
        Some(mac.chain_update(b"notice\0").chain_update(said))
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::session::tests::at;

    use super::*;

    #[test]
    fn a_notice_reads_back_for_a_minute_and_under_its_own_key_alone() {
        let seal = NoticeSeal::new(Zeroizing::new([1; 32]));
        for notice in Notice::ALL {
            let value = seal.write(notice, at(0)).unwrap();
            assert!(value.len() <= MAX_VALUE, "{value}");
            assert_eq!(seal.read(&value, at(0)), Some(notice));
            assert_eq!(seal.read(&value, at(60)), Some(notice));
            assert_eq!(seal.read(&value, at(61)), None, "too late");
            assert_eq!(seal.read(&value, at(-1)), None, "not yet");
            assert_eq!(NoticeSeal::new(Zeroizing::new([2; 32])).read(&value, at(0)), None);
        }
    }

    #[test]
    fn a_changed_notice_is_none() {
        let seal = NoticeSeal::new(Zeroizing::new([1; 32]));
        let value = seal.write(Notice::SignedOut, at(0)).unwrap();
        for place in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[place] = if changed[place] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(seal.read(&changed, at(0)), None, "{changed}");
        }
        for bad in ["", ".", "signed-out", "signed-out.1800000000.", &"A".repeat(4096)] {
            assert_eq!(seal.read(bad, at(0)), None, "{bad}");
        }
    }
}
