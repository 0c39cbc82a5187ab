//! Stories of attempts that are kept.

use super::*;
use crate::domain::client::ClientAddr;
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::policy::RuleName;
use crate::domain::limits::record::{AttemptRecord, Verdict};
use crate::ports::{AttemptPage, Since};

stories! {
    an_attempt_comes_back_as_it_was_kept,
    pages_follow_the_times_whatever_the_order_of_keeping,
    attempts_of_one_moment_are_all_read_whatever_the_size_of_a_page,
    what_is_kept_after_the_newest_is_not_read_up_to_it,
    old_attempts_go_in_small_steps_and_others_stay,
    beyond_the_bound_what_a_policy_stopped_goes_first,
}

fn rule(name: &str) -> RuleName {
    RuleName::parse(name).unwrap()
}

/// One of that second, and of this many nanoseconds more.
fn attempt(second: i64, nanos: i32) -> AttemptRecord {
    AttemptRecord {
        at: Timestamp::new(at(second).as_second(), nanos).unwrap(),
        took: Duration::from_nanos(1_500_000_001),
        endpoint: Endpoint::SignIn,
        client: ClientAddr::new("192.0.2.7".parse().unwrap()),
        budgets: 1,
        account: Some(NameDigest(u64::MAX, 1)),
        person: None,
        lane: LaneKind::Strangers,
        device: None,
        outcome: Some(Outcome::Failed),
        active: Verdict::Granted,
        candidate: None,
    }
}

fn stopped(second: i64) -> AttemptRecord {
    AttemptRecord {
        outcome: None,
        active: Verdict::Refused(rule("sign-in.client")),
        ..attempt(second, 0)
    }
}

impl Ports {
    /// All of them, read in pages of this size.
    async fn attempts_since(&self, second: i64, most: usize) -> Vec<AttemptRecord> {
        let (mut all, mut since) = (Vec::new(), Since::Time(at(second)));
        loop {
            let AttemptPage { records, last } = self.attempts.page(since, i64::MAX, most).await.unwrap();
            assert!(records.len() <= most);
            let is_last = records.len() < most;
            all.extend(records);
            match last {
                Some(place) if !is_last => since = Since::Place(place),
                _ => return all,
            }
        }
    }
}

async fn an_attempt_comes_back_as_it_was_kept(ports: Ports) {
    let mut kept = Vec::new();
    for (second, endpoint) in (1..).zip(Endpoint::ALL) {
        kept.push(AttemptRecord {
            endpoint,
            ..attempt(second, 999_999_999)
        });
    }
    for (second, outcome) in (10..).zip(Outcome::ALL.map(Some).into_iter().chain([None])) {
        kept.push(AttemptRecord {
            outcome,
            client: ClientAddr::new("2001:db8::7".parse().unwrap()),
            budgets: u32::MAX,
            account: None,
            person: Some(AccountId::new(Uuid::from_u128(
                0x0190_0000_0000_7000_8000_0000_0000_0001,
            ))),
            lane: LaneKind::Known,
            device: Some(NameDigest(0, u64::MAX)),
            took: Duration::ZERO,
            ..attempt(second, 1)
        });
    }
    let verdicts = [
        Verdict::Granted,
        Verdict::Slowed(rule("a")),
        Verdict::Noted(rule("b.c+d-1")),
        Verdict::Refused(rule("a")),
        Verdict::Banned,
    ];
    for (second, verdict) in (20..).zip(verdicts.clone()) {
        kept.push(AttemptRecord {
            candidate: Some(verdict),
            ..attempt(second, 0)
        });
    }
    for (second, active) in (30..).zip(verdicts) {
        kept.push(AttemptRecord {
            active,
            ..attempt(second, 0)
        });
    }
    ports.attempts.add(&[]).await.unwrap();
    ports.attempts.add(&kept[..7]).await.unwrap();
    ports.attempts.add(&kept[7..]).await.unwrap();
    assert_eq!(ports.attempts_since(0, 1000).await, kept);
    for record in &kept {
        assert!(ports.attempts.holds(record).await.unwrap());
        let elsewhere = AttemptRecord {
            account: Some(NameDigest(0, 0)),
            ..record.clone()
        };
        assert!(!ports.attempts.holds(&elsewhere).await.unwrap());
    }
}

