//! Notices when one address carries most people: a proxy in front that nobody has declared, or an office that comes through
//! one address. Says so, and has the limits by client count it as several clients until somebody decides, so that the
//! people behind it do not lock one another out.
//!
//! What may be tried for one account stays as it is. Requests only leave a note, and only when it is news.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::account::AccountId;
use crate::domain::census::{Census, budgets};
use crate::domain::client::ClientAddr;
use crate::domain::limits::Nanos;
use crate::ports::Crowds;

use super::World;

/// Somebody at the same address is noted again after this time.
const NOTE_EVERY_SECONDS: i64 = 600;
/// So many pairs of person and address are known to have been noted. Where two meet, both are noted more often.
const SLOTS: usize = 8192;
/// Most notes that wait. One that finds no room is left at the next request.
const MOST_NOTES: usize = 4096;
/// A suspicion outlasts a long weekend, during which nobody confirms it.
const HOLD: Duration = Duration::from_hours(7 * 24);
/// What nobody has decided is said again.
const SAY_AGAIN: Duration = Duration::from_hours(24);
/// Most addresses that are suspected, and that are shared, at once.
const MOST_SUSPECTS: usize = 16;
const MOST_CROWDS: usize = 64;

/// What the operator has said about addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Proxies that name their clients.
    pub proxies: Vec<IpNet>,
    /// Addresses that many people share.
    pub shared: Vec<IpNet>,
}

/// What an address has been declared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Nothing,
    Proxy,
    Shared,
}

/// An address that many people share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// The address, as limits count it.
    pub address: IpAddr,
    /// How many people were seen there within a day, when it was last looked.
    pub people: u32,
    /// How many there were in all.
    pub of: u32,
    /// Since when it is suspected; `None` when the operator has said that it is shared.
    pub suspected_since: Option<Timestamp>,
}

/// Where people are noted, and where the limits ask.
pub struct Sentinel {
    world: World,
    hashing: RandomState,
    noted: Box<[AtomicU64]>,
    notes: mpsc::Sender<(AccountId, IpAddr)>,
    declared: ArcSwap<Declared>,
    crowds: ArcSwap<Vec<Crowd>>,
    turn: AtomicU32,
}

/// Looks at what was noted.
pub struct Lookout {
    sentinel: Arc<Sentinel>,
    notes: mpsc::Receiver<(AccountId, IpAddr)>,
    census: Census,
    suspects: HashMap<IpAddr, Suspect>,
    /// What was declared when it last looked.
    declared: Arc<Declared>,
}

/// An address that carries most people, and of which nothing was said that would explain it.
#[derive(Debug)]
struct Suspect {
    crowd: Crowd,
    word: Word,
    confirmed_at: Nanos,
    said_at: Nanos,
}

impl Sentinel {
    /// Nobody has been seen yet.
    pub fn new(world: World) -> (Arc<Self>, Lookout) {
        let (sender, notes) = mpsc::channel(MOST_NOTES);
        let sentinel = Arc::new(Self {
            world,
            hashing: RandomState::new(),
            noted: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            notes: sender,
            declared: ArcSwap::default(),
            crowds: ArcSwap::default(),
            turn: AtomicU32::new(0),
        });
        let lookout = Lookout {
            sentinel: Arc::clone(&sentinel),
            notes,
            census: Census::default(),
            suspects: HashMap::new(),
            declared: Arc::default(),
        };
        (sentinel, lookout)
    }

    /// The operator has decided about addresses.
    pub fn declare(&self, declared: Declared) {
        self.declared.store(Arc::new(declared));
    }

    /// Somebody with a live session came from this address. Never waits; mostly one look at memory.
    pub fn note(&self, who: AccountId, client: ClientAddr, now: Timestamp) {
        let at = client.limit_key();
        let period = now.as_second() / NOTE_EVERY_SECONDS;
        let stamp = self.hashing.hash_one((who, at, period));
        let slot = usize::try_from(stamp % SLOTS as u64).unwrap_or_default();
        let Some(noted) = self.noted.get(slot) else { return };
        if noted.load(Ordering::Relaxed) != stamp && self.notes.try_send((who, at)).is_ok() {
            noted.store(stamp, Ordering::Relaxed);
        }
    }

