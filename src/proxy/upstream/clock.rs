//! How long a server may take to begin its answer, and who is on a line to it.
//!
//! Pingora 0.9.1 limits each silence on a connection, before the head of an answer and within its body alike: a stream
//! that says nothing for a while would be cut. Here time runs from the request to the head alone. A line whose time is
//! over is shut down, which ends whatever Pingora waits for on it; it carries one request at a time.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::Mutex;
use pingora::upstreams::peer::{Tracer, Tracing};

use super::idle::{Idle, Turn};

/// The open lines to the servers of one pool.
#[derive(Debug)]
pub struct Lines {
    since: Instant,
    open: DashMap<RawFd, Arc<Line>>,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Line {
    lines: Weak<Lines>,
    place: Mutex<Place>,
    /// Milliseconds since the pool was made, [`STOPPED`] or [`LATE`].
    due: AtomicU64,
    idle: Idle,
}

/// A request on a line; dropping it leaves the line to others.
#[derive(Debug)]
pub struct Used {
    line: Arc<Line>,
    turn: Turn,
}

/// Where a line is. The lock is held while it is shut down and taken before it is closed, so that its number is never
/// somebody else's by then.
#[derive(Debug)]
enum Place {
    Dialling,
    Open(RawFd),
    Closed,
}

/// Nobody waits for an answer.
const STOPPED: u64 = 0;
/// Time is over, and the line was shut down.
const LATE: u64 = u64::MAX;

impl Lines {
    /// None is open.
    pub fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self {
            since: now,
            open: DashMap::new(),
        })
    }

    /// A line that is about to be opened.
    pub fn dial(self: &Arc<Self>) -> Arc<Line> {
        Arc::new(Line {
            lines: Arc::downgrade(self),
            place: Mutex::new(Place::Dialling),
            due: AtomicU64::new(STOPPED),
            idle: Idle::new(),
        })
    }

    /// The line with this number, which was opened before.
    pub fn find(&self, fd: RawFd) -> Option<Arc<Line>> {
        self.open.get(&fd).map(|line| Arc::clone(&line))
    }

    /// Shuts down every line whose time is over, and those that have been idle for too long.
    pub fn sweep(&self, now: Instant) {
        let now = self.milliseconds(now);
        let open = self.open.iter();
        let late: Vec<Arc<Line>> = open
            .filter(|line| line.is_due(now))
            .map(|line| Arc::clone(&line))
            .collect();
        for late in late {
            late.cut(now);
        }
        for line in &self.open {
            if line.idle.give_up(now) {
                // At once: whoever comes for it now is turned away.
                line.shut();
            }
        }
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        let passed = at.saturating_duration_since(self.since).as_millis();
        // One more, so that no time is STOPPED.
        u64::try_from(passed).unwrap_or(LATE - 2).min(LATE - 2) + 1
    }
}

impl Drop for Lines {
    /// The pool is gone, and nobody is on its lines: whoever is holds the pool.
    fn drop(&mut self) {
        for line in &self.open {
            line.shut();
        }
    }
}

impl Line {
    /// It is open, under this number.
    pub fn opened(self: &Arc<Self>, fd: RawFd) {
        let Some(lines) = self.lines.upgrade() else { return };
        let mut place = self.place.lock();
        // A connection that HTTP/2 runs in the background may have gone already.
        if matches!(*place, Place::Dialling) {
            *place = Place::Open(fd);
            drop(place);
            lines.open.insert(fd, Arc::clone(self));
            if matches!(*self.place.lock(), Place::Closed) {
                self.forget(fd);
            }
        }
    }

    /// A request is on it from now on; `None` when it has just been given up as idle.
    pub fn take(self: &Arc<Self>) -> Option<Used> {
        let turn = self.idle.take()?;
        let line = Arc::clone(self);
        Some(Used { line, turn })
    }

    /// What tells it that its connection is closed.
    pub fn tracer(self: &Arc<Self>) -> Tracer {
        Tracer(Box::new(Closing(Arc::clone(self))))
    }

    fn is_due(&self, now: u64) -> bool {
        let due = self.due.load(Ordering::Acquire);
        due != STOPPED && due <= now
    }

    fn cut(&self, now: u64) {
        let place = self.place.lock();
        let due = self.due.load(Ordering::Acquire);
        let over = due != STOPPED && due <= now;
        // Whoever stops the clock in this moment has an answer.
        if over
            && self
                .due
                .compare_exchange(due, LATE, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            && let Place::Open(fd) = *place
        {
            // Its failure means that the connection has ended by itself.
            let _ = shutdown(fd, Shutdown::Both);
        }
    }

    /// Shuts it down with the request of this turn. One that came after it goes on.
    pub fn shut_with(&self, turn: Turn) {
        if self.idle.end(turn) {
            self.shut();
        }
    }

    /// Shuts it down: what goes on there is over.
    fn shut(&self) {
        if let Place::Open(fd) = *self.place.lock() {
            // Its failure means that the connection has ended by itself.
            let _ = shutdown(fd, Shutdown::Both);
        }
    }

    fn closed(self: &Arc<Self>) {
        let before = std::mem::replace(&mut *self.place.lock(), Place::Closed);
        if let Place::Open(fd) = before {
            self.forget(fd);
        }
    }

    fn forget(self: &Arc<Self>, fd: RawFd) {
        if let Some(lines) = self.lines.upgrade() {
            lines.open.remove_if(&fd, |_, line| Arc::ptr_eq(line, self));
        }
    }
}

impl Used {
    /// The line, and the turn of this request there.
    pub fn turn(&self) -> (Arc<Line>, Turn) {
        (Arc::clone(&self.line), self.turn)
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.line.idle.leave();
    }
}

/// Pingora calls it when a connection has been opened, and right before it is closed.
#[derive(Clone, Debug)]
struct Closing(Arc<Line>);

impl Tracing for Closing {
    fn on_connected(&self) {}

