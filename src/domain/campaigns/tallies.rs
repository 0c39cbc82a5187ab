//! [`Tallies`]: drafts by what they have in common, in bounded memory. Who floods them with invented names makes them
//! forget what has tried least, and that is the flood itself; where real people work is forgotten last, since a flood
//! cannot look like that.

use std::collections::HashMap;
use std::hash::Hash;

use jiff::Timestamp;

use super::draft::Paned;

/// Drafts by key.
#[derive(Debug)]
pub(super) struct Tallies<K> {
    drafts: HashMap<K, Paned>,
    most: usize,
}

impl<K: Copy + Eq + Hash + Ord> Tallies<K> {
    /// With room for so many.
    pub fn new(most: usize) -> Self {
        Self {
            drafts: HashMap::new(),
            most,
        }
    }

    /// The draft of this key, begun when there is none.
    pub fn at(&mut self, key: K, now: Timestamp) -> &mut Paned {
        if self.drafts.len() >= self.most && !self.drafts.contains_key(&key) {
            self.forget_half(now);
        }
        self.drafts.entry(key).or_default()
    }

    pub fn find(&self, key: K) -> Option<&Paned> {
        self.drafts.get(&key)
    }

    pub fn find_mut(&mut self, key: K) -> Option<&mut Paned> {
        self.drafts.get_mut(&key)
    }

    pub fn remove(&mut self, key: K) {
        self.drafts.remove(&key);
    }

    /// Forgets what is over.
    pub fn sweep(&mut self, now: Timestamp) {
        self.drafts.retain(|_, draft| !draft.is_over(now));
        if self.drafts.capacity() > 4 * self.drafts.len().max(64) {
            self.drafts.shrink_to_fit();
        }
    }

    pub fn len(&self) -> usize {
        self.drafts.len()
    }

    fn forget_half(&mut self, now: Timestamp) {
        self.drafts.retain(|_, draft| !draft.is_over(now));
        if self.drafts.len() <= self.most / 2 {
            return;
        }
        let mut keys: Vec<(bool, u64, K)> = self
            .drafts
            .iter()
            .map(|(key, draft)| (draft.has_people(), draft.attempts(), *key))
            .collect();
        keys.sort_unstable();
        for (_, _, key) in keys.iter().take(keys.len() - self.most / 2) {
            self.drafts.remove(key);
        }
    }
}
