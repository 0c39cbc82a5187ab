//! The ledger by example, and what holds for it whatever is tried in whatever order.

mod ledger;
mod properties;

use std::net::{IpAddr, Ipv4Addr};

use super::ledger::{Bucket, Decision, Draw, Ledger, Outcome, Reservation, Subject};
use super::policy::{Action, RuleName};
use super::{NameDigest, Nanos};

fn rule(name: &str) -> RuleName {
    RuleName::parse(name).unwrap()
}

fn draw(name: &str, subject: Subject, quota: &str) -> Draw {
    Draw::new(rule(name), subject, quota.parse().unwrap())
}

fn account(number: u64) -> Subject {
    Subject::Account(NameDigest(number, 0))
}

fn client(number: u32) -> Subject {
    Subject::Client(IpAddr::V4(Ipv4Addr::from_bits(number)))
}

/// A day and some seconds after the beginning of time.
fn second(n: u64) -> Nanos {
    Nanos((86_400 + n) * 1_000_000_000)
}

fn granted(ledger: &mut Ledger, draws: Vec<Draw>, now: Nanos) -> Option<Reservation> {
    match ledger.decide(draws, now) {
        Decision::Granted { reservation, .. } => Some(reservation),
        Decision::Refused { .. } => None,
    }
}

/// Decides and, when it is granted, fails at once.
fn fails(ledger: &mut Ledger, draws: Vec<Draw>, now: Nanos) -> bool {
    let held = granted(ledger, draws, now);
    let was = held.is_some();
    ledger.settle(held.unwrap_or_default(), Outcome::Failed, now);
    was
}
