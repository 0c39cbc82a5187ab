//! The same routes for a client that speaks JSON.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::*;

const NEW: &str = "seventeen purple kettles";

fn redacted(answer: &Response<Bytes>) -> String {
    let body = serde_json::to_string_pretty(&super::json(answer)).unwrap();
    let media_type = answer.headers()["content-type"].to_str().unwrap();
    format!("{} {media_type}\n{body}", answer.status().as_u16())
}

#[tokio::test]
async fn a_script_signs_in_asks_who_it_is_and_signs_out() {
    let house = House::new();
    let body = json!({ "login": "yuki@example.com", "password": PASSWORD, "return_to": "/calls" }).to_string();
    let answer = call(&house.portal, "POST", "/login", "", &body).await;
    insta::assert_snapshot!("api_signed_in", redacted(&answer));
    let cookie = set_cookies(answer.headers())[0].split(';').next().unwrap().to_owned();
    assert_eq!(
        set_cookies(answer.headers()).len(),
        2,
        "besides session and device a fetch gets no cookie"
    );

    house.wait(Duration::from_mins(10));
    let answer = call(&house.portal, "GET", "/.sekisho/session", &cookie, "").await;
    let version = super::json(&answer)["script_url"]
        .as_str()
        .unwrap()
        .split_once('=')
        .unwrap()
        .1
        .to_owned();
    insta::assert_snapshot!("api_session", redacted(&answer).replace(&version, "*"));

    let answer = call(&house.portal, "POST", "/logout", &cookie, "").await;
    insta::assert_snapshot!("api_signed_out", redacted(&answer));
    let answer = call(&house.portal, "GET", "/.sekisho/session", &cookie, "").await;
    insta::assert_snapshot!("api_session_ended", redacted(&answer));
    assert_eq!(set_cookies(answer.headers()), [""; 0], "a fetch clears no cookie");
}

#[tokio::test]
async fn a_script_sets_a_password_by_link() {
    let house = House::new();
    let link = house.link(1, Purpose::Welcome);
    let ticket = link.split_once('=').unwrap().1;
    let answer = call(&house.portal, "GET", &link, "", "").await;
    insta::assert_snapshot!("api_link_live", redacted(&answer));
    let post = |password: &str, confirmation: &str| {
        json!({ "ticket": ticket, "password": password, "confirmation": confirmation }).to_string()
    };
    let answer = call(
        &house.portal,
        "POST",
        "/set-password",
        "",
        &post("password1234", "password1234"),
    )
    .await;
    insta::assert_snapshot!("api_weak_password", redacted(&answer));
    let answer = call(&house.portal, "POST", "/set-password", "", &post(PASSWORD, "other")).await;
    insta::assert_snapshot!("api_passwords_differ", redacted(&answer));
    let answer = call(&house.portal, "POST", "/set-password", "", &post(PASSWORD, PASSWORD)).await;
    insta::assert_snapshot!("api_password_set", redacted(&answer));
    let answer = call(&house.portal, "POST", "/set-password", "", &post(PASSWORD, PASSWORD)).await;
    insta::assert_snapshot!("api_link_used", redacted(&answer));
    let answer = call(&house.portal, "GET", "/set-password", "", "").await;
    insta::assert_snapshot!("api_link_missing", redacted(&answer));
}

#[tokio::test]
async fn json_names_the_link_it_means_and_falls_back_to_no_cookie() {
    let house = House::new();
    let mut browser = house.browser();
    browser.get(&house.link(1, Purpose::Reset)).await;
    let cookie = format!("__Host-sekisho-ticket={}", browser.cookies["__Host-sekisho-ticket"]);
    let body = json!({ "password": NEW, "confirmation": NEW }).to_string();
    let answer = call(&house.portal, "POST", "/set-password", &cookie, &body).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let problem = super::json(&answer);
    assert_eq!(problem["type"], "urn:sekisho:problem:link-missing");
    assert_eq!(problem["field"], "ticket");
    assert_eq!(house.fakes.password.lock().as_deref(), Some(PASSWORD));
    assert!(house.fakes.tickets.lock().values().all(|ticket| ticket.ended.is_none()));
    let ticket = &browser.cookies["__Host-sekisho-ticket"];
    let body = json!({ "ticket": ticket, "password": NEW, "confirmation": NEW }).to_string();
    let answer = call(&house.portal, "POST", "/set-password", "", &body).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", text(&answer));
}

