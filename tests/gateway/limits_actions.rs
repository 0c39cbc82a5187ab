//! What rules do beyond their quota, and by what they count, under a running gateway.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Answer, House, OTHER_PASSWORD, PASSWORD, Visitor, eventually};
use crate::metrics::value;

/// A rule beside those of the test policy, which let everybody through.
fn rule(name: &str, more: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nendpoint = \"sign-in\"\n{more}\n")
}

async fn guess(visitor: &Visitor, login: &str, password: &str) -> Answer {
    let body = json!({"login": login, "password": password});
    visitor.post_json("/login", &body).await
}

/// How long a wrong password takes.
async fn wait(visitor: &Visitor, login: &str) -> Duration {
    let begun = Instant::now();
    assert_eq!(guess(visitor, login, OTHER_PASSWORD).await.status, 401);
    begun.elapsed()
}

async fn said(house: &House, rule: &str, decision: &str) -> f64 {
    let series = format!("sekisho_limit_decisions_total{{rule=\"{rule}\",decision=\"{decision}\"}}");
    value(house, &series).await
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_slowed_down_before_anything_is_hashed_and_known_browsers_are_not() {
    let slow = rule("tar", "key = \"account\"\nquota = \"1 per 8s\"\naction = \"slow\"");
    let house = House::with(&slow).await;
    let person = house.welcome("101").await;
    let desk = house.signed_in(&person).await;
    let stranger = house.visitor();
    wait(&stranger, "101").await;
    let hashed = value(&house, "sekisho_hashing_completed_total").await;
    let (slowed, at_once) = tokio::join!(wait(&stranger, "101"), async {
        eventually("the stranger to be kept waiting", async || {
            (said(&house, "tar", "slowed").await >= 1.0).then_some(())
        })
        .await;
        let still = value(&house, "sekisho_hashing_completed_total").await;
        assert!((still - hashed).abs() < f64::EPSILON, "nothing was hashed for it yet");
        guess(&desk, "101", PASSWORD).await.status
    });
    assert_eq!(at_once, 200, "her own browser waits for nobody");
    assert!(slowed > Duration::from_secs(1), "{slowed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_tells_stops_nobody_and_is_told_of_once_a_minute() {
    let house = House::with(&rule(
        "watch",
        "key = \"client\"\nquota = \"2 per 1h\"\naction = \"notify\"",
    ))
    .await;
    for _ in 0..6 {
        assert_eq!(guess(&house.visitor(), "999", PASSWORD).await.status, 401);
    }
    house.event("limits.reached", Some("watch")).await;
    let events = house.events().await;
    assert_eq!(
        events.iter().filter(|event| event["name"] == "limits.reached").count(),
        1
    );
    let noted = said(&house, "watch", "noted").await;
    assert!((noted - 4.0).abs() < f64::EPSILON, "{noted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_password_tried_on_many_accounts_is_stopped_and_others_are_not() {
    let house = House::with(&rule("spray", "key = \"password\"\nquota = \"4 per 15m\"")).await;
    let person = house.welcome("101").await;
    for number in 0..4 {
        let answer = guess(&house.visitor(), &format!("90{number}"), OTHER_PASSWORD).await;
        assert_eq!(answer.status, 401);
    }
    for login in ["905", "101", "nobody@example.com"] {
        let stopped = guess(&house.visitor(), login, OTHER_PASSWORD).await;
        stopped.is_problem(429, "throttled");
    }
    assert!(house.visitor().sign_in("101", &person.password).await.is_done());
    for (path, bytes) in house.gateway.stored() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("\"Password\""), "{} tells of a password", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_under_way_at_once_than_a_rule_lets() {
    let both = format!(
        "{}{}",
        rule(
            "few",
            "key = \"account\"\nlane = \"strangers\"\nquota = \"1000 per 1h\"\nin_flight = 2"
        ),
        rule("tar", "key = \"client\"\nquota = \"1 per 8s\"\naction = \"slow\"")
    );
    let house = House::with(&both).await;
    house.welcome("101").await;
    guess(&house.visitor(), "999", PASSWORD).await;
    let visitors: Vec<_> = (0..6).map(|_| house.visitor()).collect();
    let answers = join_all(visitors.iter().map(|visitor| guess(visitor, "101", PASSWORD))).await;
    let count = |wanted| answers.iter().filter(|answer| answer.status == wanted).count();
    assert_eq!((count(200), count(429)), (2, 4), "whoever is kept waiting is under way");
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(
        refused.header("retry-after"),
        Some("1"),
        "how those end nobody knows yet"
    );
    assert_eq!(guess(&house.visitor(), "101", PASSWORD).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_one_network_closes_that_network_alone() {
    let house = House::with(&format!(
        "{}[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n",
        rule("net", "key = \"subnet\"\nquota = \"5 per 1h\"")
    ))
    .await;
    house.welcome("101").await;
    let from = async |address: &str, password: &str| {
        let visitor = house.visitor().always("x-forwarded-for", address);
        guess(&visitor, "101", password).await.status
    };
    for last in 1..=5 {
        assert_eq!(from(&format!("198.51.100.{last}"), OTHER_PASSWORD).await, 401);
    }
    assert_eq!(from("198.51.100.77", PASSWORD).await, 429);
    assert_eq!(from("198.51.101.77", PASSWORD).await, 200);
    for tail in ["1::1", "2::1", "3:4::5", "5::1", "6::1"] {
        assert_eq!(from(&format!("2001:db8:7:{tail}"), OTHER_PASSWORD).await, 401, "{tail}");
    }
    assert_eq!(from("2001:db8:7:ffff::1", PASSWORD).await, 429);
    assert_eq!(from("2001:db8:8::1", PASSWORD).await, 200);
}
