use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::{Quota as GovernorQuota, RateLimiter};
use proptest::prelude::*;

use super::*;
use crate::domain::limits::Quota;

/// One thing that happens, so many nanoseconds after the one before.
#[derive(Clone, Debug)]
struct Step {
    gap: u64,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    /// Somebody tries, from a client, at an account.
    Try { client: u32, account: u64 },
    /// One of those under way ends.
    End {
        which: prop::sample::Index,
        outcome: Outcome,
    },
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop::sample::select(Outcome::ALL.to_vec())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let act = prop_oneof![
        3 => (0_u32..3, 0_u64..4).prop_map(|(client, account)| Act::Try { client, account }),
        2 => (any::<prop::sample::Index>(), outcomes()).prop_map(|(which, outcome)| Act::End { which, outcome }),
    ];
    let gap = prop_oneof![Just(0), 0_u64..3_000_000_000, 0_u64..60_000_000_000];
    prop::collection::vec((gap, act).prop_map(|(gap, act)| Step { gap, act }), 1..300)
}

fn quotas() -> impl Strategy<Value = Quota> {
    (1_u32..8, 1_u64..200).prop_map(|(burst, period)| Quota::new(burst, Duration::from_secs(period)).unwrap())
}

/// What an attempt draws on: by client, by account, by both, by everybody, as many of them as there are quotas; and a rule
/// that slows down and one that tells, which stop nobody.
fn draws(quotas: &[Quota], from: u32, at: u64) -> Vec<Draw> {
    let subjects = [
        ("client", client(from), Action::Refuse),
        ("account", account(at), Action::Refuse),
        (
            "client+account",
            Subject::ClientAccount(Ipv4Addr::from_bits(from).into(), NameDigest(at, 0)),
            Action::Refuse,
        ),
        ("global", Subject::Global, Action::Refuse),
        ("slow", account(at), Action::Slow),
        ("tell", client(from), Action::Notify),
    ];
    let draws = subjects.into_iter().zip(quotas);
    draws
        .map(|((name, subject, action), quota)| Draw {
            action,
            ..Draw::new(rule(name), subject, *quota)
        })
        .collect()
}

/// An attempt that was granted, and when.
struct Open {
    held: Reservation,
    began: u64,
    drawn: Vec<Draw>,
}

/// One grant that stays drawn: when it was granted, and when it was known to be wrong.
struct Charged {
    granted: u64,
    settled: u64,
    drawn: Vec<Draw>,
}

