//! Letters about an account, how they can be looked at beforehand, and a theme that says them differently.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{House, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_told_to_both_and_old_links_end() {
    let house = House::open().await;
    let old = house.invite("101", &[]).await;
    let links = house.mailbox.next_links(&old).await;
    let out = house
        .gateway
        .cli(&["account", "change", "101", "--email", "new@example.com"])
        .await
        .succeeded();
    assert!(
        out.contains("email. A notice is on its way to p101@example.com and new@example.com."),
        "{out}"
    );
    let former = house.mailbox.next(&old).await;
    assert!(
        former.text.clone().unwrap().contains("this is the last one"),
        "{:?}",
        former.text
    );
    let current = eventually("a letter to the new address", async || {
        house.mailbox.letters_to("new@example.com").pop()
    })
    .await;
    assert!(
        current.text.clone().unwrap().contains("from now on"),
        "{:?}",
        current.text
    );
    let page = house.visitor().follow(&links.in_office).await;
    assert_eq!(page.status, 410, "the link to the old address is dead: {page:?}");
    let again = house
        .gateway
        .cli(&["account", "change", "101", "--email", "new@example.com"])
        .await
        .succeeded();
    assert!(again.contains("nothing was changed"), "{again}");
    house.event("account.changed", Some("email")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_addresses_hear_of_a_change_though_the_account_is_disabled_or_removed_before_any_letter_leaves() {
    let house = House::open().await;
    let disabled = house.welcome("101").await.email;
    let removed = house.welcome("102").await.email;
    house.gateway.stop().await;
    for args in [
        &["account", "change", "101", "--email", "new@example.com"][..],
        &["account", "disable", "101"],
        &["account", "change", "102", "--email", "other@example.com"],
        &["account", "remove", "102", "--yes"],
    ] {
        house.gateway.cli(args).await.succeeded();
    }
    house.gateway.start().await;
    for (address, extension) in [
        (disabled.as_str(), "101"),
        ("new@example.com", "101"),
        (removed.as_str(), "102"),
        ("other@example.com", "102"),
    ] {
        let text = eventually(&format!("a notice to {address}"), async || {
            let texts = house
                .mailbox
                .letters_to(address)
                .into_iter()
                .map(|letter| letter.text.clone());
            texts.flatten().find(|text| text.contains("The e-mail address of your"))
        })
        .await;
        assert!(!text.contains("https://"), "no way to a closed sign-in: {text}");
        assert!(
            text.lines()
                .any(|line| line.trim_start().starts_with("Extension:") && line.ends_with(extension)),
            "{text}"
        );
        let last = text.contains("this is the last one");
        assert_eq!(last, address != "new@example.com", "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_changed_and_the_last_administrator_stays_one() {
    let house = House::open().await;
    let boss = house.welcome_with("100", &["--role", "admin"]).await;
    let visitor = house.signed_in(&boss).await;
    let refused = house
        .gateway
        .cli(&["account", "change", "100", "--role", "user"])
        .await
        .failed();
    assert!(refused.contains("only administrator"), "{refused}");
    let changed: Value = house
        .gateway
        .cli_json(&[
            "account",
            "change",
            "100",
            "--name",
            "鈴木 一郎",
            "--language",
            "ja",
            "--group",
            "it",
            "--json",
        ])
        .await;
    assert_eq!(
        (
            &changed["name"],
            &changed["language"],
            &changed["groups"],
            &changed["role"]
        ),
        (&json!("鈴木 一郎"), &json!("ja"), &json!(["it"]), &json!("admin"))
    );
    assert!(visitor.passes().await, "the session lives on");
    let nothing = house.gateway.cli(&["account", "change", "100"]).await.failed();
    assert!(nothing.contains("--name"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_can_be_looked_at_and_its_links_say_that_they_are_none() {
    let house = House::closed("").await;
    for kind in [
        "welcome",
        "reset",
        "password-changed",
        "new-device",
        "email-changed",
        "account-unlocked",
        "browser-unlock",
    ] {
        for lang in ["en", "ja"] {
            let text = house
                .gateway
                .cli(&["mail", "preview", "--kind", kind, "--lang", lang])
                .await
                .succeeded();
            assert!(
                text.starts_with("Subject: ") && text.contains("https://in.test/"),
                "{text}"
            );
            let html = house
                .gateway
                .cli(&["mail", "preview", "--kind", kind, "--lang", lang, "--html"])
                .await
                .succeeded();
            assert!(html.starts_with("<!doctype html>") && html.contains(&format!("<html lang=\"{lang}\">")));
            let link = html.contains("THIS-IS-A-PREVIEW--THE-LINK-DOES-NOT-WORK");
            assert_eq!(link, matches!(kind, "welcome" | "reset" | "browser-unlock"), "{kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theme_speaks_differently_and_a_broken_one_is_refused_by_line() {
    let house = House::closed("").await;
    let theme = house.gateway.home().join("theme");
    fs::create_dir_all(theme.join("text")).unwrap();
    fs::create_dir_all(theme.join("assets")).unwrap();
    fs::create_dir_all(theme.join("letters")).unwrap();
    fs::write(theme.join("text/en.ftl"), "login-title = Come in, please\n").unwrap();
    fs::write(theme.join("assets/extra.css"), "h1 { color: teal; }\n").unwrap();
    let letter = "Subject: Moin { }\n\n{{ in_office }}\n{{ out_of_office }}\n".replace("{ }", "{{ name }}");
    fs::write(theme.join("letters/welcome.en.txt"), letter).unwrap();
    house
        .gateway
        .configure(&format!("[branding]\ntheme = {:?}", theme.display().to_string()));
    house.gateway.cli(&["config", "check"]).await.succeeded();
    house.gateway.start().await;
    let page = house.visitor().get("/login").await.text();
    assert!(page.contains("<h1>Come in, please</h1>"), "{page}");
    let style = house.visitor().fetch("/.sekisho/assets/style.css").await.text();
    assert!(style.contains("color: teal"));
    let email = house.invite("101", &["--language", "en"]).await;
    assert_eq!(house.mailbox.next(&email).await.subject, "Moin Person 101");

    house.gateway.stop().await;
    fs::write(theme.join("text/en.ftl"), "login-titel = x\n").unwrap();
    fs::write(theme.join("letters/welcome.en.txt"), "Subject: x\n\n{{ nonsense }}\n").unwrap();
    let checked = house.gateway.cli(&["config", "check"]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    for words in [
        "there is no message login-titel",
        "letters/welcome.en.txt: line 3: there is no nonsense here",
    ] {
        assert!(checked.err.contains(words), "{words}: {}", checked.err);
    }
    let refused = house.gateway.cli(&["serve"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("branding.theme: text/en.ftl"), "{}", refused.err);
}
