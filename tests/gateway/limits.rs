//! Limits: so many attempts and no more, counted before any work, for names that exist and for names that do not.

use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::harness::{Answer, House, OTHER_PASSWORD, PASSWORD, quotas};
use crate::metrics::value;

async fn guess(house: &House, login: &str, password: &str) -> Answer {
    let body = json!({"login": login, "password": password});
    house.visitor().post_json("/login", &body).await
}

#[track_caller]
fn is_throttled(answer: &Answer) {
    answer.is_problem(429, "throttled");
    let wait: u64 = answer
        .header("retry-after")
        .expect("it says when to come back")
        .parse()
        .unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_quota_guesses_are_refused_with_a_time_to_come_back() {
    let house = House::with(&quotas(&[("sign-in.client+account", "3 per 1h")])).await;
    house.welcome("101").await;
    for _ in 0..3 {
        assert_eq!(guess(&house, "101", OTHER_PASSWORD).await.status, 401);
    }
    is_throttled(&guess(&house, "101", OTHER_PASSWORD).await);
    is_throttled(&guess(&house, "101", PASSWORD).await);
    is_throttled(&guess(&house, "１０１", PASSWORD).await);
    let page = house.visitor().sign_in("101", PASSWORD).await;
    assert_eq!(page.status, 429, "{page:?}");
    assert!(page.header("retry-after").is_some() && page.header("content-type").unwrap().starts_with("text/html"));
    house.event("sign-in.refused", Some("throttled")).await;
    house.welcome("102").await;
    assert_eq!(
        guess(&house, "102", PASSWORD).await.status,
        200,
        "another account has its own bucket"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_exist_are_counted_alike() {
    let house = House::with(&quotas(&[("sign-in.client+account", "3 per 1h")])).await;
    for name in ["999", "nobody@example.com", "' OR 1=1 --", "内線"] {
        for _ in 0..3 {
            assert_eq!(guess(&house, name, PASSWORD).await.status, 401, "{name}");
        }
        is_throttled(&guess(&house, name, PASSWORD).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_of_a_client_counts_every_name() {
    let house = House::with(&quotas(&[("sign-in.client", "5 per 1h")])).await;
    house.welcome("101").await;
    for n in 0..5 {
        assert_eq!(guess(&house, &format!("90{n}"), PASSWORD).await.status, 401);
    }
    is_throttled(&guess(&house, "101", PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_fills_again() {
    let house = House::with(&quotas(&[("sign-in.client+account", "1 per 1s")])).await;
    house.welcome("101").await;
    assert_eq!(guess(&house, "101", OTHER_PASSWORD).await.status, 401);
    let refused = guess(&house, "101", PASSWORD).await;
    assert!(matches!(refused.status, 429 | 200), "{refused:?}");
    crate::harness::eventually("the bucket to fill", async || {
        (guess(&house, "101", PASSWORD).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn success_gives_back_its_own_draw_and_clears_nothing_else() {
    let house = House::with(&quotas(&[("sign-in.client", "4 per 1h")])).await;
    house.welcome("101").await;
    for _ in 0..10 {
        assert_eq!(
            guess(&house, "101", PASSWORD).await.status,
            200,
            "honest people are not counted"
        );
    }
    for _ in 0..3 {
        assert_eq!(guess(&house, "999", PASSWORD).await.status, 401);
        assert_eq!(guess(&house, "101", PASSWORD).await.status, 200);
    }
    assert_eq!(guess(&house, "999", PASSWORD).await.status, 401);
    is_throttled(&guess(&house, "999", PASSWORD).await);
    is_throttled(&guess(&house, "101", PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_guesses_at_once_are_judged_no_more_than_the_quota() {
    let house = House::with(&quotas(&[("sign-in.client+account", "5 per 1h")])).await;
    house.welcome("101").await;
    let visitor = house.visitor().over_http2();
    visitor.get("/login").await;
    let guesses = (0..50).map(|n| {
        let visitor = &visitor;
        async move {
            let body = json!({"login": "101", "password": format!("{OTHER_PASSWORD} {n}")});
            visitor.post_json("/login", &body).await.status
        }
    });
    let statuses = join_all(guesses).await;
    let judged = statuses.iter().filter(|status| **status == 401).count();
    let throttled = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((judged, throttled), (5, 45), "{statuses:?}");
    let compared = house.events().await;
    let wrong = compared
        .iter()
        .filter(|event| event["detail"] == "wrong-password")
        .count();
    assert_eq!(wrong, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_limit_lets_guesses_through() {
    let house = House::with(&format!(
        "[limits]\nenabled = false\n{}",
        quotas(&[("sign-in.client+account", "1 per 1h")])
    ))
    .await;
    house.welcome("101").await;
    for _ in 0..4 {
        assert_eq!(guess(&house, "101", OTHER_PASSWORD).await.status, 401);
    }
    assert!(
        house.gateway.printed().contains("limits"),
        "and the log says that they are off"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_is_not_flooded() {
    let house = House::with(&quotas(&[("reset.email", "2 per 1h"), ("reset.device", "2 per 1h")])).await;
    let person = house.welcome("101").await;
    let other = house.welcome("102").await;
    let ask = async |email: &str| {
        house
            .visitor()
            .post_json("/forgot-password", &json!({"email": email}))
            .await
    };
    for email in [person.email.as_str(), "nobody@example.com"] {
        assert!(ask(email).await.is_done());
        assert!(ask(&email.to_uppercase()).await.is_done());
        is_throttled(&ask(email).await);
    }
    assert!(ask(&other.email).await.is_done(), "another address has its own bucket");
    house.mailbox.next_links(&other.email).await;
    house.event("link.withheld", Some("reset link-fresh")).await;
    assert_eq!(
        house.mailbox.letters_to(&person.email).len(),
        2,
        "the Welcome and one reset, whose link works"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_ask_for_many_addresses() {
    let house = House::with(&quotas(&[("reset.client", "3 per 1h")])).await;
    for n in 0..3 {
        let body = json!({"email": format!("nobody{n}@example.com")});
        assert!(house.visitor().post_json("/forgot-password", &body).await.is_done());
    }
    is_throttled(
        &house
            .visitor()
            .post_json("/forgot-password", &json!({"email": "a@example.com"}))
            .await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_enter_key_closes_resets_for_nobody_else_behind_the_same_address() {
    let house = House::with(&format!(
        "[limits]\nequal_resets = \"1 per 1h\"\nmail_per_client = \"3 per 1h\"\n{}",
        quotas(&[("reset.client", "3 per 1h")])
    ))
    .await;
    let ask = async |email: &str| {
        let body = json!({"email": email});
        house.visitor().post_json("/forgot-password", &body).await
    };
    for _ in 0..4 {
        assert!(ask("held@example.com").await.is_done());
    }
    is_throttled(&ask("held@example.com").await);
    for other in ["a@example.com", "b@example.com"] {
        assert!(ask(other).await.is_done(), "{other}");
    }
    is_throttled(&ask("c@example.com").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_cannot_try_many_links() {
    let house = House::with(&quotas(&[("ticket.client", "5 per 1h")])).await;
    let ask = async |n: usize| {
        let ticket = format!("{n:A>43}");
        let body = json!({"ticket": ticket, "password": PASSWORD, "confirmation": PASSWORD});
        house.visitor().post_json("/set-password", &body).await
    };
    for n in 0..5 {
        let answer = ask(n).await;
        assert!(answer.status == 410, "{answer:?}");
    }
    is_throttled(&ask(6).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_pages_are_guarded_and_the_web_client_is_not_counted() {
    let house = House::with(&quotas(&[("pages.client", "60 per 1h")])).await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let mut statuses = Vec::new();
    for _ in 0..70 {
        statuses.push(visitor.fetch("/login").await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    for _ in 0..100 {
        assert!(visitor.passes().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_makes_sessions_up_is_stopped_before_the_store_and_costs_a_neighbour_a_detour_at_most() {
    let house = House::with("[access]\npublic = [\"/open\"]").await;
    let person = house.welcome("101").await;
    let neighbour = house.signed_in(&person).await;
    house.gateway.restart().await;
    let stranger = house.visitor().over_http2();
    let made_up = async |number: usize, path: &str| {
        let cookie = format!("__Host-sekisho={number:042}A");
        let asked = stranger.script(Method::GET, path).without_cookies();
        asked.header("cookie", &cookie).send().await.status
    };
    for batch in 0..32 {
        let batch = (0..20).map(|number| made_up(batch * 20 + number, "/x"));
        assert_eq!(join_all(batch).await, [401; 20], "the same answer as ever");
    }
    assert_eq!(made_up(9999, "/open").await, 200, "open to everybody");
    let refused = "sekisho_limit_decisions_total{rule=\"session.client\",decision=\"refused\"}";
    assert!(value(&house, refused).await > 0.5);
    // Nobody remembers the neighbour's session since the restart, nor looks it up on the way to the web client now.
    let session = neighbour.session();
    assert_eq!(neighbour.fetch("/x").await.json()["reason"], "unasked");
    let away = neighbour.get("/x").await;
    assert_eq!(
        (away.status, away.cookie("__Host-sekisho")),
        (303, None),
        "its cookie is left alone"
    );
    let back = neighbour.get(away.location()).await;
    assert_eq!((back.status, back.location()), (303, "/x"));
    assert_eq!(neighbour.get("/x").await.status, 200);
    assert_eq!(neighbour.session(), session);
    let anew = house.signed_in(&person).await;
    assert_eq!(
        anew.fetch("/x").await.status,
        200,
        "a new session is remembered from the beginning"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_trusted_proxy_are_counted_one_by_one() {
    let house = House::with(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n{}",
        quotas(&[("sign-in.client", "2 per 1h")])
    ))
    .await;
    house.welcome("101").await;
    let from = async |address: &str| {
        let visitor = house.visitor().always("x-forwarded-for", address);
        visitor
            .post_json("/login", &json!({"login": "999", "password": PASSWORD}))
            .await
    };
    for address in ["198.51.100.7", "2001:db8:1:2::3"] {
        assert_eq!(from(address).await.status, 401);
        assert_eq!(from(address).await.status, 401);
        is_throttled(&from(address).await);
    }
    is_throttled(&from("2001:db8:1:2:ffff::9").await);
    assert_eq!(from("2001:db8:1:3::3").await.status, 401, "another network");
    assert_eq!(from("198.51.100.8").await.status, 401, "another address");
}
