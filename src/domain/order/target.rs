//! Whom a ban is about, and how an operator names that.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::domain::account::AccountId;
use crate::domain::limits::NameDigest;

/// Whom a ban is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// An account, whatever it is called.
    Account(AccountId),
    /// One address.
    Address(IpAddr),
    /// A network of addresses; never of one alone.
    Network(IpNet),
    /// A browser that has signed in before, by its pseudonym.
    Device(NameDigest),
    /// A name or address that was typed, existing or invented, or a device at an account: by the pseudonym it has in
    /// records of attempts.
    Pseudonym(NameDigest),
}

/// Why a text names nobody who can be banned or exempted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetProblem {
    /// It is nothing of the kind.
    #[error("{0:?} is no address and no network; write one such as 203.0.113.7, 203.0.113.0/24 or 2001:db8:1::/48")]
    Unreadable(String),
    /// A network with more than its own bits: what was meant cannot be told.
    #[error("{typed} is an address inside a network; write {network} for the network, or {address} for the address")]
    HostBits {
        /// As it was typed.
        typed: String,
        /// The network.
        network: IpNet,
        /// The address.
        address: IpAddr,
    },
}

impl Target {
    /// Reads an address or a network. One address of IPv6 stands for its /64, which one customer is given as a whole
    /// (RFC 6177) and can walk through at will; with `/128` it stands for itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_client(text: &str) -> Result<Self, TargetProblem> {
        network(text).map(Self::from_network)
    }

    fn from_network(network: IpNet) -> Self {
        if network.prefix_len() == network.max_prefix_len() {
            Self::Address(network.addr())
        } else {
            Self::Network(network)
        }
    }

    /// The addresses it is about; `None` when it is about none.
    pub fn network(&self) -> Option<IpNet> {
        match self {
            Self::Address(address) => Some((*address).into()),
            Self::Network(network) => Some(*network),
            Self::Account(_) | Self::Device(_) | Self::Pseudonym(_) => None,
        }
    }

    /// The account it is about.
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Account(account) => Some(*account),
            _ => None,
        }
    }

    /// Which kind it is, by a stable name.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Address(_) => "address",
            Self::Network(_) => "network",
            Self::Device(_) => "device",
            Self::Pseudonym(_) => "pseudonym",
        }
    }

    /// The rest of it.
    pub fn value(&self) -> String {
        match self {
            Self::Account(account) => account.to_string(),
            Self::Address(address) => address.to_string(),
            Self::Network(network) => network.to_string(),
            Self::Device(digest) | Self::Pseudonym(digest) => hex(*digest),
        }
    }

    /// The opposite of its textual form.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, value) = text.split_once(' ')?;
        let target = match kind {
            "account" => Self::Account(AccountId::parse(value)?),
            "address" => Self::Address(value.parse().ok()?),
            "network" => Self::Network(value.parse().ok()?),
            "device" => Self::Device(pseudonym(value)?),
            "pseudonym" => Self::Pseudonym(pseudonym(value)?),
            _ => return None,
        };
        (target.to_string() == text).then_some(target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.value())
    }
}

/// Reads an address or a network; see [`Target::from_client`].
///
/// # Errors
/// What is wrong with it.
pub fn network(text: &str) -> Result<IpNet, TargetProblem> {
    let unreadable = || TargetProblem::Unreadable(text.to_owned());
    let typed = text.trim();
    if let Ok(address) = typed.parse::<IpAddr>() {
        return Ok(match address.to_canonical() {
            address @ IpAddr::V4(_) => address.into(),
            IpAddr::V6(address) => of_v6(address, 64).ok_or_else(unreadable)?,
        });
    }
    let network: IpNet = typed.parse().map_err(|_| unreadable())?;
    let network = canonical(network);
    if network.addr() != network.network() {
        return Err(TargetProblem::HostBits {
            typed: typed.to_owned(),
            network: network.trunc(),
            address: network.addr(),
        });
    }
    Ok(network)
}

fn of_v6(address: Ipv6Addr, length: u8) -> Option<IpNet> {
    Ipv6Net::new(address, length)
        .ok()
        .map(|network| IpNet::V6(network.trunc()))
}

/// IPv4 written as IPv6 is IPv4.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let (Some(address), Some(length)) = (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(MAPPED)) else {
        return network;
    };
    Ipv4Net::new(address, length).map_or(network, IpNet::V4)
}

/// Whether so many addresses are in a network that it stands for everybody: more than a /8, or a /16 of IPv6.
pub fn everybody(network: IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 16,
    }
}

