//! The person's own page, and the device that signing in leaves behind.

use std::time::Duration;

use http::StatusCode;

use crate::domain::session::SessionId;

use super::*;

const NEW: &str = "seventeen purple kettles";
const PAGE: &str = "/.sekisho/account";

/// Two browsers of one person.
async fn two_browsers(house: &House) -> (Browser, Browser) {
    let (mut here, mut there) = (house.browser(), house.browser());
    here.sign_in().await;
    house.wait(Duration::from_mins(1));
    there.sign_in().await;
    (here, there)
}

fn session_of(house: &House, browser: &Browser) -> SessionId {
    let token = crate::domain::token::SessionToken::parse(&browser.cookies["__Host-sekisho"]).unwrap();
    house.fakes.sessions.lock()[&token.digest()].id
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get(PAGE).await.status() == StatusCode::OK
}

/// Posts to an act with the token of the page.
async fn act(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
    let token = hidden(&text(&browser.get(PAGE).await), "token");
    let mut all = vec![("token", token.as_str())];
    all.extend_from_slice(fields);
    browser.post_as(&format!("{PAGE}{path}"), "same-origin", &all).await
}

#[tokio::test]
async fn a_stranger_signs_in_first_and_comes_back() {
    let house = House::new();
    let mut browser = house.browser();
    let address = location(&browser.get(PAGE).await).to_owned();
    assert_eq!(address, "/login?return_to=%2F.sekisho%2Faccount");
    let page = text(&browser.get(&address).await);
    let fields = [
        ("token", &*hidden(&page, "token")),
        ("login", "101"),
        ("password", PASSWORD),
        ("return_to", &*hidden(&page, "return_to")),
    ];
    let answer = browser.post_as("/login", "same-origin", &fields).await;
    assert_eq!(location(&answer), PAGE);
}

#[tokio::test]
async fn the_page_says_who_and_where_in_both_languages() {
    let house = House::new();
    for language in ["en", "ja"] {
        let (mut here, _) = two_browsers(&house).await;
        let page = text(&here.get(&format!("{PAGE}?lang={language}")).await);
        let form_token = hidden(&page, "token");
        let mut page = page.replace(&form_token, "TOKEN");
        for session in house.fakes.sessions.lock().values() {
            page = page.replace(&session.id.to_string(), "SESSION");
        }
        insta::assert_snapshot!(format!("page_{language}_account"), page);
        house.fakes.sessions.lock().clear();
    }
}

#[tokio::test]
async fn a_password_is_changed_and_the_other_browsers_end() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    let fields = [("old_password", PASSWORD), ("password", NEW), ("confirmation", NEW)];
    let answer = act(&mut here, "/password", &fields).await;
    assert!(location(&answer).starts_with("/.sekisho/account?notice=password-changed&done="));
    assert_eq!(house.fakes.password.lock().as_deref(), Some(NEW));
    let page = text(&here.get(location(&answer)).await);
    assert!(page.contains("Your password is changed."));
    assert!(!is_signed_in(&mut there).await);
    assert!(house.fakes.matters.lock().contains(&"password-changed"));
}

#[tokio::test]
async fn a_notice_is_shown_right_after_the_act_and_by_no_link() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    let answer = act(&mut here, "/language", &[("language", "en")]).await;
    let after = location(&answer).to_owned();
    let shown = "class=\"notice\"";
    assert!(text(&here.get(&after).await).contains(shown));
    assert!(!text(&there.get(&after).await).contains(shown), "another browser");
    for link in ["?notice=password-changed", "?notice=password-changed&done=1"] {
        assert!(
            !text(&here.get(&format!("{PAGE}{link}")).await).contains(shown),
            "{link}"
        );
    }
    let other = after.replace("language-set", "password-changed");
    assert!(!text(&here.get(&other).await).contains(shown), "another act");
    house.wait(Duration::from_mins(2));
    assert!(!text(&here.get(&after).await).contains(shown), "later");
}

#[tokio::test]
async fn what_is_wrong_with_a_new_password_is_in_view() {
    let house = House::new();
    let (mut here, _) = two_browsers(&house).await;
    let fields = [("old_password", PASSWORD), ("password", NEW), ("confirmation", "other")];
    let page = text(&act(&mut here, "/password", &fields).await);
    assert!(
        page.contains("/password#problem\"") || page.contains("&#x2f;password#problem\""),
        "{page}"
    );
    assert_eq!(page.matches("id=\"problem\"").count(), 1);
}

