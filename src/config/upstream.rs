//! `[upstream]`: the web client behind the gateway.

mod bodies;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustls_pki_types::ServerName;
use serde_json::{Value as Json, json};
use url::{Host, Url};

use super::Server;
use super::keys::forms::{Count, Form, Given, List, Misread, OneOf, Switch, Text, Time, path};
use super::keys::{Slot, Walker};
use crate::domain::body::{BodyCap, BodyCaps};
use crate::domain::target::RequestPath;

/// The web client behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `url`: its servers, one or several; nothing but scheme, host and port may be in one.
    pub servers: Vec<Address>,
    /// How requests are spread over several servers. Default round robin.
    pub balance: Balance,
    /// What is spoken with them. Default HTTP/1.1.
    pub protocol: Protocol,
    /// PEM file with the CA certificates that sign the upstream's certificate. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// The name verified under TLS. Default: the host of `url`.
    pub server_name: Option<String>,
    /// PEM file with the certificate the gateway shows. Default none.
    pub client_certificate: Option<PathBuf>,
    /// PEM file with its private key (0600 or 0640).
    pub client_key: Option<PathBuf>,
    /// Sends the upstream the `Host` the browser used (default `true`), or the upstream's own.
    pub preserve_host: bool,
    /// Connecting, TLS included. Default `5s`.
    pub connect_timeout: Duration,
    /// Waiting for the head of an answer. Default `60s`. Never cuts an answer that has begun.
    pub response_timeout: Duration,
    /// The longest silence within an answer. Default zero: for ever.
    pub idle_timeout: Duration,
    /// How large the bodies of requests may be. Default any size.
    pub bodies: BodyCaps,
    /// Asking the servers for their health. Default off.
    pub health: Health,
    /// So many failures in a row take a server out. Default 3.
    pub failures: u32,
    /// Statuses of answers that count as failures. Default none.
    pub failure_statuses: Vec<u16>,
    /// How long it is out. Default `10s`.
    pub failure_pause: Duration,
}

/// One server of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `http://host:port` or `https://host:port`.
    Host {
        /// Whether to speak TLS.
        tls: bool,
        /// Host name or address (IPv6 without brackets); also the name verified under TLS.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Socket(PathBuf),
}

/// How requests are spread over several servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn.
    RoundRobin,
    /// The one where the least is open.
    LeastConnections,
}

/// What is spoken with the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Asking the servers for their health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The path that is asked for; `None` when off.
    pub path: Option<String>,
    /// How often. Default `10s`.
    pub interval: Duration,
    /// The most an answer may take. Default `2s`.
    pub timeout: Duration,
    /// So many good answers in a row bring a server back. Default 2.
    pub rise: u32,
    /// So many bad ones in a row take it out. Default 3.
    pub fall: u32,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            servers: vec![Address::Host {
                tls: false,
                host: "127.0.0.1".to_owned(),
                port: 5000,
            }],
            balance: Balance::RoundRobin,
            protocol: Protocol::Http1,
            ca_file: None,
            server_name: None,
            client_certificate: None,
            client_key: None,
            preserve_host: true,
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_mins(1),
            idle_timeout: Duration::ZERO,
            bodies: BodyCaps::default(),
            health: Health {
                path: None,
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(2),
                rise: 2,
                fall: 3,
            },
            failures: 3,
            failure_statuses: Vec::new(),
            failure_pause: Duration::from_secs(10),
        }
    }
}

