use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;

use super::*;
use crate::domain::client::ClientAddr;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::policy::{Action, LimitRule};
use crate::domain::limits::record::AttemptRecord;
use crate::domain::token::TOKEN_BYTES;

/// A clock that each reading moves on, so that nothing happens at the same time; and chance that never repeats itself.
struct Ticking {
    now: AtomicU64,
    tick: u64,
}

const START: u64 = 1 << 50;

impl Ticking {
    fn by(tick: u64) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(START),
            tick,
        })
    }

    fn wait(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap();
        self.now.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.now.load(Ordering::Relaxed))).unwrap()
    }

    fn monotonic(&self) -> Nanos {
        Nanos(self.now.fetch_add(self.tick, Ordering::Relaxed))
    }
}

impl Entropy for Ticking {
    fn token(&self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..8].copy_from_slice(&self.now.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }
}

/// Keeps what is noted.
#[derive(Default)]
struct Notes(Mutex<Vec<Seen>>);

impl AttemptLog for Notes {
    fn note(&self, seen: Seen) {
        self.0.lock().push(seen);
    }
}

fn limiter(clock: &Arc<Ticking>, notes: &Arc<Notes>) -> MemoryLimiter {
    MemoryLimiter::new(LimiterTerms {
        log: Arc::clone(notes) as _,
        ..LimiterTerms::alone(1000, [1; 32], Arc::clone(clock) as _, Arc::clone(clock) as _)
    })
}

fn rule(name: &str, key: KeyKind, quota: &str) -> LimitRule {
    LimitRule::new(name, &[Endpoint::SignIn], key, quota).unwrap()
}

fn policy(rules: Vec<LimitRule>) -> Arc<Policy> {
    Arc::new(Policy {
        rules,
        exempt: Vec::new(),
    })
}

fn regime(active: Vec<LimitRule>, candidate: Option<Vec<LimitRule>>) -> Regime {
    Regime {
        active: policy(active),
        candidate: candidate.map(policy),
    }
}

fn client(number: u32) -> ClientAddr {
    ClientAddr::new(Ipv4Addr::from_bits(number).into())
}

fn attempt(from: u32, at: u64) -> Attempt {
    Attempt {
        account: Some(NameDigest(at, 0)),
        ..Attempt::new(Endpoint::SignIn, client(from))
    }
}

fn granted(limiter: &MemoryLimiter, attempt: Attempt) -> Option<Grant> {
    match limiter.attempt(attempt, None) {
        Ruling::Granted(grant) => Some(grant),
        Ruling::Refused(_) => None,
    }
}

#[test]
fn attempts_in_parallel_get_exactly_the_quota() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    limiter.govern(regime(
        vec![
            rule("account", KeyKind::Account, "10 per 15m"),
            rule("client", KeyKind::Client, "50 per 15m"),
        ],
        None,
    ));
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..200 {
            let (limiter, count) = (&limiter, &count);
            scope.spawn(move || {
                if let Some(grant) = granted(limiter, attempt(worker, 1)) {
                    count.fetch_add(1, Ordering::Relaxed);
                    grant.settle(Outcome::Failed);
                }
            });
        }
    });
    assert_eq!(count.into_inner(), 10);
    assert_eq!(limiter.len(), 11, "a refused attempt leaves no meter behind");
    assert_eq!(notes.0.lock().len(), 200, "each is noted");
}

