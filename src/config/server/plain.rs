//! The keys of `[server]` that bring people from plain HTTP to TLS, and keep them there.

use std::time::Duration;

use serde_json::json;

use super::listen::first_clash;
use super::{Listen, Server};
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
             [\"0.0.0.0:80\", \"[::]:80\"], and serve nothing else; \"systemd:NAME\" is possible too. A host that is no \
             door is refused.",
            &List {
                of: parsed::<Listen>(json!({ "examples": ["0.0.0.0:80", "[::]:80"] })),
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
        let (here, there) = (&self.redirect_listen, &self.listen);
        walker.check(&["server.redirect_listen", "server.listen"], || {
            if here.iter().any(|place| matches!(place, Listen::Unix(_))) {
                return Err("people do not come by a Unix socket; write an address".to_owned());
            }
            if let Some((place, earlier)) = first_clash(here) {
                return Err(format!("{place} is listened on as {earlier} already"));
            }
            let clashes = |place: &&Listen| there.iter().any(|tls| tls.clashes_with(place));
            match here.iter().find(clashes) {
                Some(place) => Err(format!(
                    "{place} is in server.listen too; one port speaks TLS or does not"
                )),
                None => Ok(()),
            }
        });
    }
}
