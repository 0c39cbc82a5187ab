//! What a decision of the limits costs: `cargo bench --bench limits`. `-- --quick` shows that it works and measures nothing.
//!
//! The figures are medians of several runs, as a table in Markdown for docs/limits.md.

use std::net::{IpAddr, Ipv6Addr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sekisho::domain::client::ClientAddr;
use sekisho::domain::limits::attempt::{Attempt, Endpoint, LaneKind};
use sekisho::domain::limits::ledger::{Decision, Ledger, Outcome};
use sekisho::domain::limits::policy::{KeyKind, LimitRule, Policy};
use sekisho::domain::limits::record::{AttemptRecord, Verdict};
use sekisho::domain::limits::regime::Regime;
use sekisho::domain::limits::replay::Replay;
use sekisho::domain::limits::{NameDigest, Nanos};
use sekisho::domain::token::TOKEN_BYTES;
use sekisho::ports::{Clock, Entropy, Limiter, Ruling};
use sekisho::store::{LimiterTerms, MemoryLimiter};

/// As the gateway has it: how much memory is taken depends on who gives it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The machine's clock, as the gateway reads it.
struct Machine(Instant);

impl Clock for Machine {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.monotonic().0)).unwrap_or_default()
    }

    fn monotonic(&self) -> Nanos {
        Nanos((1 << 50) + u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

struct Chance(AtomicU64);

impl Entropy for Chance {
    fn token(&self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }
}

/// The rules about a sign-in that a thorough policy has.
fn policy() -> Arc<Policy> {
    let rules = [
        ("sign-in.client", KeyKind::Client, "30 per 15m"),
        ("sign-in.subnet", KeyKind::Subnet, "300 per 15m"),
        ("sign-in.account", KeyKind::Account, "100 per 1h"),
        ("sign-in.client+account", KeyKind::ClientAccount, "10 per 15m"),
        ("sign-in.password", KeyKind::Password, "50 per 15m"),
        ("sign-in.global", KeyKind::Global, "1000000 per 1m"),
    ];
    let rule = |(name, key, quota)| LimitRule::new(name, &[Endpoint::SignIn], key, quota);
    Arc::new(Policy {
        rules: rules.into_iter().filter_map(rule).collect(),
        exempt: Vec::new(),
    })
}

/// The attempt of this number: `people` is how many different ones there are before they repeat themselves.
fn attempt(number: u64, people: u64) -> Attempt {
    let who = number % people;
    let mixed = who.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let address = Ipv6Addr::from_bits((u128::from(mixed) << 64) | 1);
    Attempt {
        account: Some(NameDigest(mixed, who)),
        password: Some(NameDigest(who, mixed)),
        ..Attempt::new(Endpoint::SignIn, ClientAddr::new(IpAddr::V6(address)))
    }
}

fn limiter(candidate: bool) -> MemoryLimiter {
    let (clock, chance) = (Arc::new(Machine(Instant::now())), Arc::new(Chance(AtomicU64::new(0))));
    let limiter = MemoryLimiter::new(LimiterTerms::alone(MemoryLimiter::MOST, [1; 32], clock, chance));
    limiter.govern(Regime {
        active: policy(),
        candidate: candidate.then(policy),
    });
    limiter
}

/// Decides over `many` attempts and ends each, on one ledger alone.
fn ledger_alone(ledger: &mut Ledger, policy: &Policy, from: u64, many: u64, people: u64, outcome: Outcome) {
    for number in from..from + many {
        let now = Nanos((1 << 50) + number * 1000);
        if let Decision::Granted { reservation, .. } = ledger.decide(policy.draws(&attempt(number, people)), now) {
            ledger.settle(reservation, outcome, now);
        }
    }
}

fn through(limiter: &MemoryLimiter, from: u64, many: u64, people: u64, outcome: Outcome) {
    for number in from..from + many {
        if let Ruling::Granted(grant) = limiter.attempt(attempt(number, people), None) {
            grant.settle(outcome);
        }
    }
}

/// A day of so many people who sign in, one in ten of them with a wrong password first.
fn recorded(many: u64) -> Vec<AttemptRecord> {
    let record = |number: u64| {
        let Attempt { client, account, .. } = attempt(number, 10_000);
        AttemptRecord {
            at: Timestamp::UNIX_EPOCH + Duration::from_secs(1 << 30) + Duration::from_millis(number * 100),
            took: Duration::from_millis(30),
            endpoint: Endpoint::SignIn,
            client,
            budgets: 1,
            account,
            person: None,
            lane: LaneKind::Strangers,
            device: None,
            outcome: Some(if number.is_multiple_of(10) {
                Outcome::Failed
            } else {
                Outcome::Succeeded
            }),
            active: Verdict::Granted,
            candidate: None,
        }
    };
    (0..many).map(record).collect()
}

/// The median of what `runs` runs took.
fn median(runs: usize, mut run: impl FnMut(u64) -> Duration) -> Duration {
    let mut took: Vec<_> = (0..runs as u64).map(&mut run).collect();
    took.sort_unstable();
    took.get(runs / 2).copied().unwrap_or_default()
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn row(what: &str, took: Duration, many: u64) {
    let each = took.as_secs_f64() / precise(many);
    println!("| {what} | {:.0} | {:.0} |", each * 1e9, 1.0 / each);
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
const fn precise(count: u64) -> f64 {
    count as f64
}

/// Resident memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u32>().ok());
    f64::from(kib.unwrap_or_default()) / 1024.0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [memory, policies, names] = arguments.as_slice()
        && memory == "--memory"
    {
        return memory_of(policies, names.parse().unwrap_or_default());
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (runs, many) = if quick { (1, 2_000) } else { (7, 200_000) };
    let names = if quick { 10_000 } else { 1_000_000 };
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    let policy = policy();

    println!("Six rules an attempt, median of {runs} runs of {many} attempts, {cores} cores.\n");
    println!("| What | ns an attempt | attempts a second |");
    println!("|---|---|---|");
    for (what, people, outcome) in [
        ("ledger: people who sign in", 1000, Outcome::Succeeded),
        ("ledger: a few names guessed at, mostly refused", 100, Outcome::Failed),
        ("ledger: names never seen before", u64::MAX, Outcome::Failed),
    ] {
        let mut ledger = Ledger::new(MemoryLimiter::MOST);
        let took = median(runs, |run| {
            timed(|| ledger_alone(&mut ledger, &policy, run * many, many, people, outcome))
        });
        row(what, took, many);
    }
    for (what, threads, candidate) in [
        ("limiter, one thread", 1, false),
        ("limiter, one thread, a policy on trial", 1, true),
        ("limiter, a thread on every core", cores, false),
        ("limiter, a thread on every core, a policy on trial", cores, true),
    ] {
        let limiter = limiter(candidate);
        let took = median(runs, |run| {
            timed(|| {
                thread::scope(|scope| {
                    for thread in 0..threads {
                        let (limiter, from) = (&limiter, (run * threads + thread) * many);
                        scope.spawn(move || through(limiter, from, many, 10_000, Outcome::Succeeded));
                    }
                });
            })
        });
        row(what, took, many * threads);
    }

    let records = recorded(many);
    let took = median(runs, |_| {
        timed(|| {
            let mut replay = Replay::new(Arc::clone(&policy), Timestamp::MIN);
            for record in &records {
                replay.take(record);
            }
            std::hint::black_box(replay.finish());
        })
    });
    row("replay of recorded attempts, one policy", took, many);
    drop(records);

    println!("\n{names} invented names, each from a network of its own; the most memory at any time:\n");
    println!("| Policies | Meters kept by each | MiB |");
    println!("|---|---|---|");
    for policies in [ONE, BOTH] {
        measure_apart(policies, names);
    }
}

/// What memory is measured under.
const ONE: &str = "one";
const BOTH: &str = "one, and one on trial";

/// In a process of its own: what an allocator has taken before, it does not take again.
fn measure_apart(policies: &str, names: u64) {
    let measured = std::env::current_exe().and_then(|own| {
        let mut apart = Command::new(own);
        apart.args(["--memory", policies, &names.to_string()]).status()
    });
    if let Err(error) = measured {
        println!("| {policies} | not measured: {error} | |");
    }
}

/// Every ten thousand names are looked at, so that what is taken for a while is seen, too.
fn memory_of(policies: &str, names: u64) {
    const LOOK: u64 = 10_000;
    let before = resident();
    let limiter = limiter(policies == BOTH);
    let (mut most, mut from) = (0.0_f64, 0);
    while from < names {
        let some = LOOK.min(names - from);
        through(&limiter, from, some, u64::MAX, Outcome::Failed);
        most = most.max(resident() - before);
        from += some;
    }
    println!("| {policies} | {} | {most:.1} |", limiter.len());
}
