//! The digests of tokens that came a moment ago: the proxied path computes SHA-256 for a token once, not for each request.
//!
//! Nothing is decided here. The digest of a token never changes, and whether it opens anything is looked up by the digest
//! with every request. Nor is a token kept: a slot holds its digest, which the store holds as well, and a mark to know the
//! token by, of 128 bits, from a keyed pseudorandom function (SipHash-2-4) whose key is drawn at the start and never leaves
//! memory. Whoever does not know the key cannot make a token with the mark of another: a guess succeeds once in 2^128,
//! which is no better than guessing a token.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use siphasher::sip128::SipHasher24;

use crate::domain::token::{SessionToken, TOKEN_BYTES, TokenDigest};
use crate::ports::Entropy;

/// Digests kept at once. A token takes the slot of another one whose mark ends alike.
const SLOTS: usize = 1 << 13;

/// Remembers digests.
pub struct Digests {
    key: SipHasher24,
    slots: Box<[ArcSwapOption<Slot>]>,
}

struct Slot {
    mark: u128,
    digest: TokenDigest,
}

impl Digests {
    /// None is remembered.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&entropy.token()[..TOKEN_BYTES / 2]);
        Self {
            key: SipHasher24::new_with_key(&key),
            slots: std::iter::repeat_with(ArcSwapOption::empty).take(SLOTS).collect(),
        }
    }

    /// What a token is looked up by.
    pub fn of(&self, token: &SessionToken) -> TokenDigest {
        let mark = self.mark(token);
        let Some(place) = self.slots.get(slot(mark)) else {
            return token.digest();
        };
        if let Some(slot) = &*place.load()
            && slot.mark == mark
        {
            return slot.digest;
        }
        let digest = token.digest();
        place.store(Some(Arc::new(Slot { mark, digest })));
        digest
    }

    fn mark(&self, token: &SessionToken) -> u128 {
        self.key.hash(token.as_bytes()).as_u128()
    }
}

const fn slot(mark: u128) -> usize {
    mark as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Entropy for Fixed {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [7; TOKEN_BYTES]
        }
    }

    fn token(number: u32) -> SessionToken {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        SessionToken::from_entropy(bytes)
    }

    #[test]
    fn every_token_has_its_own_digest_however_often_and_among_how_many_it_comes() {
        let digests = Digests::new(&Fixed);
        let many = u32::try_from(3 * SLOTS).unwrap();
        for number in (0..many).chain(0..many) {
            let token = token(number);
            for _ in 0..2 {
                assert_eq!(digests.of(&token), token.digest());
            }
        }
    }

    #[test]
    fn a_token_in_the_slot_of_another_is_not_taken_for_it() {
        let digests = Digests::new(&Fixed);
        let place = |token: &SessionToken| slot(digests.mark(token));
        let first = token(0);
        let second = (1..1_000_000)
            .map(token)
            .find(|other| place(other) == place(&first))
            .unwrap();
        for token in [&first, &second, &first] {
            assert_eq!(digests.of(token), token.digest());
        }
    }

    #[test]
    fn a_token_that_comes_again_is_not_digested_again() {
        let digests = Digests::new(&Fixed);
        let token = token(1);
        let planted = TokenDigest::from_bytes([9; 32]);
        let mark = digests.mark(&token);
        digests.slots[slot(mark)].store(Some(Arc::new(Slot { mark, digest: planted })));
        assert_eq!(digests.of(&token), planted);
    }
}
