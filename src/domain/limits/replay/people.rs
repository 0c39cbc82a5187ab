//! Real people whom a policy would have stopped.
//!
//! Who is a person: whoever succeeded. A refused attempt was hers when the same browser went on to succeed at the same
//! account within [`PATIENCE`]: it came from the same known device, or, where the device was not known, from the same
//! client address, and was aimed at the same account and endpoint. An attempt that succeeded in the record and would have
//! been refused was hers, too. What strangers try at her account from elsewhere is not hers. Somebody who guesses a
//! password is taken for its owner: a record cannot tell them apart.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::account::AccountId;
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::record::{AttemptRecord, Verdict};
use crate::domain::session::outlived;

/// A success that comes later than this after a refused attempt has nothing to do with it.
pub const PATIENCE: Duration = Duration::from_hours(1);

/// Distinct people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct People {
    /// Who succeeded at least once.
    pub seen: u64,
    /// Of those, who would have been stopped before a later success.
    pub stopped: u64,
    /// Of those seen, whose successful attempt would have been answered late.
    pub slowed: u64,
}

/// Whoever it is, as well as a record tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Person {
    Account(AccountId),
    Name(NameDigest),
    /// Where the record names no account.
    Client(IpAddr),
}

/// Attempts of one browser at one account.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Trail {
    endpoint: Endpoint,
    account: Option<NameDigest>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Device(NameDigest),
    Client(IpAddr),
}

/// Finds them while attempts go by.
#[derive(Default)]
pub(super) struct Finder {
    seen: HashSet<Person>,
    stopped: HashSet<Person>,
    slowed: HashSet<Person>,
    /// Refused attempts that may turn out to have been somebody's, by when the last one was.
    refused: HashMap<Trail, Timestamp>,
    /// The same in the order of time, to forget them.
    by_time: VecDeque<(Timestamp, Trail)>,
}

impl Finder {
    pub fn note(&mut self, record: &AttemptRecord, verdict: &Verdict) {
        if !is_of_people(record.endpoint) {
            return;
        }
        self.forget(record.at);
        let trail = Trail::of(record);
        let is_refused = matches!(verdict, Verdict::Refused(_));
        if is_refused {
            let known = self.refused.insert(trail, record.at);
            // One that is there already finds its new time when it is to be forgotten.
            if known.is_none() {
                self.by_time.push_back((record.at, trail));
            }
        }
        if record.outcome != Some(Outcome::Succeeded) {
            return;
        }
        let person = Person::of(record);
        self.seen.insert(person);
        if is_refused || self.refused.contains_key(&trail) {
            self.stopped.insert(person);
        }
        if matches!(verdict, Verdict::Slowed(_)) {
            self.slowed.insert(person);
        }
    }

    pub fn people(&self) -> People {
        let [seen, stopped, slowed] = [&self.seen, &self.stopped, &self.slowed].map(|people| people.len() as u64);
        People { seen, stopped, slowed }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, trail)) = self.by_time.front().copied()
            && outlived(at, now, PATIENCE)
        {
            self.by_time.pop_front();
            match self.refused.get(&trail) {
                Some(last) if !outlived(*last, now, PATIENCE) => self.by_time.push_back((*last, trail)),
                _ => drop(self.refused.remove(&trail)),
            }
        }
    }
}

/// Programs have tokens.
const fn is_of_people(endpoint: Endpoint) -> bool {
    !matches!(endpoint, Endpoint::ApiToken | Endpoint::AnyRequest)
}

impl Trail {
    fn of(record: &AttemptRecord) -> Self {
        Self {
            endpoint: record.endpoint,
            account: record.account,
            place: record
                .device
                .map_or(Place::Client(record.client.limit_key()), Place::Device),
        }
    }
}

impl Person {
    fn of(record: &AttemptRecord) -> Self {
        let named = record.person.map(Self::Account).or(record.account.map(Self::Name));
        named.unwrap_or(Self::Client(record.client.limit_key()))
    }
}
