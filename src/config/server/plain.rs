//! The keys of `[server]` that bring people from plain HTTP to TLS, and keep them there.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::Server;
use crate::config::keys::forms::{List, Switch, Time, parsed, path};
use crate::config::keys::{Slot, Walker};

impl Server {
    pub(super) fn walk_plain(&mut self, walker: &mut impl Walker) {
        walker.key(
            "hsts",
            "How long browsers that were here once insist on TLS (Strict-Transport-Security), on every answer. What the web \
             client asks for beyond it is kept. \"0s\" turns it off: browsers then may come without TLS.",
            &Time {
                least: Duration::ZERO,
                most: Duration::from_hours(3650 * 24),
            },
            Slot::Default(&mut self.hsts),
        );
        walker.key(
            "hsts_subdomains",
            "Makes browsers insist on TLS for every name under the doors' names too. Only where all of them have it.",
            &Switch,
            Slot::Default(&mut self.hsts_subdomains),
        );
        walker.key(
            "redirect_listen",
            "Addresses and ports that answer plain HTTP by sending the browser to the door of the same name, such as \
             [\"0.0.0.0:80\", \"[::]:80\"], and serve nothing else. A host that is no door is refused.",
            &List {
                of: parsed::<SocketAddr>(json!({ "examples": ["0.0.0.0:80", "[::]:80"] })),
                least: 0,
            },
            Slot::Default(&mut self.redirect_listen),
        );
        walker.key(
            "acme_directory",
            "A directory with the answers to the HTTP challenges of a certificate authority, served by redirect_listen at \
             /.well-known/acme-challenge/. For certbot: --webroot with a webroot that has this directory at that path.",
            &path(),
            Slot::Optional(&mut self.acme_directory, "/var/lib/acme/.well-known/acme-challenge".into()),
        );
        let lost = self.acme_directory.is_some() && self.redirect_listen.is_empty();
        walker.check(&["server.acme_directory", "server.redirect_listen"], || {
            if lost {
                return Err("nobody would serve it: server.redirect_listen is empty".to_owned());
            }
            Ok(())
        });
        let twice = self
            .redirect_listen
            .iter()
            .find(|address| self.listen.contains(address))
            .copied();
        walker.check(&["server.redirect_listen", "server.listen"], || match twice {
            Some(address) if address.port() != 0 => Err(format!(
                "{address} is in server.listen too; one port speaks TLS or does not"
            )),
            _ => Ok(()),
        });
    }
}
