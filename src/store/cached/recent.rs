//! [`Recent`]: the sessions read last, in front of the memory that holds more of them. A digest is as good as drawn at random,
//! so that it says itself where it is: nothing is hashed, locked, or noted down when one is looked up, which every proxied
//! request does.
//!
//! A session is put in where it is read from the store, under the lock that changes are applied under, and nowhere else: what
//! a change has ended is not brought back.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::domain::token::TokenDigest;

use super::Entry;

/// Sessions held at once. One takes the place of another whose digest begins alike, which is then found as before.
const PLACES: usize = 1 << 14;

/// Holds sessions.
pub struct Recent(Box<[ArcSwapOption<Held>]>);

struct Held {
    digest: TokenDigest,
    entry: Entry,
}

impl Recent {
    /// Holds none.
    pub fn new() -> Self {
        Self(std::iter::repeat_with(ArcSwapOption::empty).take(PLACES).collect())
    }

    /// The session with this digest, when it is here.
    pub fn get(&self, digest: &TokenDigest) -> Option<Entry> {
        let held = self.0.get(place(digest))?.load();
        let held = held.as_ref().filter(|held| held.digest == *digest)?;
        Some(held.entry.clone())
    }

    /// Puts one in.
    pub fn put(&self, digest: TokenDigest, entry: Entry) {
        if let Some(place) = self.0.get(place(&digest)) {
            place.store(Some(Arc::new(Held { digest, entry })));
        }
    }

    /// Takes one out.
    pub fn forget(&self, digest: &TokenDigest) {
        if self.get(digest).is_some()
            && let Some(place) = self.0.get(place(digest))
        {
            place.store(None);
        }
    }

    /// All of them.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0
            .iter()
            .filter_map(|place| Some(place.load().as_ref()?.entry.clone()))
    }
}

fn place(digest: &TokenDigest) -> usize {
    let [first, second, ..] = *digest.as_bytes();
    usize::from(u16::from_be_bytes([first, second])) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::principal::Principal;
    use crate::domain::session::tests::{account, session};

    fn entry() -> Entry {
        Entry {
            principal: Arc::new(Principal::new(session(), account())),
            group: Arc::default(),
        }
    }

    #[test]
    fn a_session_is_found_until_it_is_forgotten_or_another_takes_its_place() {
        let recent = Recent::new();
        let (one, mut other) = ([7; 32], [7; 32]);
        other[31] = 8;
        let [one, other] = [one, other].map(TokenDigest::from_bytes);
        recent.put(one, entry());
        assert!(recent.get(&one).is_some() && recent.get(&other).is_none());
        recent.forget(&other);
        assert!(recent.get(&one).is_some(), "only the one that was meant");
        recent.put(other, entry());
        assert!(recent.get(&one).is_none() && recent.get(&other).is_some());
        assert_eq!(recent.entries().count(), 1);
        recent.forget(&other);
        assert!(recent.get(&other).is_none());
    }
}
