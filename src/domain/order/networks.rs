//! Networks, each until a time, and whether an address is in one of them: a look-up for each length of prefix that occurs,
//! so that a hundred thousand of them cost no more than a few.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

/// Networks.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    levels: Vec<Level>,
}

/// Those of one length.
#[derive(Clone, Debug)]
struct Level {
    is_v6: bool,
    mask: u128,
    /// By the bits of the network, until when.
    until: HashMap<u128, Timestamp>,
}

impl Networks {
    /// Holds this one too, until then; of two times the later one counts.
    pub fn add(&mut self, network: IpNet, until: Option<Timestamp>) {
        let (is_v6, bits) = bits(network.network());
        let mask = mask(is_v6, network.prefix_len());
        let found = self
            .levels
            .iter()
            .position(|level| level.is_v6 == is_v6 && level.mask == mask);
        let place = found.unwrap_or_else(|| {
            self.levels.push(Level {
                is_v6,
                mask,
                until: HashMap::new(),
            });
            self.levels.len() - 1
        });
        if let Some(level) = self.levels.get_mut(place) {
            let until = until.unwrap_or(Timestamp::MAX);
            let kept = level.until.entry(bits).or_insert(until);
            *kept = until.max(*kept);
        }
    }

    /// Whether there is none at all, in force or not.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Whether one of them has this address now.
    pub fn hold(&self, address: IpAddr, now: Timestamp) -> bool {
        let (is_v6, bits) = bits(address.to_canonical());
        let mut levels = self.levels.iter().filter(|level| level.is_v6 == is_v6);
        levels.any(|level| level.until.get(&(bits & level.mask)).is_some_and(|until| *until > now))
    }
}

fn bits(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, address.to_bits()),
    }
}

fn mask(is_v6: bool, length: u8) -> u128 {
    let width: u32 = if is_v6 { 128 } else { 32 };
    let ones = u128::MAX >> (128 - width);
    // A shift by the whole width leaves nothing.
    let beyond = ones.checked_shr(length.into()).unwrap_or(0);
    ones & !beyond
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::session::tests::at;

    fn of(networks: &[(&str, Option<i64>)]) -> Networks {
        let mut all = Networks::default();
        for (network, until) in networks {
            all.add(network.parse().unwrap(), until.map(at));
        }
        all
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_held_by_any_network_whose_time_is_not_over() {
        let all = of(&[
            ("203.0.113.0/24", Some(10)),
            ("203.0.113.7/32", None),
            ("2001:db8::/32", None),
        ]);
        assert!(all.hold(ip("203.0.113.9"), at(9)) && !all.hold(ip("203.0.113.9"), at(10)));
        assert!(all.hold(ip("203.0.113.7"), at(10)), "the longer one goes on");
        assert!(all.hold(ip("::ffff:203.0.113.7"), at(10)));
        assert!(all.hold(ip("2001:db8:ffff::1"), at(10)) && !all.hold(ip("2001:db9::1"), at(10)));
        assert!(!all.hold(ip("198.51.100.1"), at(0)) && !Networks::default().hold(ip("::"), at(0)));
        assert!(of(&[("0.0.0.0/0", None)]).hold(ip("8.8.8.8"), at(0)));
        assert!(!of(&[("0.0.0.0/0", None)]).hold(ip("2001:db8::1"), at(0)));
        assert!(of(&[("::/0", None)]).hold(ip("2001:db8::1"), at(0)));
    }

    #[test]
    fn the_same_network_twice_holds_until_the_later_time() {
        let all = of(&[("203.0.113.0/24", Some(20)), ("203.0.113.0/24", Some(10))]);
        assert!(all.hold(ip("203.0.113.9"), at(19)));
    }

    #[test]
    fn a_hundred_thousand_networks_take_one_look_up_for_each_length() {
        let mut all = Networks::default();
        for number in 0..100_000_u32 {
            let address = std::net::Ipv4Addr::from(0x0b00_0000 + number * 256);
            let length = if number % 2 == 0 { 24 } else { 32 };
            all.add(IpNet::new(address.into(), length).unwrap(), None);
        }
        assert_eq!(all.levels.len(), 2);
        assert!(all.hold(ip("11.0.0.255"), at(0)) && all.hold(ip("11.0.1.0"), at(0)));
        assert!(!all.hold(ip("11.0.1.1"), at(0)) && !all.hold(ip("10.255.255.255"), at(0)));
    }

    proptest! {
        #[test]
        fn a_look_up_finds_what_a_search_through_all_would(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32, 0_i64..9), 0..20),
            address in any::<u32>(),
            near in any::<prop::sample::Index>(),
            now in 0_i64..9,
        ) {
            let networks: Vec<(IpNet, i64)> = networks
                .into_iter()
                .map(|(bits, length, until)| {
                    let address = std::net::Ipv4Addr::from(bits);
                    (IpNet::new(address.into(), length).unwrap().trunc(), until)
                })
                .collect();
            let mut all = Networks::default();
            for (network, until) in &networks {
                all.add(*network, Some(at(*until)));
            }
            let mut addresses = vec![IpAddr::from(std::net::Ipv4Addr::from(address))];
            if !networks.is_empty() {
                addresses.push(near.get(&networks).0.network());
            }
            for address in addresses {
                let found = networks.iter().any(|(network, until)| network.contains(&address) && *until > now);
                prop_assert_eq!(all.hold(address, at(now)), found, "{}", address);
            }
        }
    }
}
