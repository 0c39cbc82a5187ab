//! `[forward_auth]`: the proxies that ask whether a request may pass, and forward it themselves.

use ipnet::IpNet;

use super::Server;
use super::keys::{Slot, Walker};
use super::server::proxies::{TOO_WIDE, everybody, networks};

/// `[forward_auth]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardAuth {
    /// Proxies that may ask, by network. Default none, which is off.
    pub proxies: Vec<IpNet>,
}

impl ForwardAuth {
    pub(super) fn walk(&mut self, walker: &mut impl Walker, server: &Server) {
        walker.section(
            "forward_auth",
            "For those who keep their proxy: nginx (auth_request), Caddy (forward_auth), Traefik (ForwardAuth) and Envoy \
             (ext_authz) ask the gateway about each request and forward it themselves. See docs/forward-auth.md.",
        );
        walker.key(
            "proxies",
            "Networks of the proxies that may ask, such as [\"10.0.0.5/32\"]; each must be in server.trusted_proxies as \
             well. Whoever is listed is believed which request it asks about. Empty is off: nobody is answered.",
            &networks(),
            Slot::Default(&mut self.proxies),
        );
        // Not even where everybody is believed about its client: who asks is given assertions.
        let whole = everybody(&self.proxies);
        walker.check(&["forward_auth.proxies"], || {
            whole.map_or(Ok(()), |whole| Err(format!("{whole} {TOO_WIDE}")))
        });
        let unknown = self.proxies.iter().find(|asking| {
            let covers = |trusted: &&IpNet| trusted.contains(*asking);
            server.trusted_proxies.iter().find(covers).is_none()
        });
        walker.check(&["forward_auth.proxies", "server.trusted_proxies"], || {
            unknown.map_or(Ok(()), |network| {
                Err(format!(
                    "{network} is not in server.trusted_proxies, so that every request it asks about would seem to come \
                     from the proxy itself; list it there too"
                ))
            })
        });
    }
}