impl Upstream {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let named = [&self.ca_file, &self.client_certificate, &self.client_key];
        named.into_iter().flatten()
    }

    /// The largest body at this path, as it is written; `None` when any passes.
    pub fn largest_body(&self, path: &RequestPath<'_>) -> Option<String> {
        let cap = self.bodies.at(path);
        (cap != BodyCap::Unlimited).then(|| bodies::print_cap(cap))
    }

    /// What is in vain in `max_body_paths`.
    pub(super) fn hidden_sizes(&self) -> Vec<String> {
        let hidden = self.bodies.hidden().into_iter().map(|(line, earlier)| {
            let (line, earlier) = (bodies::print_line(line), bodies::print_line(earlier));
            format!("\"{line}\" never decides anything: \"{earlier}\" comes before it; put the narrower line first")
        });
        hidden.collect()
    }

    /// Whether it is the same servers, spoken with in the same way.
    pub fn is_same_but_for_bodies(&self, other: &Self) -> bool {
        let bodies = other.bodies.clone();
        *other == Self { bodies, ..self.clone() }
    }

    /// The port of the first server that has one; for the demo, which moves it.
    pub fn port(&self) -> Option<u16> {
        self.servers.iter().find_map(|address| match address {
            Address::Host { port, .. } => Some(*port),
            Address::Socket(_) => None,
        })
    }

    /// Gives every server that has a port this one.
    pub fn set_port(&mut self, new: u16) {
        for address in &mut self.servers {
            if let Address::Host { port, .. } = address {
                *port = new;
            }
        }
    }

    pub(super) fn walk(&mut self, walker: &mut impl Walker, server: &Server) {
        walker.section("upstream", "Required. The web client behind the gateway.");
        walker.key(
            "url",
            "Its address: http or https, a host and a port; or \"unix:/path\" for a socket on this machine. Several servers \
             of the same web client are written as a list: [\"http://10.0.0.1:5000\", \"http://10.0.0.2:5000\"]. Over \
             anything but this machine or a trusted network use https, since what travels here includes the signed \
             statement of who is asking. The web client must be reachable through the gateway alone. Names are looked up \
             again every 30 seconds; each address counts as a server. A request that cannot be sent to one goes to another, to three in all; one \
             that is lost on the way does if making it twice changes nothing (GET, PUT, DELETE and their like) and none of its \
             answer is there yet.",
            &Addresses,
            Slot::Required(&mut self.servers),
        );
        walker.check(&["upstream.url", "server.listen"], || self.check_loop(server));
        walker.key(
            "balance",
            "How requests are spread over several servers: \"round-robin\", or \"least-connections\" to the one where the \
             least is open, requests, streams and WebSockets alike.",
            &OneOf(vec![
                ("round-robin", Balance::RoundRobin),
                ("least-connections", Balance::LeastConnections),
            ]),
            Slot::Default(&mut self.balance),
        );
        walker.key(
            "protocol",
            "What is spoken with the web client: \"http1\" or \"http2\". Without TLS a server must know beforehand that \
             it is spoken to in HTTP/2 (h2c by prior knowledge). WebSockets always use HTTP/1.1.",
            &OneOf(vec![("http1", Protocol::Http1), ("http2", Protocol::Http2)]),
            Slot::Default(&mut self.protocol),
        );
        self.walk_trust(walker);
        walker.key(
            "preserve_host",
            "Sends the web client the Host the browser used; false sends the host of `url`.",
            &Switch,
            Slot::Default(&mut self.preserve_host),
        );
        self.walk_times(walker);
        bodies::walk(&mut self.bodies, walker);
        self.walk_failures(walker);
        self.health.walk(walker);
    }

    /// Who the upstream must be, and who the gateway is to it.
    fn walk_trust(&mut self, walker: &mut impl Walker) {
        walker.key(
            "ca_file",
            "PEM file with the CA certificates that sign the web client's certificate. Without it, those of the system \
             are believed. The certificate is always verified.",
            &path(),
            Slot::Optional(&mut self.ca_file, "/etc/sekisho/tls/upstream-ca.pem".into()),
        );
        walker.key(
            "server_name",
            "The name that the web client's certificate must have and that is asked for under TLS, where it is another \
             than the host of `url`.",
            &Text {
                parse: parse_name,
                print: Clone::clone,
                schema: json!({ "minLength": 1 }),
            },
            Slot::Optional(&mut self.server_name, "web.internal".to_owned()),
        );
        walker.key(
            "client_certificate",
            "PEM file with the certificate that the gateway shows the web client (mutual TLS), followed by its \
             intermediates.",
            &path(),
            Slot::Optional(
                &mut self.client_certificate,
                "/etc/sekisho/tls/upstream-client.pem".into(),
            ),
        );
        walker.key(
            "client_key",
            "PEM file with the private key of that certificate, mode 0600 or 0640.",
            &path(),
            Slot::Optional(&mut self.client_key, "/etc/sekisho/tls/upstream-client.key".into()),
        );
        let (certificate, key) = (self.client_certificate.is_some(), self.client_key.is_some());
        walker.check(&["upstream.client_certificate", "upstream.client_key"], || {
            match (certificate, key) {
                (true, false) => Err("it needs upstream.client_key".to_owned()),
                (false, true) => Err("it needs upstream.client_certificate".to_owned()),
                _ => Ok(()),
            }
        });
    }

    /// Whether what is only of use under TLS has no use here.
    pub(super) fn has_idle_certificates(&self) -> bool {
        let is_tls = |address: &Address| matches!(address, Address::Host { tls: true, .. });
        let named = self.client_certificate.is_some() || self.server_name.is_some() || self.ca_file.is_some();
        named && !self.servers.iter().any(is_tls)
    }

    fn walk_times(&mut self, walker: &mut impl Walker) {
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
            "The most the web client may take to begin an answer, counted from the last piece of the request. An answer that \
             has begun is never cut by this, however slow.",
            &Time {
                least: Duration::from_secs(1),
                most: Duration::from_hours(24),
            },
            Slot::Default(&mut self.response_timeout),
        );
        walker.key(
            "idle_timeout",
            "The longest silence within an answer that has begun; \"0s\" allows any, as streams need it. At least \
             response_timeout. WebSockets may always be silent.",
            &Time {
                least: Duration::ZERO,
                most: Duration::from_hours(24),
            },
            Slot::Default(&mut self.idle_timeout),
        );
        let (idle, response) = (self.idle_timeout, self.response_timeout);
        walker.check(&["upstream.idle_timeout", "upstream.response_timeout"], || {
            if idle.is_zero() || idle >= response {
                Ok(())
            } else {
                Err("it is shorter than upstream.response_timeout; write \"0s\" to allow any silence".to_owned())
            }
        });
    }

    /// What requests say about a server.
    fn walk_failures(&mut self, walker: &mut impl Walker) {
        walker.key(
            "failures",
            "So many requests in a row that a server does not begin to answer (no connection, one that is lost, \
             response_timeout) take it out, while another one is left; the last one is always tried.",
            &Count { least: 1, most: 1000 },
            Slot::Default(&mut self.failures),
        );
        walker.key(
            "failure_statuses",
            "Statuses of answers that count as failures too, such as [502, 503].",
            &List {
                of: Count { least: 500, most: 599 },
                least: 0,
            },
            Slot::Default(&mut self.failure_statuses),
        );
        walker.key(
            "failure_pause",
            "How long such a server is sent nothing; then it is tried again.",
            &Time {
                least: Duration::from_millis(100),
                most: Duration::from_hours(1),
            },
            Slot::Default(&mut self.failure_pause),
        );
    }

    /// The gateway as its own upstream would answer nothing but its own errors.
    fn check_loop(&self, server: &Server) -> Result<(), String> {
        let own = self.servers.iter().find_map(|address| {
            let Address::Host { host, port, .. } = address else {
                return None;
            };
            let host = host.parse::<IpAddr>().ok()?;
            server.addresses().find(|listen| {
                let everywhere = listen.ip().is_unspecified() && (host.is_loopback() || host.is_unspecified());
                listen.port() == *port && (listen.ip() == host || everywhere)
            })
        });
        own.map_or(Ok(()), |listen| {
            Err(format!(
                "it is the gateway itself, which listens on {listen}; write the address of the web client"
            ))
        })
    }
}