    /// Which of the clients that an address counts as is to be charged: each in its turn.
    pub fn bucket(&self, client: ClientAddr) -> (IpAddr, u32) {
        let address = client.limit_key();
        let turn = match self.budgets(address) {
            1 => 0,
            several => self.turn.fetch_add(1, Ordering::Relaxed) % several,
        };
        (address, turn)
    }
}

impl Crowds for Sentinel {
    /// How many clients this address counts as: one, unless many people share it.
    fn budgets(&self, client: IpAddr) -> u32 {
        let crowds = self.crowds.load();
        let crowd = crowds.iter().find(|crowd| crowd.address == client);
        crowd.map_or(1, |crowd| budgets(crowd.people))
    }
}

impl Declared {
    fn word(&self, address: IpAddr) -> Word {
        let holds = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        if holds(&self.shared) {
            Word::Shared
        } else if holds(&self.proxies) {
            Word::Proxy
        } else {
            Word::Nothing
        }
    }
}

impl Lookout {
    /// Takes notes and looks again and again after `pause`, until `done`. `tell` hears of the addresses that are shared.
    pub async fn run(mut self, pause: Duration, tell: impl Fn(&[Crowd]), done: CancellationToken) {
        let mut batch = Vec::new();
        let mut looking = tokio::time::interval(pause);
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                _ = self.notes.recv_many(&mut batch, MOST_NOTES) => self.take(&mut batch),
                _ = looking.tick() => {
                    let crowds = self.look();
                    tell(&crowds);
                    self.sentinel.crowds.store(Arc::new(crowds));
                }
            }
        }
    }

    fn take(&mut self, batch: &mut Vec<(AccountId, IpAddr)>) {
        let now = self.sentinel.world.monotonic();
        for (who, at) in batch.drain(..) {
            self.census.see(who, at, now);
        }
    }

    /// Who shares an address now.
    fn look(&mut self) -> Vec<Crowd> {
        self.hear();
        let declared = Arc::clone(&self.declared);
        let world = &self.sentinel.world;
        let (now, since) = (world.monotonic(), world.now());
        let tally = self.census.take(now);
        let of = tally.people;
        for (address, people) in tally.crowded() {
            let word = declared.word(address);
            if word == Word::Shared {
                continue;
            }
            let suspect = self.suspects.entry(address).or_insert_with(|| {
                let crowd = Crowd {
                    address,
                    people,
                    of,
                    suspected_since: Some(since),
                };
                say(&crowd, word);
                Suspect {
                    crowd,
                    word,
                    confirmed_at: now,
                    said_at: now,
                }
            });
            suspect.confirm(people, of, now);
        }
        self.release(now);
        let shared = tally
            .shared()
            .filter(|(address, _)| declared.word(*address) == Word::Shared);
        let shared = shared.map(|(address, people)| Crowd {
            address,
            people,
            of,
            suspected_since: None,
        });
        let suspected = self.suspects.values().map(|suspect| suspect.crowd.clone());
        let mut crowds: Vec<Crowd> = suspected.chain(shared).collect();
        crowds.sort_by_key(|crowd| (crowd.suspected_since.is_none(), Reverse(crowd.people), crowd.address));
        crowds.truncate(MOST_CROWDS);
        crowds
    }

    /// Hears what the operator has decided since. It is no longer suspected, and of a proxy that is believed from now on
    /// counts nothing that was seen before: now it names its clients.
    fn hear(&mut self) {
        let declared = self.sentinel.declared.load_full();
        if declared == self.declared {
            return;
        }
        let before = std::mem::replace(&mut self.declared, Arc::clone(&declared));
        let is_news = |at: IpAddr| declared.word(at) == Word::Proxy && before.word(at) != Word::Proxy;
        self.census.forget(is_news);
        self.suspects.retain(|address, suspect| {
            let is_undecided = declared.word(*address) == suspect.word;
            if !is_undecided {
                tracing::info!(%address, "it has been decided what the address is that most people came from");
            }
            is_undecided
        });
    }

    /// Lets go of what was not confirmed for long, and of more than there can be.
    fn release(&mut self, now: Nanos) {
        self.suspects.retain(|address, suspect| {
            let is_held = age(suspect.confirmed_at, now) < HOLD;
            if !is_held {
                tracing::info!(%address, "most people no longer come from this address");
            }
            is_held
        });
        while self.suspects.len() > MOST_SUSPECTS {
            let oldest = self.suspects.values().min_by_key(|suspect| suspect.confirmed_at);
            let Some(address) = oldest.map(|suspect| suspect.crowd.address) else {
                return;
            };
            self.suspects.remove(&address);
        }
    }
}

