//! What a hashing thread does: one Argon2id computation in memory it keeps, and what an imported hash asks for on top.

use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::{Argon2, Block};
use parking_lot::{Mutex, MutexGuard};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::phc::{Phc, Recipe};
use crate::crypto::foreign::Foreign;
use crate::crypto::secrets::Pepper;
use crate::domain::fault::Fault;
use crate::domain::password::{Password, PasswordHash};
use crate::ports::Verification;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// Bytes of a hash.
pub const OUTPUT_BYTES: usize = 32;

/// What every hash of this process has in common.
pub struct Terms {
    /// How a fresh hash is computed.
    pub recipe: Recipe,
    /// The key of every hash.
    pub pepper: Pepper,
    /// Compared with when there is no hash, so that no account costs what an account costs.
    pub dummy: Phc,
    /// The same as it would be stored.
    pub dummy_text: PasswordHash,
    /// Held by whoever takes more memory than its thread keeps, so that only one does at a time.
    pub large: Arc<Mutex<()>>,
}

/// A stored hash, read and within its bounds.
pub enum Stored {
    /// Ours, or imported Argon2.
    Argon2(Phc),
    /// Imported, of another kind.
    Foreign(Foreign),
}

/// The memory of one thread. Faulting 4,864 fresh pages in for each hash costs half as much again
/// as the hash itself, so it is kept.
#[derive(Default)]
pub struct Scratch {
    blocks: Vec<Block>,
    /// How long the last work waited for [`Terms::large`]: the wait of few hashes, which is no sign of a busy machine.
    waited: Duration,
}

impl Terms {
    /// A fresh hash.
    pub fn hash(&self, scratch: &mut Scratch, password: &Password, salt: &[u8]) -> Result<Phc, Fault> {
        let mut output = vec![0; OUTPUT_BYTES];
        self.compute(
            scratch,
            self.recipe,
            Some(self.pepper.current()),
            password,
            salt,
            &mut output,
        )?;
        Ok(Phc {
            recipe: self.recipe,
            key_id: Some(self.pepper.key_id().to_owned()),
            salt: salt.to_vec(),
            output,
        })
    }

    /// Compares with a stored hash, or with the dummy, in constant time.
    pub fn verify(
        &self,
        scratch: &mut Scratch,
        password: &Password,
        stored: Option<&Stored>,
    ) -> Result<Verification, Fault> {
        match stored {
            Some(Stored::Foreign(foreign)) if self.is(scratch, foreign, password) => {
                Ok(Verification::Match { stale: true })
            }
            // A wrong password for an imported hash also costs what one for no account costs.
            Some(Stored::Foreign(_)) | None => self.verify_argon2(scratch, password, None),
            Some(Stored::Argon2(hash)) => self.verify_argon2(scratch, password, Some(hash)),
        }
    }

    fn is(&self, scratch: &mut Scratch, foreign: &Foreign, password: &Password) -> bool {
        let _only = foreign.needs_memory().then(|| scratch.wait_for(&self.large));
        foreign.is(password)
    }

    fn verify_argon2(
        &self,
        scratch: &mut Scratch,
        password: &Password,
        stored: Option<&Phc>,
    ) -> Result<Verification, Fault> {
        let target = stored.unwrap_or(&self.dummy);
        let pepper = target.key_id.as_deref().and_then(|id| self.pepper.find(id));
        let mut output = Zeroizing::new(vec![0; target.output.len()]);
        self.compute(scratch, target.recipe, pepper, password, &target.salt, &mut output)?;
        let same: bool = output.ct_eq(&target.output).into();
        if same && stored.is_some() {
            return Ok(Verification::Match {
                stale: self.is_stale(target),
            });
        }
        self.even_out(scratch, target.recipe, password)?;
        Ok(Verification::Mismatch)
    }

    fn is_stale(&self, hash: &Phc) -> bool {
        hash.recipe != self.recipe
            || hash.output.len() != OUTPUT_BYTES
            || hash.key_id.as_deref() != Some(self.pepper.key_id())
    }

    /// A wrong password for a hash made under cheaper parameters would be refused sooner than one
    /// for no account, and so tell that the account exists. This spends the difference.
    fn even_out(&self, scratch: &mut Scratch, spent: Recipe, password: &Password) -> Result<(), Fault> {
        let Some(filler) = filler(self.recipe, spent) else {
            return Ok(());
        };
        let mut output = Zeroizing::new([0; OUTPUT_BYTES]);
        let pepper = Some(self.pepper.current());
        self.compute(scratch, filler, pepper, password, &self.dummy.salt, &mut *output)
    }

