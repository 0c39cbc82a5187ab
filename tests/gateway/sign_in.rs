//! Signing in: who gets in, who does not, and what the refused can learn, which is nothing.

use serde_json::json;

use crate::harness::{Answer, House, IN, OTHER_PASSWORD, PASSWORD, SESSION, Visitor};

/// What a stranger can see of an answer, without what differs between any two.
pub fn visible(answer: &Answer) -> (u16, Vec<String>, String) {
    let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    let mut text = String::new();
    for (n, piece) in answer.text().split(" value=\"").enumerate() {
        // What a field holds: the form token, and what the visitor typed.
        let rest = piece.split_once('"').filter(|_| n > 0).map_or(piece, |(_, rest)| rest);
        text.push_str(rest);
    }
    (answer.status, names, text)
}

/// What a script can see of a refusal, without what differs between any two.
fn visible_json(answer: &Answer) -> (u16, serde_json::Value) {
    let mut json = answer.json();
    for differs in ["instance", "request", "request_id", "request-id"] {
        json.as_object_mut().unwrap().remove(differs);
    }
    (answer.status, json)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_number_or_an_address_signs_in_however_it_is_typed() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    for login in [
        "101",
        " 101 ",
        "１０１",
        "1 0 1",
        &person.email,
        "P101@EXAMPLE.COM",
        "p101＠example.com",
    ] {
        let visitor = house.visitor();
        let answer = visitor.sign_in(login, PASSWORD).await;
        assert_eq!(answer.status, 303, "{login}: {answer:?}");
        assert_eq!(answer.location(), "/");
        assert!(visitor.passes().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_looks_the_same() {
    let house = House::open().await;
    house.welcome("101").await;
    house.welcome("102").await;
    house.gateway.cli(&["account", "disable", "102"]).await.succeeded();
    house.invite("103", &[]).await;
    let long = "x".repeat(300);
    let attempts = [
        ("101", OTHER_PASSWORD),
        ("999", PASSWORD),
        ("102", PASSWORD),
        ("103", PASSWORD),
        ("p101@example.com", OTHER_PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("内線", PASSWORD),
        ("", PASSWORD),
        ("101", ""),
        ("101", &long),
        ("' OR 1=1 --", PASSWORD),
    ];
    let mut pages = Vec::new();
    let mut scripts = Vec::new();
    for (login, password) in attempts {
        let visitor = house.visitor();
        let answer = visitor.sign_in(login, password).await;
        assert_eq!(answer.status, 401, "{login}: {answer:?}");
        assert!(visitor.cookie(SESSION).is_none());
        assert!(!answer.text().contains(PASSWORD) && !answer.text().contains(OTHER_PASSWORD));
        pages.push((login, visible(&answer)));
        let answer = visitor
            .post_json("/login", &json!({"login": login, "password": password}))
            .await;
        answer.is_problem(401, "wrong-credentials");
        scripts.push((login, visible_json(&answer)));
    }
    for (login, page) in &pages {
        assert_eq!(page, &pages[0].1, "{login}");
    }
    for (login, script) in &scripts {
        assert_eq!(script, &scripts[0].1, "{login}");
    }
    for reason in ["wrong-password", "unknown-name", "disabled", "never-activated"] {
        house.event("sign-in.refused", Some(reason)).await;
    }
    assert!(
        house.visitor().sign_in("101", PASSWORD).await.is_done(),
        "and the right one gets in"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_cookie_is_as_strict_as_cookies_get() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    let answer = visitor.sign_in(&person.extension, PASSWORD).await;
    let line = answer.cookie(SESSION).expect("the session cookie is set");
    let mut attributes: Vec<String> = line.split(';').skip(1).map(|part| part.trim().to_lowercase()).collect();
    attributes.retain(|attribute| !attribute.starts_with("max-age") && !attribute.starts_with("expires"));
    attributes.sort();
    assert_eq!(attributes, ["httponly", "path=/", "samesite=lax", "secure"], "{line}");
    assert_eq!(visitor.session().len(), 43, "256 bits");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sign_in_begins_a_new_session_and_ends_the_old_one_of_that_browser() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let (visitor, elsewhere) = (house.signed_in(&person).await, house.signed_in(&person).await);
    let old = visitor.session();
    let answer = visitor
        .post_json("/login", &json!({"login": "101", "password": PASSWORD}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(visitor.session(), old, "a fresh token");
    assert!(visitor.passes().await);
    let thief = house.visitor();
    thief.set_cookie(SESSION, Some(&old));
    assert!(!thief.passes().await, "the old one opens nothing");
    assert!(elsewhere.passes().await, "the other browser's session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_somebody_else_planted_is_not_taken_over() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let victim = house.visitor();
    let planted = "A".repeat(43);
    victim.set_cookie(SESSION, Some(&planted));
    assert!(victim.sign_in(&person.extension, PASSWORD).await.is_done());
    assert_ne!(victim.session(), planted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_two_accounts_share_signs_nobody_in() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    assert!(house.visitor().sign_in(&person.email, PASSWORD).await.is_done());
    let add = [
        "account",
        "add",
        "102",
        "--name",
        "Twin",
        "--email",
        "P101@example.com",
        "--no-welcome",
    ];
    house.gateway.cli(&add).await.succeeded();
    assert_eq!(house.visitor().sign_in(&person.email, PASSWORD).await.status, 401);
    assert!(
        house.visitor().sign_in("101", PASSWORD).await.is_done(),
        "the number still works"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_leads_back_to_where_the_person_was_going() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    let challenge = visitor.get("/calls/7?tab=notes&q=%E5%86%85").await;
    assert_eq!(challenge.status, 303, "{challenge:?}");
    let login = challenge.location().to_owned();
    assert!(login.starts_with("/login?return_to="), "{login}");
    let fields = [("login", person.extension.as_str()), ("password", PASSWORD)];
    let answer = visitor.post_form(&login, &fields).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    assert_eq!(answer.location(), "/calls/7?tab=notes&q=%E5%86%85");
    assert_eq!(visitor.get("/calls/7?tab=notes&q=%E5%86%85").await.status, 200);
    assert_eq!(house.upstream.last().target, "/calls/7?tab=notes&q=%E5%86%85");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_never_leads_to_somewhere_else() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    for hostile in [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "https:evil.example",
        "http:/evil.example",
        "/%09/evil.example",
        "/%5cevil.example",
        "/%2f/evil.example",
        "/%2e%2e//evil.example",
        "///evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://in.test@evil.example/",
        "@evil.example",
        "／／evil.example",
        "/．．/evil.example",
        "/\r\nSet-Cookie: a=b",
        "/a\0b",
        " /a",
        "",
        ".evil.example",
    ] {
        let visitor = house.visitor();
        let page = visitor.get("/login").await;
        let fields = [
            ("login", person.extension.as_str()),
            ("password", PASSWORD),
            ("return_to", hostile),
        ];
        let answer = visitor.send_form(&page, "/login", &fields).await;
        assert_eq!(answer.status, 303, "{hostile:?}: {answer:?}");
        assert_eq!(answer.location(), "/", "{hostile:?}");
        let encoded: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();
        let page = house.visitor().get(&format!("/login?return_to={encoded}")).await;
        assert_eq!(page.status, 200, "{hostile:?}: {page:?}");
        assert!(!page.text().contains("evil.example"), "{hostile:?}: {page:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_signs_in_with_json() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.visitor();
    let session = visitor.fetch("/.sekisho/session").await;
    session.is_problem(401, "sign-in-required");
    let answer = visitor
        .post_json(
            "/login",
            &json!({"login": person.email, "password": PASSWORD, "return_to": "/x"}),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    assert!(
        !answer.text().contains(&visitor.session()),
        "the token is in the cookie alone"
    );
    let session = visitor.fetch("/.sekisho/session").await;
    assert_eq!(session.status, 200, "{session:?}");
    assert!(session.text().contains("\"101\""), "{session:?}");
    assert!(visitor.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_two_meanings_signs_nobody_in() {
    let house = House::open().await;
    house.welcome("101").await;
    let visitor = house.visitor();
    for body in [
        r#"{"login":["101"],"password":"x"}"#,
        r#"{"login":"101","login":"102","password":"x"}"#,
        r#"{"login":"101"}"#,
        r#"{"login":"101","password":null}"#,
        r"[1]",
        r#"{"login":"101","password":"x""#,
        "",
    ] {
        let answer = visitor
            .script(http::Method::POST, "/login")
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await;
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer:?}");
    }
    let page = visitor.get("/login").await;
    let form = visitor.filled_form(
        &page,
        "/login",
        &[("login", "101"), ("login", "102"), ("password", PASSWORD)],
    );
    let answer = form.send().await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_not_taken_under_another_name() {
    let house = House::open().await;
    house.welcome("101").await;
    let visitor = house.visitor();
    for kind in [
        "text/plain",
        "text/plain; application/json",
        "multipart/form-data; boundary=x",
    ] {
        let answer = visitor
            .script(http::Method::POST, "/login")
            .header("content-type", kind)
            .body(json!({"login": "101", "password": PASSWORD}).to_string())
            .send()
            .await;
        assert!(matches!(answer.status, 400 | 403 | 415), "{kind}: {answer:?}");
        assert!(visitor.cookie(SESSION).is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_sign_anybody_in() {
    let house = House::open().await;
    house.welcome("101").await;
    let visitor = house.visitor();
    let page = visitor.get("/login").await;
    let fields = [("login", "101"), ("password", PASSWORD)];
    for (site, origin) in [
        (Some("cross-site"), Some("https://evil.example")),
        (Some("same-site"), Some("https://other.test")),
        (None, Some("https://evil.example")),
        (None, Some("null")),
        (None, None),
        (Some("none"), None),
    ] {
        let mut form = visitor
            .filled_form(&page, "/login", &fields)
            .without("origin")
            .without("sec-fetch-site");
        if let Some(site) = site {
            form = form.header("sec-fetch-site", site);
        }
        if let Some(origin) = origin {
            form = form.header("origin", origin);
        }
        let answer = form.send().await;
        assert_eq!(answer.status, 403, "{site:?} {origin:?}: {answer:?}");
        let json = visitor
            .ask(http::Method::POST, "/login")
            .header("origin", origin.unwrap_or("https://evil.example"))
            .json(&json!({"login": "101", "password": PASSWORD}))
            .send()
            .await;
        json.is_problem(403, "foreign-origin");
    }
    assert!(visitor.cookie(SESSION).is_none());
    let stale = visitor
        .filled_form(&page, "/login", &[fields[0], fields[1], ("token", "forged")])
        .send()
        .await;
    assert_eq!(stale.status, 403, "{stale:?}");
    assert!(
        visitor.send_form(&page, "/login", &fields).await.is_done(),
        "the page's own form works"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_without_use_and_at_its_absolute_limit() {
    let house = House::with("[sessions]\nidle = \"2s\"\nabsolute = \"4s\"").await;
    let person = house.welcome("101").await;
    let idle = house.signed_in(&person).await;
    assert!(idle.passes().await);
    let busy = house.signed_in(&person).await;
    let begun = std::time::Instant::now();
    crate::harness::eventually("the busy session to reach its limit", async || {
        if busy.passes().await {
            assert!(begun.elapsed().as_secs() < 6, "nothing slides the absolute limit");
            return None;
        }
        Some(())
    })
    .await;
    assert!(
        begun.elapsed().as_millis() > 2500,
        "use keeps a session alive beyond its idle limit"
    );
    assert!(!idle.passes().await, "the idle one is over");
    let page = idle.get("/").await;
    assert_eq!(page.status, 303, "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_speak_the_language_that_is_asked_for() {
    let house = House::open().await;
    let visitor = house.visitor();
    let english = visitor.get("/login").await;
    assert!(english.text().contains("lang=\"en\""), "{english:?}");
    let japanese = visitor
        .navigate("/login")
        .header("accept-language", "ja,en;q=0.5")
        .send()
        .await;
    assert!(
        japanese.text().contains("lang=\"ja\"") && japanese.text().contains("パスワード"),
        "{japanese:?}"
    );
    visitor.get("/login?lang=ja").await;
    let kept = visitor.get("/login").await;
    assert!(kept.text().contains("lang=\"ja\""), "the choice is kept: {kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_pages_allow_no_script_frame_or_cache() {
    let house = House::open().await;
    let visitor = Visitor::at(&house.gateway, IN);
    for path in ["/login", "/forgot-password", "/set-password", "/.sekisho/nothing"] {
        let page = visitor.get(path).await;
        let policy = page
            .header("content-security-policy")
            .unwrap_or_else(|| panic!("{path}: {page:?}"));
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"),
            "{policy}"
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
        assert!(page.header("strict-transport-security").is_some());
        assert!(page.header("server").is_none());
        for tag in ["script", "link", "img"] {
            for found in crate::harness::page::tags(&page.text(), tag) {
                let address = found.get("src").or(found.get("href")).unwrap_or_default();
                assert!(
                    address.starts_with('/') && !address.starts_with("//"),
                    "{path}: {address}"
                );
            }
        }
        assert!(
            !page.text().contains(" style=\"") && !page.text().contains("onclick"),
            "{path}"
        );
    }
}