#[test]
fn an_attempt_under_a_ban_is_noted_as_one_and_drawn_like_any_wrong_one() {
    let (clock, notes) = (Ticking::by(1), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    let rules = |quota: &str| vec![rule("account", KeyKind::Account, quota)];
    limiter.govern(regime(rules("2 per 1h"), Some(rules("1 per 1h"))));
    let banned = || Attempt {
        banned: true,
        ..attempt(1, 1)
    };
    granted(&limiter, banned()).unwrap().settle(Outcome::NotTried);
    for _ in 0..2 {
        clock.wait(Duration::from_millis(5));
        drop(granted(&limiter, banned()).unwrap());
    }
    assert!(
        granted(&limiter, banned()).is_none(),
        "nobody can tell it from a wrong password"
    );
    let by_account = || Verdict::Refused(RuleName::parse("account").unwrap());
    let noted: Vec<_> = notes.0.lock().drain(..).map(|seen| seen.record).collect();
    let said: Vec<_> = noted
        .iter()
        .map(|record| (record.active.clone(), record.candidate.clone().unwrap(), record.outcome))
        .collect();
    assert_eq!(
        said,
        [
            (Verdict::Banned, Verdict::Banned, Some(Outcome::NotTried)),
            (Verdict::Banned, Verdict::Banned, None),
            (Verdict::Banned, by_account(), None),
            (by_account(), by_account(), None),
        ]
    );
    assert!(
        noted[1].took > Duration::ZERO,
        "what it held until then is held in a replay"
    );
}

#[test]
fn a_ban_stops_under_the_candidate_what_a_rule_has_stopped_under_the_policy_in_force() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    let rules = |quota: &str| vec![rule("account", KeyKind::Account, quota)];
    limiter.govern(regime(rules("1 per 1h"), Some(rules("9 per 1h"))));
    let banned = || Attempt {
        banned: true,
        ..attempt(1, 1)
    };
    drop(granted(&limiter, banned()).unwrap());
    assert!(granted(&limiter, banned()).is_none());
    let seen = notes.0.lock().pop().unwrap().record;
    assert_eq!(seen.active, Verdict::Refused(RuleName::parse("account").unwrap()));
    assert_eq!(seen.candidate, Some(Verdict::Banned), "it would not have been granted");
}

#[test]
fn by_what_a_rule_counts_is_known_while_it_is_in_force() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    let both = vec![
        rule("a", KeyKind::Account, "1 per 15m"),
        rule("c", KeyKind::Client, "1 per 15m"),
    ];
    limiter.govern(regime(both, Some(vec![rule("trial", KeyKind::Subnet, "1 per 15m")])));
    let by = |name| limiter.counts_by(&RuleName::parse(name).unwrap());
    assert_eq!(
        (by("a"), by("c"), by("trial"), by("mail.day")),
        (Some(KeyKind::Account), Some(KeyKind::Client), None, None)
    );
}

#[test]
fn whoever_hangs_up_has_guessed() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    limiter.govern(regime(vec![rule("account", KeyKind::Account, "1 per 15m")], None));
    drop(granted(&limiter, attempt(1, 1)).unwrap());
    assert!(granted(&limiter, attempt(1, 1)).is_none());
    assert_eq!(notes.0.lock()[0].record.outcome, Some(Outcome::Failed));
}

#[test]
fn what_was_counted_stays_with_a_rule_of_the_same_name_when_the_policy_changes() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    let account = |quota| rule("account", KeyKind::Account, quota);
    limiter.govern(regime(vec![account("2 per 15m")], None));
    for _ in 0..2 {
        drop(granted(&limiter, attempt(1, 1)).unwrap());
    }
    limiter.govern(regime(vec![rule("other", KeyKind::Account, "1 per 15m")], None));
    granted(&limiter, attempt(1, 1)).unwrap().settle(Outcome::Succeeded);
    limiter.govern(regime(vec![account("2 per 15m")], None));
    assert!(granted(&limiter, attempt(1, 1)).is_none());
    limiter.govern(regime(vec![account("3 per 15m")], None));
    assert!(granted(&limiter, attempt(1, 1)).is_none(), "it is as empty as it was");
    clock.wait(Duration::from_mins(5));
    drop(granted(&limiter, attempt(1, 1)).unwrap());
    assert!(granted(&limiter, attempt(1, 1)).is_none());
    limiter.govern(regime(vec![rule("account", KeyKind::Client, "3 per 15m")], None));
    assert!(
        granted(&limiter, attempt(1, 1)).is_some(),
        "it counts by something else"
    );
}

