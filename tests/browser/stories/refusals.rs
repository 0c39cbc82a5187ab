//! What does not work, and how it is said: always the same, kindly, and with a next step.

use crate::actions::{is_refused, link_for, open_link, send_passwords, set_password, sign_in, start_out, try_sign_in};
use crate::browser::{Browser, Kind};
use crate::harness::{IN, OTHER_PASSWORD, PASSWORD, eventually, quotas};
use crate::office::{Office, Person};
use crate::words::{ENGLISH, JAPANESE, Words};

/// All that tells one answer from another: its status, its title, what it says and where it is.
const ANSWER: &str = "
    const said = [...document.querySelectorAll('h1, [role=alert], [role=status]')].map((element) => element.innerText);
    return JSON.stringify([performance.getEntriesByType('navigation')[0].responseStatus, document.title, location.pathname, said]);
";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_the_words_are_the_same() {
    let office = Office::open().await;
    let browser = Browser::open(&office, Kind::speaking("en")).await;
    let active = Person::new("401", "Noah Weber", "en");
    start_out(&office, &browser, &active, &ENGLISH, PASSWORD).await;
    let disabled = Person::new("402", "Mia Rossi", "en");
    start_out(&office, &browser, &disabled, &ENGLISH, PASSWORD).await;
    office.gateway.cli(&["account", "disable", "402"]).await.succeeded();
    office.invite(&Person::new("403", "Liam Novak", "en")).await;

    let mut answers = Vec::new();
    for (login, password) in [
        ("401", OTHER_PASSWORD),
        ("401", OTHER_PASSWORD),
        (&*active.email, OTHER_PASSWORD),
        ("999", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("402", PASSWORD),
        ("403", PASSWORD),
    ] {
        browser.visit("/login").await;
        try_sign_in(&browser, login, password).await;
        is_refused(&browser, ENGLISH.wrong).await;
        answers.push((login, browser.ask(ANSWER, Vec::new()).await));
    }
    let (_, first) = &answers[0];
    assert!(first.as_str().unwrap().starts_with("[401,"), "{first}");
    assert!(answers.iter().all(|(_, answer)| answer == first), "{answers:#?}");
    browser.visit("/login").await;
    sign_in(&browser, "401", PASSWORD).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_does_not_work_says_why_and_what_to_do() {
    let office = Office::with("[links]\nwelcome = \"1s\"").await;
    let browser = Browser::open(&office, Kind::speaking("ja")).await;
    let late = Person::new("411", JAPANESE.somebody, "ja");
    office.invite(&late).await;
    let expired = office.mailbox.next_links(&late.email).await;
    eventually("the link to expire", async || {
        browser.visit(&expired.in_office).await;
        (browser.text("h1").await == JAPANESE.expired).then_some(())
    })
    .await;
    offers_new_link(&browser).await;

    // The next step that the page offers leads all the way.
    browser.click("main a[href='/forgot-password']").await;
    browser.fill("#email", &late.email).await;
    browser.click("main button[type=submit]").await;
    browser.until("h1", |title| title == JAPANESE.sent).await;
    office.mailbox.next_links(&late.email).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_link_works_and_only_once() {
    let office = Office::open().await;
    let browser = Browser::open(&office, Kind::speaking("ja")).await;
    let late = Person::new("412", JAPANESE.somebody, "ja");
    office.invite(&late).await;
    let first = office.mailbox.next_links(&late.email).await;
    office.welcome_again(&late).await;
    let second = office.mailbox.next_links(&late.email).await;

    browser.visit(link_for(&first, IN)).await;
    browser.until("h1", |title| title == JAPANESE.replaced).await;
    offers_new_link(&browser).await;

    open_link(&browser, link_for(&second, IN)).await;
    set_password(&browser, &JAPANESE, PASSWORD).await;
    browser.visit(link_for(&second, IN)).await;
    browser.until("h1", |title| title == JAPANESE.used).await;
    browser.click("main a.primary[href='/login']").await;
    sign_in(&browser, &late.extension, PASSWORD).await;

    browser
        .visit(&second.in_office.replace(second.ticket(), &"A".repeat(43)))
        .await;
    browser.until("h1", |title| title == JAPANESE.unknown).await;
    offers_new_link(&browser).await;
    browser.close().await;
}

async fn offers_new_link(browser: &Browser) {
    assert!(
        browser.has("main a[href='/forgot-password']").await,
        "{}",
        browser.page().await
    );
    assert!(
        !browser.has("form").await,
        "there is nothing to fill in: {}",
        browser.page().await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_two_people_opened_sets_one_password() {
    let office = Office::open().await;
    let person = Person::new("421", ENGLISH.somebody, "en");
    let mine = Browser::open(&office, Kind::speaking("en")).await;
    let theirs = Browser::open(&office, Kind::speaking("en")).await;
    office.invite(&person).await;
    let links = office.mailbox.next_links(&person.email).await;
    open_link(&mine, &links.in_office).await;
    open_link(&theirs, &links.in_office).await;
    set_password(&mine, &ENGLISH, PASSWORD).await;
    send_passwords(&theirs, OTHER_PASSWORD, OTHER_PASSWORD).await;
    theirs.until("h1", |title| title == ENGLISH.used).await;
    sign_in(&mine, &person.extension, PASSWORD).await;
    mine.close().await;
    theirs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_attempts_get_a_break_that_says_how_long() {
    for words in [&ENGLISH, &JAPANESE] {
        slow_down(words).await;
    }
}

async fn slow_down(words: &Words) {
    let office = Office::with(&quotas(&[("sign-in.client+account", "2 per 15m")])).await;
    let browser = Browser::open(&office, Kind::speaking(words.language)).await;
    browser.visit("/login").await;
    for _ in 0..2 {
        try_sign_in(&browser, "431", PASSWORD).await;
        is_refused(&browser, words.wrong).await;
    }
    try_sign_in(&browser, "431", PASSWORD).await;
    is_refused(&browser, words.throttled).await;
    let alert = browser.text("[role=alert]").await;
    assert!(
        alert.contains(|c: char| c.is_ascii_digit()),
        "it says how long: {alert}"
    );
    assert!(
        browser
            .ask(ANSWER, Vec::new())
            .await
            .as_str()
            .unwrap()
            .starts_with("[429,")
    );
    assert!(browser.has("#login").await, "the form stays");
    browser.close().await;
}
