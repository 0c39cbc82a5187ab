//! Who is at which address: tells an address that most people share from everybody's own.
//!
//! Only people who are signed in are counted, each once at an address. Attempts never are: nobody becomes a crowd by
//! guessing, and who wants to look like one needs ten people's passwords and most of the company.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::account::AccountId;
use super::limits::Nanos;

/// People count where they were seen within this time: those who are there by day count by night as well.
pub const WINDOW: Duration = Duration::from_hours(24);

/// Fewer people than this are no crowd.
pub const FEW: u32 = 10;

/// So many people that are there make room for another one's attempts.
const PEOPLE_TO_A_BUDGET: u32 = 10;

/// The most one address is ever taken for.
const MOST_BUDGETS: u32 = 100;

/// Most people that are remembered. Who comes when there is no room is not counted.
const MOST_PEOPLE: usize = 50_000;

/// Most addresses of one person: the ones seen last.
const MOST_ADDRESSES: usize = 4;

/// Where people were seen. At most about 10 MB.
#[derive(Debug, Default)]
pub struct Census {
    people: HashMap<AccountId, Vec<Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: IpAddr,
    last: Nanos,
}

impl Census {
    /// Somebody who is signed in was seen at an address.
    pub fn see(&mut self, who: AccountId, at: IpAddr, now: Nanos) {
        if self.people.len() >= MOST_PEOPLE && !self.people.contains_key(&who) {
            return;
        }
        let places = self.people.entry(who).or_default();
        places.retain(|seen| seen.at != at);
        if places.len() >= MOST_ADDRESSES {
            // The one seen longest ago.
            places.remove(0);
        }
        places.push(Seen { at, last: now });
    }

    /// Nobody was seen at these addresses, after all.
    pub fn forget(&mut self, these: impl Fn(IpAddr) -> bool) {
        self.people.retain(|_, places| {
            places.retain(|seen| !these(seen.at));
            !places.is_empty()
        });
    }

    /// Counts those of the last [`WINDOW`] and forgets all others.
    pub fn take(&mut self, now: Nanos) -> Tally {
        let window = u64::try_from(WINDOW.as_nanos()).unwrap_or(u64::MAX);
        let oldest = now.0.saturating_sub(window);
        let mut tally = Tally::default();
        self.people.retain(|_, places| {
            places.retain(|seen| seen.last.0 >= oldest);
            for seen in places.iter() {
                *tally.at.entry(seen.at).or_insert(0) += 1;
            }
            !places.is_empty()
        });
        tally.people = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        tally
    }
}

/// How many people there are, in all and by address.
#[derive(Debug, Default)]
pub struct Tally {
    /// In all, whatever their addresses.
    pub people: u32,
    at: HashMap<IpAddr, u32>,
}

impl Tally {
    /// Addresses with many people.
    pub fn shared(&self) -> impl Iterator<Item = (IpAddr, u32)> {
        let many = self.at.iter().filter(|(_, people)| **people >= FEW);
        many.map(|(at, people)| (*at, *people))
    }

    /// Addresses with many people, and most of those that there are.
    pub fn crowded(&self) -> impl Iterator<Item = (IpAddr, u32)> {
        self.shared()
            .filter(|(_, people)| u64::from(*people) * 2 > u64::from(self.people))
    }
}

/// How many clients an address with so many people counts as.
pub fn budgets(people: u32) -> u32 {
    (1 + people / PEOPLE_TO_A_BUDGET).min(MOST_BUDGETS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn person(number: u128) -> AccountId {
        AccountId::new(Uuid::from_u128(number))
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    const fn hour(number: u64) -> Nanos {
        Nanos(number * 3_600_000_000_000)
    }

    fn crowded(census: &mut Census, now: Nanos) -> Vec<(IpAddr, u32)> {
        census.take(now).crowded().collect()
    }

    #[test]
    fn an_address_with_most_of_many_people_is_crowded() {
        let mut census = Census::default();
        for number in 0..9 {
            census.see(person(number), address(1), hour(30));
        }
        assert!(crowded(&mut census, hour(30)).is_empty(), "nine are few");
        census.see(person(9), address(1), hour(30));
        census.see(person(9), address(1), hour(30));
        assert_eq!(crowded(&mut census, hour(30)), [(address(1), 10)]);
        for number in 10..20 {
            census.see(person(number), address(2), hour(30));
        }
        assert!(crowded(&mut census, hour(30)).is_empty(), "a half is not most");
        assert_eq!(census.take(hour(30)).shared().count(), 2);
    }

    #[test]
    fn whoever_comes_from_several_addresses_is_one_person() {
        let mut census = Census::default();
        for number in 0..10 {
            census.see(person(number), address(1), hour(30));
            census.see(person(number), address(100), hour(30));
        }
        let tally = census.take(hour(30));
        assert_eq!((tally.people, tally.crowded().count()), (10, 2));
    }

    #[test]
    fn people_count_for_a_day() {
        let mut census = Census::default();
        for number in 0..10 {
            census.see(person(number), address(1), hour(30));
        }
        assert_eq!(census.take(hour(54)).people, 10);
        census.see(person(0), address(1), hour(54));
        assert_eq!(census.take(hour(55)).people, 1);
        assert_eq!(census.people.len(), 1, "the others are forgotten");
    }

    #[test]
    fn an_address_can_be_forgotten() {
        let mut census = Census::default();
        for number in 0..10 {
            census.see(person(number), address(1), hour(30));
        }
        census.see(person(0), address(2), hour(30));
        census.forget(|at| at == address(1));
        assert_eq!(census.take(hour(30)).people, 1);
    }

    #[test]
    fn memory_is_bounded_however_many_addresses_one_person_has() {
        let mut census = Census::default();
        for number in 0..100_000 {
            census.see(person(1), address(number), hour(30));
        }
        assert_eq!(census.people[&person(1)].len(), MOST_ADDRESSES);
        assert!(census.people[&person(1)].iter().any(|seen| seen.at == address(99_999)));
        for number in 0..2 * MOST_PEOPLE as u128 {
            census.see(person(number), address(1), hour(30));
        }
        assert_eq!(census.people.len(), MOST_PEOPLE);
    }

    #[test]
    fn a_crowd_counts_as_several_clients_and_never_as_any_number() {
        for (people, counts) in [(0, 1), (9, 1), (10, 2), (95, 10), (300, 31), (u32::MAX, 100)] {
            assert_eq!(budgets(people), counts, "{people}");
        }
    }

    proptest! {
        /// Somebody with a few accounts of his own, among people who come from elsewhere.
        #[test]
        fn a_minority_never_makes_an_address_crowded(
            own in 0_u32..40,
            moves in prop::collection::vec((0_u32..40, 0_u32..5), 0..200),
        ) {
            let mut census = Census::default();
            for number in 0..=own {
                census.see(person(1000 + u128::from(number)), address(1000 + number), hour(30));
            }
            for (who, at) in moves {
                census.see(person(u128::from(who % own.max(1))), address(at), hour(30));
            }
            let mut found = census.take(hour(30));
            found.at.retain(|at, _| *at < address(5));
            prop_assert_eq!(found.crowded().count(), 0);
        }
    }
}
