//! An attempt, as the limits see it: what is tried, from where, at whom.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::NameDigest;
use crate::domain::client::ClientAddr;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A password, to sign in.
    SignIn,
    /// A wish for a new password.
    ForgotPassword,
    /// A link of a letter.
    SetPassword,
    /// The old password, by somebody signed in: to change it, or to confirm who is there.
    ChangePassword,
    /// The token of a program.
    ApiToken,
    /// Any request to the gateway's own pages.
    AnyRequest,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SignIn,
        Self::ForgotPassword,
        Self::SetPassword,
        Self::ChangePassword,
        Self::ApiToken,
        Self::AnyRequest,
    ];

    /// The stable name in policies, records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::ForgotPassword => "forgot-password",
            Self::SetPassword => "set-password",
            Self::ChangePassword => "change-password",
            Self::ApiToken => "api-token",
            Self::AnyRequest => "any-request",
        }
    }

    /// The opposite of [`Endpoint::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.as_str() == text)
    }
}

/// Whom an attempt comes from, as far as the account it is aimed at can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneKind {
    /// Nobody the account has met.
    Strangers,
    /// A browser that has signed in to the account before, or one of its living sessions.
    Known,
}

impl LaneKind {
    /// The stable name in policies and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strangers => "strangers",
            Self::Known => "known",
        }
    }
}

/// One attempt. Names, devices and passwords are keyed digests: nothing in it tells what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What is tried.
    pub endpoint: Endpoint,
    /// From where.
    pub client: ClientAddr,
    /// How many people's worth of room the client has; more than 1 where many people share the address.
    pub budgets: u32,
    /// The account or address it is aimed at, existing or invented; `None` where it is aimed at none.
    pub account: Option<NameDigest>,
    /// The device or session it comes from, where the account knows it; over both, so that a device has one bucket per
    /// account. `None` is a stranger.
    pub device: Option<NameDigest>,
    /// The password tried, under a key that lives for minutes and in memory only.
    pub password: Option<NameDigest>,
    /// Whether a ban has it come to nothing, whatever is tried. It is counted all the same, so that nobody can tell.
    pub banned: bool,
}

impl Attempt {
    /// Of a stranger, at no account.
    pub const fn new(endpoint: Endpoint, client: ClientAddr) -> Self {
        Self {
            endpoint,
            client,
            budgets: 1,
            account: None,
            device: None,
            password: None,
            banned: false,
        }
    }

    /// Whose attempt this is.
    pub const fn lane(&self) -> LaneKind {
        if self.device.is_some() {
            LaneKind::Known
        } else {
            LaneKind::Strangers
        }
    }
}

/// The network around a client that one provider or attacker is likely to hold: the /24 of IPv4, the /48 of IPv6
/// (RFC 6177).
pub fn subnet(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & 0xffff_ff00).into()),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_read_as_they_are_written() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::parse(endpoint.as_str()), Some(endpoint));
        }
        assert_eq!(Endpoint::parse("login"), None);
    }

    #[test]
    fn a_subnet_is_24_bits_of_ipv4_and_48_of_ipv6() {
        let subnet = |text: &str| subnet(text.parse().unwrap()).to_string();
        assert_eq!(subnet("192.0.2.77"), "192.0.2.0");
        assert_eq!(subnet("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
    }
}
