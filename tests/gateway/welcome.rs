//! A new account: its Welcome letter, the link in it, and the first password.

use futures_util::future::join_all;
use http::Method;

use crate::harness::page::link_targets;
use crate::harness::{Answer, House, Links, OTHER_PASSWORD, PASSWORD, Visitor, eventually};

/// Opens the link and sends the form with these two fields.
async fn choose(visitor: &Visitor, links: &Links, password: &str, confirmation: &str) -> Answer {
    let page = visitor.follow(&links.in_office).await;
    let fields = [("password", password), ("confirmation", confirmation)];
    visitor.send_form(&page, "/set-password", &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_gets_a_letter_with_both_doors_and_no_password() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let letter = house.mailbox.next(&email).await;
    let links = crate::harness::mailbox::links(&letter);
    assert!(links.in_office.starts_with("https://in.test/set-password?ticket="));
    assert!(links.out_of_office.starts_with("https://out.test/set-password?ticket="));
    assert!(links.out_of_office.ends_with(links.ticket()), "one ticket, two doors");
    assert_eq!(links.ticket().len(), 43, "256 bits");
    let (text, html) = (letter.text.clone().unwrap(), letter.html.clone().unwrap());
    for part in [&text, &html] {
        assert!(part.contains("In office") && part.contains("Out of office"), "{part}");
        assert!(part.contains(links.ticket()));
        assert!(part.contains("101") && part.contains("Person 101"));
    }
    assert_eq!(letter.to, [email]);
    assert_eq!(letter.from, "no-reply@phone.example");
    assert!(
        !html.contains("<img src=\"http") && !html.contains("<script"),
        "nothing is loaded from elsewhere"
    );
    house.event("link.sent", Some("welcome")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_speaks_the_language_of_the_account() {
    let house = House::open().await;
    let japanese = house.invite("201", &["--language", "ja"]).await;
    let letter = house.mailbox.next(&japanese).await;
    assert!(letter.subject.contains("パスワードの設定"), "{}", letter.subject);
    let text = letter.text.clone().unwrap();
    assert!(text.contains("社内から") && text.contains("社外から"), "{text}");
    crate::harness::mailbox::links(&letter);

    let english = house.invite("202", &["--language", "en"]).await;
    let letter = house.mailbox.next(&english).await;
    assert!(letter.subject.contains("Set your password"), "{}", letter.subject);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_goes_out_only_when_it_is_wanted_and_can_be_sent() {
    let house = House::open().await;
    house.invite("101", &["--no-welcome"]).await;
    let no_address = ["account", "add", "102", "--name", "Nobody"];
    house.gateway.cli(&no_address).await.succeeded();
    let last = house.invite("103", &[]).await;
    house.mailbox.next(&last).await;
    assert_eq!(house.mailbox.letters().len(), 1, "only the third account got one");

    house.gateway.cli(&["account", "welcome", "101"]).await.succeeded();
    house.mailbox.next_links("p101@example.com").await;
    let refused = house.gateway.cli(&["account", "welcome", "102"]).await.failed();
    assert!(refused.contains("102"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_password_is_set_by_link_and_opens_the_web_client() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    let set = choose(&visitor, &links, PASSWORD, PASSWORD).await;
    assert!(set.is_done(), "{set:?}");
    assert!(
        visitor.cookie(crate::harness::SESSION).is_none(),
        "nobody is signed in by a link"
    );
    assert!(visitor.sign_in("101", PASSWORD).await.is_done());
    assert!(visitor.passes().await);
    house.event("password.set", Some("welcome")).await;
    let shown: serde_json::Value = house.gateway.cli_json(&["account", "show", "101", "--json"]).await;
    assert_eq!(shown["state"], "active", "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_through_either_door() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let outside = Visitor::at(&house.gateway, crate::harness::OUT);
    assert!(outside.set_password(&links.out_of_office, PASSWORD).await.is_done());
    assert!(outside.sign_in("101", PASSWORD).await.is_done());
    assert!(outside.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_link_any_number_of_times_by_anybody_consumes_nothing() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let target = links.in_office.strip_prefix("https://in.test").unwrap();
    for _ in 0..5 {
        let scanner = house.visitor();
        let head = scanner.ask(Method::HEAD, target).send().await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{head:?}");
        let answer = scanner.get(target).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        assert_eq!(answer.location(), "/set-password", "the ticket leaves the address bar");
        let page = scanner.get("/set-password").await;
        assert_eq!(page.status, 200, "{page:?}");
        let script = scanner.fetch(target).await;
        assert_eq!(script.status, 200, "{script:?}");
    }
    let visitor = house.visitor();
    assert!(choose(&visitor, &links, PASSWORD, PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_who_use_one_link_at_once_set_one_password() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let attempts = (0..10).map(async |n| {
        let password = format!("{PASSWORD} number {n}");
        let visitor = house.visitor();
        let page = visitor.follow(&links.in_office).await;
        assert_eq!(page.status, 200, "{page:?}");
        (password, visitor, page)
    });
    let ready = join_all(attempts).await;
    let outcomes = join_all(ready.iter().map(async |(password, visitor, page)| {
        let fields = [("password", password.as_str()), ("confirmation", password.as_str())];
        (password, visitor.send_form(page, "/set-password", &fields).await)
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|(_, answer)| answer.is_done());
    assert_eq!(won.len(), 1, "{won:?}");
    for (_, answer) in &lost {
        assert_eq!(answer.status, 410, "{answer:?}");
    }
    assert!(
        house.visitor().sign_in("101", won[0].0).await.is_done(),
        "the winner's password is the one"
    );
    for (password, _) in &lost {
        assert_eq!(house.visitor().sign_in("101", password).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_link_says_so_and_offers_the_next_step() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    assert!(house.visitor().set_password(&links.in_office, PASSWORD).await.is_done());
    let page = house
        .visitor()
        .follow(&links.out_of_office.replace("out.test", "in.test"))
        .await;
    assert_eq!(page.status, 410, "{page:?}");
    assert!(link_targets(&page.text()).contains(&"/login".to_owned()), "{page:?}");
    house.event("link.refused", Some("link-used")).await;
    assert!(
        house.visitor().sign_in("101", PASSWORD).await.is_done(),
        "the password stands"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_says_so_and_sets_nothing() {
    let house = House::with("[links]\nwelcome = \"1s\"").await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    let page = eventually("the link to expire", async || {
        let page = visitor.follow(&links.in_office).await;
        (page.status == 410).then_some(page)
    })
    .await;
    assert!(
        link_targets(&page.text()).contains(&"/forgot-password".to_owned()),
        "{page:?}"
    );
    house.event("link.refused", Some("link-expired")).await;
    assert_eq!(visitor.sign_in("101", PASSWORD).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_open_when_its_link_expired_sets_nothing() {
    let house = House::with("[links]\nwelcome = \"3s\"").await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    let open = visitor.follow(&links.in_office).await;
    assert_eq!(open.status, 200, "{open:?}");
    eventually("the link to expire", async || {
        let other = house.visitor();
        (other.follow(&links.in_office).await.status == 410).then_some(())
    })
    .await;
    let fields = [("password", PASSWORD), ("confirmation", PASSWORD)];
    let late = visitor.send_form(&open, "/set-password", &fields).await;
    assert_eq!(late.status, 410, "{late:?}");
    assert_eq!(house.visitor().sign_in("101", PASSWORD).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_link_of_an_account_works() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let first = house.mailbox.next_links(&email).await;
    house.gateway.cli(&["account", "welcome", "101"]).await.succeeded();
    let second = house.mailbox.next_links(&email).await;
    assert_ne!(first.ticket(), second.ticket());
    let replaced = house.visitor().follow(&first.in_office).await;
    assert_eq!(replaced.status, 410, "{replaced:?}");
    house.event("link.refused", Some("link-replaced")).await;
    assert!(
        house
            .visitor()
            .set_password(&second.in_office, PASSWORD)
            .await
            .is_done()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invented_link_is_refused_like_any_other_that_is_long_gone() {
    let house = House::open().await;
    let visitor = house.visitor();
    for ticket in ["", "x", &"A".repeat(43), &"A".repeat(44), "%00", "../../etc"] {
        let page = visitor
            .follow(&format!("https://in.test/set-password?ticket={ticket}"))
            .await;
        assert!(matches!(page.status, 400 | 410), "{ticket}: {page:?}");
        assert!(
            crate::harness::page::form(&page.text(), "/set-password").is_none(),
            "{page:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_account_is_not_welcomed_again() {
    let house = House::open().await;
    house.welcome("101").await;
    let refused = house.gateway.cli(&["account", "welcome", "101"]).await.failed();
    assert!(refused.contains("101"), "{refused}");
    let unknown = house.gateway.cli(&["account", "welcome", "999"]).await.failed();
    assert!(unknown.contains("999"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_breaks_a_rule_is_refused_and_the_link_still_works() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    let long = "correct horse battery staple ".repeat(9);
    for weak in [
        "short",
        "aaaaaaaaaaaaaaaa",
        "password1234",
        "person101person101",
        "p101@example.com",
        &long,
        "",
    ] {
        let refused = choose(&visitor, &links, weak, weak).await;
        assert_eq!(refused.status, 422, "{weak:?}: {refused:?}");
        assert!(
            refused.text().contains("role=\"alert\"") || refused.text().contains("aria-invalid"),
            "{refused:?}"
        );
        if weak.len() > 5 {
            assert!(
                !refused.text().contains(weak) || weak == email,
                "a password is never sent back"
            );
        }
    }
    let differ = choose(&visitor, &links, PASSWORD, OTHER_PASSWORD).await;
    assert_eq!(differ.status, 422, "{differ:?}");
    assert_eq!(visitor.sign_in("101", PASSWORD).await.status, 401, "nothing was set");
    assert!(choose(&visitor, &links, PASSWORD, PASSWORD).await.is_done());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_password_is_accepted_and_one_more_character_is_not() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    let longest: String = "夏の夕立と古い自転車の鍵".chars().cycle().take(256).collect();
    let too_long = format!("{longest}x");
    assert_eq!(choose(&visitor, &links, &too_long, &too_long).await.status, 422);
    assert!(choose(&visitor, &links, &longest, &longest).await.is_done());
    assert!(visitor.sign_in("101", &longest).await.is_done());
    assert_eq!(house.visitor().sign_in("101", &too_long).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_unicode_spellings_of_a_password_are_one_password() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let (decomposed, composed) = (
        "cafe\u{301} ga\u{304}teau on tuesday 7",
        "caf\u{e9} g\u{101}teau on tuesday 7",
    );
    let visitor = house.visitor();
    let set = choose(&visitor, &links, decomposed, composed).await;
    assert!(set.is_done(), "{set:?}");
    assert!(house.visitor().sign_in("101", composed).await.is_done());
    assert!(house.visitor().sign_in("101", decomposed).await.is_done());
    assert_eq!(
        house.visitor().sign_in("101", "cafe gateau on tuesday 7").await.status,
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_cannot_use_its_link() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
    let page = house.visitor().follow(&links.in_office).await;
    assert_eq!(page.status, 410, "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_can_set_the_password_too() {
    let house = House::open().await;
    let email = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&email).await;
    let visitor = house.visitor();
    let ask = |password: &str, confirmation: &str| serde_json::json!({"ticket": links.ticket(), "password": password, "confirmation": confirmation});
    visitor
        .post_json("/set-password", &ask("short", "short"))
        .await
        .is_problem(422, "weak-password");
    visitor
        .post_json("/set-password", &ask(PASSWORD, OTHER_PASSWORD))
        .await
        .is_problem(422, "passwords-differ");
    let set = visitor.post_json("/set-password", &ask(PASSWORD, PASSWORD)).await;
    assert_eq!(set.status, 200, "{set:?}");
    let again = visitor.post_json("/set-password", &ask(PASSWORD, PASSWORD)).await;
    again.is_problem(410, "link-dead");
    assert_eq!(again.json()["state"], "used");
    assert!(visitor.sign_in("101", PASSWORD).await.is_done());
}
