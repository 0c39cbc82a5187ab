//! An owner whom somebody's guesses stop on a new browser, helped by mail: in both languages, with and without scripts.

use crate::actions::{be_stopped, sign_in, start_out, unlock_by_mail};
use crate::browser::{Browser, Kind};
use crate::harness::{PASSWORD, quotas};
use crate::office::{Office, Person};
use crate::words::{ENGLISH, JAPANESE, Words};

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_is_stopped_on_a_new_browser_unlocks_it_by_mail() {
    for javascript in [true, false] {
        for words in [&ENGLISH, &JAPANESE] {
            is_helped(words, javascript).await;
        }
    }
}

async fn is_helped(words: &Words, javascript: bool) {
    let office = Office::with(&quotas(&[("sign-in.client+account", "3 per 15m")])).await;
    let person = Person::new("441", words.somebody, words.language);
    let kind = Kind {
        javascript,
        ..Kind::speaking(words.language)
    };
    let browser = Browser::open(&office, kind).await;
    start_out(&office, &browser, &person, words, PASSWORD).await;

    be_stopped(&office, &browser, words, &person.extension).await;
    let alert = browser.text("[role=alert]").await;
    assert!(alert.contains("UTC+"), "it says at what time to come back: {alert}");
    let link = unlock_by_mail(&office, &browser, words, &person, async |_: &str, _: &Browser| {}).await;
    sign_in(&browser, &person.extension, PASSWORD).await;
    assert_eq!(browser.text("#me-name").await, person.name);

    browser.visit(&link).await;
    browser.until("h1", |title| title == words.unknown).await;
    assert!(browser.has("main a.primary[href='/login']").await, "a next step");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_stopped_at_a_name_that_does_not_exist_sees_the_same() {
    let office = Office::with(&quotas(&[("sign-in.client+account", "3 per 15m")])).await;
    let browser = Browser::open(&office, Kind::speaking("en")).await;
    let person = Person::new("442", ENGLISH.somebody, "en");
    start_out(&office, &browser, &person, &ENGLISH, PASSWORD).await;
    let mut seen = Vec::new();
    for name in ["442", "998"] {
        be_stopped(&office, &browser, &ENGLISH, name).await;
        let aside = browser.text("form.aside").await;
        browser.click("form.aside button").await;
        browser.arrive("/login").await;
        browser
            .until("[role=status]", |text| text.contains(ENGLISH.unlock_sent))
            .await;
        seen.push((aside, browser.text("[role=status]").await));
    }
    assert_eq!(seen[0], seen[1]);
    browser.close().await;
}
