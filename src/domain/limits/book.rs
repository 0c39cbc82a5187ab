//! The table of a ledger: buckets in bounded memory, each kept once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::ledger::{Bucket, Draw, Subject};
use super::meter::{Meter, Nanos};
use super::pages::Pages;
use super::policy::RuleName;
use super::tally::Tally;

/// Buckets and their tallies.
#[derive(Debug)]
pub(super) struct Book {
    slots: Pages<Slot>,
    /// Slots whose bucket was forgotten.
    free: Vec<u32>,
    /// Where the slot of a bucket is.
    places: HashTable<u32>,
    hashing: RandomState,
    /// Slots by the time before which they are not forgotten, each once at most. A slot whose bucket has been drawn on
    /// since is put in line again when its turn comes, so that a draw moves nothing here.
    line: BinaryHeap<Reverse<(Nanos, u32)>>,
    /// The tallies of buckets for which there was no room.
    shared: HashMap<RuleName, Tally>,
    /// How many buckets of each rule are kept.
    of_rules: HashMap<RuleName, usize>,
    most: usize,
}

#[derive(Debug)]
struct Slot {
    bucket: Bucket,
    tally: Tally,
}

/// Where a bucket is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// In this slot.
    Own(u32),
    /// In a slot that it will get.
    New,
    /// Where the buckets without room are.
    Shared,
}

/// What an attempt holds of one bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub rule: RuleName,
    pub charge: u64,
    /// `None` where it is shared.
    slot: Option<u32>,
}

/// What a ledger has counted, for another process to go on with: its clock begins elsewhere, so each meter is told by the
/// time, in nanoseconds, until it is full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    meters: Vec<(Bucket, u64)>,
    /// By the rule under which they are shared.
    shared: Vec<(RuleName, u64)>,
}

impl Counted {
    /// The same, after so many nanoseconds: what is full by then is left out.
    #[must_use]
    pub fn after(self, nanos: u64) -> Self {
        fn later<K>(meters: Vec<(K, u64)>, nanos: u64) -> Vec<(K, u64)> {
            let rest = |(key, left): (K, u64)| Some((key, left.checked_sub(nanos).filter(|left| *left > 0)?));
            meters.into_iter().filter_map(rest).collect()
        }
        Self {
            meters: later(self.meters, nanos),
            shared: later(self.shared, nanos),
        }
    }

    /// With what another part of the table has counted.
    pub fn extend(&mut self, other: Self) {
        self.meters.extend(other.meters);
        self.shared.extend(other.shared);
    }

