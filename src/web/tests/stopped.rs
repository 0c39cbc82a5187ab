//! Being stopped, and the link that unlocks a browser.

use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;

use crate::domain::account::AccountState;
use crate::domain::limits::policy::KeyKind;

use super::*;

const ASK: &str = "/.sekisho/unlock/ask";
const PATH: &str = "/.sekisho/unlock";

/// A sign-in that a rule of this kind stops.
async fn stopped(house: &House, browser: &mut Browser, by: KeyKind, name: &str) -> Response<Bytes> {
    *house.fakes.closed_for.lock() = Some(Duration::from_secs(400));
    *house.fakes.closed_by.lock() = by;
    let answer = browser.post("/login", &[("login", name), ("password", "x")]).await;
    *house.fakes.closed_for.lock() = None;
    answer
}

#[tokio::test]
async fn whoever_is_stopped_at_an_account_is_offered_a_link_whether_there_is_such_an_account_or_not() {
    let house = House::new();
    for by in [KeyKind::Account, KeyKind::ClientAccount] {
        let mut seen = Vec::new();
        for name in ["101", "999", "nobody@example.com", "a,b"] {
            let mut browser = house.browser();
            let answer = stopped(&house, &mut browser, by, name).await;
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(answer.headers()[RETRY_AFTER], "400");
            let page = text(&answer).replace("&#x2f;", "/");
            let page = page.replace(&format!("value=\"{name}\""), "value=\"NAME\"");
            assert!(page.contains(&format!("action=\"{ASK}\"")), "{name}: {page}");
            let token = hidden(&page, "token");
            seen.push((page.replace(&token, "TOKEN"), answer.headers().len()));
            let asked = browser
                .post_as(ASK, "same-origin", &[("token", &token), ("login", name)])
                .await;
            assert_eq!(location(&asked), "/login", "{name}");
            let said = text(&browser.get("/login").await);
            assert!(said.contains("At most one is sent in an hour"), "{said}");
        }
        assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
    }
    assert_eq!(*house.fakes.letters.lock(), 6, "one for each name that is one");
}

#[tokio::test]
async fn whoever_is_stopped_by_another_rule_or_on_a_known_device_is_not_offered_a_link() {
    let house = House::new();
    for by in [KeyKind::Client, KeyKind::Subnet, KeyKind::Password, KeyKind::Global] {
        let page = text(&stopped(&house, &mut house.browser(), by, "101").await);
        assert!(page.contains("Too many attempts") && !page.contains("unlock"), "{by:?}");
    }
    let mut known = house.browser();
    known.sign_in().await;
    known.cookies.remove("__Host-sekisho");
    for by in [KeyKind::Account, KeyKind::Device] {
        let page = text(&stopped(&house, &mut known, by, "101").await);
        assert!(page.contains("Too many attempts") && !page.contains("unlock"), "{by:?}");
    }
    let page = text(&stopped(&house, &mut known, KeyKind::Account, "999").await);
    assert!(page.contains("unlock"), "it is known for another account");
}

