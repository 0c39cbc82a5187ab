//! Mail that comes back after the mail server had taken it: from the envelope sender of a letter, through a report, to
//! the places where an administrator sees it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sekisho::demo::mailcatcher::Message;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::harness::gateway::Ran;
use crate::harness::{House, PASSWORD, eventually};

const ON: &str = "[mail]\nbounces = \"Bounces@phone.example\"";

/// What a mail server sends to the envelope sender of a letter.
fn report(to: &str, action: &str, status: &str) -> Vec<u8> {
    format!(
        "Return-Path: <>\nDelivered-To: {to}\nFrom: MAILER-DAEMON@mx.example.com\nTo: {to}\n\
         Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n\
         --b\nContent-Type: text/plain\n\nI am sorry.\n\n\
         --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n\
         Final-Recipient: rfc822; somebody@example.com\nAction: {action}\nStatus: {status}\n\
         Diagnostic-Code: smtp; 550 {status} No such user\u{1b}[2J here\n\n\
         --b\nContent-Type: text/rfc822-headers\n\nSubject: Set your password\n\n--b--\n"
    )
    .into_bytes()
}

async fn hand_in(house: &House, message: Vec<u8>) -> Ran {
    house
        .gateway
        .hand(house.gateway.command(&["mail", "bounce"]), message)
        .await
}

async fn newest_link(house: &House, extension: &str) -> Value {
    let links: Vec<Value> = house
        .gateway
        .cli_json(&["link", "list", "--account", extension, "--json"])
        .await;
    links.into_iter().next().unwrap()
}

/// Waits until the letter is noted as handed over: before that a report about it is too early.
async fn noted_as_sent(house: &House, extension: &str) {
    eventually("the letter to be noted as sent", async || {
        (newest_link(house, extension).await["stage"] == "sent").then_some(())
    })
    .await;
}

/// The extension numbers whose mail bounces, by `account lint`.
async fn bouncing(house: &House) -> Vec<Value> {
    let ran = house.gateway.cli(&["account", "lint", "--json"]).await;
    let found: Vec<Value> = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let bounces = found.into_iter().filter(|finding| finding["kind"] == "mail-bounces");
    bounces
        .inspect(|finding| assert!(finding["remedy"].as_str().unwrap().contains("account change")))
        .map(|finding| finding["extensions"].clone())
        .collect()
}

async fn invited(house: &House, extension: &str) -> Arc<Message> {
    let email = house.invite(extension, &[]).await;
    let letter = house.mailbox.next(&email).await;
    noted_as_sent(house, extension).await;
    letter
}

