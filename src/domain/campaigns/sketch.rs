//! [`Distinct`]: how many different things were seen, in bounded memory: exact while they are few, an estimate from then
//! on (the k smallest of uniformly spread hashes; Bar-Yossef and others, 2002).

use serde::{Deserialize, Serialize};

/// Counts different hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Distinct {
    /// The smallest hashes, in order.
    smallest: Vec<u64>,
}

impl Distinct {
    /// So many are counted exactly; beyond it the estimate is off by about 9 %.
    const KEPT: usize = 128;

    /// Counts a thing by its hash, which must be spread evenly: two things with the same hash are one.
    pub fn note(&mut self, hash: u64) {
        let Err(place) = self.smallest.binary_search(&hash) else {
            return;
        };
        if place < Self::KEPT {
            self.smallest.insert(place, hash);
            self.smallest.truncate(Self::KEPT);
        }
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        match self.smallest.last() {
            Some(largest) if self.smallest.len() == Self::KEPT => {
                let room = u128::from(u64::MAX) * (Self::KEPT as u128 - 1);
                u64::try_from(room / u128::from((*largest).max(1))).unwrap_or(u64::MAX)
            }
            _ => self.smallest.len() as u64,
        }
    }

    /// Whether the count is exact.
    pub fn is_exact(&self) -> bool {
        self.smallest.len() < Self::KEPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes that are spread evenly: the finaliser of splitmix64.
    fn hash(number: u64) -> u64 {
        let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn few_are_counted_exactly_and_each_once() {
        let mut seen = Distinct::default();
        assert_eq!(seen.count(), 0);
        for _ in 0..3 {
            for number in 0..100 {
                seen.note(hash(number));
            }
        }
        assert_eq!((seen.count(), seen.is_exact()), (100, true));
    }

    #[test]
    fn a_million_are_estimated_in_a_kilobyte() {
        let mut seen = Distinct::default();
        for number in 0..1_000_000 {
            seen.note(hash(number));
        }
        let count = seen.count();
        assert!((700_000..1_300_000).contains(&count), "{count}");
        assert!(!seen.is_exact() && seen.smallest.len() == Distinct::KEPT);
    }
}
