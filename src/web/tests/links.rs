//! Forgotten passwords, and links that set one.

use std::time::Duration;

use http::StatusCode;

use crate::domain::account::AccountState;
use crate::domain::ticket::TicketEnd;

use super::*;

const NEW: &str = "夏の夕立と古い自転車の鍵";

#[tokio::test]
async fn the_answer_to_a_reset_request_is_the_same_for_every_address() {
    let house = House::new();
    let mut pages = Vec::new();
    for email in ["yuki@example.com", "nobody@example.com"] {
        let answer = house.browser().post("/forgot-password", &[("email", email)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(text(&answer).contains("If exactly one account has this address"));
        pages.push((text(&answer), answer.headers().clone()));
    }
    assert_eq!(pages[0], pages[1]);
    assert_eq!(*house.fakes.letters.lock(), 2);
}

#[tokio::test]
async fn what_is_no_address_is_said_at_its_field() {
    let house = House::new();
    let answer = house.browser().post("/forgot-password", &[("email", "a@b,c@d")]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = text(&answer);
    assert!(page.contains("aria-invalid=\"true\"") && page.contains("value=\"a@b,c@d\""));
    *house.fakes.closed_for.lock() = Some(Duration::from_hours(2));
    let answer = house
        .browser()
        .post("/forgot-password", &[("email", "yuki@example.com")])
        .await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(*house.fakes.letters.lock(), 0);
}

#[tokio::test]
async fn a_link_leaves_the_address_bar_sets_the_password_once_and_signs_nobody_in() {
    let house = House::new();
    house.fakes.account.lock().state = AccountState::Invited;
    let link = house.link(1, Purpose::Welcome);
    let mut browser = house.browser();
    let answer = browser.get(&link).await;
    assert_eq!(location(&answer), "/set-password");
    let cookie = set_cookies(answer.headers())[0].to_owned();
    assert!(
        cookie.starts_with("__Host-sekisho-ticket=") && cookie.contains("Max-Age=3600"),
        "{cookie}"
    );
    assert!(cookie.contains("HttpOnly") && cookie.contains("Secure"), "{cookie}");

    let page = text(&browser.get("/set-password").await);
    assert!(page.contains("Welcome, Yuki Tanaka") && page.contains("at least 12 characters"));
    let token = hidden(&page, "token");
    let fields = |password, confirmation| {
        [
            ("token", &*token),
            ("username", "101"),
            ("password", password),
            ("confirmation", confirmation),
        ]
    };
    for (password, confirmation, words) in [
        ("brief", "brief", "Use at least 12 characters."),
        ("password1234", "password1234", "It is on the lists"),
        (
            NEW,
            "夏の夕立と古い自転車の鍵 ",
            "Type the same password in both fields.",
        ),
    ] {
        let answer = browser
            .post_as("/set-password", "same-origin", &fields(password, confirmation))
            .await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = text(&answer);
        assert!(page.contains(words) && page.contains("aria-invalid=\"true\""), "{page}");
        assert!(!page.contains(password));
    }
    let answer = browser.post_as("/set-password", "same-origin", &fields(NEW, NEW)).await;
    assert_eq!(location(&answer), "/login");
    assert_eq!(house.fakes.password.lock().as_deref(), Some(NEW));
    assert!(!browser.cookies.contains_key("__Host-sekisho-ticket"));
    assert!(
        !browser.cookies.contains_key("__Host-sekisho"),
        "setting a password signs nobody in"
    );

    assert_eq!(location(&browser.get(&link).await), "/set-password");
    let answer = browser.get("/set-password").await;
    assert_eq!(answer.status(), StatusCode::GONE);
    assert!(text(&answer).contains("This link has been used"));
}

#[tokio::test]
async fn the_form_of_one_link_does_not_spend_another_opened_since() {
    let house = House::new();
    let mut browser = house.browser();
    browser.get(&house.link(1, Purpose::Reset)).await;
    let first = hidden(&text(&browser.get("/set-password").await), "token");
    browser.get(&house.link(2, Purpose::Reset)).await;
    let second = hidden(&text(&browser.get("/set-password").await), "token");
    let fields = |token| [("token", token), ("password", NEW), ("confirmation", NEW)];

    let answer = browser.post_as("/set-password", "same-origin", &fields(&*first)).await;
    let page = text(&answer);
    assert!(page.contains("id=\"problem\""), "{page}");
    assert_eq!(
        hidden(&page, "token"),
        second,
        "the form shown now is of the link held now"
    );
    assert_eq!(house.fakes.password.lock().as_deref(), Some(PASSWORD));
    assert!(house.fakes.tickets.lock().values().all(|ticket| ticket.ended.is_none()));

    let answer = browser.post_as("/set-password", "same-origin", &fields(&*second)).await;
    assert_eq!(location(&answer), "/login");
}

#[tokio::test]
async fn looking_spends_nothing_and_head_does_nothing_at_all() {
    let house = House::new();
    let link = house.link(1, Purpose::Reset);
    for _ in 0..3 {
        let mut scanner = house.browser();
        let answer = scanner.send("HEAD", &link, "none", "").await;
        assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
        assert_eq!(set_cookies(answer.headers()), [""; 0]);
        assert_eq!(house.fakes.events.lock().len(), 0);
    }
    for _ in 0..3 {
        let mut scanner = house.browser();
        scanner.get(&link).await;
        assert_eq!(scanner.get("/set-password").await.status(), StatusCode::OK);
    }
    assert!(house.fakes.tickets.lock().values().all(|ticket| ticket.ended.is_none()));
}

#[tokio::test]
async fn a_link_that_does_not_work_says_why_and_offers_the_next_step() {
    let house = House::new();
    let mut browser = house.browser();
    let answer = browser.get("/set-password").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(text(&answer).contains("Open the link in your mail"));

    let answer = browser.get("/set-password?ticket=cut-off").await;
    assert_eq!(answer.status(), StatusCode::GONE);
    assert!(text(&answer).contains("This link does not work"));

    browser.get(&house.link(1, Purpose::Welcome)).await;
    house.wait(Duration::from_mins(30));
    let page = text(&browser.get("/set-password").await);
    assert!(page.contains("This link has expired") && page.contains("Ask your administrator for a new Welcome mail"));

    browser.get(&house.link(2, Purpose::Reset)).await;
    house
        .fakes
        .tickets
        .lock()
        .values_mut()
        .for_each(|ticket| ticket.ended = Some(TicketEnd::Replaced));
    let page = text(&browser.get("/set-password").await);
    assert!(
        page.contains("There is a newer link") && page.contains("href=\"&#x2f;forgot-password\""),
        "{page}"
    );
}

#[tokio::test]
async fn a_link_that_a_password_has_overtaken_says_so_and_leads_to_the_sign_in() {
    let house = House::new();
    let mut browser = house.browser();
    browser.get(&house.link(1, Purpose::Welcome)).await;
    house
        .fakes
        .tickets
        .lock()
        .values_mut()
        .for_each(|ticket| ticket.ended = Some(TicketEnd::Overtaken));
    let answer = browser.get("/set-password").await;
    assert_eq!(answer.status(), StatusCode::GONE);
    let page = text(&answer);
    assert!(page.contains("A password has been set in the meantime"), "{page}");
    assert!(!page.contains("newer link") && !page.contains("Welcome mail"), "{page}");
    let (sign_in, new_link) = (
        page.find("class=\"primary\" href=\"&#x2f;login\""),
        page.find("Get a new link"),
    );
    assert!(sign_in.is_some() && new_link.is_some(), "{page}");
    assert!(!page.contains("Yuki"), "it names nobody: {page}");
}

#[tokio::test]
async fn a_fault_keeps_the_link_and_the_form() {
    let house = House::new();
    let mut browser = house.browser();
    browser.get(&house.link(1, Purpose::Reset)).await;
    let token = hidden(&text(&browser.get("/set-password").await), "token");
    *house.fakes.busy.lock() = true;
    let fields = [("token", &*token), ("password", NEW), ("confirmation", NEW)];
    let answer = browser.post_as("/set-password", "same-origin", &fields).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(&answer).contains("name=\"confirmation\""));
    *house.fakes.busy.lock() = false;
    let answer = browser.post_as("/set-password", "same-origin", &fields).await;
    assert_eq!(location(&answer), "/login");
}

#[tokio::test]
async fn an_account_is_addressed_in_its_own_language_unless_another_was_chosen() {
    let house = House::new();
    house.fakes.account.lock().language = Language::Ja;
    let mut browser = house.browser();
    browser.get(&house.link(1, Purpose::Reset)).await;
    let page = text(&browser.get("/set-password").await);
    assert!(page.contains("<html lang=\"ja\">") && page.contains("新しいパスワードの設定"));
    let page = text(&browser.get("/set-password?lang=en").await);
    assert!(page.contains("<html lang=\"en\">") && page.contains("Set a new password"));
    assert_eq!(browser.cookies["__Host-sekisho-lang"], "en");
    assert!(text(&browser.get("/set-password").await).contains("<html lang=\"en\">"));
}
