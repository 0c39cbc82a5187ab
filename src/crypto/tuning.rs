//! Measures this machine and proposes how passwords are hashed on it.
//!
//! Two questions are measured rather than computed: how fast one hash is while as many threads hash as would in service,
//! since they share the memory bus, and how that grows with passes. The queue is computed from the peak.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::domain::fault::Fault;

/// OWASP's Password Storage Cheat Sheet: no less than 19 MiB with two passes.
pub const FLOOR_KIB: u32 = 19_456;
/// Passes of the floor.
pub const FLOOR_PASSES: u32 = 2;

/// Sizes that are tried, in KiB: the floor, and from there to what RFC 9106 names as its second choice and beyond.
const SIZES: [u32; 7] = [FLOOR_KIB, 32_768, 47_104, 65_536, 98_304, 131_072, 262_144];
/// Passes that are tried.
const PASSES: [u32; 3] = [2, 3, 4];

/// Hashes that each thread computes for one figure; the first warms the memory up and is not counted.
const ROUNDS: usize = 7;

/// Of each thread's time, so much is planned to be used at the peak: beyond it, queues grow without end.
const BUSY_PERCENT: u64 = 80;

/// What the operator wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Memory that hashing may take in all, in KiB.
    pub memory_kib: u64,
    /// Time within which 95 of 100 sign-ins have their hash at the peak, waiting included.
    pub p95: Duration,
    /// Sign-ins per second at the peak.
    pub peak: f64,
    /// Threads that may hash at once.
    pub threads: usize,
}

/// One measured or proposed setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Hashing threads.
    pub threads: usize,
    /// Waiting hashes.
    pub queue: usize,
    /// How long one hash takes, in 95 of 100 cases, while all threads hash.
    pub one: Duration,
    /// How many hashes per second all threads compute.
    pub per_second: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Advice {
    /// The strongest setting that meets the wish.
    Use(Setting),
    /// Not even the floor meets it.
    CannotBeMet {
        /// The floor on as many threads as the memory allows; `None` when it has room for no hash.
        floor: Option<Setting>,
        /// What is missing.
        missing: Missing,
    },
}

/// By how much a wish is missed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// Memory: so many KiB more for one hash of the floor.
    Memory(u64),
    /// Speed: a machine so many times as fast, or as many more cores, is needed for the peak.
    Throughput(f64),
    /// Time: so much longer than wished.
    Latency(Duration),
}

/// Measures and proposes. Takes some seconds and the memory that the wish allows.
///
/// # Errors
/// There is not as much memory as the wish allows.
pub fn tune(wish: Wish) -> Result<Advice, Fault> {
    advise(wish, measure)
}

/// The strongest of the settings that meet the wish; memory counts before passes (RFC 9106 section 4).
fn advise(wish: Wish, mut measure: impl FnMut(u32, u32, usize) -> Result<Timing, Fault>) -> Result<Advice, Fault> {
    let Some(threads) = threads_for(wish, FLOOR_KIB) else {
        let missing = Missing::Memory(u64::from(FLOOR_KIB) - wish.memory_kib);
        return Ok(Advice::CannotBeMet { floor: None, missing });
    };
    let floor = setting(
        wish,
        FLOOR_KIB,
        FLOOR_PASSES,
        threads,
        measure(FLOOR_KIB, FLOOR_PASSES, threads)?,
    );
    if let Some(missing) = missing(wish, &floor) {
        return Ok(Advice::CannotBeMet {
            floor: Some(floor),
            missing,
        });
    }
    let mut best = floor;
    'sizes: for memory_kib in SIZES {
        let Some(threads) = threads_for(wish, memory_kib) else {
            break;
        };
        for passes in PASSES {
            if (memory_kib, passes) == (FLOOR_KIB, FLOOR_PASSES) {
                continue;
            }
            let tried = setting(wish, memory_kib, passes, threads, measure(memory_kib, passes, threads)?);
            if missing(wish, &tried).is_some() {
                if passes == PASSES[0] {
                    // What does not fit with the fewest passes does not with more memory either.
                    break 'sizes;
                }
                break;
            }
            best = tried;
        }
    }
    Ok(Advice::Use(best))
}

fn threads_for(wish: Wish, memory_kib: u32) -> Option<usize> {
    let fit = usize::try_from(wish.memory_kib / u64::from(memory_kib)).unwrap_or(usize::MAX);
    Some(fit.min(wish.threads)).filter(|threads| *threads > 0)
}

/// How long a hash takes while all threads hash.
#[derive(Clone, Copy, Debug)]
struct Timing {
    p95: Duration,
    mean: Duration,
}

