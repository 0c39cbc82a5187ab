//! Something the gateway depends on is gone: no door opens, nothing acknowledged is lost, and it recovers by itself.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sekisho::demo::mailcatcher::Behaviour;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, eventually, within};

async fn letters(house: &House) -> Vec<Value> {
    house.gateway.cli_json(&["mail", "list", "--json"]).await
}

/// Waits until the newest letter stands like this.
async fn newest(house: &House, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        letters(house)
            .await
            .into_iter()
            .next()
            .filter(|letter| condition(letter))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_delays_letters_and_nothing_else() {
    for behaviour in [Behaviour::RefuseConnections, Behaviour::FreezeAfterConnect] {
        let house = House::open().await;
        let person = house.welcome("101").await;
        house.mailbox.behave(behaviour.clone());
        // A connection that is open already would go on working.
        house.gateway.restart().await;
        let begun = Instant::now();
        let asked = house
            .visitor()
            .post_json("/forgot-password", &json!({"email": person.email}))
            .await;
        assert_eq!(asked.status, 202, "{asked:?}");
        assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "nobody waits for the mail server"
        );
        let waiting = newest(&house, "a failed attempt", |letter| {
            letter["attempts"].as_u64() >= Some(1)
        })
        .await;
        assert_eq!(waiting["status"], "waiting", "{behaviour:?}: {waiting}");
        assert!(!waiting["words"].as_str().unwrap().is_empty());
        house.mailbox.behave(Behaviour::Accept);
        let links = house.mailbox.next_links(&person.email).await;
        newest(&house, "the delivery", |letter| letter["status"] == "delivered").await;
        assert!(
            house
                .visitor()
                .set_password(&links.in_office, OTHER_PASSWORD)
                .await
                .is_done()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_now_is_tried_again_and_a_refusal_for_good_is_not() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let ask = async || {
        house
            .visitor()
            .post_json("/forgot-password", &json!({"email": person.email}))
            .await
    };

    house
        .mailbox
        .behave(Behaviour::RejectRecipient(450, "4.2.1 mailbox busy, come back".into()));
    ask().await;
    let waiting = newest(&house, "a failed attempt", |letter| {
        letter["attempts"].as_u64() >= Some(1)
    })
    .await;
    assert_eq!(waiting["status"], "waiting");
    assert!(
        waiting["words"].as_str().unwrap().contains("mailbox busy, come back"),
        "{waiting}"
    );
    house.mailbox.behave(Behaviour::Accept);
    let links = house.mailbox.next_links(&person.email).await;
    let set = house.visitor().set_password(&links.in_office, OTHER_PASSWORD).await;
    assert!(set.is_done(), "{set:?}");

    house
        .mailbox
        .behave(Behaviour::RejectRecipient(550, "5.1.1 no such mailbox here".into()));
    ask().await;
    let over = newest(&house, "the letter to be given up", |letter| {
        letter["status"] == "given-up"
    })
    .await;
    assert!(
        over["words"].as_str().unwrap().contains("no such mailbox here"),
        "{over}"
    );
    house.event("letter.given-up", Some("reset")).await;
    house.mailbox.behave(Behaviour::Accept);
    ask().await;
    house.mailbox.next_links(&person.email).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_wait_through_a_restart_and_through_a_crash() {
    let house = House::open().await;
    house.mailbox.behave(Behaviour::RefuseConnections);
    let first = house.invite("101", &[]).await;
    newest(&house, "a failed attempt", |letter| {
        letter["attempts"].as_u64() >= Some(1)
    })
    .await;
    house.gateway.restart().await;
    let second = house.invite("102", &[]).await;
    house.gateway.kill();
    let third = house.invite("103", &[]).await;
    house.gateway.start().await;
    house.mailbox.behave(Behaviour::Accept);
    house.mailbox.wait_for_count(3).await;
    for email in [first, second, third] {
        assert_eq!(house.mailbox.letters_to(&email).len(), 1, "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_after_the_letter_makes_one_more_letter_at_most_and_its_link_works() {
    let house = House::open().await;
    house.mailbox.behave(Behaviour::DropAfterData);
    let email = house.invite("101", &[]).await;
    let lost = house.mailbox.next_links(&email).await;
    newest(&house, "a failed attempt", |letter| {
        letter["attempts"].as_u64() >= Some(1)
    })
    .await;
    house.mailbox.behave(Behaviour::Accept);
    let repeated = house.mailbox.next_links(&email).await;
    newest(&house, "the delivery", |letter| letter["status"] == "delivered").await;
    assert_eq!(
        house.visitor().follow(&lost.in_office).await.status,
        410,
        "a repeated letter carries a newer link"
    );
    assert!(
        house
            .visitor()
            .set_password(&repeated.in_office, PASSWORD)
            .await
            .is_done()
    );
    assert_eq!(house.mailbox.letters_to(&email).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_hashing_queue_is_a_503_and_signed_in_people_do_not_feel_it() {
    let house = House::with("[passwords.hashing]\nmemory = \"64 MiB\"\npasses = 8\nthreads = 1\nqueue = 1").await;
    let person = house.welcome("101").await;
    let signed_in = house.signed_in(&person).await;
    let guesses = join_all((0..12).map(|n| {
        let house = &house;
        async move {
            let begun = Instant::now();
            let body = json!({"login": format!("90{n}"), "password": PASSWORD});
            let answer = house.visitor().post_json("/login", &body).await;
            (answer, begun.elapsed())
        }
    }));
    let meanwhile = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let begun = Instant::now();
            assert!(signed_in.passes().await);
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    let (answers, slowest) = tokio::join!(guesses, meanwhile);
    let busy: Vec<_> = answers.iter().filter(|(answer, _)| answer.status == 503).collect();
    let judged = answers.iter().filter(|(answer, _)| answer.status == 401).count();
    assert!(
        !busy.is_empty() && judged >= 1 && busy.len() + judged == 12,
        "{answers:?}"
    );
    for (answer, _) in &busy {
        answer.is_problem(503, "busy");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait >= 1);
    }
    assert!(
        slowest < Duration::from_secs(2),
        "proxied requests wait for no hash: {slowest:?}"
    );
    assert!(
        house.visitor().sign_in("101", PASSWORD).await.is_done(),
        "and it recovers"
    );
}

/// Takes the database's write lock, as a backup tool gone wrong would hold it. Closing the connection releases it.
pub async fn hold_database(house: &House) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(house.gateway.home().join("store/sekisho.db"))
        .busy_timeout(Duration::from_secs(20));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_somebody_else_holds_closes_doors_and_opens_them_again() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    assert!(visitor.passes().await);
    let holder = hold_database(&house).await;
    let begun = Instant::now();
    let refused = house
        .visitor()
        .post_json("/login", &json!({"login": "101", "password": PASSWORD}))
        .await;
    refused.is_problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let asked = house
        .visitor()
        .post_json("/forgot-password", &json!({"email": person.email}))
        .await;
    assert_eq!(
        asked.status, 503,
        "what cannot be stored is not acknowledged: {asked:?}"
    );
    assert!(visitor.passes().await, "sessions known in memory go on for a while");
    holder.close().await.unwrap();
    within(Duration::from_secs(15), "sign-in to work again", async || {
        house.visitor().sign_in("101", PASSWORD).await.is_done().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_used_keeps_the_server_from_starting_with_one_clear_line() {
    let house = House::closed("").await;
    std::fs::write(
        house.gateway.home().join("store"),
        "a file where the directory should be",
    )
    .unwrap();
    let ran = house.gateway.cli(&["serve"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("store"), "{ran:?}");
    let said = house.gateway.cli(&["account", "list"]).await.failed();
    assert!(said.contains("store"), "{said}");
}
