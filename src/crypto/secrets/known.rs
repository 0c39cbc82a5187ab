//! [`KnownSecret`]: a secret that is looked for where it must not be, in every spelling it might have there.

use std::fmt;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::domain::fault::Fault;

/// Shorter ones would be found by chance.
const LEAST_BYTES: usize = 6;
/// Nothing larger is a secret of the gateway.
const MOST_BYTES: usize = 16 * 1024;

/// A secret of this machine, as raw bytes, in hexadecimal digits, and in both alphabets of base64 at each alignment.
pub struct KnownSecret {
    /// What the operator calls it; never a part of it.
    pub name: String,
    spellings: Vec<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for KnownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSecret({}, ..)", self.name)
    }
}

impl KnownSecret {
    /// From its bytes; without spellings when it is too short to be looked for.
    pub fn of_bytes(name: &str, bytes: &[u8]) -> Self {
        let mut spellings: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        if bytes.len() >= LEAST_BYTES {
            let hex = Zeroizing::new(crate::crypto::hex(bytes));
            spellings.push(bytes.to_vec().into());
            spellings.push(hex.to_uppercase().into_bytes().into());
            spellings.push(hex.as_bytes().to_vec().into());
            for alignment in 0..3 {
                let [standard, url_safe] = inside_base64(bytes, alignment);
                spellings.push(standard);
                spellings.push(url_safe);
            }
        }
        Self {
            name: name.to_owned(),
            spellings,
        }
    }

    /// From a file: the text in it and, where that is base64, the bytes it stands for.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn of_file(name: &str, file: &Path) -> Result<Self, Fault> {
        let unreadable = |e| Fault::unavailable(format!("could not read the secret file {}", file.display()), e);
        let bytes = Zeroizing::new(fs::read(file).map_err(unreadable)?);
        let text = bytes.trim_ascii();
        let mut known = Self::of_bytes(name, &text[..text.len().min(MOST_BYTES)]);
        if let Ok(meant) = BASE64_STANDARD.decode(text) {
            let meant = Zeroizing::new(meant);
            known.spellings.extend(Self::of_bytes(name, &meant).spellings);
        }
        Ok(known)
    }

    /// Every spelling; none when the secret is too short to be looked for.
    pub fn spellings(&self) -> impl Iterator<Item = &[u8]> {
        self.spellings.iter().map(|spelling| spelling.as_slice())
    }
}

/// The characters that base64 of anything with these bytes in it must have, when they begin at this place of a group
/// of three; in both alphabets.
fn inside_base64(bytes: &[u8], alignment: usize) -> [Zeroizing<Vec<u8>>; 2] {
    let mut padded = Zeroizing::new(vec![0; alignment]);
    padded.extend_from_slice(bytes);
    // The first characters mix with what comes before, the last with what comes after.
    let (from, whole) = ((alignment * 8).div_ceil(6), padded.len() * 8 / 6);
    let part = |text: String| {
        let text = Zeroizing::new(text);
        text.as_bytes()[from..whole].to_vec().into()
    };
    [
        part(BASE64_STANDARD_NO_PAD.encode(&*padded)),
        part(BASE64_URL_SAFE_NO_PAD.encode(&*padded)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(known: &KnownSecret, text: &str) -> bool {
        known
            .spellings()
            .any(|spelling| text.as_bytes().windows(spelling.len()).any(|part| part == spelling))
    }

    #[test]
    fn a_secret_is_found_in_every_spelling_wherever_it_begins() {
        let secret: Vec<u8> = (0..32).map(|n| n * 7 + 3).collect();
        let known = KnownSecret::of_bytes("key", &secret);
        for before in ["", "a", "ab", "abc", "abcd"] {
            let whole = [before.as_bytes(), &secret, b"rest"].concat();
            assert!(is_found(&known, &BASE64_STANDARD.encode(&whole)), "{before}");
            assert!(is_found(&known, &BASE64_URL_SAFE_NO_PAD.encode(&whole)), "{before}");
            assert!(is_found(&known, &crate::crypto::hex(&whole)), "{before}");
        }
        assert!(!is_found(&known, &BASE64_STANDARD.encode(&secret[..31])));
        assert!(!format!("{known:?}").contains("030a"));
    }

    #[test]
    fn a_file_of_base64_stands_for_its_text_and_its_bytes() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("pepper");
        fs::write(&file, format!("{}\n", BASE64_STANDARD.encode([0xfb; 32]))).unwrap();
        let known = KnownSecret::of_file("pepper", &file).unwrap();
        assert!(is_found(&known, &BASE64_STANDARD.encode([0xfb; 32])));
        assert!(is_found(&known, &"fb".repeat(32)));
        assert!(KnownSecret::of_bytes("short", b"12345").spellings().next().is_none());
    }
}
