//! PBKDF2 (RFC 8018) in the encodings of passlib, PHC, Django, Werkzeug and LDAP.

use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::effort::{Effort, Way};
use super::text::{after_scheme, base64, hex, number};
use super::{HashProblem, at_most, same};

const KIND: &str = "PBKDF2";

/// Rounds for every block of the output; Django's default of 2026 is 1,500,000.
const MOST_ROUNDS: u64 = 2_000_000;

#[derive(Clone, Copy)]
enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    /// By the name that stands in a hash: `sha256`. The bare `pbkdf2` of passlib and LDAP is SHA-1.
    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "" | "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A PBKDF2 hash, read.
pub struct Pbkdf2 {
    digest: Digest,
    rounds: u32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Pbkdf2 {
    /// `None` when it is of another kind.
    pub fn parse(text: &str) -> Option<Result<Self, HashProblem>> {
        if let Some(rest) = text.strip_prefix("$pbkdf2") {
            let (name, rest) = rest.split_once('$').unwrap_or((rest, ""));
            return Some(modular(name.strip_prefix('-').unwrap_or(name), rest));
        }
        if let Some(rest) = text.strip_prefix("pbkdf2_") {
            let (name, rest) = rest.split_once('$').unwrap_or((rest, ""));
            return Some(plain_salt(name, rest, base64));
        }
        if let Some(rest) = text.strip_prefix("pbkdf2:") {
            let (name, rest) = rest.split_once(':').unwrap_or((rest, ""));
            return Some(plain_salt(name, rest, hex));
        }
        for (scheme, name) in [
            ("pbkdf2", "sha1"),
            ("pbkdf2-sha1", "sha1"),
            ("pbkdf2-sha256", "sha256"),
            ("pbkdf2-sha512", "sha512"),
        ] {
            if let Some(rest) = after_scheme(text, scheme) {
                return Some(modular(name, rest));
            }
        }
        None
    }

    /// The rounds of every block of the output.
    pub fn effort(&self) -> Effort {
        let way = match self.digest {
            Digest::Sha1 => Way::Pbkdf2Sha1,
            Digest::Sha256 => Way::Pbkdf2Sha256,
            Digest::Sha512 => Way::Pbkdf2Sha512,
        };
        Effort::new(way, rounds_in_all(self.digest, self.rounds, self.output.len()))
    }

    /// Whether this is the password.
    pub fn is(&self, password: &[u8]) -> bool {
        let (salt, rounds) = (&self.salt, self.rounds);
        same(&self.output, |output| {
            match self.digest {
                Digest::Sha1 => ::pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, rounds, output),
                Digest::Sha256 => ::pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, rounds, output),
                Digest::Sha512 => ::pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, rounds, output),
            }
            true
        })
    }
}

const fn malformed(why: &'static str) -> HashProblem {
    HashProblem::Malformed { kind: KIND, why }
}

/// `ROUNDS$SALT$OUTPUT` (passlib, LDAP) or `i=ROUNDS,l=LENGTH$SALT$OUTPUT` (PHC), salt and output in base64.
fn modular(name: &str, rest: &str) -> Result<Pbkdf2, HashProblem> {
    let [rounds, salt, output] = three(rest)?;
    let salt = base64(salt).ok_or(malformed("its salt is not base64"))?;
    let output = base64(output).ok_or(malformed("its digest is not base64"))?;
    let Some(parameters) = rounds.strip_prefix("i=") else {
        return checked(name, rounds, salt, output);
    };
    match parameters.split_once(',') {
        None => checked(name, parameters, salt, output),
        Some((rounds, length)) => match length.strip_prefix("l=").and_then(number) {
            Some(length) if length as usize == output.len() => checked(name, rounds, salt, output),
            _ => Err(malformed("its length is not that of its digest")),
        },
    }
}

/// `ROUNDS$SALT$OUTPUT` with the salt as it is (Django, Werkzeug).
fn plain_salt(name: &str, rest: &str, decode: fn(&str) -> Option<Vec<u8>>) -> Result<Pbkdf2, HashProblem> {
    let [rounds, salt, output] = three(rest)?;
    let output = decode(output).ok_or(malformed("its digest cannot be decoded"))?;
    checked(name, rounds, salt.as_bytes().to_vec(), output)
}

fn three(rest: &str) -> Result<[&str; 3], HashProblem> {
    let parts: Vec<_> = rest.split('$').collect();
    parts
        .try_into()
        .map_err(|_| malformed("it has not the three parts rounds, salt and digest"))
}

fn checked(name: &str, rounds: &str, salt: Vec<u8>, output: Vec<u8>) -> Result<Pbkdf2, HashProblem> {
    let digest = Digest::named(name).ok_or(malformed("its digest is none of SHA-1, SHA-256 and SHA-512"))?;
    let rounds = number(rounds)
        .filter(|rounds| *rounds > 0)
        .ok_or(malformed("its rounds are not a number"))?;
    if !(16..=64).contains(&output.len()) || !(1..=64).contains(&salt.len()) {
        return Err(malformed("its salt or digest has an odd length"));
    }
    at_most(
        KIND,
        "rounds in all",
        rounds_in_all(digest, rounds, output.len()),
        MOST_ROUNDS,
    )?;
    Ok(Pbkdf2 {
        digest,
        rounds,
        salt,
        output,
    })
}

fn rounds_in_all(digest: Digest, rounds: u32, output: usize) -> u64 {
    u64::from(rounds) * output.div_ceil(digest.bytes()) as u64
}
