//! Every page, in both languages, light and dark: axe finds nothing wrong with it, and it fits every screen.

use serde_json::Value;

use crate::axe;
use crate::browser::{Browser, Scheme};
use crate::pages;
use crate::words::{ENGLISH, JAPANESE, Words};

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_wrong_in_english() {
    axe_finds_nothing_wrong(&ENGLISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_wrong_in_japanese() {
    axe_finds_nothing_wrong(&JAPANESE).await;
}

async fn axe_finds_nothing_wrong(words: &Words) {
    let mut found: Vec<(String, Vec<Value>)> = Vec::new();
    pages::walk(words, async |name, browser| {
        for scheme in Scheme::ALL {
            browser.show(scheme, 1280, 800).await;
            let violations = axe::violations(browser).await;
            if !violations.is_empty() {
                found.push((format!("{name}, {}", scheme.as_str()), violations));
            }
        }
    })
    .await;
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_small_screen_and_large_letters() {
    let mut found = Vec::new();
    for words in [&ENGLISH, &JAPANESE] {
        pages::walk(words, async |name, browser| {
            browser.show(Scheme::Light, 360, 740).await;
            found.extend(overflow(browser, name, "360 px").await);
            // 320 px is what WCAG 2.2 asks for (1.4.10).
            browser.show(Scheme::Light, 320, 740).await;
            found.extend(overflow(browser, name, "320 px").await);
            browser.show_zoomed(Scheme::Light, 1280, 1024, 2).await;
            found.extend(overflow(browser, name, "200 %").await);
            browser.show(Scheme::Light, 1280, 800).await;
        })
        .await;
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// What stands out of the page to the right.
const OVERFLOW: &str = "
    const page = document.scrollingElement;
    if (page.scrollWidth <= innerWidth) return null;
    return [...document.querySelectorAll('body *')]
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
        .map((element) => element.outerHTML.slice(0, 120)).slice(0, 5).join('\\n') || 'something';
";

async fn overflow(browser: &Browser, page: &str, size: &str) -> Option<String> {
    match browser.ask(OVERFLOW, Vec::new()).await {
        Value::Null => None,
        what => Some(format!("{page} at {size} must be scrolled sideways: {what}")),
    }
}
