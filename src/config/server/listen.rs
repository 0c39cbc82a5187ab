//! Where the gateway listens: an address, a Unix socket, or a socket that systemd holds.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `0.0.0.0:8443`: an address and a port, with TLS.
    Tcp(SocketAddr),
    /// `unix:/run/sekisho/web.sock`: a Unix socket for another proxy on this machine, without TLS. There is no TCP
    /// without TLS: session cookies would travel in the clear.
    Unix(PathBuf),
    /// `systemd:NAME`: the TCP sockets of that name (`FileDescriptorName=`) that systemd hands over, with TLS.
    Systemd(String),
}

/// The longest path a Unix socket may have, with room for the name it is made under.
const MOST_PATH_BYTES: usize = 100;
/// The longest name of a socket, as systemd has it.
const MOST_NAME_BYTES: usize = 255;

impl Listen {
    /// The address, where the configuration says it.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Systemd(_) => None,
        }
    }

    /// Whether both cannot be listened on at once: they are the same, or one is every address of the other's port.
    pub fn clashes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => clash(*one, *other),
            (one, other) => one == other,
        }
    }
}

/// The same for addresses. Sockets for IPv6 take IPv6 alone, and any number of them may ask for some free port.
pub fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let (here, there) = (one.ip(), other.ip());
    let overlap = here == there || here.is_unspecified() || there.is_unspecified();
    one.port() != 0 && one.port() == other.port() && here.is_ipv4() == there.is_ipv4() && overlap
}

/// The first place that clashes with an earlier one, and that one.
pub fn first_clash(places: &[Listen]) -> Option<(&Listen, &Listen)> {
    places.iter().enumerate().find_map(|(number, place)| {
        let earlier = places.iter().take(number).find(|earlier| earlier.clashes_with(place))?;
        Some((place, earlier))
    })
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                _ if !path.starts_with('/') || path.ends_with('/') => {
                    Err("the path of a Unix socket begins with a slash".to_owned())
                }
                _ if path.len() > MOST_PATH_BYTES => {
                    Err(format!("the path of a Unix socket has at most {MOST_PATH_BYTES} bytes"))
                }
                _ if path.contains(char::is_control) => Err("the path has a control character in it".to_owned()),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            let sound = |c: char| c.is_ascii_graphic() && c != ':';
            return if name.is_empty() || name.len() > MOST_NAME_BYTES || !name.chars().all(sound) {
                Err("it names no FileDescriptorName= of a systemd socket unit".to_owned())
            } else {
                Ok(Self::Systemd(name.to_owned()))
            };
        }
        text.parse().map(Self::Tcp).map_err(|why| format!("{why}"))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_was_written_and_what_is_none_is_said() {
        for text in [
            "0.0.0.0:8443",
            "[::]:443",
            "unix:/run/sekisho/web.sock",
            "systemd:sekisho-https",
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        let long = format!("unix:/{}", "x".repeat(MOST_PATH_BYTES));
        for bad in [
            "localhost",
            "unix:web.sock",
            "unix:/run/",
            "unix:",
            &long,
            "systemd:",
            "systemd:a:b",
            "systemd:a b",
        ] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_port_is_listened_on_once() {
        for (one, other, do_clash) in [
            ("0.0.0.0:443", "0.0.0.0:443", true),
            ("0.0.0.0:443", "192.0.2.1:443", true),
            ("[2001:db8::1]:443", "[::]:443", true),
            ("192.0.2.1:443", "192.0.2.2:443", false),
            ("0.0.0.0:443", "[::]:443", false),
            ("0.0.0.0:443", "0.0.0.0:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("systemd:a", "systemd:a", true),
            ("unix:/run/a", "unix:/run/b", false),
        ] {
            let places: [Listen; 2] = [one, other].map(|place| place.parse().unwrap());
            assert_eq!(places[0].clashes_with(&places[1]), do_clash, "{one} {other}");
            assert_eq!(first_clash(&places).is_some(), do_clash, "{one} {other}");
        }
    }
}
