//! Password hashes that another system made: judged when they are imported and again before each use, verified until
//! their owner signs in for the first time, and replaced by our own then.
//!
//! A stored row must not be a memory bomb: every parameter has a cap, whoever wrote it. The caps leave room for what
//! the systems of today write by default and for the strongest that OWASP's Password Storage Cheat Sheet names, and
//! keep one verification to about two seconds and to [`MOST_MEMORY_KIB`].

mod bcrypt;
pub(super) mod effort;
mod ldap;
mod pbkdf2;
mod scrypt;
mod sha_crypt;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::effort::{Effort, Way};
use super::hashing::phc::Phc;
use crate::domain::password::{Password, PasswordHash};

/// The most memory that verifying an imported hash may take, in KiB: scrypt with N = 2^17, r = 8 (OWASP's first
/// choice) needs exactly this.
pub const MOST_MEMORY_KIB: u32 = 128 * 1024;

/// The longest text that is looked at, in bytes. The longest that can be right has about 300.
pub const MOST_TEXT: usize = 512;

/// The most blocks of one KiB that an imported Argon2 hash may fill in all: memory times passes.
const MOST_ARGON2_BLOCKS: u64 = 512 * 1024;

/// Judges a hash that another system made, and gives what to store.
///
/// Taken are bcrypt (`$2a$`, `$2b$`, `$2y$`), PBKDF2 (passlib, PHC, Django, Werkzeug, LDAP), scrypt (passlib, PHC,
/// Django, Werkzeug), SHA-crypt (`$5$`, `$6$`), Argon2 (`i`, `d` and `id`, without a secret key) and the (salted) SHA
/// of LDAP; those of LDAP in `{CRYPT}` and those of Django with their prefix.
///
/// # Errors
/// Why it cannot be taken, in a sentence that repeats no part of its salt or digest.
pub fn judge(text: &str) -> Result<PasswordHash, HashProblem> {
    let text = text.trim_ascii();
    let inner = text::unwrapped(text);
    if inner.starts_with("$argon2") {
        argon2(inner)?;
    } else {
        Foreign::parse(inner)?;
    }
    Ok(PasswordHash::from_phc(inner.to_owned()))
}

/// What a stored hash rests on, for listings and for `key list`.
pub fn basis_of(hash: &PasswordHash) -> Basis {
    let text = hash.expose();
    if text.starts_with("$argon2") {
        match Phc::parse(text, u32::MAX) {
            Ok(Phc { key_id: Some(id), .. }) => Basis::Pepper(id),
            Ok(_) => Basis::Foreign(HashKind::Argon2),
            Err(_) => Basis::Unreadable,
        }
    } else {
        Foreign::parse(text).map_or(Basis::Unreadable, |foreign| Basis::Foreign(foreign.kind()))
    }
}

/// What a stored hash rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Ours, keyed with the pepper of this name.
    Pepper(String),
    /// Made by another system and imported; useless to nobody who steals it, until its owner signs in.
    Foreign(HashKind),
    /// It cannot be used: its owner needs a new password.
    Unreadable,
}

/// The families of hashes that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashKind {
    /// Argon2 without our pepper.
    Argon2,
    /// bcrypt.
    Bcrypt,
    /// PBKDF2 with HMAC-SHA-1, -256 or -512.
    Pbkdf2,
    /// scrypt.
    Scrypt,
    /// SHA-256-crypt or SHA-512-crypt.
    ShaCrypt,
    /// One round of a SHA, with a salt or without: guessable by the billion.
    Sha,
}

impl HashKind {
    /// The name in listings and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Argon2 => "argon2",
            Self::Bcrypt => "bcrypt",
            Self::Pbkdf2 => "pbkdf2",
            Self::Scrypt => "scrypt",
            Self::ShaCrypt => "sha-crypt",
            Self::Sha => "sha",
        }
    }
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a hash cannot be imported. Says nothing of its salt and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashProblem {
    /// No format that is known here.
    #[error(
        "it is no kind of password hash known here (known: bcrypt, PBKDF2, scrypt, SHA-crypt $5$ and $6$, Argon2, \
         LDAP's {{SSHA}} and its kin)"
    )]
    Unknown,
    /// A format that is known and not taken.
    #[error("{kind} cannot be imported: {why}; leave the hash out and send a Welcome letter instead")]
    Refused {
        /// The format.
        kind: &'static str,
        /// The reason.
        why: &'static str,
    },
    /// It does not read as what it says it is.
    #[error("it begins like {kind}, but {why}")]
    Malformed {
        /// The format.
        kind: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Verifying it would take too much.
    #[error("it is {kind} with {asked} {what}, and at most {most} are allowed")]
    TooDear {
        /// The format.
        kind: &'static str,
        /// The parameter and its unit.
        what: &'static str,
        /// Its value.
        asked: u64,
        /// The cap.
        most: u64,
    },
    /// Made by another Sekisho.
    #[error(
        "it is keyed with the pepper of another gateway and is useless without it; move that gateway by a backup and its \
         secrets instead"
    )]
    Keyed,
}

/// An imported hash, read; Argon2 is apart, since our own hashes are of that kind.
pub(super) enum Foreign {
    Bcrypt(bcrypt::Bcrypt),
    Pbkdf2(pbkdf2::Pbkdf2),
    Scrypt(scrypt::Scrypt),
    ShaCrypt(sha_crypt::ShaCrypt),
    Sha(ldap::Sha),
}