/// The first of these networks that shares an address with `network`.
pub fn overlapping(network: IpNet, with: &[IpNet]) -> Option<IpNet> {
    let meets = |other: &&IpNet| network.contains(*other) || other.contains(&network);
    with.iter().find(meets).copied()
}

/// As pseudonyms are written.
pub(super) fn hex(NameDigest(high, low): NameDigest) -> String {
    format!("{high:016x}{low:016x}")
}

/// Reads a pseudonym: 32 hexadecimal digits.
pub fn pseudonym(text: &str) -> Option<NameDigest> {
    let right = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (high, low) = right.then(|| text.split_at(16))?;
    let half = |text| u64::from_str_radix(text, 16).ok();
    Some(NameDigest(half(high)?, half(low)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn read(text: &str) -> String {
        match Target::from_client(text) {
            Ok(target) => target.to_string(),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn a_client_is_named_by_its_address_or_its_network() {
        for (text, target) in [
            ("203.0.113.7", "address 203.0.113.7"),
            ("203.0.113.7/32", "address 203.0.113.7"),
            (" 203.0.113.0/24 ", "network 203.0.113.0/24"),
            ("::ffff:203.0.113.7", "address 203.0.113.7"),
            ("::ffff:203.0.113.0/120", "network 203.0.113.0/24"),
            ("2001:db8:1::/48", "network 2001:db8:1::/48"),
            ("0.0.0.0/0", "network 0.0.0.0/0"),
        ] {
            assert_eq!(read(text), target, "{text}");
        }
    }

    #[test]
    fn one_address_of_ipv6_stands_for_what_its_customer_is_given() {
        assert_eq!(read("2001:db8:1:2:3:4:5:6"), "network 2001:db8:1:2::/64");
        assert_eq!(read("2001:db8:1:2:3:4:5:6/128"), "address 2001:db8:1:2:3:4:5:6");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_may_be() {
        assert_eq!(
            read("203.0.113.7/24"),
            "203.0.113.7/24 is an address inside a network; write 203.0.113.0/24 for the network, or 203.0.113.7 for the \
             address"
        );
        for bad in [
            "",
            "yuki",
            "203.0.113",
            "203.0.113.7/33",
            "203.0.113.7:443",
            "1.2.3.4-9",
        ] {
            assert!(read(bad).contains("is no address and no network"), "{bad}");
        }
    }

    #[test]
    fn a_network_of_half_the_world_is_everybody() {
        let is = |text: &str| everybody(text.parse().unwrap());
        assert!(is("0.0.0.0/0") && is("128.0.0.0/1") && is("::/0") && is("2000::/3"));
        assert!(!is("10.0.0.0/8") && !is("2001::/16"));
    }

    #[test]
    fn networks_meet_whichever_is_the_larger() {
        let own: Vec<IpNet> = ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]
            .map(|text| text.parse().unwrap())
            .into();
        let meets = |text: &str| overlapping(text.parse().unwrap(), &own).map(|network| network.to_string());
        assert_eq!(meets("10.1.2.3/32").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(meets("0.0.0.0/0").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(meets("::/64").as_deref(), Some("::1/128"));
        assert_eq!(meets("11.0.0.0/8"), None);
    }

    #[test]
    fn every_target_reads_back_from_its_text() {
        let digest = NameDigest(1, u64::MAX);
        for target in [
            Target::Account(AccountId::new(Uuid::from_u128(7))),
            Target::Address("203.0.113.7".parse().unwrap()),
            Target::Network("2001:db8::/48".parse().unwrap()),
            Target::Device(digest),
            Target::Pseudonym(digest),
        ] {
            assert_eq!(Target::parse(&target.to_string()), Some(target));
        }
        for bad in [
            "",
            "address",
            "address 203.0.113.07",
            "network 203.0.113.7",
            "device x",
            "email y@a.example",
            "device 0000000000000001FFFFFFFFFFFFFFFF",
        ] {
            assert_eq!(Target::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_as_more_than_it_says(bits in any::<u32>(), length in 0_u8..=32) {
            let typed = format!("{}/{length}", std::net::Ipv4Addr::from(bits));
            if let Ok(target) = Target::from_client(&typed) {
                let network = target.network().unwrap();
                prop_assert_eq!(network.prefix_len(), length);
                prop_assert_eq!(network.addr(), IpAddr::from(std::net::Ipv4Addr::from(bits)));
            }
        }
    }
}
