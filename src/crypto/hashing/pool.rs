//! A bounded set of threads for slow work, with a bounded queue; apart from the hashing so that its bounds stand alone. Who
//! comes next, and who is sent away, the [`Line`] decides.
//!
//! Threads of our own rather than the runtime's: they run at a lower priority, each keeps its
//! memory, and a flood of sign-ins cannot take the runtime's blocking threads from anything else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::line::{Joined, Line};
use crate::domain::limits::attempt::LaneKind;
use crate::ports::Place;

/// Steps of niceness: about a tenth of the share of a thread that serves requests, while both want the processor.
const NICENESS: i32 = 10;

/// How the pool is doing, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Jobs waiting for a thread.
    pub waiting: ByLane<usize>,
    /// Jobs being worked on.
    pub running: usize,
    /// Jobs worked on since the start.
    pub completed: u64,
    /// Jobs sent away because the queue was full, at once or to make room.
    pub shed: ByLane<u64>,
    /// Jobs dropped because whoever asked had gone.
    pub abandoned: u64,
}

/// A figure for each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByLane<N> {
    /// Of known devices.
    pub known: N,
    /// Of strangers.
    pub strangers: N,
}

/// Every place is taken, or was needed for somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a job answers; nothing when it panics or the pool stops.
pub type Answer<T> = oneshot::Receiver<Result<T, Full>>;

/// Threads that each own an `S` to work with. Dropping the pool stops them after their current job.
pub struct Pool<S> {
    shared: Arc<Shared<S>>,
    threads: Vec<JoinHandle<()>>,
}

impl<S: Default + 'static> Pool<S> {
    /// Starts `threads` threads, with room for `queue` jobs beyond those being worked on.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start(threads: usize, queue: usize) -> io::Result<Self> {
        let mut pool = Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    waiting: Line::new(threads + queue),
                    stats: Stats::default(),
                    stopping: false,
                }),
                wake: Condvar::new(),
                places: threads + queue,
            }),
            threads: Vec::with_capacity(threads),
        };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            let thread = Builder::new().name(format!("hash-{number}"));
            pool.threads.push(thread.spawn(move || shared.serve())?);
        }
        Ok(pool)
    }

    /// Queues a job. One that is sent away, now or for somebody who comes later, answers [`Full`] at once.
    pub fn submit<T, W>(&self, place: Place, work: W) -> Answer<T>
    where
        T: Send + 'static,
        W: FnOnce(&mut S) -> T + Send + 'static,
    {
        let (reply, receiver) = oneshot::channel();
        let task = Box::new(Job {
            work: Some(work),
            outcome: None,
            reply,
        });
        let turned_away = self.shared.state.lock().take_in(task, place, self.shared.places);
        if let Some(task) = turned_away {
            task.turn_away();
        }
        self.shared.wake.notify_one();
        receiver
    }

    /// A consistent picture of the counters.
    pub fn stats(&self) -> Stats {
        let state = self.shared.state.lock();
        Stats {
            waiting: ByLane {
                known: state.waiting.waiting(LaneKind::Known),
                strangers: state.waiting.waiting(LaneKind::Strangers),
            },
            ..state.stats
        }
    }
}

impl<S> Drop for Pool<S> {
    fn drop(&mut self) {
        let unserved = {
            let mut state = self.shared.state.lock();
            state.stopping = true;
            std::mem::replace(&mut state.waiting, Line::new(0))
        };
        drop(unserved);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A thread catches every panic of its jobs; there is nothing to learn here.
            let _ = thread.join();
        }
    }
}

struct Shared<S> {
    state: Mutex<State<S>>,
    wake: Condvar,
    places: usize,
}

struct State<S> {
    waiting: Line<Box<dyn Task<S>>>,
    stats: Stats,
    stopping: bool,
}

