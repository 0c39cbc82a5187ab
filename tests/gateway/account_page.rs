//! The person's own page, against the running gateway: who I am, where I am signed in, a new password.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, Person, SESSION, Visitor, eventually, quotas};

const PAGE: &str = "/.sekisho/account";

async fn facts(visitor: &Visitor) -> Value {
    let answer = visitor.fetch(PAGE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Two browsers of one person.
async fn two_browsers(house: &House) -> (Person, Visitor, Visitor) {
    let person = house.welcome("101").await;
    let (here, there) = (house.signed_in(&person).await, house.signed_in(&person).await);
    (person, here, there)
}

/// Within a second the running server has heard of it.
async fn is_out(visitor: &Visitor) {
    eventually("the session to end", async || (!visitor.passes().await).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_other_browsers_end_and_a_letter_says_so() {
    let house = House::open().await;
    let (person, here, there) = two_browsers(&house).await;
    let page = here.get(PAGE).await;
    assert_eq!(page.status, 200, "{page:?}");
    let new = [
        ("old_password", PASSWORD),
        ("password", OTHER_PASSWORD),
        ("confirmation", OTHER_PASSWORD),
    ];
    let refused = here
        .send_form(
            &page,
            "/.sekisho/account/password",
            &[("old_password", "not it"), new[1], new[2]],
        )
        .await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(there.passes().await, "nothing was changed");
    let changed = here.send_form(&page, "/.sekisho/account/password", &new).await;
    assert!(
        changed
            .location()
            .starts_with("/.sekisho/account?notice=password-changed&done=")
    );
    is_out(&there).await;
    assert!(here.passes().await, "this browser stays");
    let letter = house.mailbox.next(&person.email).await;
    assert!(letter.subject.contains("password was changed"), "{}", letter.subject);
    assert!(
        house
            .visitor()
            .sign_in(&person.extension, OTHER_PASSWORD)
            .await
            .is_done()
    );
    assert!(!house.visitor().sign_in(&person.extension, PASSWORD).await.is_done());
    house.event("password.changed", None).await;
    house.event("sign-in.refused", Some("wrong-password")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_browsers_stay_signed_in_where_that_was_asked_for() {
    let house = House::open().await;
    let (_, here, there) = two_browsers(&house).await;
    let change = json!({
        "old_password": PASSWORD,
        "password": OTHER_PASSWORD,
        "confirmation": OTHER_PASSWORD,
        "keep_others": "yes",
    });
    let changed = here.post_json("/.sekisho/account/password", &change).await;
    assert_eq!(changed.json(), json!({ "changed": true, "others_ended": false }));
    house.event("password.changed", None).await;
    assert!(here.passes().await && there.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_seen_and_ended_from_another_browser() {
    let house = House::open().await;
    let (_, here, there) = two_browsers(&house).await;
    let seen = facts(&here).await;
    let sessions = seen["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{seen}");
    assert_eq!(
        (&sessions[0]["current"], &sessions[1]["current"]),
        (&json!(true), &json!(false))
    );
    let end = json!({ "session": sessions[1]["id"] });
    let ended = here.post_json("/.sekisho/account/sessions/end", &end).await;
    assert_eq!(ended.json(), json!({ "ended": true }));
    is_out(&there).await;
    here.post_json("/.sekisho/account/sessions/end", &end)
        .await
        .is_problem(404, "no-such-session");

    let stranger = house.welcome("102").await;
    let theirs = facts(&house.signed_in(&stranger).await).await["sessions"][0]["id"].clone();
    here.post_json("/.sekisho/account/sessions/end", &json!({ "session": theirs }))
        .await
        .is_problem(404, "no-such-session");
    assert!(here.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_too_many_ends_the_one_used_longest_ago() {
    let house = House::with("[sessions]\nper_account = 2").await;
    let (person, first, second) = two_browsers(&house).await;
    let other = house.signed_in(&house.welcome("102").await).await;
    let third = house.signed_in(&person).await;
    is_out(&first).await;
    assert!(second.passes().await && third.passes().await && other.passes().await);
    let seen = facts(&third).await;
    assert_eq!(seen["sessions"].as_array().unwrap().len(), 2, "{seen}");
    let event = house.event("session.displaced", None).await;
    assert_eq!(event["actor"], "gateway", "{event}");
    assert!(
        event["detail"].as_str().unwrap().ends_with(" too-many-sessions"),
        "{event}"
    );
    let told = first.get("/x").await;
    let page = first.get(told.location()).await;
    assert!(page.text().contains("Your session has ended."), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_ends_this_browser_too() {
    let house = House::open().await;
    let (_, here, there) = two_browsers(&house).await;
    let old = here.session();
    let page = here.get(PAGE).await;
    let out = here.send_form(&page, "/.sekisho/account/sessions/end-all", &[]).await;
    assert_eq!(out.location(), "/login");
    let page = here.get(out.location()).await;
    assert!(page.text().contains("You are signed out."), "{}", page.text());
    assert!(here.cookie(SESSION).is_none());
    here.set_cookie(SESSION, Some(&old));
    is_out(&here).await;
    is_out(&there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_sign_in_gives_the_password_again_and_the_web_client_hears_of_it() {
    let house = House::with("[sessions]\nfresh_for = \"1s\"").await;
    let (_, here, there) = two_browsers(&house).await;
    let signed_in = statement(&house, &here).await;
    eventually("the sign-in to be old", async || {
        (facts(&here).await["fresh"] == false).then_some(())
    })
    .await;
    let path = "/.sekisho/account/sessions/end-others";
    here.post_json(path, &json!({}))
        .await
        .is_problem(403, "confirmation-required");
    here.post_json(path, &json!({ "password": "not it" }))
        .await
        .is_problem(403, "wrong-password");
    assert!(there.passes().await, "nothing was done");

    let page = here.get(PAGE).await;
    let asked = here.send_form(&page, path, &[]).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let ended = here.send_form(&asked, path, &[("password", PASSWORD)]).await;
    assert!(
        ended
            .location()
            .starts_with("/.sekisho/account?notice=others-ended&done=")
    );
    is_out(&there).await;
    house.event("sign-in.confirmed", None).await;
    let confirmed = statement(&house, &here).await;
    let auth_time = |claims: &Value| claims["auth_time"].as_i64().unwrap();
    assert!(auth_time(&confirmed) > auth_time(&signed_in), "{confirmed} {signed_in}");
    assert_eq!(confirmed["sid"], signed_in["sid"], "it is the same session");
}

/// What the web client is told.
async fn statement(house: &House, visitor: &Visitor) -> Value {
    assert!(visitor.passes().await);
    claims(house.upstream.last().assertion())
}

fn claims(jwt: &str) -> Value {
    use base64::Engine;
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_in_a_session_are_bounded_and_lock_nobody_out_of_signing_in() {
    let house = House::with(&quotas(&[("sign-in.session", "3 per 1h")])).await;
    let (person, here, _) = two_browsers(&house).await;
    let guess = json!({ "old_password": "not it", "password": OTHER_PASSWORD, "confirmation": OTHER_PASSWORD });
    for _ in 0..3 {
        here.post_json("/.sekisho/account/password", &guess)
            .await
            .is_problem(403, "wrong-password");
    }
    here.post_json("/.sekisho/account/password", &guess)
        .await
        .is_problem(429, "throttled");
    let sign_in = house.visitor().sign_in(&person.extension, PASSWORD).await;
    assert!(sign_in.is_done(), "a bucket of its own: {sign_in:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_whoever_is_signed_in_and_nobody_elses_site() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let stranger = house.visitor().get(PAGE).await;
    assert_eq!(stranger.location(), "/login?return_to=%2F.sekisho%2Faccount");
    house.visitor().fetch(PAGE).await.is_problem(401, "sign-in-required");
    let here = house.signed_in(&person).await;
    for path in [
        "password",
        "sessions/end",
        "sessions/end-others",
        "sessions/end-all",
        "language",
    ] {
        let path = format!("{PAGE}/{path}");
        let foreign = here
            .ask(Method::POST, &path)
            .header("origin", "https://evil.example")
            .json(&json!({}))
            .send()
            .await;
        assert_eq!(foreign.status, 403, "{path}: {foreign:?}");
        let tokenless = here
            .ask(Method::POST, &path)
            .header("origin", "https://in.test")
            .header("sec-fetch-site", "same-origin")
            .form(&[("language", "ja")])
            .send()
            .await;
        assert!(matches!(tokenless.status, 403 | 422 | 400), "{path}: {tokenless:?}");
    }
    assert!(here.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_is_the_accounts_for_pages_and_letters() {
    let house = House::open().await;
    let (person, here, _) = two_browsers(&house).await;
    let page = here.get(PAGE).await;
    let set = here
        .send_form(&page, "/.sekisho/account/language", &[("language", "ja")])
        .await;
    let page = here.get(set.location()).await;
    assert!(page.text().contains("<html lang=\"ja\">"), "{}", page.text());
    house.event("account.changed", Some("language")).await;
    house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
    house.gateway.cli(&["account", "enable", "101"]).await.succeeded();
    let letter = house.mailbox.next(&person.email).await;
    assert!(letter.subject.contains("再びご利用いただけます"), "{}", letter.subject);
}
