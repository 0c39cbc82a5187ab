//! A device: a browser that has signed in before, known by a cookie that outlives its sessions.
//!
//! It opens nothing. It tells a sign-in on a familiar device from one on a strange device: for the letter about new
//! devices, and so that limits against guessing need not lock the owner out (OWASP, device cookies).

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::account::AccountId;

/// A browser and the accounts that have signed in on it. The accounts are there as digests, so that nobody who reads
/// the cookie of a shared computer learns who uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    id: [u8; ID_BYTES],
    accounts: Vec<Mark>,
}

/// Bytes of a device's random id.
const ID_BYTES: usize = 16;

/// What stands for an account on one device: cut from SHA-256 over the device's id, the account's, and the time its
/// password was set, so that a new password makes every device strange again: a stolen cookie among them.
type Mark = [u8; MARK_BYTES];

const MARK_BYTES: usize = 16;

/// The version of the written form.
const VERSION: u8 = 1;

impl Device {
    /// The most accounts that one device is known for; the one that signed in longest ago is forgotten first.
    pub const MOST_ACCOUNTS: usize = 16;

    /// A device never seen before, from fresh randomness.
    pub fn fresh(random: [u8; 32]) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&random[..ID_BYTES]);
        Self {
            id,
            accounts: Vec::new(),
        }
    }

    /// Whether this account has signed in here before, with the password that was set then.
    pub fn knows(&self, account: AccountId, password_set_at: Option<Timestamp>) -> bool {
        self.accounts.contains(&self.mark(account, password_set_at))
    }

    /// Tells this device from all others.
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// What its pseudonym is made of.
    pub fn text(&self) -> String {
        format!("device {}", uuid::Uuid::from_bytes(self.id))
    }

    /// The device after this account has signed in on it.
    #[must_use]
    pub fn with(mut self, account: AccountId, password_set_at: Option<Timestamp>) -> Self {
        let mark = self.mark(account, password_set_at);
        self.accounts.retain(|known| *known != mark);
        self.accounts.insert(0, mark);
        self.accounts.truncate(Self::MOST_ACCOUNTS);
        self
    }

    /// The written form, for a cookie that is signed outside.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.id);
        bytes.extend(self.accounts.iter().flatten());
        bytes
    }

    /// The opposite of [`Device::to_bytes`]; anything but the exact form is `None`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        let (id, marks) = rest.split_first_chunk::<ID_BYTES>()?;
        let (accounts, beyond) = marks.as_chunks::<MARK_BYTES>();
        (beyond.is_empty() && accounts.len() <= Self::MOST_ACCOUNTS).then(|| Self {
            id: *id,
            accounts: accounts.to_vec(),
        })
    }

    fn mark(&self, account: AccountId, password_set_at: Option<Timestamp>) -> Mark {
        // As the store keeps time; no account has a password since the beginning of time.
        let password = password_set_at.map_or(i64::MIN, Timestamp::as_millisecond);
        let digest = Sha256::new()
            .chain_update(self.id)
            .chain_update(account.to_string())
            .chain_update(password.to_be_bytes())
            .finalize();
        let mut mark = [0; MARK_BYTES];
        mark.copy_from_slice(&digest[..MARK_BYTES]);
        mark
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SET: Option<Timestamp> = Some(Timestamp::UNIX_EPOCH);

    fn account(number: u128) -> AccountId {
        AccountId::new(Uuid::from_u128(number))
    }

    #[test]
    fn a_device_knows_who_has_signed_in_on_it() {
        let device = Device::fresh([1; 32]);
        assert!(!device.knows(account(1), SET));
        let device = device.with(account(1), SET).with(account(2), SET).with(account(1), SET);
        assert!(device.knows(account(1), SET) && device.knows(account(2), SET) && !device.knows(account(3), SET));
        assert_eq!(device.accounts.len(), 2);
    }

    #[test]
    fn a_new_password_makes_every_device_strange() {
        let device = Device::fresh([1; 32]).with(account(1), SET);
        let changed = Timestamp::from_second(1).ok();
        assert!(device.knows(account(1), SET) && !device.knows(account(1), changed));
        assert!(device.with(account(1), changed).knows(account(1), changed));
    }

    #[test]
    fn a_shared_device_forgets_whoever_was_there_longest_ago() {
        let crowd = (0..=16).fold(Device::fresh([1; 32]), |device, number| {
            device.with(account(number), SET)
        });
        assert!(!crowd.knows(account(0), SET));
        assert!((1..=16).all(|number| crowd.knows(account(number), SET)));
    }

    #[test]
    fn an_account_is_marked_differently_on_each_device() {
        let (one, other) = (Device::fresh([1; 32]), Device::fresh([2; 32]));
        assert_ne!(one.mark(account(1), SET), other.mark(account(1), SET));
    }

    #[test]
    fn the_written_form_reads_back_and_nothing_else_does() {
        let device = Device::fresh([1; 32]).with(account(1), SET).with(account(2), SET);
        let bytes = device.to_bytes();
        assert_eq!(Device::parse(&bytes), Some(device));
        assert_eq!(Device::parse(&bytes[1..]), None);
        assert_eq!(Device::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Device::parse(&[]), None);
        let mut other = bytes.clone();
        other[0] = 2;
        assert_eq!(Device::parse(&other), None, "of another version");
        let crowded = [&bytes[..17], &[0; 17 * 16]].concat();
        assert_eq!(Device::parse(&crowded), None, "more accounts than are kept");
    }
}
