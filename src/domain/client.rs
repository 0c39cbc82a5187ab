//! Who is at the other end of the connection, after the trusted-proxy rule.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The address we believe a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(IpAddr);

impl ClientAddr {
    /// An IPv4 address mapped into IPv6 is the IPv4 address it maps.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address itself.
    pub const fn ip(self) -> IpAddr {
        self.0
    }

    /// What limits count by: the IPv4 address, or the /64 an IPv6 customer is given as a whole (RFC 6177).
    pub fn limit_key(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        }
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> ClientAddr {
        ClientAddr::new(text.parse().unwrap())
    }

    #[test]
    fn ipv6_is_counted_by_its_64_and_ipv4_by_itself() {
        assert_eq!(
            addr("2001:db8:1:2:3:4:5:6").limit_key(),
            addr("2001:db8:1:2::9").limit_key()
        );
        assert_ne!(addr("2001:db8:1:3::9").limit_key(), addr("2001:db8:1:2::9").limit_key());
        assert_ne!(addr("192.0.2.1").limit_key(), addr("192.0.2.2").limit_key());
        assert_eq!(addr("::ffff:192.0.2.1"), addr("192.0.2.1"));
    }
}
