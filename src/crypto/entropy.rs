//! The real source of randomness, apart from everything else so that nothing else can draw on it unseen.

use crate::domain::token::TOKEN_BYTES;
use crate::ports::Entropy;

/// Randomness from the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that owns the real source"
    )]
    #[expect(
        clippy::expect_used,
        reason = "Linux fails only where getrandom(2) does not exist; a guessable token must never be handed out"
    )]
    fn token(&self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_tokens_are_alike() {
        let tokens: HashSet<_> = (0..1000).map(|_| OsEntropy.token()).collect();
        assert_eq!(tokens.len(), 1000);
    }
}
