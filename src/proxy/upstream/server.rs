//! One server of a pool, and the place a request holds on it while it is there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;

use super::standing::Standing;

/// A server as the operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// `http://host:port` or `https://host:port`.
    Host {
        /// Whether to speak TLS.
        tls: bool,
        /// Host name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`.
    Socket(PathBuf),
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By TCP.
    Inet(SocketAddr),
    /// By a socket in the file system.
    Socket(PathBuf),
}

/// What holds for all addresses of one [`ServerAddress`].
#[derive(Debug)]
pub struct Origin {
    /// As it was written.
    pub address: ServerAddress,
    /// The `Host` it knows itself by.
    pub host: HeaderValue,
    /// The name verified under TLS; `None` without TLS.
    pub verified: Option<String>,
}

/// One server: an address, what is open there, and its standing.
#[derive(Debug)]
pub struct Server {
    /// Where it comes from.
    pub origin: Arc<Origin>,
    /// Where to connect to.
    pub target: Target,
    /// What its health check and requests say about it.
    pub standing: Standing,
    open: AtomicUsize,
}

impl ServerAddress {
    /// Host and port as they stand in a `Host` header.
    pub fn authority(&self) -> String {
        let Self::Host { tls, host, port } = self else {
            return "localhost".to_owned();
        };
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let standard = if *tls { 443 } else { 80 };
        if *port == standard {
            host
        } else {
            format!("{host}:{port}")
        }
    }

    /// The address itself, where nothing has to be looked up.
    pub fn fixed(&self) -> Option<Target> {
        match self {
            Self::Host { host, port, .. } => {
                let ip = host.parse::<IpAddr>().ok()?;
                Some(Target::Inet(SocketAddr::new(ip, *port)))
            }
            Self::Socket(path) => Some(Target::Socket(path.clone())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Server {
    /// Nothing is open there, and nothing bad is known of it.
    pub fn new(origin: Arc<Origin>, target: Target) -> Self {
        Self {
            origin,
            target,
            standing: Standing::default(),
            open: AtomicUsize::new(0),
        }
    }

    /// Requests and streams that are there now, a WebSocket among them.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// A place on a server, from the moment it was chosen to the end of the request, the stream or the WebSocket.
#[derive(Debug)]
pub struct Seat(Arc<Server>);

impl Seat {
    /// Takes a place.
    pub fn take(server: Arc<Server>) -> Self {
        server.open.fetch_add(1, Ordering::Relaxed);
        Self(server)
    }

    /// Where it is.
    pub const fn server(&self) -> &Arc<Server> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_as_it_knows_itself() {
        for (tls, host, port, authority) in [
            (false, "web", 80, "web"),
            (true, "web", 443, "web"),
            (true, "web", 80, "web:80"),
            (false, "::1", 5000, "[::1]:5000"),
        ] {
            let host = host.to_owned();
            assert_eq!(ServerAddress::Host { tls, host, port }.authority(), authority);
        }
        assert_eq!(ServerAddress::Socket("/run/web".into()).authority(), "localhost");
    }
}
