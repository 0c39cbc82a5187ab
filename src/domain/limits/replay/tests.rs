//! What a policy would have come to, on traces that are written here.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::client::ClientAddr;
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::policy::{Action, LaneFilter};
use crate::domain::limits::regime::Regime;
use crate::domain::session::tests::at;

fn name(text: &str) -> RuleName {
    RuleName::parse(text).unwrap()
}

fn rule(text: &str, key: KeyKind, quota: &str) -> LimitRule {
    LimitRule {
        name: name(text),
        endpoints: vec![Endpoint::SignIn],
        key,
        lane: LaneFilter::Any,
        quota: quota.parse().unwrap(),
        in_flight: None,
        action: Action::Refuse,
        enabled: true,
    }
}

fn policy(rules: Vec<LimitRule>) -> Arc<Policy> {
    Arc::new(Policy {
        rules,
        exempt: Vec::new(),
    })
}

const SUCCEEDED: Option<Outcome> = Some(Outcome::Succeeded);
const FAILED: Option<Outcome> = Some(Outcome::Failed);

/// A stranger's try to sign in.
fn attempt(second: i64, client: &str, account: u64, outcome: Option<Outcome>) -> AttemptRecord {
    AttemptRecord {
        at: at(second),
        took: Duration::ZERO,
        endpoint: Endpoint::SignIn,
        client: ClientAddr::new(client.parse().unwrap()),
        budgets: 1,
        account: Some(NameDigest(account, account)),
        person: None,
        lane: LaneKind::Strangers,
        device: None,
        outcome,
        active: outcome.map_or_else(|| Verdict::Refused(name("before")), |_| Verdict::Granted),
        candidate: None,
    }
}

fn at_device(device: u64, record: AttemptRecord) -> AttemptRecord {
    AttemptRecord {
        lane: LaneKind::Known,
        device: Some(NameDigest(7, device)),
        ..record
    }
}

fn replay(policy: &Arc<Policy>, records: &[AttemptRecord]) -> Replayed {
    let mut replay = Replay::new(Arc::clone(policy), Timestamp::MIN);
    for record in records {
        replay.take(record);
    }
    replay.finish()
}

const OFFICE: &str = "192.0.2.1";
const HOME: &str = "203.0.113.9";

#[test]
fn refusals_are_told_by_rule_address_network_and_minute() {
    let policy = policy(vec![rule("by-client", KeyKind::Client, "2 per 1h")]);
    let mut records: Vec<_> = (0..5).map(|n| attempt(n, OFFICE, n.unsigned_abs(), FAILED)).collect();
    records.extend((0..9).map(|n| attempt(300 + n, "192.0.2.2", 1, FAILED)));
    let told = replay(&policy, &records);
    assert_eq!((told.attempts, told.refused, told.slowed, told.noted), (14, 10, 0, 0));
    assert_eq!(told.rules[&name("by-client")].refused, 10);
    let counted = |address: &str, refused| Counted {
        address: address.parse().unwrap(),
        refused,
    };
    assert_eq!(told.addresses, [counted("192.0.2.2", 7), counted(OFFICE, 3)]);
    assert_eq!(told.subnets, [counted("192.0.2.0", 10)]);
    let worst = told.worst.unwrap();
    assert_eq!(worst.refused, 7);
    assert!(worst.at <= at(300) && at(300) < worst.at + Duration::from_mins(1));
    assert_eq!(told.span, Some((at(0), at(308))));
    let counts: u64 = told.series.buckets.iter().map(|bucket| bucket.refused).sum();
    assert_eq!(counts, 10);
}

#[test]
fn somebody_who_is_refused_and_then_succeeds_at_the_same_browser_would_have_been_stopped() {
    let policy = policy(vec![rule("both", KeyKind::ClientAccount, "3 per 1h")]);
    let mut records: Vec<_> = (0..4).map(|n| attempt(n * 10, OFFICE, 1, FAILED)).collect();
    // When the bucket has room again: three quarters of an hour later.
    records.push(attempt(2700, OFFICE, 1, SUCCEEDED));
    records.push(attempt(2701, OFFICE, 2, SUCCEEDED));
    let told = replay(&policy, &records);
    assert_eq!((told.people.seen, told.people.stopped), (2, 1), "{told:?}");
    let wide = replay(
        &policy
            .with_quota(&name("both"), "4 per 1h".parse().unwrap())
            .unwrap()
            .into(),
        &records,
    );
    assert_eq!((wide.people.seen, wide.people.stopped), (2, 0));
}