#[tokio::test]
async fn refusals_are_problems_with_stable_types() {
    let house = House::new();
    let wrong = json!({ "login": "101", "password": "wrong" }).to_string();
    let answer = call(&house.portal, "POST", "/login", "", &wrong).await;
    insta::assert_snapshot!("api_wrong_credentials", redacted(&answer));
    assert!(
        answer.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Cookie ")
    );
    let answer = call(&house.portal, "POST", "/forgot-password", "", r#"{"email":"yuki"}"#).await;
    insta::assert_snapshot!("api_not_an_address", redacted(&answer));
    let answer = call(
        &house.portal,
        "POST",
        "/forgot-password",
        "",
        r#"{"email":"x@example.com"}"#,
    )
    .await;
    insta::assert_snapshot!("api_reset_accepted", redacted(&answer));
    *house.fakes.closed_for.lock() = Some(Duration::from_secs(90));
    let answer = call(&house.portal, "POST", "/login", "", &wrong).await;
    insta::assert_snapshot!("api_throttled", redacted(&answer));
    *house.fakes.closed_for.lock() = None;
    *house.fakes.down.lock() = true;
    let answer = call(&house.portal, "POST", "/login", "", &wrong).await;
    insta::assert_snapshot!("api_unavailable", redacted(&answer));
}

#[tokio::test]
async fn json_with_two_meanings_is_refused_without_work() {
    let house = House::new();
    for (body, status) in [
        (r#"{"login":"101","password":"x""#, StatusCode::BAD_REQUEST),
        ("login=101&password=x", StatusCode::BAD_REQUEST),
        (r#"{"login":["101"],"password":"x"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (
            r#"{"login":"101","login":"102","password":"x"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            r#"{"login":"101","password":"x","role":"admin"}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (r#"{"login":"101"}"#, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = call(&house.portal, "POST", "/login", "", body).await;
        assert_eq!(answer.status(), status, "{body}");
    }
    assert_eq!(*house.fakes.hashes.lock(), 0);
}

#[tokio::test]
async fn a_page_asked_for_as_json_says_what_to_do() {
    let house = House::new();
    for path in ["/login", "/logout", "/forgot-password"] {
        let answer = call(&house.portal, "GET", path, "", "").await;
        assert_eq!(answer.status(), StatusCode::NOT_ACCEPTABLE, "{path}");
    }
}

#[tokio::test]
async fn health_and_keys_are_open_to_everybody() {
    let house = House::new();
    let answer = call(&house.portal, "GET", "/.sekisho/health/live", "", "").await;
    assert_eq!(
        (answer.status(), super::json(&answer)),
        (StatusCode::OK, json!({ "live": true }))
    );
    let answer = call(&house.portal, "GET", "/.sekisho/health/ready", "", "").await;
    let parts = json!({ "ready": true, "parts": { "store": true, "store-write": false } });
    assert_eq!((answer.status(), super::json(&answer)), (StatusCode::OK, parts));
    let answer = call(&house.portal, "GET", "/.well-known/sekisho/jwks.json", "", "").await;
    assert_eq!(answer.headers()["cache-control"], "public, max-age=60");
    assert_eq!(text(&answer), "{\"keys\":[]}");

    let ill = PortalFlows {
        health: Arc::new(Well(false)),
        ..flows(&house.fakes)
    };
    let portal = Portal::new(settings(), ill).unwrap();
    let answer = call(&portal, "GET", "/.sekisho/health/ready", "", "").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(super::json(&answer)["parts"]["store"], false);
}
