//! Attacks: failures are seen for what they are, what gets in is shouted and closed, and an office morning is none.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::{Answer, House, OTHER_PASSWORD, PASSWORD, eventually};

/// The gateway believes whom the tests say they are.
const PROXIED: &str = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n";

/// Tries a password from this address, in a browser that nobody knows.
async fn attempt(house: &House, from: &str, login: &str, password: &str) -> Answer {
    let visitor = house.visitor().always("x-forwarded-for", from);
    let body = json!({"login": login, "password": password});
    visitor.post_json("/login", &body).await
}

/// One password at ten names that do not exist.
async fn spray(house: &House, password: &str) {
    for n in 0..10 {
        let from = format!("203.0.113.{}", n % 3 + 1);
        let answer = attempt(house, &from, &format!("90{n}"), password).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
}

async fn campaigns(house: &House) -> Vec<Value> {
    house.gateway.cli_json(&["limits", "campaigns", "--json"]).await
}

async fn look(house: &House) -> Value {
    house.gateway.cli_json(&["limits", "watch", "--once", "--json"]).await
}

async fn account(house: &House, extension: &str) -> Value {
    house.gateway.cli_json(&["account", "show", extension, "--json"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spray_begins_a_campaign_and_a_success_inside_is_told_to_the_administrators() {
    let house = House::with(PROXIED).await;
    house.welcome_with("100", &["--role", "admin"]).await;
    house.welcome("101").await;
    house.welcome("102").await;
    let letters = house.mailbox.letters().len();
    spray(&house, PASSWORD).await;
    let began = house.event("campaign.began", None).await;
    let detail = began["detail"].as_str().unwrap();
    let id = detail.strip_prefix("spraying ").unwrap_or_else(|| panic!("{detail}"));
    assert_eq!(began["actor"], "gateway");

    // From an address that has tried nothing else: the password tells.
    assert_eq!(attempt(&house, "198.51.100.9", "101", PASSWORD).await.status, 200);
    let won = house.event("campaign.succeeded", Some(detail)).await;
    assert_eq!(
        (&won["extension"], &won["client"]),
        (&"101".into(), &"198.51.100.9".into())
    );
    let letter = house.mailbox.next("p100@example.com").await;
    assert!(
        letter.subject.contains("An attack got into 1 account"),
        "{}",
        letter.subject
    );
    let text = letter.text.as_deref().unwrap_or_default();
    for words in [
        "101 Person 101",
        "198.51.100.9",
        id,
        "the same password on many",
        "Nothing was done",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains(PASSWORD) && !house.gateway.printed().contains(PASSWORD));

    // One letter an hour, whatever else it gets into.
    assert_eq!(attempt(&house, "198.51.100.10", "102", PASSWORD).await.status, 200);
    let shown = eventually("both to be stored", async || {
        let shown: Value = house
            .gateway
            .cli_json(&["limits", "campaigns", "show", id, "--json"])
            .await;
        (shown["succeeded"] == 2).then_some(shown)
    })
    .await;
    assert_eq!(
        (&shown["kind"], &shown["names"], &shown["addresses"]),
        (&"spraying".into(), &12.into(), &3.into())
    );
    assert_eq!(shown["successes"][1]["extension"], "102");
    assert_eq!(house.mailbox.letters().len(), letters + 1);

    let look = look(&house).await;
    assert_eq!(
        (&look["running"], &look["campaigns"][0]["succeeded"]),
        (&true.into(), &2.into())
    );
    assert!(look["last_minute"]["failed"].as_u64().unwrap() >= 10, "{look}");
    let printed = house.gateway.cli(&["limits", "watch", "--once"]).await.succeeded();
    assert!(
        printed.contains("Attacks under way (1)") && printed.contains("got into 101 Person 101"),
        "{printed}"
    );
    let listed = house.gateway.cli(&["limits", "campaigns"]).await.succeeded();
    assert!(listed.contains(id) && listed.contains("under way"), "{listed}");
    let none = house.gateway.cli(&["limits", "campaigns", "show", "1"]).await.failed();
    assert!(none.contains("there is no attack 1"), "{none}");
    assert_eq!(
        attempt(&house, "198.51.100.9", "101", PASSWORD).await.status,
        200,
        "notify leaves the account as it is"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_an_attack_got_into_must_set_a_new_password() {
    let config = format!("{PROXIED}[limits]\ncompromised = \"new-password\"\nalert_to = [\"security@example.org\"]");
    let house = House::with(&config).await;
    let person = house.welcome("101").await;
    let hers = house.signed_in(&person).await;
    spray(&house, PASSWORD).await;
    house.event("campaign.began", None).await;
    let intruder = house.visitor().always("x-forwarded-for", "203.0.113.1");
    assert!(intruder.sign_in("101", PASSWORD).await.is_done());
    house.event("password.closed", None).await;
    eventually("every session to end", async || {
        (!hers.passes().await && !intruder.passes().await).then_some(())
    })
    .await;

    // The old password is wrong like any other, for everybody, from the intruder's known browser too.
    let wrong = attempt(&house, "198.51.100.7", "101", OTHER_PASSWORD).await;
    let old = attempt(&house, "198.51.100.7", "101", PASSWORD).await;
    for answer in [&wrong, &old] {
        answer.is_problem(401, "wrong-credentials");
    }
    let words = |answer: &Answer| (answer.json()["title"].clone(), answer.json()["detail"].clone());
    assert_eq!(words(&wrong), words(&old));
    assert!(!intruder.sign_in("101", PASSWORD).await.is_done());

    let alert = house.mailbox.next("security@example.org").await;
    assert!(
        alert.text.as_deref().unwrap_or_default().contains("was switched off"),
        "{alert:?}"
    );
    let shown = account(&house, "101").await;
    assert_eq!(
        (&shown["needs_new_password"], &shown["state"]),
        (&true.into(), &"invited".into())
    );
    let listed = house.gateway.cli(&["account", "list"]).await.succeeded();
    assert!(listed.contains("needs a new password"), "{listed}");
    let lint = house.gateway.cli(&["account", "lint", "--json"]).await;
    assert!(lint.out.contains("new-password-needed"), "{lint:?}");

    let letter = eventually("a letter to the person", async || {
        let mut letters = house.mailbox.letters_to(&person.email).into_iter();
        letters.find(|letter| letter.subject.contains("no longer works"))
    })
    .await;
    let links = crate::harness::mailbox::links(&letter);
    let again = house.visitor().set_password(&links.in_office, PASSWORD).await;
    assert!(!again.is_done(), "the password that others know: {again:?}");
    let set = house.visitor().set_password(&links.in_office, OTHER_PASSWORD).await;
    assert!(set.is_done(), "{set:?}");
    assert_eq!(account(&house, "101").await["needs_new_password"], false);
    assert!(house.visitor().sign_in("101", OTHER_PASSWORD).await.is_done());
    assert_eq!(attempt(&house, "198.51.100.7", "101", PASSWORD).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_mailed_a_link_at_an_address_of_several_and_a_printed_one_lifts_it() {
    let config = format!("{PROXIED}[limits]\ncompromised = \"new-password\"");
    let house = House::with(&config).await;
    let person = house.welcome("101").await;
    house
        .gateway
        .cli(&[
            "account",
            "add",
            "102",
            "--name",
            "Other",
            "--email",
            &person.email,
            "--no-welcome",
        ])
        .await
        .succeeded();
    let before = house.mailbox.letters().len();
    spray(&house, PASSWORD).await;
    house.event("campaign.began", None).await;
    assert_eq!(attempt(&house, "203.0.113.1", "101", PASSWORD).await.status, 200);
    house.event("link.withheld", Some("reset shared-email")).await;
    assert_eq!(house.mailbox.letters().len(), before);
    let sheet = house.gateway.cli(&["account", "welcome", "101", "--print"]).await;
    assert_eq!(sheet.code, Some(0), "{sheet:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_followed_across_a_restart() {
    let house = House::with(PROXIED).await;
    house.welcome("101").await;
    for n in 0..22 {
        attempt(
            &house,
            &format!("203.0.{}.7", n % 3),
            "101",
            &format!("{OTHER_PASSWORD} {n}"),
        )
        .await;
    }
    house.event("campaign.began", None).await;
    house.gateway.restart().await;
    let [before] = &campaigns(&house).await[..] else {
        panic!("one campaign");
    };
    assert_eq!((&before["kind"], &before["attempts"]), (&"guessing".into(), &22.into()));
    assert_eq!(
        (&before["ended_at"], &before["extensions"]),
        (&Value::Null, &json!(["101"]))
    );
    attempt(&house, "198.51.100.1", "101", OTHER_PASSWORD).await;
    eventually("the campaign to grow", async || {
        let look = look(&house).await;
        (look["campaigns"][0]["attempts"] == 23).then_some(())
    })
    .await;
    let began = house
        .events()
        .await
        .into_iter()
        .filter(|event| event["name"] == "campaign.began");
    assert_eq!(began.count(), 1);
    house.gateway.stop().await;
    let look = look(&house).await;
    assert_eq!((&look["running"], &look["last_minute"]), (&false.into(), &Value::Null));
    assert_eq!(
        look["campaigns"][0]["attempts"], 23,
        "what was seen is stored at the stop"
    );

    // The addresses for a firewall: those that tried often, and none that is exempt.
    let exempt = ["limits", "exempt", "203.0.1.0/24", "--for", "8h"];
    house.gateway.cli(&exempt).await.succeeded();
    let export = async |more: &[&str]| {
        let args = [&["limits", "export", "--format", "plain"], more].concat();
        house.gateway.cli(&args).await.succeeded()
    };
    assert_eq!(export(&[]).await, "");
    assert_eq!(export(&["--campaigns"]).await, "203.0.0.7\n203.0.2.7\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_asked_for_over_and_over_are_a_campaign() {
    let house = House::with(PROXIED).await;
    for n in 0..10 {
        let visitor = house.visitor().always("x-forwarded-for", &format!("203.0.113.{n}"));
        let body = json!({"email": "nobody@example.com"});
        visitor.post_json("/forgot-password", &body).await;
    }
    let began = house.event("campaign.began", None).await;
    assert!(began["detail"].as_str().unwrap().starts_with("mail-bomb "), "{began}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_morning_is_no_campaign() {
    let house = House::with(PROXIED).await;
    let mut tried = 0;
    for n in 0..24 {
        let extension = format!("1{n:02}");
        house.welcome(&extension).await;
    }
    for n in 0..24 {
        let extension = format!("1{n:02}");
        for slip in 0..if n % 3 == 0 { 2 } else { 0 } {
            let password = format!("{OTHER_PASSWORD} {n} {slip}");
            assert_eq!(attempt(&house, "192.0.2.1", &extension, &password).await.status, 401);
            tried += 1;
        }
        assert_eq!(attempt(&house, "192.0.2.1", &extension, PASSWORD).await.status, 200);
        tried += 1;
    }
    eventually("all of it to be looked at", async || {
        let look = look(&house).await;
        let seen = look["last_minute"]["attempts"].as_u64().unwrap();
        (seen >= tried).then_some(())
    })
    .await;
    assert_eq!(campaigns(&house).await, [Value::Null; 0]);
    assert!(
        !house
            .events()
            .await
            .iter()
            .any(|event| event["name"] == "campaign.began")
    );
}

/// What a terminal shows of a command that is typed into it, until `end` has ended that command.
async fn terminal(house: &House, environment: &str, end: impl FnOnce(u32, &mut dyn Write)) -> String {
    let command = format!(
        "stty cols 60 rows 20; echo pid $$; {environment} exec {} --config {} limits watch",
        env!("CARGO_BIN_EXE_sekisho"),
        house.gateway.config().display()
    );
    let mut script = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keys, mut out) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let shown = Arc::<Mutex<Vec<u8>>>::default();
    let kept = Arc::clone(&shown);
    let reading = tokio::task::spawn_blocking(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = out.read(&mut piece) {
            kept.lock().extend_from_slice(&piece[..count]);
        }
    });
    let text = || String::from_utf8_lossy(&shown.lock()).into_owned();
    let process = eventually("the first look", async || {
        let text = text();
        let pid = text.lines().next()?.trim().strip_prefix("pid ")?.parse().unwrap();
        text.contains("under way.").then_some(pid)
    })
    .await;
    end(process, &mut keys);
    let ended = eventually("the command to end", async || script.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended:?}: {}", text());
    reading.await.unwrap();
    text()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_on_gets_the_terminal_back_as_it_was() {
    const TAKEN: &str = "\u{1b}[?1049h";
    const GIVEN_BACK: &str = "\u{1b}[?1049l";
    let house = House::closed("").await;
    let by_key = |key: &'static [u8]| move |_, keys: &mut dyn Write| keys.write_all(key).unwrap();
    let coloured = "TERM=xterm-256color";
    for (environment, key) in [(coloured, b"q"), (coloured, b"\x03"), ("TERM=xterm NO_COLOR=1", b"Q")] {
        let shown = terminal(&house, environment, by_key(key)).await;
        let (_, screen) = shown.split_once(TAKEN).unwrap_or_else(|| panic!("{shown:?}"));
        let (screen, rest) = screen.split_once(GIVEN_BACK).unwrap_or_else(|| panic!("{shown:?}"));
        assert_eq!(rest.trim(), "", "{environment}: {shown:?}");
        assert!(screen.contains("\u{1b}[1;1H"), "everything has its place: {screen:?}");
        assert_eq!(screen.contains("\u{1b}[32m"), environment == coloured, "{screen:?}");
    }
    let ended = terminal(&house, coloured, |process, _| {
        let process = nix::unistd::Pid::from_raw(process.cast_signed());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).unwrap();
    });
    assert!(ended.await.contains(GIVEN_BACK));
}
