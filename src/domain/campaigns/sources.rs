//! [`Sources`]: where a campaign comes from, in bounded memory: the addresses with the most attempts, and how many
//! addresses and subnets there are in all.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::sketch::Distinct;
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::subnet;

/// One address, as limits count it: an IPv4 address or the /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// Attempts from there, at most so many: what a place among the kept has cost others counts in.
    pub attempts: u64,
    /// How many of them it may owe to others, whose place it took.
    #[serde(default)]
    pub(super) inherited: u64,
    /// The name it began with.
    pub(super) first: Option<NameDigest>,
    /// Whether it has tried more than one name.
    pub several_names: bool,
    /// Whether somebody signs in from there on a device that an account knows: real people share it.
    pub has_people: bool,
}

impl Source {
    /// Its first attempt, at this name.
    pub(super) const fn new(address: IpAddr, account: Option<NameDigest>) -> Self {
        Self {
            address,
            attempts: 1,
            inherited: 0,
            first: account,
            several_names: false,
            has_people: false,
        }
    }

    /// Another attempt, at this name.
    pub(super) fn note(&mut self, account: Option<NameDigest>) {
        self.attempts += 1;
        self.several_names |= self.first != account;
    }

    /// The same address, as somebody else has seen it.
    pub(super) fn merge(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.inherited += other.inherited;
        self.several_names |= other.several_names || self.first != other.first;
        self.has_people |= other.has_people;
    }

    /// Attempts from there, at least so many: nobody answers for what others did.
    pub(super) const fn own_attempts(&self) -> u64 {
        self.attempts.saturating_sub(self.inherited)
    }

    /// Whether a success from there is part of the attack: it has tried several names, and nobody is known to work there.
    pub(super) const fn is_suspect(&self) -> bool {
        self.own_attempts() >= Self::SUSPECT_FROM && self.several_names && !self.has_people
    }

    /// An address with fewer attempts may be anybody's.
    const SUSPECT_FROM: u64 = 3;

    /// The network that a filter would have to name.
    pub fn network(&self) -> IpNet {
        network(self.address)
    }
}

/// The network of a client as limits count it.
pub(super) fn network(address: IpAddr) -> IpNet {
    let bits = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 64,
    };
    IpNet::new_assert(address, bits).trunc()
}

/// Where attempts come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    kept: Vec<Source>,
    addresses: Distinct,
    subnets: Distinct,
}

impl Sources {
    /// So many addresses are kept. When another one comes, it takes the place of the one with the fewest attempts and
    /// counts on from there, so that whoever makes the most is among them ("space saving", Metwally and others, 2005).
    pub const KEPT: usize = 256;

    /// More attempts from one address.
    pub(super) fn add(&mut self, more: Source, spread: &Spread) {
        self.addresses.note(spread.hash(more.address));
        self.subnets.note(spread.hash(subnet(more.address)));
        if let Some(known) = self.kept.iter_mut().find(|source| source.address == more.address) {
            return known.merge(&more);
        }
        if self.kept.len() < Self::KEPT {
            return self.kept.push(more);
        }
        if let Some(least) = self.kept.iter_mut().min_by_key(|source| source.attempts) {
            let inherited = least.attempts;
            *least = Source {
                attempts: inherited + more.attempts,
                inherited,
                ..more
            };
        }
    }

    /// Somebody whose device is known signed in from there.
    pub(super) fn note_people(&mut self, address: IpAddr) {
        if let Some(source) = self.kept.iter_mut().find(|source| source.address == address) {
            source.has_people = true;
        }
    }

    /// This address, when it is kept.
    pub fn find(&self, address: IpAddr) -> Option<&Source> {
        self.kept.iter().find(|source| source.address == address)
    }

    /// Whether attempts came from this address, or from the network around it.
    pub fn are_near(&self, address: IpAddr) -> bool {
        let around = subnet(address);
        self.kept.iter().any(|source| subnet(source.address) == around)
    }

    /// How many addresses.
    pub fn addresses(&self) -> u64 {
        self.addresses.count()
    }

    /// How many subnets.
    pub fn subnets(&self) -> u64 {
        self.subnets.count()
    }

    /// Those kept, the most attempts first.
    pub fn top(&self) -> Vec<&Source> {
        let mut top: Vec<&Source> = self.kept.iter().collect();
        top.sort_by_key(|source| (std::cmp::Reverse(source.attempts), source.address));
        top
    }
}

/// Spreads addresses evenly over the numbers, under a key: nobody chooses addresses that look like one, or like many.
#[derive(Clone, Copy, Debug)]
pub struct Spread(u64, u64);

impl Spread {
    /// With this key.
    pub fn new(key: &[u8; 32]) -> Self {
        let half = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&key[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        Self(half(0), half(8))
    }

    fn hash(self, address: IpAddr) -> u64 {
        let bits = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        siphasher::sip::SipHasher13::new_with_keys(self.0, self.1).hash(&bits.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    #[test]
    fn whoever_tries_most_is_kept_among_a_million() {
        let (mut sources, spread) = (Sources::default(), Spread::new(&[7; 32]));
        for number in 0..100_000 {
            sources.add(Source::new(address(number), None), &spread);
            if number % 50 == 0 {
                sources.add(Source::new(address(5), None), &spread);
            }
        }
        assert_eq!(sources.top()[0].address, address(5));
        assert_eq!(sources.kept.len(), Sources::KEPT);
        assert!((70_000..130_000).contains(&sources.addresses()));
        assert!((300..500).contains(&sources.subnets()), "{}", sources.subnets());
    }

    #[test]
    fn a_filter_names_an_address_or_the_64_of_ipv6() {
        assert_eq!(network(address(1)).to_string(), "10.0.0.1/32");
        let six: IpAddr = "2001:db8:1:2::".parse().unwrap();
        assert_eq!(network(six).to_string(), "2001:db8:1:2::/64");
    }
}
