//! The bans that stand in the way of a request, or of the sign-in before it.

use std::net::IpAddr;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::world;
use crate::config::Config;
use crate::domain::account::AccountId;
use crate::domain::limits::NameDigest;
use crate::domain::order::{Decree, Order, Target};

use super::super::limits::until_words;
use super::super::open;
use super::super::output::{Output, aside};

/// Whom a request comes from, as far as that was said.
pub(super) struct Visitor {
    pub from: IpAddr,
    pub account: Option<AccountId>,
    pub device: Option<NameDigest>,
}

/// A ban in the way.
#[derive(Debug, Serialize)]
pub(super) struct InTheWay {
    /// Whom it is about.
    target: String,
    /// What it stops.
    stops: Stopped,
    /// `None` is for ever.
    until: Option<Timestamp>,
    reason: Option<String>,
    author: String,
}

/// What a ban stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Stopped {
    /// Whatever comes from there.
    Requests,
    /// Signing in; a session from before lives on.
    SignIns,
}

/// Those in force, where there is a store to read them in. Without the right to read it, it is said that nobody has looked.
pub(super) fn look(path: &Path, config: &Config, visitor: &Visitor) -> Vec<InTheWay> {
    if !open::has_store(config) {
        return Vec::new();
    }
    let read = open::office(path, async |office, _| Ok(office.orders.list().await?));
    match read {
        Ok(orders) => in_the_way(&orders, visitor, world().now()),
        Err(error) => {
            aside(format_args!("Whether a ban is in the way is not known: {error:#}"));
            Vec::new()
        }
    }
}

fn in_the_way(orders: &[Order], visitor: &Visitor, now: Timestamp) -> Vec<InTheWay> {
    let found = orders.iter().filter(|order| !order.is_over(now)).filter_map(|order| {
        let Decree::Ban(target) = &order.decree else {
            return None;
        };
        Some(InTheWay {
            target: target.to_string(),
            stops: visitor.stopped_by(target)?,
            until: order.until,
            reason: order.reason.as_ref().map(|reason| reason.as_str().to_owned()),
            author: order.author.as_str().to_owned(),
        })
    });
    let mut found: Vec<_> = found.collect();
    // What stops everything first.
    found.sort_by_key(|ban| ban.stops == Stopped::SignIns);
    found
}

impl Visitor {
    fn stopped_by(&self, target: &Target) -> Option<Stopped> {
        match target {
            Target::Address(_) | Target::Network(_) => target
                .network()
                .filter(|network| network.contains(&self.from.to_canonical()))
                .map(|_| Stopped::Requests),
            Target::Account(account) => (self.account == Some(*account)).then_some(Stopped::SignIns),
            Target::Device(device) | Target::Pseudonym(device) => {
                (self.device == Some(*device)).then_some(Stopped::SignIns)
            }
        }
    }
}

impl InTheWay {
    /// Whether nothing of the request is answered.
    pub(super) fn stops_requests(&self) -> bool {
        self.stops == Stopped::Requests
    }

    /// In words.
    pub(super) fn told(&self, output: &Output) -> String {
        let until = until_words(self.until, world().now(), output);
        let because = self
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        let comes_to = match self.stops {
            Stopped::Requests => "its connections are closed before TLS; behind a trusted proxy it is answered 403",
            Stopped::SignIns => {
                "no password signs in, and each is answered as a wrong one; a session from before lives on"
            }
        };
        format!("{} {until} by {}{because} ({comes_to})", self.target, self.author)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::order::tests::order;
    use crate::domain::session::tests::at;

    #[test]
    fn a_ban_is_in_the_way_of_whom_it_is_about_until_its_time() {
        let (account, device) = (AccountId::new(Uuid::from_u128(7)), NameDigest(1, 2));
        let bans = [
            Target::Account(account),
            Target::Device(device),
            Target::from_client("203.0.113.0/24").unwrap(),
            Target::from_client("2001:db8::1").unwrap(),
        ];
        let orders: Vec<Order> = (1..)
            .zip(bans)
            .map(|(number, target)| order(number, Decree::Ban(target), Some(100)))
            .collect();
        let found = |from: &str, account, device, second| -> Vec<String> {
            let from = from.parse().unwrap();
            let visitor = Visitor { from, account, device };
            let found = in_the_way(&orders, &visitor, at(second));
            found
                .iter()
                .map(|ban| format!("{} {:?}", ban.target.split(' ').next().unwrap(), ban.stops))
                .collect()
        };
        assert_eq!(
            found("::ffff:203.0.113.7", Some(account), Some(device), 99),
            ["network Requests", "account SignIns", "device SignIns"]
        );
        assert_eq!(found("2001:db8::77", None, None, 0), ["network Requests"]);
        let another = Some(AccountId::new(Uuid::from_u128(8)));
        assert_eq!(found("192.0.2.1", another, Some(NameDigest(2, 1)), 0), [""; 0]);
        assert_eq!(found("203.0.113.7", Some(account), Some(device), 100), [""; 0]);
    }
}