#[expect(clippy::cast_precision_loss, reason = "a number of threads")]
fn setting(wish: Wish, memory_kib: u32, passes: u32, threads: usize, timing: Timing) -> Setting {
    let per_second = threads as f64 / timing.mean.as_secs_f64().max(f64::EPSILON);
    // As many may wait as are served within the time that one hash leaves of the wish.
    let spare = wish.p95.saturating_sub(timing.p95).as_secs_f64();
    Setting {
        memory_kib,
        passes,
        threads,
        queue: whole(per_second * spare).max(least_queue(wish.peak, per_second, threads)),
        one: timing.p95,
        per_second,
    }
}

/// At the peak, one sign-in in a hundred at most may find the queue full.
const MOST_REFUSED: f64 = 0.01;

/// The shortest queue with which no more than [`MOST_REFUSED`] are refused, for arrivals at random: the blocking of an
/// M/M/c/K queue, which is more than that of hashes, whose times vary less. None where more come than are hashed: no
/// queue is long enough for them, and a longer one only lets everybody wait longer.
#[expect(clippy::cast_precision_loss, reason = "few threads")]
fn least_queue(peak: f64, per_second: f64, threads: usize) -> usize {
    let offered = peak * threads as f64 / per_second.max(f64::EPSILON);
    let (mut term, mut sum) = (1.0, 1.0);
    for busy in 1..=threads {
        term *= offered / busy as f64;
        sum += term;
    }
    let load = offered / threads.max(1) as f64;
    if load >= 1.0 {
        return 0;
    }
    let mut queue = 0;
    while term / sum > MOST_REFUSED && queue < MOST_WAITING {
        term *= load;
        sum += term;
        queue += 1;
    }
    queue
}

/// More waiting hashes than that are no queue any more.
const MOST_WAITING: usize = 10_000;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded just before"
)]
fn whole(number: f64) -> usize {
    number.clamp(0.0, 10_000.0) as usize
}

/// What a setting lacks for the wish. At the peak each thread is busy for most of its time, and whoever comes then waits
/// behind about as many others as fit into the rest.
#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn missing(wish: Wish, setting: &Setting) -> Option<Missing> {
    let sustained = setting.per_second * BUSY_PERCENT as f64 / 100.0;
    if sustained < wish.peak {
        return Some(Missing::Throughput(wish.peak / sustained));
    }
    let waited = setting.one + queueing(wish.peak, setting);
    waited
        .checked_sub(wish.p95)
        .filter(|over| !over.is_zero())
        .map(Missing::Latency)
}

/// The wait of the unlucky one in twenty: an M/D/c queue by its common approximation, half of M/M/c's mean wait, three
/// times over for the tail of an exponential (ln 20 = 3).
#[expect(clippy::cast_precision_loss, reason = "few threads")]
fn queueing(peak: f64, setting: &Setting) -> Duration {
    let load = (peak / setting.per_second).min(0.99);
    let threads = setting.threads as f64;
    let service = threads / setting.per_second;
    // Sakasegawa's approximation of the waiting time of M/M/c.
    let exponent = (2.0 * (threads + 1.0)).sqrt() - 1.0;
    let mean = service * load.powf(exponent) / (threads * (1.0 - load));
    Duration::from_secs_f64(3.0 * mean / 2.0)
}

/// Hashes on so many threads at once.
fn measure(memory_kib: u32, passes: u32, threads: usize) -> Result<Timing, Fault> {
    let impossible = |e| Fault::corrupt("could not measure hashes of these parameters", e);
    let params = Params::new(memory_kib, passes, 1, None).map_err(impossible)?;
    let start = Barrier::new(threads);
    let mut times = std::thread::scope(|scope| -> Result<Vec<Duration>, Fault> {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| hash_for_a_while(params.clone(), &start)))
            .collect();
        let mut times = Vec::new();
        for worker in workers {
            let own = worker
                .join()
                .map_err(|_| Fault::overloaded("a measuring thread gave up"))?;
            times.extend(own?);
        }
        Ok(times)
    })?;
    times.sort_unstable();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
    Ok(Timing {
        p95: times
            .get((times.len() * 95).div_ceil(100).saturating_sub(1))
            .copied()
            .unwrap_or_default(),
        mean: times.iter().sum::<Duration>() / count,
    })
}

