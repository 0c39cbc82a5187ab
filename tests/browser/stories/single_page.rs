//! The end of a session on a page of the web client: seen coming, put off, and a sign-in in a small window after it.

use serde_json::json;

use crate::actions::{is_at_work, sign_in, start_out, try_sign_in};
use crate::browser::{Browser, Kind, Scheme};
use crate::countdown;
use crate::harness::{PASSWORD, eventually};
use crate::office::{Office, Person};
use crate::screens;
use crate::words::{ENGLISH, JAPANESE, Words};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_survives_the_end_of_its_session_in_english() {
    outlive_a_session(&ENGLISH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_survives_the_end_of_its_session_in_japanese() {
    outlive_a_session(&JAPANESE).await;
}

async fn outlive_a_session(words: &Words) {
    let office = Office::with("[sessions]\nidle = \"25s\"\nabsolute = \"10m\"").await;
    let person = Person::new("801", words.somebody, words.language);
    let browser = Browser::open(&office, Kind::speaking(words.language)).await;
    start_out(&office, &browser, &person, words, PASSWORD).await;
    sign_in(&browser, &person.extension, PASSWORD).await;
    is_at_work(&browser, &person).await;
    browser.fill("#number", "0312345678").await;

    let (time, act) = countdown::says(&browser, words.ends).await;
    assert!(time.starts_with("00:"), "{time}");
    assert_eq!(act, words.stay);
    for scheme in Scheme::ALL {
        for (width, height) in [(390, 844), (1280, 800)] {
            browser.show(scheme, width, height).await;
            let name = format!("countdown-{}-{}-{width}", words.language, scheme.as_str());
            screens::keep(&browser, &name, false).await;
        }
    }
    eventually("the time to run down", async || {
        let (time, _) = countdown::says(&browser, words.ends).await;
        (time.as_str() < "00:15").then_some(())
    })
    .await;
    countdown::press(&browser).await;
    eventually("the end to be put off", async || {
        let (time, _) = countdown::says(&browser, words.ends).await;
        (time.as_str() > "00:20").then_some(())
    })
    .await;

    office
        .gateway
        .cli(&["session", "end", "--account", "801"])
        .await
        .succeeded();
    let (time, act) = countdown::says(&browser, words.ended).await;
    assert_eq!((time.as_str(), act.as_str()), ("", words.login));
    let page = browser.window().await;
    countdown::press(&browser).await;
    browser.switch_to_other_than(&page).await;
    browser.arrive("/login").await;
    screens::keep(&browser, &format!("small-window-{}", words.language), false).await;
    try_sign_in(&browser, &person.extension, PASSWORD).await;
    browser.is_alone_with(&page).await;
    eventually("the page to go on", async || {
        (!browser.text("#line").await.is_empty() && browser.has("#line[data-state=live]").await).then_some(())
    })
    .await;
    let typed = browser.find("#number").await.prop("value").await.unwrap();
    assert_eq!(typed.as_deref(), Some("0312345678"), "what was typed is still there");
    let facts = browser.ask_later(ASK, vec![json!("/.sekisho/session")]).await;
    assert_eq!(facts["account"]["extension"], "801");
    browser.close().await;
}

const ASK: &str = "
    const [path, done] = arguments;
    fetch(path).then((answer) => answer.json()).then(done, (error) => done(String(error)));
";
