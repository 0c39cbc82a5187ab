//! Nobody learns from the time an answer takes who has an account.

use std::fmt::Write;
use std::time::Instant;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::harness::statistics::mann_whitney;
use crate::harness::{House, LATEST, OTHER_PASSWORD, Visitor};

/// Samples of each arm.
const SAMPLES: usize = 250;
/// A difference that is one shows every time; noise does not.
const RUNS: usize = 3;
/// Below this probability, shared out over the comparisons of a run, two arms differ.
const SUSPICIOUS: f64 = 0.01;

struct Arm {
    name: &'static str,
    body: Value,
    milliseconds: Vec<f64>,
}

impl Arm {
    /// Whether it is about somebody who is there.
    fn is_there(&self) -> bool {
        !self.name.contains("unknown")
    }
}

fn arm(name: &'static str, body: Value) -> Arm {
    Arm {
        name,
        body,
        milliseconds: Vec::new(),
    }
}

/// Two active accounts, so that the comparison of the two shows what noise looks like; one that is disabled, one that
/// never set a password, one that is banned.
async fn people() -> House {
    let house = House::open().await;
    for extension in ["101", "102", "103"] {
        house.welcome(extension).await;
    }
    house.gateway.cli(&["account", "disable", "103"]).await.succeeded();
    house.invite("104", &["--no-welcome"]).await;
    house.welcome("106").await;
    let ban = ["limits", "ban", "--account", "106", "--forever"];
    house.gateway.cli(&ban).await.succeeded();
    house.event("limits.banned", None).await;
    house
}

/// Times every arm in turn, so that whatever else happens happens to all of them.
///
/// A request leaves something behind for the next one: pages in a cache, a letter that is sent meanwhile. So the order
/// changes from round to round, and in the course of them every arm follows every other one equally often.
///
/// Where an answer mostly waits, several visitors measure at once, each in turns of its own.
async fn measure(visitors: &[Visitor], path: &str, status: u16, samples: usize, arms: &mut [Arm]) {
    let count = arms.len();
    assert!(
        [3, 5, 7].contains(&count),
        "only with a prime number of arms does every step reach all of them"
    );
    let (share, warm) = (samples.div_ceil(visitors.len()), 1 + 4 / visitors.len());
    let asked: &[Arm] = arms;
    let measured = visitors.iter().enumerate().map(|(offset, visitor)| async move {
        let mut times = vec![Vec::new(); count];
        for round in 0..share + warm {
            let turn = round + offset;
            let (start, step) = (turn % count, 1 + turn / count % (count - 1));
            for n in 0..count {
                let which = (start + n * step) % count;
                let begun = Instant::now();
                let posted = visitor.script(Method::POST, path).json(&asked[which].body);
                let answer = posted.send_within(LATEST).await;
                let took = begun.elapsed().as_secs_f64() * 1000.0;
                assert_eq!(answer.status, status, "{}: {answer:?}", asked[which].name);
                if round >= warm {
                    times[which].push(took);
                }
            }
        }
        times
    });
    let measured = join_all(measured).await;
    for (which, arm) in arms.iter_mut().enumerate() {
        arm.milliseconds = measured.iter().flat_map(|times| times[which].iter().copied()).collect();
    }
}

