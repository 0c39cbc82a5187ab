//! How long refusing a wrong password takes, for the dearest of some stored hashes: what every refusal must then last.

use std::time::{Duration, Instant};

use super::phc::Phc;
use super::work::{Scratch, Terms};
use crate::crypto::foreign::Foreign;
use crate::crypto::foreign::effort::{self, Effort};
use crate::domain::fault::Fault;
use crate::domain::password::{Password, PasswordHash};

/// The usual hash is computed so often, and the quickest counts.
const TIMES: usize = 3;

/// What some stored hashes ask for beyond what no account costs.
#[derive(Debug, Default)]
pub struct Demands {
    /// The most in each way.
    foreign: Vec<Effort>,
    /// Blocks of the largest Argon2 hash, when they are more than usual.
    blocks: u64,
}

impl Demands {
    /// Reads the parameters. What cannot be used is never computed and demands nothing.
    pub fn of<'a>(hashes: impl IntoIterator<Item = &'a PasswordHash>, usual_blocks: u64) -> Self {
        let mut demands = Self::default();
        for hash in hashes {
            let text = hash.expose();
            if text.starts_with("$argon2") {
                let blocks = Phc::parse(text, u32::MAX).map_or(0, |hash| hash.recipe.blocks_filled());
                if blocks > usual_blocks {
                    demands.blocks = demands.blocks.max(blocks);
                }
            } else if let Ok(foreign) = Foreign::parse(text) {
                demands.add(foreign.effort());
            }
        }
        demands
    }

    fn add(&mut self, effort: Effort) {
        match self.foreign.iter_mut().find(|known| known.way == effort.way) {
            Some(known) => known.amount = known.amount.max(effort.amount),
            None => self.foreign.push(effort),
        }
    }

    /// Whether refusing any of them takes no longer than refusing nobody.
    pub fn is_nothing(&self) -> bool {
        self.foreign.is_empty() && self.blocks == 0
    }
}

/// How fast this machine is.
#[derive(Debug)]
pub struct Speeds {
    /// One usual hash.
    usual: Duration,
    usual_blocks: u64,
    foreign: effort::Speeds,
}

impl Speeds {
    /// On the thread, and in the memory, that will do the work.
    pub fn measure(terms: &Terms, scratch: &mut Scratch) -> Result<Self, Fault> {
        let Ok(password) = Password::parse("nobody's password", usize::from(u8::MAX)) else {
            return Err(Fault::corrupt("could not measure hashes", "the sample is no password"));
        };
        let mut usual = Duration::MAX;
        for _ in 0..TIMES {
            let begun = Instant::now();
            terms.verify(scratch, &password, None)?;
            usual = usual.min(begun.elapsed());
        }
        let _only = terms.large.lock();
        Ok(Self {
            usual,
            usual_blocks: terms.recipe.blocks_filled().max(1),
            foreign: effort::Speeds::measure(),
        })
    }

    /// From the first block to the last of the dearest.
    pub fn time(&self, demands: &Demands) -> Duration {
        let foreign = demands.foreign.iter().map(|effort| self.foreign.time(*effort)).max();
        let nanos = self.usual.as_nanos() * u128::from(demands.blocks) / u128::from(self.usual_blocks);
        let argon2 = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // An imported hash of another kind comes on top of the usual work.
        (self.usual + foreign.unwrap_or_default()).max(argon2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT_12: &str = "$2b$12$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

    fn demands(texts: &[&str]) -> Demands {
        let hashes: Vec<_> = texts
            .iter()
            .map(|text| PasswordHash::from_phc((*text).to_owned()))
            .collect();
        Demands::of(&hashes, 19_456 * 2)
    }

    fn argon2(memory_kib: u32, passes: u32) -> String {
        format!(
            "$argon2id$v=19$m={memory_kib},t={passes},p=1,keyid=003392d3$AgICAgICAgICAgICAgICAg$tB+8/oXHAMKgfH3StXN+vlWSj6Ukqudo8VgD27natns"
        )
    }

    #[test]
    fn hashes_of_ours_that_cost_no_more_than_usual_demand_nothing() {
        assert!(demands(&[]).is_nothing());
        assert!(demands(&[&argon2(19_456, 2), &argon2(8_192, 1), "$2b$99$broken", "?"]).is_nothing());
        assert!(!demands(&[&argon2(19_456, 3)]).is_nothing());
        assert!(!demands(&[BCRYPT_12]).is_nothing());
    }

    #[test]
    fn the_dearest_counts_and_a_foreign_one_comes_on_top_of_the_usual_work() {
        let speeds = Speeds {
            usual: Duration::from_millis(30),
            usual_blocks: 19_456 * 2,
            foreign: effort::Speeds::measure(),
        };
        assert_eq!(speeds.time(&demands(&[&argon2(19_456, 6)])), Duration::from_millis(90));
        let one = speeds.time(&demands(&[BCRYPT_12]));
        assert!(one > Duration::from_millis(31), "{one:?}");
        let both = speeds.time(&demands(&[
            BCRYPT_12,
            "$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i",
        ]));
        assert_eq!(one, both);
    }
}
