//! From the peer's address and the trusted-proxy rule to the one client address everybody uses.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::domain::client::ClientAddr;

/// Proxies whose word about their client is believed. Nobody's by default.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// Hops read from the right before the rest is ignored: a longer chain is nobody's honest one.
const MOST_HOPS: usize = 16;

impl TrustedProxies {
    /// From the config.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The peer, unless it is a trusted proxy; then the right-most hop in `X-Forwarded-For` that is not one.
    /// A hop that cannot be read ends the search: the nearest address known for certain counts.
    pub fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddr {
        let mut nearest = peer.to_canonical();
        if !self.trusts(nearest) {
            return ClientAddr::new(nearest);
        }
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .map(|value| value.to_str().unwrap_or("?"))
            .collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops.take(MOST_HOPS) {
            let Some(address) = address(hop.trim()) else {
                break;
            };
            nearest = address;
            if !self.trusts(nearest) {
                break;
            }
        }
        ClientAddr::new(nearest)
    }

    /// Whether this peer is a proxy whose word is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Whether the nearest hop in `X-Forwarded-For` is an address, so that the client need not be guessed.
pub fn names_client(headers: &HeaderMap) -> bool {
    let nearest = headers.get_all("x-forwarded-for").iter().next_back();
    let nearest = nearest.and_then(|line| line.to_str().ok()?.rsplit(',').next());
    nearest.is_some_and(|hop| address(hop.trim()).is_some())
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(hop: &str) -> Option<IpAddr> {
    if let Ok(ip) = hop.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Ok(socket) = hop.parse::<std::net::SocketAddr>() {
        return Some(socket.ip().to_canonical());
    }
    let inner = hop.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(peer: &str, forwarded: &[&str]) -> String {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        trusted.resolve(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_where_it_comes_from() {
        assert_eq!(resolve("192.0.2.9", &["203.0.113.1"]), "192.0.2.9");
    }

    #[test]
    fn behind_a_trusted_proxy_the_right_most_untrusted_hop_counts() {
        assert_eq!(resolve("10.0.0.1", &["203.0.113.1"]), "203.0.113.1");
        assert_eq!(resolve("10.0.0.1", &["1.1.1.1, 203.0.113.1, 10.9.9.9"]), "203.0.113.1");
        assert_eq!(resolve("10.0.0.1", &["1.1.1.1", "203.0.113.1"]), "203.0.113.1");
        assert_eq!(resolve("::ffff:10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(resolve("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_hop_that_cannot_be_read_ends_the_search() {
        assert_eq!(resolve("10.0.0.1", &["203.0.113.1, unknown"]), "10.0.0.1");
        assert_eq!(resolve("10.0.0.1", &["203.0.113.1, garbage, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn a_client_is_named_by_an_address_at_the_right() {
        let named = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            names_client(&headers)
        };
        assert!(named(&["203.0.113.1"]) && named(&["unknown", "unknown, [2001:db8::1]:9"]));
        for lines in [&[][..], &[""], &["203.0.113.1,"], &["203.0.113.1", "unknown"]] {
            assert!(!named(lines), "{lines:?}");
        }
    }
}
