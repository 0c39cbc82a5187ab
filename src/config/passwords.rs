//! `[passwords]` and `[passwords.hashing]`: what a password must meet, and how it is hashed.

use super::keys::forms::{Count, List, Size, line};
use super::keys::{Slot, Walker};
use crate::domain::password::PasswordRules;

/// `[passwords]`: `min_chars`, `max_chars`, `min_score`, `site_words` and the hashing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passwords {
    /// What a new password must meet.
    pub rules: PasswordRules,
    /// `[passwords.hashing]`
    pub hashing: Hashing,
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
            "What a new password must meet. There are no rules about digits and signs on purpose: length and being hard to \
             guess are what counts. Passwords already set are not judged again.",
        );
        walker.key(
            "min_chars",
            "The fewest characters.",
            &Count { least: 8, most: 64 },
            Slot::Default(&mut self.rules.min_chars),
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
            Slot::Default(&mut self.rules.min_score),
        );
        walker.key(
            "site_words",
            "Words everybody here would think of first, such as the names of the company and its products. A password \
             built from them counts as easy to guess.",
            &List { of: line(), least: 0 },
            Slot::Default(&mut self.rules.site_words),
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
