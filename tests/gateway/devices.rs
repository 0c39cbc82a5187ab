//! Devices: a browser is known again after its session, and a strange one is told of.

use serde_json::json;
use sqlx::Connection;

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, SESSION, Visitor, eventually, quotas};

const DEVICE: &str = "__Host-sekisho-device";

/// bcrypt's own published vector: the hash of `abc`, made by another system.
const BCRYPT_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";

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

/// Letters about new devices, as their readers tell them apart.
fn told(house: &House, email: &str, of: &str) -> usize {
    let letters = house.mailbox.device_letters_to(email);
    let tells = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(of));
    letters.iter().filter(|letter| tells(&letter.text)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_sign_in_with_an_imported_password_is_told_of() {
    let house = House::open().await;
    let file = house.gateway.home().join("people.csv");
    let row = format!("extension,name,email,password_hash\n101,Yuki,p101@example.com,{BCRYPT_OF_ABC}\n");
    std::fs::write(&file, row).unwrap();
    let import = ["account", "import", file.to_str().unwrap(), "--apply"];
    house.gateway.cli(&import).await.succeeded();

    let visitor = house.visitor();
    assert!(visitor.sign_in("101", "abc").await.is_done());
    let letter = eventually("a letter about the first sign-in", async || {
        house.mailbox.device_letters_to("p101@example.com").into_iter().next()
    })
    .await;
    assert!(!letter.text.clone().unwrap().contains("ticket="), "no token");

    // The hash was replaced by one of our own meanwhile; the browser is still the one that was told of.
    visitor.set_cookie(SESSION, None);
    assert!(visitor.sign_in("101", "abc").await.is_done());
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let strange = house.visitor().always("user-agent", firefox);
    assert!(strange.sign_in("101", "abc").await.is_done());
    eventually("a letter about the strange browser", async || {
        (told(&house, "p101@example.com", "Firefox") == 1).then_some(())
    })
    .await;
    assert_eq!(house.mailbox.device_letters_to("p101@example.com").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_new_device_is_told_of_once_an_hour_and_another_network_or_browser_at_once() {
    let house = House::with("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]").await;
    let person = house.welcome("101").await;
    assert!(house.signed_in(&person).await.passes().await);
    let sign_in = async |client: &str, user_agent: &str| {
        let visitor = house.visitor().always("x-forwarded-for", client);
        let signed_in = visitor.always("user-agent", user_agent).sign_in("101", PASSWORD).await;
        assert!(signed_in.is_done(), "{signed_in:?}");
    };
    let wait_for = async |of: &str, count: usize| {
        eventually(&format!("letter {count} about {of}"), async || {
            (told(&house, &person.email, of) >= count).then_some(())
        })
        .await;
        assert_eq!(told(&house, &person.email, of), count, "{of}");
    };
    let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    for _ in 0..5 {
        sign_in("198.51.100.1", chrome).await;
    }
    wait_for("198.51.100.1", 1).await;
    // Whoever knows the password and calls the browser as its owner does is told of all the same.
    sign_in("203.0.113.9", chrome).await;
    wait_for("203.0.113.9", 1).await;
    sign_in("198.51.100.1", firefox).await;
    wait_for("198.51.100.1", 2).await;

    // An hour later, as the store sees it.
    let file = format!("sqlite://{}", house.gateway.home().join("store/sekisho.db").display());
    let mut store = sqlx::SqliteConnection::connect(&file).await.unwrap();
    sqlx::query("UPDATE letters SET created_at = created_at - 3600000 WHERE matter = 'new-device'")
        .execute(&mut store)
        .await
        .unwrap();
    store.close().await.unwrap();
    for _ in 0..5 {
        sign_in("198.51.100.1", chrome).await;
    }
    wait_for("198.51.100.1", 3).await;
    sign_in("203.0.113.9", chrome).await;
    wait_for("203.0.113.9", 2).await;
    assert_eq!(house.mailbox.device_letters_to(&person.email).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_lock_out_neither_a_known_device_nor_a_session() {
    let rules = quotas(&[
        ("sign-in.account", "4 per 1h"),
        ("sign-in.client+account", "3 per 1h"),
        ("sign-in.device", "3 per 1h"),
        ("sign-in.session", "3 per 1h"),
    ]);
    let house = House::with(&format!("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n{rules}")).await;
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
