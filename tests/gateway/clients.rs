//! Whose address counts: what listed proxies say of their clients, what strangers say, and what becomes of an address that
//! most people share.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{House, PASSWORD, Visitor, eventually, quotas};
use crate::metrics::{ready, value};

/// The client that the web client is told of, when a request comes with these lines.
async fn told(visitor: &Visitor, house: &House, lines: &[(&str, &str)]) -> String {
    let mut asking = visitor.script(Method::GET, "/told");
    for (name, line) in lines {
        asking = asking.header(*name, line);
    }
    assert_eq!(asking.send().await.status, 200);
    let received = house.upstream.last();
    let client = received.header("x-forwarded-for").unwrap().to_owned();
    let shown = if client.contains(':') {
        format!("\"[{client}]\"")
    } else {
        client.clone()
    };
    // One line each, and both ours.
    assert_eq!(
        received.header("forwarded"),
        Some(format!("for={shown};host=\"in.test\";proto=https").as_str())
    );
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_proxy_names_its_client_in_the_configured_header_alone() {
    let house = House::with("[server]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]").await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    for (lines, client) in [
        (&[("x-forwarded-for", "203.0.113.9")][..], "203.0.113.9"),
        (
            &[("x-forwarded-for", "1.1.1.1, 203.0.113.9:4711, 10.0.0.5")],
            "203.0.113.9",
        ),
        (
            &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "[2001:db8::9]:443")],
            "2001:db8::9",
        ),
        (&[("x-forwarded-for", "::ffff:203.0.113.9")], "203.0.113.9"),
        (&[("x-forwarded-for", "\u{e9}\", 203.0.113.9")], "203.0.113.9"),
        (&[("x-forwarded-for", "203.0.113.9, unknown")], "127.0.0.1"),
        (&[("x-forwarded-for", "203.0.113.9, _hidden, 10.0.0.5")], "10.0.0.5"),
        (
            &[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.7")],
            "203.0.113.9",
        ),
        (&[("forwarded", "for=198.51.100.7")], "127.0.0.1"),
        (
            &[("x-real-ip", "198.51.100.7"), ("true-client-ip", "198.51.100.7")],
            "127.0.0.1",
        ),
    ] {
        assert_eq!(told(&visitor, &house, lines).await, client, "{lines:?}");
    }
    house.gateway.configure("[server]\nforwarded_header = \"forwarded\"");
    house.gateway.cli(&["reload"]).await.succeeded();
    for (lines, client) in [
        (&[("forwarded", "for=203.0.113.9;proto=http")][..], "203.0.113.9"),
        (
            &[(
                "forwarded",
                "for=1.1.1.1, For=\"[2001:db8::9]:_x\", for=10.0.0.5;by=10.0.0.6",
            )],
            "2001:db8::9",
        ),
        (&[("forwarded", "for=\"\\, for=203.0.113.9")], "203.0.113.9"),
        (
            &[
                ("forwarded", "host=\"a, for=6.6.6.6\""),
                ("forwarded", "for=203.0.113.9"),
            ],
            "203.0.113.9",
        ),
        (&[("forwarded", "for=203.0.113.9, for=unknown")], "127.0.0.1"),
        (&[("forwarded", "for=203.0.113.9;for=198.51.100.7")], "127.0.0.1"),
        (
            &[("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=203.0.113.9")],
            "203.0.113.9",
        ),
        (&[("x-forwarded-for", "198.51.100.7")], "127.0.0.1"),
    ] {
        assert_eq!(told(&visitor, &house, lines).await, client, "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_a_trusted_proxy_only_where_the_operator_writes_the_danger_out() {
    let house = House::closed("").await;
    for networks in [
        "\"0.0.0.0/0\"",
        "\"::/0\"",
        "\"0.0.0.0/1\", \"128.0.0.0/1\"",
        "\"::ffff:0:0/96\"",
    ] {
        house
            .gateway
            .configure(&format!("[server]\ntrusted_proxies = [{networks}]"));
        let refused = house.gateway.cli(&["config", "check"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let said = format!("{}{}", refused.out, refused.err);
        assert!(
            said.contains("server.trusted_proxies") && said.contains("everybody"),
            "{said}"
        );
    }
    house.gateway.configure("[server]\ndanger_trust_everything = true");
    let checked = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let said = format!("{}{}", checked.out, checked.err);
    assert!(said.contains("no limit by client holds"), "{said}");
}

/// Somebody's browser behind a proxy that says so.
fn from(house: &House, address: &str) -> Visitor {
    house.visitor().always("x-forwarded-for", address)
}

async fn guess(house: &House, address: &str, login: &str) -> u16 {
    let guess = json!({ "login": login, "password": "not the password of anybody" });
    from(house, address).post_json("/login", &guess).await.status
}

async fn shared(house: &House) -> Vec<Value> {
    let (_, told) = ready(house).await;
    told["shared_addresses"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_most_people_come_from_is_told_of_and_does_not_lock_them_out() {
    const PROXY: &str = "198.51.100.7";
    const STRANGER: &str = "203.0.113.66";
    let house = House::with(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{}",
        quotas(&[("sign-in.client", "3 per 1h"), ("sign-in.client+account", "2 per 1h")])
    ))
    .await;
    for number in 101..111 {
        let extension = number.to_string();
        house.welcome(&extension).await;
        // Attempts at their names count for nothing, however many they are.
        guess(&house, STRANGER, &extension).await;
        let visitor = from(&house, PROXY);
        assert!(visitor.sign_in(&extension, PASSWORD).await.is_done());
        assert!(visitor.passes().await);
    }
    let told = eventually("the address to be told of", async || {
        let told = shared(&house).await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["address"], PROXY);
    assert_eq!((&told[0]["people"], &told[0]["of"]), (&json!(10), &json!(10)));
    assert!(told[0]["suspected_since"].is_i64(), "{told:?}");
    assert!((value(&house, "sekisho_suspected_proxies").await - 1.0).abs() < f64::EPSILON);
    let printed = house.gateway.printed();
    assert_eq!(
        printed.matches("most people come from one address").count(),
        1,
        "{printed}"
    );

    // Ten people there count as one more client.
    assert_eq!(guess(&house, PROXY, "101").await, 401);
    assert_eq!(guess(&house, PROXY, "101").await, 401);
    assert_eq!(guess(&house, PROXY, "101").await, 429, "one name is guarded as before");
    for number in 102..106 {
        assert_eq!(guess(&house, PROXY, &number.to_string()).await, 401, "{number}");
    }
    assert_eq!(guess(&house, PROXY, "107").await, 429, "six are twice three");
    assert_eq!(guess(&house, STRANGER, "107").await, 429, "a stranger is one client");

    house
        .gateway
        .configure(&format!("[server]\nshared_addresses = [\"{PROXY}\"]"));
    house.gateway.cli(&["reload"]).await.succeeded();
    eventually("the office to be believed", async || {
        let told = shared(&house).await;
        (told.len() == 1 && told[0]["suspected_since"].is_null()).then_some(())
    })
    .await;
    assert!(value(&house, "sekisho_suspected_proxies").await.abs() < f64::EPSILON);
    house.gateway.configure(&format!(
        "[server]\nshared_addresses = []\ntrusted_proxies = [\"127.0.0.1\", \"{PROXY}\"]"
    ));
    house.gateway.cli(&["reload"]).await.succeeded();
    eventually("the proxy to be forgotten", async || {
        shared(&house).await.is_empty().then_some(())
    })
    .await;
}