impl<S> State<S> {
    /// Finds a job its place. Answers the one that is sent away, if any; it may be another.
    fn take_in(&mut self, task: Box<dyn Task<S>>, place: Place, places: usize) -> Option<Box<dyn Task<S>>> {
        let room = places.saturating_sub(self.stats.running);
        if self.waiting.len() >= room {
            self.stats.abandoned += self.waiting.retain(|task| !task.is_abandoned()) as u64;
        }
        let (away, lane) = match self.waiting.join(task, place, room) {
            Joined::Waits => return None,
            Joined::InPlaceOf(task, lane) => (task, lane),
            Joined::TurnedAway(task) => (task, place.lane),
        };
        match lane {
            LaneKind::Known => self.stats.shed.known += 1,
            LaneKind::Strangers => self.stats.shed.strangers += 1,
        }
        Some(away)
    }
}

impl<S: Default> Shared<S> {
    fn serve(&self) {
        lower_priority();
        let mut scratch = S::default();
        while let Some(mut task) = self.next() {
            if catch_unwind(AssertUnwindSafe(|| task.work(&mut scratch))).is_err() {
                // What a panic left behind is not trusted.
                scratch = S::default();
            }
            // Counted before the answer goes out: whoever has the answer finds it counted.
            let mut state = self.state.lock();
            state.stats.running -= 1;
            state.stats.completed += 1;
            drop(state);
            task.answer();
        }
    }

    /// The next job somebody still waits for; `None` when the pool stops.
    fn next(&self) -> Option<Box<dyn Task<S>>> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            match state.waiting.next() {
                Some((task, _)) if task.is_abandoned() => state.stats.abandoned += 1,
                Some((task, _)) => {
                    state.stats.running += 1;
                    return Some(task);
                }
                None => self.wake.wait(&mut state),
            }
        }
    }
}

trait Task<S>: Send {
    fn is_abandoned(&self) -> bool;
    fn work(&mut self, scratch: &mut S);
    fn answer(self: Box<Self>);
    fn turn_away(self: Box<Self>);
}

struct Job<T, W> {
    work: Option<W>,
    outcome: Option<T>,
    reply: oneshot::Sender<Result<T, Full>>,
}

impl<S, T: Send, W: FnOnce(&mut S) -> T + Send> Task<S> for Job<T, W> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn work(&mut self, scratch: &mut S) {
        self.outcome = self.work.take().map(|work| work(scratch));
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // Whoever asked may have gone meanwhile.
            let _ = self.reply.send(Ok(outcome));
        }
    }

    fn turn_away(self: Box<Self>) {
        let _ = self.reply.send(Err(Full));
    }
}

