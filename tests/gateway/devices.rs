//! Devices: a browser is known again after its session, and a strange one is told of.

use serde_json::json;

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, SESSION, Visitor, eventually};

const DEVICE: &str = "__Host-sekisho-device";

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_on_a_strange_device_is_told_of_and_on_a_known_one_is_not() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let first = house.signed_in(&person).await;
    let device = first.cookie(DEVICE).expect("a device cookie");
    first.set_cookie(SESSION, None);
    assert!(first.sign_in(&person.extension, PASSWORD).await.is_done());
    assert!(first.cookie(DEVICE).is_some());

    let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";
    let strange = Visitor::at(&house.gateway, crate::harness::IN).always("user-agent", chrome);
    assert!(strange.sign_in(&person.extension, PASSWORD).await.is_done());
    let letter = eventually("a letter about the new device", async || {
        house.mailbox.device_letters_to(&person.email).into_iter().next()
    })
    .await;
    let text = letter.text.clone().unwrap();
    assert!(
        text.contains("Chrome on Windows") && text.contains("127.0.0.1"),
        "{text}"
    );
    assert!(!text.contains("ticket="), "no token");
    house.event("notice.sent", Some("new-device")).await;
    let letters = house.mailbox.device_letters_to(&person.email);
    assert_eq!(
        letters.len(),
        1,
        "neither the first sign-in nor the known device is told of"
    );

    // Known for one account is not known for another.
    let colleague = house.welcome("102").await;
    assert!(house.signed_in(&colleague).await.passes().await);
    let shared = house.visitor();
    shared.set_cookie(DEVICE, Some(&device));
    assert!(shared.sign_in(&colleague.extension, PASSWORD).await.is_done());
    eventually("a letter to the colleague", async || {
        house.mailbox.device_letters_to(&colleague.email).into_iter().next()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_lock_out_neither_a_known_device_nor_a_session() {
    let house = House::with(concat!(
        "[limits]\nsign_in_per_account = \"4 per 1h\"\nsign_in_per_client_and_account = \"3 per 1h\"\n",
        "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]"
    ))
    .await;
    let person = house.welcome("101").await;
    let owner = house.visitor().always("x-forwarded-for", "198.51.100.1");
    assert!(owner.sign_in(&person.extension, PASSWORD).await.is_done());
    for guess in 0..4 {
        let stranger = house.visitor().always("x-forwarded-for", &format!("203.0.113.{guess}"));
        assert_eq!(stranger.sign_in(&person.extension, "not it").await.status, 401);
    }
    let strange = house.visitor().always("x-forwarded-for", "198.51.100.2");
    assert_eq!(strange.sign_in(&person.extension, PASSWORD).await.status, 429);

    let change = json!({ "old_password": PASSWORD, "password": OTHER_PASSWORD, "confirmation": OTHER_PASSWORD });
    let changed = owner.post_json("/.sekisho/account/password", &change).await;
    assert_eq!(changed.status, 200, "in the session: {changed:?}");
    owner.set_cookie(SESSION, None);
    assert!(
        owner.sign_in(&person.extension, OTHER_PASSWORD).await.is_done(),
        "on the device"
    );

    owner.set_cookie(SESSION, None);
    for _ in 0..3 {
        assert_eq!(owner.sign_in(&person.extension, "not it").await.status, 401);
    }
    let bounded = owner.sign_in(&person.extension, OTHER_PASSWORD).await;
    assert_eq!(
        bounded.status, 429,
        "guesses on a known device are counted too: {bounded:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_makes_all_devices_strange_but_the_one_it_was_set_on() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let here = house.signed_in(&person).await;
    let thief = house.visitor();
    thief.set_cookie(DEVICE, here.cookie(DEVICE).as_deref());
    let change = json!({ "old_password": PASSWORD, "password": OTHER_PASSWORD, "confirmation": OTHER_PASSWORD });
    let changed = here.post_json("/.sekisho/account/password", &change).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    here.set_cookie(SESSION, None);
    assert!(here.sign_in(&person.extension, OTHER_PASSWORD).await.is_done());
    assert!(thief.sign_in(&person.extension, OTHER_PASSWORD).await.is_done());
    eventually("a letter about the stolen cookie", async || {
        house.mailbox.device_letters_to(&person.email).into_iter().next()
    })
    .await;
    house.event("notice.sent", Some("new-device")).await;
    assert_eq!(
        house.mailbox.device_letters_to(&person.email).len(),
        1,
        "not about the own browser"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_makes_no_device_known() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    for (name, password) in [("101", "not it"), ("999", PASSWORD)] {
        let refused = visitor.sign_in(name, password).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(visitor.cookie(DEVICE).is_none(), "{name}");
    }
    house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
    assert_eq!(visitor.sign_in(&person.extension, PASSWORD).await.status, 401);
    assert!(visitor.cookie(DEVICE).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_client_never_sees_the_device() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let device = visitor.cookie(DEVICE).unwrap();
    let echoed = visitor.get("/anything").await;
    assert_eq!(echoed.status, 200, "{echoed:?}");
    assert!(!echoed.text().contains(&device), "{}", echoed.text());
}
