//! The person's own page in a browser: walked in both languages, with the keyboard alone, without scripts.

use crate::actions::{is_refused, sign_in, start_out};
use crate::browser::{Browser, Kind};
use crate::harness::{OTHER_PASSWORD, PASSWORD, eventually};
use crate::office::{Office, Person};
use crate::words::{ENGLISH, JAPANESE, Words};

const PAGE: &str = "/.sekisho/account";
const PASSWORD_FORM: &str = "form[action*='account/password']";
const END_OTHERS: &str = "form[action$='/sessions/end-others'] button";

#[tokio::test(flavor = "multi_thread")]
async fn the_account_page_is_walked_in_english() {
    walk(&ENGLISH, Kind::speaking("en")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_page_is_walked_in_japanese_without_scripts() {
    let kind = Kind {
        javascript: false,
        ..Kind::speaking("ja")
    };
    walk(&JAPANESE, kind).await;
}

/// Two browsers; in one the person looks at the page, changes the password, ends the other, changes the language.
async fn walk(words: &Words, kind: Kind<'_>) {
    let office = Office::open().await;
    let person = Person::new("701", words.somebody, words.language);
    let here = Browser::open(&office, kind).await;
    start_out(&office, &here, &person, words, PASSWORD).await;
    sign_in(&here, &person.extension, PASSWORD).await;
    let there = Browser::open(&office, Kind::speaking(words.language)).await;
    there.visit("/login").await;
    sign_in(&there, &person.extension, PASSWORD).await;

    here.visit(PAGE).await;
    here.until("h1", |title| title == words.account).await;
    here.until(".sessions .badge", |badge| badge == words.this_one).await;
    here.find(".sessions li:nth-child(2)").await;
    change_password(&here, "not the old one", OTHER_PASSWORD).await;
    is_refused(&here, words.not_your_password).await;
    change_password(&here, PASSWORD, OTHER_PASSWORD).await;
    here.until("[role=status]", |text| text.contains(words.password_changed))
        .await;
    is_out(&there).await;

    sign_in(&there, &person.extension, OTHER_PASSWORD).await;
    here.visit(PAGE).await;
    here.click(END_OTHERS).await;
    here.until("[role=status]", |text| text.contains(words.others_ended))
        .await;
    is_out(&there).await;

    let other = if words.language == "en" { &JAPANESE } else { &ENGLISH };
    here.click(&format!("footer a[hreflang={}]", other.language)).await;
    here.until("h1", |title| title == other.account).await;
    here.click("form[action$='/sessions/end-all'] button").await;
    here.arrive("/login").await;
    here.until("[role=status]", |text| text.contains(other.signed_out))
        .await;
    for browser in [here, there] {
        browser.close().await;
    }
}

/// The gateway hears of an ended session within a second. Asked meanwhile is a page of ours: one of the web client may
/// be let through and its style sheet, a moment later, refused.
async fn is_out(browser: &Browser) {
    eventually("the other browser to be signed out", async || {
        browser.visit(PAGE).await;
        browser.path().await.starts_with("/login").then_some(())
    })
    .await;
    browser.visit("/").await;
    browser.arrive("/login").await;
    browser.find("#login").await;
}

async fn change_password(browser: &Browser, old: &str, new: &str) {
    browser.fill("#old_password", old).await;
    browser.fill("#password", new).await;
    browser.fill("#confirmation", new).await;
    browser.click(&format!("{PASSWORD_FORM} button.primary")).await;
}
