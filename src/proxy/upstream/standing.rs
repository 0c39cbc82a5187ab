//! Whether a server may be sent requests: what its health check says, and what requests have met there.
//!
//! Pure: time is handed in, and whoever changes a standing is told whether it is news.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What a server is forgiven.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// So many failures in a row take it out.
    pub failures: u32,
    /// Statuses of answers that count as failures.
    pub statuses: Vec<u16>,
    /// For how long.
    pub pause: Duration,
}

/// How a server is asked for its health.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// The path that is asked for.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// The most an answer may take.
    pub timeout: Duration,
    /// So many good answers in a row bring a server back.
    pub rise: u32,
    /// So many bad ones in a row take it out.
    pub fall: u32,
}

/// The standing of one server.
#[derive(Debug, Default)]
pub struct Standing {
    /// Whether there is anything to look at: nothing in the life of a healthy server.
    troubled: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    failures: u32,
    paused_until: Option<Instant>,
    passed: u32,
    missed: u32,
    down: bool,
    /// Whether it has been said that the server is out.
    out: bool,
}

/// News about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is sent nothing while others are left.
    Out,
    /// It is sent requests again.
    In,
}

impl Standing {
    /// Whether it is sent requests.
    pub fn is_in(&self, now: Instant) -> bool {
        !self.troubled.load(Ordering::Relaxed) || self.record.lock().is_in(now)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.record.lock().failures
    }

    /// A request failed there.
    pub fn failed(&self, now: Instant, tolerance: &Tolerance) -> Option<News> {
        self.change(|record| {
            record.failures = record.failures.saturating_add(1);
            if record.failures < tolerance.failures || record.paused_until.is_some_and(|until| now < until) {
                return None;
            }
            record.paused_until = now.checked_add(tolerance.pause);
            record.leave()
        })
    }

    /// A request was answered there.
    pub fn served(&self) -> Option<News> {
        if !self.troubled.load(Ordering::Relaxed) {
            return None;
        }
        self.change(|record| {
            record.forgive();
            record.come_back()
        })
    }

    /// The health check had a good answer.
    pub fn passed(&self, rise: u32) -> Option<News> {
        self.change(|record| {
            record.missed = 0;
            record.passed = record.passed.saturating_add(1);
            if record.passed < rise {
                return None;
            }
            record.down = false;
            record.forgive();
            record.come_back()
        })
    }

    /// The health check had a bad answer, or none.
    pub fn missed(&self, fall: u32) -> Option<News> {
        self.change(|record| {
            record.passed = 0;
            record.missed = record.missed.saturating_add(1);
            if record.missed < fall {
                return None;
            }
            record.down = true;
            record.leave()
        })
    }

    fn change(&self, change: impl FnOnce(&mut Record) -> Option<News>) -> Option<News> {
        let mut record = self.record.lock();
        let news = change(&mut record);
        self.troubled.store(record.is_troubled(), Ordering::Relaxed);
        news
    }
}

impl Record {
    fn is_in(&self, now: Instant) -> bool {
        !self.down && self.paused_until.is_none_or(|until| until <= now)
    }

    const fn is_troubled(&self) -> bool {
        self.down || self.out || self.failures > 0 || self.paused_until.is_some()
    }

    const fn forgive(&mut self) {
        self.failures = 0;
        self.paused_until = None;
    }

    fn leave(&mut self) -> Option<News> {
        let news = !self.out;
        self.out = true;
        // Good answers from before count for nothing.
        self.passed = 0;
        news.then_some(News::Out)
    }

    fn come_back(&mut self) -> Option<News> {
        let news = self.out && !self.down;
        self.out = self.down;
        news.then_some(News::In)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tolerance() -> Tolerance {
        Tolerance {
            failures: 3,
            statuses: Vec::new(),
            pause: Duration::from_secs(10),
        }
    }

    #[test]
    fn failures_in_a_row_take_a_server_out_for_a_bounded_time() {
        let (standing, now) = (Standing::default(), Instant::now());
        assert_eq!(standing.failed(now, &tolerance()), None);
        assert_eq!(standing.failed(now, &tolerance()), None);
        assert!(standing.is_in(now));
        assert_eq!(standing.failed(now, &tolerance()), Some(News::Out));
        assert!(!standing.is_in(now + Duration::from_secs(9)));
        assert!(standing.is_in(now + Duration::from_secs(10)), "it is tried again");
    }

    #[test]
    fn a_server_that_fails_its_next_try_is_out_again_and_it_is_said_once() {
        let (standing, now) = (Standing::default(), Instant::now());
        for _ in 0..3 {
            standing.failed(now, &tolerance());
        }
        let later = now + Duration::from_secs(11);
        assert_eq!(standing.failed(later, &tolerance()), None);
        assert!(!standing.is_in(later));
        assert_eq!(standing.served(), Some(News::In));
        assert!(standing.is_in(later));
        assert_eq!(standing.served(), None);
    }

    #[test]
    fn an_answer_in_between_makes_the_count_begin_anew() {
        let (standing, now) = (Standing::default(), Instant::now());
        for _ in 0..10 {
            standing.failed(now, &tolerance());
            standing.failed(now, &tolerance());
            assert_eq!(standing.served(), None);
        }
        assert!(standing.is_in(now));
        assert_eq!(standing.failures(), 0);
    }

    #[test]
    fn the_check_takes_out_and_brings_back_after_as_many_answers_as_it_was_told() {
        let (standing, now) = (Standing::default(), Instant::now());
        assert_eq!(standing.missed(2), None);
        assert_eq!(standing.passed(2), None);
        assert_eq!(standing.missed(2), None, "not in a row");
        assert_eq!(standing.missed(2), Some(News::Out));
        assert!(
            !standing.is_in(now + Duration::from_hours(1)),
            "for as long as it takes"
        );
        assert_eq!(standing.served(), None, "one answer proves nothing to the check");
        assert!(!standing.is_in(now));
        assert_eq!(standing.passed(2), None);
        assert_eq!(standing.passed(2), Some(News::In));
        assert!(standing.is_in(now));
    }

    #[test]
    fn the_check_also_ends_a_pause() {
        let (standing, now) = (Standing::default(), Instant::now());
        standing.passed(2);
        standing.passed(2);
        for _ in 0..3 {
            standing.failed(now, &tolerance());
        }
        assert_eq!(
            standing.passed(2),
            None,
            "what it said before the failures counts for nothing"
        );
        assert!(!standing.is_in(now));
        assert_eq!(standing.passed(2), Some(News::In));
        assert!(standing.is_in(now));
    }
}