impl Foreign {
    /// Reads a hash and checks it against the caps.
    pub fn parse(text: &str) -> Result<Self, HashProblem> {
        if text.len() > MOST_TEXT || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HashProblem::Unknown);
        }
        if let Some(refused) = refused(text) {
            return Err(refused);
        }
        None.or_else(|| bcrypt::Bcrypt::parse(text).map(|read| read.map(Self::Bcrypt)))
            .or_else(|| pbkdf2::Pbkdf2::parse(text).map(|read| read.map(Self::Pbkdf2)))
            .or_else(|| scrypt::Scrypt::parse(text).map(|read| read.map(Self::Scrypt)))
            .or_else(|| sha_crypt::ShaCrypt::parse(text).map(|read| read.map(Self::ShaCrypt)))
            .or_else(|| ldap::Sha::parse(text).map(|read| read.map(Self::Sha)))
            .unwrap_or(Err(HashProblem::Unknown))
    }

    /// Whether this is the password; compared in constant time. Takes the memory that [`Self::needs_memory`] tells of.
    pub fn is(&self, password: &Password) -> bool {
        let password = password.expose().as_bytes();
        match self {
            Self::Bcrypt(hash) => hash.is(password),
            Self::Pbkdf2(hash) => hash.is(password),
            Self::Scrypt(hash) => hash.is(password),
            Self::ShaCrypt(hash) => hash.is(password),
            Self::Sha(hash) => hash.is(password),
        }
    }

    /// Whether verifying takes more than a few KiB: at most one such at a time.
    pub const fn needs_memory(&self) -> bool {
        matches!(self, Self::Scrypt(_))
    }

    /// What verifying takes: see [`effort`].
    pub fn effort(&self) -> Effort {
        match self {
            Self::Bcrypt(hash) => hash.effort(),
            Self::Pbkdf2(hash) => hash.effort(),
            Self::Scrypt(hash) => hash.effort(),
            Self::ShaCrypt(hash) => hash.effort(),
            Self::Sha(_) => Effort::new(Way::Sha, 1),
        }
    }

    const fn kind(&self) -> HashKind {
        match self {
            Self::Bcrypt(_) => HashKind::Bcrypt,
            Self::Pbkdf2(_) => HashKind::Pbkdf2,
            Self::Scrypt(_) => HashKind::Scrypt,
            Self::ShaCrypt(_) => HashKind::ShaCrypt,
            Self::Sha(_) => HashKind::Sha,
        }
    }
}

/// Reads an imported Argon2 hash and checks it against the caps.
fn argon2(text: &str) -> Result<Phc, HashProblem> {
    const KIND: &str = "Argon2";
    if text.len() > MOST_TEXT {
        return Err(HashProblem::Unknown);
    }
    let hash = Phc::parse(text, u32::MAX).map_err(|why| HashProblem::Malformed { kind: KIND, why })?;
    if hash.key_id.is_some() {
        return Err(HashProblem::Keyed);
    }
    check_argon2(&hash)?;
    Ok(hash)
}

/// The caps of a hash without our pepper, asked again before it is computed.
pub(super) fn check_argon2(hash: &Phc) -> Result<(), HashProblem> {
    let (memory, blocks) = (hash.recipe.memory_kib, hash.recipe.blocks_filled());
    at_most("Argon2", "KiB of memory", memory.into(), MOST_MEMORY_KIB.into())?;
    at_most("Argon2", "KiB to fill in all its passes", blocks, MOST_ARGON2_BLOCKS)
}

/// Formats that are recognised so that the refusal can say why.
fn refused(text: &str) -> Option<HashProblem> {
    const WEAK: &str = "it is too weak to be kept even until the next sign-in";
    const OTHER: &str = "this format is not supported";
    let starts = |head: &str| {
        text.get(..head.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(head))
    };
    [
        ("$1$", "MD5-crypt", WEAK),
        ("$apr1$", "Apache's MD5", WEAK),
        ("{md5}", "unsalted MD5", WEAK),
        ("{smd5}", "salted MD5", WEAK),
        ("{nt}", "the Windows NT hash", WEAK),
        ("{lanman}", "the LAN Manager hash", WEAK),
        ("$3$", "the Windows NT hash", WEAK),
        ("{clear", "a password in the clear", "passwords are never imported"),
        ("{plain", "a password in the clear", "passwords are never imported"),
        (
            "$2x$",
            "bcrypt of the faulty kind $2x$",
            "its fault makes passwords collide",
        ),
        ("$2$", "bcrypt of its first version", OTHER),
        ("$7$", "scrypt as crypt(3) writes it", OTHER),
        ("$y$", "yescrypt", OTHER),
        ("$gy$", "gost-yescrypt", OTHER),
    ]
    .into_iter()
    .find(|(head, ..)| starts(head))
    .map(|(_, kind, why)| HashProblem::Refused { kind, why })
}

/// Checks a parameter against its cap.
fn at_most(kind: &'static str, what: &'static str, asked: u64, most: u64) -> Result<(), HashProblem> {
    if asked > most {
        Err(HashProblem::TooDear {
            kind,
            what,
            asked,
            most,
        })
    } else {
        Ok(())
    }
}

/// Computes into a buffer that is wiped, and compares in constant time.
fn same(expected: &[u8], compute: impl FnOnce(&mut [u8]) -> bool) -> bool {
    let mut output = Zeroizing::new(vec![0; expected.len()]);
    compute(&mut output) & bool::from(output.as_slice().ct_eq(expected))
}