/// Fails when some pair of arms differs in every one of several runs.
async fn compare(visitors: &[Visitor], path: &str, status: u16, samples: usize, mut arms: Vec<Arm>) {
    let mut suspects: Option<Vec<(usize, usize)>> = None;
    let mut report = String::new();
    for run in 0..RUNS {
        measure(visitors, path, status, samples, &mut arms).await;
        let pairs: Vec<(usize, usize)> = (0..arms.len())
            .flat_map(|one| (one + 1..arms.len()).map(move |other| (one, other)))
            .collect();
        let level = SUSPICIOUS / f64::from(u32::try_from(pairs.len()).unwrap());
        let (mut differ, mut least) = (Vec::new(), 1.0_f64);
        for (one, other) in pairs {
            let p = mann_whitney(&arms[one].milliseconds, &arms[other].milliseconds);
            least = least.min(p);
            if p < level {
                let _ = writeln!(
                    report,
                    "run {run}: {} ({:.3} ms) and {} ({:.3} ms) differ, p = {p:.2e}",
                    arms[one].name,
                    median(&arms[one].milliseconds),
                    arms[other].name,
                    median(&arms[other].milliseconds),
                );
                differ.push((one, other));
            }
        }
        let medians: Vec<_> = arms
            .iter()
            .map(|arm| format!("{:.2}", median(&arm.milliseconds)))
            .collect();
        let all = |there: bool| -> Vec<f64> {
            let of_them = arms.iter().filter(|arm| arm.is_there() == there);
            of_them.flat_map(|arm| arm.milliseconds.iter().copied()).collect()
        };
        eprintln!(
            "figure: {path}, run {run}: the least likely pair has p = {least:.2e}, where {level:.2e} is suspicious; all who \
             are there against all who are not: p = {:.2e}; medians of {} ms",
            mann_whitney(&all(true), &all(false)),
            medians.join(", ")
        );
        suspects = Some(match suspects {
            Some(before) => before.into_iter().filter(|pair| differ.contains(pair)).collect(),
            None => differ,
        });
        if suspects.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
    }
    panic!("these differ every time:\n{report}");
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sign_in_takes_as_long_for_everybody() {
    let body = |login: &str| json!({"login": login, "password": OTHER_PASSWORD});
    compare(
        &[people().await.visitor()],
        "/login",
        401,
        SAMPLES,
        vec![
            arm("a known account", body("101")),
            arm("another known account", body("102")),
            arm("a disabled account", body("103")),
            arm("an account that was never activated", body("104")),
            arm("a banned account", body("106")),
            arm("an unknown account", body("999")),
            arm("another unknown account", body("998")),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn forgot_password_takes_as_long_for_everybody() {
    let body = |email: &str| json!({"email": email});
    compare(
        &[people().await.visitor()],
        "/forgot-password",
        202,
        SAMPLES,
        vec![
            arm("a known address", body("p101@example.com")),
            arm("another known address", body("p102@example.com")),
            arm("the address of a disabled account", body("p103@example.com")),
            arm(
                "the address of an account that was never activated",
                body("p104@example.com"),
            ),
            arm("the address of a banned account", body("p106@example.com")),
            arm("an unknown address", body("p999@example.com")),
            arm("another unknown address", body("p998@example.com")),
        ],
    )
    .await;
}

/// bcrypt of cost 7, nobody's: some ten milliseconds, where a hash of the test's own takes two.
const BCRYPT: &str = "$2b$07$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// Two accounts with hashes of our own, and one whose imported hash takes several times as long.
async fn people_of_two_systems() -> House {
    let house = House::with("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n[passwords.hashing]\nthreads = 2").await;
    for extension in ["101", "102"] {
        house.welcome(extension).await;
    }
    let file = house.gateway.home().join("people.csv");
    std::fs::write(&file, format!("extension,name,password_hash\n105,Sam,{BCRYPT}\n")).unwrap();
    let name = file.display().to_string();
    house
        .gateway
        .cli(&["account", "import", &name, "--apply"])
        .await
        .succeeded();
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sign_in_takes_as_long_for_whoever_has_an_imported_hash() {
    let body = |login: &str| json!({"login": login, "password": OTHER_PASSWORD});
    let house = people_of_two_systems().await;
    // A refusal leaves a tenth of a second after its beginning, or much later on a busy machine, and those of one client
    // leave as far apart: so a few clients measure at once, few enough not to wait for each other's hashes. What would
    // show is the dear hash itself, several times as long as ours, for which a quarter of the samples is enough.
    let client = |number: usize| {
        house
            .visitor()
            .always("x-forwarded-for", &format!("203.0.113.{number}"))
    };
    let visitors: Vec<_> = (1..=4).map(client).collect();
    compare(
        &visitors,
        "/login",
        401,
        SAMPLES / 4,
        vec![
            arm("an account with an imported hash", body("105")),
            arm("an account with a hash of ours", body("101")),
            arm("an unknown account", body("999")),
        ],
    )
    .await;
}