impl Health {
    fn walk(&mut self, walker: &mut impl Walker) {
        walker.key(
            "health_path",
            "A path that every server is asked for again and again, with nobody's name, such as \"/health\"; whoever answers \
             2xx or 3xx is healthy. \"off\": nobody is asked, and requests alone show what a server is worth.",
            &Text {
                parse: parse_health_path,
                print: |path| path.clone().unwrap_or_else(|| "off".to_owned()),
                schema: json!({ "pattern": "^(off|/.*)$" }),
            },
            Slot::Default(&mut self.path),
        );
        walker.key(
            "health_interval",
            "How often it is asked for.",
            &Time {
                least: Duration::from_millis(100),
                most: Duration::from_hours(1),
            },
            Slot::Default(&mut self.interval),
        );
        walker.key(
            "health_timeout",
            "The most such an answer may take.",
            &Time {
                least: Duration::from_millis(100),
                most: Duration::from_mins(1),
            },
            Slot::Default(&mut self.timeout),
        );
        let times = Count { least: 1, most: 100 };
        walker.key(
            "health_rise",
            "So many healthy answers in a row bring a server back.",
            &times,
            Slot::Default(&mut self.rise),
        );
        walker.key(
            "health_fall",
            "So many other ones in a row take it out.",
            &times,
            Slot::Default(&mut self.fall),
        );
    }
}

/// One address as text, or several as a list.
struct Addresses;