#[test]
fn a_success_that_would_have_been_refused_stops_its_person_once_however_often() {
    let policy = policy(vec![rule("account", KeyKind::Account, "1 per 1day")]);
    let mut records = vec![attempt(0, OFFICE, 1, FAILED)];
    records.extend((1..5).map(|n| attempt(n, OFFICE, 1, SUCCEEDED)));
    let told = replay(&policy, &records);
    assert_eq!((told.refused, told.people.seen, told.people.stopped), (4, 1, 1));
}

#[test]
fn what_strangers_try_elsewhere_is_not_hers_and_neither_is_what_is_long_past() {
    let policy = policy(vec![rule("account", KeyKind::ClientAccount, "1 per 10m")]);
    let guesser: Vec<_> = (0..50).map(|n| attempt(n, HOME, 1, FAILED)).collect();
    let owner = attempt(60, OFFICE, 1, SUCCEEDED);
    let told = replay(&policy, &[guesser.clone(), vec![owner]].concat());
    assert_eq!((told.refused, told.people.seen, told.people.stopped), (49, 1, 0));

    let late = attempt(49 + 3600, HOME, 1, SUCCEEDED);
    let told = replay(&policy, &[guesser.clone(), vec![late]].concat());
    assert_eq!(told.people.stopped, 0, "an hour later it is another matter");
    let in_time = attempt(49 + 3599, HOME, 1, SUCCEEDED);
    let told = replay(&policy, &[guesser, vec![in_time]].concat());
    assert_eq!(told.people.stopped, 1);
}

#[test]
fn a_known_device_is_the_same_wherever_it_is() {
    let policy = policy(vec![rule("device", KeyKind::Device, "1 per 30m")]);
    let records = [
        at_device(1, attempt(0, OFFICE, 1, FAILED)),
        at_device(1, attempt(1, OFFICE, 1, FAILED)),
        at_device(1, attempt(1801, HOME, 1, SUCCEEDED)),
        at_device(2, attempt(1802, OFFICE, 1, SUCCEEDED)),
    ];
    let told = replay(&policy, &records);
    assert_eq!((told.refused, told.people.seen, told.people.stopped), (1, 1, 1));
    assert_eq!(
        told.guesses.total, 0,
        "what a known device tries is no stranger's guess"
    );
}

#[test]
fn programs_are_no_people() {
    let mut policy = Policy::clone(&policy(vec![rule("token", KeyKind::Client, "1 per 1h")]));
    policy.rules[0].endpoints = vec![Endpoint::ApiToken];
    let token = |second, outcome| AttemptRecord {
        endpoint: Endpoint::ApiToken,
        account: None,
        ..attempt(second, OFFICE, 0, outcome)
    };
    let told = replay(
        &Arc::new(policy),
        &[token(0, FAILED), token(1, FAILED), token(2, SUCCEEDED)],
    );
    assert_eq!((told.refused, told.people), (2, People::default()));
}

#[test]
fn guesses_are_counted_by_account_and_day() {
    let policy = policy(vec![rule("account", KeyKind::Account, "10 per 1day")]);
    let day = 24 * 60 * 60;
    let mut records = Vec::new();
    for second in 0..100 {
        records.push(attempt(second, HOME, 1, FAILED));
    }
    for account in 2..5 {
        records.push(attempt(100, HOME, account, FAILED));
    }
    records.push(attempt(101, HOME, 2, SUCCEEDED));
    for second in 0..3 {
        records.push(attempt(3 * day + second, HOME, 2, FAILED));
    }
    let told = replay(&policy, &records);
    let wanted = Guesses {
        total: 10 + 3 + 3,
        accounts: 4,
        most: 10,
        median: 1,
    };
    assert_eq!(
        told.guesses,
        Guesses {
            median: told.guesses.median,
            ..wanted
        }
    );
    assert!((1..=3).contains(&told.guesses.median));
}

#[test]
fn what_was_stopped_is_taken_for_wrong_and_nobodys_success_and_is_told() {
    let policy = policy(vec![rule("both", KeyKind::ClientAccount, "2 per 1h")]);
    let records: Vec<_> = (0..4).map(|n| attempt(n, OFFICE, 1, None)).collect();
    let told = replay(&policy, &records);
    assert_eq!((told.unknown, told.unknown_granted, told.refused), (4, 2, 2));
    assert_eq!((told.people.seen, told.guesses.most), (0, 2));
    assert_eq!(told.agreement, Agreement { same: 2, other: 2 });
}

