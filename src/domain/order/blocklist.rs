//! A block list for a firewall: the banned addresses as networks that do not overlap, each until its time.
//!
//! Firewalls refuse sets whose intervals overlap. Where one ban lies within another one, the outer network is told without
//! the inner one, so that each address is blocked exactly as long as it is banned here.

use std::collections::HashMap;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Decree, Order, Words};

/// One network to block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The network; often of one address.
    pub network: IpNet,
    /// Until when; `None` is for ever.
    pub until: Option<Timestamp>,
    /// Why, when that was said.
    pub why: Option<Words>,
}

/// The networks that these orders ban at `now`, and `sources` beside them until `sources_until`, ordered and disjoint.
pub fn blocked(
    orders: &[Order],
    sources: impl IntoIterator<Item = IpNet>,
    sources_until: Timestamp,
    now: Timestamp,
) -> Vec<Blocked> {
    let in_force = orders.iter().filter(|order| !order.is_over(now));
    let banned = in_force.filter_map(|order| {
        let Decree::Ban(target) = &order.decree else {
            return None;
        };
        Some(Blocked {
            network: target.network()?,
            until: order.until,
            why: order.reason.clone(),
        })
    });
    let sources = sources.into_iter().map(|network| Blocked {
        network: network.trunc(),
        until: Some(sources_until),
        why: Words::parse("source of an attack").ok(),
    });
    disjoint(banned.chain(sources))
}

/// Without overlaps: where networks lie within each other, each address is blocked until the latest of their times.
fn disjoint(all: impl Iterator<Item = Blocked>) -> Vec<Blocked> {
    let mut by_network: HashMap<IpNet, Blocked> = HashMap::new();
    for blocked in all {
        let kept = by_network.entry(blocked.network).or_insert_with(|| blocked.clone());
        if ends(&blocked) > ends(kept) {
            *kept = blocked;
        }
    }
    let mut sorted: Vec<Blocked> = by_network.into_values().collect();
    // An outer network comes before what lies in it.
    sorted.sort_by_key(|blocked| (blocked.network.addr(), blocked.network.prefix_len()));
    let mut done = Vec::with_capacity(sorted.len());
    let mut rest = sorted.into_iter().peekable();
    while let Some(outer) = rest.next() {
        let mut inner = Vec::new();
        while let Some(next) = rest.next_if(|next| outer.network.contains(&next.network)) {
            inner.push(next);
        }
        place(&outer, inner, &mut done);
    }
    done
}

/// What is left of a network around what lies in it, and that itself where it is blocked for longer.
fn place(outer: &Blocked, inner: Vec<Blocked>, done: &mut Vec<Blocked>) {
    let mut longer = inner.into_iter().filter(|inner| ends(inner) > ends(outer)).peekable();
    if longer.peek().is_none() {
        done.push(outer.clone());
        return;
    }
    let longer: Vec<Blocked> = longer.collect();
    // Never of one address alone: nothing lies in that.
    let Ok(halves) = outer.network.subnets(outer.network.prefix_len() + 1) else {
        return;
    };
    for half in halves {
        let within: Vec<Blocked> = longer
            .iter()
            .filter(|inner| half.contains(&inner.network))
            .cloned()
            .collect();
        // A half that is blocked for longer as a whole takes the outer one's place.
        if let Some((first, rest)) = within.split_first()
            && first.network == half
        {
            place(first, rest.to_vec(), done);
        } else {
            let half = Blocked {
                network: half,
                ..outer.clone()
            };
            place(&half, within, done);
        }
    }
}

fn ends(blocked: &Blocked) -> Timestamp {
    blocked.until.unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::order::tests::{ban, order};
    use crate::domain::session::tests::at;

    fn list(orders: &[Order]) -> Vec<String> {
        let all = blocked(orders, [], at(0), at(0));
        all.iter()
            .map(|blocked| {
                let until = blocked
                    .until
                    .map_or("ever".to_owned(), |until| until.as_second().to_string());
                format!("{} {until}", blocked.network)
            })
            .collect()
    }

    #[test]
    fn only_addresses_that_are_banned_now_are_listed() {
        let exempt = order(3, Decree::Exempt("10.0.0.0/8".parse().unwrap()), None);
        let until = |second| at(second).as_second();
        let orders = [ban(1, "203.0.113.7", Some(9)), ban(2, "198.51.100.0/24", None), exempt];
        assert_eq!(
            list(&orders),
            [
                "198.51.100.0/24 ever".to_owned(),
                format!("203.0.113.7/32 {}", until(9))
            ]
        );
        assert_eq!(blocked(&orders, [], at(0), at(9)).len(), 1);
    }

    #[test]
    fn sources_of_attacks_are_listed_until_their_time() {
        let sources = ["203.0.113.9/32", "203.0.113.10/32"].map(|network| network.parse().unwrap());
        let all = blocked(&[ban(1, "203.0.113.9", None)], sources, at(60), at(0));
        let told: Vec<_> = all
            .iter()
            .map(|blocked| (blocked.network.to_string(), blocked.until))
            .collect();
        assert_eq!(
            told,
            [
                ("203.0.113.9/32".to_owned(), None),
                ("203.0.113.10/32".to_owned(), Some(at(60)))
            ]
        );
    }

    #[test]
    fn a_ban_within_a_longer_one_is_no_entry_of_its_own() {
        assert_eq!(
            list(&[ban(1, "203.0.113.0/24", None), ban(2, "203.0.113.7", Some(9))]),
            ["203.0.113.0/24 ever"]
        );
    }

    #[test]
    fn a_network_is_told_without_what_is_banned_for_longer_in_it() {
        let until = at(9).as_second();
        assert_eq!(
            list(&[ban(1, "203.0.113.0/30", Some(9)), ban(2, "203.0.113.2", None)]),
            [
                format!("203.0.113.0/31 {until}"),
                "203.0.113.2/32 ever".to_owned(),
                format!("203.0.113.3/32 {until}")
            ]
        );
    }

    proptest! {
        #[test]
        fn each_address_is_blocked_exactly_as_long_as_it_is_banned(
            bans in prop::collection::vec((0_u32..64, 24_u8..=32, 1_i64..6), 1..12),
        ) {
            let orders: Vec<Order> = bans
                .iter()
                .zip(1..)
                .map(|((last, length, until), number)| {
                    let address = std::net::Ipv4Addr::from(0xcb00_7100 + last);
                    let network = IpNet::new(address.into(), *length).unwrap().trunc();
                    ban(number, &network.to_string(), Some(*until))
                })
                .collect();
            let all = blocked(&orders, [], at(0), at(0));
            for (index, one) in all.iter().enumerate() {
                for other in all.iter().skip(index + 1) {
                    prop_assert!(!one.network.contains(&other.network) && !other.network.contains(&one.network));
                }
            }
            for last in 0..=255 {
                let address = IpAddr::from(std::net::Ipv4Addr::from(0xcb00_7100 + last));
                let banned = orders
                    .iter()
                    .filter_map(|order| match &order.decree {
                        Decree::Ban(target) => target.network().filter(|net| net.contains(&address)).and(order.until),
                        _ => None,
                    })
                    .max();
                let told = all.iter().find(|blocked| blocked.network.contains(&address));
                prop_assert_eq!(told.and_then(|blocked| blocked.until), banned);
            }
        }
    }
}