impl Addresses {
    const ONE: Text<Address> = Text {
        parse: parse_address,
        print: print_address,
        schema: Json::Null,
    };
}

impl Form for Addresses {
    type Value = Vec<Address>;

    fn read(&self, given: &Given<'_>) -> Result<Vec<Address>, Vec<Misread>> {
        if given.get_ref().as_array().is_some() {
            List {
                of: Self::ONE,
                least: 1,
            }
            .read(given)
        } else {
            Self::ONE.read(given).map(|only| vec![only])
        }
    }

    fn write(&self, value: &Vec<Address>) -> toml::Value {
        match value.as_slice() {
            [only] => Self::ONE.write(only),
            several => several.iter().map(print_address).collect::<Vec<_>>().into(),
        }
    }

    fn schema(&self) -> Json {
        let one = json!({ "type": "string", "format": "uri" });
        json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "uniqueItems": true }] })
    }
}

fn parse_health_path(text: &str) -> Result<Option<String>, String> {
    match text {
        "off" => Ok(None),
        _ if !text.starts_with('/') => Err("it is neither \"off\" nor a path that starts with a slash".to_owned()),
        _ if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') => {
            Err("the path has a blank, a # or a character that must be percent-encoded in it".to_owned())
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// An empty name would switch verification off, so it is none.
fn parse_name(text: &str) -> Result<String, String> {
    match Host::parse(text) {
        Ok(Host::Domain(name)) if ServerName::try_from(name.as_str()).is_ok() => Ok(name),
        Ok(Host::Ipv4(address)) => Ok(address.to_string()),
        Ok(Host::Ipv6(address)) => Ok(address.to_string()),
        _ => Err("it is not a name that a certificate could have".to_owned()),
    }
}

/// Messages do not repeat the text: a mistaken address may hold a password.
fn parse_address(text: &str) -> Result<Address, String> {
    let wrong = |why: &str| Err(why.to_owned());
    if let Some(path) = text.strip_prefix("unix:") {
        return parse_socket(path);
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return wrong("the address has a blank or a backslash in it");
    }
    let Ok(url) = Url::parse(text) else {
        return wrong("it is not an address such as http://127.0.0.1:5000 or unix:/run/web.sock");
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
        Some(port) if port > 0 => Ok(Address::Host {
            tls: url.scheme() == "https",
            host,
            port,
        }),
        _ => wrong("the address has no port that could be connected to"),
    }
}

/// A path as the system can hold it in the address of a socket.
fn parse_socket(path: &str) -> Result<Address, String> {
    const MOST: usize = 107;
    if !path.starts_with('/') || path.ends_with('/') || path.contains(char::is_control) {
        return Err("unix: is followed by the whole path of a socket, such as unix:/run/web.sock".to_owned());
    }
    if path.len() > MOST {
        return Err(format!("the path of a socket has at most {MOST} bytes"));
    }
    Ok(Address::Socket(path.into()))
}

fn print_address(address: &Address) -> String {
    let (tls, host, port) = match address {
        Address::Host { tls, host, port } => (tls, host, port),
        Address::Socket(path) => return format!("unix:{}", path.display()),
    };
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
            let host = host.to_owned();
            assert_eq!(address, Address::Host { tls, host, port });
            assert_eq!(parse_address(&print_address(&address)), Ok(address));
        }
        let socket = parse_address("unix:/run/web client.sock").unwrap();
        assert_eq!(socket, Address::Socket("/run/web client.sock".into()));
        assert_eq!(parse_address(&print_address(&socket)), Ok(socket));
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
            "unix:",
            "unix:web.sock",
            "unix://web.sock/",
        ] {
            let why = parse_address(bad).unwrap_err();
            assert!(!why.contains("secret"), "{bad:?}");
        }
    }

    #[test]
    fn a_name_to_verify_is_never_empty() {
        for good in ["web.internal", "10.0.0.1", "WEB"] {
            assert!(parse_name(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "web/app", "web:443", "a b"] {
            assert!(parse_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_health_check_asks_for_a_path_or_is_off() {
        assert_eq!(parse_health_path("off"), Ok(None));
        assert_eq!(parse_health_path("/health?x=1"), Ok(Some("/health?x=1".to_owned())));
        for bad in ["", "on", "health", "/a b", "/a#b", "/\u{e9}", "/a\r\n"] {
            assert!(parse_health_path(bad).is_err(), "{bad:?}");
        }
    }
}
