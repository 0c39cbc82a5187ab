//! What the limits are told: what is tried, at whom, and how it ended.

use std::time::Duration;

use http::StatusCode;

use crate::domain::limits::attempt::{Attempt, Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;

use super::*;

const NEW: &str = "seventeen purple kettles";

impl House {
    /// What has been tried and how it ended since the last look.
    fn limited(&self) -> (Vec<Attempt>, Vec<Outcome>) {
        let tried = std::mem::take(&mut *self.fakes.tried.lock());
        (tried, std::mem::take(&mut *self.fakes.ended.lock()))
    }
}

async fn tries(house: &House, browser: &mut Browser, login: &str, password: &str) -> (Attempt, Outcome) {
    browser
        .post(
            "/login",
            &[("login", login), ("password", password), ("return_to", "/")],
        )
        .await;
    let (mut tried, mut ended) = house.limited();
    assert_eq!((tried.len(), ended.len()), (1, 1));
    (tried.remove(0), ended.remove(0))
}

#[tokio::test]
async fn a_sign_in_ends_as_it_was() {
    let house = House::new();
    for (login, password, wanted) in [
        ("101", PASSWORD, Outcome::Succeeded),
        ("101", "something else", Outcome::Failed),
        ("999", PASSWORD, Outcome::Failed),
        ("' OR 1=1", PASSWORD, Outcome::Failed),
    ] {
        let (tried, ended) = tries(&house, &mut house.browser(), login, password).await;
        assert_eq!(ended, wanted, "{login}");
        assert_eq!((tried.endpoint, tried.lane()), (Endpoint::SignIn, LaneKind::Strangers));
    }
    *house.fakes.busy.lock() = true;
    let (_, ended) = tries(&house, &mut house.browser(), "101", PASSWORD).await;
    assert_eq!(ended, Outcome::NotTried, "a busy machine costs nobody anything");
}

#[tokio::test]
async fn an_account_is_one_by_all_its_names_and_each_invented_name_is_another() {
    let house = House::new();
    let at = async |login: &str| {
        tries(&house, &mut house.browser(), login, "wrong")
            .await
            .0
            .account
            .unwrap()
    };
    let own = at("101").await;
    for spelling in ["１０１", " 101 ", "yuki@example.com", "YUKI@example.com"] {
        assert_eq!(at(spelling).await, own, "{spelling}");
    }
    let invented = at("nobody@example.com").await;
    assert_eq!(at("NOBODY@example.com").await, invented);
    assert_ne!(invented, own);
    assert_ne!(at("102").await, at("103").await);
}

#[tokio::test]
async fn whoever_knocks_by_a_name_that_has_signed_in_is_told_by_the_account() {
    let house = House::new();
    for (login, password) in [
        ("yuki@example.com", "wrong"),
        ("yuki@example.com", PASSWORD),
        ("yuki@example.com", "wrong"),
        ("101", "wrong"),
    ] {
        tries(&house, &mut house.browser(), login, password).await;
    }
    let knocked = std::mem::take(&mut *house.fakes.knocked.lock());
    let people: Vec<_> = knocked.iter().map(|(_, person)| *person).collect();
    assert_eq!(people, [None, None, Some(account().id), None]);
    let (own, _) = tries(&house, &mut house.browser(), "101", "wrong").await;
    assert_eq!(knocked[2].0.account, own.account);
    assert_ne!(knocked[1].0.account, own.account, "so far it was a name");
}

#[tokio::test]
async fn a_browser_that_has_signed_in_is_known_for_its_account_alone() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    browser.cookies.remove("__Host-sekisho");
    house.limited();
    let (own, _) = tries(&house, &mut browser, "101", "wrong").await;
    assert_eq!(own.lane(), LaneKind::Known);
    let (again, _) = tries(&house, &mut browser, "yuki@example.com", "wrong").await;
    assert_eq!((again.device, again.account), (own.device, own.account));
    let (other, _) = tries(&house, &mut browser, "999", "wrong").await;
    assert_eq!(other.lane(), LaneKind::Strangers);
}

#[tokio::test]
async fn links_and_wishes_are_counted_whether_or_not_something_is_wrong_with_them() {
    let house = House::new();
    let mut browser = house.browser();
    browser.get(&house.link(1, Purpose::Reset)).await;
    browser.get("/set-password").await;
    let (tried, ended) = house.limited();
    assert!(!ended.is_empty() && ended.iter().all(|outcome| *outcome == Outcome::Used));
    assert!(tried.iter().all(|attempt| attempt.endpoint == Endpoint::SetPassword));
    let invented = format!("/set-password?ticket={}", TicketToken::from_entropy([9; 32]).expose());
    let mut stranger = house.browser();
    stranger.get(&invented).await;
    stranger.get("/set-password").await;
    let (_, ended) = house.limited();
    assert!(
        ended.contains(&Outcome::Failed) && !ended.contains(&Outcome::Used),
        "{ended:?}"
    );
    for (email, wanted) in [
        ("yuki@example.com", Outcome::Used),
        ("nobody@example.com", Outcome::Used),
    ] {
        stranger.post("/forgot-password", &[("email", email)]).await;
        let (tried, ended) = house.limited();
        assert_eq!((tried.len(), ended), (1, vec![wanted]));
        assert_eq!(tried[0].endpoint, Endpoint::ForgotPassword);
    }
}

#[tokio::test]
async fn the_old_password_is_an_attempt_of_a_known_session() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    house.limited();
    for (old, new, wanted) in [
        ("wrong", NEW, Outcome::Failed),
        (PASSWORD, "weak", Outcome::NotTried),
        (PASSWORD, NEW, Outcome::Succeeded),
    ] {
        let token = hidden(&text(&browser.get("/.sekisho/account").await), "token");
        let fields = [
            ("token", &*token),
            ("old_password", old),
            ("password", new),
            ("confirmation", new),
        ];
        browser
            .post_as("/.sekisho/account/password", "same-origin", &fields)
            .await;
        let (tried, ended) = house.limited();
        assert_eq!(ended, [wanted]);
        assert_eq!(
            (tried[0].endpoint, tried[0].lane()),
            (Endpoint::ChangePassword, LaneKind::Known)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slowed_down_waits_before_anything_is_hashed() {
    let house = House::new();
    *house.fakes.slowed_by.lock() = Duration::from_secs(7);
    let begun = tokio::time::Instant::now();
    let mut browser = house.browser();
    let signing_in = browser.post(
        "/login",
        &[("login", "101"), ("password", PASSWORD), ("return_to", "/")],
    );
    tokio::pin!(signing_in);
    let early = tokio::time::timeout(Duration::from_secs(6), signing_in.as_mut()).await;
    assert!(early.is_err());
    assert_eq!(*house.fakes.hashes.lock(), 0);
    assert_eq!(signing_in.await.status(), StatusCode::SEE_OTHER);
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn whoever_hangs_up_while_waiting_has_guessed() {
    let house = House::new();
    *house.fakes.slowed_by.lock() = Duration::from_secs(7);
    let mut browser = house.browser();
    let signing_in = browser.post("/login", &[("login", "101"), ("password", PASSWORD)]);
    assert!(tokio::time::timeout(Duration::from_secs(1), signing_in).await.is_err());
    assert_eq!(house.limited().1, [Outcome::Failed]);
}
