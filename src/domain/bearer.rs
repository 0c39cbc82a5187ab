//! The bearer secret of a program, and how it is spelled: `sekisho_`, 256 bits and a checksum. Scanners that look for
//! leaked secrets find it by its first letters and know by its last ones that it is no example; the gateway tells it by
//! the same letters from the tokens of the web client behind it.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::token::{TOKEN_BYTES, TokenDigest};

/// How every one begins.
pub const PREFIX: &str = "sekisho_";

/// Digits, so that no sign in a token ends a word. There are 62 of them.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// As many digits as 256 bits have.
const SECRET_DIGITS: usize = 43;

/// As many as 32 bits have.
const CHECK_DIGITS: usize = 6;

/// The secret in `Authorization: Bearer`. Shown once, when it is made.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct BearerToken([u8; TOKEN_BYTES]);

impl BearerToken {
    /// Made from fresh randomness; nothing else may make one.
    pub const fn from_entropy(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads the text a program presents. Anything but the exact form, its checksum included, is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?.as_bytes();
        let (secret, check) = digits.split_at_checked(SECRET_DIGITS)?;
        let token = Self(decode(secret)?);
        (check == checksum(secret)).then_some(token)
    }

    /// The text to hand out, once. Greppable on purpose.
    pub fn expose(&self) -> Zeroizing<String> {
        let secret: Zeroizing<[u8; SECRET_DIGITS]> = Zeroizing::new(encode(&self.0));
        let check = checksum(&*secret);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + SECRET_DIGITS + CHECK_DIGITS));
        text.push_str(PREFIX);
        text.extend(secret.iter().chain(&check).copied().map(char::from));
        text
    }

    /// What may be stored and looked up.
    pub fn digest(&self) -> TokenDigest {
        // With its first letters, so that no secret of another kind has the same digest.
        let digest = Sha256::new().chain_update(PREFIX).chain_update(self.0);
        TokenDigest::from_bytes(digest.finalize().into())
    }

    /// Whether a text holds what could be meant as one, however broken: nobody but the gateway is to see it.
    pub fn is_meant_by(text: &[u8]) -> bool {
        text.windows(PREFIX.len())
            .any(|part| part.eq_ignore_ascii_case(PREFIX.as_bytes()))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// The first 32 bits of a SHA-256 over all that stands before it.
fn checksum(secret: &[u8]) -> [u8; CHECK_DIGITS] {
    let digest = Sha256::new().chain_update(PREFIX).chain_update(secret).finalize();
    let mut first = [0; 4];
    for (to, from) in first.iter_mut().zip(digest) {
        *to = from;
    }
    encode(&first)
}

/// A number as so many digits; there must be enough of them.
fn encode<const BYTES: usize, const DIGITS: usize>(number: &[u8; BYTES]) -> [u8; DIGITS] {
    let mut number = Zeroizing::new(*number);
    let mut digits = [0; DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u16;
        for byte in number.iter_mut() {
            let value = (rest << 8) | u16::from(*byte);
            // Below 256, since the rest is below 62.
            *byte = u8::try_from(value / 62).unwrap_or_default();
            rest = value % 62;
        }
        *digit = ALPHABET.get(usize::from(rest)).copied().unwrap_or_default();
    }
    digits
}

/// The number that these digits spell; `None` when it has more bits than that, or something is no digit.
fn decode(digits: &[u8]) -> Option<[u8; TOKEN_BYTES]> {
    let mut number = [0; TOKEN_BYTES];
    for digit in digits {
        let mut carry = u16::from(value(*digit)?);
        for byte in number.iter_mut().rev() {
            let [high, low] = (u16::from(*byte) * 62 + carry).to_be_bytes();
            *byte = low;
            carry = u16::from(high);
        }
        if carry > 0 {
            return None;
        }
    }
    Some(number)
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'Z' => Some(digit - b'A' + 10),
        b'a'..=b'z' => Some(digit - b'a' + 36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_spelled_so_that_scanners_know_it() {
        let text = BearerToken::from_entropy([0xa5; 32]).expose();
        assert_eq!(text.len(), 57);
        let digits = text.strip_prefix("sekisho_").unwrap();
        assert!(digits.bytes().all(|b| b.is_ascii_alphanumeric()), "{digits}");
        let none = BearerToken::from_entropy([0; 32]).expose();
        assert!(none.starts_with(&format!("sekisho_{}", "0".repeat(43))), "{}", *none);
    }

    #[test]
    fn anything_but_the_exact_form_is_no_token() {
        let text = BearerToken::from_entropy([7; 32]).expose();
        let (most, zeros) = ("z".repeat(43), "0".repeat(49));
        let other = if text.ends_with('a') { "b" } else { "a" };
        let typo = format!("{}{other}", &text[..text.len() - 1]);
        for bad in [
            "",
            "sekisho_",
            &text[1..],
            &text[..text.len() - 1],
            &typo,
            &format!("{}x", *text),
            &format!(" {}", *text),
            &text.to_uppercase(),
            &format!("sekisho_{most}000000"),
            &format!("sekisho_{zeros}"),
            &format!("sekisho_{}", "\u{e9}".repeat(25)),
            &text.replace("sekisho_", "sekisho-"),
        ] {
            assert!(BearerToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_never_prints_itself_and_no_other_secret_has_its_digest() {
        let token = BearerToken::from_entropy([7; 32]);
        assert_eq!(
            format!("{token:?} {:?}", token.digest()),
            "BearerToken(..) TokenDigest(..)"
        );
        let session = super::super::token::SessionToken::from_entropy([7; 32]);
        assert_ne!(session.digest(), token.digest());
    }

    #[test]
    fn what_could_be_meant_as_a_token_is_recognised_however_it_is_broken() {
        for meant in ["sekisho_", "Bearer SEKISHO_x", "\"sekisho_abc\"", "Token sekisho_abc,"] {
            assert!(BearerToken::is_meant_by(meant.as_bytes()), "{meant}");
        }
        for other in ["", "sekisho", "Bearer sekisho-abc", "Basic c2VraXNobw=="] {
            assert!(!BearerToken::is_meant_by(other.as_bytes()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_token_survives_its_text(bytes in any::<[u8; 32]>()) {
            let token = BearerToken::from_entropy(bytes);
            let read = BearerToken::parse(&token.expose());
            prop_assert_eq!(read.map(|read| read.0), Some(bytes));
        }

        #[test]
        fn a_single_wrong_letter_is_noticed(bytes in any::<[u8; 32]>(), at in 8_usize..57, letter in "[0-9A-Za-z]") {
            let text = BearerToken::from_entropy(bytes).expose();
            let mut wrong = text.to_string();
            wrong.replace_range(at..=at, &letter);
            prop_assert!(wrong == *text || BearerToken::parse(&wrong).is_none());
        }
    }
}