fn hash_for_a_while(params: Params, start: &Barrier) -> Result<Vec<Duration>, Fault> {
    let count = params.block_count();
    let mut blocks = Vec::new();
    let room = blocks.try_reserve_exact(count);
    if room.is_ok() {
        blocks.resize(count, Block::new());
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    start.wait();
    room.map_err(|_| Fault::overloaded("there is not as much memory as --memory says"))?;
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let (mut output, begun) = ([0; 32], Instant::now());
        argon2
            .hash_password_into_with_memory(b"a password of usual length", &[7; 16], &mut output, &mut blocks)
            .map_err(|e| Fault::corrupt("could not compute a hash", e))?;
        if round > 0 {
            times.push(begun.elapsed());
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish {
        memory_kib: 512 * 1024,
        p95: Duration::from_millis(300),
        peak: 40.0,
        threads: 4,
    };

    /// A machine that fills so many KiB per millisecond on each thread.
    fn machine(speed: f64) -> impl FnMut(u32, u32, usize) -> Result<Timing, Fault> {
        move |memory_kib, passes, _| {
            let one = Duration::from_secs_f64(f64::from(memory_kib) * f64::from(passes) / speed / 1000.0);
            Ok(Timing { p95: one, mean: one })
        }
    }

    #[test]
    fn a_fast_machine_gets_more_than_the_floor_and_all_of_the_wish() {
        let Advice::Use(found) = advise(WISH, machine(2000.0)).unwrap() else {
            panic!("it can be met");
        };
        assert!(found.memory_kib > FLOOR_KIB, "{found:?}");
        assert!(u64::from(found.memory_kib) * found.threads as u64 <= WISH.memory_kib);
        assert!(found.per_second * 0.8 >= WISH.peak);
        assert!(found.one <= WISH.p95);
        let slower = advise(WISH, machine(1200.0)).unwrap();
        assert!(
            matches!(slower, Advice::Use(slower) if slower.memory_kib * slower.passes < found.memory_kib * found.passes),
            "{slower:?}"
        );
    }

    #[test]
    fn a_machine_that_just_meets_the_wish_gets_the_floor() {
        // 32 ms a hash on four threads: 125 a second in all.
        let wish = Wish { peak: 95.0, ..WISH };
        let Advice::Use(found) = advise(wish, machine(1216.0)).unwrap() else {
            panic!("it can be met");
        };
        assert_eq!(
            (found.memory_kib, found.passes, found.threads),
            (FLOOR_KIB, FLOOR_PASSES, 4)
        );
        assert!((1..=100).contains(&found.queue), "{found:?}");
    }

    #[test]
    fn what_cannot_be_met_says_what_is_missing_and_by_how_much() {
        let Advice::CannotBeMet { floor, missing } = advise(WISH, machine(200.0)).unwrap() else {
            panic!("too slow");
        };
        assert!(floor.is_some());
        assert!(
            matches!(missing, Missing::Throughput(times) if (2.0..3.0).contains(&times)),
            "{missing:?}"
        );

        let poor = Wish {
            memory_kib: 10_000,
            ..WISH
        };
        let advice = advise(poor, machine(2000.0)).unwrap();
        let missing = Missing::Memory(9_456);
        assert_eq!(advice, Advice::CannotBeMet { floor: None, missing });

        let hasty = Wish {
            p95: Duration::from_millis(10),
            ..WISH
        };
        let Advice::CannotBeMet { missing, .. } = advise(hasty, machine(1500.0)).unwrap() else {
            panic!("too slow");
        };
        assert!(
            matches!(missing, Missing::Latency(over) if over > Duration::from_millis(5)),
            "{missing:?}"
        );
    }

    #[test]
    fn the_queue_is_long_enough_for_arrivals_at_random() {
        // Poisson arrivals at 5 a second for one thread that hashes 11 a second.
        let load: f64 = 5.0 / 11.0;
        // The closed form for one thread.
        let refused = |places: i32| (1.0 - load) * load.powi(places) / (1.0 - load.powi(places + 1));
        assert_eq!(least_queue(5.0, 11.0, 1), 5);
        assert!(refused(6) < MOST_REFUSED && refused(5) > MOST_REFUSED);
        let busy = least_queue(40.0, 50.0, 4);
        assert!((8..40).contains(&busy), "{busy}");
        assert_eq!(least_queue(0.0, 10.0, 2), 0);
    }

    #[test]
    fn a_peak_that_no_queue_is_long_enough_for_lets_nobody_wait_longer_than_wished() {
        // 25 hashes a second, or 100: the peak is more than either.
        for (speed, peak) in [(243.2, 40.0), (972.8, 100.5)] {
            let wish = Wish { peak, ..WISH };
            let Advice::CannotBeMet { floor: Some(floor), .. } = advise(wish, machine(speed)).unwrap() else {
                panic!("too slow");
            };
            let waiting = f64::from(u32::try_from(floor.queue).unwrap());
            let wait = floor.one.as_secs_f64() + waiting / floor.per_second;
            assert!(wait <= WISH.p95.as_secs_f64(), "{wait} s: {floor:?}");
        }
    }

    #[test]
    fn memory_bounds_the_threads() {
        let narrow = Wish {
            memory_kib: 2 * u64::from(FLOOR_KIB) + 5,
            peak: 1.0,
            ..WISH
        };
        let Advice::Use(found) = advise(narrow, machine(2000.0)).unwrap() else {
            panic!("it can be met");
        };
        assert!(
            u64::from(found.memory_kib) * found.threads as u64 <= narrow.memory_kib,
            "{found:?}"
        );
    }

    #[test]
    fn a_measurement_gives_plausible_figures() {
        let one = measure(64, 1, 2).unwrap();
        assert!(one.mean > Duration::ZERO && one.p95 >= one.mean / 2);
    }
}
