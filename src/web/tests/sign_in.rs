//! Signing in and out, as a person does it.

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};

use crate::domain::account::AccountState;

use super::*;

#[tokio::test]
async fn a_person_signs_in_and_goes_where_they_wanted() {
    let house = House::new();
    let mut browser = house.browser();
    let page = text(&browser.get("/login?return_to=%2Fcalls%3Fday%3D1").await);
    assert_eq!(hidden(&page, "return_to"), "/calls?day=1");
    let answer = browser
        .post_as(
            "/login",
            "same-origin",
            &[
                ("token", &hidden(&page, "token")),
                ("login", " １０１ "),
                ("password", PASSWORD),
                ("return_to", "/calls?day=1"),
            ],
        )
        .await;
    assert_eq!(location(&answer), "/calls?day=1");
    let cookies = set_cookies(answer.headers());
    let session = cookies
        .iter()
        .find(|cookie| cookie.starts_with("__Host-sekisho="))
        .unwrap();
    assert!(
        session.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"),
        "{session}"
    );
    assert_eq!(house.fakes.sessions.lock().len(), 1);
}

/// By link, the one there is already.
async fn set_a_password(house: &House, browser: &mut Browser) {
    browser.get(&house.link(1, Purpose::Reset)).await;
    let fields = [("password", PASSWORD), ("confirmation", PASSWORD)];
    let answer = browser.post("/set-password", &fields).await;
    assert_eq!(location(&answer), "/login");
}

#[tokio::test]
async fn the_page_says_what_has_just_happened_once_and_by_no_link() {
    let house = House::new();
    let mut browser = house.browser();
    let shown = "class=\"notice\"";
    for link in [
        "/login?notice=signed-out",
        "/login?notice=password-set",
        "/login?notice=session-ended",
    ] {
        assert!(!text(&browser.get(link).await).contains(shown), "{link}");
    }
    browser.sign_in().await;
    assert_eq!(location(&browser.post("/logout", &[]).await), "/login");
    let kept = browser.cookies["__Host-sekisho-notice"].clone();
    let page = browser.get("/login").await;
    assert!(text(&page).contains("You are signed out."));
    assert_eq!(
        set_cookies(page.headers()),
        ["__Host-sekisho-notice=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"]
    );
    assert!(!text(&browser.get("/login").await).contains(shown), "once");
    for forged in [
        "signed-out",
        "signed-out.1800000000.",
        &kept.replace("signed-out", "password-set"),
    ] {
        browser
            .cookies
            .insert("__Host-sekisho-notice".into(), forged.to_owned());
        assert!(!text(&browser.get("/login").await).contains(shown), "{forged}");
        assert!(
            !browser.cookies.contains_key("__Host-sekisho-notice"),
            "cleared all the same"
        );
    }
    house.wait(Duration::from_secs(61));
    browser.cookies.insert("__Host-sekisho-notice".into(), kept);
    assert!(!text(&browser.get("/login").await).contains(shown), "later");
}

#[tokio::test]
async fn a_notice_that_nobody_needs_to_see_is_dropped() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    browser.post("/logout", &[]).await;
    let notice = browser.cookies.remove("__Host-sekisho-notice").unwrap();
    browser.sign_in().await;
    browser.cookies.insert("__Host-sekisho-notice".into(), notice);
    let answer = browser.get("/login?return_to=/calls").await;
    assert_eq!(location(&answer), "/calls");
    assert!(!browser.cookies.contains_key("__Host-sekisho-notice"));
}

#[tokio::test]
async fn somebody_signed_in_skips_the_form_except_after_setting_a_password() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    assert_eq!(location(&browser.get("/login?return_to=/calls").await), "/calls");
    set_a_password(&house, &mut browser).await;
    let answer = browser.get("/login").await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_new_session_takes_the_place_of_the_browsers_old_one() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    let first = browser.cookies["__Host-sekisho"].clone();
    set_a_password(&house, &mut browser).await;
    let page = text(&browser.get("/login").await);
    let fields = [
        ("token", &*hidden(&page, "token")),
        ("login", "101"),
        ("password", PASSWORD),
    ];
    browser.post_as("/login", "same-origin", &fields).await;
    assert_ne!(browser.cookies["__Host-sekisho"], first);
    assert_eq!(house.fakes.sessions.lock().len(), 1, "the old one ended");
}

#[tokio::test]
async fn no_return_path_leaves_the_web_client_or_leads_in_circles() {
    let house = House::new();
    for target in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil",
        "/login",
        "/logout",
        "/Login/",
        "/.sekisho/x",
        "x",
    ] {
        let mut browser = house.browser();
        let answer = browser
            .post(
                "/login",
                &[("login", "101"), ("password", PASSWORD), ("return_to", target)],
            )
            .await;
        assert_eq!(location(&answer), "/", "{target}");
    }
}

