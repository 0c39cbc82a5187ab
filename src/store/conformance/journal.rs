//! Stories of events and of signing keys.

use super::*;
use crate::domain::client::ClientAddr;
use crate::domain::event::tests::every_fact;
use crate::domain::key::{KeyRecord, SigningAlgorithm};
use crate::ports::Changed;

stories! {
    every_fact_comes_back_as_it_was_recorded,
    events_are_listed_newest_first_by_account_and_time,
    events_are_followed_in_the_order_of_recording_each_once,
    old_events_go_oldest_first_and_whoever_follows_misses_none,
    a_new_key_retires_the_earlier_ones,
    retired_keys_are_swept_by_age,
}

async fn every_fact_comes_back_as_it_was_recorded(ports: Ports) {
    let person = AccountId::new(fresh_uuid());
    let actors = [Actor::Stranger, Actor::Person(person), Actor::Operator, Actor::Gateway];
    let clients = [None, Some("192.0.2.1"), Some("2001:db8::1")];
    let events: Vec<Event> = (0..)
        .zip(every_fact())
        .map(|(second, fact)| Event {
            actor: actors[usize::try_from(second).unwrap() % 4],
            client: clients[usize::try_from(second).unwrap() % 3].map(|ip| ClientAddr::new(ip.parse().unwrap())),
            ..happened(fact, (second % 2 == 0).then_some(person), at(second))
        })
        .collect();
    ports.events.append(&events).await.unwrap();
    let mut listed = ports.events.list(EventFilter::newest(100)).await.unwrap();
    listed.reverse();
    assert_eq!(listed, events);
}

async fn old_events_go_oldest_first_and_whoever_follows_misses_none(ports: Ports) {
    let events = [5, 2, 9, 3, 1].map(|second| happened(Fact::AccountEnabled, None, at(second)));
    ports.events.append(&events).await.unwrap();
    let seconds = async || {
        let listed = ports.events.list(EventFilter::newest(9)).await.unwrap();
        listed
            .iter()
            .map(|event| event.at.as_second() - at(0).as_second())
            .collect::<Vec<_>>()
    };
    let (_, newest) = ports.events.recorded_since(None, 0).await.unwrap();
    assert_eq!(ports.events.sweep(at(5), 1).await.unwrap(), 1);
    assert_eq!(
        seconds().await,
        [9, 5, 3, 1],
        "the second is the oldest but for the one recorded last"
    );
    assert_eq!(ports.events.sweep(at(5), 9).await.unwrap(), 1);
    assert_eq!(ports.events.sweep(at(5), 9).await.unwrap(), 0);
    assert_eq!(seconds().await, [9, 5, 1]);
    assert_eq!(ports.events.sweep(at(100), 9).await.unwrap(), 2);
    assert_eq!(seconds().await, [1]);
    assert_eq!(ports.events.recorded_since(None, 0).await.unwrap().1, newest);
    let after = happened(Fact::AccountDisabled, None, at(10));
    ports.events.append(std::slice::from_ref(&after)).await.unwrap();
    let (heard, cursor) = ports.events.recorded_since(Some(newest), 9).await.unwrap();
    assert_eq!(heard, [after]);
    assert!(cursor > newest);
    let (heard, _) = ports.events.recorded_since(Some(0), 9).await.unwrap();
    assert_eq!(heard.len(), 2);
}

async fn events_are_listed_newest_first_by_account_and_time(ports: Ports) {
    let (one, two) = (AccountId::new(fresh_uuid()), AccountId::new(fresh_uuid()));
    let event = |account, second| happened(Fact::AccountEnabled, account, at(second));
    let events = [
        event(Some(one), 1),
        event(Some(two), 3),
        event(None, 2),
        event(Some(one), 3),
    ];
    ports.events.append(&events).await.unwrap();
    ports.events.append(&[]).await.unwrap();
    let listed = async |account, since: Option<i64>, most| {
        let filter = EventFilter {
            account,
            since: since.map(at),
            most,
        };
        let found = ports.events.list(filter).await.unwrap();
        found
            .iter()
            .map(|found| events.iter().position(|event| event == found).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None, usize::MAX).await, [3, 1, 2, 0]);
    assert_eq!(listed(None, None, 2).await, [3, 1]);
    assert_eq!(listed(None, Some(2), 10).await, [3, 1, 2]);
    assert_eq!(listed(Some(one), None, 10).await, [3, 0]);
    assert_eq!(listed(Some(one), Some(2), 10).await, [3]);
    assert!(listed(None, None, 0).await.is_empty());
}

async fn events_are_followed_in_the_order_of_recording_each_once(ports: Ports) {
    let event = |second| happened(Fact::AccountEnabled, None, at(second));
    ports.events.append(&[event(1), event(2)]).await.unwrap();
    let (before, start) = ports.events.recorded_since(None, 100).await.unwrap();
    assert!(before.is_empty(), "what was there already is not news");
    // Another process's clock may be behind: what counts is when it was recorded.
    let recorded = [event(30), event(10), event(20), event(5)];
    for event in &recorded {
        ports.events.append(std::slice::from_ref(event)).await.unwrap();
    }
    let (mut found, mut cursor) = (Vec::new(), start);
    for most in [3, 3, 3] {
        let (some, next) = ports.events.recorded_since(Some(cursor), most).await.unwrap();
        found.extend(some);
        cursor = next;
    }
    assert_eq!(found, recorded);
    assert_eq!(
        ports.events.recorded_since(Some(cursor), 3).await.unwrap(),
        (Vec::new(), cursor)
    );
}

fn key(kid: &str, second: i64) -> KeyRecord {
    KeyRecord {
        kid: kid.into(),
        algorithm: SigningAlgorithm::EdDsa,
        sealed: vec![0, 255, 7],
        public_jwk: "{\"kty\":\"OKP\"}".into(),
        created_at: at(second),
        retired_at: None,
    }
}

async fn a_new_key_retires_the_earlier_ones(ports: Ports) {
    let (_, cursor) = ports.sessions.changes_since(None).await.unwrap();
    for (kid, second) in [("a", 10), ("b", 20), ("c", 30)] {
        let then = fact(Fact::KeyRotated(kid.into()));
        ports.keys.add(&key(kid, second), then).await.unwrap();
    }
    let retired = |kid, second, retired| KeyRecord {
        retired_at: Some(at(retired)),
        ..key(kid, second)
    };
    let keys = ports.keys.list().await.unwrap();
    assert_eq!(keys, [key("c", 30), retired("b", 20, 30), retired("a", 10, 20)]);
    assert_eq!(ports.facts().await, ["key.rotated"; 3]);
    let (changes, _) = ports.sessions.changes_since(Some(cursor)).await.unwrap();
    assert_eq!(changes, [Changed::Keys, Changed::Keys, Changed::Keys]);
}

async fn retired_keys_are_swept_by_age(ports: Ports) {
    for (kid, second) in [("a", 10), ("b", 20), ("c", 30)] {
        ports
            .keys
            .add(&key(kid, second), Consequences::default())
            .await
            .unwrap();
    }
    assert_eq!(ports.keys.sweep(at(20)).await.unwrap(), 0);
    assert_eq!(ports.keys.sweep(at(21)).await.unwrap(), 1);
    assert_eq!(ports.keys.sweep(at(1000)).await.unwrap(), 1);
    let kids: Vec<_> = ports
        .keys
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|key| key.kid)
        .collect();
    assert_eq!(kids, ["c"], "the current key is never swept");
}
