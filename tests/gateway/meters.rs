//! What is counted: exactly, however much happens at once, for an account by whatever name, and over a restart.

use std::fs;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, Visitor, eventually, quotas};
use crate::metrics::value;

const HASHED: &str = "sekisho_hashing_completed_total";

async fn guess(visitor: &Visitor, login: &str, password: &str) -> u16 {
    let body = json!({"login": login, "password": password});
    visitor.post_json("/login", &body).await.status
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_guesses_over_fifty_connections_have_exactly_the_quota_compared() {
    let house = House::with(&quotas(&[("sign-in.account", "10 per 1h")])).await;
    house.welcome("101").await;
    let before = value(&house, HASHED).await;
    let visitors: Vec<_> = (0..50).map(|_| house.visitor()).collect();
    let guesses = visitors.iter().enumerate().map(|(number, visitor)| async move {
        let mut statuses = Vec::new();
        for turn in 0..4 {
            statuses.push(guess(visitor, "101", &format!("{OTHER_PASSWORD} {number} {turn}")).await);
        }
        statuses
    });
    let statuses = join_all(guesses).await.concat();
    assert_eq!(
        (count(&statuses, 401), count(&statuses, 429)),
        (10, 190),
        "{statuses:?}"
    );
    let compared = value(&house, HASHED).await - before;
    assert!((compared - 10.0).abs() < f64::EPSILON, "{compared} were compared");
    // At whichever address, and by whichever spelling.
    for login in ["101", "１０１", "p101@example.com", "P101@Example.COM"] {
        assert_eq!(guess(&house.visitor(), login, PASSWORD).await, 429, "{login}");
    }
    assert!((value(&house, HASHED).await - before - 10.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_sign_in_at_the_same_time_use_up_nothing() {
    let house = House::with(&quotas(&[
        ("sign-in.client", "8 per 1h"),
        ("sign-in.account", "8 per 1h"),
    ]))
    .await;
    for extension in ["101", "102", "103", "104"] {
        house.welcome(extension).await;
    }
    for _ in 0..10 {
        let visitors: Vec<_> = (0..8).map(|_| house.visitor()).collect();
        let people = visitors.iter().enumerate();
        let statuses = join_all(
            people.map(|(number, visitor)| guess(visitor, ["101", "102", "103", "104"][number % 4], PASSWORD)),
        );
        assert_eq!(count(&statuses.await, 200), 8);
    }
    for _ in 0..8 {
        assert_eq!(guess(&house.visitor(), "999", PASSWORD).await, 401, "all of it is left");
    }
    assert_eq!(guess(&house.visitor(), "101", PASSWORD).await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_counted_as_one_by_its_number_and_by_its_address() {
    let house = House::with(&quotas(&[("sign-in.account", "4 per 1h")])).await;
    let person = house.welcome("101").await;
    for login in ["101", &person.email, "１０１", &person.email.to_uppercase()] {
        assert_eq!(guess(&house.visitor(), login, OTHER_PASSWORD).await, 401, "{login}");
    }
    for login in ["101", &person.email] {
        assert_eq!(guess(&house.visitor(), login, PASSWORD).await, 429, "{login}");
    }
    assert_eq!(guess(&house.visitor(), "999", PASSWORD).await, 401, "others are not");
}

/// Uses up what may be tried for an account.
async fn use_up(house: &House, login: &str) {
    for _ in 0..3 {
        assert_eq!(guess(&house.visitor(), login, OTHER_PASSWORD).await, 401);
    }
    assert_eq!(guess(&house.visitor(), login, PASSWORD).await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_outlives_a_restart_and_what_was_written_down_a_crash() {
    let house = House::with(&quotas(&[("sign-in.account", "3 per 1h")])).await;
    let person = house.welcome("101").await;
    use_up(&house, "101").await;
    use_up(&house, "nobody@example.com").await;
    house.gateway.restart().await;
    for login in ["101", person.email.as_str(), "nobody@example.com"] {
        assert_eq!(guess(&house.visitor(), login, PASSWORD).await, 429, "{login}");
    }
    let file = house.gateway.home().join("store/limits.json");
    let text = fs::read_to_string(&file).unwrap();
    for secret in ["nobody", "101@", "example", PASSWORD, OTHER_PASSWORD] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    // Killed: what it started with is still there.
    house.gateway.kill();
    house.gateway.start().await;
    assert_eq!(guess(&house.visitor(), "101", PASSWORD).await, 429);
    assert_eq!(guess(&house.visitor(), "999", PASSWORD).await, 401, "others begin anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_counters_are_told_of_and_keep_nobody_out() {
    let house = House::with(&quotas(&[("sign-in.account", "3 per 1h")])).await;
    house.welcome("101").await;
    use_up(&house, "101").await;
    assert!(house.gateway.stop().await.success());
    let file = house.gateway.home().join("store/limits.json");
    fs::write(&file, "{\"version\":1,\"at\":").unwrap();
    house.gateway.start().await;
    eventually("the log to say so", async || {
        house
            .gateway
            .printed()
            .contains("begin with empty counters")
            .then_some(())
    })
    .await;
    assert_eq!(guess(&house.visitor(), "101", PASSWORD).await, 200);
    eventually("the file to be whole again", async || {
        let text = fs::read_to_string(&file).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).ok()
    })
    .await;
}
