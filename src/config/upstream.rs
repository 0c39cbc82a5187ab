//! `[upstream]`: the web client behind the gateway.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use url::{Host, Url};

use super::Server;
use super::keys::forms::{Switch, Text, Time, path};
use super::keys::{Slot, Walker};

/// The web client behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `http://host:port` or `https://host:port`; nothing else may be in it. Parts of `url`.
    pub tls: bool,
    /// Host name or address of `url` (IPv6 without brackets); also the name verified under TLS.
    pub host: String,
    /// Port of `url`.
    pub port: u16,
    /// PEM file with the CA certificates that sign the upstream's certificate. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// Sends the upstream the `Host` the browser used (default `true`), or the upstream's own.
    pub preserve_host: bool,
    /// Connecting, TLS included. Default `5s`.
    pub connect_timeout: Duration,
    /// Waiting for the first byte of an answer. Default `60s`. Never cuts an upgraded or streaming answer.
    pub response_timeout: Duration,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            tls: false,
            host: "127.0.0.1".to_owned(),
            port: 5000,
            ca_file: None,
            preserve_host: true,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_mins(1),
        }
    }
}

/// The parts of `url`: TLS, host, port.
type Address = (bool, String, u16);

impl Upstream {
    pub(super) fn walk(&mut self, walker: &mut impl Walker, server: &Server) {
        walker.section("upstream", "Required. The web client behind the gateway.");
        let mut address: Address = (self.tls, std::mem::take(&mut self.host), self.port);
        walker.key(
            "url",
            "Its address: http or https, a host and a port. Over anything but this machine or a trusted network use \
             https, since what travels here includes the signed statement of who is asking. The web client must be \
             reachable through the gateway alone.",
            &Text {
                parse: parse_address,
                print: print_address,
                schema: json!({ "format": "uri" }),
            },
            Slot::Required(&mut address),
        );
        (self.tls, self.host, self.port) = address;
        walker.check(&["upstream.url", "server.listen"], || self.check_loop(server));
        walker.key(
            "ca_file",
            "PEM file with the CA certificates that sign the web client's certificate. Without it, those of the system \
             are believed. The certificate is always verified.",
            &path(),
            Slot::Optional(&mut self.ca_file, "/etc/sekisho/tls/upstream-ca.pem".into()),
        );
        walker.key(
            "preserve_host",
            "Sends the web client the Host the browser used; false sends the host of `url`.",
            &Switch,
            Slot::Default(&mut self.preserve_host),
        );
        walker.key(
            "connect_timeout",
            "The most a connection to the web client may take, TLS included.",
            &Time {
                least: Duration::from_millis(100),
                most: Duration::from_mins(5),
            },
            Slot::Default(&mut self.connect_timeout),
        );
        walker.key(
            "response_timeout",
            "The most the web client may take to begin an answer. Answers that stream and WebSockets are never cut.",
            &Time {
                least: Duration::from_secs(1),
                most: Duration::from_hours(24),
            },
            Slot::Default(&mut self.response_timeout),
        );
    }

    /// The gateway as its own upstream would answer nothing but its own errors.
    fn check_loop(&self, server: &Server) -> Result<(), String> {
        let Ok(host) = self.host.parse::<IpAddr>() else {
            return Ok(());
        };
        let own = server.listen.iter().find(|listen| {
            let everywhere = listen.ip().is_unspecified() && (host.is_loopback() || host.is_unspecified());
            listen.port() == self.port && (listen.ip() == host || everywhere)
        });
        own.map_or(Ok(()), |listen| {
            Err(format!(
                "it is the gateway itself, which listens on {listen}; write the address of the web client"
            ))
        })
    }
}

/// Messages do not repeat the text: a mistaken address may hold a password.
fn parse_address(text: &str) -> Result<Address, String> {
    let wrong = |why: &str| Err(why.to_owned());
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return wrong("the address has a blank or a backslash in it");
    }
    let Ok(url) = Url::parse(text) else {
        return wrong("it is not an address such as http://127.0.0.1:5000");
    };
    if !matches!(url.scheme(), "http" | "https") || !text.contains("://") || text.contains("///") {
        return wrong("the address must start with http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return wrong("the address must not hold a user name or password");
    }
    if url.path() != "/" || text.contains(['?', '#']) {
        return wrong("the address has no path; leave out what follows the host and port");
    }
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        _ => return wrong("the address has no host"),
    };
    match url.port_or_known_default() {
        Some(port) if port > 0 => Ok((url.scheme() == "https", host, port)),
        _ => wrong("the address has no port that could be connected to"),
    }
}

fn print_address((tls, host, port): &Address) -> String {
    let scheme = if *tls { "https" } else { "http" };
    if host.contains(':') {
        format!("{scheme}://[{host}]:{port}")
    } else {
        format!("{scheme}://{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_scheme_a_host_and_a_port() {
        for (text, tls, host, port) in [
            ("http://127.0.0.1:5000", false, "127.0.0.1", 5000),
            ("http://web", false, "web", 80),
            ("https://Web.Example/", true, "web.example", 443),
            ("https://[::1]:8443", true, "::1", 8443),
        ] {
            let address = parse_address(text).unwrap();
            assert_eq!(address, (tls, host.to_owned(), port));
            assert_eq!(parse_address(&print_address(&address)), Ok(address));
        }
        for bad in [
            "",
            "web:5000",
            "ftp://web",
            "http:web",
            "http://",
            "https:///x",
            "http://web/app",
            "http://web?x",
            "http://web/#",
            "http://u@web",
            "http://u:secret@web",
            "http://@web",
            "http://web:0",
            "http://web:99999",
            "http://we b",
            "http:\\\\web",
            "http://web\n",
        ] {
            let why = parse_address(bad).unwrap_err();
            assert!(!why.contains("secret"), "{bad:?}");
        }
    }
}