    /// How many meters there are.
    pub fn len(&self) -> usize {
        self.meters.len() + self.shared.len()
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// No rule has more than one of so many parts of the table: whoever floods one leaves room to the others.
const SHARES: usize = 4;

impl Book {
    pub fn new(most: usize) -> Self {
        Self {
            slots: Pages::default(),
            free: Vec::new(),
            places: HashTable::new(),
            hashing: RandomState::new(),
            line: BinaryHeap::new(),
            shared: HashMap::new(),
            of_rules: HashMap::new(),
            most: most.min(u32::MAX as usize),
        }
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// How many more buckets may be kept.
    pub fn room(&self) -> usize {
        self.most.saturating_sub(self.len())
    }

    /// Where a bucket is counted. A new one takes one of `room`.
    pub fn find(&self, bucket: &Bucket, room: &mut usize) -> Found {
        if let Some(slot) = self.place(bucket) {
            return Found::Own(slot);
        }
        let kept = self.of_rules.get(&bucket.rule).copied().unwrap_or_default();
        if *room == 0 || kept >= self.most.div_ceil(SHARES) {
            return Found::Shared;
        }
        *room -= 1;
        Found::New
    }

    pub fn tally(&self, found: Found, rule: &RuleName, now: Nanos) -> Tally {
        match found {
            Found::Own(slot) => self.slots.get(slot).map(|slot| slot.tally),
            Found::New => Some(self.fresh(rule, now)),
            Found::Shared => self.shared.get(rule).copied(),
        }
        .unwrap_or_default()
    }

    /// A new bucket may have been among those without room until now: it begins as empty as they are.
    fn fresh(&self, rule: &RuleName, now: Nanos) -> Tally {
        let mut tally = Tally::default();
        if let Some(shared) = self.shared.get(rule) {
            tally.meter = tally.meter.charged(shared.left(now), now);
        }
        tally
    }

    /// No bucket is emptier than empty, though it was larger under a former quota: from now on it fills as this one says.
    pub fn fit(&mut self, found: Found, draw: &Draw, now: Nanos) {
        let limit = draw.quota.interval() * draw.quota.burst();
        let full_at = now.plus(limit);
        let fit = |tally: &mut Tally| tally.meter = Meter::full_at_time(full_at);
        match found {
            Found::Own(slot) => {
                if let Some(slot) = self.slots.get_mut(slot)
                    && slot.tally.meter.full_at() > full_at
                {
                    fit(&mut slot.tally);
                }
            }
            Found::Shared => {
                if let Some(tally) = self.shared.get_mut(&draw.bucket.rule)
                    && tally.meter.full_at() > full_at
                {
                    fit(tally);
                }
            }
            Found::New => {}
        }
    }

    /// An attempt holds so much of a bucket, until it is released.
    pub fn hold(&mut self, bucket: Bucket, found: Found, charge: u64, now: Nanos) -> Held {
        let rule = bucket.rule.clone();
        let slot = self.settle_in(bucket, found, now);
        let held = Held { rule, charge, slot };
        self.change(&held, |tally| tally.hold(charge));
        held
    }

    /// What was held is charged or not.
    pub fn release(&mut self, held: &Held, charged: bool, now: Nanos) {
        self.change(held, |tally| tally.release(held.charge, charged, now));
        match held.slot {
            Some(slot) => self.let_go(slot, now),
            None => {
                if self.shared.get(&held.rule).is_some_and(|tally| tally.is_idle(now)) {
                    self.shared.remove(&held.rule);
                }
            }
        }
    }

    /// What is missing of one bucket is missing of another one from now on.
    pub fn pour(&mut self, from: &Bucket, to: &Bucket, now: Nanos) {
        let Some(source) = self.place(from) else { return };
        let Some(slot) = self.slots.get_mut(source) else { return };
        let missing = slot.tally.meter.missing(now);
        if missing == 0 {
            return;
        }
        slot.tally.meter = Meter::default();
        self.let_go(source, now);
        let found = self.find(to, &mut self.room());
        self.charge(to.clone(), found, now, |meter| meter.charged(missing, now));
    }

    /// Forgets buckets that are full again, of at most so many whose turn it is. Answers how many.
    pub fn forget_full(&mut self, now: Nanos, most: usize) -> usize {
        let before = self.len();
        for _ in 0..most {
            let Some(Reverse((due, place))) = self.line.peek().copied() else {
                break;
            };
            if due > now {
                break;
            }
            self.line.pop();
            if let Some(slot) = self.slots.get_mut(place) {
                slot.tally.in_line = false;
            }
            self.let_go(place, now);
        }
        let forgotten = before - self.len();
        if most == usize::MAX {
            self.shared.retain(|_, tally| !tally.is_idle(now));
        }
        forgotten
    }

    /// What is counted in the slots of one part of the table, `None` beyond its end, and with the first part what is
    /// shared. What was forgotten is full, so it needs no mark.
    pub fn counted(&self, part: usize, slots: usize, now: Nanos) -> Option<Counted> {
        let left = |tally: &Tally| Some(tally.left(now)).filter(|left| *left > 0);
        let first = part.saturating_mul(slots);
        if first >= self.slots.len() && part > 0 {
            return None;
        }
        // Digests of passwords mean nothing to another process, and go nowhere.
        let told = |slot: &&Slot| !matches!(slot.bucket.subject, Subject::Password(_));
        let slots = self.slots.iter_from(first).take(slots).filter(told);
        let shared = self.shared.iter().filter(|_| part == 0);
        Some(Counted {
            meters: slots
                .filter_map(|slot| Some((slot.bucket.clone(), left(&slot.tally)?)))
                .collect(),
            shared: shared
                .filter_map(|(rule, tally)| Some((rule.clone(), left(tally)?)))
                .collect(),
        })
    }

    pub fn take_up(&mut self, counted: Counted, now: Nanos) {
        let meter = |left: u64| Meter::default().charged(left, now);
        for (bucket, left) in counted.meters {
            let found = self.find(&bucket, &mut self.room());
            self.charge(bucket, found, now, |before| before.emptier(meter(left)));
        }
        for (rule, left) in counted.shared {
            let tally = self.shared.entry(rule).or_default();
            tally.meter = tally.meter.emptier(meter(left));
        }
    }

    fn charge(&mut self, bucket: Bucket, found: Found, now: Nanos, by: impl FnOnce(Meter) -> Meter) {
        let rule = bucket.rule.clone();
        let slot = self.settle_in(bucket, found, now);
        let held = Held { rule, charge: 0, slot };
        self.change(&held, |tally| tally.meter = by(tally.meter));
        if let Some(slot) = slot {
            self.let_go(slot, now);
        }
    }

    fn change(&mut self, held: &Held, by: impl FnOnce(&mut Tally)) {
        let tally = match held.slot {
            Some(place) => self.slots.get_mut(place).map(|slot| &mut slot.tally),
            None => Some(self.shared.entry(held.rule.clone()).or_default()),
        };
        if let Some(tally) = tally {
            by(tally);
        }
    }

    fn place(&self, bucket: &Bucket) -> Option<u32> {
        let is_of = |slot: &u32| self.slots.get(*slot).is_some_and(|slot| slot.bucket == *bucket);
        self.places.find(self.hashing.hash_one(bucket), is_of).copied()
    }

    /// The slot where a bucket is counted from now on; `None` where it is shared.
    fn settle_in(&mut self, bucket: Bucket, found: Found, now: Nanos) -> Option<u32> {
        match found {
            Found::Own(slot) => Some(slot),
            Found::New => Some(self.keep(bucket, now)),
            Found::Shared => None,
        }
    }

    /// A slot for a bucket that has none; the one it has, should it have one after all.
    fn keep(&mut self, bucket: Bucket, now: Nanos) -> u32 {
        if let Some(slot) = self.place(&bucket) {
            return slot;
        }
        let hash = self.hashing.hash_one(&bucket);
        let tally = self.fresh(&bucket.rule, now);
        *self.of_rules.entry(bucket.rule.clone()).or_default() += 1;
        let place = self.put(Slot { bucket, tally });
        let (slots, hashing) = (&self.slots, &self.hashing);
        self.places.insert_unique(hash, place, |slot| {
            slots.get(*slot).map_or(0, |slot| hashing.hash_one(&slot.bucket))
        });
        place
    }

    fn put(&mut self, mut slot: Slot) -> u32 {
        if let Some(place) = self.free.pop()
            && let Some(free) = self.slots.get_mut(place)
        {
            // Who had the place before may still be in line. Its turn is that of the next one then, and no harm: at its turn
            // a bucket is forgotten only if it is full.
            slot.tally.in_line = free.tally.in_line;
            *free = slot;
            return place;
        }
        self.slots.push(slot)
    }

    /// A slot that no attempt under way holds any more is forgotten when it is full, and else waits in line for that.
    fn let_go(&mut self, place: u32, now: Nanos) {
        let Some(slot) = self.slots.get_mut(place) else {
            return;
        };
        if slot.tally.held > 0 {
            return;
        }
        if slot.tally.is_idle(now) {
            self.forget(place);
        } else if !slot.tally.in_line {
            slot.tally.in_line = true;
            self.line.push(Reverse((slot.tally.meter.full_at(), place)));
        }
    }

    /// Of a slot that is free already there is nothing to forget.
    fn forget(&mut self, place: u32) {
        let Some(slot) = self.slots.get(place) else {
            return;
        };
        let hash = self.hashing.hash_one(&slot.bucket);
        if let Ok(entry) = self.places.find_entry(hash, |other| *other == place) {
            entry.remove();
            self.free.push(place);
            if let Some(kept) = self.of_rules.get_mut(&slot.bucket.rule) {
                *kept -= 1;
                if *kept == 0 {
                    self.of_rules.remove(&slot.bucket.rule);
                }
            }
        }
    }
}
