//! `[metrics]`: where the gateway is measured.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use super::Server;
use super::keys::forms::{Switch, parsed};
use super::keys::{Slot, Walker};
use super::server::clash;

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Whether there is a listener for metrics and health. Default `true`.
    pub enabled: bool,
    /// Where. Default `127.0.0.1:9464`.
    pub listen: SocketAddr,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
        }
    }
}

impl Metrics {
    pub(super) fn walk(&mut self, walker: &mut impl Walker, server: &Server) {
        walker.section(
            "metrics",
            "A listener of its own for whoever watches over the gateway: /metrics (OpenMetrics), /health/live and \
             /health/ready, over plain HTTP. See docs/metrics.md.",
        );
        walker.key(
            "enabled",
            "On by default, since a gateway that nobody watches fails in silence: only this machine can ask, and the \
             figures name nobody. A port that is taken is an error in the log and stops nothing.",
            &Switch,
            Slot::Default(&mut self.enabled),
        );
        walker.key(
            "listen",
            "Address and port. There is no password: elsewhere than on a loopback address, whoever reaches it reads \
             how many people sign in and what fails.",
            &parsed::<SocketAddr>(json!({ "examples": ["127.0.0.1:9464"] })),
            Slot::Default(&mut self.listen),
        );
        let clash = self.enabled && server.addresses().any(|address| clash(address, self.listen));
        let listen = self.listen;
        walker.check(&["metrics.listen", "server.listen"], || {
            if clash {
                Err(format!(
                    "{listen} is in server.listen too; metrics need an address of their own"
                ))
            } else {
                Ok(())
            }
        });
    }
}
