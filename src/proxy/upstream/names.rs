//! From a server's name to its addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

/// The longest a look-up may take; what answers later is as good as silent.
const PATIENCE: Duration = Duration::from_secs(5);

/// Knows the addresses of names.
#[async_trait]
pub trait Names: Send + Sync {
    /// The addresses of `host` at this moment.
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// As this machine resolves names: its hosts file and its name servers.
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let looking = tokio::net::lookup_host((host, port));
        let found = tokio::time::timeout(PATIENCE, looking)
            .await
            .map_err(io::Error::from)??;
        Ok(found.collect())
    }
}
