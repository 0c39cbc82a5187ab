//! What the gateway says about itself: never a password, token, cookie or query string, whatever happens.

use serde_json::json;

use crate::harness::{House, OTHER_PASSWORD, PASSWORD, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_ever_printed_or_stored() {
    let house = House::with("[log]\nlevel = \"trace\"").await;
    let mut secrets = vec![
        PASSWORD.to_owned(),
        OTHER_PASSWORD.to_owned(),
        "correct+horse".to_owned(),
        "correct%20horse".to_owned(),
    ];
    let email = house.invite("101", &[]).await;
    let welcome = house.mailbox.next_links(&email).await;
    secrets.push(welcome.ticket().to_owned());
    let visitor = house.visitor();
    assert!(visitor.set_password(&welcome.in_office, PASSWORD).await.is_done());
    secrets.extend(visitor.cookie_values());

    let wrong = "a wrong guess with words 17";
    secrets.push(wrong.to_owned());
    visitor.sign_in("101", wrong).await;
    visitor
        .post_json("/login", &json!({"login": "101", "password": wrong}))
        .await;
    // People type their password into the wrong field.
    let slip = "slipped into the name field 8";
    secrets.push(slip.to_owned());
    visitor.sign_in(slip, "x").await;
    visitor.post_json("/forgot-password", &json!({"email": slip})).await;
    assert!(visitor.sign_in("101", PASSWORD).await.is_done());
    secrets.push(visitor.session());
    assert!(visitor.passes().await);
    secrets.push(house.upstream.last().assertion().to_owned());

    let query = "q=query-string-that-nobody-logs";
    secrets.push("query-string-that-nobody-logs".to_owned());
    secrets.push("secret-in-referer".to_owned());
    visitor.fetch(&format!("/x?{query}")).await;
    visitor.get(&format!("/login?{query}")).await;
    visitor.fetch(&format!("/a/../b?{query}")).await;
    house.visitor().get(&format!("/x?{query}")).await;
    visitor
        .script(http::Method::GET, "/x")
        .header("referer", "https://in.test/x?secret-in-referer")
        .header("authorization", "Bearer secret-in-referer")
        .header("x-sekisho-assertion", "secret-in-referer")
        .send()
        .await;
    house.visitor().get(&welcome.in_office).await;

    visitor.post_json("/forgot-password", &json!({"email": email})).await;
    let reset = house.mailbox.next_links(&email).await;
    secrets.push(reset.ticket().to_owned());
    let other = house.visitor();
    assert!(
        other
            .set_password(&reset.out_of_office.replace("out.test", "in.test"), OTHER_PASSWORD)
            .await
            .is_done()
    );
    secrets.extend(other.cookie_values());
    house.mailbox.next(&email).await;

    house.upstream.stop();
    assert!(other.sign_in("101", OTHER_PASSWORD).await.is_done());
    secrets.push(other.session());
    eventually("the upstream to be gone", async || {
        (other.fetch(&format!("/x?{query}")).await.status == 502).then_some(())
    })
    .await;
    let mut raw = other.raw().await;
    raw.say(format!(
        "GET /x?{query} HTTP/1.1\r\nHost: in.test\r\nCookie: __Host-sekisho={}\r\nX : y\r\n\r\n",
        other.session()
    ))
    .await;
    raw.hear().await;
    for args in [
        ["account", "list"],
        ["session", "list"],
        ["event", "list"],
        ["mail", "list"],
        ["key", "list"],
        ["config", "show"],
    ] {
        house.gateway.cli(&args).await.succeeded();
    }
    for name in ["pepper", "sealing.key"] {
        let secret = std::fs::read(house.gateway.home().join("secrets").join(name)).unwrap();
        let secret = String::from_utf8_lossy(&secret).trim().to_owned();
        assert!(secret.len() >= 16, "{name}");
        secrets.push(secret);
    }
    assert!(house.gateway.stop().await.success());

    are_nowhere(&house, &secrets);
}

/// None of these was ever printed, and none is in any file of the store.
fn are_nowhere(house: &House, secrets: &[String]) {
    let (printed, stored) = (house.gateway.printed(), house.gateway.stored());
    assert!(printed.contains("\"path\":\"/x\""), "the log is there: {printed}");
    assert!(stored.iter().any(|(_, bytes)| !bytes.is_empty()), "the store is there");
    for secret in secrets {
        assert!(
            secret.len() >= 8 || secret == "en" || secret == "ja",
            "{secret:?} could be anywhere"
        );
        if secret.len() < 8 {
            continue;
        }
        if let Some(at) = printed.find(secret.as_str()) {
            let line = printed[..at].rfind('\n').map_or(0, |start| start + 1);
            panic!("{secret:?} was printed: {}", printed[line..].lines().next().unwrap());
        }
        for (file, bytes) in &stored {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret:?} is in {}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_one_json_object_a_line_and_nobody_can_forge_one() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    for (name, value) in [
        ("user-agent", "x\\n{\"level\":\"ERROR\",\"fields\":{}} \u{9b}31m"),
        ("x-forwarded-for", "127.0.0.1\\n forged"),
        ("referer", "\" , \"forged\":\"1"),
    ] {
        visitor.script(http::Method::GET, "/x").header(name, value).send().await;
    }
    visitor.fetch("/%22%2C%22forged%22%3A%22x").await;
    visitor.sign_in("\"forged\":\"name\"\n\r\u{1b}[31m", "x").await;
    house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
    assert!(house.gateway.stop().await.success());
    let printed = house.gateway.printed();
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with('{')).collect();
    assert!(lines.len() > 5, "{printed}");
    for line in &lines {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object.get("forged").is_none(), "{line}");
        assert!(object["timestamp"].is_string() && object["level"].is_string(), "{line}");
    }
    let access = lines.iter().filter(|line| line.contains("sekisho::access")).count();
    assert!(access >= 5, "one line a request: {printed}");
    assert!(!printed.contains('\u{1b}'), "no escape sequences");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_an_id_that_upstream_and_log_agree_on() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let forged = visitor
        .script(http::Method::GET, "/x")
        .header("x-request-id", "chosen-by-client")
        .send()
        .await;
    assert_eq!(forged.status, 200);
    let id = house.upstream.last().header("x-request-id").unwrap().to_owned();
    assert_ne!(id, "chosen-by-client");
    eventually("the access line", async || {
        let printed = house.gateway.printed();
        printed
            .lines()
            .any(|line| line.contains("sekisho::access") && line.contains(&id))
            .then_some(())
    })
    .await;
    let refused = house.visitor().fetch("/x").await;
    let id = refused.json()["request_id"].as_str().unwrap().to_owned();
    eventually("the access line", async || {
        house.gateway.printed().contains(&id).then_some(())
    })
    .await;
}