impl Suspect {
    /// It is still so.
    fn confirm(&mut self, people: u32, of: u32, now: Nanos) {
        (self.crowd.people, self.crowd.of, self.confirmed_at) = (people, of, now);
        if age(self.said_at, now) >= SAY_AGAIN {
            self.said_at = now;
            say(&self.crowd, self.word);
        }
    }
}

fn age(since: Nanos, now: Nanos) -> Duration {
    Duration::from_nanos(now.0.saturating_sub(since.0))
}

fn say(crowd: &Crowd, word: Word) {
    let Crowd {
        address, people, of, ..
    } = crowd;
    match word {
        Word::Proxy => tracing::error!(
            %address, people, of,
            "most people come from a trusted proxy that does not say whom it serves: have it set the header of \
             server.forwarded_header; until then it counts as several clients"
        ),
        Word::Nothing | Word::Shared => tracing::error!(
            %address, people, of,
            "most people come from one address: if it is a proxy, list it in server.trusted_proxies; if it is an office, in \
             server.shared_addresses; until then it counts as several clients"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use uuid::Uuid;

    use super::*;
    use crate::domain::token::TOKEN_BYTES;
    use crate::ports::{Clock, Entropy};

    /// A clock that is set by hand, in seconds.
    #[derive(Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
        }

        fn monotonic(&self) -> Nanos {
            Nanos(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap() * 1_000_000_000)
        }
    }

    struct NoChance;

    impl Entropy for NoChance {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [0; TOKEN_BYTES]
        }
    }

    struct Scene {
        clock: Arc<Hand>,
        sentinel: Arc<Sentinel>,
        lookout: Lookout,
    }

    impl Scene {
        fn set() -> Self {
            let clock = Arc::new(Hand::default());
            clock.0.store(100 * 24 * 3600, Ordering::Relaxed);
            let (sentinel, lookout) = Sentinel::new(World::new(clock.clone(), Arc::new(NoChance)));
            Self {
                clock,
                sentinel,
                lookout,
            }
        }

        fn pass_hours(&self, hours: i64) {
            self.clock.0.fetch_add(hours * 3600, Ordering::Relaxed);
        }

        fn come(&self, people: std::ops::Range<u128>, from: &str) {
            for number in people {
                let who = AccountId::new(Uuid::from_u128(number));
                self.sentinel.note(who, client(from), self.sentinel.world.now());
            }
        }

        fn look(&mut self) -> Vec<Crowd> {
            let mut batch = Vec::new();
            while let Ok(note) = self.lookout.notes.try_recv() {
                batch.push(note);
            }
            self.lookout.take(&mut batch);
            let crowds = self.lookout.look();
            self.sentinel.crowds.store(Arc::new(crowds.clone()));
            crowds
        }

        fn declare(&self, proxies: &[&str], shared: &[&str]) {
            let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            self.sentinel.declare(Declared {
                proxies: networks(proxies),
                shared: networks(shared),
            });
        }

        fn budgets(&self, address: &str) -> u32 {
            self.sentinel.budgets(client(address).limit_key())
        }
    }

    fn client(text: &str) -> ClientAddr {
        ClientAddr::new(text.parse().unwrap())
    }

    #[test]
    fn an_undeclared_proxy_is_suspected_and_counts_as_several_clients() {
        let mut scene = Scene::set();
        scene.come(0..9, "10.0.0.5");
        assert_eq!(scene.look(), []);
        scene.come(9..40, "10.0.0.5");
        let crowds = scene.look();
        assert_eq!((crowds[0].people, crowds[0].of), (40, 40));
        assert!(crowds[0].suspected_since.is_some());
        assert_eq!((scene.budgets("10.0.0.5"), scene.budgets("10.0.0.6")), (5, 1));
        let buckets: Vec<_> = (0..10).map(|_| scene.sentinel.bucket(client("10.0.0.5"))).collect();
        assert!(
            buckets
                .iter()
                .all(|(address, turn)| *address == crowds[0].address && *turn < 5)
        );
        assert!(
            (0..5).all(|turn| buckets.iter().filter(|(_, of)| *of == turn).count() == 2),
            "in turn"
        );
        assert_eq!(scene.sentinel.bucket(client("10.0.0.6")).1, 0);
    }

    #[test]
    fn whoever_asks_again_is_noted_once() {
        let mut scene = Scene::set();
        for _ in 0..100 {
            scene.come(0..1, "10.0.0.5");
        }
        assert_eq!(scene.lookout.notes.len(), 1);
        scene.look();
        scene.pass_hours(1);
        scene.come(0..1, "10.0.0.5");
        assert_eq!(scene.lookout.notes.len(), 1, "and again later");
    }

    #[test]
    fn a_suspicion_outlasts_a_weekend_and_is_let_go_in_the_end() {
        let mut scene = Scene::set();
        scene.come(0..20, "10.0.0.5");
        scene.look();
        scene.pass_hours(3 * 24);
        assert_eq!(scene.look().len(), 1, "nobody was there, and nothing was decided");
        assert_eq!(scene.budgets("10.0.0.5"), 3);
        scene.pass_hours(5 * 24);
        assert_eq!(scene.look(), []);
        assert_eq!(scene.budgets("10.0.0.5"), 1);
    }

    #[test]
    fn a_proxy_that_is_declared_is_forgotten_at_once() {
        let mut scene = Scene::set();
        scene.come(0..20, "10.0.0.5");
        scene.look();
        scene.declare(&["10.0.0.0/24"], &[]);
        assert_eq!(scene.look(), []);
        assert_eq!(scene.look(), [], "what was seen before does not count");
        scene.pass_hours(1);
        scene.come(0..20, "10.0.0.5");
        assert_eq!(scene.look().len(), 1, "but it does not name its clients");
    }

    #[test]
    fn an_office_that_is_declared_is_not_suspected_and_goes_on_counting_as_several_clients() {
        let mut scene = Scene::set();
        scene.come(0..30, "203.0.113.7");
        assert!(scene.look()[0].suspected_since.is_some());
        scene.declare(&[], &["203.0.113.0/28"]);
        let crowds = scene.look();
        assert_eq!((crowds.len(), crowds[0].suspected_since), (1, None));
        assert_eq!(scene.budgets("203.0.113.7"), 4);
        scene.declare(&["203.0.113.7/32"], &[]);
        assert_eq!(scene.look(), [], "a proxy after all");
        scene.pass_hours(1);
        scene.declare(&[], &[]);
        scene.come(0..30, "203.0.113.7");
        assert!(scene.look()[0].suspected_since.is_some());
    }

    #[test]
    fn people_at_addresses_of_their_own_make_nobody_suspicious() {
        let mut scene = Scene::set();
        for number in 0..50 {
            let next = number + 1;
            scene.come(number..next, &format!("198.51.100.{number}"));
        }
        // One /64 is one address.
        scene.come(0..9, "2001:db8::1");
        scene.come(0..9, "2001:db8::2");
        assert_eq!(scene.look(), []);
        scene.come(50..90, "203.0.113.7");
        assert_eq!(scene.look(), [], "an office with less than half of all people");
    }
}