#[test]
fn a_ban_has_its_way_under_every_policy_and_what_it_stops_is_counted_like_any_wrong_attempt() {
    let banned = AttemptRecord {
        active: Verdict::Banned,
        ..attempt(0, OFFICE, 1, None)
    };
    let records = [banned.clone(), banned, attempt(1, OFFICE, 1, FAILED)];
    for (quota, wanted) in [
        ("9 per 1h", (2, 1, 0)),
        ("2 per 1h", (2, 1, 1)),
        ("1 per 1h", (1, 2, 2)),
    ] {
        let told = replay(&policy(vec![rule("client", KeyKind::Client, quota)]), &records);
        assert_eq!((told.banned, told.attempts, told.refused), wanted, "{quota}");
        assert_eq!(
            (told.guesses.total, told.unknown_granted),
            (1 - wanted.2.min(1), 0),
            "{quota}"
        );
    }
}

#[test]
fn a_rule_by_password_counts_nothing_and_says_so() {
    let policy = policy(vec![
        rule("spray", KeyKind::Password, "1 per 1h"),
        rule("c", KeyKind::Client, "9 per 1h"),
    ]);
    let records: Vec<_> = (0..5).map(|n| attempt(n, OFFICE, 1, FAILED)).collect();
    let told = replay(&policy, &records);
    assert_eq!((told.refused, told.without), (0, vec![name("spray")]));
}

#[test]
fn what_came_before_fills_the_meters_and_is_not_counted() {
    let policy = policy(vec![rule("client", KeyKind::Client, "3 per 1day")]);
    let records: Vec<_> = (0..5).map(|n| attempt(n, OFFICE, 1, FAILED)).collect();
    let mut replay = Replay::new(Arc::clone(&policy), at(2));
    for record in &records {
        replay.take(record);
    }
    let told = replay.finish();
    assert_eq!((told.attempts, told.refused), (3, 2));
    assert_eq!(policy.memory(), Duration::from_hours(24));
}

#[test]
fn an_attempt_holds_what_it_drew_until_it_was_settled() {
    let policy = policy(vec![rule("client", KeyKind::Client, "1 per 1day")]);
    let long = AttemptRecord {
        took: Duration::from_secs(10),
        ..attempt(0, OFFICE, 1, SUCCEEDED)
    };
    let meanwhile = attempt(9, OFFICE, 1, SUCCEEDED);
    let after = attempt(10, OFFICE, 1, SUCCEEDED);
    let told = replay(&policy, &[long, meanwhile, after]);
    assert_eq!(told.refused, 1);
}

#[test]
fn attempts_under_way_are_capped_as_they_were() {
    let mut capped = rule("client", KeyKind::Client, "100 per 1h");
    capped.in_flight = Some(2);
    let slow = |second| AttemptRecord {
        took: Duration::from_secs(5),
        ..attempt(second, OFFICE, 1, FAILED)
    };
    let told = replay(&policy(vec![capped]), &[slow(0), slow(1), slow(2), slow(7)]);
    assert_eq!(told.refused, 1);
}

#[test]
fn slowing_and_telling_are_counted_and_let_through() {
    let mut slow = rule("slow", KeyKind::Client, "1 per 1h");
    slow.action = Action::Slow;
    let mut tell = rule("tell", KeyKind::Global, "2 per 1h");
    tell.action = Action::Notify;
    let records = [
        attempt(0, OFFICE, 1, FAILED),
        attempt(1, OFFICE, 1, SUCCEEDED),
        attempt(2, HOME, 1, FAILED),
        attempt(3, "198.51.100.1", 2, FAILED),
    ];
    let told = replay(&policy(vec![slow, tell]), &records);
    assert_eq!((told.slowed, told.noted, told.refused), (1, 1, 0), "{told:?}");
    assert_eq!((told.delay_seconds, told.people.slowed), (10, 1));
}

/// An attempt under way: what it holds of each ledger, and how it will end.
struct Open {
    until: Nanos,
    held: Vec<(usize, Reservation)>,
    outcome: Outcome,
}

