//! `[server]`: where the gateway listens and whom it believes.

mod listen;
mod plain;
pub(super) mod proxies;
mod tls;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::json;

use super::keys::forms::{Count, List, Size, Time, parsed};
use super::keys::{Slot, Walker};
use crate::domain::hops::HopField;

use listen::first_clash;

pub use listen::{Listen, clash};
pub use tls::{ClientCertificates, TlsFiles, TlsVersion};

/// Where the gateway listens and whom it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where to serve HTTPS, and plain HTTP on Unix sockets. Default `["0.0.0.0:8443", "[::]:8443"]`.
    pub listen: Vec<Listen>,
    /// PEM file with the certificate chain. Default `/etc/sekisho/tls/fullchain.pem`.
    pub tls_certificate: PathBuf,
    /// PEM file with its private key (0600 or 0640). Default `/etc/sekisho/tls/privkey.pem`.
    pub tls_key: PathBuf,
    /// Certificates for other names, with their keys. Default none.
    pub more_certificates: Vec<TlsFiles>,
    /// The oldest version of TLS that is spoken. Default `1.2`.
    pub tls_min: TlsVersion,
    /// Whether clients are asked for a certificate. Default `off`.
    pub client_certificates: ClientCertificates,
    /// PEM file with the authorities of client certificates. Default none.
    pub client_ca_file: Option<PathBuf>,
    /// How long browsers insist on TLS; zero is off. Default `365d`.
    pub hsts: Duration,
    /// Whether that holds for names under the doors' too. Default `false`.
    pub hsts_subdomains: bool,
    /// Addresses that send people who come without TLS to the doors. Default none.
    pub redirect_listen: Vec<Listen>,
    /// Where answers to the challenges of a certificate authority lie. Default none.
    pub acme_directory: Option<PathBuf>,
    /// Proxies that begin each connection with the PROXY protocol. Default none; never everybody.
    pub proxy_protocol: Vec<IpNet>,
    /// Proxies that are believed about their clients. Default none; everybody only in danger.
    pub trusted_proxies: Vec<IpNet>,
    /// Where they name them. Default `x-forwarded-for`.
    pub forwarded_header: HopField,
    /// Addresses that many people share. Default none.
    pub shared_addresses: Vec<IpNet>,
    /// Admits everybody as a trusted proxy. Default `false`.
    pub danger_trust_everything: bool,
    /// The most a client may take to send a whole request head. Default `15s`.
    pub header_timeout: Duration,
    /// The most a client may take to send a form to one of our own pages. Default `15s`.
    pub body_timeout: Duration,
    /// The most a client may take to accept the next piece of an answer. Default `1m`.
    pub write_timeout: Duration,
    /// How long a connection may wait for its next request. Default `75s`.
    pub idle_timeout: Duration,
    /// The largest request head, in bytes. Default `32 KiB`.
    pub max_header_bytes: usize,
    /// Most fields in a request head. Default 100.
    pub max_header_fields: usize,
    /// Most requests at once on one connection of HTTP/2. Default 100.
    pub max_streams_per_connection: usize,
    /// Most open connections in all. Default 10000.
    pub max_connections: usize,
    /// Most open connections of one client address (IPv6: of one /64). Default 500.
    pub max_connections_per_client: usize,
    /// How long a stop waits for open requests. Default `30s`.
    pub drain_timeout: Duration,
    /// How long an upgraded-away process goes on for what is open in it. Default `12h`.
    pub upgrade_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![
                Listen::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443))),
                Listen::Tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8443))),
            ],
            tls_certificate: "/etc/sekisho/tls/fullchain.pem".into(),
            tls_key: "/etc/sekisho/tls/privkey.pem".into(),
            more_certificates: Vec::new(),
            tls_min: TlsVersion::default(),
            client_certificates: ClientCertificates::default(),
            client_ca_file: None,
            hsts: Duration::from_hours(365 * 24),
            hsts_subdomains: false,
            redirect_listen: Vec::new(),
            acme_directory: None,
            proxy_protocol: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: HopField::default(),
            shared_addresses: Vec::new(),
            danger_trust_everything: false,
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_secs(75),
            max_header_bytes: 32 * 1024,
            max_header_fields: 100,
            max_streams_per_connection: 100,
            max_connections: 10_000,
            max_connections_per_client: 500,
            drain_timeout: Duration::from_secs(30),
            upgrade_timeout: Duration::from_hours(12),
        }
    }
}