#[tokio::test]
async fn other_browsers_stay_where_that_is_asked_for() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    let fields = [
        ("old_password", PASSWORD),
        ("password", NEW),
        ("confirmation", NEW),
        ("keep_others", "yes"),
    ];
    location(&act(&mut here, "/password", &fields).await);
    assert!(is_signed_in(&mut here).await && is_signed_in(&mut there).await);
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_the_rules() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    for (old, new, again, status, words, hashes) in [
        (
            "wrong one",
            NEW,
            NEW,
            StatusCode::FORBIDDEN,
            "That is not your password",
            1,
        ),
        (
            PASSWORD,
            NEW,
            "another",
            StatusCode::UNPROCESSABLE_ENTITY,
            "The two passwords differ",
            0,
        ),
        (
            PASSWORD,
            PASSWORD,
            PASSWORD,
            StatusCode::UNPROCESSABLE_ENTITY,
            "That is the password you have",
            1,
        ),
        (
            PASSWORD,
            "short",
            "short",
            StatusCode::UNPROCESSABLE_ENTITY,
            "The password is too short",
            0,
        ),
    ] {
        *house.fakes.hashes.lock() = 0;
        let fields = [("old_password", old), ("password", new), ("confirmation", again)];
        let answer = act(&mut here, "/password", &fields).await;
        assert_eq!(answer.status(), status);
        let page = text(&answer);
        assert!(page.contains(words), "{page}");
        assert!(!page.contains(old) && !page.contains(NEW), "no password is shown again");
        assert_eq!(*house.fakes.hashes.lock(), hashes);
    }
    assert_eq!(house.fakes.password.lock().as_deref(), Some(PASSWORD));
    assert!(is_signed_in(&mut here).await && is_signed_in(&mut there).await);
    assert!(
        house
            .fakes
            .matters
            .lock()
            .iter()
            .all(|matter| *matter != "password-changed")
    );
}

#[tokio::test]
async fn guessing_the_old_password_runs_into_the_limits_of_signing_in() {
    let house = House::new();
    let (mut here, _) = two_browsers(&house).await;
    *house.fakes.closed_for.lock() = Some(Duration::from_secs(90));
    *house.fakes.hashes.lock() = 0;
    let fields = [("old_password", PASSWORD), ("password", NEW), ("confirmation", NEW)];
    let answer = act(&mut here, "/password", &fields).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    house.wait(Duration::from_mins(11));
    let answer = act(&mut here, "/sessions/end-others", &[("password", PASSWORD)]).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(*house.fakes.hashes.lock(), 0, "refused before any work");
    assert_eq!(house.fakes.password.lock().as_deref(), Some(PASSWORD));
}

#[tokio::test]
async fn a_session_is_ended_from_another_browser_and_nobody_elses_is() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    let id = session_of(&house, &there).to_string();
    let answer = act(&mut here, "/sessions/end", &[("session", &id)]).await;
    assert!(location(&answer).starts_with("/.sekisho/account?notice=session-ended&done="));
    assert!(!is_signed_in(&mut there).await);
    for nobodys in [id.as_str(), "0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01", "nonsense"] {
        let answer = act(&mut here, "/sessions/end", &[("session", nobodys)]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{nobodys}");
    }
    assert!(is_signed_in(&mut here).await);
}

#[tokio::test]
async fn ending_all_others_leaves_this_one_and_signing_out_everywhere_none() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    let answer = act(&mut here, "/sessions/end-others", &[]).await;
    assert!(location(&answer).starts_with("/.sekisho/account?notice=others-ended&done="));
    assert!(is_signed_in(&mut here).await && !is_signed_in(&mut there).await);
    let answer = act(&mut here, "/sessions/end-all", &[]).await;
    assert_eq!(location(&answer), "/login");
    assert!(!here.cookies.contains_key("__Host-sekisho"));
    assert!(!is_signed_in(&mut here).await);
}