#[tokio::test]
async fn the_page_and_the_problem_say_when_to_try_again_and_no_rule() {
    let house = House::new();
    let page = text(&stopped(&house, &mut house.browser(), KeyKind::Client, "101").await);
    // 08:00:00 UTC and 400 seconds, where the clock is nine hours ahead.
    let words = "Try again in about 7 minutes, at 17:07 (UTC+09:00).";
    assert!(page.contains(words), "{page}");
    let mut ja = Browser {
        language: "ja",
        ..house.browser()
    };
    let page = text(&stopped(&house, &mut ja, KeyKind::Client, "101").await);
    assert!(
        page.contains("約 7 分後、17:07（UTC+09:00）以降にもう一度お試しください。"),
        "{page}"
    );

    *house.fakes.closed_for.lock() = Some(Duration::from_millis(399_001));
    for (by, unlockable) in [(KeyKind::Account, true), (KeyKind::Client, false)] {
        *house.fakes.closed_by.lock() = by;
        for name in ["101", "999"] {
            let body = format!(r#"{{"login":"{name}","password":"x"}}"#);
            let answer = call(&house.portal, "POST", "/login", "", &body).await;
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(answer.headers()[RETRY_AFTER], "400", "rounded up");
            let problem = json(&answer);
            assert_eq!(problem["type"], "urn:sekisho:problem:throttled");
            assert_eq!(problem["retry_after"], 400);
            assert_eq!(problem["unlock_url"] == ASK, unlockable, "{problem}");
            assert!(!text(&answer).contains("\"rule\""), "{problem}");
        }
    }
}

#[tokio::test]
async fn every_limited_endpoint_says_when_to_try_again() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    let cookie = format!("__Host-sekisho={}", browser.cookies["__Host-sekisho"]);
    *house.fakes.closed_for.lock() = Some(Duration::from_secs(61));
    let ticket = TicketToken::from_entropy([1; 32]).expose();
    let set = format!(r#"{{"ticket":"{ticket}","password":"{PASSWORD}","confirmation":"{PASSWORD}"}}"#);
    let change = format!(r#"{{"old_password":"x","password":"{PASSWORD}","confirmation":"{PASSWORD}"}}"#);
    for (path, body) in [
        ("/login", r#"{"login":"101","password":"x"}"#),
        ("/forgot-password", r#"{"email":"yuki@example.com"}"#),
        ("/set-password", &set),
        (PATH, &format!(r#"{{"ticket":"{ticket}"}}"#)),
        (ASK, r#"{"login":"101"}"#),
        ("/.sekisho/account/password", &change),
    ] {
        let answer = call(&house.portal, "POST", path, &cookie, body).await;
        assert_eq!(
            answer.status(),
            StatusCode::TOO_MANY_REQUESTS,
            "{path}: {}",
            text(&answer)
        );
        assert_eq!(answer.headers()[RETRY_AFTER], "61", "{path}");
        let problem = json(&answer);
        assert_eq!(problem["retry_after"], 61, "{path}");
        assert!(
            problem["detail"].as_str().unwrap().contains("Try again in 61 seconds."),
            "{path}"
        );
    }
    for path in [
        format!("/set-password?ticket={ticket}"),
        format!("{PATH}?ticket={ticket}"),
    ] {
        let mut browser = house.browser();
        browser.get(&path).await;
        let answer = browser.get(path.split('?').next().unwrap()).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(answer.headers()[RETRY_AFTER], "61", "{path}");
        assert!(text(&answer).contains("Try again in 61 seconds."), "{path}");
    }
}

#[tokio::test]
async fn a_link_leaves_the_address_bar_makes_this_browser_known_once_and_signs_nobody_in() {
    let house = House::new();
    let mut browser = house.browser();
    let link = house.unlock_link(1);
    let answer = browser.get(&link).await;
    assert_eq!(location(&answer), PATH);
    let kept = set_cookies(answer.headers())[0].to_owned();
    assert!(
        kept.starts_with("__Host-sekisho-unlock=") && kept.contains("Max-Age=3600") && kept.contains("HttpOnly"),
        "{kept}"
    );
    for _ in 0..3 {
        let page = text(&browser.get(PATH).await);
        assert!(
            page.contains("For Yuki Tanaka, extension 101."),
            "looking uses nothing up"
        );
    }
    assert!(!browser.cookies.contains_key("__Host-sekisho-device"));
    assert_eq!(location(&browser.post(PATH, &[]).await), "/login");
    assert!(!browser.cookies.contains_key("__Host-sekisho"), "nobody is signed in");
    assert!(!browser.cookies.contains_key("__Host-sekisho-unlock"));
    assert!(text(&browser.get("/login").await).contains("This browser is unlocked."));

    let page = text(&stopped(&house, &mut browser, KeyKind::Account, "101").await);
    assert!(!page.contains("unlock"), "it is a known device: {page}");
    let other = text(&stopped(&house, &mut house.browser(), KeyKind::Account, "101").await);
    assert!(other.contains("unlock"), "and no other browser is");

    let mut second = house.browser();
    second.get(&link).await;
    let answer = second.get(PATH).await;
    assert_eq!(answer.status(), StatusCode::GONE);
    assert!(text(&answer).contains("only the newest one does"));
    let events = house.fakes.events.lock();
    let unlocked: Vec<_> = events
        .iter()
        .filter(|event| event.fact.name() == "browser.unlocked")
        .collect();
    assert_eq!(unlocked.len(), 1);
    assert_eq!(unlocked[0].account, Some(account().id));
}

#[tokio::test]
async fn a_link_adds_the_account_to_those_the_device_knows() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    let before = browser.cookies["__Host-sekisho-device"].clone();
    // A new password made the device strange.
    let later = later(*house.fakes.now.lock(), Duration::from_secs(5));
    *house.fakes.password_set_at.lock() = Some(later);
    house.wait(Duration::from_secs(9));
    browser.cookies.remove("__Host-sekisho");
    assert!(text(&stopped(&house, &mut browser, KeyKind::Account, "101").await).contains("unlock"));
    browser.get(&house.unlock_link(1)).await;
    browser.post(PATH, &[]).await;
    assert_ne!(browser.cookies["__Host-sekisho-device"], before);
    assert!(!text(&stopped(&house, &mut browser, KeyKind::Account, "101").await).contains("unlock"));
}

#[tokio::test]
async fn a_link_that_is_over_or_was_never_made_unlocks_nothing() {
    let house = House::new();
    let link = house.unlock_link(1);
    let never = format!("{PATH}?ticket={}", UnlockToken::from_entropy([9; 32]).expose());
    let dead = async |link: &str| {
        let mut browser = house.browser();
        browser.get(link).await;
        let answer = browser.get(PATH).await;
        let body = format!(r#"{{"ticket":"{}"}}"#, link.split('=').nth(1).unwrap_or_default());
        let posted = call(&house.portal, "POST", PATH, "", &body).await;
        assert_eq!(posted.status(), answer.status());
        assert!(set_cookies(posted.headers()).is_empty());
        answer.status() == StatusCode::GONE
    };
    assert!(dead(&never).await && dead(PATH).await && dead(&format!("{PATH}?ticket=x")).await);
    house.fakes.account.lock().state = AccountState::Disabled;
    assert!(dead(&link).await);
    house.fakes.account.lock().state = AccountState::Active;
    house.fakes.account.lock().email = Some(Email::parse("other@example.com").unwrap());
    assert!(dead(&link).await);
    house.fakes.account.lock().email = account().email;
    house.wait(Duration::from_hours(1));
    assert!(dead(&link).await);
}

#[tokio::test]
async fn looking_ahead_and_scanning_use_nothing_up_and_keep_nothing() {
    let house = House::new();
    let link = house.unlock_link(1);
    for headers in [vec![("sec-purpose", "prefetch")], vec![]] {
        let method = if headers.is_empty() { "HEAD" } else { "GET" };
        let answer = house.portal.respond(request(method, &link, &headers, "")).await;
        assert!(set_cookies(answer.headers()).is_empty(), "{method}");
    }
    assert!(
        house
            .fakes
            .unlocks
            .lock()
            .values()
            .all(|unlock| unlock.ended_at.is_none())
    );
}

#[tokio::test]
async fn the_form_of_one_link_does_not_use_another_up_that_was_opened_since() {
    let house = House::new();
    let mut browser = house.browser();
    browser.get(&house.unlock_link(1)).await;
    let first = hidden(&text(&browser.get(PATH).await), "token");
    browser.get(&house.unlock_link(2)).await;
    let answer = browser.post_as(PATH, "same-origin", &[("token", &first)]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(text(&answer).contains("Please send it once more"));
    assert!(
        house
            .fakes
            .unlocks
            .lock()
            .values()
            .all(|unlock| unlock.ended_at.is_none())
    );
}
