use std::time::Duration;

use super::*;

#[test]
fn a_refused_attempt_draws_on_none_and_names_the_rule_that_refuses_longest() {
    let mut ledger = Ledger::new(1000);
    assert!(fails(
        &mut ledger,
        vec![draw("account", account(1), "1 per 1m")],
        second(0)
    ));
    let both = || {
        vec![
            draw("client", client(1), "2 per 1m"),
            draw("account", account(1), "1 per 1m"),
        ]
    };
    for _ in 0..5 {
        let refused = ledger.decide(both(), second(10));
        let retry_after = Duration::from_secs(50);
        assert_eq!(
            refused,
            Decision::Refused {
                retry_after,
                rule: rule("account")
            }
        );
        assert_eq!(
            ledger.look(&both(), second(10)),
            Some((retry_after, rule("account"))),
            "a look says the same"
        );
    }
    for _ in 0..2 {
        assert!(fails(
            &mut ledger,
            vec![draw("client", client(1), "2 per 1m")],
            second(10)
        ));
    }
    assert!(!fails(
        &mut ledger,
        vec![draw("client", client(1), "2 per 1m")],
        second(10)
    ));
}

#[test]
fn what_is_under_way_counts_and_what_succeeds_leaves_no_trace() {
    let mut ledger = Ledger::new(1000);
    let attempt = || {
        vec![
            draw("account", account(1), "3 per 1h"),
            draw("client", client(1), "3 per 1h"),
        ]
    };
    let held: Vec<_> = (0..3)
        .filter_map(|_| granted(&mut ledger, attempt(), second(0)))
        .collect();
    assert_eq!(held.len(), 3);
    let Decision::Refused { retry_after, .. } = ledger.decide(attempt(), second(0)) else {
        panic!("three are under way");
    };
    assert_eq!(retry_after, Duration::from_secs(1), "how they end nobody knows yet");
    for reservation in held {
        ledger.settle(reservation, Outcome::Succeeded, second(1));
    }
    assert!(ledger.is_empty(), "nothing is remembered of it");
    for _ in 0..3 {
        assert!(fails(&mut ledger, attempt(), second(2)));
    }
    let Decision::Refused { retry_after, .. } = ledger.decide(attempt(), second(2)) else {
        panic!("three have failed");
    };
    assert_eq!(retry_after, Duration::from_mins(20));
}

#[test]
fn a_success_that_comes_late_makes_no_room_that_was_not_there() {
    let mut ledger = Ledger::new(1000);
    let attempt = || vec![draw("account", account(1), "2 per 20s")];
    let slow = granted(&mut ledger, attempt(), second(0)).unwrap();
    assert!(fails(&mut ledger, attempt(), second(15)));
    // Had the slow one been charged at first, its charge would have run off by now, and a refund would free the other.
    ledger.settle(slow, Outcome::Succeeded, second(15));
    assert!(fails(&mut ledger, attempt(), second(15)));
    assert!(!fails(&mut ledger, attempt(), second(15)));
}

#[test]
fn what_is_neither_right_nor_wrong_is_counted_and_what_was_not_tried_is_not() {
    let mut ledger = Ledger::new(1000);
    let attempt = || vec![draw("account", account(1), "2 per 1h")];
    for (outcome, left) in [
        (Outcome::NotTried, true),
        (Outcome::Used, true),
        (Outcome::Failed, false),
    ] {
        let held = granted(&mut ledger, attempt(), second(0)).unwrap();
        ledger.settle(held, outcome, second(0));
        assert_eq!(ledger.look(&attempt(), second(0)).is_none(), left, "{outcome:?}");
        assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
    }
}

