//! What people see, in every language: it changes only on purpose.

use crate::domain::limits::policy::KeyKind;
use crate::domain::ticket::TicketEnd;
use crate::web::Failure;

use super::*;

/// A page without what differs from one build or browser to the next.
fn settled(page: &str) -> String {
    let mut settled = page.replace("&#x2f;", "/");
    for mark in ["?v=", "name=\"token\" value=\""] {
        let mut parts = settled.split(mark);
        let mut rest = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find('"').unwrap();
            rest.push_str(mark);
            rest.push('*');
            rest.push_str(&part[end..]);
        }
        settled = rest;
    }
    let scene = settled.find("<div class=\"scene\"").unwrap();
    let desk = settled.find("<div class=\"desk\"").unwrap();
    settled.replace_range(scene..desk, "");
    settled
}

/// Every page there is, by name, as a browser of this language gets it.
async fn pages(language: &'static str) -> Vec<(&'static str, String)> {
    let house = House::new();
    house.fakes.account.lock().language = language.parse().unwrap();
    let fresh = || Browser {
        language,
        ..house.browser()
    };
    let mut pages = Vec::new();
    let mut browser = fresh();
    pages.push(("login", text(&browser.get("/login").await)));
    let mut told = fresh();
    told.get(&house.link(9, Purpose::Reset)).await;
    let fields = [("password", PASSWORD), ("confirmation", PASSWORD)];
    told.post("/set-password", &fields).await;
    pages.push(("login_notice", text(&told.get("/login?return_to=/calls").await)));
    let refused = browser
        .post(
            "/login",
            &[("login", "<101>"), ("password", "x"), ("return_to", "/calls")],
        )
        .await;
    pages.push(("login_refused", text(&refused)));
    *house.fakes.closed_for.lock() = Some(Duration::from_mins(14));
    let throttled = browser.post("/login", &[("login", "101"), ("password", "x")]).await;
    pages.push(("login_throttled", text(&throttled)));
    *house.fakes.closed_by.lock() = KeyKind::Account;
    let stopped = browser.post("/login", &[("login", "101"), ("password", "x")]).await;
    pages.push(("login_stopped", text(&stopped)));
    *house.fakes.closed_for.lock() = None;
    let token = hidden(&text(&stopped), "token");
    let asked = [("token", &*token), ("login", "101")];
    browser.post_as("/.sekisho/unlock/ask", "same-origin", &asked).await;
    pages.push(("login_unlock_sent", text(&browser.get("/login").await)));
    browser.get(&house.unlock_link(1)).await;
    pages.push(("unlock", text(&browser.get("/.sekisho/unlock").await)));
    browser.post("/.sekisho/unlock", &[]).await;
    pages.push(("login_unlocked", text(&browser.get("/login").await)));
    pages.push(("unlock_dead", text(&browser.get("/.sekisho/unlock").await)));
    pages.push(("forgot_password", text(&browser.get("/forgot-password").await)));
    let typo = browser.post("/forgot-password", &[("email", "yuki@")]).await;
    pages.push(("forgot_password_typo", text(&typo)));
    let sent = browser.post("/forgot-password", &[("email", "yuki@example.com")]).await;
    pages.push(("forgot_password_sent", text(&sent)));
    pages.push(("link_missing", text(&browser.get("/set-password").await)));
    browser.get(&house.link(1, Purpose::Welcome)).await;
    pages.push(("set_password_welcome", text(&browser.get("/set-password").await)));
    let weak = [("password", "password1234"), ("confirmation", "password1234")];
    pages.push(("set_password_weak", text(&browser.post("/set-password", &weak).await)));
    let differ = [("password", PASSWORD), ("confirmation", "other")];
    pages.push((
        "set_password_differ",
        text(&browser.post("/set-password", &differ).await),
    ));
    browser.get(&house.link(2, Purpose::Reset)).await;
    pages.push(("set_password_reset", text(&browser.get("/set-password").await)));
    house.wait(Duration::from_mins(31));
    pages.push(("link_expired", text(&browser.get("/set-password").await)));
    browser.get(&house.link(1, Purpose::Welcome)).await;
    browser
        .post("/set-password", &[("password", PASSWORD), ("confirmation", PASSWORD)])
        .await;
    browser
        .get(&format!(
            "/set-password?ticket={}",
            TicketToken::from_entropy([1; 32]).expose()
        ))
        .await;
    pages.push(("link_used", text(&browser.get("/set-password").await)));
    for ticket in house.fakes.tickets.lock().values_mut() {
        ticket.ended = Some(TicketEnd::Overtaken);
    }
    pages.push(("link_overtaken", text(&browser.get("/set-password").await)));
    let mut browser = fresh();
    browser.sign_in().await;
    pages.push(("logout", text(&browser.get("/logout").await)));
    pages.push(("signed_in", text(&browser.get("/.sekisho/signed-in").await)));
    let mut lost = fresh();
    for _ in 0..2 {
        lost.get("/.sekisho/account").await;
    }
    pages.push(("circle", text(&lost.get("/.sekisho/account").await)));
    let headers = [("accept", "text/html"), ("accept-language", language)];
    let head = request("GET", "/calls?day=1", &headers, "").into_parts().0;
    pages.push(("failure", text(&house.portal.failure(Some(&head), Failure::BadGateway))));
    pages
}

