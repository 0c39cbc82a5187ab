//! The alphabets and numbers that foreign hashes are written in, read leniently where systems differ and within bounds.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BCRYPT: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, LENIENT);

/// Standard base64, padded or not; passlib and `OpenLDAP` write `.` for `+`.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.replace('.', "+")).ok()
}

/// The alphabet of bcrypt.
pub fn bcrypt64(text: &str) -> Option<Vec<u8>> {
    BCRYPT.decode(text).ok()
}

/// Pairs of hexadecimal digits.
pub fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// Decimal digits and nothing else.
pub fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// What stands behind a scheme in braces, whatever its case: `{SSHA}...`.
pub fn after_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (found, rest) = text.strip_prefix('{')?.split_once('}')?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The hash inside what LDAP and Django put around one of another kind.
pub fn unwrapped(text: &str) -> &str {
    for scheme in ["crypt", "bcrypt", "argon2"] {
        if let Some(inner) = after_scheme(text, scheme).filter(|inner| inner.starts_with('$')) {
            return inner;
        }
    }
    if let Some(inner) = text.strip_prefix("bcrypt$").filter(|inner| inner.starts_with("$2")) {
        return inner;
    }
    // Django writes `argon2$argon2id$v=19$...`: its own name and the PHC string.
    text.strip_prefix("argon2")
        .filter(|inner| inner.starts_with("$argon2"))
        .unwrap_or(text)
}
