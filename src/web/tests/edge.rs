//! What the proxy asks for on behalf of other paths: challenges and failures.

use http::header::{ALLOW, RETRY_AFTER};
use http::{StatusCode, request};

use crate::flows::Refusal;
use crate::web::{Failure, PortalProblem};

use super::*;

const NAVIGATION: &[(&str, &str)] = &[
    ("accept", "text/html"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
];
const FETCH: &[(&str, &str)] = &[
    ("accept", "*/*"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
];

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> request::Parts {
    super::request(method, target, headers, "").into_parts().0
}

#[test]
fn a_person_is_sent_to_sign_in_and_will_come_back() {
    let portal = House::new().portal;
    let to = |method: &str, target: &str, reason| {
        location(&portal.challenge(&head(method, target, NAVIGATION), reason)).to_owned()
    };
    assert_eq!(to("GET", "/", None), "/login");
    assert_eq!(
        to("GET", "/calls?day=1&q=%E5%86%85", None),
        "/login?return_to=%2Fcalls%3Fday%3D1%26q%3D%25E5%2586%2585"
    );
    assert_eq!(
        to("POST", "/calls", None),
        "/login",
        "a form is not sent again by itself"
    );
    assert_eq!(to("GET", "//evil.example", None), "/login");
    assert_eq!(to("GET", "/calls", Some(Refusal::Idle)), "/login?return_to=%2Fcalls");
}

#[test]
fn a_dead_session_cookie_is_cleared_where_a_person_sees_it_and_nowhere_else() {
    let portal = House::new().portal;
    let navigation = portal.challenge(&head("GET", "/", NAVIGATION), Some(Refusal::Ended));
    let cookies = set_cookies(navigation.headers());
    assert!(
        cookies[1].starts_with("__Host-sekisho-notice=session-ended.")
            && cookies[1].ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"),
        "{cookies:?}"
    );
    assert_eq!(
        cookies[2..],
        ["__Host-sekisho=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"]
    );
    let stranger = portal.challenge(&head("GET", "/", NAVIGATION), None);
    let [counted] = set_cookies(stranger.headers())[..] else {
        panic!("{stranger:?}");
    };
    assert!(counted.starts_with("__Host-sekisho-circle=1.1800000000."), "{counted}");
    let fetch = portal.challenge(&head("GET", "/api", FETCH), Some(Refusal::Ended));
    assert_eq!(set_cookies(fetch.headers()), [""; 0]);
}

#[test]
fn a_script_and_a_program_learn_what_is_missing() {
    let portal = House::new().portal;
    let websocket = &[
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("accept", "text/html"),
    ];
    for headers in [FETCH, websocket, &[]] {
        let answer = portal.challenge(&head("GET", "/api", headers), Some(Refusal::Expired));
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem = json(&answer);
        assert_eq!(problem["type"], "urn:sekisho:problem:sign-in-required");
        assert_eq!(
            (&problem["login_url"], &problem["reason"]),
            (&"/login".into(), &"expired".into())
        );
    }
    let answer = portal.challenge(&head("GET", "/api", FETCH), None);
    assert_eq!(json(&answer)["reason"], "absent");
}

#[test]
fn a_circle_is_counted_by_the_browser_that_goes_round_in_it_and_not_by_one_that_looks_ahead() {
    let portal = House::new().portal;
    let ask = |cookie: &str, more: &[(&str, &str)]| {
        let headers = [NAVIGATION, &[("cookie", cookie)], more].concat();
        portal.challenge(&head("GET", "/calls", &headers), None)
    };
    let mut cookie = "a=1".to_owned();
    for count in 1..3 {
        let answer = ask(&cookie, &[]);
        assert_eq!(location(&answer), "/login?return_to=%2Fcalls");
        let counted = set_cookies(answer.headers())[0];
        assert!(
            counted.starts_with(&format!("__Host-sekisho-circle={count}.")),
            "{counted}"
        );
        cookie = counted.split(';').next().unwrap().to_owned();
    }
    let ahead = ask(&cookie, &[("sec-purpose", "prefetch;prerender")]);
    assert_eq!(location(&ahead), "/login?return_to=%2Fcalls");
    assert_eq!(set_cookies(ahead.headers()), [""; 0]);
    let explained = ask(&cookie, &[]);
    assert_eq!(explained.status(), StatusCode::FORBIDDEN);
    assert!(
        set_cookies(explained.headers())[0].ends_with("Max-Age=0"),
        "{explained:?}"
    );
    let html = text(&explained);
    assert!(
        html.contains("Allow cookies") && html.contains("href=\"&#x2f;calls\""),
        "{html}"
    );
}

#[test]
fn a_page_elsewhere_reads_what_it_is_let_and_is_told_where_to_sign_in() {
    use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, VARY};

    let portal = House::new().portal;
    let across = |method: &str, headers: &[(&str, &str)], preflight| {
        let mut head = head(method, "/api", headers);
        head.extensions.insert(crate::web::Across {
            origin: "https://app.example.com".parse().unwrap(),
            door: "https://phone.example.com".into(),
            preflight,
        });
        portal.challenge(&head, None)
    };
    let answer = across("GET", FETCH, true);
    assert_eq!(json(&answer)["login_url"], "https://phone.example.com/login");
    assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.com");
    assert_eq!(answer.headers()[VARY], "Origin");
    let asks = [("access-control-request-method", "PUT")];
    assert_eq!(across("OPTIONS", &asks, true).status(), StatusCode::NO_CONTENT);
    assert_eq!(across("OPTIONS", &asks, false).status(), StatusCode::UNAUTHORIZED);
    for names in ["a\"b", &"x".repeat(2000), "a(b)"] {
        let headers = [asks[0], ("access-control-request-headers", names)];
        let answer = across("OPTIONS", &headers, true);
        assert!(
            !answer.headers().contains_key("access-control-allow-headers"),
            "{names}"
        );
    }
}

#[test]
fn a_program_reads_in_the_head_and_the_body_why_its_token_opens_nothing() {
    let portal = House::new().portal;
    for (failure, status, error, name) in [
        (
            Failure::UnclearCredentials,
            400,
            "invalid_request",
            "unclear-credentials",
        ),
        (Failure::InvalidToken, 401, "invalid_token", "invalid-token"),
        (
            Failure::InsufficientScope,
            403,
            "insufficient_scope",
            "insufficient-scope",
        ),
    ] {
        for head in [head("GET", "/api/x", NAVIGATION), head("POST", "/api/x", FETCH)] {
            let answer = portal.failure(Some(&head), failure);
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(
                answer.headers()["www-authenticate"],
                format!("Bearer error=\"{error}\"")
            );
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            assert!(!answer.headers().contains_key("set-cookie"));
            let problem: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(problem["type"], format!("urn:sekisho:problem:{name}"));
            assert!(problem.get("login_url").is_none(), "{problem}");
        }
    }
}

#[test]
fn every_failure_has_its_status_and_a_page_or_a_problem() {
    let portal = House::new().portal;
    let wait = Duration::from_secs(7);
    for (failure, status) in [
        (Failure::BadRequest, 400),
        (Failure::Forbidden, 403),
        (Failure::Banned, 403),
        (Failure::NotFound, 404),
        (Failure::MethodNotAllowed { allow: "GET, POST" }, 405),
        (Failure::RequestTimeout, 408),
        (Failure::BodyTooLarge, 413),
        (Failure::TargetTooLong, 414),
        (Failure::Misdirected, 421),
        (Failure::TooManyRequests { retry_after: wait }, 429),
        (Failure::HeadTooLarge, 431),
        (Failure::Internal, 500),
        (Failure::BadGateway, 502),
        (Failure::Unavailable { retry_after: wait }, 503),
        (Failure::GatewayTimeout, 504),
    ] {
        let page = portal.failure(Some(&head("GET", "/calls?x='b", NAVIGATION)), failure);
        assert_eq!(page.status().as_u16(), status);
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let html = text(&page);
        assert!(html.contains("01J9REQUEST") && !html.contains("'b"), "{html}");
        assert!(!html.contains(env!("CARGO_PKG_VERSION")), "no version on an error page");
        for head in [Some(&head("POST", "/x", FETCH)), None] {
            let answer = portal.failure(head, failure);
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(json(&answer)["status"], status);
            assert_eq!(answer.headers().contains_key(RETRY_AFTER), matches!(status, 429 | 503));
            assert_eq!(answer.headers().contains_key(ALLOW), status == 405);
        }
    }
}

#[test]
fn the_query_of_the_web_client_is_not_read() {
    let portal = House::new().portal;
    let answer = portal.failure(Some(&head("GET", "/calls?lang=ja", NAVIGATION)), Failure::BadGateway);
    assert!(text(&answer).contains("<html lang=\"en\">"));
    assert_eq!(set_cookies(answer.headers()), [""; 0]);
}

#[tokio::test]
async fn a_failure_page_changes_its_language_and_comes_back() {
    let house = House::new();
    let mut browser = house.browser();
    let page = house
        .portal
        .failure(Some(&head("GET", "/calls?day=1", NAVIGATION)), Failure::BadGateway);
    let link = "/.sekisho/language?lang=ja&amp;return_to=%2Fcalls%3Fday%3D1";
    assert!(text(&page).replace("&#x2f;", "/").contains(link), "{}", text(&page));
    let answer = browser.get(&link.replace("&amp;", "&")).await;
    assert_eq!(location(&answer), "/calls?day=1");
    assert_eq!(browser.cookies["__Host-sekisho-lang"], "ja");
}

#[tokio::test]
async fn a_request_without_a_client_address_is_not_served() {
    let house = House::new();
    let request = Request::builder().uri("/login").body(Bytes::new()).unwrap();
    assert_eq!(
        house.portal.respond(request).await.status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_name() {
    let refused = |change: fn(&mut PortalSettings)| {
        let mut settings = settings();
        change(&mut settings);
        Portal::new(settings, flows(&House::new().fakes))
            .err()
            .map(|problem| problem.to_string())
    };
    for path in [
        "login",
        "/",
        "/login/",
        "/a//b",
        "/.sekisho/login",
        "/.sekisho",
        "/%6cogin",
        "/a/../b",
        "/a?b",
        "/{x}",
    ] {
        let mut settings = settings();
        settings.routes.login = path.into();
        let problem = Portal::new(settings, flows(&House::new().fakes)).err();
        assert!(
            matches!(problem, Some(PortalProblem::Route { key: "login", .. })),
            "{path}"
        );
    }
    let twice = refused(|settings| settings.routes.logout = "/Login".into()).unwrap();
    assert!(
        twice.contains("routes.logout") && twice.contains("another route"),
        "{twice}"
    );
    let accent = refused(|settings| settings.branding.accent = "teal".into()).unwrap();
    assert!(
        accent.contains("branding.accent") && accent.contains("#rrggbb"),
        "{accent}"
    );
    assert_eq!(refused(|_| ()), None);
}
