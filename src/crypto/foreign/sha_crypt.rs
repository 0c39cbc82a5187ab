//! SHA-crypt: `$5$` and `$6$`, as crypt(3) of Linux writes them.

use sha_crypt::{PasswordHashRef, PasswordVerifier};

use super::effort::{Effort, Way};
use super::text::number;
use super::{HashProblem, at_most};

const KIND: &str = "SHA-crypt";

/// Most systems write 5,000; passlib's default is about 650,000.
const MOST_ROUNDS: u32 = 1_000_000;

/// Where a hash names none.
const UNSAID_ROUNDS: u32 = 5_000;

/// Bytes of a password: crypt(3) takes no more (`CRYPT_MAX_PASSPHRASE_SIZE`), and the work grows with it.
pub(super) const MOST_PASSWORD: usize = 511;

/// A SHA-crypt hash whose every part has been looked at.
pub struct ShaCrypt {
    text: String,
    way: Way,
    rounds: u32,
}

impl ShaCrypt {
    /// `None` when it is of another kind.
    pub fn parse(text: &str) -> Option<Result<Self, HashProblem>> {
        if let Some(rest) = text.strip_prefix("$5$") {
            return Some(checked(text, rest, Way::Sha256Crypt, 43));
        }
        text.strip_prefix("$6$")
            .map(|rest| checked(text, rest, Way::Sha512Crypt, 86))
    }

    /// The rounds. Each also goes over the password, so what it takes grows with the length of that.
    pub fn effort(&self) -> Effort {
        Effort::new(self.way, self.rounds.into())
    }

    /// Whether this is the password.
    pub fn is(&self, password: &[u8]) -> bool {
        password.len() <= MOST_PASSWORD
            && sha_crypt::ShaCrypt::default()
                .verify_password(password, self.text.as_str())
                .is_ok()
    }
}

fn checked(text: &str, rest: &str, way: Way, digits: usize) -> Result<ShaCrypt, HashProblem> {
    let malformed = |why| HashProblem::Malformed { kind: KIND, why };
    let mut parts = rest.split('$').peekable();
    let mut rounds = UNSAID_ROUNDS;
    if let Some(said) = parts.peek().and_then(|part| part.strip_prefix("rounds=")) {
        rounds = number(said).ok_or(malformed("its rounds are not a number"))?;
        at_most(KIND, "rounds", rounds.into(), MOST_ROUNDS.into())?;
        if rounds < sha_crypt::Params::ROUNDS_MIN {
            return Err(malformed("it has fewer than 1000 rounds"));
        }
        parts.next();
    }
    let (Some(salt), Some(digest), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed("it has not the parts salt and digest"));
    };
    if !(1..=16).contains(&salt.len()) || digest.len() != digits {
        return Err(malformed("its salt or digest has an odd length"));
    }
    let alphabet = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte))
    };
    if !alphabet(salt) || !alphabet(digest) || PasswordHashRef::new(text).is_err() {
        return Err(malformed("its salt or digest is not written in crypt's alphabet"));
    }
    Ok(ShaCrypt {
        text: text.to_owned(),
        way,
        rounds,
    })
}
