//! The command line: every command, beside a running server and without one, on the same store.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use crate::harness::gateway::NOTICED;
use crate::harness::{House, PASSWORD, within};

/// Whether a text is a point in time as RFC 3339 writes it, in UTC.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_added_listed_and_shown_while_the_server_runs_and_when_it_does_not() {
    let house = House::closed("").await;
    let gateway = &house.gateway;
    let first: Value = gateway
        .cli_json(&[
            "account",
            "add",
            "101",
            "--name",
            "田中 由紀",
            "--email",
            "yuki@example.com",
            "--language",
            "ja",
            "--role",
            "admin",
            "--group",
            "sales",
            "--group",
            "営業",
            "--json",
        ])
        .await;
    assert_eq!(first["extension"], "101", "{first}");
    gateway.start().await;
    gateway
        .cli(&["account", "add", "１０２", "--name", "Bob"])
        .await
        .succeeded();

    let listed: Vec<Value> = gateway.cli_json(&["account", "list", "--json"]).await;
    assert_eq!(listed.len(), 2);
    let wanted = [
        "created_at",
        "email",
        "extension",
        "groups",
        "id",
        "language",
        "last_sign_in_at",
        "name",
        "needs_new_password",
        "password_set_at",
        "role",
        "state",
    ];
    for account in &listed {
        assert_eq!(keys(account), wanted, "{account}");
        assert!(is_time(&account["created_at"]), "{account}");
        assert_eq!(account["state"], "invited");
        assert!(account["password_set_at"].is_null() && account["last_sign_in_at"].is_null());
    }
    assert_eq!(listed[0]["name"], "田中 由紀");
    assert_eq!(listed[0]["groups"], serde_json::json!(["sales", "営業"]));
    assert_eq!(
        (&listed[0]["role"], &listed[0]["language"]),
        (&"admin".into(), &"ja".into())
    );
    assert_eq!(listed[1]["extension"], "102", "full-width digits are the same number");
    assert!(listed[1]["email"].is_null());

    let table = gateway.cli(&["account", "list"]).await.succeeded();
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("101") || line.contains("102"))
        .collect();
    assert_eq!(rows.len(), 2, "{table}");
    let column = |row: &str, word: &str| -> usize {
        let at = row.find(word).unwrap_or_else(|| panic!("{word} in {row}"));
        row[..at]
            .chars()
            .map(|c| if u32::from(c) >= 0x2e80 { 2 } else { 1 })
            .sum()
    };
    assert_eq!(
        column(rows[0], "invited"),
        column(rows[1], "invited"),
        "kanji are two columns wide:\n{table}"
    );
    assert!(!table.contains('\u{1b}'), "no colours where nobody looks");

    let mut shown: Value = gateway.cli_json(&["account", "show", "102", "--json"]).await;
    let links = shown.as_object_mut().unwrap().remove("links");
    let ban = shown.as_object_mut().unwrap().remove("ban");
    assert_eq!(ban, Some(Value::Null), "nobody has banned anybody");
    assert_eq!(
        links,
        Some(Value::Array(Vec::new())),
        "nothing was mailed to anybody without an address"
    );
    assert_eq!(shown, listed[1]);
    let shown = gateway.cli(&["account", "show", "101"]).await.succeeded();
    assert!(
        shown.contains("田中 由紀") && shown.contains("yuki@example.com"),
        "{shown}"
    );
    house.mailbox.next_links("yuki@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_one_clear_line_and_changes_nothing() {
    let house = House::closed("").await;
    let gateway = &house.gateway;
    gateway
        .cli(&["account", "add", "101", "--name", "A", "--email", "a@example.com"])
        .await
        .succeeded();
    for (args, says) in [
        (vec!["account", "add", "101", "--name", "B"], "101"),
        (vec!["account", "add", "1/2", "--name", "B"], "extension"),
        (vec!["account", "add", "103", "--name", ""], "name"),
        (
            vec![
                "account",
                "add",
                "103",
                "--name",
                "B",
                "--email",
                "a@example.com,b@example.com",
            ],
            "e-mail",
        ),
        (vec!["account", "show", "999"], "999"),
        (vec!["account", "disable", "999"], "999"),
        (vec!["account", "enable", "999"], "999"),
        (vec!["account", "remove", "999", "--yes"], "999"),
        (vec!["account", "welcome", "999"], "999"),
        (
            vec!["session", "end", "00000000-0000-7000-8000-000000000000"],
            "session",
        ),
    ] {
        let said = gateway.cli(&args).await.failed();
        assert!(said.to_lowercase().contains(says), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("Error {"), "{said}");
    }
    for args in [
        vec!["account"],
        vec!["account", "add", "103"],
        vec!["account", "add", "103", "--name", "B", "--password", "x"],
        vec!["account", "add", "103", "--name", "B", "--role", "king"],
        vec!["account", "add", "103", "--name", "B", "--language", "xx"],
        vec!["session", "end"],
        vec!["session", "end", "nonsense"],
        vec!["nothing"],
    ] {
        let ran = gateway.cli(&args).await;
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
    }
    let listed: Vec<Value> = gateway.cli_json(&["account", "list", "--json"]).await;
    assert_eq!(listed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_stops_within_a_second_and_comes_back_without_its_sessions() {
    let house = House::open().await;
    let (person, other) = (house.welcome("101").await, house.welcome("102").await);
    let (visitor, bystander) = (house.signed_in(&person).await, house.signed_in(&other).await);
    assert!(visitor.passes().await);
    let disabled = house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
    assert!(disabled.contains("101"), "{disabled}");
    within(NOTICED, "the requests of a disabled account to stop", async || {
        (!visitor.passes().await).then_some(())
    })
    .await;
    assert_eq!(visitor.sign_in("101", PASSWORD).await.status, 401);
    assert!(bystander.passes().await);
    let shown: Value = house.gateway.cli_json(&["account", "show", "101", "--json"]).await;
    assert_eq!(shown["state"], "disabled");

    house.gateway.cli(&["account", "enable", "101"]).await.succeeded();
    assert!(!visitor.passes().await, "the old session stays dead");
    assert!(
        house.visitor().sign_in("101", PASSWORD).await.is_done(),
        "the password still works"
    );
    house.event("account.disabled", None).await;
    house.event("account.enabled", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_account_is_gone_and_a_new_one_with_its_number_is_somebody_else() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let before: Value = house.gateway.cli_json(&["account", "show", "101", "--json"]).await;
    let unsure = house.gateway.cli(&["account", "remove", "101"]).await;
    assert_ne!(
        unsure.code,
        Some(0),
        "without --yes and without anybody to ask: {unsure:?}"
    );
    assert!(visitor.passes().await);
    house
        .gateway
        .cli(&["account", "remove", "101", "--yes"])
        .await
        .succeeded();
    within(NOTICED, "the requests of a removed account to stop", async || {
        (!visitor.passes().await).then_some(())
    })
    .await;
    assert_eq!(house.visitor().sign_in("101", PASSWORD).await.status, 401);
    let again = house.welcome("101").await;
    let after: Value = house.gateway.cli_json(&["account", "show", "101", "--json"]).await;
    assert_ne!(before["id"], after["id"]);
    assert!(!visitor.passes().await, "and inherits no session");
    assert!(house.signed_in(&again).await.passes().await);
    house.event("account.removed", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_stays() {
    let house = House::open().await;
    house.welcome_with("101", &["--role", "admin"]).await;
    house.welcome("102").await;
    let said = house.gateway.cli(&["account", "disable", "101"]).await.failed();
    assert!(said.contains("administrator"), "{said}");
    house.gateway.cli(&["account", "remove", "101", "--yes"]).await.failed();
    house.welcome_with("103", &["--role", "admin"]).await;
    house.gateway.cli(&["account", "disable", "101"]).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_one_by_one_or_by_account() {
    let house = House::open().await;
    let (person, other) = (house.welcome("101").await, house.welcome("102").await);
    let (one, two, third) = (
        house.signed_in(&person).await,
        house.signed_in(&person).await,
        house.signed_in(&other).await,
    );
    let listed: Vec<Value> = house.gateway.cli_json(&["session", "list", "--json"]).await;
    assert_eq!(listed.len(), 3, "{listed:#?}");
    let wanted = [
        "client",
        "created_at",
        "extension",
        "id",
        "last_seen_at",
        "name",
        "state",
        "user_agent",
    ];
    for session in &listed {
        assert_eq!(keys(session), wanted, "{session}");
        assert!(is_time(&session["created_at"]) && is_time(&session["last_seen_at"]));
        assert_eq!(
            (&session["client"], &session["state"]),
            (&"127.0.0.1".into(), &"live".into())
        );
    }
    let of_one: Vec<Value> = house
        .gateway
        .cli_json(&["session", "list", "--account", "101", "--json"])
        .await;
    assert_eq!(of_one.len(), 2);
    let table = house.gateway.cli(&["session", "list"]).await.succeeded();
    assert!(table.contains("127.0.0.1") && table.contains("102"), "{table}");

    one.fetch("/x").await;
    let claims = house.upstream.last().assertion().split('.').nth(1).unwrap().to_owned();
    let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).unwrap();
    let sid = serde_json::from_slice::<Value>(&claims).unwrap()["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    house.gateway.cli(&["session", "end", &sid]).await.succeeded();
    within(NOTICED, "the ended session to stop", async || {
        (!one.passes().await).then_some(())
    })
    .await;
    assert!(two.passes().await && third.passes().await);
    house
        .gateway
        .cli(&["session", "end", "--account", "101"])
        .await
        .succeeded();
    within(NOTICED, "the account's sessions to stop", async || {
        (!two.passes().await).then_some(())
    })
    .await;
    assert!(third.passes().await);
    house.event("session.ended", None).await;
    assert!(
        house.visitor().sign_in("101", PASSWORD).await.is_done(),
        "and may sign in again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_and_rotated_whether_the_server_runs_or_not() {
    let house = House::open().await;
    let listed = async || -> Vec<Value> { house.gateway.cli_json(&["key", "list", "--json"]).await };
    let first = listed().await;
    assert_eq!(first.len(), 1, "made on first start");
    assert_eq!(
        keys(&first[0]),
        ["algorithm", "created_at", "current", "kid", "retired_at"]
    );
    assert_eq!(
        (&first[0]["algorithm"], &first[0]["current"]),
        (&"ES256".into(), &true.into())
    );
    house.gateway.cli(&["key", "rotate"]).await.succeeded();
    let second = listed().await;
    assert_eq!(second.len(), 2);
    let current: Vec<&Value> = second.iter().filter(|key| key["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_ne!(current[0]["kid"], first[0]["kid"]);
    let retired = second.iter().find(|key| key["current"] == false).unwrap();
    assert!(is_time(&retired["retired_at"]), "{retired}");
    house.gateway.stop().await;
    house.gateway.cli(&["key", "rotate"]).await.succeeded();
    assert_eq!(listed().await.len(), 3);
    let table = house.gateway.cli(&["key", "list"]).await.succeeded();
    assert!(table.contains(current[0]["kid"].as_str().unwrap()), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_letters_are_listed() {
    let house = House::open().await;
    house.welcome("101").await;
    house.visitor().sign_in("101", "wrong").await;
    let events = house.events().await;
    assert_eq!(
        keys(&events[0]),
        ["account", "actor", "at", "client", "detail", "extension", "name"],
        "{}",
        events[0]
    );
    assert_eq!(events[0]["name"], "sign-in.refused", "newest first: {events:#?}");
    assert_eq!(
        (&events[0]["actor"], &events[0]["client"]),
        (&"stranger".into(), &"127.0.0.1".into())
    );
    let created = events.iter().find(|event| event["name"] == "account.created").unwrap();
    assert_eq!(
        (&created["actor"], &created["extension"]),
        (&"operator".into(), &"101".into())
    );
    let few: Vec<Value> = house
        .gateway
        .cli_json(&["event", "list", "--most", "2", "--json"])
        .await;
    assert_eq!(few.len(), 2);
    let none: Vec<Value> = house
        .gateway
        .cli_json(&["event", "list", "--account", "101", "--json"])
        .await;
    assert!(none.iter().all(|event| event["extension"] == "101") && !none.is_empty());
    let table = house.gateway.cli(&["event", "list"]).await.succeeded();
    assert!(table.contains("account.created"), "{table}");

    let letters: Vec<Value> = house.gateway.cli_json(&["mail", "list", "--json"]).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(
        keys(&letters[0]),
        [
            "attempts",
            "bounce",
            "created_at",
            "id",
            "matter",
            "sent_to",
            "status",
            "words"
        ]
    );
    assert_eq!(
        (&letters[0]["matter"], &letters[0]["status"]),
        (&"welcome".into(), &"delivered".into())
    );
    assert!(is_time(&letters[0]["created_at"]));
    let table = house.gateway.cli(&["mail", "list"]).await.succeeded();
    assert!(table.contains("delivered"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_healthcheck_says_whether_the_gateway_works() {
    let house = House::open().await;
    // The port in the config is what the healthcheck goes by.
    let address = *house.gateway.address().lock();
    house.gateway.configure(&format!("[server]\nlisten = [\"{address}\"]"));
    house.gateway.cli(&["healthcheck"]).await.succeeded();
    let live = house.visitor().fetch("/.sekisho/health/live").await;
    let ready = house.visitor().fetch("/.sekisho/health/ready").await;
    assert_eq!((live.status, ready.status), (200, 200), "{ready:?}");
    assert_eq!(house.upstream.count(), 0, "health is the gateway's own");
    house.gateway.stop().await;
    let said = house.gateway.cli(&["healthcheck"]).await.failed();
    assert!(said.contains(&address.to_string()), "it says where it asked: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_store_is_refused() {
    let house = House::open().await;
    let ran = house.gateway.cli(&["serve"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains("another server") && ran.err.contains("store"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("ready"));
    assert_eq!(house.visitor().get("/login").await.status, 200, "the first goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let house = House::open().await;
    let address = *house.gateway.address().lock();
    let second = House::closed(&format!("[server]\nlisten = [\"{address}\"]")).await;
    let ran = second.gateway.cli(&["serve"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.contains(&address.to_string()) && ran.err.contains("server.listen"),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_orderly_and_finishes_what_is_under_way() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let (sender, pieces) = tokio::sync::mpsc::channel(1);
    let upload = tokio::spawn(async move {
        let answer = visitor
            .script(http::Method::POST, "/upload")
            .stream(pieces)
            .send()
            .await;
        (answer.status, answer.json()["bytes"].clone())
    });
    sender.send(bytes::Bytes::from_static(b"first")).await.unwrap();
    crate::harness::eventually("the upload to reach the upstream", async || {
        house
            .upstream
            .received()
            .iter()
            .any(|request| request.target == "/upload")
            .then_some(())
    })
    .await;
    house.gateway.configure("[server]\ndrain_timeout = \"20s\"");
    house.gateway.signal("TERM");
    crate::harness::eventually("new connections to be refused", async || {
        house.visitor().connect(&[b"http/1.1"]).await.is_err().then_some(())
    })
    .await;
    sender.send(bytes::Bytes::from_static(b"last")).await.unwrap();
    drop(sender);
    assert_eq!(upload.await.unwrap(), (200, 9.into()));
    let status = crate::harness::eventually("the server to stop", async || house.gateway.ended()).await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_writes_is_private() {
    let house = House::open().await;
    house.welcome("101").await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for directory in ["store", "secrets"] {
        let directory = house.gateway.home().join(directory);
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        let mut found = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            found += 1;
        }
        assert!(found >= 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_man_pages_are_made() {
    let house = House::closed("").await;
    for shell in ["bash", "zsh", "fish"] {
        let script = house.gateway.cli(&["completions", shell]).await.succeeded();
        assert!(script.contains("sekisho") && script.contains("account"), "{shell}");
    }
    let directory = house.gateway.home().join("man");
    house
        .gateway
        .cli(&["man", directory.to_str().unwrap()])
        .await
        .succeeded();
    let page = std::fs::read_to_string(directory.join("sekisho.1")).unwrap();
    assert!(page.contains("sekisho"), "{page}");
    let help = house.gateway.cli(&["--help"]).await.succeeded();
    for command in ["serve", "config", "healthcheck", "account", "session", "key", "demo"] {
        assert!(help.contains(command), "{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_config_may_be_named_before_the_command_after_it_or_by_the_environment() {
    let house = House::closed("").await;
    let config = house.gateway.config();
    for (args, environment) in [
        (vec!["--config", config.to_str().unwrap(), "account", "list"], None),
        (vec!["account", "--config", config.to_str().unwrap(), "list"], None),
        (vec!["account", "list", "--config", config.to_str().unwrap()], None),
        (vec!["account", "list"], Some(config.to_str().unwrap())),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command.args(&args).env_clear().stdout(Stdio::piped());
        if let Some(path) = environment {
            command.env("SEKISHO_CONFIG", path);
        }
        house.gateway.run(command).await.succeeded();
    }
}
