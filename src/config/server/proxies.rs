//! Whom the gateway believes about where a request comes from.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};
use serde_json::json;

use super::{Listen, Server};
use crate::config::keys::forms::{List, OneOf, Switch, Text};
use crate::config::keys::{Slot, Walker};
use crate::domain::hops::HopField;
use crate::domain::scope::plain_network;

impl Server {
    pub(super) fn walk_proxies(&mut self, walker: &mut impl Walker) {
        walker.key(
            "proxy_protocol",
            "Networks of proxies in front of the gateway that begin each connection with the PROXY protocol, version 1 or \
             2, such as [\"10.0.0.5/32\"]. They must, and the address they name is the client for everything, limits \
             included: list your own proxies and nobody else. From anybody else such a beginning closes the connection.",
            &networks(),
            Slot::Default(&mut self.proxy_protocol),
        );
        let named = everybody(&self.proxy_protocol);
        walker.check(&["server.proxy_protocol"], || match named {
            None => Ok(()),
            Some(whole) => Err(format!("{whole} {TOO_WIDE}")),
        });
        walker.key(
            "trusted_proxies",
            "Networks of proxies in front of the gateway that are believed about their clients, such as [\"10.0.0.5/32\"]. \
             Whoever is listed here can claim any client address and so escape the limits: list your own proxies and \
             nobody else. Empty: the address of the connection is the client.",
            &networks(),
            Slot::Default(&mut self.trusted_proxies),
        );
        walker.key(
            "forwarded_header",
            "Where those proxies name their clients: \"x-forwarded-for\", or \"forwarded\" (RFC 7239). They must add to it \
             or replace it. The other header is never read, since a proxy that does not know it passes on whatever its \
             client wrote there.",
            &OneOf(
                [HopField::XForwardedFor, HopField::Forwarded]
                    .map(|field| (field.as_str(), field))
                    .to_vec(),
            ),
            Slot::Default(&mut self.forwarded_header),
        );
        walker.key(
            "shared_addresses",
            "Addresses that many people share and that are no proxy of yours, such as that of an office behind one address: \
             [\"203.0.113.7\"]. Limits by client count each as several clients, one more for every ten people who were \
             signed in there within a day. Such an address that carries most people and is not listed is treated in the same \
             way, and complained about.",
            &networks(),
            Slot::Default(&mut self.shared_addresses),
        );
        let shared = everybody(&self.shared_addresses);
        walker.check(&["server.shared_addresses"], || match shared {
            None => Ok(()),
            Some(whole) => Err(format!("{whole} is no office; list the addresses that people share")),
        });
        walker.key(
            "danger_trust_everything",
            "Lets trusted_proxies hold the whole Internet or a good part of it. Every client then chooses its own address, \
             and no limit by client holds.",
            &Switch,
            Slot::Default(&mut self.danger_trust_everything),
        );
        let trusted = everybody(&self.trusted_proxies).filter(|_| !self.danger_trust_everything);
        walker.check(
            &["server.trusted_proxies", "server.danger_trust_everything"],
            || match trusted {
                None => Ok(()),
                Some(whole) => Err(format!("{whole} {TOO_WIDE}")),
            },
        );
    }

    /// Whether all who come by a Unix socket count as one client, this machine.
    pub fn counts_a_socket_as_one(&self) -> bool {
        let here = IpAddr::from([127, 0, 0, 1]);
        let by_socket = self.listen.iter().any(|listen| matches!(listen, Listen::Unix(_)));
        by_socket && !self.trusted_proxies.iter().any(|network| network.contains(&here))
    }

    /// Whether everybody is believed, as `danger_trust_everything` admits.
    pub fn believes_everybody(&self) -> bool {
        everybody(&self.trusted_proxies).is_some()
    }
}

pub(in crate::config) const TOO_WIDE: &str = "would believe everybody, so that every client could choose its own address and escape all limits; \
                        list the networks of your proxies";

/// Local addresses (RFC 4193): however many they are, they are the operator's own.
const LOCAL: Ipv6Net = Ipv6Net::new_assert(std::net::Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);

/// What of these networks, taken together, is too much of the Internet to be anybody's proxies: more than what is written
/// as a /8, of IPv6 as a /16.
pub(in crate::config) fn everybody(networks: &[IpNet]) -> Option<IpNet> {
    let too_wide = |net: &IpNet| match net {
        IpNet::V4(net) => net.prefix_len() < 8,
        IpNet::V6(net) => net.prefix_len() < 16 && !LOCAL.contains(net),
    };
    IpNet::aggregate(&networks.to_vec()).into_iter().find(too_wide)
}

/// Networks such as `10.0.0.0/8`, or single addresses.
pub(in crate::config) fn networks() -> List<Text<IpNet>> {
    List {
        of: network(),
        least: 0,
    }
}

/// A network such as `10.0.0.0/8`, or a single address.
pub(in crate::config) fn network() -> Text<IpNet> {
    Text {
        parse: parse_network,
        print: IpNet::to_string,
        schema: json!({ "examples": ["10.0.0.5/32", "fd00::/8"] }),
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text
            .parse::<IpNet>()
            .map_err(|_| format!("{text:?} is not a network such as \"10.0.0.0/8\""))?,
    };
    let whole = net.trunc();
    if net == whole {
        // Clients are compared in this form.
        Ok(plain_network(net))
    } else {
        let one = IpNet::from(net.addr());
        Err(format!(
            "{text:?} can be read in two ways; write \"{whole}\" for the network or \"{one}\" for the one address"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_network_is_written_exactly() {
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.5", "10.0.0.5/32"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.5", "10.0.0.5/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), net);
        }
        for (bad, reason) in [
            ("10.0.0.5/8", "\"10.0.0.0/8\""),
            ("10.0.0.0/33", "not a network"),
            ("proxy.example", "not a network"),
        ] {
            assert!(parse_network(bad).unwrap_err().contains(reason), "{bad}");
        }
    }

    #[test]
    fn a_socket_for_another_proxy_counts_as_one_client_unless_that_proxy_is_believed() {
        let mut server = Server::default();
        assert!(!server.counts_a_socket_as_one());
        server.listen.push(Listen::Unix("/run/web.sock".into()));
        assert!(server.counts_a_socket_as_one());
        server.trusted_proxies.push(parse_network("127.0.0.1").unwrap());
        assert!(!server.counts_a_socket_as_one());
    }

    #[test]
    fn everybody_is_everybody_however_it_is_written() {
        let found = |texts: &[&str]| {
            let networks: Vec<_> = texts.iter().map(|text| parse_network(text).unwrap()).collect();
            everybody(&networks).map(|net| net.to_string())
        };
        for sound in [
            &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"][..],
            &["fc00::/7", "2001:db8::/32", "::1"],
            &[],
        ] {
            assert_eq!(found(sound), None, "{sound:?}");
        }
        for (wide, whole) in [
            (&["0.0.0.0/0"][..], "0.0.0.0/0"),
            (&["::/0"], "::/0"),
            (&["10.0.0.1", "0.0.0.0/1", "128.0.0.0/1"], "0.0.0.0/0"),
            (&["64.0.0.0/4"], "64.0.0.0/4"),
            (&["2000::/3"], "2000::/3"),
            (&["::ffff:0:0/96"], "0.0.0.0/0"),
        ] {
            assert_eq!(found(wide).as_deref(), Some(whole), "{wide:?}");
        }
    }
}