#[test]
fn a_knock_refuses_whom_every_account_would_refuse_and_draws_on_nothing() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    limiter.govern(regime(
        vec![
            rule("client", KeyKind::Client, "2 per 15m"),
            rule("account", KeyKind::Account, "1 per 15m"),
            rule("all", KeyKind::Global, "3 per 1h"),
            rule("strangers", KeyKind::Subnet, "1 per 5h").of(LaneKind::Strangers),
        ],
        Some(vec![rule("trial", KeyKind::Account, "1 per 15m")]),
    ));
    for _ in 0..5 {
        assert_eq!(limiter.knock(&attempt(1, 1), None), None);
    }
    assert!(limiter.is_empty() && notes.0.lock().is_empty());
    drop(granted(&limiter, attempt(1, 1)).unwrap());
    assert_eq!(limiter.knock(&attempt(1, 1), None), None, "it may be a known device");
    for other in [2, 3] {
        let known = Attempt {
            device: Some(NameDigest(1, 1)),
            ..attempt(other, other.into())
        };
        drop(granted(&limiter, known));
    }
    let stopped = limiter.knock(&attempt(2, 1), None).unwrap();
    assert_eq!(stopped.rule.as_str(), "all");
    let Ruling::Refused(afterwards) = limiter.attempt(attempt(2, 1), None) else {
        panic!("it would be refused afterwards, too");
    };
    assert_eq!(afterwards, stopped, "by the same rule, though others refuse for longer");
    notes.0.lock().pop();
    let seen = notes.0.lock().pop().unwrap().record;
    assert_eq!(seen.outcome, None);
    assert!(matches!(seen.active, Verdict::Refused(rule) if rule.as_str() == "all"));
    assert!(matches!(seen.candidate, Some(Verdict::Refused(rule)) if rule.as_str() == "trial"));
}

#[test]
fn a_client_that_stands_for_many_has_more_room_where_nothing_else_is_counted_by() {
    struct Three;
    impl Crowds for Three {
        fn budgets(&self, _: std::net::IpAddr) -> u32 {
            3
        }
    }
    let clock = Ticking::by(0);
    let limiter = MemoryLimiter::new(LimiterTerms {
        crowds: Arc::new(Three),
        ..LimiterTerms::alone(1000, [1; 32], Arc::clone(&clock) as _, Arc::clone(&clock) as _)
    });
    limiter.govern(regime(
        vec![
            rule("client", KeyKind::Client, "1 per 15m"),
            rule("account", KeyKind::Account, "2 per 15m"),
        ],
        None,
    ));
    let got_in = |at| granted(&limiter, attempt(1, at)).is_some();
    assert!(got_in(1) && got_in(1) && !got_in(1));
    assert!(got_in(2) && !got_in(3));
    let letter = |subject| {
        let draw = Draw::new(RuleName::parse("mail").unwrap(), subject, "1 per 15m".parse().unwrap());
        matches!(limiter.draw(vec![draw]), Ruling::Granted(_))
    };
    let of_client = || letter(Subject::Client(client(1).limit_key()));
    assert!(of_client() && of_client() && of_client() && !of_client());
    assert!(letter(Subject::Global) && !letter(Subject::Global));
}

#[test]
fn one_password_is_counted_over_many_accounts_and_a_new_key_cuts_no_window() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    let spray = || vec![rule("spray", KeyKind::Password, "3 per 15m")];
    limiter.govern(regime(spray(), Some(spray())));
    let guess = |at: u64, typed: &str| {
        let password = Password::parse(typed, 100).unwrap();
        let attempt = Attempt {
            password: Some(limiter.digest_password(&password)),
            ..attempt(u32::try_from(at).unwrap(), at)
        };
        granted(&limiter, attempt).is_some()
    };
    let digest = || limiter.digest_password(&Password::parse("summer2026", 100).unwrap());
    let first = digest();
    clock.wait(PasswordKeys::LIFE.saturating_sub(Duration::from_mins(1)));
    assert!((0..3).all(|at| guess(at, "summer2026")) && !guess(3, "summer2026"));
    assert!(guess(3, "another"), "other passwords are counted apart");
    clock.wait(Duration::from_mins(2));
    assert_ne!(digest(), first, "by now it is another key");
    assert!(!guess(7, "summer2026"), "what was counted is counted on");
    let notes = notes.0.lock();
    let last = &notes.last().unwrap().record;
    assert_eq!(last.candidate.as_ref(), Some(&last.active), "on trial, too");
    drop(notes);
    clock.wait(2 * PasswordKeys::LIFE);
    assert!(guess(8, "summer2026"));
}