/// On Linux niceness belongs to a thread, elsewhere to the whole process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "hashing threads keep the normal priority");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const HERE: Place = Place {
        lane: LaneKind::Strangers,
        subnet: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    };

    fn pool(threads: usize, queue: usize) -> Pool<Vec<u8>> {
        Pool::start(threads, queue).unwrap()
    }

    /// A job that keeps its thread busy until the returned sender is dropped or used.
    fn occupy(pool: &Pool<Vec<u8>>) -> (mpsc::Sender<()>, Answer<()>) {
        let (release, wait) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let done = pool.submit(HERE, move |_| {
            let _ = begin.send(());
            let _ = wait.recv();
        });
        begun.recv().unwrap();
        (release, done)
    }

    #[tokio::test]
    async fn beyond_threads_and_queue_everything_is_refused_at_once() {
        let pool = pool(1, 2);
        let (release, done) = occupy(&pool);
        let waiting: Vec<_> = (0..2).map(|i| pool.submit(HERE, move |_| i)).collect();
        assert_eq!(pool.submit(HERE, |_| 0).try_recv(), Ok(Err(Full)));
        assert_eq!(pool.submit(HERE, |_| 0).try_recv(), Ok(Err(Full)));
        drop(release);
        done.await.unwrap().unwrap();
        for (i, answer) in waiting.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), Ok(i));
        }
        let expected = Stats {
            completed: 3,
            shed: ByLane { known: 0, strangers: 2 },
            ..Stats::default()
        };
        assert_eq!(pool.stats(), expected);
        assert_eq!(pool.submit(HERE, |_| 7).await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn without_a_queue_one_job_for_each_thread_is_taken() {
        let pool = pool(1, 0);
        let (release, done) = occupy(&pool);
        assert_eq!(pool.submit(HERE, |_| 0).try_recv(), Ok(Err(Full)));
        drop(release);
        done.await.unwrap().unwrap();
        assert_eq!(pool.submit(HERE, |_| 7).await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn jobs_of_one_subnet_are_served_in_the_order_they_came() {
        let pool = pool(1, 12);
        let (release, _done) = occupy(&pool);
        let (order, seen) = mpsc::channel();
        let answers: Vec<_> = (0..8)
            .map(|i| {
                let order = order.clone();
                pool.submit(HERE, move |_| order.send(i).unwrap())
            })
            .collect();
        drop((release, order));
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_known_device_takes_the_place_of_a_stranger_who_is_told_at_once_and_comes_first() {
        let pool = pool(1, 2);
        let (release, done) = occupy(&pool);
        let (order, seen) = mpsc::channel();
        let of = |place, name| {
            let order = order.clone();
            pool.submit(place, move |_| order.send(name).unwrap())
        };
        let owner = Place {
            lane: LaneKind::Known,
            ..HERE
        };
        let (first, mut second) = (of(HERE, "first"), of(HERE, "second"));
        let known = of(owner, "owner");
        assert_eq!(second.try_recv(), Ok(Err(Full)), "told while the others wait");
        assert_eq!(pool.stats().waiting, ByLane { known: 1, strangers: 1 });
        drop((release, order));
        done.await.unwrap().unwrap();
        assert_eq!((known.await.unwrap(), first.await.unwrap()), (Ok(()), Ok(())));
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["owner", "first"]);
        assert_eq!(pool.stats().shed, ByLane { known: 0, strangers: 1 });
    }

    #[tokio::test]
    async fn a_job_nobody_waits_for_is_skipped_and_gives_its_place_away() {
        let pool = pool(1, 1);
        let (release, done) = occupy(&pool);
        let (worked, seen) = mpsc::channel();
        let abandoned = pool.submit(HERE, move |_| worked.send(()).unwrap());
        assert_eq!(pool.submit(HERE, |_| 0).try_recv(), Ok(Err(Full)));
        drop(abandoned);
        let next = pool.submit(HERE, |_| 7);
        drop(release);
        done.await.unwrap().unwrap();
        assert_eq!(next.await.unwrap(), Ok(7));
        assert!(seen.try_recv().is_err(), "the abandoned job was not worked on");
        assert_eq!(pool.stats().abandoned, 1);
        assert_eq!(pool.stats().completed, 2);
    }

    #[tokio::test]
    async fn a_panic_fails_its_own_job_and_no_other() {
        let pool = pool(1, 4);
        let panicked = pool.submit(HERE, |scratch| -> () {
            scratch.push(1);
            panic!("a job that panics on purpose")
        });
        let next = pool.submit(HERE, |scratch| scratch.len());
        assert!(panicked.await.is_err());
        assert_eq!(next.await.unwrap(), Ok(0), "what the panic left behind is gone");
        assert_eq!(pool.stats().completed, 2);
    }

    #[tokio::test]
    async fn a_thread_keeps_its_memory_between_jobs() {
        let pool = pool(1, 4);
        let resized = pool.submit(HERE, |scratch| scratch.resize(4096, 0));
        assert_eq!(resized.await.unwrap(), Ok(()));
        assert_eq!(pool.submit(HERE, |scratch| scratch.len()).await.unwrap(), Ok(4096));
    }

    #[tokio::test]
    async fn a_dropped_pool_stops_its_threads_and_fails_what_waits() {
        let pool = pool(2, 4);
        let (first, second) = (occupy(&pool), occupy(&pool));
        let waiting = pool.submit(HERE, |_| 7);
        let shared = Arc::downgrade(&pool.shared);
        let stopping = std::thread::spawn(move || drop(pool));
        assert!(waiting.await.is_err());
        drop((first.0, second.0));
        stopping.join().unwrap();
        assert!(shared.upgrade().is_none(), "no thread is left that holds the pool");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_run_at_a_lower_priority_than_the_rest() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let inside = pool(1, 1).submit(HERE, move |_| niceness()).await.unwrap().unwrap();
        assert_eq!(inside, (before + NICENESS).min(19));
        assert_eq!(niceness(), before);
    }
}
