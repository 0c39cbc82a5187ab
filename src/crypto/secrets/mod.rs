//! The pepper and the sealing key: types that cannot be printed, and the files they live in.
//!
//! Each file holds 32 random bytes as one line of base64 (standard alphabet, padded). They lie
//! outside the store's directory, so that a copy of the store alone opens nothing. A pepper that is
//! changed stays beside the new one under `pepper.` and its name (`pepper.previous` when it was renamed
//! by hand): hashes move to the new one as people sign in.

mod files;
mod known;
mod rotation;

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac::{self as macs, HMAC_SHA256};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use files::{PEPPER, PresentSecrets, SEALING_KEY, SecretFiles};
pub use known::KnownSecret;
pub use rotation::{PepperStamp, drop_pepper, read_pepper, rotate_pepper, stamp_pepper};

/// Bytes of each secret: 256 bits.
pub const SECRET_BYTES: usize = 32;

/// The key of all password hashes, and those before it.
#[derive(ZeroizeOnDrop)]
pub struct Pepper {
    current: PepperKey,
    previous: Vec<PepperKey>,
}

impl Pepper {
    /// A pepper without a predecessor.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self {
            current: PepperKey::new(bytes),
            previous: Vec::new(),
        }
    }

    /// The same with one before it, whose hashes still verify but are stale. One that is there already changes nothing.
    #[must_use]
    pub fn with_previous(mut self, bytes: [u8; SECRET_BYTES]) -> Self {
        let key = PepperKey::new(bytes);
        if self.find(&key.id).is_none() {
            self.previous.push(key);
        }
        self
    }

    /// The names of those before the current one.
    pub fn previous_ids(&self) -> impl Iterator<Item = &str> {
        self.previous.iter().map(|key| key.id.as_str())
    }

    /// The name of the current pepper inside hashes: not secret, and no way back to the pepper.
    pub fn key_id(&self) -> &str {
        &self.current.id
    }

    /// Whether a hash that names this pepper can be verified.
    pub fn has(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    pub(super) fn current(&self) -> &[u8] {
        &self.current.bytes
    }

    /// The pepper of that name, current or previous.
    pub(super) fn find(&self, key_id: &str) -> Option<&[u8]> {
        std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|key| key.id == key_id)
            .map(|key| key.bytes.as_slice())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

#[derive(ZeroizeOnDrop)]
struct PepperKey {
    bytes: [u8; SECRET_BYTES],
    id: String,
}

impl PepperKey {
    fn new(mut bytes: [u8; SECRET_BYTES]) -> Self {
        // The prefix keeps this digest apart from every other use of SHA-256 on these bytes.
        let digest = Sha256::new()
            .chain_update(b"sekisho pepper id v1\0")
            .chain_update(bytes)
            .finalize();
        let id = format!(
            "{:08x}",
            u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
        );
        let key = Self { bytes, id };
        bytes.zeroize();
        key
    }
}

/// The key from which every other lasting key of the gateway is derived.
#[derive(ZeroizeOnDrop)]
pub struct SealingKey([u8; SECRET_BYTES]);

impl SealingKey {
    /// From its stored form.
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key for one purpose (HKDF-SHA-256, RFC 5869). Purposes share nothing: knowing the key of
    /// one tells nothing about another's or about the sealing key. The same in every run.
    #[expect(clippy::expect_used, reason = "HKDF refuses only more than 255 blocks; this is one")]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut key = [0; 32];
        Salt::new(HKDF_SHA256, b"sekisho sealing key v1")
            .extract(&self.0)
            .expand(&[purpose.as_bytes()], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("one block of key material");
        key
    }
}

impl SealingKey {
    /// A name that changes with the key; nothing leads back from it.
    pub fn id(&self) -> String {
        let name = self.derive("name of this key");
        format!("{:08x}", u32::from_be_bytes([name[0], name[1], name[2], name[3]]))
    }

    /// HMAC-SHA-256 of the text under the key of this purpose.
    pub fn authenticate(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(macs::sign(&self.mac_key(purpose), text).as_ref());
        mac
    }

    /// Whether [`SealingKey::authenticate`] made this MAC; in constant time.
    pub fn is_authentic(&self, purpose: &str, text: &[u8], mac: &[u8]) -> bool {
        macs::verify(&self.mac_key(purpose), text, mac).is_ok()
    }

    fn mac_key(&self, purpose: &str) -> macs::Key {
        macs::Key::new(HMAC_SHA256, &self.derive(purpose))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_print_themselves() {
        let (pepper, key) = (Pepper::from_bytes([7; 32]), SealingKey::from_bytes([7; 32]));
        assert_eq!(format!("{pepper:?} {key:?}"), "Pepper(..) SealingKey(..)");
    }

    #[test]
    fn the_id_of_a_pepper_is_eight_characters_that_change_with_it() {
        // SHA-256 of the documented prefix and 32 bytes 0x03, from another implementation.
        assert_eq!(Pepper::from_bytes([3; 32]).key_id(), "003392d3");
        assert_ne!(Pepper::from_bytes([4; 32]).key_id(), "003392d3");
    }

    #[test]
    fn a_pepper_is_found_by_its_id_current_or_previous() {
        let (old, new) = (Pepper::from_bytes([1; 32]), Pepper::from_bytes([2; 32]));
        let (old_id, new_id) = (old.key_id().to_owned(), new.key_id().to_owned());
        let both = new.with_previous([1; 32]);
        assert_eq!(both.key_id(), new_id);
        assert_eq!(both.find(&new_id), Some([2; 32].as_slice()));
        assert_eq!(both.find(&old_id), Some([1; 32].as_slice()));
        assert_eq!(both.find("00000000"), None);
        let all = both
            .with_previous([3; 32])
            .with_previous([3; 32])
            .with_previous([2; 32]);
        assert_eq!(all.previous_ids().collect::<Vec<_>>(), [old_id.as_str(), "003392d3"]);
        assert_eq!(all.find("003392d3"), Some([3; 32].as_slice()));
    }

    #[test]
    fn a_mac_is_believed_for_its_key_purpose_and_text_alone() {
        let key = SealingKey::from_bytes([7; 32]);
        let mac = key.authenticate("backups", b"text");
        assert!(key.is_authentic("backups", b"text", &mac));
        assert!(!key.is_authentic("backups", b"other", &mac));
        assert!(!key.is_authentic("others", b"text", &mac));
        assert!(!SealingKey::from_bytes([8; 32]).is_authentic("backups", b"text", &mac));
        assert_ne!(key.id(), SealingKey::from_bytes([8; 32]).id());
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_by_sealing_key_and_stay_the_same() {
        let key = SealingKey::from_bytes([7; 32]);
        assert_eq!(key.derive("forms"), SealingKey::from_bytes([7; 32]).derive("forms"));
        assert_ne!(key.derive("forms"), key.derive("names"));
        assert_ne!(key.derive("forms"), SealingKey::from_bytes([8; 32]).derive("forms"));
    }

    #[test]
    fn derived_keys_are_those_of_rfc_5869() {
        // HMAC-SHA-256 written out by hand: extract, then the single block of expand.
        use hmac::{Hmac, KeyInit, Mac};
        let mac = |key: &[u8], data: &[&[u8]]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            for part in data {
                mac.update(part);
            }
            mac.finalize().into_bytes()
        };
        let extracted = mac(b"sekisho sealing key v1", &[&[7; 32]]);
        let expanded = mac(&extracted, &[b"forms", &[1]]);
        assert_eq!(SealingKey::from_bytes([7; 32]).derive("forms"), expanded.as_slice());
    }
}
