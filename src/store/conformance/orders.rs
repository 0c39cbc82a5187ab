//! Stories of orders.

use super::*;
use crate::domain::limits::NameDigest;
use crate::domain::order::{Decree, Order, OrderId, PolicySource, Target, Words};
use crate::ports::PastOrder;

stories! {
    an_order_comes_back_as_it_was_given,
    a_second_order_about_the_same_ends_the_first,
    what_the_limits_counted_by_is_told_as_long_as_it_is_kept,
    one_policy_is_in_force_whatever_it_is_called,
    an_order_is_ended_once_and_each_change_is_another_revision,
    orders_are_swept_by_the_day_they_were_over,
    orders_of_what_the_limits_count_are_swept_by_a_day_of_their_own,
}

pub(super) fn order(decree: Decree, second: i64, until: Option<i64>) -> Order {
    Order {
        id: OrderId::new(fresh_uuid()),
        decree,
        reason: Words::parse("stuffing '\"\u{65e5}").ok(),
        author: Words::parse("root").unwrap(),
        made_at: at(second),
        until: until.map(at),
    }
}

fn ban(client: &str, second: i64, until: Option<i64>) -> Order {
    order(Decree::Ban(Target::from_client(client).unwrap()), second, until)
}

fn policy(name: &str, second: i64) -> Order {
    order(
        Decree::Apply(PolicySource::Preset(name.to_owned())),
        second,
        Some(second + 100),
    )
}

impl Ports {
    async fn give(&self, order: &Order) {
        let then = fact(Fact::LimitsBanned(order.summary()));
        self.orders.give(order, then).await.unwrap();
    }

    async fn unended(&self) -> Vec<Order> {
        self.orders.unended().await.unwrap().0
    }
}

async fn an_order_comes_back_as_it_was_given(ports: Ports) {
    let account = ports.invited("101").await.id;
    let digest = NameDigest(u64::MAX, 1);
    let text = "preset = \"strict\"\n".to_owned();
    let name = "limits for tonight.toml".to_owned();
    let mut given = vec![
        order(Decree::Ban(Target::Account(account)), 1, None),
        ban("203.0.113.7", 2, Some(50)),
        ban("2001:db8::/32", 3, None),
        order(Decree::Ban(Target::Device(digest)), 4, None),
        order(Decree::Ban(Target::Pseudonym(digest)), 5, None),
        order(Decree::Exempt("10.0.0.0/8".parse().unwrap()), 6, Some(60)),
        order(Decree::Apply(PolicySource::File { name, text }), 7, Some(70)),
    ];
    given[0].reason = None;
    for order in &given {
        ports.give(order).await;
    }
    given.reverse();
    assert_eq!(ports.unended().await, given);
    assert_eq!(ports.facts().await, vec!["limits.banned"; 7]);
}

async fn a_second_order_about_the_same_ends_the_first(ports: Ports) {
    let (first, longer) = (ban("203.0.113.7", 1, Some(50)), ban("203.0.113.7", 2, Some(90)));
    let exempt = order(Decree::Exempt("203.0.113.7/32".parse().unwrap()), 3, None);
    let around = ban("203.0.113.0/24", 4, None);
    for order in [&first, &longer, &exempt, &around] {
        ports.give(order).await;
    }
    assert_eq!(ports.unended().await, [around, exempt, longer]);
    assert!(
        !ports
            .orders
            .end(first.id, at(9), Consequences::default())
            .await
            .unwrap()
    );
}

