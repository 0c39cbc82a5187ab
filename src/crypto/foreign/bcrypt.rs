//! bcrypt: `$2b$12$` and 53 characters of its own base64.
//!
//! It sees the first 72 bytes of a password only. Whoever had a longer one may mistype what follows at the first
//! sign-in; what was typed then counts in full from there on.

use super::effort::{Effort, Way};
use super::text::{bcrypt64, number};
use super::{HashProblem, at_most, same};

const KIND: &str = "bcrypt";

/// About one second on a slow core; most systems write 10 to 12.
const MOST_COST: u32 = 14;

/// Bytes of a password that bcrypt reads.
const READ: usize = 72;

/// A bcrypt hash, read. `$2a$`, `$2b$` and `$2y$` differ in faults of old implementations only.
pub struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    output: Vec<u8>,
}

impl Bcrypt {
    /// `None` when it is of another kind.
    pub fn parse(text: &str) -> Option<Result<Self, HashProblem>> {
        let rest = ["$2a$", "$2b$", "$2y$"]
            .into_iter()
            .find_map(|head| text.strip_prefix(head))?;
        Some(read(rest))
    }

    /// Each step of the cost doubles the work.
    pub fn effort(&self) -> Effort {
        Effort::new(Way::Bcrypt, 1 << self.cost)
    }

    /// Whether this is the password.
    pub fn is(&self, password: &[u8]) -> bool {
        // The key is cyclic and ends with a zero byte: with zeros inside, different passwords would be the same.
        if password.contains(&0) {
            return false;
        }
        let mut key = zeroize::Zeroizing::new([0; READ]);
        let length = password.len().min(READ);
        key[..length].copy_from_slice(&password[..length]);
        same(&self.output, |output| {
            let whole = zeroize::Zeroizing::new(::bcrypt::bcrypt(self.cost, self.salt, &key[..(length + 1).min(READ)]));
            // The last of the 24 bytes is never written into a hash.
            output.copy_from_slice(&whole[..output.len()]);
            true
        })
    }
}

fn read(rest: &str) -> Result<Bcrypt, HashProblem> {
    let malformed = |why| HashProblem::Malformed { kind: KIND, why };
    let (cost, digits) = rest
        .split_once('$')
        .ok_or(malformed("its cost is not followed by a salt"))?;
    let cost = number(cost)
        .filter(|_| cost.len() == 2)
        .ok_or(malformed("its cost is not a number of two digits"))?;
    at_most(KIND, "as its cost", cost.into(), MOST_COST.into())?;
    if cost < 4 {
        return Err(malformed("its cost is less than 4"));
    }
    let length = malformed("its salt and digest are not 53 characters");
    if digits.len() != 53 || !digits.is_ascii() {
        return Err(length);
    }
    let alphabet = malformed("its salt or digest is not written in bcrypt's alphabet");
    let (salt, output) = digits.split_at(22);
    Ok(Bcrypt {
        cost,
        salt: bcrypt64(salt).and_then(|salt| salt.try_into().ok()).ok_or(alphabet)?,
        output: bcrypt64(output).filter(|output| output.len() == 23).ok_or(alphabet)?,
    })
}
