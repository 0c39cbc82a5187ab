//! [`Argon2Hasher`]: password hashes with Argon2id, keyed with the pepper, in bounded time and memory.

mod audit;
mod phc;
mod pool;
mod work;

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use argon2::Version;
use async_trait::async_trait;
use parking_lot::Mutex;

use self::phc::{Phc, Recipe};
use self::pool::Pool;
use self::work::{OUTPUT_BYTES, SALT_BYTES, Scratch, Terms};
use super::secrets::Pepper;
use crate::config::Hashing;
use crate::domain::fault::Fault;
use crate::domain::password::{Password, PasswordHash};
use crate::ports::{Entropy, Hasher, Verification};

pub use self::audit::HashKind;
pub use self::pool::Stats;

/// The most memory a stored hash may ask for where the configuration asks for less.
const MAX_STORED_MEMORY_KIB: u32 = 256 * 1024;

/// How often a pepper that is not ours is worth a line in the log.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// Hashes on threads of its own, each with memory it keeps, behind a bounded queue.
///
/// A wrong password and an absent account cost the same, also for a hash made under cheaper
/// parameters than today's. A hash made under dearer ones takes longer until its owner signs in.
///
/// Dropping it waits for the hashes being computed and fails those waiting.
pub struct Argon2Hasher {
    pool: Pool<Scratch>,
    terms: Arc<Terms>,
    entropy: Arc<dyn Entropy>,
    warned: Mutex<Option<Instant>>,
}

impl Argon2Hasher {
    /// Starts the threads. Their memory is taken at their first hash.
    ///
    /// # Errors
    /// The parameters are outside Argon2's own bounds, or the operating system gave no thread.
    pub fn start(hashing: Hashing, pepper: Pepper, entropy: Arc<dyn Entropy>) -> Result<Self, Fault> {
        let recipe = Recipe {
            version: Version::V0x13,
            memory_kib: hashing.memory_kib,
            passes: hashing.passes,
            lanes: 1,
        };
        recipe.params().map_err(|e| {
            let (m, t) = (recipe.memory_kib, recipe.passes);
            Fault::unavailable(format!("passwords cannot be hashed with {m} KiB and {t} passes"), e)
        })?;
        let threads = match hashing.threads {
            0 => available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1),
            threads => threads,
        };
        let dummy = Phc {
            recipe,
            key_id: Some(pepper.key_id().to_owned()),
            salt: fresh_salt(&*entropy),
            output: vec![0; OUTPUT_BYTES],
        };
        Ok(Self {
            pool: Pool::start(threads, hashing.queue)
                .map_err(|e| Fault::unavailable(format!("could not start {threads} hashing threads"), e))?,
            terms: Arc::new(Terms { recipe, pepper, dummy }),
            entropy,
            warned: Mutex::default(),
        })
    }

    /// The queue and the counters, for metrics.
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Terms, &mut Scratch) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let terms = Arc::clone(&self.terms);
        self.pool
            .submit(move |scratch| work(&terms, scratch))
            .map_err(|_| Fault::overloaded("the queue for password hashes is full"))?
            .await
            .map_err(|e| Fault::unavailable("a hashing thread gave up on a password", e))?
    }

    /// The stored hash, or `None` when it was made under a pepper that is not here.
    fn read(&self, hash: &PasswordHash) -> Result<Option<Phc>, Fault> {
        let most = MAX_STORED_MEMORY_KIB.max(self.terms.recipe.memory_kib);
        let hash = Phc::parse(hash.expose(), most)
            .map_err(|why| Fault::corrupt("a stored password hash cannot be used", why))?;
        match &hash.key_id {
            Some(id) if self.terms.pepper.find(id).is_none() => {
                self.warn_of_pepper(id);
                Ok(None)
            }
            _ => Ok(Some(hash)),
        }
    }

    fn warn_of_pepper(&self, found: &str) {
        let mut warned = self.warned.lock();
        if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            tracing::warn!(
                found,
                ours = self.terms.pepper.key_id(),
                "a password was hashed under another pepper, so nobody can sign in with it; \
                 put the old pepper into the secrets directory as `pepper.previous` and restart"
            );
        }
    }
}

#[async_trait]
impl Hasher for Argon2Hasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, Fault> {
        let (password, salt) = (password.clone(), fresh_salt(&*self.entropy));
        let hash = self
            .run(move |terms, scratch| terms.hash(scratch, &password, &salt))
            .await?;
        Ok(PasswordHash::from_phc(hash.to_string()))
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, Fault> {
        let stored = match hash {
            Some(hash) => self.read(hash)?,
            None => None,
        };
        let password = password.clone();
        self.run(move |terms, scratch| terms.verify(scratch, &password, stored.as_ref()))
            .await
    }
}

fn fresh_salt(entropy: &dyn Entropy) -> Vec<u8> {
    entropy.token()[..SALT_BYTES].to_vec()
}

#[cfg(test)]
mod tests;