#[test]
fn names_are_digested_under_the_key() {
    let with = |key| {
        let clock = Ticking::by(0);
        MemoryLimiter::new(LimiterTerms::alone(1, key, Arc::clone(&clock) as _, clock))
    };
    let limiter = with([1; 32]);
    assert_eq!(limiter.digest_text("101"), limiter.digest_text("101"));
    assert_ne!(limiter.digest_text("101"), limiter.digest_text("102"));
    assert_ne!(limiter.digest_text("101"), with([2; 32]).digest_text("101"));
    // RFC 4231 test case 2 shows that it is HMAC-SHA-256, its first 128 bits.
    let mut key = [0; 32];
    key[..4].copy_from_slice(b"Jefe");
    assert_eq!(
        with(key).digest_text("what do ya want for nothing?"),
        NameDigest(0x5bdc_c146_bf60_754e, 0x6a04_2426_0895_75c7)
    );
}

#[test]
fn records_are_as_far_apart_as_attempts_were_whatever_the_clock_on_the_wall_does() {
    struct Jumping(AtomicU64, AtomicU64);
    impl Clock for Jumping {
        fn now(&self) -> Timestamp {
            Timestamp::from_nanosecond(i128::from(self.1.load(Ordering::Relaxed))).unwrap()
        }

        fn monotonic(&self) -> Nanos {
            Nanos(self.0.load(Ordering::Relaxed))
        }
    }
    let second = 1_000_000_000;
    let clock = Jumping(AtomicU64::new(5 * second), AtomicU64::new(1000 * second));
    let mut almanac = Almanac::new(&clock);
    let mut at = |moment: u64, wall: u64| {
        clock.1.store(wall, Ordering::Relaxed);
        almanac.at(Nanos(moment), &clock).as_nanosecond()
    };
    let told = i128::from(1007 * second + 3);
    assert_eq!(at(12 * second + 3, 1007 * second + second / 2), told);
    assert_eq!(at(13 * second, 5000 * second), i128::from(5000 * second), "it was set");
    assert_eq!(at(14 * second, 5001 * second - 1), i128::from(5001 * second));
}

/// Resident memory of this process, in bytes. Tests run in processes of their own.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

#[test]
fn a_million_invented_names_stay_under_64_mib_and_free_nobody_with_a_policy_on_trial_beside() {
    let clock = Ticking::by(1000);
    let terms = LimiterTerms::alone(
        MemoryLimiter::MOST,
        [1; 32],
        Arc::clone(&clock) as _,
        Arc::clone(&clock) as _,
    );
    // A process that has run for long: its allocator has had large blocks, and keeps the room of such from then on.
    drop(std::hint::black_box(vec![1_u8; 30 << 20]));
    let before = resident();
    let limiter = MemoryLimiter::new(terms);
    let rules = || {
        vec![
            rule("account", KeyKind::Account, "5 per 1h"),
            rule("pair", KeyKind::ClientAccount, "5 per 1h"),
            rule("client", KeyKind::Client, "5 per 1h"),
            rule("password", KeyKind::Password, "5 per 1h"),
        ]
    };
    limiter.govern(regime(rules(), Some(rules())));
    let victim = || attempt(1, u64::MAX);
    for _ in 0..5 {
        drop(granted(&limiter, victim()).unwrap());
    }
    let mut most = 0;
    for number in 0..1_000_000_u64 {
        let invented = Attempt {
            password: Some(NameDigest(number, number)),
            ..attempt(u32::try_from(number).unwrap(), number)
        };
        drop(granted(&limiter, invented));
        if number % 10_000 == 9_999 {
            most = most.max(resident().saturating_sub(before));
        }
    }
    assert_eq!(limiter.len(), MemoryLimiter::MOST);
    assert!(most < 64 << 20, "{} MiB", most >> 20);
    assert!(granted(&limiter, victim()).is_none(), "still counted");
}

