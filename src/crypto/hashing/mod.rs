//! [`Argon2Hasher`]: password hashes with Argon2id, keyed with the pepper, in bounded time and memory; imported hashes
//! of other kinds are verified within the same bounds.

mod audit;
mod dearest;
mod line;
pub(in crate::crypto) mod phc;
mod pool;
mod strain;
mod work;

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use argon2::{Algorithm, Version};
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use self::dearest::{Demands, Speeds};
use self::phc::{Phc, Recipe};
use self::pool::Pool;
use self::strain::{Stopwatch, Strain};
use self::work::{OUTPUT_BYTES, SALT_BYTES, Scratch, Stored, Terms};
use super::foreign::{self, Foreign};
use super::foreign::{Basis, basis_of};
use super::secrets::Pepper;
use crate::config::Hashing;
use crate::domain::fault::Fault;
use crate::domain::password::{Password, PasswordHash};
use crate::ports::{Compared, Entropy, Hasher, Place, Spent};

pub use self::audit::HashKind;
pub use self::pool::{ByLane, Stats};

/// The most memory a stored hash may ask for where the configuration asks for less.
const MAX_STORED_MEMORY_KIB: u32 = 256 * 1024;

/// How often a pepper that is not ours is worth a line in the log.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// Hashes on threads of its own, each with memory it keeps, behind a bounded queue.
///
/// A wrong password and an absent account cost the same, also for a hash made under cheaper
/// parameters than today's. A hash made under dearer ones takes longer until its owner signs in, and
/// so does an imported one of another kind: its own work comes on top of the usual, never in its place.
/// How long at most, [`Self::dearest`] tells.
///
/// Memory in all: one hash of the configured size for each thread, and one larger or imported hash at a time.
///
/// Dropping it waits for the hashes being computed and fails those waiting.
pub struct Argon2Hasher {
    pool: Pool<Scratch>,
    terms: ArcSwap<Terms>,
    entropy: Arc<dyn Entropy>,
    warned: Mutex<Option<Instant>>,
    speeds: OnceCell<Speeds>,
    strain: Arc<Strain>,
}

/// What makes a stored hash easier to guess from than one made today, in words; nothing when it is as good.
pub fn weakness(hash: &PasswordHash, today: &Hashing) -> Option<String> {
    match basis_of(hash) {
        Basis::Foreign(kind) => Some(format!("{kind}, from another system")),
        Basis::Unreadable => Some("it cannot be read, so nobody can sign in with it".to_owned()),
        Basis::Pepper(_) => {
            let recipe = phc::Phc::parse(hash.expose(), u32::MAX).ok()?.recipe;
            let work = u64::from(today.memory_kib) * u64::from(today.passes);
            let weak = recipe.memory_kib < today.memory_kib || recipe.blocks_filled() < work;
            weak.then(|| {
                let (m, t) = (recipe.memory_kib, recipe.passes);
                format!(
                    "Argon2id m={m} KiB t={t}; today m={} KiB t={}",
                    today.memory_kib, today.passes
                )
            })
        }
    }
}