async fn what_the_limits_counted_by_is_told_as_long_as_it_is_kept(ports: Ports) {
    let (strict, relaxed) = (
        Order {
            until: Some(at(500)),
            ..policy("strict", 1)
        },
        Order {
            until: None,
            ..policy("relaxed", 20)
        },
    );
    let exempt = order(Decree::Exempt("10.0.0.0/8".parse().unwrap()), 3, Some(40));
    for order in [&strict, &exempt, &ban("203.0.113.7", 4, None), &relaxed] {
        ports.give(order).await;
    }
    let past = |order: &Order, ended: Option<i64>| PastOrder {
        order: order.clone(),
        ended_at: ended.map(at),
    };
    let all = [past(&strict, Some(20)), past(&exempt, None), past(&relaxed, None)];
    let spans = [Some(at(20)), Some(at(40)), None];
    for (since, left) in [(0, 0), (19, 0), (20, 1), (39, 1), (40, 2), (9_999, 2)] {
        let told = ports.orders.bearing(at(since)).await.unwrap();
        assert_eq!(told, all[left..], "{since}");
        let until: Vec<_> = told.iter().map(PastOrder::until).collect();
        assert_eq!(until, spans[left..], "{since}");
    }
}

async fn one_policy_is_in_force_whatever_it_is_called(ports: Ports) {
    let (strict, relaxed) = (policy("strict", 1), policy("relaxed", 2));
    ports.give(&strict).await;
    ports.give(&relaxed).await;
    assert_eq!(ports.unended().await, [relaxed]);
}

async fn an_order_is_ended_once_and_each_change_is_another_revision(ports: Ports) {
    let begun = ports.orders.revision().await.unwrap();
    let ban = ban("203.0.113.7", 1, Some(50));
    ports.give(&ban).await;
    let given = ports.orders.revision().await.unwrap();
    assert_ne!(begun, given);
    assert_eq!(ports.orders.unended().await.unwrap(), (vec![ban.clone()], given));
    let then = || fact(Fact::LimitsUnbanned(ban.summary()));
    // Its time is over, and it has not been ended all the same.
    assert!(ports.orders.end(ban.id, at(60), then()).await.unwrap());
    assert!(!ports.orders.end(ban.id, at(61), then()).await.unwrap());
    let nobody = OrderId::new(fresh_uuid());
    assert!(!ports.orders.end(nobody, at(61), then()).await.unwrap());
    assert_ne!(ports.orders.revision().await.unwrap(), given);
    assert_eq!(ports.unended().await, []);
    assert_eq!(ports.facts().await, ["limits.banned", "limits.unbanned"]);
}

async fn orders_are_swept_by_the_day_they_were_over(ports: Ports) {
    let (over, ended, endless) = (
        ban("203.0.113.1", 0, Some(100)),
        ban("203.0.113.2", 0, Some(500)),
        ban("203.0.113.3", 0, None),
    );
    for order in [&over, &ended, &endless] {
        ports.give(order).await;
    }
    ports
        .orders
        .end(ended.id, at(50), Consequences::default())
        .await
        .unwrap();
    let revision = ports.orders.revision().await.unwrap();
    assert_eq!(ports.orders.sweep(at(50), at(50)).await.unwrap(), 0);
    assert_eq!(ports.orders.sweep(at(51), at(51)).await.unwrap(), 1);
    // Of one moment, the one with the later id first.
    assert_eq!(ports.unended().await, [endless.clone(), over]);
    assert_eq!(ports.orders.sweep(at(101), at(101)).await.unwrap(), 1);
    assert_eq!(ports.unended().await, [endless]);
    assert_eq!(ports.orders.revision().await.unwrap(), revision);
}

async fn orders_of_what_the_limits_count_are_swept_by_a_day_of_their_own(ports: Ports) {
    let exempt = |second, until| order(Decree::Exempt("10.0.0.0/8".parse().unwrap()), second, Some(until));
    let (banned, applied, exempted) = (ban("203.0.113.1", 0, Some(100)), policy("strict", 0), exempt(1, 100));
    for order in [&banned, &applied, &exempted] {
        ports.give(order).await;
    }
    assert_eq!(ports.orders.sweep(at(200), at(100)).await.unwrap(), 1);
    assert_eq!(ports.unended().await, [exempted, applied]);
    assert_eq!(ports.orders.sweep(at(50), at(200)).await.unwrap(), 0);
    assert_eq!(ports.orders.sweep(at(200), at(101)).await.unwrap(), 2);
    assert_eq!(ports.unended().await, []);
}
