//! `[sessions]`: how long a sign-in lasts.

use std::time::Duration;

use serde_json::json;

use super::keys::forms::{Count, List, Text, Time};
use super::keys::{Slot, Walker, units};
use crate::domain::pattern::Pattern;
use crate::domain::session::Lifetime;

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// `idle = "8h"`, `absolute = "7d"`.
    pub lifetime: Lifetime,
    /// How long sessions known in memory keep passing while the store is down. Default `60s`.
    pub outage_grace: Duration,
    /// How long after the password was given sensitive acts need no more. Default `10m`.
    pub fresh_for: Duration,
    /// The most living sessions of one account. Default 20.
    pub per_account: usize,
    /// Paths whose streams keep a session in use. Default none.
    pub active_streams: Vec<Pattern>,
    /// Name of the cookie. Default `__Host-sekisho`; must start with `__Host-`.
    pub cookie: String,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            lifetime: Lifetime::default(),
            outage_grace: Duration::from_mins(1),
            fresh_for: Duration::from_mins(10),
            per_account: 20,
            active_streams: Vec::new(),
            cookie: "__Host-sekisho".to_owned(),
        }
    }
}

/// Browsers keep no cookie for longer than about 400 days.
const LONGEST: Duration = Duration::from_hours(400 * 24);

impl Sessions {
    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section("sessions", "How long a sign-in lasts.");
        let life = Time {
            least: Duration::from_secs(1),
            most: LONGEST,
        };
        walker.key(
            "idle",
            "A session ends after this long without any request.",
            &life,
            Slot::Default(&mut self.lifetime.idle),
        );
        walker.key(
            "absolute",
            "A session ends this long after the sign-in, whatever happens in it. Longer is more convenient, and a stolen \
             cookie works for longer.",
            &life,
            Slot::Default(&mut self.lifetime.absolute),
        );
        let Lifetime { idle, absolute } = self.lifetime;
        walker.check(&["sessions.idle", "sessions.absolute"], || {
            if idle <= absolute {
                Ok(())
            } else {
                let (idle, absolute) = (units::time(idle), units::time(absolute));
                Err(format!(
                    "\"{idle}\" is longer than sessions.absolute, which is \"{absolute}\""
                ))
            }
        });
        walker.key(
            "outage_grace",
            "How long sessions that are known in memory keep passing while the database cannot be read. A session ended \
             during the outage passes for as long; \"0s\" lets nobody through without the database.",
            &Time {
                least: Duration::ZERO,
                most: Duration::from_hours(1),
            },
            Slot::Default(&mut self.outage_grace),
        );
        walker.key(
            "fresh_for",
            "Ending sessions on one's own page asks for the password again when it was last given longer ago than this.",
            &Time {
                least: Duration::from_secs(1),
                most: Duration::from_hours(24),
            },
            Slot::Default(&mut self.fresh_for),
        );
        walker.key(
            "per_account",
            "The most sessions one account may have at once. A sign-in beyond that ends the session used longest ago.",
            &Count { least: 1, most: 1000 },
            Slot::Default(&mut self.per_account),
        );
        walker.key(
            "active_streams",
            "Paths of WebSockets and event streams that are use while something passes on them, such as a call: \"/ws\", \
             \"/calls/*\". What passes in either direction postpones the idle limit, never the absolute one. A silent stream \
             does not, nor do pings, pongs and the comments of event streams; what a page sends as a message to keep its \
             connection alive cannot be told from any other message.",
            &List {
                of: stream_path(),
                least: 0,
            },
            Slot::Default(&mut self.active_streams),
        );
        walker.key(
            "cookie",
            "Name of the cookie. The prefix __Host- makes browsers refuse it from anywhere but this host and over \
             anything but https. Another name signs everybody out. What browsers still hold under the default name, \
             or under one that the gateway has had since it started, stays away from the web client all the same.",
            &Text {
                parse: parse_cookie,
                print: Clone::clone,
                schema: json!({ "pattern": "^__Host-[A-Za-z0-9_.-]+$", "maxLength": 64 }),
            },
            Slot::Default(&mut self.cookie),
        );
    }
}

fn stream_path() -> Text<Pattern> {
    Text {
        parse: |text| Pattern::parse(text).map_err(|why| format!("{text:?}: {why}")),
        print: |path| path.as_str().to_owned(),
        schema: json!({ "pattern": "^/", "examples": ["/ws", "/calls/*"] }),
    }
}

fn parse_cookie(text: &str) -> Result<String, String> {
    let Some(rest) = text.strip_prefix("__Host-") else {
        return Err(format!(
            "{text:?} does not start with \"__Host-\", without which another host could set the cookie"
        ));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if rest.is_empty() || text.len() > 64 || !rest.chars().all(plain) {
        return Err(format!(
            "{text:?} is not the name of a cookie; after \"__Host-\" come letters, digits, `_`, `-` and `.`, at most 64 in all"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_bound_to_its_host_by_name() {
        assert!(parse_cookie("__Host-phone.1").is_ok());
        for bad in [
            "",
            "sekisho",
            "__host-sekisho",
            "__Secure-sekisho",
            "__Host-",
            "__Host-a b",
            "__Host-a=b",
            "__Host-é",
        ] {
            assert!(parse_cookie(bad).is_err(), "{bad:?}");
        }
    }
}
