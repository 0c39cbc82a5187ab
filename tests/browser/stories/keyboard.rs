//! The pages with the keyboard alone: the focus goes where people expect it, and is seen wherever it is.

use fantoccini::key::Key;
use serde_json::Value;

use crate::actions::{sign_in, start_out};
use crate::browser::{Browser, Kind, Scheme};
use crate::harness::{OTHER_PASSWORD, PASSWORD};
use crate::office::{Office, Person};
use crate::words::ENGLISH;

/// What has the focus, and whether that is to be seen.
const FOCUSED: &str = "
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    return {
        name: element.id || element.getAttribute('href') || element.getAttribute('aria-label') || element.textContent.trim(),
        ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        inside: box.width > 0 && box.height > 0 && box.top >= 0 && box.left >= 0 && box.right <= innerWidth,
    };
";

/// Everything on the page that a mouse could use.
const USABLE: &str = "
    return [...document.querySelectorAll('a[href], button, input, select, textarea')]
        .filter((element) => !element.disabled && element.type !== 'hidden' && element.checkVisibility()).length;
";

#[tokio::test(flavor = "multi_thread")]
async fn the_own_page_needs_no_mouse() {
    let office = Office::open().await;
    let person = Person::new("321", ENGLISH.somebody, "en");
    let browser = Browser::open(&office, Kind::speaking("en")).await;
    start_out(&office, &browser, &person, &ENGLISH, PASSWORD).await;
    sign_in(&browser, &person.extension, PASSWORD).await;
    browser.visit("/.sekisho/account").await;
    browser.until("h1", |title| title == ENGLISH.account).await;
    reach(&browser, "old_password").await;
    browser.type_keys(PASSWORD).await;
    for field in ["password", "confirmation"] {
        reach(&browser, field).await;
        browser.type_keys(OTHER_PASSWORD).await;
    }
    browser.press(Key::Enter).await;
    browser
        .until("[role=status]", |text| text.contains(ENGLISH.password_changed))
        .await;
    reach(&browser, "Sign out everywhere").await;
    browser.press(Key::Enter).await;
    browser.arrive("/login").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tab_and_enter_are_enough() {
    let office = Office::open().await;
    let person = Person::new("320", ENGLISH.somebody, "en");
    let browser = Browser::open(&office, Kind::speaking("en")).await;
    office.invite(&person).await;
    let links = office.mailbox.next_links(&person.email).await;

    browser.visit(&links.in_office).await;
    browser.find("#confirmation").await;
    reach(&browser, "password").await;
    browser.type_keys(PASSWORD).await;
    reach(&browser, "confirmation").await;
    browser.type_keys(PASSWORD).await;
    browser.press(Key::Enter).await;
    browser
        .until("[role=status]", |text| text.contains(ENGLISH.password_set))
        .await;

    // As everybody does it: the name, one Tab, the password, Enter.
    assert_eq!(
        focused(&browser).await["name"],
        "login",
        "the page opens with the focus in its first field"
    );
    browser.type_keys(&person.extension).await;
    browser.press(Key::Tab).await;
    assert_eq!(
        focused(&browser).await["name"],
        "password",
        "the password follows the name"
    );
    browser.type_keys(PASSWORD).await;
    browser.press(Key::Enter).await;
    browser.until("#me-name", |name| name == person.name).await;

    reach(&browser, "sign-out").await;
    browser.press(Key::Enter).await;
    browser.until("h1", |title| title == ENGLISH.sign_out).await;
    reach(&browser, "Sign out").await;
    browser.press(Key::Enter).await;
    browser
        .until("[role=status]", |text| text.contains(ENGLISH.signed_out))
        .await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_where_the_focus_goes() {
    let office = Office::open().await;
    let browser = Browser::open(&office, Kind::speaking("en")).await;
    browser.visit("/login").await;
    browser.find("#login").await;
    browser.type_keys("999").await;
    reach(&browser, "password").await;
    browser.type_keys("not the password").await;
    browser.press(Key::Enter).await;
    browser.until("[role=alert]", |text| text.contains(ENGLISH.wrong)).await;
    assert_eq!(
        focused(&browser).await["name"],
        "problem",
        "a screen reader reads what is wrong first"
    );
    assert_eq!(
        browser.find("#login").await.prop("value").await.unwrap().unwrap(),
        "999",
        "the name stays"
    );
    reach(&browser, "password").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_focus_goes_through_the_whole_page_and_is_always_seen() {
    let office = Office::open().await;
    let person = Person::new("321", ENGLISH.somebody, "en");
    let browser = Browser::open(&office, Kind::speaking("en")).await;
    office.invite(&person).await;
    let links = office.mailbox.next_links(&person.email).await;
    for page in ["/login", "/forgot-password", &links.in_office] {
        for scheme in Scheme::ALL {
            browser.show(scheme, 1280, 800).await;
            browser.visit(page).await;
            browser.find("main form").await;
            let stops = walk_around(&browser).await;
            let usable = browser.ask(USABLE, Vec::new()).await.as_u64().unwrap();
            assert_eq!(stops.len() as u64, usable, "each once: {stops:?}");
        }
    }
    browser.close().await;
}

/// The link past everything, which comes first on every page.
const FIRST: &str = "#content";

/// Goes to the first stop of the page and from there through all of it; returns where it stopped.
async fn walk_around(browser: &Browser) -> Vec<String> {
    reach(browser, FIRST).await;
    let mut stops = vec![FIRST.to_owned()];
    loop {
        browser.press(Key::Tab).await;
        let now = focused(browser).await;
        match now["name"].as_str() {
            // Behind the last stop comes the browser's own frame, or the page once more.
            None | Some(FIRST) => return stops,
            Some(name) => stops.push(name.to_owned()),
        }
        assert_seen(&now);
        assert!(stops.len() < 30, "the focus never leaves the page: {stops:?}");
    }
}

/// Presses Tab until the focus is there; it is seen all the way.
async fn reach(browser: &Browser, name: &str) {
    let mut way = Vec::new();
    loop {
        let now = focused(browser).await;
        if now["name"] == name {
            assert_seen(&now);
            return;
        }
        way.push(now["name"].clone());
        assert!(way.len() < 30, "Tab never reaches {name}: {way:?}");
        browser.press(Key::Tab).await;
    }
}

async fn focused(browser: &Browser) -> Value {
    browser.ask(FOCUSED, Vec::new()).await
}

#[track_caller]
fn assert_seen(focused: &Value) {
    assert!(
        focused["ring"] == true && focused["inside"] == true,
        "the focus is not seen: {focused}"
    );
}
