//! The doors: the two public addresses every link is built from, known from the config alone.

use std::fmt;

use url::Url;

/// One public address of the gateway: an origin such as `https://phone.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door(Url);

impl Door {
    /// Reads an `https` origin. Nothing but scheme, host and port may be in it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "it is not an address such as https://phone.example.com")?;
        if url.scheme() != "https" {
            return Err("a door must start with https://, since session cookies travel through it");
        }
        if url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() || url.password().is_some() {
            return Err("a door is a host and, where it differs from 443, a port");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("a door has no path; leave out what follows the host and port");
        }
        Ok(Self(url))
    }

    /// The origin as browsers send it (RFC 6454): scheme, host and, where not 443, port.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host as a `Host` header carries it: with the port where it is not 443.
    pub fn authority(&self) -> String {
        let host = self.host();
        self.0
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// An absolute address through this door. `path` starts with a slash.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

/// Both doors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doors {
    /// How people reach the gateway inside the office network.
    pub in_office: Door,
    /// How they reach it from anywhere else.
    pub out_of_office: Door,
}

impl Doors {
    /// Whether an `Origin` header names one of the doors.
    pub fn has_origin(&self, origin: &str) -> bool {
        [&self.in_office, &self.out_of_office]
            .iter()
            .any(|door| door.origin() == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_an_https_origin_and_nothing_more() {
        let door = Door::parse("https://Phone.Example.com:8443/").unwrap();
        assert_eq!(door.origin(), "https://phone.example.com:8443");
        assert_eq!(door.authority(), "phone.example.com:8443");
        assert_eq!(door.host(), "phone.example.com");
        assert_eq!(door.link("/login"), "https://phone.example.com:8443/login");
        assert_eq!(
            Door::parse("https://a.example:443").unwrap().origin(),
            "https://a.example"
        );
        for bad in [
            "http://a.example",
            "a.example",
            "https://a.example/x",
            "https://u:p@a.example",
            "https://a.example/?q",
        ] {
            assert!(Door::parse(bad).is_err(), "{bad}");
        }
    }
}
