//! Private keys wrapped for the store: AES-256-GCM under a key that is not in the store.
//!
//! Sealed form: one version byte, the 12-byte nonce, the ciphertext with its 16-byte tag. The key
//! id is authenticated with it, so that a sealed key cannot be moved to another row.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use super::secrets::SealingKey;

const VERSION: u8 = 1;

/// Seals a private key so that only the same sealing key opens it, and only as `kid`.
///
/// The nonce is drawn inside the library, which keeps it from ever being used twice.
///
/// # Errors
/// The library failed, which it does only without memory or randomness.
pub fn seal(key: &SealingKey, kid: &str, private: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut text = Zeroizing::new(Vec::with_capacity(private.len() + AES_256_GCM.tag_len()));
    text.extend_from_slice(private);
    let nonce = cipher(key)?.seal_in_place_append_tag(Aad::from(bound_to(kid)), &mut *text)?;
    let mut sealed = vec![VERSION];
    sealed.extend_from_slice(nonce.as_ref());
    sealed.extend_from_slice(&text);
    Ok(sealed)
}

/// Opens a sealed private key.
///
/// # Errors
/// It was sealed under another key or for another `kid`, or it was altered.
pub fn open(key: &SealingKey, kid: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let (&VERSION, rest) = sealed.split_first().ok_or(Unspecified)? else {
        return Err(Unspecified);
    };
    let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
    let mut text = Zeroizing::new(text.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let length = cipher(key)?
        .open_in_place(nonce, Aad::from(bound_to(kid)), &mut text)?
        .len();
    text.truncate(length);
    Ok(text)
}

fn cipher(key: &SealingKey) -> Result<RandomizedNonceKey, Unspecified> {
    RandomizedNonceKey::new(&AES_256_GCM, &*Zeroizing::new(key.derive("seal signing keys")))
}

fn bound_to(kid: &str) -> Vec<u8> {
    [b"sekisho signing key v1\0", kid.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &[u8] = b"thirty-two bytes of private key!";

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes([byte; 32])
    }

    #[test]
    fn what_was_sealed_opens_again_and_never_looks_the_same_twice() {
        let sealed = seal(&key(1), "a", PRIVATE).unwrap();
        assert_eq!(*open(&key(1), "a", &sealed).unwrap(), PRIVATE);
        assert_ne!(seal(&key(1), "a", PRIVATE).unwrap(), sealed);
        assert!(
            !sealed
                .windows(8)
                .any(|window| PRIVATE.windows(8).any(|own| own == window))
        );
    }

    #[test]
    fn another_key_or_another_kid_opens_nothing() {
        let sealed = seal(&key(1), "a", PRIVATE).unwrap();
        assert!(open(&key(2), "a", &sealed).is_err());
        assert!(open(&key(1), "b", &sealed).is_err());
    }

    #[test]
    fn an_altered_or_shortened_text_opens_nothing() {
        let sealed = seal(&key(1), "a", PRIVATE).unwrap();
        for i in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[i] ^= 1;
            assert!(open(&key(1), "a", &altered).is_err(), "byte {i}");
            assert!(open(&key(1), "a", &sealed[..i]).is_err(), "first {i} bytes");
        }
    }
}