/// Lets it all happen; what is still under way at the end has failed.
fn run(ledger: &mut Ledger, quotas: &[Quota], steps: &[Step]) -> (Vec<Charged>, u64) {
    let mut now = 1_u64 << 40;
    let (mut open, mut charged) = (Vec::<Open>::new(), Vec::new());
    let mut end = |ledger: &mut Ledger, one: Open, outcome: Outcome, now| {
        ledger.settle(one.held, outcome, Nanos(now));
        if outcome.is_charged() {
            charged.push(Charged {
                granted: one.began,
                settled: now,
                drawn: one.drawn,
            });
        }
    };
    for step in steps {
        now += step.gap;
        match &step.act {
            Act::Try { client, account } => {
                let wanted = draws(quotas, *client, *account);
                if let Decision::Granted {
                    reservation: held,
                    beyond,
                    ..
                } = ledger.decide(wanted.clone(), Nanos(now))
                {
                    let drawn = wanted
                        .into_iter()
                        .filter(|draw| !beyond.iter().any(|(rule, _)| *rule == draw.bucket.rule));
                    open.push(Open {
                        held,
                        began: now,
                        drawn: drawn.collect(),
                    });
                }
            }
            Act::End { which, outcome } if !open.is_empty() => {
                let one = open.swap_remove(which.index(open.len()));
                end(ledger, one, *outcome, now);
            }
            Act::End { .. } => {}
        }
    }
    for one in open {
        end(ledger, one, Outcome::Failed, now);
    }
    (charged, now)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

proptest! {
    /// The one promise: whatever is tried, in whatever order attempts end, in however little memory.
    #[test]
    fn no_window_grants_more_wrong_attempts_than_the_burst_and_what_refilled_in_it(
        quotas in prop::collection::vec(quotas(), 1..=6),
        steps in steps(),
        most in prop::sample::select(vec![0_usize, 1, 3, 1000]),
        window in 0_u64..300_000_000_000,
    ) {
        let (charged, _) = run(&mut Ledger::new(most), &quotas, &steps);
        let mut by_bucket: HashMap<Bucket, (Quota, Vec<u64>)> = HashMap::new();
        for one in &charged {
            for draw in &one.drawn {
                let (_, times) = by_bucket.entry(draw.bucket.clone()).or_insert((draw.quota, Vec::new()));
                times.push(one.granted);
            }
        }
        for (bucket, (quota, mut times)) in by_bucket {
            times.sort_unstable();
            let allowed = u64::from(quota.burst()) + window / nanos(quota.interval());
            for (index, start) in times.iter().enumerate() {
                let within = times[index..].iter().take_while(|at| **at <= start + window).count() as u64;
                prop_assert!(within <= allowed, "{bucket:?}: {within} of {quota} in {window} ns");
            }
        }
    }

    /// A success, and what was not tried, leave the meters as if they had never come: no more room, and no less.
    #[test]
    fn honest_attempts_leave_the_meters_as_if_they_had_never_come(
        quotas in prop::collection::vec(quotas(), 1..=6),
        steps in steps(),
    ) {
        let mut ledger = Ledger::new(1000);
        let (mut charged, now) = run(&mut ledger, &quotas, &steps);
        charged.sort_by_key(|one| one.settled);
        let mut without = Ledger::new(1000);
        for one in charged {
            let held = granted(&mut without, one.drawn, Nanos(one.settled));
            prop_assert!(held.is_some(), "there was room for whatever was charged");
            without.settle(held.unwrap_or_default(), Outcome::Failed, Nanos(one.settled));
        }
        let told = |ledger: &Ledger| {
            let text = serde_json::to_value(ledger.counted(Nanos(now))).unwrap();
            let mut meters: Vec<String> = text["meters"].as_array().unwrap().iter().map(ToString::to_string).collect();
            meters.sort();
            meters
        };
        prop_assert_eq!(told(&ledger), told(&without));
    }

    /// A look says what a decision would say, and changes nothing.
    #[test]
    fn a_look_agrees_with_the_decision(quotas in prop::collection::vec(quotas(), 1..=6), steps in steps()) {
        let mut ledger = Ledger::new(3);
        let (_, now) = run(&mut ledger, &quotas, &steps);
        let wanted = draws(&quotas, 1, 1);
        let look = ledger.look(&wanted, Nanos(now));
        prop_assert_eq!(&look, &ledger.look(&wanted, Nanos(now)));
        let decided = match ledger.decide(wanted, Nanos(now)) {
            Decision::Granted { reservation, .. } => {
                ledger.settle(reservation, Outcome::NotTried, Nanos(now));
                None
            }
            Decision::Refused { retry_after, rule } => Some((retry_after, rule)),
        };
        prop_assert_eq!(look, decided);
    }

    /// The meter is ours since it must be let go of, kept and replayed; where nothing is let go of, it is governor's.
    #[test]
    fn without_successes_a_meter_decides_as_governor_does(
        quota in quotas(),
        gaps in prop::collection::vec(prop_oneof![Just(0), 0_u64..20_000_000_000, 0_u64..300_000_000_000], 1..300),
    ) {
        let clock = FakeRelativeClock::default();
        let theirs = GovernorQuota::with_period(quota.interval()).unwrap();
        let theirs = RateLimiter::direct_with_clock(
            theirs.allow_burst(NonZeroU32::new(quota.burst()).unwrap()),
            clock.clone(),
        );
        let mut ours = Ledger::new(10);
        let mut now = 1_u64 << 40;
        for gap in gaps {
            now += gap;
            clock.advance(Duration::from_nanos(gap));
            let draws = vec![Draw::new(rule("one"), Subject::Global, quota)];
            prop_assert_eq!(fails(&mut ours, draws, Nanos(now)), theirs.check().is_ok(), "after {} ns", gap);
        }
    }
}
