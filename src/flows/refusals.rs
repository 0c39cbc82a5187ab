//! When a refused password is answered. A hash that another system made may take many times as long to compare with as
//! ours, until its owner signs in. As long as one is stored, every refusal, whatever its reason, leaves on one schedule,
//! so that its time tells nobody whose account has which hash, or is there at all.
//!
//! A refusal leaves a whole number of floors after its attempt began; a floor is three times what the dearest hash takes
//! on an idle machine. Which one it is depends on nothing that depends on the account: it is the first after the moment
//! at which the refusal would have been ready if its own hash had been the dearest. So an attempt that waited long for a
//! thread, or for the store, is as late as any other that waited so long; and where the machine is so busy that hashes
//! take many times as long as they should, everybody's moment moves on by what was measured of late, whatever was hashed
//! then ([`Spent::slowdown`]).
//!
//! Refusals of one client leave a floor apart: many guesses at once tell no more than one. Whoever waits here holds no
//! hashing thread, no connection to the store and no lock, and a right password waits for nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::ports::{Floor, Spent};

/// Most attempts of one client that are under way at once; more are sent away before anything is hashed.
const MOST_TURNS: usize = 64;

/// A floor is so many times what the dearest comparison takes on an idle machine, or more.
const FLOOR_IN_DEAREST: u32 = 3;

/// The dearest comparison is taken to last so many times as long as on an idle machine, or longer where the machine is
/// busier: memory is slower when several hash at once. What is left of a floor is for whatever else an attempt takes.
const SLACK: f64 = 2.0;

/// However busy the machine is, the dearest comparison is taken to last no longer than this, or a floor: a refusal after
/// a minute would be cut off by the proxies in front, and hold its client's place for as long.
const LONGEST: Duration = Duration::from_secs(20);

/// When the attempts under way may be refused at the earliest, by client.
type Turns = Mutex<HashMap<IpAddr, Vec<Instant>>>;

/// The schedule of refusals, one for every path that tells whether a password is right.
pub struct Refusals {
    floor: Option<Arc<dyn Floor>>,
    turns: Arc<Turns>,
}

impl Refusals {
    /// A schedule whose floor is looked up anew for each attempt.
    pub fn new(floor: Arc<dyn Floor>) -> Self {
        Self {
            floor: Some(floor),
            turns: Arc::default(),
        }
    }

    /// No schedule: for a store whose hashes all cost the same.
    pub fn at_once() -> Self {
        Self {
            floor: None,
            turns: Arc::default(),
        }
    }

    /// A place in the schedule for an attempt that was begun at `begun`. To be asked for once the hash has been read
    /// from the store, so that the floor is long enough for it, and before it is computed.
    ///
    /// # Errors
    /// [`Fault::Overloaded`] when too many attempts of this client are under way; whatever the store says.
    pub async fn turn(&self, client: ClientAddr, begun: Instant) -> Result<Turn, Fault> {
        let floor = match &self.floor {
            Some(floor) => floor.current().await?,
            None => None,
        };
        let Some(floor) = floor else {
            return Ok(Turn(None));
        };
        let client = client.limit_key();
        let mut turns = self.turns.lock();
        let taken = turns.entry(client).or_default();
        if taken.len() >= MOST_TURNS {
            return Err(Fault::overloaded("too many sign-ins of one client are under way"));
        }
        let earliest = taken.iter().max().copied().unwrap_or(begun).max(begun) + floor;
        taken.push(earliest);
        Ok(Turn(Some(Place {
            turns: Arc::clone(&self.turns),
            client,
            earliest,
            floor,
        })))
    }
}

/// A place in the schedule. Dropping it without waiting, after a right password, lets those behind move up.
pub struct Turn(Option<Place>);

impl Turn {
    /// Returns when the refusal may leave, after a comparison that took so much.
    pub async fn over(self, spent: Spent) {
        if let Some(place) = self.0 {
            sleep_until(place.leaves(Instant::now(), spent)).await;
        }
    }
}

struct Place {
    turns: Arc<Turns>,
    client: IpAddr,
    earliest: Instant,
    floor: Duration,
}

