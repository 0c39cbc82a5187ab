//! Pictures of every page and letter, in both languages, light and dark, wide and narrow, for people to look at.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::actions::{forget_password, open_link, set_password, start_out};
use crate::browser::{Browser, Kind, Scheme};
use crate::harness::{OTHER_PASSWORD, PASSWORD};
use crate::office::{Office, Person};
use crate::pages;
use crate::screens;
use crate::words::{ENGLISH, JAPANESE, Words};

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_english_shows_something() {
    take_pictures(&ENGLISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_japanese_shows_something() {
    take_pictures(&JAPANESE).await;
}

async fn take_pictures(words: &Words) {
    pages::walk(words, async |page, browser| {
        for scheme in Scheme::ALL {
            for (width, height) in [(390, 844), (1280, 800)] {
                browser.show(scheme, width, height).await;
                let name = format!("{page}-{}-{}-{width}", words.language, scheme.as_str());
                screens::keep(browser, &name, width < 1000).await;
            }
        }
        browser.show(Scheme::Light, 1280, 800).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_shows_something() {
    let office = Office::open().await;
    for (words, extension) in [(&ENGLISH, "601"), (&JAPANESE, "602")] {
        let person = Person::new(extension, words.somebody, words.language);
        let browser = Browser::open(&office, Kind::speaking(words.language)).await;
        start_out(&office, &browser, &person, words, PASSWORD).await;
        forget_password(&browser, words, &person.email).await;
        let links = office.mailbox.next_links(&person.email).await;
        open_link(&browser, &links.in_office).await;
        set_password(&browser, words, OTHER_PASSWORD).await;
        office.mailbox.next(&person.email).await;
        let letters = office.mailbox.letters_to(&person.email);
        assert_eq!(letters.len(), 3, "Welcome, reset, changed");
        for (letter, name) in letters.iter().zip(["welcome", "reset", "changed"]) {
            let html = letter.html.as_ref().expect("every letter has an HTML part");
            browser.visit(&format!("data:text/html;base64,{}", BASE64_STANDARD.encode(html))).await;
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
