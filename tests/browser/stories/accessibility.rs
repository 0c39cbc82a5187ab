//! Every page, in both languages, light and dark: axe finds nothing wrong with it.

use serde_json::Value;

use crate::axe;
use crate::browser::Scheme;
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
        let light = axe::violations(browser).await;
        browser.show(Scheme::Dark, 1280, 800).await;
        let dark = axe::unreadable(browser).await;
        browser.show(Scheme::Light, 1280, 800).await;
        for (scheme, violations) in [("light", light), ("dark", dark)] {
            if !violations.is_empty() {
                found.push((format!("{name}, {scheme}"), violations));
            }
        }
    })
    .await;
    assert!(found.is_empty(), "{found:#?}");
}
