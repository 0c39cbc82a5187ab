//! Which account a typed name belongs to, as far as successful sign-ins have told: for the records of attempts that are
//! refused before anybody is looked up, so that they can be told to be about the person who signs in later. Nothing else
//! depends on it.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::domain::account::AccountId;
use crate::domain::limits::NameDigest;

/// Most names that are remembered; beyond it all are forgotten and learned anew.
const MOST: usize = 50_000;

/// Digests of names, and whose they are.
#[derive(Debug, Default)]
pub struct Aliases(Mutex<HashMap<NameDigest, (NameDigest, AccountId)>>);

impl Aliases {
    /// Somebody has signed in by this name.
    pub(super) fn note(&self, typed: NameDigest, account: NameDigest, person: AccountId) {
        let mut names = self.0.lock();
        if names.len() >= MOST && !names.contains_key(&typed) {
            names.clear();
        }
        names.insert(typed, (account, person));
    }

    /// The account that this name belonged to.
    pub(super) fn of(&self, typed: NameDigest) -> Option<(NameDigest, AccountId)> {
        self.0.lock().get(&typed).copied()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn names_are_remembered_in_bounded_memory() {
        let aliases = Aliases::default();
        let person = AccountId::new(Uuid::from_u128(1));
        let name = |number| NameDigest(number, 0);
        for number in 0..MOST as u64 {
            aliases.note(name(number), name(7), person);
        }
        aliases.note(name(3), name(8), person);
        assert_eq!(aliases.of(name(3)), Some((name(8), person)), "what is known is renewed");
        assert_eq!(aliases.0.lock().len(), MOST);
        aliases.note(name(u64::MAX), name(9), person);
        assert_eq!(aliases.0.lock().len(), 1);
        assert_eq!(aliases.of(name(3)), None);
    }
}
