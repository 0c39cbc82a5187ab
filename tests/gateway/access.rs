//! Access rules: who may see what of the web client, in whatever spelling it is asked for.

use http::Method;
use serde_json::Value;

use crate::harness::House;

const RULES: &str = r#"[access]
rules = [
  "deny /debug/*",
  "groups admins /admin/*",
  "deny POST /reports/*",
  "public GET /status from 127.0.0.0/8",
  "deny /elsewhere/* from 198.51.100.0/24",
]
public = ["/assets/*"]"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_path_for_a_group_is_open_to_its_members_alone() {
    let house = House::with(RULES).await;
    let member = house.welcome_with("101", &["--group", "admins"]).await;
    let other = house.welcome_with("102", &["--group", "sales"]).await;
    let (member, other) = (house.signed_in(&member).await, house.signed_in(&other).await);
    assert_eq!(member.fetch("/admin/users").await.status, 200);
    house.upstream.last().assertion();
    let reached = house.upstream.count();
    for path in [
        "/admin/users",
        "/ADMIN/users",
        "//admin/users",
        "/admin;v=1/users",
        "/%61dmin/users",
    ] {
        other.fetch(path).await.is_problem(403, "forbidden");
    }
    assert_eq!(other.get("/admin/users").await.status, 403, "a page for people, too");
    let stranger = house.visitor();
    stranger.fetch("/admin/users").await.is_problem(401, "sign-in-required");
    assert_eq!(house.upstream.count(), reached);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_denied_to_everybody_and_what_is_narrowed_stays_narrow() {
    let house = House::with(RULES).await;
    let person = house.welcome("101").await;
    let (visitor, stranger) = (house.signed_in(&person).await, house.visitor());
    for path in ["/debug/x", "/Debug/x", "/debug//x"] {
        visitor.fetch(path).await.is_problem(403, "forbidden");
        stranger.fetch(path).await.is_problem(403, "forbidden");
    }
    assert_eq!(visitor.fetch("/reports/1").await.status, 200);
    let posted = visitor.script(Method::POST, "/reports/1").body("x").send().await;
    posted.is_problem(403, "forbidden");
    assert_eq!(
        visitor.fetch("/elsewhere/x").await.status,
        200,
        "the rule is for another network"
    );
    assert_eq!(stranger.fetch("/status").await.status, 200);
    let posted = stranger.script(Method::POST, "/status").body("x").send().await;
    posted.is_problem(401, "sign-in-required");
    assert_eq!(stranger.fetch("/assets/app.js").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_explained_as_it_is_judged() {
    let house = House::with(RULES).await;
    house.welcome_with("101", &["--group", "sales"]).await;
    let gateway = &house.gateway;
    let explain = async |path: &str| -> Value {
        let url = format!("https://in.test{path}");
        gateway
            .cli_json(&[
                "explain",
                "--url",
                &url,
                "--as",
                "101",
                "--from",
                "203.0.113.7",
                "--json",
            ])
            .await
    };
    let admin = explain("/admin/users").await;
    assert_eq!(admin["verdict"], "refused");
    assert_eq!(admin["readings"][0]["rule"], "groups admins /admin/*");
    assert_eq!(explain("/inbox").await["verdict"], "forwarded");
    assert_eq!(explain("/login").await["verdict"], "ours");
    assert_eq!(explain("//debug/x").await["verdict"], "refused");
    let told = gateway
        .cli(&["explain", "--url", "https://in.test/admin/x", "--as", "101"])
        .await
        .succeeded();
    assert!(
        told.contains("groups admins /admin/*") && told.contains("refused, 403"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_never_decides_is_warned_of() {
    let house = House::closed("[access]\nrules = [\"deny /a/*\", \"public /a/b/*\"]").await;
    let checked = house.gateway.cli(&["config", "check"]).await;
    let told = format!("{checked:?}");
    assert!(told.contains("never decides anything"), "{told}");
}
