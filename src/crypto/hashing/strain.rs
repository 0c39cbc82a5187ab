//! How much slower the hashing threads are than they would be on a machine with nothing else to do: the time that passes,
//! against the time they get of a processor.
//!
//! They run at a low priority, so on a busy machine a hash may take ten times as long as its own work. Whoever evens out
//! the time of answers must know by how much, and must not tell it from the one hash that is to stay unknown alone.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The worst of so long counts, and of so long before.
const WINDOW: Duration = Duration::from_secs(10);

/// Beyond this nothing is evened out any more: nobody waits minutes for an answer.
const MOST: f64 = 50.0;

/// The worst slowdown of late.
#[derive(Default)]
pub struct Strain(Mutex<Option<Windows>>);

#[derive(Clone, Copy)]
struct Windows {
    since: Instant,
    worst: f64,
    worst_before: f64,
}

impl Strain {
    /// Notes a computation and answers the worst slowdown of the last ten to twenty seconds, this one among them.
    pub fn note(&self, took: Duration, computed: Duration, now: Instant) -> f64 {
        let own = slowdown(took, computed);
        let mut windows = self.0.lock();
        let aged = windows.map(|windows| windows.at(now));
        let known = aged.unwrap_or(Windows {
            since: now,
            worst: 1.0,
            worst_before: 1.0,
        });
        let noted = Windows {
            worst: known.worst.max(own),
            ..known
        };
        *windows = Some(noted);
        noted.worst.max(noted.worst_before)
    }
}

impl Windows {
    /// As they stand at this moment.
    fn at(self, now: Instant) -> Self {
        match now.saturating_duration_since(self.since) {
            age if age < WINDOW => self,
            age if age < 2 * WINDOW => Self {
                since: self.since + WINDOW,
                worst: 1.0,
                worst_before: self.worst,
            },
            _ => Self {
                since: now,
                worst: 1.0,
                worst_before: 1.0,
            },
        }
    }
}

/// How many times as long it took as it would have alone. What took next to no time tells nothing.
fn slowdown(took: Duration, computed: Duration) -> f64 {
    if computed < Duration::from_micros(100) {
        return 1.0;
    }
    (took.as_secs_f64() / computed.as_secs_f64()).clamp(1.0, MOST)
}

/// Measures one computation on the thread that does it.
pub struct Stopwatch {
    begun: Instant,
    processor: Option<Duration>,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            processor: processor_time(),
        }
    }

    /// What has passed, and what of it this thread had a processor.
    pub fn read(&self) -> (Duration, Duration) {
        let took = self.begun.elapsed();
        let computed = match (self.processor, processor_time()) {
            (Some(before), Some(now)) => now.saturating_sub(before).min(took),
            _ => took,
        };
        (took, computed)
    }
}

/// What this thread has had of a processor in its life, where the system tells.
#[cfg(target_os = "linux")]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[track_caller]
    fn is(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-9, "{found}, not {wanted}");
    }

    #[test]
    fn the_worst_of_the_last_seconds_counts_and_is_forgotten() {
        let (strain, start) = (Strain::default(), Instant::now());
        let note = |took, second| strain.note(ms(took), ms(10), start + Duration::from_secs(second));
        is(note(10, 0), 1.0);
        is(note(70, 1), 7.0);
        is(note(20, 2), 7.0);
        is(note(30, 11), 7.0);
        is(note(10, 19), 7.0);
        is(note(10, 21), 3.0);
        is(note(10, 60), 1.0);
    }

    #[test]
    fn what_is_too_short_or_beyond_measure_does_not_count() {
        let strain = Strain::default();
        is(strain.note(ms(5), Duration::from_micros(1), Instant::now()), 1.0);
        is(strain.note(ms(1), ms(2), Instant::now()), 1.0);
        is(strain.note(Duration::from_hours(1), ms(1), Instant::now()), MOST);
    }

    #[test]
    fn a_thread_that_waits_has_no_processor_meanwhile() {
        let watch = Stopwatch::start();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let _ = receiver.recv_timeout(ms(30));
        drop(sender);
        let (took, computed) = watch.read();
        assert!(took >= ms(30), "{took:?}");
        #[cfg(target_os = "linux")]
        assert!(computed < took / 2, "{computed:?} of {took:?}");
    }
}