/// A gateway's way with an attempt: decided over when it comes, settled when it has ended, by several policies at once.
fn live(regime: &Regime, made: &[(u64, u64, AttemptRecord)]) -> Vec<AttemptRecord> {
    let mut ledgers = [Ledger::new(Ledger::MOST), Ledger::new(Ledger::MOST)];
    let mut open: Vec<Open> = Vec::new();
    let mut records = Vec::new();
    let mut now = nanos(at(0));
    for (gap, took, attempt) in made {
        now = now.plus(Duration::from_millis(*gap));
        open.sort_by_key(|open| open.until);
        while open.first().is_some_and(|open| open.until <= now) {
            let Open { until, held, outcome } = open.remove(0);
            for (which, reservation) in held {
                ledgers[which].settle(reservation, outcome, until);
            }
        }
        let mut record = AttemptRecord {
            at: Timestamp::from_nanosecond(now.0.into()).unwrap(),
            took: Duration::from_millis(*took),
            ..attempt.clone()
        };
        let banned = attempt.active == Verdict::Banned;
        let outcome = record.outcome.filter(|_| !banned).unwrap_or(Outcome::Failed);
        let active = ledgers[0].decide(regime.active.draws(&record.attempt()), now);
        let stopped = matches!(active, Decision::Refused { .. });
        let said = |verdict: Verdict| {
            if banned { verdict.under_a_ban() } else { verdict }
        };
        record.active = said(Verdict::of(&active));
        let candidate = regime.candidate.as_ref().unwrap();
        let tried = ledgers[1].decide(candidate.draws(&record.attempt()), now);
        record.candidate = Some(said(Verdict::of(&tried)));
        let mut held = Vec::new();
        match active {
            Decision::Granted { reservation, .. } => held.push((0, reservation)),
            Decision::Refused { .. } => {
                record.took = Duration::ZERO;
            }
        }
        if stopped || banned {
            record.outcome = None;
        }
        match tried {
            Decision::Granted { reservation, .. } if !stopped => held.push((1, reservation)),
            Decision::Granted { reservation, .. } => ledgers[1].settle(reservation, Outcome::Failed, now),
            Decision::Refused { .. } => {}
        }
        if record.took.is_zero() {
            for (which, reservation) in held {
                ledgers[which].settle(reservation, outcome, now);
            }
        } else {
            let until = now.plus(record.took);
            open.push(Open { until, held, outcome });
        }
        records.push(record);
    }
    records
}

prop_compose! {
    fn any_rule(number: usize)(
        key in prop::sample::select(vec![
            KeyKind::Client, KeyKind::Subnet, KeyKind::Account, KeyKind::ClientAccount, KeyKind::Device, KeyKind::Global,
        ]),
        lane in prop::sample::select(vec![
            LaneFilter::Any, LaneFilter::Only(LaneKind::Strangers), LaneFilter::Only(LaneKind::Known),
        ]),
        burst in 1_u32..6,
        seconds in 1_u64..60,
        in_flight in prop::option::of(1_u32..4),
        action in prop::sample::select(vec![Action::Refuse, Action::Refuse, Action::Slow, Action::Notify]),
    ) -> LimitRule {
        LimitRule {
            lane,
            in_flight,
            action,
            ..rule(&format!("rule-{number}"), key, &format!("{burst} per {seconds}s"))
        }
    }
}

fn any_policy() -> impl Strategy<Value = Arc<Policy>> {
    (any_rule(0), any_rule(1), any_rule(2)).prop_map(|(one, two, three)| policy(vec![one, two, three]))
}

prop_compose! {
    fn any_attempt()(
        gap in 0_u64..3000,
        took in prop_oneof![Just(0_u64), 1_u64..9000],
        client in 0_u8..4,
        account in 0_u64..3,
        device in prop::option::of(0_u64..2),
        outcome in prop::sample::select(Outcome::ALL.to_vec()),
        banned in prop::bool::weighted(0.2),
    ) -> (u64, u64, AttemptRecord) {
        let record = attempt(0, &format!("192.0.{client}.7"), account, Some(outcome));
        let record = match device {
            Some(device) => at_device(device, record),
            None => record,
        };
        let active = if banned { Verdict::Banned } else { Verdict::Granted };
        let record = AttemptRecord { active, ..record };
        (gap, took, record)
    }
}

proptest! {
    #[test]
    fn a_replay_decides_as_the_gateway_did_and_as_the_policy_on_trial_would_have(
        active in any_policy(),
        candidate in any_policy(),
        made in prop::collection::vec(any_attempt(), 1..120),
    ) {
        let regime = Regime { active: Arc::clone(&active), candidate: Some(Arc::clone(&candidate)) };
        let records = live(&regime, &made);
        let (mut again, mut tried) = (Replay::new(active, at(0)), Replay::new(candidate, at(0)));
        for record in &records {
            prop_assert_eq!(&again.take(record), &record.active);
            prop_assert_eq!(Some(tried.take(record)), record.candidate.clone());
        }
        prop_assert_eq!(again.finish().agreement, Agreement { same: records.len() as u64, other: 0 });
    }

    #[test]
    fn the_same_replay_comes_to_the_same(
        policy in any_policy(),
        made in prop::collection::vec(any_attempt(), 1..120),
    ) {
        let regime = Regime { active: Arc::clone(&policy), candidate: Some(Arc::default()) };
        let records = live(&regime, &made);
        let told = replay(&policy, &records);
        prop_assert_eq!(&told, &replay(&policy, &records));
        let refusals: BTreeMap<_, _> = told.rules.iter().map(|(rule, figures)| (rule, figures.refused)).collect();
        prop_assert_eq!(refusals.values().sum::<u64>(), told.refused);
        prop_assert!(told.people.stopped <= told.people.seen);
    }
}
