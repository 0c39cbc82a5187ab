//! A forgotten password: one answer for everybody, a letter for exactly one account or for nobody.

use serde_json::json;

use crate::harness::gateway::NOTICED;
use crate::harness::{House, OTHER_PASSWORD, PASSWORD, SESSION, SOON, Visitor, quotas, within};
use crate::sign_in::visible;

async fn forget(visitor: &Visitor, email: &str) -> crate::harness::Answer {
    visitor.post_form("/forgot-password", &[("email", email)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_by_link() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let before = house.signed_in(&person).await;
    assert!(before.passes().await);

    let visitor = house.visitor();
    let asked = forget(&visitor, &person.email).await;
    assert!(asked.is_done(), "{asked:?}");
    let links = house.mailbox.next_links(&person.email).await;
    house.event("link.sent", Some("reset")).await;
    assert!(before.passes().await, "asking alone ends nothing");

    let set = visitor.set_password(&links.in_office, OTHER_PASSWORD).await;
    assert!(set.is_done(), "{set:?}");
    assert!(visitor.cookie(SESSION).is_none(), "no automatic sign-in");
    within(NOTICED, "every session from before to end", async || {
        (!before.passes().await).then_some(())
    })
    .await;
    assert_eq!(
        visitor.sign_in("101", PASSWORD).await.status,
        401,
        "the old password is gone"
    );
    assert!(visitor.sign_in("101", OTHER_PASSWORD).await.is_done());

    let notice = house.mailbox.next(&person.email).await;
    assert!(notice.subject.contains("password was changed"), "{}", notice.subject);
    assert!(
        !notice.links().iter().any(|link| link.contains("ticket=")),
        "a notice opens nothing"
    );
    house.event("password.set", Some("reset")).await;
    house.event("notice.sent", Some("password-changed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_the_same_answer_and_only_one_account_gets_a_letter() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let disabled = house.welcome("102").await;
    house.gateway.cli(&["account", "disable", "102"]).await.succeeded();
    for extension in ["103", "104"] {
        let args = [
            "account",
            "add",
            extension,
            "--name",
            "Twin",
            "--email",
            "twins@example.com",
            "--no-welcome",
        ];
        house.gateway.cli(&args).await.succeeded();
    }
    let invited = house.invite("105", &["--no-welcome"]).await;
    let before = house.mailbox.letters().len();

    let mut answers = Vec::new();
    for email in [
        "nobody@example.com",
        "twins@example.com",
        &disabled.email,
        &invited,
        &person.email,
    ] {
        let answer = forget(&house.visitor(), email).await;
        answers.push((email.to_owned(), visible(&answer)));
    }
    for (email, answer) in &answers {
        let text = answer.2.replace(email.as_str(), "…");
        assert_eq!(
            (answer.0, &answer.1, &text),
            (
                answers[0].1.0,
                &answers[0].1.1,
                &answers[0].1.2.replace(&answers[0].0, "…")
            ),
            "{email}"
        );
    }

    house.mailbox.next_links(&invited).await;
    house.mailbox.next_links(&person.email).await;
    for (reason, name) in [
        ("unknown-name", "link.withheld"),
        ("shared-email", "link.withheld"),
        ("disabled", "link.withheld"),
    ] {
        house.event(name, Some(&format!("reset {reason}"))).await;
    }
    assert_eq!(house.mailbox.letters().len(), before + 2, "two letters, no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_person_who_asks_for_a_reset_gets_another_welcome_that_lives_as_long() {
    let house = House::with("[links]\nreset = \"1s\"").await;
    let email = house.invite("101", &[]).await;
    let welcome = house.mailbox.next_links(&email).await;
    // As long as the Welcome is quite new, it stands.
    within(SOON, "another Welcome", async || {
        assert!(forget(&house.visitor(), &email).await.is_done());
        (house.mailbox.letters_to(&email).len() == 2).then_some(())
    })
    .await;
    let reset = house.mailbox.next_links(&email).await;
    let args = ["link", "list", "--account", "101", "--json"];
    let listed: serde_json::Value = serde_json::from_str(&house.gateway.cli(&args).await.succeeded()).unwrap();
    let life = |link: &serde_json::Value| {
        let at = |name: &str| link[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        at("expires_at").duration_since(at("made_at")).as_secs()
    };
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|link| link["purpose"] == "welcome"), "{listed:?}");
    assert_eq!(
        life(&listed[0]),
        life(&listed[1]),
        "a stranger who asks takes no days away"
    );
    assert_eq!(
        house.visitor().follow(&welcome.in_office).await.status,
        410,
        "only the newest link works"
    );
    assert!(house.visitor().set_password(&reset.in_office, PASSWORD).await.is_done());
    assert!(house.visitor().sign_in("101", PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_could_reach_two_mailboxes_reaches_none() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let before = house.mailbox.letters().len();
    for text in [
        "p101@example.com,evil@example.net",
        "p101@example.com;evil@example.net",
        "p101@example.com evil@example.net",
        "p101@example.com\r\nBcc: evil@example.net",
        "<p101@example.com>",
        "not an address",
        "",
    ] {
        let answer = forget(&house.visitor(), text).await;
        assert_eq!(answer.status, 422, "{text:?}: {answer:?}");
        house
            .visitor()
            .post_json("/forgot-password", &json!({"email": text}))
            .await
            .is_problem(422, "not-an-address");
    }
    // A look-alike finds the account, and the letter goes to the address on record, never to the one typed.
    assert!(forget(&house.visitor(), "Ｐ101@EXAMPLE.com").await.is_done());
    let letter = house.mailbox.next(&person.email).await;
    assert_eq!(letter.to, [person.email]);
    assert_eq!(house.mailbox.letters().len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_letter_follows_the_configured_doors_whatever_the_request_says() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    let page = visitor.get("/forgot-password").await;
    let answer = visitor
        .filled_form(&page, "/forgot-password", &[("email", &person.email)])
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example;proto=http")
        .header("x-forwarded-proto", "http")
        .header("x-original-url", "https://evil.example/")
        .header("referer", "https://evil.example/")
        .send()
        .await;
    assert!(answer.is_done(), "{answer:?}");
    let letter = house.mailbox.next(&person.email).await;
    crate::harness::mailbox::links(&letter);
    assert!(!String::from_utf8_lossy(&letter.raw).contains("evil"));

    let elsewhere = visitor
        .filled_form(&page, "/forgot-password", &[("email", &person.email)])
        .header("host", "evil.example")
        .send()
        .await;
    assert_eq!(elsewhere.status, 421, "{elsewhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_link_dies_when_a_newer_one_is_sent_and_when_the_account_is_disabled() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let own = house.signed_in(&person).await;
    forget(&own, &person.email).await;
    let first = house.mailbox.next_links(&person.email).await;
    forget(&own, &person.email).await;
    let second = house.mailbox.next_links(&person.email).await;
    assert_eq!(house.visitor().follow(&first.in_office).await.status, 410);
    assert_eq!(house.visitor().follow(&second.in_office).await.status, 200);
    house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
    assert_eq!(house.visitor().follow(&second.in_office).await.status, 410);
    house.gateway.cli(&["account", "enable", "101"]).await.succeeded();
    assert_eq!(
        house.visitor().follow(&second.in_office).await.status,
        410,
        "and does not come back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_ask_too() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let known = house
        .visitor()
        .post_json("/forgot-password", &json!({"email": person.email}))
        .await;
    let unknown = house
        .visitor()
        .post_json("/forgot-password", &json!({"email": "nobody@example.com"}))
        .await;
    assert!(known.is_done(), "{known:?}");
    assert_eq!((known.status, known.text()), (unknown.status, unknown.text()));
    house.mailbox.next_links(&person.email).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_ask_for_a_link() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let before = house.mailbox.letters().len();
    let visitor = house.visitor();
    let page = visitor.get("/forgot-password").await;
    let foreign = visitor
        .filled_form(&page, "/forgot-password", &[("email", &person.email)])
        .without("sec-fetch-site")
        .without("origin")
        .header("origin", "https://evil.example")
        .send()
        .await;
    assert_eq!(foreign.status, 403, "{foreign:?}");
    assert!(
        visitor
            .send_form(&page, "/forgot-password", &[("email", &person.email)])
            .await
            .is_done()
    );
    house.mailbox.next_links(&person.email).await;
    assert_eq!(house.mailbox.letters().len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_keeps_asking_keeps_nobody_from_a_link_that_works() {
    let rules = quotas(&[("reset.email", "3 per 1h"), ("reset.device", "3 per 1h")]);
    let house = House::with(&format!(
        "[limits]\nequal_resets = \"1 per 1h\"\nmail_per_account = \"2 per 1h\"\nmail_per_day = \"3 per 24h\"\n\
         [server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n{rules}"
    ))
    .await;
    let person = house.welcome("101").await;
    let owner = house.visitor().always("x-forwarded-for", "198.51.100.1");
    assert!(owner.sign_in("101", PASSWORD).await.is_done());
    owner.set_cookie(SESSION, None);
    let attack = async |from: std::ops::Range<u8>| {
        let mut statuses = Vec::new();
        for n in from {
            let stranger = house.visitor().always("x-forwarded-for", &format!("203.0.113.{n}"));
            statuses.push(forget(&stranger, &person.email).await.status);
        }
        statuses
    };
    // Strangers use up what strangers have: their first letter goes out, more are worth nothing, and the address is
    // closed to them.
    attack(0..6).await;
    let strangers = house.mailbox.next_links(&person.email).await;
    assert!(house.gateway.printed().contains("reset.again"));

    // At her own browser she is sent a link at the first try, and theirs is over.
    let asked = forget(&owner, &person.email).await;
    assert!(asked.is_done(), "{asked:?}");
    let own = house.mailbox.next_links(&person.email).await;
    assert_eq!(house.visitor().follow(&strangers.in_office).await.status, 410);

    // They go on asking: her link goes on working.
    attack(10..16).await;
    assert_eq!(owner.follow(&own.in_office).await.status, 200);
    assert!(owner.set_password(&own.in_office, OTHER_PASSWORD).await.is_done());
    assert_eq!(
        house
            .mailbox
            .letters_to(&person.email)
            .iter()
            .filter(|letter| letter.text.as_ref().is_some_and(|text| text.contains("ticket=")))
            .count(),
        3,
        "the Welcome, theirs, hers"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_a_stranger_does_not_spend_a_link_of_a_moment_ago() {
    let house = House::with(&quotas(&[("reset.email", "3 per 1h"), ("reset.device", "3 per 1h")])).await;
    let person = house.welcome("101").await;
    let owner = house.signed_in(&person).await;
    let colleague = house.welcome("102").await;
    let insider = house.signed_in(&colleague).await;
    assert!(forget(&owner, &person.email).await.is_done());
    let own = house.mailbox.next_links(&person.email).await;
    // Neither somebody without a device of ours nor a colleague with one of another account.
    let mut answers = Vec::new();
    for visitor in [&house.visitor(), &insider] {
        answers.push(visible(&forget(visitor, &person.email).await));
        answers.push(visible(&forget(visitor, "nobody@example.com").await));
    }
    for answer in &mut answers {
        answer.2 = answer.2.replace(&person.email, "…").replace("nobody@example.com", "…");
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    within(SOON, "two requests to be withheld", async || {
        let events = house.events().await;
        let fresh = events.iter().filter(|event| event["detail"] == "reset link-fresh");
        (fresh.count() == 2).then_some(())
    })
    .await;
    assert_eq!(house.visitor().follow(&own.in_office).await.status, 200);

    // Her own browser may always have another: the letter may be lost.
    assert!(forget(&owner, &person.email).await.is_done());
    let again = house.mailbox.next_links(&person.email).await;
    assert_eq!(house.visitor().follow(&own.in_office).await.status, 410);
    assert_eq!(house.visitor().follow(&again.in_office).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_use_up_an_address_close_it_to_strangers_alone() {
    let house = House::with(&quotas(&[("reset.email", "3 per 1h"), ("reset.device", "3 per 1h")])).await;
    let person = house.welcome("101").await;
    let owner = house.signed_in(&person).await;
    for _ in 0..3 {
        assert!(forget(&house.visitor(), &person.email).await.is_done());
    }
    house.mailbox.next_links(&person.email).await;
    assert_eq!(forget(&house.visitor(), &person.email).await.status, 429);
    for _ in 0..3 {
        assert!(forget(&owner, &person.email).await.is_done());
        house.mailbox.next_links(&person.email).await;
    }
    assert_eq!(
        forget(&owner, &person.email).await.status,
        429,
        "a device is bounded, too"
    );
    let forged = house.visitor();
    let device = owner.cookie("__Host-sekisho-device").unwrap();
    forged.set_cookie("__Host-sekisho-device", Some(&device.replace('.', ".A")));
    assert_eq!(forget(&forged, &person.email).await.status, 429, "no cookie of ours");
}
