//! Looking for secrets in bytes: by their form, for secrets nobody knows here, and by their spelling, for those
//! this machine knows.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::FileExt;

use aho_corasick::AhoCorasick;

use crate::crypto::secrets::KnownSecret;
use crate::domain::bearer;
use crate::domain::token::TOKEN_BYTES;

/// How private keys begin, in the forms they are commonly kept in.
const PRIVATE_FORMS: [(&str, &[u8]); 8] = [
    ("a PEM block of a private key", b"PRIVATE KEY-----"),
    ("a private member of a JWK", b"\"d\":\""),
    ("a private member of a JWK", b"\"d\": \""),
    ("a secret JWK", b"\"kty\":\"oct\""),
    // Version 0 and the identifier of an elliptic curve key.
    (
        "a PKCS #8 key (EC)",
        b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",
    ),
    (
        "a PKCS #8 key (Ed25519)",
        b"\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
    ),
    (
        "a PKCS #8 key (Ed25519)",
        b"\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
    ),
    ("an OpenSSH key", b"openssh-key-v1\0"),
];

/// Fewer characters are no bearer secret: ours have 43.
const LEAST_BEARER: usize = 32;

/// How a bearer secret is handed over; what follows it would be one.
const BEARER_FORMS: [(&str, &[u8]); 5] = [
    ("a link with a ticket", b"ticket="),
    ("a session cookie", b"__Host-sekisho="),
    ("a bearer token", b"Bearer "),
    ("an API token", bearer::PREFIX.as_bytes()),
    ("a JWT", b"eyJhbGciOi"),
];

/// Looks for forms of private keys in a whole file, free pages included.
pub fn private_key_forms(file: &File) -> io::Result<Vec<String>> {
    find(file, &PRIVATE_FORMS.map(|(name, bytes)| (name.to_owned(), bytes)))
}

/// Looks for forms of bearer secrets in a whole file, each with something after it that is long enough for one.
pub fn bearer_forms(file: &File) -> io::Result<Vec<String>> {
    let followed = |end: u64| {
        let mut next = [0; LEAST_BEARER];
        let whole = file.read_exact_at(&mut next, end).is_ok();
        Ok(whole && next.iter().all(|byte| is_token_byte(*byte) || *byte == b'.'))
    };
    find_where(
        file,
        &BEARER_FORMS.map(|(name, bytes)| (name.to_owned(), bytes)),
        followed,
    )
}

/// Looks for known secrets in a whole file; names those that are in it.
pub fn known_secrets(file: &File, secrets: &[KnownSecret]) -> io::Result<Vec<String>> {
    let wanted: Vec<_> = secrets
        .iter()
        .flat_map(|secret| secret.spellings().map(|spelling| (secret.name.clone(), spelling)))
        .collect();
    find(file, &wanted)
}

fn find(file: &File, wanted: &[(String, &[u8])]) -> io::Result<Vec<String>> {
    find_where(file, wanted, |_| Ok(true))
}

/// `counts` is asked with the place where a form ends.
fn find_where(
    mut file: &File,
    wanted: &[(String, &[u8])],
    counts: impl Fn(u64) -> io::Result<bool>,
) -> io::Result<Vec<String>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let search = AhoCorasick::new(wanted.iter().map(|(_, bytes)| bytes)).map_err(io::Error::other)?;
    file.rewind()?;
    let mut found = BTreeSet::new();
    for hit in search.stream_find_iter(io::BufReader::new(file)) {
        let hit = hit?;
        if let Some((name, _)) = wanted.get(hit.pattern().as_usize())
            && counts(u64::try_from(hit.end()).unwrap_or(u64::MAX))?
        {
            found.insert(name.clone());
        }
    }
    Ok(found.into_iter().collect())
}

/// Whether a text holds a word that looks like one of our tokens: so many random bytes in base64 for URLs.
pub fn holds_token(text: &[u8]) -> bool {
    text.split(|byte| !is_token_byte(*byte)).any(is_token)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn is_token(word: &[u8]) -> bool {
    const LENGTH: usize = (TOKEN_BYTES * 8).div_ceil(6);
    word.len() == LENGTH
        // Chance spells one in capitals alone, or without any, less than once in a billion times.
        && word.iter().any(u8::is_ascii_uppercase)
        && word.iter().any(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::domain::token::TicketToken;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[&vec![0; 70_000], bytes, &[0; 500]].concat()).unwrap();
        file
    }

    #[test]
    fn each_form_is_found_anywhere_in_a_file() {
        for (name, bytes) in PRIVATE_FORMS {
            assert_eq!(private_key_forms(&file(bytes)).unwrap(), [name]);
        }
        for (name, bytes) in BEARER_FORMS {
            let secret = [bytes, b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"].concat();
            assert_eq!(bearer_forms(&file(&secret)).unwrap(), [name]);
            let word = [bytes, b"x@example.com"].concat();
            assert_eq!(
                bearer_forms(&file(&word)).unwrap(),
                [""; 0],
                "a form alone is no secret"
            );
        }
        let sound = file(b"-----BEGIN PUBLIC KEY----- {\"x\":\"..\",\"crv\":\"P-256\"}");
        assert_eq!(private_key_forms(&sound).unwrap(), [""; 0]);
        let key = rcgen::KeyPair::generate().unwrap();
        assert_eq!(
            private_key_forms(&file(key.serialized_der())).unwrap(),
            ["a PKCS #8 key (EC)"]
        );
    }

    #[test]
    fn a_known_secret_is_named_and_never_shown() {
        let secrets = [
            KnownSecret::of_bytes("pepper", b"0123456789abcdef"),
            KnownSecret::of_bytes("other", b"never written"),
        ];
        assert_eq!(
            known_secrets(&file(b"..0123456789abcdef"), &secrets).unwrap(),
            ["pepper"]
        );
        assert_eq!(known_secrets(&file(b"..0123456789abcde."), &secrets).unwrap(), [""; 0]);
        assert_eq!(known_secrets(&file(b"anything"), &[]).unwrap(), [""; 0]);
    }

    #[test]
    fn a_token_is_told_from_ids_and_words() {
        let token = TicketToken::from_entropy(std::array::from_fn(|n| u8::try_from(n * 37 % 251).unwrap()));
        let link = format!("https://phone.example/set-password?ticket={}&lang=ja", token.expose());
        assert!(holds_token(link.as_bytes()) && holds_token(token.expose().as_bytes()));
        for innocent in [
            "250 2.0.0 Ok: queued as 4FzQ2k1qJ9z",
            "0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01",
            "250 ok 010001890e5b3c4d-2a3b4c5d-6e7f-8a9b-0c1d-2e3f4a5b6c7d-000000",
            "$argon2id$v=19$m=19456,t=2,p=1,keyid=003392d3$AgICAgICAgICAgICAgICAg",
            "田中 ゆき",
        ] {
            assert!(!holds_token(innocent.as_bytes()), "{innocent}");
        }
    }
}