#[tokio::test]
async fn the_pages_in_english() {
    for (name, page) in pages("en").await {
        insta::assert_snapshot!(format!("page_en_{name}"), settled(&page));
    }
}

#[tokio::test]
async fn the_pages_in_japanese() {
    for (name, page) in pages("ja").await {
        insta::assert_snapshot!(format!("page_ja_{name}"), settled(&page));
    }
}

#[tokio::test]
async fn every_page_names_its_language_and_offers_the_other() {
    for (language, other) in [("en", "ja"), ("ja", "en")] {
        for (name, page) in pages(language).await {
            assert!(page.contains(&format!("<html lang=\"{language}\">")), "{name}");
            assert!(page.contains(&format!("hreflang=\"{other}\"")), "{name}");
            assert!(page.contains("<h1>") && page.contains("<main id=\"content\""), "{name}");
        }
    }
}

#[tokio::test]
async fn no_page_needs_another_site_or_an_inline_script() {
    for (name, page) in pages("en").await {
        let page = page.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
        for foreign in [
            "http:",
            "https:",
            "src=\"//",
            "<style",
            " style=",
            "onclick",
            "javascript:",
        ] {
            assert!(!page.contains(foreign), "{name} has {foreign}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script src=\"").count(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_people_type_cannot_become_markup() {
    let house = House::new();
    let hostile = "\"><script>alert(1)</script>";
    let mut browser = house.browser();
    let answer = browser.post("/login", &[("login", hostile), ("password", "x")]).await;
    assert!(!text(&answer).contains("<script>alert"));
    let answer = browser.post("/forgot-password", &[("email", hostile)]).await;
    assert!(!text(&answer).contains("<script>alert"));
    house.fakes.account.lock().name = hostile.into();
    browser.get(&house.link(1, Purpose::Welcome)).await;
    assert!(!text(&browser.get("/set-password").await).contains("<script>alert"));
}

#[tokio::test]
async fn the_operators_name_logo_and_colour_are_on_every_page() {
    let mut settings = settings();
    settings.branding = Branding {
        name: "Kita Denwa".into(),
        logo: Some(crate::web::Logo {
            bytes: Bytes::from_static(b"<svg/>"),
            media_type: "image/svg+xml",
        }),
        accent: "#facc15".into(),
        support: None,
    };
    let house = House::with(settings);
    let page = text(&house.browser().get("/login").await);
    assert!(page.contains("– Kita Denwa</title>") && page.contains("class=\"logo\"") && !page.contains("support"));
    let answer = house
        .portal
        .respond(request("GET", "/.sekisho/assets/logo", &[], ""))
        .await;
    assert_eq!(text(&answer), "<svg/>");
    let answer = house
        .portal
        .respond(request("GET", "/.sekisho/assets/theme.css", &[], ""))
        .await;
    insta::assert_snapshot!("theme_of_a_light_accent", text(&answer));
}