async fn bounced_events(house: &House) -> usize {
    let events = house.events().await;
    events.iter().filter(|event| event["name"] == "letter.bounced").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_bounces_is_seen_at_the_letter_the_link_the_account_and_in_the_events() {
    let house = House::with(ON).await;
    let letter = invited(&house, "101").await;
    let other = invited(&house, "102").await;
    let (local, domain) = letter.from.split_once('@').unwrap();
    assert!(
        local.starts_with("Bounces+") && local.len() <= 64 && domain == "phone.example",
        "{}",
        letter.from
    );
    assert!(
        local["Bounces+".len()..]
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    );
    assert_ne!(letter.from, other.from, "each letter has its own");
    assert!(
        letter.sender.contains("no-reply@phone.example"),
        "people see the sender: {}",
        letter.sender
    );

    // Somewhere on the way the address was folded.
    let message = report(&letter.from.to_uppercase(), "failed", "5.1.1");
    let said = hand_in(&house, message.clone()).await.succeeded();
    assert!(said.starts_with("bounced: welcome to p101@example.com"), "{said}");
    let again = hand_in(&house, message).await.succeeded();
    assert!(again.starts_with("nothing new"), "{again}");

    let link = newest_link(&house, "101").await;
    assert_eq!(
        (&link["stage"], &link["letter_status"], &link["sent_to"]),
        (&"bounced".into(), &"bounced".into(), &"p101@example.com".into())
    );
    let bounce = &link["bounce"];
    assert_eq!(
        (&bounce["action"], &bounce["status"]),
        (&"failed".into(), &"5.1.1".into())
    );
    assert_eq!(bounce["words"], "550 5.1.1 No such user [2J here", "harmless: {bounce}");
    assert_eq!(newest_link(&house, "102").await["stage"], "sent");
    let mail = house.gateway.cli(&["mail", "list"]).await.succeeded();
    assert!(mail.contains("bounced") && mail.contains("No such user"), "{mail}");
    let event = house.event("letter.bounced", Some("welcome 5.1.1")).await;
    assert_eq!(
        (&event["actor"], &event["extension"]),
        (&"gateway".into(), &"101".into())
    );
    assert_eq!(bounced_events(&house).await, 1);
    assert_eq!(bouncing(&house).await, [json!(["101"])]);
    let progress: Value = house.gateway.cli_json(&["mail", "progress", "--json"]).await;
    assert_eq!((&progress["bounced"], &progress["delivered"]), (&1.into(), &1.into()));

    // The person may have the link in another way: it goes on working.
    let links = crate::harness::mailbox::links(&letter);
    assert!(house.visitor().set_password(&links.in_office, PASSWORD).await.is_done());
    assert_eq!(newest_link(&house, "101").await["stage"], "used");
    // And whatever letter is taken for the address next speaks for it again.
    house
        .visitor()
        .post_json("/forgot-password", &json!({"email": "p101@example.com"}))
        .await;
    house.event("link.sent", Some("reset")).await;
    eventually("the finding to go", async || {
        bouncing(&house).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_ends_the_finding_of_the_former_one() {
    let house = House::with(ON).await;
    let letter = invited(&house, "101").await;
    house.gateway.stop().await;
    hand_in(&house, report(&letter.from, "failed", "5.1.1"))
        .await
        .succeeded();
    assert_eq!(bouncing(&house).await, [json!(["101"])], "also while no server runs");
    house
        .gateway
        .cli(&["account", "change", "101", "--email", "new@example.com"])
        .await
        .succeeded();
    assert!(bouncing(&house).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_speak_against_an_address_and_each_attempt_is_counted() {
    let house = House::with(ON).await;
    let letter = invited(&house, "101").await;
    let last = letter.from.rfind('@').unwrap() - 2;
    let mut altered = letter.from.clone().into_bytes();
    altered[last] = if altered[last] == b'a' { b'b' } else { b'a' };
    let altered = String::from_utf8(altered).unwrap();
    let made_up = format!("bounces+{}@phone.example", "a".repeat(42));
    for to in [altered.as_str(), &made_up] {
        let said = hand_in(&house, report(to, "failed", "5.1.1")).await.succeeded();
        assert!(said.contains("was not made here"), "{said}");
    }
    let away = format!(
        "Return-Path: <>\nTo: {}\nAuto-Submitted: auto-replied\nSubject: I am away: 550 5.1.1\n\nBack soon.\n",
        letter.from
    );
    let said = hand_in(&house, away.into_bytes()).await.succeeded();
    assert!(said.contains("an answer"), "{said}");
    hand_in(&house, b"Subject: buy\nTo: bounces@phone.example\n\nthis".to_vec())
        .await
        .succeeded();
    hand_in(&house, vec![0xff; 2_000_000]).await.succeeded();

    assert_eq!(newest_link(&house, "101").await["stage"], "sent");
    assert!(bouncing(&house).await.is_empty());
    assert_eq!(bounced_events(&house).await, 0);
    let progress: Value = house.gateway.cli_json(&["mail", "progress", "--json"]).await;
    assert_eq!(progress["ignored"], json!({"forged": 2, "answer": 1, "untagged": 2}));
    let shown = house.gateway.cli(&["mail", "progress"]).await.succeeded();
    assert!(
        shown.contains("2: the tag in its recipient was not made here"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_is_shown_and_changes_nothing_else() {
    let house = House::with(ON).await;
    let letter = invited(&house, "101").await;
    let said = hand_in(&house, report(&letter.from, "delayed", "4.4.1"))
        .await
        .succeeded();
    assert!(said.starts_with("late: "), "{said}");
    let link = newest_link(&house, "101").await;
    assert_eq!(
        (&link["stage"], &link["letter_status"], &link["bounce"]["action"]),
        (&"sent".into(), &"delivered".into(), &"delayed".into())
    );
    let shown = house.gateway.cli(&["link", "list"]).await.succeeded();
    assert!(shown.contains("sent, late"), "{shown}");
    assert!(bouncing(&house).await.is_empty());
    assert_eq!(bounced_events(&house).await, 0);

    // Days later the other server stops trying: this letter is lost, and nothing is said about the address.
    hand_in(&house, report(&letter.from, "failed", "4.4.7"))
        .await
        .succeeded();
    assert_eq!(newest_link(&house, "101").await["stage"], "bounced");
    assert!(bouncing(&house).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_makes_the_mail_server_keep_the_report() {
    let house = House::with(ON).await;
    let letter = invited(&house, "101").await;
    let options = SqliteConnectOptions::new().filename(house.gateway.home().join("store/sekisho.db"));
    let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut writer).await.unwrap();
    let message = report(&letter.from, "failed", "5.1.1");
    let busy = hand_in(&house, message.clone()).await;
    assert_eq!(
        (busy.code, busy.err.trim_end().lines().count()),
        (Some(75), 1),
        "{busy:?}"
    );
    sqlx::query("ROLLBACK").execute(&mut writer).await.unwrap();
    writer.close().await.unwrap();
    hand_in(&house, message).await.succeeded();
    assert_eq!(newest_link(&house, "101").await["stage"], "bounced");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_mailbox_is_emptied_message_by_message() {
    let house = House::with(ON).await;
    let (one, other) = (invited(&house, "101").await, invited(&house, "102").await);
    let maildir = house.gateway.home().join("bounces");
    for directory in ["new", "cur", "tmp"] {
        fs::create_dir_all(maildir.join(directory)).unwrap();
    }
    let put = |name: &str, message: &[u8]| fs::write(maildir.join("new").join(name), message).unwrap();
    put("1.one.host", &report(&one.from, "failed", "5.1.1"));
    put("2.spam.host", b"Subject: buy\n\nthis\n");
    put("3.other.host", &report(&other.from, "failed", "5.2.2"));
    let args = ["mail", "bounce", "--maildir", maildir.to_str().unwrap()];
    let said = house.gateway.cli(&args).await.succeeded();
    let outcomes: Vec<_> = said.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(outcomes, ["bounced", "ignored", "bounced"], "{said}");
    let names = |directory: &str| names(&maildir.join(directory));
    assert!(names("new").is_empty());
    assert_eq!(names("cur"), ["1.one.host:2,S", "2.spam.host:2,S", "3.other.host:2,S"]);
    assert_eq!(bouncing(&house).await, [json!(["101"]), json!(["102"])]);
    assert_eq!(house.gateway.cli(&args).await.succeeded(), "");

    let file = maildir.join("cur/1.one.host:2,S");
    let said = house
        .gateway
        .cli(&["mail", "bounce", file.to_str().unwrap()])
        .await
        .succeeded();
    assert!(said.starts_with("nothing new"), "{said}");
    let missing = house.gateway.cli(&["mail", "bounce", "/nowhere.eml"]).await;
    assert_eq!(missing.code, Some(66), "{missing:?}");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_return_address_letters_have_their_sender_and_the_command_says_what_is_missing() {
    let house = House::open().await;
    let letter = invited(&house, "101").await;
    assert_eq!(letter.from, "no-reply@phone.example");
    let ran = hand_in(&house, report("bounces+x@phone.example", "failed", "5.1.1")).await;
    assert_eq!(ran.code, Some(75), "{ran:?}");
    assert!(ran.err.contains("mail.bounces is not set"), "{ran:?}");
}