#[test]
fn at_most_so_many_are_under_way_at_once() {
    let mut ledger = Ledger::new(1000);
    let attempt = || {
        vec![Draw {
            in_flight: Some(2),
            ..draw("account", account(1), "100 per 1h")
        }]
    };
    let first = granted(&mut ledger, attempt(), second(0)).unwrap();
    let second_one = granted(&mut ledger, attempt(), second(0)).unwrap();
    let Decision::Refused { retry_after, .. } = ledger.decide(attempt(), second(0)) else {
        panic!("two are under way");
    };
    assert_eq!(retry_after, Duration::from_secs(1));
    ledger.settle(first, Outcome::Failed, second(1));
    let third = granted(&mut ledger, attempt(), second(1)).unwrap();
    assert!(granted(&mut ledger, attempt(), second(1)).is_none());
    ledger.settle(second_one, Outcome::Succeeded, second(2));
    ledger.settle(third, Outcome::Succeeded, second(2));
    assert!(granted(&mut ledger, attempt(), second(2)).is_some());
}

#[test]
fn beyond_its_quota_a_rule_slows_or_tells_and_draws_no_more() {
    let mut ledger = Ledger::new(1000);
    let attempt = || {
        let by = |name, action, quota| Draw {
            action,
            ..draw(name, account(1), quota)
        };
        vec![
            by("slow", Action::Slow, "1 per 4s"),
            by("tell", Action::Notify, "1 per 1h"),
            by("crawl", Action::Slow, "1 per 1h"),
        ]
    };
    assert!(fails(&mut ledger, attempt(), second(0)));
    for _ in 0..3 {
        let Decision::Granted {
            reservation,
            delay,
            beyond,
        } = ledger.decide(attempt(), second(1))
        else {
            panic!("none of them refuses");
        };
        assert_eq!(delay, Action::LONGEST_DELAY);
        let said: Vec<_> = beyond.iter().map(|(rule, action)| (rule.as_str(), *action)).collect();
        assert_eq!(
            said,
            [
                ("slow", Action::Slow),
                ("tell", Action::Notify),
                ("crawl", Action::Slow)
            ]
        );
        assert_eq!(reservation.rules().count(), 0);
        ledger.settle(reservation, Outcome::Failed, second(1));
    }
    let Decision::Granted { reservation, delay, .. } =
        ledger.decide(attempt().into_iter().take(1).collect(), second(1))
    else {
        panic!("it does not refuse");
    };
    assert_eq!(delay, Duration::from_secs(3), "as if nothing had come in between");
    ledger.settle(reservation, Outcome::Failed, second(1));
}

#[test]
fn whoever_is_slowed_down_is_under_way() {
    let mut ledger = Ledger::new(1000);
    let attempt = || {
        let slow = Draw {
            action: Action::Slow,
            ..draw("slow", account(1), "1 per 1h")
        };
        let capped = Draw {
            in_flight: Some(1),
            ..draw("capped", account(1), "100 per 1h")
        };
        vec![slow, capped]
    };
    assert!(fails(&mut ledger, attempt(), second(0)));
    let sleeping = granted(&mut ledger, attempt(), second(1)).unwrap();
    assert!(granted(&mut ledger, attempt(), second(1)).is_none());
    ledger.settle(sleeping, Outcome::Failed, second(11));
    assert!(granted(&mut ledger, attempt(), second(11)).is_some());
}

#[test]
fn a_smaller_quota_lets_nobody_wait_longer_than_its_own_time() {
    let mut ledger = Ledger::new(1000);
    for _ in 0..10 {
        assert!(fails(
            &mut ledger,
            vec![draw("account", account(1), "10 per 10h")],
            second(0)
        ));
    }
    let smaller = || vec![draw("account", account(1), "5 per 5m")];
    let Decision::Refused { retry_after, .. } = ledger.decide(smaller(), second(0)) else {
        panic!("what was counted stays");
    };
    assert_eq!(retry_after, Duration::from_mins(1));
}

