//! The table of routes walked: every route refuses whom it must and admits whom it must.

use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL};

use tower::ServiceExt;

use crate::web::answer::Answer;
use crate::web::desk::Desk;
use crate::web::routes::{Action, Table};
use crate::web::{Access, Owner, RouteInfo};

use super::*;

fn target(route: &RouteInfo) -> String {
    route.path.replace("{file}", "style.css")
}

#[tokio::test]
async fn every_post_from_another_site_is_refused_before_anything_is_done() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    browser.get(&house.link(1, Purpose::Reset)).await;
    let page = text(&browser.get("/set-password").await);
    let token = hidden(&page, "token");
    let events = house.fakes.events.lock().len();
    let fields = [
        ("token", &*token),
        ("login", "101"),
        ("password", PASSWORD),
        ("confirmation", PASSWORD),
    ];
    let posts: Vec<RouteInfo> = house
        .portal
        .routes()
        .into_iter()
        .filter(|route| route.method == "POST")
        .collect();
    assert_eq!(posts.len(), 12);
    for route in &posts {
        for site in ["cross-site", "same-site", "none"] {
            let answer = browser.post_as(&route.path, site, &fields).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{} {site}", route.name);
            assert!(text(&answer).contains("Not sent from this site"));
            let headers = [
                ("content-type", "application/json"),
                ("accept", "application/json"),
                ("sec-fetch-site", site),
            ];
            let answer = house.portal.respond(request("POST", &route.path, &headers, "{}")).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{} {site}", route.name);
            assert_eq!(json(&answer)["type"], "urn:sekisho:problem:foreign-origin");
        }
        for headers in [
            vec![],
            vec![("origin", "null")],
            vec![("origin", "https://evil.example")],
        ] {
            let answer = house.portal.respond(request("POST", &route.path, &headers, "")).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{} {headers:?}", route.name);
        }
        let headers = [("origin", "https://phone.example.com"), ("content-type", "text/plain")];
        let answer = house.portal.respond(request("POST", &route.path, &headers, "{}")).await;
        let refusal = if route.access == Access::Anyone {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(answer.status(), refusal, "{}", route.name);
    }
    assert_eq!(house.fakes.events.lock().len(), events, "nothing was done");
    assert_eq!(house.fakes.sessions.lock().len(), 1);
    assert_eq!(*house.fakes.letters.lock(), 0);
}

#[tokio::test]
async fn a_form_token_of_another_browser_opens_nothing() {
    let house = House::new();
    let mut mine = house.browser();
    let token = hidden(&text(&mine.get("/login").await), "token");
    let mut theirs = house.browser();
    theirs.get("/login").await;
    let fields = [("token", &*token), ("login", "101"), ("password", PASSWORD)];
    let answer = theirs.post_as("/login", "same-origin", &fields).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(house.fakes.sessions.lock().len(), 0);
    assert_eq!(location(&mine.post_as("/login", "same-origin", &fields).await), "/");
}

#[tokio::test]
async fn routes_for_people_signed_in_admit_nobody_else() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    let routes = house.portal.routes();
    assert!(routes.iter().any(|route| route.access == Access::SignedIn));
    for route in routes
        .iter()
        .filter(|route| route.access != Access::Anyone && route.method == "POST")
    {
        let answer = call(&house.portal, "POST", &route.path, "", "{}").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{}", route.name);
        assert_eq!(json(&answer)["type"], "urn:sekisho:problem:sign-in-required");
    }
    for route in routes
        .iter()
        .filter(|route| route.access != Access::Anyone && route.method == "GET")
    {
        let answer = call(&house.portal, "GET", &target(route), "", "").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{}", route.name);
        assert_eq!(json(&answer)["type"], "urn:sekisho:problem:sign-in-required");
        let cookie = format!("__Host-sekisho={}", browser.cookies["__Host-sekisho"]);
        let answer = call(&house.portal, "GET", &target(route), &cookie, "").await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", route.name);
        let twice = format!("{cookie}; __Host-sekisho=other");
        let answer = call(&house.portal, "GET", &target(route), &twice, "").await;
        assert_eq!(json(&answer)["reason"], "unclear");
    }
}