#[tokio::test]
async fn an_old_sign_in_is_asked_for_the_password_and_the_act_goes_on() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    house.wait(Duration::from_mins(11));
    let id = session_of(&house, &there).to_string();
    let answer = act(&mut here, "/sessions/end", &[("session", &id)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = text(&answer);
    assert!(page.contains("Is it you?"), "{page}");
    assert_eq!(hidden(&page, "session"), id, "the act is carried along");
    assert!(is_signed_in(&mut there).await, "nothing was done yet");

    let again = [("session", &*id), ("password", "wrong one")];
    let answer = act(&mut here, "/sessions/end", &again).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(text(&answer).contains("That is not your password"));
    assert!(is_signed_in(&mut there).await);

    let again = [("session", &*id), ("password", PASSWORD)];
    let answer = act(&mut here, "/sessions/end", &again).await;
    assert!(location(&answer).starts_with("/.sekisho/account?notice=session-ended&done="));
    assert!(!is_signed_in(&mut there).await);
    let answer = act(&mut here, "/sessions/end-others", &[]).await;
    assert!(
        location(&answer).starts_with("/.sekisho/account?notice=others-ended&done="),
        "it is fresh now"
    );
}

#[tokio::test]
async fn a_script_is_told_what_is_missing_and_sends_it_along() {
    let house = House::new();
    let (here, mut there) = two_browsers(&house).await;
    let cookie = format!("__Host-sekisho={}", here.cookies["__Host-sekisho"]);
    let facts = json(&call(&house.portal, "GET", PAGE, &cookie, "").await);
    assert_eq!(
        (&facts["fresh"], &facts["account"]["email"]),
        (&true.into(), &"yuki@example.com".into())
    );
    assert_eq!(facts["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(facts["sessions"][0]["current"], true, "this one first");
    house.wait(Duration::from_mins(11));
    let path = format!("{PAGE}/sessions/end-others");
    let answer = call(&house.portal, "POST", &path, &cookie, "{}").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(json(&answer)["type"], "urn:sekisho:problem:confirmation-required");
    let body = format!("{{\"password\":\"{PASSWORD}\"}}");
    let answer = call(&house.portal, "POST", &path, &cookie, &body).await;
    assert_eq!(json(&answer)["ended"], true);
    assert!(!is_signed_in(&mut there).await);
}

#[tokio::test]
async fn the_language_is_set_for_pages_and_letters() {
    let house = House::new();
    let (mut here, _) = two_browsers(&house).await;
    here.get("/login?lang=en").await;
    let answer = act(&mut here, "/language", &[("language", "ja")]).await;
    assert!(location(&answer).starts_with("/.sekisho/account?notice=language-set&done="));
    assert_eq!(house.fakes.account.lock().language, Language::Ja);
    let page = text(&here.get(location(&answer)).await);
    assert!(page.contains("<html lang=\"ja\">") && page.contains("画面とメールの言語を変更しました。"));
    let answer = act(&mut here, "/language", &[("language", "xx")]).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_form_without_its_token_is_shown_again() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    for path in ["/sessions/end-others", "/sessions/end-all"] {
        let answer = here.post_as(&format!("{PAGE}{path}"), "same-origin", &[]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(text(&answer).contains("Please send it once more"));
    }
    assert!(is_signed_in(&mut here).await && is_signed_in(&mut there).await);
}

#[tokio::test]
async fn a_look_at_an_act_leads_to_the_page() {
    let house = House::new();
    let (mut here, _) = two_browsers(&house).await;
    let answer = here.get("/.sekisho/account/password?lang=ja").await;
    assert_eq!(location(&answer), PAGE);
    assert_eq!(here.cookies["__Host-sekisho-lang"], "ja");
}

/// How many letters about a new device were accepted.
fn letters(house: &House) -> usize {
    let matters = house.fakes.matters.lock();
    matters.iter().filter(|matter| **matter == "new-device").count()
}

#[tokio::test]
async fn a_new_device_is_told_of_and_a_known_one_is_not() {
    let house = House::new();
    let mut first = house.browser();
    let answer = first.sign_in().await;
    assert_eq!(letters(&house), 0, "nobody is warned of the very first sign-in");
    let cookies = set_cookies(answer.headers());
    let device = cookies
        .iter()
        .find(|cookie| cookie.starts_with("__Host-sekisho-device="));
    let device = device.expect("a device cookie");
    assert!(
        device.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=34560000"),
        "{device}"
    );
    first.cookies.remove("__Host-sekisho");
    first.sign_in().await;
    assert_eq!(letters(&house), 0, "a known device");
    house.browser().sign_in().await;
    assert_eq!(letters(&house), 1);
    let mut forger = house.browser();
    let forged = first.cookies["__Host-sekisho-device"].replace('.', "x.");
    forger.cookies.insert("__Host-sekisho-device".into(), forged);
    forger.sign_in().await;
    assert_eq!(letters(&house), 2, "a forged device is a new one");
}

#[tokio::test]
async fn a_refused_sign_in_leaves_no_device_behind() {
    let house = House::new();
    let mut browser = house.browser();
    let answer = browser
        .post("/login", &[("login", "101"), ("password", "wrong one")])
        .await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(!browser.cookies.contains_key("__Host-sekisho-device"));
    assert!(
        set_cookies(answer.headers())
            .iter()
            .all(|cookie| !cookie.contains("device"))
    );
}

#[tokio::test]
async fn somebody_without_an_address_is_signed_in_all_the_same() {
    let house = House::new();
    house.fakes.account.lock().email = None;
    house.browser().sign_in().await;
    house.browser().sign_in().await;
    assert_eq!(letters(&house), 0);
    assert_eq!(house.fakes.sessions.lock().len(), 2);
}

fn token_of(browser: &Browser) -> String {
    browser.cookies["__Host-sekisho"].clone()
}

#[tokio::test]
async fn giving_the_password_again_renews_the_token_and_keeps_the_session() {
    let house = House::new();
    let (mut here, _) = two_browsers(&house).await;
    let (id, first) = (session_of(&house, &here), token_of(&here));
    act(&mut here, "/sessions/end-others", &[]).await;
    assert_eq!(token_of(&here), first, "no password was given");
    house.wait(Duration::from_mins(11));
    act(&mut here, "/sessions/end-others", &[("password", "wrong one")]).await;
    assert_eq!(token_of(&here), first, "nor the right one");

    let answer = act(&mut here, "/sessions/end-others", &[("password", PASSWORD)]).await;
    let second = token_of(&here);
    assert_ne!(second, first);
    let cookie = format!("__Host-sekisho={second}; HttpOnly; SameSite=Lax; Secure; Path=/");
    assert_eq!(set_cookies(answer.headers()), [cookie]);

    let fields = [("old_password", PASSWORD), ("password", NEW), ("confirmation", NEW)];
    act(&mut here, "/password", &fields).await;
    let third = token_of(&here);
    assert!(third != second && third != first);
    assert_eq!(session_of(&house, &here), id);
    assert!(is_signed_in(&mut here).await);
}

#[tokio::test]
async fn a_renewed_token_reaches_the_browser_also_when_the_act_fails() {
    let house = House::new();
    let (mut here, _) = two_browsers(&house).await;
    house.wait(Duration::from_mins(11));
    let first = token_of(&here);
    let nobodys = ("session", "0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01");
    let answer = act(&mut here, "/sessions/end", &[nobodys, ("password", PASSWORD)]).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_ne!(token_of(&here), first);
    assert!(is_signed_in(&mut here).await);
}

#[tokio::test]
async fn the_token_of_before_may_look_for_a_moment_and_not_act() {
    let house = House::new();
    let (mut here, mut there) = two_browsers(&house).await;
    house.wait(Duration::from_mins(11));
    let mut thief = house.browser();
    thief.cookies = here.cookies.clone();
    let page = text(&thief.get(PAGE).await);
    let id = session_of(&house, &there).to_string();
    act(
        &mut here,
        "/sessions/end",
        &[
            ("session", "0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01"),
            ("password", PASSWORD),
        ],
    )
    .await;

    let token = hidden(&page, "token");
    let fields = [("token", &*token), ("session", &*id), ("password", PASSWORD)];
    let path = format!("{PAGE}/sessions/end");
    let answer = thief.post_as(&path, "same-origin", &fields).await;
    assert_eq!(location(&answer), PAGE, "to look what became of it");
    assert_eq!(set_cookies(answer.headers()), [""; 0], "nothing is cleared or renewed");
    let cookie = format!("__Host-sekisho={}", token_of(&thief));
    let answer = call(
        &house.portal,
        "POST",
        &path,
        &cookie,
        &format!("{{\"session\":\"{id}\"}}"),
    )
    .await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(json(&answer)["reason"], "renewed");
    assert!(is_signed_in(&mut there).await, "nothing was done");
    assert!(is_signed_in(&mut thief).await, "what was in flight is answered");
    house.fakes.former.lock().clear();
    assert!(!is_signed_in(&mut thief).await);
    assert!(is_signed_in(&mut here).await);
}