#[test]
fn whoever_used_up_a_larger_quota_is_let_in_when_the_smaller_one_has_said() {
    let mut ledger = Ledger::new(1000);
    let larger = || vec![draw("account", account(1), "10 per 10h")];
    let smaller = || vec![draw("account", account(1), "5 per 5m")];
    let used_up = |ledger: &mut Ledger| while fails(ledger, larger(), second(0)) {};
    used_up(&mut ledger);
    assert!(!fails(&mut ledger, smaller(), second(0)));
    assert!(fails(&mut ledger, smaller(), second(60)), "as was said");
    assert!(!fails(&mut ledger, smaller(), second(61)), "and once only");

    // A look tells the same, and what it says holds.
    let mut ledger = Ledger::new(1000);
    used_up(&mut ledger);
    let told = ledger.look(&smaller(), second(0)).map(|(wait, _)| wait);
    assert_eq!(told, Some(Duration::from_mins(1)));
    assert_eq!(ledger.look(&smaller(), second(60)), None);
}

#[test]
fn a_million_invented_names_take_bounded_memory_and_free_nobody() {
    let mut ledger = Ledger::new(100_000);
    let victim = || vec![draw("account", account(u64::MAX), "1 per 1h")];
    assert!(fails(&mut ledger, victim(), second(0)));
    let got_in = (0..1_000_000)
        .filter(|number| {
            fails(
                &mut ledger,
                vec![draw("account", account(*number), "5 per 1h")],
                second(1),
            )
        })
        .count();
    assert_eq!(ledger.len(), 25_000, "no rule has more than a quarter");
    assert_eq!(got_in, 24_999 + 5, "the rest shares one meter of the same quota");
    assert!(!fails(&mut ledger, victim(), second(2)), "still counted");
    for number in 0..10_000 {
        assert!(
            fails(&mut ledger, vec![draw("client", client(number), "1 per 1h")], second(2)),
            "another rule has room of its own"
        );
    }
}

#[test]
fn what_is_full_again_makes_room() {
    let mut ledger = Ledger::new(80);
    for number in 0..30 {
        fails(
            &mut ledger,
            vec![draw("account", account(number), "1 per 10s")],
            second(0),
        );
    }
    assert_eq!(ledger.len(), 20);
    let late = || vec![draw("account", account(100), "1 per 10s")];
    assert!(!fails(&mut ledger, late(), second(5)), "shared");
    assert!(fails(&mut ledger, late(), second(10)));
    assert_eq!(ledger.len(), 5, "sixteen went, one came");
    assert_eq!(ledger.sweep(second(10)), 4);
    assert_eq!(ledger.sweep(second(20)), 1);
    assert!(ledger.is_empty());
}

#[test]
fn a_bucket_that_is_drawn_on_again_and_again_is_kept_until_it_is_full_and_then_goes() {
    let mut ledger = Ledger::new(1000);
    let busy = || vec![draw("account", account(1), "10 per 100s")];
    let quiet = |number| vec![draw("client", client(number), "1 per 5s")];
    for step in 0..8_u64 {
        assert!(fails(&mut ledger, busy(), second(step * 9)));
        assert!(fails(
            &mut ledger,
            quiet(u32::try_from(step).unwrap()),
            second(step * 9)
        ));
        assert_eq!(ledger.len(), 2, "each quiet one is full when the next comes");
    }
    // Eight intervals of ten seconds from the beginning on.
    assert_eq!(ledger.sweep(second(79)), 1);
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger.sweep(second(80)), 1);
    assert!(ledger.is_empty());
}

#[test]
fn an_attempt_on_the_shared_meter_is_let_go_of_there() {
    let mut ledger = Ledger::new(1);
    let one = |number| vec![draw("account", account(number), "1 per 1h")];
    assert!(fails(&mut ledger, one(0), second(0)));
    let shared = granted(&mut ledger, one(1), second(0)).unwrap();
    assert!(granted(&mut ledger, one(2), second(0)).is_none());
    ledger.settle(shared, Outcome::Succeeded, second(0));
    assert!(granted(&mut ledger, one(2), second(0)).is_some());
}

