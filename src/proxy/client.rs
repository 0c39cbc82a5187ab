//! From the peer's address and the trusted-proxy rule to the one client address everybody uses.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::domain::client::ClientAddr;
use crate::domain::hops::HopField;

/// Proxies whose word about their client is believed. Nobody's by default.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    field: HopField,
}

/// Hops read from the right before the rest is ignored: a longer chain is nobody's honest one.
const MOST_HOPS: usize = 16;

impl TrustedProxies {
    /// From the config; they name their clients in `X-Forwarded-For`.
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self {
            networks,
            field: HopField::XForwardedFor,
        }
    }

    /// They name them in this field.
    #[must_use]
    pub const fn naming_clients_in(mut self, field: HopField) -> Self {
        self.field = field;
        self
    }

    /// The peer, unless it is a trusted proxy; then the right-most hop that is not one.
    /// A hop that cannot be read ends the search: the nearest address known for certain counts.
    pub fn resolve(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddr {
        let mut nearest = peer.to_canonical();
        if !self.trusts(nearest) {
            return ClientAddr::new(nearest);
        }
        let lines = headers.get_all(self.field.as_str()).iter().rev();
        let hops = lines.flat_map(|line| self.field.hops(line.as_bytes()));
        for hop in hops.take(MOST_HOPS) {
            let Some(address) = hop else {
                break;
            };
            nearest = address;
            if !self.trusts(nearest) {
                break;
            }
        }
        ClientAddr::new(nearest)
    }

    /// Whether the nearest hop is an address, so that the client need not be guessed.
    pub fn name_client(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(self.field.as_str()).iter().rev();
        let nearest = lines.find_map(|line| self.field.hops(line.as_bytes()).next());
        nearest.flatten().is_some()
    }

    /// Whether this peer is a proxy whose word is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trusting(field: HopField) -> TrustedProxies {
        TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]).naming_clients_in(field)
    }

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(*name, http::HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    fn resolve(peer: &str, forwarded: &[&str]) -> String {
        let lines: Vec<_> = forwarded
            .iter()
            .map(|line| ("x-forwarded-for", line.as_bytes()))
            .collect();
        let trusted = trusting(HopField::XForwardedFor);
        trusted.resolve(peer.parse().unwrap(), &headers(&lines)).to_string()
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
        assert_eq!(
            resolve("10.0.0.1", &["1.1.1.1", "203.0.113.1", "10.9.9.9"]),
            "203.0.113.1"
        );
        assert_eq!(resolve("::ffff:10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(resolve("10.0.0.1", &["::ffff:10.9.9.9"]), "10.9.9.9", "a proxy itself");
        assert_eq!(resolve("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn a_hop_that_cannot_be_read_ends_the_search() {
        for unreadable in ["unknown", "_hidden", "garbage", "203.0.113.1:x", "\"203.0.113.1\""] {
            assert_eq!(resolve("10.0.0.1", &["203.0.113.1", unreadable]), "10.0.0.1");
            let behind = format!("203.0.113.1, {unreadable}, 10.0.0.2");
            assert_eq!(resolve("10.0.0.1", &[&behind]), "10.0.0.2");
        }
    }

    #[test]
    fn a_client_cannot_make_what_its_proxy_says_unreadable() {
        let trusted = trusting(HopField::XForwardedFor);
        let headers = headers(&[("x-forwarded-for", b"\xff\xfe, 203.0.113.1")]);
        let client = trusted.resolve("10.0.0.1".parse().unwrap(), &headers);
        assert_eq!(client.to_string(), "203.0.113.1");
        let forwarded = self::headers(&[("forwarded", b"for=\"\xff\\, for=203.0.113.1")]);
        let client = trusting(HopField::Forwarded).resolve("10.0.0.1".parse().unwrap(), &forwarded);
        assert_eq!(client.to_string(), "203.0.113.1");
    }

    #[test]
    fn the_field_that_is_not_configured_is_not_read() {
        let both = headers(&[("x-forwarded-for", b"198.51.100.7"), ("forwarded", b"for=203.0.113.1")]);
        for (field, wanted) in [
            (HopField::XForwardedFor, "198.51.100.7"),
            (HopField::Forwarded, "203.0.113.1"),
        ] {
            let client = trusting(field).resolve("10.0.0.1".parse().unwrap(), &both);
            assert_eq!(client.to_string(), wanted);
        }
        let other = headers(&[("x-forwarded-for", b"198.51.100.7")]);
        let client = trusting(HopField::Forwarded).resolve("10.0.0.1".parse().unwrap(), &other);
        assert_eq!(client.to_string(), "10.0.0.1");
    }

    #[test]
    fn a_hundred_hops_are_nobodys_honest_chain() {
        let long = vec!["10.1.1.1"; 100].join(", ");
        assert_eq!(resolve("10.0.0.1", &[&format!("203.0.113.1, {long}")]), "10.1.1.1");
        let lines = vec!["10.1.1.1"; 100];
        assert_eq!(
            resolve("10.0.0.1", &[&["203.0.113.1"][..], &lines].concat()),
            "10.1.1.1"
        );
        let near = vec!["10.1.1.1"; MOST_HOPS - 1].join(", ");
        assert_eq!(resolve("10.0.0.1", &[&format!("203.0.113.1, {near}")]), "203.0.113.1");
    }

    proptest! {
        #[test]
        fn no_stranger_is_ever_taken_for_another(
            peer in any::<[u8; 16]>(),
            lines in prop::collection::vec("[ -~]{0,40}", 0..4),
        ) {
            let peer = IpAddr::from(peer).to_canonical();
            prop_assume!(!trusting(HopField::default()).trusts(peer));
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
                headers.append("forwarded", line.parse().unwrap());
            }
            for field in [HopField::XForwardedFor, HopField::Forwarded] {
                prop_assert_eq!(trusting(field).resolve(peer, &headers).ip(), peer);
            }
        }

        #[test]
        fn what_a_trusted_proxy_adds_is_believed_whatever_its_client_had_said(
            theirs in prop::collection::vec("[ -~]{0,60}", 0..4),
            client in any::<[u8; 4]>(),
            apart in any::<bool>(),
        ) {
            let client = IpAddr::from(client);
            prop_assume!(!trusting(HopField::default()).trusts(client));
            for (field, ours) in [
                (HopField::XForwardedFor, client.to_string()),
                (HopField::Forwarded, format!("for={client};proto=https")),
            ] {
                let mut lines = theirs.clone();
                match lines.last_mut() {
                    Some(last) if !apart => *last = format!("{last}, {ours}"),
                    _ => lines.push(ours),
                }
                let mut headers = HeaderMap::new();
                for line in &lines {
                    headers.append(field.as_str(), line.parse().unwrap());
                }
                let resolved = trusting(field).resolve("10.0.0.1".parse().unwrap(), &headers);
                prop_assert_eq!(resolved.ip(), client);
            }
        }
    }

    #[test]
    fn a_client_is_named_by_an_address_at_the_right() {
        let named = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            trusting(HopField::XForwardedFor).name_client(&headers)
        };
        assert!(named(&["203.0.113.1"]) && named(&["unknown", "unknown, [2001:db8::1]:9", ""]));
        for lines in [&[][..], &[""], &["203.0.113.1, unknown"], &["203.0.113.1", "unknown"]] {
            assert!(!named(lines), "{lines:?}");
        }
    }
}
