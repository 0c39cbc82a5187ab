//! One round of a SHA, as LDAP servers store it: `{SSHA}` and its kin, with a salt behind the digest, and `{SHA}`
//! without one.
//!
//! It is guessed by the billion per second, so it is worth little until its owner signs in; `key list` counts those
//! that are left.

use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};

use super::text::{after_scheme, base64};
use super::{HashProblem, same};

type Compute = fn(&[u8], &[u8], &mut [u8]);

/// Scheme, bytes of the digest, whether a salt follows it, and how it is computed.
const SCHEMES: [(&str, usize, bool, Compute); 8] = [
    ("SSHA", 20, true, compute::<Sha1>),
    ("SSHA256", 32, true, compute::<Sha256>),
    ("SSHA384", 48, true, compute::<Sha384>),
    ("SSHA512", 64, true, compute::<Sha512>),
    ("SHA", 20, false, compute::<Sha1>),
    ("SHA256", 32, false, compute::<Sha256>),
    ("SHA384", 48, false, compute::<Sha384>),
    ("SHA512", 64, false, compute::<Sha512>),
];

/// A (salted) SHA, read.
pub struct Sha {
    compute: Compute,
    digest: Vec<u8>,
    salt: Vec<u8>,
}

impl Sha {
    /// `None` when it is of another kind.
    pub fn parse(text: &str) -> Option<Result<Self, HashProblem>> {
        SCHEMES.into_iter().find_map(|(scheme, bytes, salted, compute)| {
            after_scheme(text, scheme).map(|rest| read(rest, scheme, bytes, salted, compute))
        })
    }

    /// Whether this is the password.
    pub fn is(&self, password: &[u8]) -> bool {
        same(&self.digest, |output| {
            (self.compute)(password, &self.salt, output);
            true
        })
    }
}

fn read(rest: &str, kind: &'static str, bytes: usize, salted: bool, compute: Compute) -> Result<Sha, HashProblem> {
    let malformed = |why| HashProblem::Malformed { kind, why };
    let mut digest = base64(rest).ok_or(malformed("what follows is not base64"))?;
    let allowed = if salted { bytes + 1..=bytes + 64 } else { bytes..=bytes };
    if !allowed.contains(&digest.len()) {
        return Err(malformed("its salt or digest has an odd length"));
    }
    let salt = digest.split_off(bytes);
    Ok(Sha { compute, digest, salt })
}

/// The digest of the password followed by the salt.
fn compute<D: Digest>(password: &[u8], salt: &[u8], output: &mut [u8]) {
    output.copy_from_slice(&D::new().chain_update(password).chain_update(salt).finalize());
}
