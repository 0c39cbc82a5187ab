//! Several web clients behind one gateway: each gets its own requests, under its own statement, and nothing of another's.

use http::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, House, IN, OUT, PASSWORD, Person, SESSION, Upstream, Visitor, WIKI_IN, WIKI_OUT, eventually,
};
use crate::proxying::{jwks, verify};

/// A house with three web clients: the main one, a wiki on hosts of its own, and reports under a path of the main hosts.
struct Town {
    house: House,
    wiki: Upstream,
    reports: Upstream,
}

impl Town {
    async fn open() -> Self {
        let town = Self::closed("").await;
        town.house.gateway.start().await;
        town
    }

    async fn closed(more: &str) -> Self {
        let house = House::closed("").await;
        let (wiki, reports) = (Upstream::open().await, Upstream::open().await);
        house.gateway.configure(&format!(
            r#"
            [access]
            rules = ["deny /reserved/*"]
            public = ["/assets/*"]
            [sites.wiki]
            doors = {{ in_office = "https://{WIKI_IN}", out_of_office = "https://{WIKI_OUT}" }}
            upstream = {{ url = "http://{}", preserve_host = false }}
            access.rules = ["groups editors /edit/*"]
            assertion.audience = "the-wiki"
            [sites.reports]
            path = "/reports"
            upstream.url = "http://{}"
            access.public = ["/reports/public/*"]
            {more}
            "#,
            wiki.address(),
            reports.address()
        ));
        Self { house, wiki, reports }
    }

    fn at(&self, host: &str) -> Visitor {
        Visitor::at(&self.house.gateway, host)
    }

    /// Somebody signed in at this host.
    async fn signed_in(&self, host: &str, person: &Person) -> Visitor {
        let visitor = self.at(host);
        let answer = visitor.sign_in(&person.extension, &person.password).await;
        assert!(answer.is_done(), "{answer:?}");
        visitor
    }