#[test]
fn whoever_shared_a_meter_begins_with_what_is_left_of_it() {
    let mut ledger = Ledger::new(1);
    let one = |number, quota| vec![draw("account", account(number), quota)];
    assert!(fails(&mut ledger, one(0, "1 per 10s"), second(0)));
    for _ in 0..3 {
        assert!(fails(&mut ledger, one(1, "3 per 1h"), second(0)));
    }
    assert!(!fails(&mut ledger, one(1, "3 per 1h"), second(1)));
    // There is room for an own meter by now, and no new quota with it.
    assert!(!fails(&mut ledger, one(1, "3 per 1h"), second(20)));
    assert!(fails(&mut ledger, one(1, "3 per 1h"), second(1200)));
}

#[test]
fn another_process_goes_on_with_what_was_counted() {
    let mut old = Ledger::new(8);
    let attempt =
        |ledger: &mut Ledger, number, now| fails(ledger, vec![draw("account", account(number), "2 per 1h")], now);
    for number in [1, 1, 2, 3, 3] {
        assert!(attempt(&mut old, number, second(1000)), "{number}");
    }
    assert!(!attempt(&mut old, 4, second(1000)), "3 and 4 share a meter");
    let text = serde_json::to_string(&old.counted(second(1000))).unwrap();
    // Its clock began later, and it has met somebody already.
    let mut new = Ledger::new(8);
    assert!(attempt(&mut new, 2, second(10)));
    new.take_up(serde_json::from_str(&text).unwrap(), second(10));
    assert!(!attempt(&mut new, 1, second(10)) && !attempt(&mut new, 5, second(10)));
    assert!(attempt(&mut new, 2, second(10)), "one is left of two");
    assert!(!attempt(&mut new, 1, second(10 + 1799)));
    assert!(attempt(&mut new, 1, second(10 + 1800)), "as if nothing had happened");
    assert!(old.counted(second(1_000_000)).is_empty(), "what is full is not told");
}

#[test]
fn what_is_under_way_is_told_as_drawn_and_time_that_has_passed_counts() {
    let mut old = Ledger::new(10);
    let attempt = || vec![draw("account", account(1), "2 per 1h")];
    let held = granted(&mut old, attempt(), second(0)).unwrap();
    assert!(fails(&mut old, attempt(), second(0)));
    let counted = old.counted(second(0));
    old.settle(held, Outcome::Succeeded, second(0));
    let mut new = Ledger::new(10);
    new.take_up(counted.clone(), second(5));
    assert!(!fails(&mut new, attempt(), second(5)));
    let mut later = Ledger::new(10);
    let half_an_hour = 1800 * 1_000_000_000;
    later.take_up(counted.clone().after(half_an_hour), second(5));
    assert!(fails(&mut later, attempt(), second(5)) && !fails(&mut later, attempt(), second(5)));
    assert!(counted.after(2 * half_an_hour).is_empty());
}

#[test]
fn what_is_poured_over_is_counted_there_and_nowhere_else() {
    let mut ledger = Ledger::new(10);
    let of = |number| vec![draw("spray", Subject::Password(NameDigest(number, 0)), "3 per 1h")];
    for _ in 0..2 {
        assert!(fails(&mut ledger, of(1), second(0)));
    }
    assert!(fails(&mut ledger, of(2), second(0)));
    let bucket = |number| Bucket {
        rule: rule("spray"),
        subject: Subject::Password(NameDigest(number, 0)),
    };
    ledger.pour(&bucket(1), &bucket(2), second(0));
    assert!(!fails(&mut ledger, of(2), second(0)), "three in all");
    ledger.pour(&bucket(1), &bucket(2), second(0));
    assert!(fails(&mut ledger, of(2), second(1200)), "once");
    ledger.pour(&bucket(9), &bucket(1), second(0));
    assert!(fails(&mut ledger, of(1), second(0)), "nothing is left of it there");
}