/// What the records say, decided over again one after the other.
struct Again {
    ledger: Ledger,
    policy: Arc<Policy>,
    open: Vec<(u64, Outcome, Reservation)>,
}

impl Again {
    fn new(policy: &Arc<Policy>) -> Self {
        Self {
            ledger: Ledger::new(1000),
            policy: Arc::clone(policy),
            open: Vec::new(),
        }
    }

    fn settle_until(&mut self, now: u64) {
        self.open.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
        while self.open.last().is_some_and(|(at, ..)| *at <= now) {
            let (at, outcome, held) = self.open.pop().unwrap();
            self.ledger.settle(held, outcome, Nanos(at));
        }
    }

    fn decide(&mut self, record: &AttemptRecord) -> Verdict {
        let now = u64::try_from(record.at.as_nanosecond()).unwrap();
        self.settle_until(now);
        let attempt = Attempt {
            budgets: record.budgets,
            account: record.account,
            device: record.device,
            ..Attempt::new(record.endpoint, record.client)
        };
        let decision = self.ledger.decide(self.policy.draws(&attempt), Nanos(now));
        let said = Verdict::of(&decision);
        if let Decision::Granted { reservation, .. } = decision {
            let took = u64::try_from(record.took.as_nanos()).unwrap();
            let outcome = record.outcome.unwrap_or(Outcome::Failed);
            self.open.push((now + took, outcome, reservation));
        }
        said
    }
}

/// Eight threads try as they like; what the one lock made of it is one order, and the pure ledger, going through it alone,
/// says the same to every attempt: as the policy in force, and as the one on trial.
#[test]
fn what_happens_at_once_is_what_the_ledger_decides_one_after_the_other() {
    for round in 0..20_u64 {
        let (clock, notes) = (Ticking::by(1 + round * 3_000_000), Arc::new(Notes::default()));
        let limiter = limiter(&clock, &notes);
        let active = vec![
            rule("client", KeyKind::Client, "20 per 10s"),
            rule("account", KeyKind::Account, "9 per 3s"),
            rule("pair", KeyKind::ClientAccount, "4 per 2s"),
            LimitRule {
                in_flight: Some(3),
                action: Action::Slow,
                ..rule("slow", KeyKind::Account, "2 per 1s")
            },
        ];
        let mut candidate = active.clone();
        candidate[1].quota = "3 per 2s".parse().unwrap();
        candidate[2].in_flight = Some(1);
        let regime = regime(active, Some(candidate));
        limiter.govern(regime.clone());
        thread::scope(|scope| {
            for worker in 0..8_u64 {
                let limiter = &limiter;
                scope.spawn(move || {
                    let mut chance = worker * 1000 + round + 1;
                    let mut open = Vec::new();
                    for _ in 0..200 {
                        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let from = u32::try_from((chance >> 33) % 3).unwrap();
                        open.extend(granted(limiter, attempt(from, (chance >> 40) % 3)));
                        if (chance >> 50) % 3 > 0
                            && let Some(grant) = open.pop()
                        {
                            grant.settle(Outcome::ALL[usize::try_from((chance >> 55) % 4).unwrap()]);
                        }
                    }
                });
            }
        });
        let mut records: Vec<AttemptRecord> = notes.0.lock().drain(..).map(|seen| seen.record).collect();
        records.sort_by_key(|record| record.at);
        assert_eq!(records.len(), 1600);
        let mut again = Again::new(&regime.active);
        let mut on_trial = Again::new(regime.candidate.as_ref().unwrap());
        let mut refused = 0;
        for record in &records {
            assert_eq!(again.decide(record), record.active);
            assert_eq!(Some(on_trial.decide(record)), record.candidate);
            refused += usize::from(matches!(record.active, Verdict::Refused(_)));
        }
        assert!(refused > 0 && refused < 1600, "{refused}");
    }
}

