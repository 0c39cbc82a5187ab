//! What a stored hash says about itself, for whoever judges a store: never the salt, never the output.

use super::phc::Phc;
use crate::domain::password::PasswordHash;

/// A hash judged from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// Argon2id under a pepper: useless to whoever has not got that pepper.
    Keyed {
        /// Names the pepper.
        pepper: String,
        /// Whether its parameters are at or above OWASP's floor.
        strong: bool,
        /// `m` in KiB, `t` and `p`.
        parameters: (u32, u32, u32),
    },
    /// Any other: whoever has it can guess at it.
    Unkeyed {
        /// What it begins with, such as `argon2id` or `2b`.
        scheme: String,
    },
}

/// Memory in KiB and passes that count as equally strong (OWASP Password Storage Cheat Sheet, Argon2id).
const FLOOR: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

impl HashKind {
    /// Reads a stored hash.
    pub fn of(hash: &PasswordHash) -> Self {
        match Phc::parse(hash.expose(), u32::MAX) {
            Ok(Phc {
                key_id: Some(pepper),
                recipe,
                ..
            }) => Self::Keyed {
                pepper,
                strong: FLOOR
                    .iter()
                    .any(|(memory, passes)| recipe.memory_kib >= *memory && recipe.passes >= *passes),
                parameters: (recipe.memory_kib, recipe.passes, recipe.lanes),
            },
            _ => Self::Unkeyed {
                scheme: scheme(hash.expose()),
            },
        }
    }
}

/// The first word of a hash, when it is one that may be shown.
fn scheme(text: &str) -> String {
    let word = text.trim_start_matches(['$', '{']).split(['$', '}', ':']).next();
    let word = word.filter(|word| (1..=24).contains(&word.len()) && text.starts_with(['$', '{']));
    word.filter(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        .unwrap_or("of an unknown kind")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const REST: &str = "$AgICAgICAgICAgICAgICAg$tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns";

    fn kind(head: &str) -> HashKind {
        HashKind::of(&PasswordHash::from_phc(format!("{head}{REST}")))
    }

    #[rstest]
    #[case("m=19456,t=2,p=1", true)]
    #[case("m=47104,t=1,p=1", true)]
    #[case("m=1048576,t=1,p=1", true)]
    #[case("m=19455,t=2,p=1", false)]
    #[case("m=8192,t=1,p=1", false)]
    fn a_keyed_hash_is_judged_by_the_floor(#[case] parameters: &str, #[case] wanted: bool) {
        let kind = kind(&format!("$argon2id$v=19${parameters},keyid=003392d3"));
        let HashKind::Keyed { pepper, strong, .. } = kind else {
            panic!("{kind:?}");
        };
        assert_eq!((pepper.as_str(), strong), ("003392d3", wanted));
    }

    #[rstest]
    #[case("$argon2id$v=19$m=19456,t=2,p=1", "argon2id")]
    #[case("$2b$10", "2b")]
    #[case("{SSHA}", "SSHA")]
    #[case("hunter2", "of an unknown kind")]
    fn any_other_hash_is_named_by_its_scheme_alone(#[case] head: &str, #[case] wanted: &str) {
        assert_eq!(
            kind(head),
            HashKind::Unkeyed {
                scheme: wanted.to_owned()
            }
        );
    }
}
