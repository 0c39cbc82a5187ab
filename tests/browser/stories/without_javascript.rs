//! The gateway's own pages in a browser that runs no scripts.

use crate::actions::{forget_password, is_refused, open_link, send_passwords, set_password, sign_in};
use crate::browser::{Browser, Kind};
use crate::harness::{OTHER_PASSWORD, PASSWORD};
use crate::office::{Office, Person};
use crate::words::{ENGLISH, JAPANESE};

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_ours_works_without_javascript() {
    let office = Office::open().await;
    let person = Person::new("310", ENGLISH.somebody, "en");
    let kind = Kind {
        javascript: false,
        ..Kind::speaking("en")
    };
    let browser = Browser::open(&office, kind).await;

    office.invite(&person).await;
    let links = office.mailbox.next_links(&person.email).await;
    open_link(&browser, &links.in_office).await;
    assert!(!browser.has("#password-hint").await, "a script ran");
    send_passwords(&browser, "short", "short").await;
    is_refused(&browser, ENGLISH.too_short).await;
    set_password(&browser, &ENGLISH, PASSWORD).await;
    sign_in(&browser, &person.extension, PASSWORD).await;
    assert_eq!(browser.text("#me-name").await, person.name);

    browser.visit("/logout").await;
    browser.until("h1", |title| title == ENGLISH.sign_out).await;
    browser.click("main button[type=submit]").await;
    browser
        .until("[role=status]", |text| text.contains(ENGLISH.signed_out))
        .await;

    forget_password(&browser, &ENGLISH, &person.email).await;
    let links = office.mailbox.next_links(&person.email).await;
    open_link(&browser, &links.in_office).await;
    set_password(&browser, &ENGLISH, OTHER_PASSWORD).await;

    browser.click("footer a[hreflang=ja]").await;
    browser.until("h1", |title| title == JAPANESE.login).await;
    sign_in(&browser, &person.email, OTHER_PASSWORD).await;
    assert_eq!(browser.text("#me-ext").await, person.extension);
    browser.close().await;
}