    fn compute(
        &self,
        scratch: &mut Scratch,
        recipe: Recipe,
        pepper: Option<&[u8]>,
        password: &Password,
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), Fault> {
        let impossible = |e| Fault::corrupt("could not compute an Argon2 hash with the parameters it asks for", e);
        let params = recipe.params().map_err(impossible)?;
        let count = params.block_count();
        let argon2 = match pepper {
            Some(key) => Argon2::new_with_secret(key, recipe.algorithm, recipe.version, params).map_err(impossible)?,
            None => Argon2::new(recipe.algorithm, recipe.version, params),
        };
        let password = password.expose().as_bytes();
        let keep = recipe.memory_kib <= self.recipe.memory_kib;
        let _only = (!keep).then(|| scratch.wait_for(&self.large));
        scratch.with(count, keep, |blocks| {
            argon2
                .hash_password_into_with_memory(password, salt, output, blocks)
                .map_err(impossible)
        })?
    }
}

impl Scratch {
    /// How long the work since the last call has waited for its turn to take much memory.
    pub fn waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    fn wait_for<'a>(&mut self, turn: &'a Mutex<()>) -> MutexGuard<'a, ()> {
        let begun = Instant::now();
        let guard = turn.lock();
        self.waited += begun.elapsed();
        guard
    }

    /// Lends `count` blocks. More than the usual is given back afterwards, unless it is to be kept.
    fn with<T>(&mut self, count: usize, keep: bool, work: impl FnOnce(&mut [Block]) -> T) -> Result<T, Fault> {
        if keep {
            grow(&mut self.blocks, count)?;
            return Ok(work(&mut self.blocks[..count]));
        }
        let mut blocks = Vec::new();
        grow(&mut blocks, count)?;
        Ok(work(&mut blocks))
    }
}

fn grow(blocks: &mut Vec<Block>, count: usize) -> Result<(), Fault> {
    if blocks.len() < count {
        blocks
            .try_reserve_exact(count - blocks.len())
            .map_err(|_| Fault::overloaded(format!("there is no memory for a password hash of {count} KiB")))?;
        blocks.resize(count, Block::new());
    }
    Ok(())
}

/// A computation that costs what `spent` left of `due`; `None` where nothing worth computing is left.
fn filler(due: Recipe, spent: Recipe) -> Option<Recipe> {
    let missing = due.blocks_filled().saturating_sub(spent.blocks_filled());
    let passes = missing.div_ceil(u64::from(due.memory_kib)).max(1);
    let recipe = Recipe {
        memory_kib: u32::try_from(missing / passes).ok()?,
        passes: u32::try_from(passes).ok()?,
        lanes: 1,
        ..due
    };
    recipe.params().ok().map(|_| recipe)
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Version};
    use rstest::rstest;

    use super::*;

    fn recipe(memory_kib: u32, passes: u32) -> Recipe {
        Recipe {
            algorithm: Algorithm::Argon2id,
            version: Version::V0x13,
            memory_kib,
            passes,
            lanes: 1,
        }
    }

    #[rstest]
    #[case(recipe(19_456, 2), recipe(19_456, 1))]
    #[case(recipe(19_456, 2), recipe(8_192, 1))]
    #[case(recipe(65_536, 3), recipe(19_456, 2))]
    #[case(recipe(64, 1), recipe(32, 1))]
    fn a_cheaper_hash_and_its_filler_cost_what_a_current_one_costs(#[case] due: Recipe, #[case] spent: Recipe) {
        let filler = filler(due, spent).unwrap();
        let total = filler.blocks_filled() + spent.blocks_filled();
        assert!(total <= due.blocks_filled() && total + u64::from(filler.passes) > due.blocks_filled());
        assert!(filler.memory_kib <= due.memory_kib);
    }

    #[test]
    fn nothing_is_added_to_a_hash_that_costs_as_much_or_more() {
        assert_eq!(filler(recipe(19_456, 2), recipe(19_456, 2)), None);
        assert_eq!(filler(recipe(19_456, 2), recipe(65_536, 3)), None);
    }

    #[test]
    fn the_wait_for_a_turn_to_take_much_memory_is_told_apart_once() {
        let turn = Mutex::new(());
        let held = turn.lock();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let (mut scratch, begun) = (Scratch::default(), Instant::now());
                drop(scratch.wait_for(&turn));
                (begun, scratch.waited(), scratch.waited())
            });
            assert!(turn.try_lock_for(Duration::from_millis(30)).is_none());
            let ended = Instant::now();
            drop(held);
            let (begun, waited, then) = waiting.join().unwrap();
            assert!(waited >= ended.saturating_duration_since(begun));
            assert_eq!(then, Duration::ZERO);
        });
    }

    #[test]
    fn memory_is_kept_up_to_the_usual_and_given_back_beyond() {
        let mut scratch = Scratch::default();
        assert_eq!(scratch.with(64, true, |blocks| blocks.len()).unwrap(), 64);
        assert_eq!(scratch.with(8, true, |blocks| blocks.len()).unwrap(), 8);
        assert_eq!(scratch.with(512, false, |blocks| blocks.len()).unwrap(), 512);
        assert_eq!(scratch.blocks.len(), 64);
    }
}