async fn pages_follow_the_times_whatever_the_order_of_keeping(ports: Ports) {
    let order = [5, 3, 9, 1, 7];
    ports
        .attempts
        .add(&order.map(|second| attempt(second, 0)))
        .await
        .unwrap();
    let seconds = |records: Vec<AttemptRecord>| -> Vec<i64> {
        records
            .iter()
            .map(|record| record.at.as_second() - at(0).as_second())
            .collect()
    };
    assert_eq!(seconds(ports.attempts_since(0, 2).await), [1, 3, 5, 7, 9]);
    assert_eq!(seconds(ports.attempts_since(5, 2).await), [5, 7, 9]);
    assert_eq!(seconds(ports.attempts_since(10, 2).await), [0; 0]);
    assert_eq!(ports.attempts.count(at(5)).await.unwrap(), 3);
}

async fn attempts_of_one_moment_are_all_read_whatever_the_size_of_a_page(ports: Ports) {
    let same: Vec<AttemptRecord> = (0..7)
        .map(|n| AttemptRecord {
            account: Some(NameDigest(n, n)),
            ..attempt(4, 0)
        })
        .collect();
    ports.attempts.add(&same).await.unwrap();
    for most in 1..9 {
        assert_eq!(
            ports.attempts_since(0, most).await,
            same,
            "in the order of keeping, {most} at once"
        );
    }
}

async fn what_is_kept_after_the_newest_is_not_read_up_to_it(ports: Ports) {
    let nothing = ports.attempts.newest().await.unwrap();
    ports.attempts.add(&[attempt(5, 0), attempt(3, 0)]).await.unwrap();
    let newest = ports.attempts.newest().await.unwrap();
    // Of an earlier time, of the same, and of a later one.
    let later = [attempt(1, 0), attempt(5, 0), attempt(9, 0)];
    ports.attempts.add(&later).await.unwrap();
    let all = Since::Time(at(0));
    let page = ports.attempts.page(all, newest, 100).await.unwrap();
    assert_eq!(page.records, [attempt(3, 0), attempt(5, 0)]);
    let rest = Since::Place(page.last.unwrap());
    assert_eq!(ports.attempts.page(rest, newest, 100).await.unwrap().records, []);
    assert_eq!(ports.attempts.page(all, nothing, 100).await.unwrap().records, []);
    assert_eq!(ports.attempts_since(0, 100).await.len(), 5);
}

async fn old_attempts_go_in_small_steps_and_others_stay(ports: Ports) {
    let all: Vec<_> = (1..=10).map(|second| attempt(second, 0)).collect();
    ports.attempts.add(&all).await.unwrap();
    assert_eq!(ports.attempts.sweep(at(8), 3).await.unwrap(), 3);
    assert_eq!(ports.attempts_since(0, 100).await, all[3..]);
    assert_eq!(ports.attempts.sweep(at(8), 100).await.unwrap(), 4);
    assert_eq!(ports.attempts.sweep(at(8), 100).await.unwrap(), 0);
    assert_eq!(ports.attempts_since(0, 100).await, all[7..]);
}

async fn beyond_the_bound_what_a_policy_stopped_goes_first(ports: Ports) {
    let all: Vec<_> = (1..=5)
        .flat_map(|second| [attempt(second * 2, 0), stopped(second * 2 + 1)])
        .collect();
    ports.attempts.add(&all).await.unwrap();
    assert_eq!(ports.attempts.bound(10, 100).await.unwrap(), 0);
    assert_eq!(ports.attempts.bound(6, 2).await.unwrap(), 2, "in small steps");
    assert_eq!(ports.attempts.bound(6, 100).await.unwrap(), 2);
    assert_eq!(ports.attempts.bound(6, 100).await.unwrap(), 0);
    let left = ports.attempts_since(0, 100).await;
    let outcomes: Vec<bool> = left.iter().map(|record| record.outcome.is_some()).collect();
    assert_eq!(
        outcomes,
        [true, true, true, true, true, false],
        "the newest of the stopped is left"
    );
    assert_eq!(ports.attempts.bound(3, 100).await.unwrap(), 3);
    assert_eq!(
        ports.attempts_since(0, 100).await,
        [attempt(6, 0), attempt(8, 0), attempt(10, 0)]
    );
}