    /// How many requests each web client has got.
    fn reached(&self) -> [usize; 3] {
        [self.house.upstream.count(), self.wiki.count(), self.reports.count()]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_and_path_choose_the_web_client_and_whom_the_statement_is_for() {
    let town = Town::open().await;
    let person = town.house.welcome("101").await;
    let (main, wiki) = (
        town.signed_in(OUT, &person).await,
        town.signed_in(WIKI_OUT, &person).await,
    );
    assert_eq!(town.reached(), [0, 0, 0]);
    assert_eq!(main.fetch("/x?y").await.status, 200);
    assert_eq!(
        main.fetch("/reports/x?y").await.status,
        200,
        "one sign-in for the sites of a host"
    );
    assert_eq!(wiki.fetch("/reports/x").await.status, 200);
    assert_eq!(town.reached(), [1, 1, 1]);
    let upstreams = [&town.house.upstream, &town.reports, &town.wiki];
    let targets = upstreams.map(|upstream| upstream.last().target);
    assert_eq!(targets, ["/x?y", "/reports/x?y", "/reports/x"]);
    let hosts = upstreams.map(|upstream| upstream.last().header("host").map(str::to_owned));
    let own = town.wiki.address().to_string();
    assert_eq!(
        hosts,
        [Some(OUT), Some(OUT), Some(own.as_str())].map(|host| host.map(str::to_owned))
    );

    let keys = jwks(&town.house).await;
    let audiences = ["sekisho-upstream", "sekisho-upstream-reports", "the-wiki"];
    for (upstream, own) in upstreams.iter().zip(audiences) {
        let received = upstream.last();
        assert!(!received.header("cookie").unwrap_or_default().contains(SESSION));
        for audience in audiences {
            let verified = verify(received.assertion(), &keys, "https://out.test", audience);
            assert_eq!(verified.is_ok(), audience == own, "{audience}: {verified:?}");
        }
    }
    // Taking turns makes nothing anew: there is one statement for each web client, once the sign-in itself, which makes
    // the gateway look the session up again, is a moment ago.
    eventually("a statement that is kept while another is in use", async || {
        let before = town.house.upstream.last().assertion().to_owned();
        for target in ["/x", "/reports/x", "/x"] {
            assert_eq!(main.fetch(target).await.status, 200);
        }
        (town.house.upstream.last().assertion() == before).then_some(())
    })
    .await;

    let keys_there = wiki.fetch("/.well-known/sekisho/jwks.json").await;
    assert_eq!(keys_there.json(), serde_json::to_value(&keys).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bounds_of_a_site_hold_in_every_spelling() {
    let town = Town::open().await;
    let person = town.house.welcome("101").await;
    let visitor = town.signed_in(IN, &person).await;
    let before = town.reached();
    for path in [
        "/Reports/x",
        "/REPORTS",
        "//reports/x",
        "/reports;v=1/x",
        "/;v=1/reports/x",
        "/%72eports/x",
        "/%2572eports/x",
        "/reports%2Fx",
        "/reports%2Fpublic/x",
        "/x%3F/../reports/x",
        "/x/../reports/x",
    ] {
        assert_eq!(visitor.fetch(path).await.status, 400, "{path}");
    }
    let page = visitor.get("//reports/x").await;
    assert_eq!(page.status, 400, "a page for people, too: {page:?}");
    assert_eq!(town.reached(), before);
    for (path, reached) in [
        ("/reports", [0, 0, 1]),
        ("/reports/", [0, 0, 2]),
        ("/reports/a%2Fb;c/D", [0, 0, 3]),
        ("/reportsx", [1, 0, 3]),
        ("/x/reports/y", [2, 0, 3]),
    ] {
        assert_eq!(visitor.fetch(path).await.status, 200, "{path}");
        assert_eq!(town.reached(), reached, "{path}");
    }
    assert_eq!(town.reports.last().target, "/reports/a%2Fb;c/D", "as it was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_site_has_rules_of_its_own() {
    let town = Town::open().await;
    let person = town.house.welcome("101").await;
    let (main, wiki) = (
        town.signed_in(IN, &person).await,
        town.signed_in(WIKI_IN, &person).await,
    );
    main.fetch("/reserved/x").await.is_problem(403, "forbidden");
    assert_eq!(wiki.fetch("/reserved/x").await.status, 200);
    wiki.fetch("/edit/x").await.is_problem(403, "forbidden");
    assert_eq!(main.fetch("/edit/x").await.status, 200);
    let (stranger, elsewhere) = (town.at(IN), town.at(WIKI_IN));
    assert_eq!(stranger.fetch("/assets/app.js").await.status, 200);
    assert_eq!(stranger.fetch("/reports/public/x").await.status, 200);
    for visitor in [&elsewhere, &stranger] {
        for path in ["/public/x", "/reports/assets/app.js"] {
            visitor.fetch(path).await.is_problem(401, "sign-in-required");
        }
    }
    elsewhere
        .fetch("/assets/app.js")
        .await
        .is_problem(401, "sign-in-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_once_for_each_host_and_come_back_to_where_they_were() {
    let town = Town::open().await;
    let person = town.house.welcome("101").await;
    let main = town.signed_in(IN, &person).await;
    let wiki = town.at(WIKI_IN);
    wiki.fetch("/x").await.is_problem(401, "sign-in-required");
    assert_eq!(wiki.get("/a?b").await.location(), "/login?return_to=%2Fa%3Fb");
    assert_eq!(
        town.at(IN).get("/reports/a").await.location(),
        "/login?return_to=%2Freports%2Fa"
    );
    let signed_in = wiki
        .post_form("/login?return_to=%2Fa%3Fb", &[("login", "101"), ("password", PASSWORD)])
        .await;
    assert_eq!(signed_in.location(), "/a?b");
    assert!(wiki.passes().await);
    // One browser's sign-out leaves the other host's session alone, a new password none.
    assert!(wiki.post_json("/logout", &json!({})).await.is_done());
    assert!(!wiki.passes().await);
    assert!(main.passes().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_site_speaks_for_another() {
    let town = Town::open().await;
    let person = town.house.welcome("101").await;
    let (main, wiki) = (
        town.signed_in(IN, &person).await,
        town.signed_in(WIKI_IN, &person).await,
    );
    let before = town.reached();
    for (visitor, origin) in [
        (&wiki, "https://in.test"),
        (&wiki, "https://out.test"),
        (&main, "https://wiki.in.test"),
        (&main, "https://wiki.test"),
    ] {
        let refused = visitor.websocket_from("/ws", origin).await;
        let status = match &refused {
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => answer.status().as_u16(),
            _ => 0,
        };
        assert_eq!(status, 403, "{origin}: {refused:?}");
        let posted = visitor
            .script(Method::POST, "/logout")
            .without("origin")
            .without("sec-fetch-site")
            .header("origin", origin)
            .json(&json!({}))
            .send()
            .await;
        posted.is_problem(403, "foreign-origin");
    }
    assert_eq!(town.reached(), before);
    for (visitor, origin) in [(&wiki, "https://wiki.test"), (&main, "https://in.test")] {
        assert!(visitor.websocket_from("/ws", origin).await.is_ok(), "{origin}");
    }
    // Nor does its web client set the gateway's cookies.
    let answer = wiki.fetch("/set-cookie").await;
    assert!(
        answer.cookie(SESSION).is_none() && answer.cookie("theirs").is_some(),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_no_site_is_misdirected() {
    let town = Town::open().await;
    let visitor = town.at(IN);
    for host in ["other.test", "wiki.test:8443", "test", "wiki.test.", "127.0.0.1"] {
        let answer = visitor
            .script(Method::GET, "/assets/x")
            .header("host", host)
            .send()
            .await;
        assert_eq!(answer.status, 421, "{host}: {answer:?}");
    }
    let answer = visitor
        .script(Method::GET, "/assets/x")
        .header("host", "IN.test")
        .send()
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(town.reached(), [1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_may_be_named_with_the_port_that_it_has_anyway() {
    let town = Town::open().await;
    let visitor = town.at(IN);
    let asking = visitor.script(Method::GET, "/assets/x").header("host", "In.test:443");
    let answer = asking.send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = town.house.upstream.last();
    assert_eq!(received.header("host"), Some("In.test"));
    assert_eq!(received.header("x-forwarded-host"), Some("In.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_lead_to_the_site_where_they_were_asked_for() {
    let town = Town::open().await;
    let person = town.house.welcome("101").await;
    let wiki = town.at(WIKI_OUT);
    // What the request says of hosts beside its own changes nothing.
    let asked = wiki
        .script(Method::POST, "/forgot-password")
        .header("x-forwarded-host", "evil.test")
        .json(&json!({ "email": person.email }))
        .send()
        .await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let links = town.house.mailbox.next(&person.email).await.links();
    let starts = [WIKI_IN, WIKI_OUT].map(|host| format!("https://{host}/set-password?ticket="));
    assert_eq!(links.len(), 2, "{links:?}");
    for start in &starts {
        assert!(links.iter().any(|link| link.starts_with(start)), "{links:?}");
    }
    let link = links.iter().find(|link| link.starts_with(&starts[1])).unwrap();
    let set: Answer = wiki.set_password(link, "three quiet rivers under snow 4").await;
    assert!(set.is_done(), "{set:?}");
    let notice = town.house.mailbox.next(&person.email).await;
    assert!(notice.links().iter().all(|link| !link.contains("wiki")), "{notice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_the_commands_name_the_site() {
    let town = Town::open().await;
    let person = town.house.welcome("101").await;
    let visitor = town.signed_in(IN, &person).await;
    visitor.fetch("/reports/logged").await;
    eventually("the access line", async || {
        let lines = town.house.gateway.printed();
        let line = lines.lines().find(|line| line.contains("/reports/logged"))?;
        line.contains("\"site\":\"reports\"").then_some(())
    })
    .await;
    let gateway = &town.house.gateway;
    let explained: Value = gateway
        .cli_json(&["explain", "--url", "https://wiki.test/edit/x", "--as", "101", "--json"])
        .await;
    assert_eq!(
        (&explained["site"], &explained["verdict"]),
        (&json!("wiki"), &json!("refused"))
    );
    let checked = gateway.cli(&["config", "check"]).await.succeeded();
    for word in ["main", "https://wiki.in.test/", "https://out.test/reports", "the-wiki"] {
        assert!(checked.contains(word), "{checked}");
    }
    let shown = gateway.cli(&["config", "show"]).await.succeeded();
    assert!(shown.contains("[sites.reports.upstream]"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_that_contradict_each_other_are_refused_all_at_once() {
    let more = r#"
        [sites.again]
        path = "/reports"
        upstream.url = "http://127.0.0.1:1"
        [sites.pages]
        path = "/login"
        upstream.url = "http://127.0.0.1:1"
        assertion.audience = "the-wiki"
        [sites.lost]
        path = "/lost"
        doors.in_office = "https://lost.test"
        upstream.url = "http://127.0.0.1:1"
        [sites.Bad]
        [sites.bare]
        path = "/bare"
    "#;
    let town = Town::closed(more).await;
    let checked = town.house.gateway.cli(&["config", "check"]).await;
    assert_eq!(checked.code, Some(1));
    for (key, why) in [
        ("sites.reports.path", "is the site again as well"),
        ("sites.pages.path", "would cover /login"),
        (
            "sites.wiki.assertion.audience",
            "is the audience of the site pages as well",
        ),
        ("sites.lost.path", "https://lost.test belongs to no site"),
        ("sites.Bad", "lower-case letters"),
        ("sites.bare.upstream.url", "it is missing"),
    ] {
        let told = checked.err.lines().find(|line| line.contains(&format!(" {key}: ")));
        assert!(told.is_some_and(|line| line.contains(why)), "{key}: {checked:?}");
    }
    assert_eq!(checked.err.lines().count(), 6, "{checked:?}");
}