impl Place {
    /// The first moment of the schedule at which the dearest comparison would be over.
    fn leaves(&self, now: Instant, spent: Spent) -> Instant {
        let dearest = (self.floor / FLOOR_IN_DEAREST).mul_f64(spent.slowdown.max(SLACK));
        let dearest = dearest.min(LONGEST.max(self.floor));
        let ready = now + dearest.saturating_sub(spent.took);
        let late = ready.saturating_duration_since(self.earliest).as_nanos();
        let floors = late.div_ceil(self.floor.as_nanos().max(1));
        self.earliest + self.floor * u32::try_from(floors).unwrap_or(u32::MAX)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        if let Some(taken) = turns.get_mut(&self.client) {
            if let Some(own) = taken.iter().position(|at| *at == self.earliest) {
                taken.swap_remove(own);
            }
            if taken.is_empty() {
                turns.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    const FLOOR: Duration = Duration::from_millis(400);

    struct Fixed(Option<Duration>);

    #[async_trait]
    impl Floor for Fixed {
        async fn current(&self) -> Result<Option<Duration>, Fault> {
            Ok(self.0)
        }
    }

    fn refusals(floor: Option<Duration>) -> Refusals {
        Refusals::new(Arc::new(Fixed(floor)))
    }

    fn client(last: u8) -> ClientAddr {
        ClientAddr::new([192, 0, 2, last].into())
    }

    /// How long after its beginning an attempt that takes `work` is refused.
    async fn refused_after(refusals: &Refusals, work: Duration) -> Duration {
        refused_on(refusals, Machine::default(), work).await
    }

    /// A machine that has other things to do.
    #[derive(Clone, Copy, Debug)]
    struct Machine {
        queue: Duration,
        slowdown: f64,
        store: Duration,
    }

    impl Default for Machine {
        fn default() -> Self {
            Self {
                queue: Duration::ZERO,
                slowdown: 1.0,
                store: Duration::ZERO,
            }
        }
    }

    /// The same on a busy machine: it waits for a thread, computes as slowly as that goes, and waits for the store.
    async fn refused_on(refusals: &Refusals, machine: Machine, work: Duration) -> Duration {
        let Machine { queue, slowdown, store } = machine;
        let begun = Instant::now();
        let turn = refusals.turn(client(1), begun).await.unwrap();
        tokio::time::sleep(queue).await;
        let started = Instant::now();
        tokio::time::sleep(work.mul_f64(slowdown)).await;
        let took = started.elapsed();
        tokio::time::sleep(store).await;
        turn.over(Spent { took, slowdown }).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn however_busy_the_machine_is_a_refusal_leaves_in_bounded_time() {
        let (refusals, begun) = (refusals(Some(FLOOR)), Instant::now());
        let turn = refusals.turn(client(1), begun).await.unwrap();
        let spent = Spent {
            took: Duration::ZERO,
            slowdown: 1000.0,
        };
        turn.over(spent).await;
        assert!(begun.elapsed() <= LONGEST + FLOOR);
    }

    #[tokio::test(start_paused = true)]
    async fn on_an_overloaded_machine_refusals_of_cheap_and_dear_hashes_leave_at_the_same_moments() {
        let refusals = refusals(Some(FLOOR));
        let ms = Duration::from_millis;
        for queue in [0, 100, 130, 260, 380, 399, 400, 550, 800, 1200, 3000].map(ms) {
            for slowdown in [1.0, 1.5, 2.0, 3.5, 8.0, 20.0] {
                for store in [0, 5, 140, 700].map(ms) {
                    let machine = Machine { queue, slowdown, store };
                    // The dearest has a third of a floor; on the wall, twice that and more where nothing is slowed down.
                    let cheap = refused_on(&refusals, machine, ms(2)).await;
                    for dear in [30, 100, 130].map(ms) {
                        let late = refused_on(&refusals, machine, dear).await;
                        // The timer of the test counts whole milliseconds.
                        assert!(
                            late.abs_diff(cheap) < ms(3),
                            "{machine:?}: {cheap:?} and {late:?} for {dear:?}"
                        );
                    }
                    let floors = cheap.as_secs_f64() / FLOOR.as_secs_f64();
                    assert!((floors - floors.round()).abs() < 0.01, "{machine:?}: {cheap:?}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_leaves_a_whole_number_of_floors_after_its_beginning_however_long_its_hash_took() {
        let refusals = refusals(Some(FLOOR));
        for work in [0, 1, 30, 130, 260, 399] {
            assert_eq!(refused_after(&refusals, Duration::from_millis(work)).await, FLOOR);
        }
        for work in [401, 799] {
            assert_eq!(refused_after(&refusals, Duration::from_millis(work)).await, 2 * FLOOR);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_at_once_leave_a_floor_apart_whatever_each_of_them_took() {
        for works in [[1, 1, 1, 1], [200, 400, 600, 800], [350, 1, 350, 1]] {
            let refusals = refusals(Some(FLOOR));
            let [a, b, c, d] = works.map(|work| refused_after(&refusals, Duration::from_millis(work)));
            let (a, b, c, d) = tokio::join!(a, b, c, d);
            assert_eq!([a, b, c, d], [FLOOR, 2 * FLOOR, 3 * FLOOR, 4 * FLOOR], "{works:?}");
            assert!(refusals.turns.lock().is_empty(), "nothing is kept of them");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_gives_its_turn_back_and_clients_do_not_wait_for_each_other() {
        let refusals = refusals(Some(FLOOR));
        let begun = Instant::now();
        let other = refusals.turn(client(2), begun).await.unwrap();
        drop(refusals.turn(client(1), begun).await.unwrap());
        assert_eq!(refused_after(&refusals, Duration::ZERO).await, FLOOR);
        drop(other);
        assert!(refusals.turns.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_floor_nobody_waits() {
        let refusals = refusals(None);
        assert_eq!(
            refused_after(&refusals, Duration::from_millis(7)).await,
            Duration::from_millis(7)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_fills_the_schedule_is_sent_away_before_anything_is_hashed() {
        let refusals = refusals(Some(FLOOR));
        let begun = Instant::now();
        let mut held = Vec::new();
        for _ in 0..MOST_TURNS {
            held.push(refusals.turn(client(1), begun).await.unwrap());
        }
        assert!(matches!(
            refusals.turn(client(1), begun).await,
            Err(Fault::Overloaded { .. })
        ));
        refusals.turn(client(2), begun).await.unwrap();
        held.pop();
        refusals.turn(client(1), begun).await.unwrap();
    }
}