#[tokio::test]
async fn a_route_for_administrators_admits_no_other_person() {
    let house = House::new();
    let mut browser = house.browser();
    browser.sign_in().await;
    let desk = Arc::new(Desk::new(settings(), flows(&house.fakes)).unwrap());
    let action = Action::show(|_, _| async { Ok(Answer::nothing()) });
    let (router, _) = Table::default()
        .route("test", "/test", Access::Admin, action)
        .finish(desk);
    let cookie = format!("__Host-sekisho={}", browser.cookies["__Host-sekisho"]);
    let ask = |cookie: &str| {
        let request = request("GET", "/test", &[("cookie", cookie)], "").map(axum::body::Body::from);
        router.clone().oneshot(request)
    };
    assert_eq!(ask("").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&cookie).await.unwrap().status(), StatusCode::FORBIDDEN);
    house.fakes.account.lock().role = Role::Admin;
    assert_eq!(ask(&cookie).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn every_route_is_ours_and_answers_its_methods_alone() {
    let house = House::new();
    for route in house.portal.routes() {
        let path = target(&route);
        let owner = house.portal.owner(&RequestPath::parse(&path).unwrap());
        assert_eq!(owner, Owner::Ours, "{path}");
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
            let answer = house.portal.respond(request(method, &path, &[], "")).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(
                answer.headers()[ALLOW].to_str().unwrap().starts_with("GET"),
                "{method} {path}"
            );
        }
        let answer = house
            .portal
            .respond(request("HEAD", &path, &[("accept", "text/html")], ""))
            .await;
        assert_eq!(answer.body().len(), 0, "HEAD {path}");
    }
}

#[tokio::test]
async fn every_answer_is_armoured() {
    let house = House::new();
    let mut answers = Vec::new();
    for route in house.portal.routes() {
        for headers in [vec![("accept", "text/html")], vec![("accept", "application/json")]] {
            answers.push(
                house
                    .portal
                    .respond(request(route.method.as_str(), &target(&route), &headers, ""))
                    .await,
            );
        }
    }
    answers.push(house.portal.respond(request("GET", "/.sekisho/nothing", &[], "")).await);
    assert!(answers.len() > 20);
    for answer in &answers {
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert!(header("strict-transport-security").starts_with("max-age="));
        assert!(answer.headers().contains_key(CACHE_CONTROL));
        assert!(!answer.headers().contains_key("server"));
    }
}

#[test]
fn near_misses_of_our_routes_are_ours_to_refuse() {
    let house = House::new();
    let owner = |path: &str| house.portal.owner(&RequestPath::parse(path).unwrap());
    for path in [
        "/login",
        "/.sekisho/",
        "/.sekisho/health/live",
        "/.well-known/sekisho/jwks.json",
    ] {
        assert_eq!(owner(path), Owner::Ours, "{path}");
    }
    for path in [
        "/Login",
        "/login/",
        "//login",
        "/%6cogin",
        "/login;x",
        "/SET-password",
        "/.sekisho",
        "/.Sekisho/session",
        "/%2esekisho/session",
        "//.sekisho/session",
    ] {
        assert_eq!(owner(path), Owner::NearMiss, "{path}");
    }
    for path in [
        "/",
        "/logins",
        "/calls/login",
        "/app/Login.js",
        "/%E5%86%85",
        "/sekisho/",
    ] {
        assert_eq!(owner(path), Owner::Upstream, "{path}");
    }
}

#[tokio::test]
async fn files_are_kept_for_ever_under_their_version_and_checked_otherwise() {
    let house = House::new();
    let page = text(&house.browser().get("/login").await).replace("&#x2f;", "/");
    let start = page.find("/.sekisho/assets/style.css?v=").unwrap();
    let address = &page[start..][..page[start..].find('"').unwrap()];
    let answer = house.portal.respond(request("GET", address, &[], "")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert_eq!(answer.headers()["content-type"], "text/css; charset=utf-8");
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let plain = "/.sekisho/assets/style.css";
    let answer = house
        .portal
        .respond(request("GET", plain, &[("if-none-match", &tag)], ""))
        .await;
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::NOT_MODIFIED, 0));
    let answer = house
        .portal
        .respond(request("GET", plain, &[("if-none-match", "\"other\"")], ""))
        .await;
    assert_eq!(answer.headers()[CACHE_CONTROL], "public, no-cache");
    let answer = house
        .portal
        .respond(request("GET", "/.sekisho/assets/..%2fmod.rs", &[], ""))
        .await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}