    fn on_disconnected(&self) {
        self.0.closed();
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(self.clone())
    }
}

/// The wait for one answer on a line; dropping it stops the clock.
#[derive(Debug)]
pub struct Wait {
    line: Arc<Line>,
    limit: Duration,
}

impl Wait {
    /// Time runs from now.
    pub fn start(line: Arc<Line>, limit: Duration, now: Instant) -> Self {
        let wait = Self { line, limit };
        wait.renew(now);
        wait
    }

    /// Time begins anew: there was more of the request to send.
    pub fn renew(&self, now: Instant) {
        if let Some(lines) = self.line.lines.upgrade()
            && !self.is_late()
        {
            let due = now
                .checked_add(self.limit)
                .map_or(LATE - 1, |at| lines.milliseconds(at));
            self.line.due.store(due, Ordering::Release);
        }
    }

    /// Whether the line was shut down.
    pub fn is_late(&self) -> bool {
        self.line.due.load(Ordering::Acquire) == LATE
    }

    /// The answer has begun; `false` when it was too late.
    pub fn ends_in_time(self) -> bool {
        self.line.due.swap(STOPPED, Ordering::AcqRel) != LATE
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.line.due.store(STOPPED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::super::idle::IDLE;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn open(lines: &Arc<Lines>) -> (UnixStream, UnixStream, Arc<Line>) {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let line = lines.dial();
        line.opened(near.as_raw_fd());
        (near, far, line)
    }

    fn is_shut(mut far: &UnixStream) -> bool {
        matches!(far.read(&mut [0]), Ok(0))
    }

    #[test]
    fn a_line_is_shut_down_when_no_answer_has_begun_in_time() {
        let now = Instant::now();
        let lines = Lines::new(now);
        let (_near, far, line) = open(&lines);
        let wait = Wait::start(line, LIMIT, now);
        lines.sweep(now + LIMIT * 9 / 10);
        assert!(!is_shut(&far) && !wait.is_late());
        lines.sweep(now + LIMIT);
        assert!(is_shut(&far) && wait.is_late());
        assert!(!wait.ends_in_time());
    }

    #[test]
    fn a_line_whose_answer_has_begun_may_be_silent_for_ever() {
        let now = Instant::now();
        let lines = Lines::new(now);
        let (_near, far, line) = open(&lines);
        assert!(Wait::start(Arc::clone(&line), LIMIT, now).ends_in_time());
        drop(Wait::start(line, LIMIT, now));
        lines.sweep(now + LIMIT * 100);
        assert!(!is_shut(&far));
    }

    #[test]
    fn a_line_is_shut_when_it_is_told_to_and_never_once_it_is_closed() {
        let lines = Lines::new(Instant::now());
        let (_near, far, line) = open(&lines);
        line.shut();
        assert!(is_shut(&far));
        let (_near, far, line) = open(&lines);
        line.tracer().0.on_disconnected();
        line.shut();
        assert!(!is_shut(&far), "this could be anybody's by now");
    }

    #[test]
    fn a_request_that_is_over_takes_no_line_from_the_next_one() {
        let lines = Lines::new(Instant::now());
        let (_near, far, line) = open(&lines);
        let (_, over) = line.take().unwrap().turn();
        let next = line.take().unwrap();
        line.shut_with(over);
        assert!(!is_shut(&far));
        let (line, turn) = next.turn();
        line.shut_with(turn);
        assert!(is_shut(&far) && line.take().is_none());
    }

    #[test]
    fn a_line_that_nobody_uses_is_shut_down_and_nobody_gets_it_any_more() {
        let now = Instant::now();
        let lines = Lines::new(now);
        let (_near, far, line) = open(&lines);
        let used = line.take().unwrap();
        lines.sweep(now + IDLE * 2);
        lines.sweep(now + IDLE * 4);
        assert!(!is_shut(&far), "it is in use");
        drop(used);
        lines.sweep(now + IDLE * 5);
        assert!(is_shut(&far) && line.take().is_none());
        let (_near, far, _line) = open(&lines);
        drop(lines);
        assert!(is_shut(&far), "its pool is gone");
    }

    #[test]
    fn more_of_the_request_makes_time_begin_anew() {
        let now = Instant::now();
        let lines = Lines::new(now);
        let (_near, far, line) = open(&lines);
        let wait = Wait::start(line, LIMIT, now);
        wait.renew(now + LIMIT);
        lines.sweep(now + LIMIT * 19 / 10);
        assert!(!is_shut(&far));
        lines.sweep(now + LIMIT * 2);
        assert!(is_shut(&far));
    }

    #[test]
    fn a_closed_line_is_forgotten_before_its_number_is_another_s() {
        let now = Instant::now();
        let lines = Lines::new(now);
        let (near, far, line) = open(&lines);
        let tracer = line.tracer();
        let wait = Wait::start(line, LIMIT, now);
        tracer.0.on_disconnected();
        assert!(lines.find(near.as_raw_fd()).is_none());
        lines.sweep(now + LIMIT);
        assert!(!is_shut(&far), "this could be anybody's by now");
        drop(wait);
    }
}
