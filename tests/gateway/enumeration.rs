//! Nobody learns from the time an answer takes who has an account.

use std::fmt::Write;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::statistics::mann_whitney;
use crate::harness::{House, OTHER_PASSWORD, Visitor};

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
async fn measure(visitor: &Visitor, path: &str, status: u16, arms: &mut [Arm]) {
    let count = arms.len();
    assert!(
        [3, 5, 7].contains(&count),
        "only with a prime number of arms does every step reach all of them"
    );
    for arm in arms.iter_mut() {
        arm.milliseconds.clear();
    }
    for round in 0..SAMPLES + 5 {
        let (start, step) = (round % count, 1 + round / count % (count - 1));
        for n in 0..count {
            let arm = &mut arms[(start + n * step) % count];
            let begun = Instant::now();
            let answer = visitor.post_json(path, &arm.body).await;
            let took = begun.elapsed().as_secs_f64() * 1000.0;
            assert_eq!(answer.status, status, "{}: {answer:?}", arm.name);
            if round >= 5 {
                arm.milliseconds.push(took);
            }
        }
    }
}

/// Fails when some pair of arms differs in every one of several runs.
async fn compare(house: &House, path: &str, status: u16, mut arms: Vec<Arm>) {
    let visitor = house.visitor();
    let mut suspects: Option<Vec<(usize, usize)>> = None;
    let mut report = String::new();
    for run in 0..RUNS {
        measure(&visitor, path, status, &mut arms).await;
        let pairs: Vec<(usize, usize)> = (0..arms.len())
            .flat_map(|one| (one + 1..arms.len()).map(move |other| (one, other)))
            .collect();
        let level = SUSPICIOUS / f64::from(u32::try_from(pairs.len()).unwrap());
        let mut differ = Vec::new();
        for (one, other) in pairs {
            let p = mann_whitney(&arms[one].milliseconds, &arms[other].milliseconds);
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
        &people().await,
        "/login",
        401,
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
        &people().await,
        "/forgot-password",
        202,
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
    let house = House::open().await;
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
    compare(
        &people_of_two_systems().await,
        "/login",
        401,
        vec![
            arm("an account with an imported hash", body("105")),
            arm("an account with a hash of ours", body("101")),
            arm("an unknown account", body("999")),
        ],
    )
    .await;
}