impl Argon2Hasher {
    /// Starts the threads. Their memory is taken at their first hash.
    ///
    /// # Errors
    /// The parameters are outside Argon2's own bounds, or the operating system gave no thread.
    pub fn start(hashing: Hashing, pepper: Pepper, entropy: Arc<dyn Entropy>) -> Result<Self, Fault> {
        let recipe = Recipe {
            algorithm: Algorithm::Argon2id,
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
        Ok(Self {
            pool: Pool::start(threads, hashing.queue)
                .map_err(|e| Fault::unavailable(format!("could not start {threads} hashing threads"), e))?,
            terms: ArcSwap::from_pointee(terms(recipe, pepper, Arc::default(), &*entropy)),
            entropy,
            warned: Mutex::default(),
            speeds: OnceCell::new(),
            strain: Arc::default(),
        })
    }

    /// Hashes with this pepper from now on; what is being computed goes on with the one it began with.
    pub fn replace_pepper(&self, pepper: Pepper) {
        let old = self.terms.load();
        let new = terms(old.recipe, pepper, Arc::clone(&old.large), &*self.entropy);
        self.terms.store(Arc::new(new));
    }

    /// The queue and the counters, for metrics.
    pub fn stats(&self) -> Stats {
        self.pool.stats()
    }

    /// What a hash of ours made today begins with.
    pub fn usual_head(&self) -> String {
        let terms = self.terms.load();
        let (m, t) = (terms.recipe.memory_kib, terms.recipe.passes);
        format!("$argon2id$v=19$m={m},t={t},p=1,keyid=")
    }

    /// How long refusing a wrong password takes for the dearest of these hashes, when nothing disturbs it; `None` when
    /// none costs more than no account. The machine is measured once, with hashes of our own choice: that takes half a
    /// second at most with the default parameters, and tells nothing of any attempt.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] when it must be measured and the queue is full.
    pub async fn dearest(&self, hashes: &[PasswordHash]) -> Result<Option<Duration>, Fault> {
        let terms = self.terms.load_full();
        let demands = Demands::of(hashes, terms.recipe.blocks_filled());
        if demands.is_nothing() {
            return Ok(None);
        }
        let measured = self
            .speeds
            .get_or_try_init(|| self.run(Place::OWN, terms, Speeds::measure));
        Ok(Some(measured.await?.time(&demands)))
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        terms: Arc<Terms>,
        work: impl FnOnce(&Terms, &mut Scratch) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.pool
            .submit(place, move |scratch| work(&terms, scratch))
            .await
            .map_err(|e| Fault::unavailable("a hashing thread gave up on a password", e))?
            .map_err(|_| Fault::overloaded("the queue for password hashes is full"))?
    }

    /// The stored hash, or `None` when it was made under a pepper that is not here. Bounds are checked for every row:
    /// whoever could write to the store must not be able to take all memory with it.
    fn read(&self, terms: &Terms, hash: &PasswordHash) -> Result<Option<Stored>, Fault> {
        let text = hash.expose();
        if !text.starts_with("$argon2") {
            let foreign = Foreign::parse(text).map_err(|why| unusable(&why.to_string()))?;
            return Ok(Some(Stored::Foreign(foreign)));
        }
        let most = MAX_STORED_MEMORY_KIB.max(terms.recipe.memory_kib);
        let hash = Phc::parse(text, most).map_err(unusable)?;
        match &hash.key_id {
            Some(id) if terms.pepper.find(id).is_none() => {
                self.warn_of_pepper(terms, id);
                return Ok(None);
            }
            Some(_) => {}
            None => foreign::check_argon2(&hash).map_err(|why| unusable(&why.to_string()))?,
        }
        Ok(Some(Stored::Argon2(hash)))
    }

    fn warn_of_pepper(&self, terms: &Terms, found: &str) {
        let mut warned = self.warned.lock();
        if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            tracing::warn!(
                found,
                ours = terms.pepper.key_id(),
                "a password was hashed under another pepper, so nobody can sign in with it; \
                 if it was not dropped on purpose, put it back into the secrets directory as `pepper.{found}`"
            );
        }
    }
}

#[async_trait]
impl Hasher for Argon2Hasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, Fault> {
        let (password, salt) = (password.clone(), fresh_salt(&*self.entropy));
        let hash = self
            .run(Place::OWN, self.terms.load_full(), move |terms, scratch| {
                terms.hash(scratch, &password, &salt)
            })
            .await?;
        Ok(PasswordHash::from_phc(hash.to_string()))
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>, place: Place) -> Result<Compared, Fault> {
        let terms = self.terms.load_full();
        // Where there is none the dummy's text is read: that takes its time, too.
        let read = self.read(&terms, hash.unwrap_or(&terms.dummy_text))?;
        let stored = read.filter(|_| hash.is_some());
        let (password, strain) = (password.clone(), Arc::clone(&self.strain));
        self.run(place, terms, move |terms, scratch| {
            scratch.waited();
            let watch = Stopwatch::start();
            let outcome = terms.verify(scratch, &password, stored.as_ref())?;
            let (took, computed) = watch.read();
            // Only some hashes wait for this: it is part of what the attempt took, and must not count as slowness of the
            // machine, which everybody is told of.
            let worked = took.saturating_sub(scratch.waited());
            Ok(Compared {
                outcome,
                spent: Spent {
                    took,
                    slowdown: strain.note(worked, computed, Instant::now()),
                },
            })
        })
        .await
    }
}

fn terms(recipe: Recipe, pepper: Pepper, large: Arc<Mutex<()>>, entropy: &dyn Entropy) -> Terms {
    let dummy = Phc {
        recipe,
        key_id: Some(pepper.key_id().to_owned()),
        salt: fresh_salt(entropy),
        output: vec![0; OUTPUT_BYTES],
    };
    Terms {
        recipe,
        pepper,
        dummy_text: PasswordHash::from_phc(dummy.to_string()),
        dummy,
        large,
    }
}

fn unusable(why: &str) -> Fault {
    Fault::corrupt("a stored password hash cannot be used", why)
}

fn fresh_salt(entropy: &dyn Entropy) -> Vec<u8> {
    entropy.token()[..SALT_BYTES].to_vec()
}

#[cfg(test)]
mod tests;