impl Server {
    /// The addresses that it listens on, as far as the configuration says them.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.iter().filter_map(Listen::address)
    }

    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section("server", "Where the gateway listens and whom it believes.");
        walker.key(
            "listen",
            "Addresses and ports to serve HTTPS on. Behind a firewall that forwards 443, keep 8443; a port below 1024 \
             needs the capability CAP_NET_BIND_SERVICE. \"systemd:NAME\" serves HTTPS on the sockets of this name that \
             systemd hands over. \"unix:/run/sekisho/web.sock\" serves plain HTTP to another proxy on this machine, for \
             its owner and group (mode 0660); who comes by it counts as 127.0.0.1. Plain HTTP over the network is not \
             offered: session cookies would travel in the clear.",
            &List {
                of: parsed::<Listen>(json!({ "examples": ["0.0.0.0:8443", "[::]:8443", "unix:/run/sekisho/web.sock"] })),
                least: 1,
            },
            Slot::Default(&mut self.listen),
        );
        let twice = first_clash(&self.listen);
        walker.check(&["server.listen"], || match twice {
            None => Ok(()),
            Some((place, earlier)) => Err(format!("{place} is listened on as {earlier} already")),
        });
        self.walk_tls(walker);
        self.walk_plain(walker);
        self.walk_proxies(walker);
        self.walk_bounds(walker);
    }

    /// The bounds on what clients may cost.
    fn walk_bounds(&mut self, walker: &mut impl Walker) {
        let patience = Time {
            least: Duration::from_secs(1),
            most: Duration::from_mins(10),
        };
        walker.key(
            "header_timeout",
            "The most a client may take to send the head of a request, so that slow clients cannot hold connections.",
            &patience,
            Slot::Default(&mut self.header_timeout),
        );
        walker.key(
            "body_timeout",
            "The most a client may take to send a form to the gateway's own pages. Uploads to the web client behind it \
             are not limited by this.",
            &patience,
            Slot::Default(&mut self.body_timeout),
        );
        walker.key(
            "write_timeout",
            "The most a client may take to accept the next piece of an answer, of at most 64 KiB, so that slow readers cannot \
             hold connections here and to the web client. No answer as a whole is limited by this.",
            &Time {
                least: Duration::from_secs(1),
                most: Duration::from_hours(1),
            },
            Slot::Default(&mut self.write_timeout),
        );
        walker.key(
            "idle_timeout",
            "How long a connection may wait for its next request before it is closed. WebSockets and answers under way are \
             not idle.",
            &patience,
            Slot::Default(&mut self.idle_timeout),
        );
        self.walk_sizes(walker);
        walker.key(
            "drain_timeout",
            "How long a stop waits for open requests to finish before it cuts them.",
            &Time {
                least: Duration::ZERO,
                most: Duration::from_hours(1),
            },
            Slot::Default(&mut self.drain_timeout),
        );
        walker.key(
            "upgrade_timeout",
            "How long the old process goes on after an upgrade (`sekisho upgrade`), for the calls and streams that are \
             open in it, before it ends them.",
            &Time {
                least: Duration::ZERO,
                most: Duration::from_hours(24 * 7),
            },
            Slot::Default(&mut self.upgrade_timeout),
        );
    }

    /// The bounds on how much clients may send and open.
    fn walk_sizes(&mut self, walker: &mut impl Walker) {
        let mut head = self.max_header_bytes as u64;
        walker.key(
            "max_header_bytes",
            "The largest head of a request. Raise it only for a web client with very large cookies.",
            &Size {
                least: 4 * 1024,
                most: 1024 * 1024,
                step: 1,
            },
            Slot::Default(&mut head),
        );
        self.max_header_bytes = usize::try_from(head).unwrap_or(usize::MAX);
        walker.key(
            "max_header_fields",
            "The most fields in the head of a request. Over HTTP/2 browsers send each cookie as a field of its own.",
            &Count { least: 20, most: 250 },
            Slot::Default(&mut self.max_header_fields),
        );
        walker.key(
            "max_streams_per_connection",
            "The most requests at once on one connection of HTTP/2; event streams are among them.",
            &Count { least: 1, most: 1000 },
            Slot::Default(&mut self.max_streams_per_connection),
        );
        let connections = Count {
            least: 1,
            most: 1_000_000,
        };
        walker.key(
            "max_connections",
            "The most open connections in all. Each needs a file descriptor here and one towards the web client: keep it \
             under half of LimitNOFILE.",
            &connections,
            Slot::Default(&mut self.max_connections),
        );
        walker.key(
            "max_connections_per_client",
            "The most open connections of one client address (IPv6: of one /64 network). Raise it where a whole office \
             comes through one address.",
            &connections,
            Slot::Default(&mut self.max_connections_per_client),
        );
        let (all, one) = (self.max_connections, self.max_connections_per_client);
        walker.check(&["server.max_connections_per_client", "server.max_connections"], || {
            if one <= all {
                Ok(())
            } else {
                Err(format!("{one} is more than server.max_connections, which is {all}"))
            }
        });
    }
}
