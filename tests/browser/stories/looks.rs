//! Every page and letter on every kind of screen: nothing is cut off, and there are pictures for people to look at.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::actions::{be_stopped, forget_password, open_link, set_password, start_out, unlock_by_mail};
use crate::browser::{Browser, Kind, Scheme};
use crate::harness::{OTHER_PASSWORD, PASSWORD, quotas};
use crate::office::{Office, Person};
use crate::pages;
use crate::screens;
use crate::words::{ENGLISH, JAPANESE, Words};

/// The pages people see every day: these are pictured in every way they can be shown, the others in two.
const MAIN: [&str; 12] = [
    "circle",
    "account",
    "confirm",
    "login",
    "login-refused",
    "login-stopped",
    "unlock",
    "set-password",
    "forgot-password",
    "forgot-password-sent",
    "link-expired",
    "client",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_english_fits_every_screen() {
    look_at_every_page(&ENGLISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_japanese_fits_every_screen() {
    look_at_every_page(&JAPANESE).await;
}

async fn look_at_every_page(words: &Words) {
    let mut found = Vec::new();
    pages::walk(words, async |page, browser| {
        found.extend(too_wide(browser, page).await);
        for scheme in Scheme::ALL {
            if scheme == Scheme::Light || MAIN.contains(&page) {
                take_pictures(words, page, browser, scheme).await;
            }
        }
        browser.show(Scheme::Light, 1280, 800).await;
    })
    .await;
    assert!(found.is_empty(), "{found:#?}");
}

async fn take_pictures(words: &Words, page: &str, browser: &Browser, scheme: Scheme) {
    for (width, height) in [(390, 844), (1280, 800)] {
        browser.show(scheme, width, height).await;
        let name = format!("{page}-{}-{}-{width}", words.language, scheme.as_str());
        screens::keep(browser, &name, width < 1000).await;
    }
}

/// What stands out of the page to the right.
const OVERFLOW: &str = "
    const page = document.scrollingElement;
    if (page.scrollWidth <= innerWidth) return null;
    const out = (element) => element.getBoundingClientRect().right > innerWidth + 1;
    return [...document.querySelectorAll('body *')]
        .filter((element) => out(element) && ![...element.children].some(out))
        .map((element) => element.outerHTML.slice(0, 120)).slice(0, 5).join('\\n') || 'something';
";

/// Screens on which the page must be scrolled sideways: a small phone, the narrowest that WCAG 2.2 asks for (1.4.10),
/// and everything at twice the size.
async fn too_wide(browser: &Browser, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (width, height, zoom) in [(360, 740, 1), (320, 640, 1), (1280, 1024, 2)] {
        browser.show_zoomed(Scheme::Light, width, height, zoom).await;
        let what = browser.ask(OVERFLOW, Vec::new()).await;
        if !what.is_null() {
            found.push(format!("{page} at {width} px, zoomed {zoom} times: {what}"));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_shows_something() {
    let office = Office::with(&quotas(&[("sign-in.client+account", "3 per 15m")])).await;
    for (words, extension) in [(&ENGLISH, "601"), (&JAPANESE, "602")] {
        let person = Person::new(extension, words.somebody, words.language);
        let browser = Browser::open(&office, Kind::speaking(words.language)).await;
        start_out(&office, &browser, &person, words, PASSWORD).await;
        forget_password(&browser, words, &person.email).await;
        let links = office.mailbox.next_links(&person.email).await;
        open_link(&browser, &links.in_office).await;
        set_password(&browser, words, OTHER_PASSWORD).await;
        office.mailbox.next(&person.email).await;
        be_stopped(&office, &browser, words, &person.extension).await;
        unlock_by_mail(&office, &browser, words, &person, async |_: &str, _: &Browser| {}).await;
        let letters = office.mailbox.letters_to(&person.email);
        assert_eq!(letters.len(), 4, "Welcome, reset, changed, unlock");
        for (letter, name) in letters.iter().zip(["welcome", "reset", "changed", "unlock"]) {
            let html = letter.html.as_ref().expect("every letter has an HTML part");
            browser
                .visit(&format!("data:text/html;base64,{}", BASE64_STANDARD.encode(html)))
                .await;
            for scheme in Scheme::ALL {
                for (width, height) in [(390, 844), (1000, 700)] {
                    browser.show(scheme, width, height).await;
                    let name = format!("letter-{name}-{}-{}-{width}", words.language, scheme.as_str());
                    screens::keep(&browser, &name, true).await;
                }
            }
        }
        browser.close().await;
    }
}
