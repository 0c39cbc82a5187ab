//! `[passwords]` and `[passwords.hashing]`: what a password must meet, and how it is hashed.

use std::path::PathBuf;

use super::keys::forms::{Count, List, OneOf, Size, Switch, line, path};
use super::keys::{Slot, Walker};
use crate::domain::password::PasswordRules;

/// `[passwords]`: the rules, the lists they look into, and the hashing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passwords {
    /// Where the defaults of the rules come from.
    pub preset: Preset,
    /// What a new password must meet.
    pub rules: PasswordRules,
    /// Files of known passwords, made by `sekisho passwords build`.
    pub blocklist: Vec<PathBuf>,
    /// `[passwords.hashing]`
    pub hashing: Hashing,
}

/// A set of defaults for the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// 12 characters that are hard to guess.
    #[default]
    Balanced,
    /// 15 characters: NIST SP 800-63B-4 section 3.1.1.2, where a password is all there is to a sign-in.
    Nist,
    /// 10 characters with an upper-case and a lower-case letter, a digit and a special character: the rule of the phone
    /// system, so that one sentence explains both.
    PhoneSystem,
}

impl Preset {
    const ALL: [(&'static str, Self); 3] = [
        ("balanced", Self::Balanced),
        ("nist", Self::Nist),
        ("phone-system", Self::PhoneSystem),
    ];

    /// Fewest characters, least score, and whether each kind of character must be there.
    const fn rules(self) -> (usize, u8, bool) {
        match self {
            Self::Balanced => (12, 3, false),
            Self::Nist => (15, 3, false),
            // What looks mixed may still be the first thing that is tried (`Passw0rd-1`).
            Self::PhoneSystem => (10, 2, true),
        }
    }
}

/// Argon2id and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashing {
    /// Memory of one hash. Default `19456 KiB` (OWASP), which is 19 MiB; `8 MiB` to `1 GiB`.
    pub memory_kib: u32,
    /// Passes. Default 2; 1 to 20.
    pub passes: u32,
    /// Hashing threads. Default 0: one fewer than cores, at least one.
    pub threads: usize,
    /// Waiting hashes beyond which sign-ins are answered 503. Default 16.
    pub queue: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            threads: 0,
            queue: 16,
        }
    }
}

impl Passwords {
    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "passwords",
            "What a new password must meet. By default there are no rules about digits and signs, on purpose: length and \
             being hard to guess are what counts. Passwords already set are not judged again. The commonest passwords, \
             English and Japanese, are always refused.",
        );
        walker.key(
            "preset",
            "Where the keys that are commented out get their values. \"balanced\": 12 characters, hard to guess. \"nist\": 15 \
             characters, as NIST SP 800-63B-4 asks where there is no second factor. \"phone-system\": 10 characters with an \
             upper-case and a lower-case letter, a digit and a special character.",
            &OneOf(Preset::ALL.into()),
            Slot::Default(&mut self.preset),
        );
        let (min_chars, min_score, all_kinds) = self.preset.rules();
        walker.key(
            "min_chars",
            "The fewest characters.",
            &Count { least: 8, most: 64 },
            Slot::Derived(&mut self.rules.min_chars, min_chars),
        );
        walker.key(
            "max_chars",
            "The most characters; longer is refused without hashing.",
            &Count { least: 64, most: 1024 },
            Slot::Default(&mut self.rules.max_chars),
        );
        walker.key(
            "min_score",
            "How hard to guess a password must be, from 0 (anything goes) to 4 (very hard), as zxcvbn estimates it with the \
             person's own words counted as easy. Below 3, guessing becomes realistic.",
            &Count { least: 0, most: 4 },
            Slot::Derived(&mut self.rules.min_score, min_score),
        );
        walker.key(
            "all_kinds",
            "Whether an upper-case letter, a lower-case letter, a digit and a special character must be there each. It \
             makes passwords harder to remember and hardly harder to guess.",
            &Switch,
            Slot::Derived(&mut self.rules.all_kinds, all_kinds),
        );
        walker.key(
            "site_words",
            "Words everybody here would think of first, such as the names of the company and its products. A password \
             built from them counts as easy to guess.",
            &List { of: line(), least: 0 },
            Slot::Default(&mut self.rules.site_words),
        );
        walker.key(
            "blocklist",
            "Files of passwords that are known from breaches, made with `sekisho passwords build LIST -o FILE`. A password \
             that is on one of them is refused. They are read at the start.",
            &List { of: path(), least: 0 },
            Slot::Default(&mut self.blocklist),
        );
        self.hashing.walk(walker);
    }
}

impl Hashing {
    fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "passwords.hashing",
            "How passwords are hashed: Argon2id. Stronger settings make stolen hashes harder to guess and each sign-in \
             slower; hashes made with older settings are renewed when their owner signs in.",
        );
        let mut memory = u64::from(self.memory_kib) * 1024;
        walker.key(
            "memory",
            "Memory of one hash. The default is OWASP's; less is weaker.",
            &Size {
                least: 8 << 20,
                most: 1 << 30,
                step: 1024,
            },
            Slot::Default(&mut memory),
        );
        self.memory_kib = u32::try_from(memory / 1024).unwrap_or(u32::MAX);
        walker.key(
            "passes",
            "How often a hash goes over its memory.",
            &Count { least: 1, most: 20 },
            Slot::Default(&mut self.passes),
        );
        walker.key(
            "threads",
            "How many hashes run at once, each on its own thread with its own memory. 0: one fewer than there are cores, at \
             least one.",
            &Count { least: 0, most: 256 },
            Slot::Default(&mut self.threads),
        );
        walker.key(
            "queue",
            "How many hashes may wait. Beyond it, sign-ins are told to try again (503), while everybody who is signed in \
             goes on undisturbed.",
            &Count {
                least: 0,
                most: 10_000,
            },
            Slot::Default(&mut self.queue),
        );
    }
}