#[tokio::test]
async fn every_refusal_is_one_page_and_costs_one_hash() {
    let house = House::new();
    let mut pages = Vec::new();
    for (name, state, password) in [
        ("101", AccountState::Active, "wrong password here"),
        ("999", AccountState::Active, PASSWORD),
        ("nobody@example.com", AccountState::Active, PASSWORD),
        ("/;--", AccountState::Active, PASSWORD),
        ("101", AccountState::Disabled, PASSWORD),
        ("101", AccountState::Invited, PASSWORD),
    ] {
        house.fakes.account.lock().state = state;
        *house.fakes.hashes.lock() = 0;
        let mut browser = house.browser();
        let answer = browser.post("/login", &[("login", name), ("password", password)]).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(*house.fakes.hashes.lock(), 1, "{name} {state:?}");
        assert!(!browser.cookies.contains_key("__Host-sekisho"));
        let page = text(&answer);
        assert!(!page.contains(password), "the password is never shown again");
        let mut headers = answer.headers().clone();
        headers.remove(CONTENT_LENGTH);
        let token = hidden(&page, "token");
        let escaped = name.replace('/', "&#x2f;");
        pages.push((
            page.replace(&token, "TOKEN")
                .replace(&format!("value=\"{escaped}\""), "value=\"NAME\""),
            headers,
        ));
    }
    let (first, head) = &pages[0];
    assert!(first.contains("The name or the password is not right."));
    for (page, headers) in &pages[1..] {
        assert_eq!(page, first);
        assert_eq!(headers, head);
    }
}

#[tokio::test]
async fn a_page_that_was_open_too_long_keeps_the_name_and_asks_again() {
    let house = House::new();
    let mut browser = house.browser();
    let page = text(&browser.get("/login").await);
    let token = hidden(&page, "token");
    browser.cookies.clear();
    let fields = [
        ("token", &*token),
        ("login", "101"),
        ("password", PASSWORD),
        ("return_to", "/calls"),
    ];
    let answer = browser.post_as("/login", "same-origin", &fields).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(*house.fakes.hashes.lock(), 0);
    let page = text(&answer);
    assert!(page.contains("Please send it once more") && page.contains("value=\"101\""));
    let again = [
        ("token", &*hidden(&page, "token")),
        ("login", "101"),
        ("password", PASSWORD),
        ("return_to", "/calls"),
    ];
    assert_eq!(
        location(&browser.post_as("/login", "same-origin", &again).await),
        "/calls"
    );
}

#[tokio::test]
async fn a_throttled_person_learns_when_to_try_again() {
    let house = House::new();
    *house.fakes.closed_for.lock() = Some(Duration::from_millis(240_500));
    let answer = house
        .browser()
        .post("/login", &[("login", "101"), ("password", PASSWORD)])
        .await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()[RETRY_AFTER], "241");
    assert!(text(&answer).contains("Try again in about 5 minutes, at 17:05 (UTC+09:00)."));
    assert_eq!(*house.fakes.hashes.lock(), 0);
}

#[tokio::test]
async fn a_full_hashing_queue_and_a_dead_store_are_503_with_the_form_kept() {
    let house = House::new();
    *house.fakes.busy.lock() = true;
    let answer = house
        .browser()
        .post("/login", &[("login", "101"), ("password", PASSWORD)])
        .await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()[RETRY_AFTER], "5");
    assert!(text(&answer).contains("value=\"101\""));
    *house.fakes.down.lock() = true;
    let answer = house
        .browser()
        .post("/login", &[("login", "101"), ("password", PASSWORD)])
        .await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()[RETRY_AFTER], "10");
    assert!(!text(&answer).contains("secret-place"), "a stranger learns no detail");
}

#[tokio::test]
async fn signing_out_asks_first_and_ends_the_session_on_the_server() {
    let house = House::new();
    let mut browser = house.browser();
    assert_eq!(location(&browser.get("/logout").await), "/login");
    browser.sign_in().await;
    let page = text(&browser.get("/logout").await);
    assert!(page.contains("You are signed in as Yuki Tanaka (extension 101)."));
    assert_eq!(house.fakes.sessions.lock().len(), 1, "looking ends nothing");
    let answer = browser
        .post_as("/logout", "same-origin", &[("token", &hidden(&page, "token"))])
        .await;
    assert_eq!(location(&answer), "/login");
    assert!(!browser.cookies.contains_key("__Host-sekisho"));
    assert_eq!(house.fakes.sessions.lock().len(), 0);
    assert!(text(&browser.get("/login").await).contains("You are signed out."));
}

#[tokio::test]
async fn a_sign_out_button_of_the_web_client_leads_to_the_confirmation() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    let answer = browser.post_as("/logout", "same-origin", &[]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(house.fakes.sessions.lock().len(), 1);
    let page = text(&answer);
    let answer = browser
        .post_as("/logout", "same-origin", &[("token", &hidden(&page, "token"))])
        .await;
    assert_eq!(location(&answer), "/login");
}

#[tokio::test]
async fn only_listed_notices_are_shown() {
    let house = House::new();
    let page = text(&house.browser().get("/login?notice=you-won&notice=signed-out").await);
    assert!(!page.contains("class=\"notice\""));
}