#[test]
fn what_was_held_on_one_trial_is_not_charged_to_the_next() {
    let (clock, notes) = (Ticking::by(0), Arc::new(Notes::default()));
    let limiter = limiter(&clock, &notes);
    let active = || vec![rule("active", KeyKind::Account, "100 per 1h")];
    let on_trial = || regime(active(), Some(vec![rule("trial", KeyKind::Account, "2 per 1h")]));
    limiter.govern(on_trial());
    let held = granted(&limiter, attempt(1, 1)).unwrap();
    limiter.govern(regime(active(), None));
    limiter.govern(on_trial());
    let other = granted(&limiter, attempt(1, 2)).unwrap();
    drop(held);
    drop(other);
    drop(granted(&limiter, attempt(1, 2)).unwrap());
    drop(granted(&limiter, attempt(1, 2)).unwrap());
    let said: Vec<_> = notes
        .0
        .lock()
        .iter()
        .map(|seen| seen.record.candidate.clone())
        .collect();
    let refused = Some(Verdict::Refused(RuleName::parse("trial").unwrap()));
    assert_eq!(
        said,
        [
            Some(Verdict::Granted),
            Some(Verdict::Granted),
            Some(Verdict::Granted),
            refused
        ]
    );
}

#[test]
fn every_decision_is_told_of_those_on_trial_too() {
    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);
    impl Told {
        fn say(&self, who: &str, decision: &Decision) {
            let said = match decision {
                Decision::Granted { reservation, .. } => {
                    let rules: Vec<_> = reservation.rules().map(RuleName::as_str).collect();
                    format!("{who} granted {}", rules.join(","))
                }
                Decision::Refused { rule, .. } => format!("{who} refused {rule}"),
            };
            self.0.lock().push(said);
        }
    }
    impl Witness for Told {
        fn decided(&self, _: Option<Endpoint>, decision: &Decision) {
            self.say("active", decision);
        }

        fn tried(&self, decision: &Decision) {
            self.say("trial", decision);
        }

        fn governs(&self, _: &Policy, _: Option<&Policy>) {}
    }
    let (clock, told) = (Ticking::by(0), Arc::new(Told::default()));
    let limiter = MemoryLimiter::new(LimiterTerms {
        witness: Arc::clone(&told) as _,
        ..LimiterTerms::alone(1000, [1; 32], Arc::clone(&clock) as _, Arc::clone(&clock) as _)
    });
    limiter.govern(regime(
        vec![rule("one", KeyKind::Client, "1 per 1h")],
        Some(vec![rule("two", KeyKind::Client, "2 per 1h")]),
    ));
    for _ in 0..3 {
        drop(granted(&limiter, attempt(1, 1)));
    }
    assert_eq!(
        *told.0.lock(),
        [
            "trial granted two",
            "active granted one",
            "trial granted two",
            "active refused one",
            "trial refused two",
            "active refused one"
        ]
    );
}

#[test]
fn a_policy_on_trial_changes_no_decision() {
    let run = |candidate: Option<Vec<LimitRule>>| {
        let (clock, notes) = (Ticking::by(20_000_000), Arc::new(Notes::default()));
        let limiter = limiter(&clock, &notes);
        let active = vec![
            rule("client", KeyKind::Client, "7 per 10s"),
            rule("account", KeyKind::Account, "5 per 20s"),
        ];
        limiter.govern(regime(active, candidate));
        (0..500_u64)
            .map(|number| {
                let from = u32::try_from(number % 3).unwrap();
                match limiter.attempt(attempt(from, number % 5), None) {
                    Ruling::Granted(grant) => {
                        grant.settle(Outcome::ALL[usize::try_from(number % 4).unwrap()]);
                        None
                    }
                    Ruling::Refused(stopped) => Some(stopped),
                }
            })
            .collect::<Vec<_>>()
    };
    let alone = run(None);
    assert!(alone.iter().any(Option::is_some));
    for candidate in [
        vec![rule("client", KeyKind::Client, "1 per 1h")],
        vec![rule("account", KeyKind::Account, "1000 per 1s")],
        Vec::new(),
    ] {
        assert_eq!(run(Some(candidate)), alone);
    }
}
