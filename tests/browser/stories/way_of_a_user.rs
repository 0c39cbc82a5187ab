//! The whole way of one user, from the Welcome letter to signing out, in both languages and through both doors.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::actions::{
    forget_password, is_at_work, is_refused, link_for, open_link, send_passwords, set_password, sign_in, sign_out,
    start_out, try_sign_in,
};
use crate::browser::{Browser, Kind};
use crate::countdown;
use crate::harness::{IN, OTHER_PASSWORD, OUT, PASSWORD};
use crate::office::{Office, Person};
use crate::words::{ENGLISH, JAPANESE, Words};

#[tokio::test(flavor = "multi_thread")]
async fn in_the_office_and_in_english() {
    let person = Person::new("4711", ENGLISH.somebody, "en");
    go_the_whole_way(IN, &ENGLISH, &person, &person.extension).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_the_office_and_in_japanese() {
    let person = Person::new("4712", JAPANESE.somebody, "ja");
    go_the_whole_way(OUT, &JAPANESE, &person, &person.email).await;
}

async fn go_the_whole_way(door: &str, words: &Words, person: &Person, login: &str) {
    let office = Office::open().await;
    let language = words.language;
    let kind = Kind {
        door,
        ..Kind::speaking(language)
    };
    let desk = Browser::open(&office, kind).await;

    let welcome = link_of_next_letter(&office, person, door, words.welcome_letter, async || {
        office.invite(person).await;
    });
    choose_first_password(&desk, words, &welcome.await).await;

    sign_in(&desk, login, PASSWORD).await;
    is_at_work(&desk, person).await;
    check_assertion(&desk).await;
    send_file(&desk).await;

    let phone = Browser::open(&office, kind).await;
    phone.visit("/").await;
    phone.arrive("/login").await;
    let reset = link_of_next_letter(&office, person, door, words.reset_letter, async || {
        forget_password(&phone, words, &person.email).await;
    });
    open_link(&phone, &reset.await).await;
    assert_eq!(phone.text("h1").await, words.reset);
    assert!(
        desk.has("#line[data-state=live]").await,
        "asking for a link ends nothing"
    );
    set_password(&phone, words, OTHER_PASSWORD).await;

    let notice = office.mailbox.next(&person.email).await;
    assert!(notice.subject.contains(words.changed_letter), "{}", notice.subject);
    // Nobody touches the other browser: its live connection ends, and the web client asks the gateway why.
    countdown::says(&desk, words.ended).await;
    desk.visit("/").await;
    desk.arrive("/login").await;
    desk.until("[role=status]", |text| text.contains(words.session_ended))
        .await;

    try_sign_in(&phone, login, PASSWORD).await;
    is_refused(&phone, words.wrong).await;
    sign_in(&phone, login, OTHER_PASSWORD).await;
    is_at_work(&phone, person).await;

    sign_out(&phone, words).await;
    phone.visit("/?from=bookmark#calls").await;
    phone.arrive("/login").await;
    sign_in(&phone, login, OTHER_PASSWORD).await;
    assert_eq!(phone.path().await, "/?from=bookmark", "back to where it was asked for");
    is_at_work(&phone, person).await;
    desk.close().await;
    phone.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_open_offers_to_sign_in_when_an_administrator_ends_its_session() {
    let office = Office::open().await;
    let person = Person::new("4713", ENGLISH.somebody, "en");
    let browser = Browser::open(&office, Kind::speaking("en")).await;
    start_out(&office, &browser, &person, &ENGLISH, PASSWORD).await;
    sign_in(&browser, &person.extension, PASSWORD).await;
    is_at_work(&browser, &person).await;
    office
        .gateway
        .cli(&["session", "end", "--account", "4713"])
        .await
        .succeeded();
    countdown::says(&browser, ENGLISH.ended).await;
    browser.close().await;
}

/// The link of the letter that comes when `act` is done.
async fn link_of_next_letter(
    office: &Office,
    person: &Person,
    door: &str,
    subject: &str,
    act: impl AsyncFnOnce(),
) -> String {
    act().await;
    let letter = office.mailbox.next(&person.email).await;
    assert!(letter.subject.contains(subject), "{}", letter.subject);
    link_for(&crate::harness::mailbox::links(&letter), door).to_owned()
}

/// Breaks the rules first: the page says what is wrong, and the link still works.
async fn choose_first_password(browser: &Browser, words: &Words, link: &str) {
    open_link(browser, link).await;
    assert_eq!(browser.text("h1").await, words.welcome);
    assert_eq!(
        browser.ask("return document.documentElement.lang", Vec::new()).await,
        words.language
    );
    assert!(
        browser.text("#rules").await.contains("12"),
        "the rules are shown before they are broken"
    );
    send_passwords(browser, "short", "short").await;
    is_refused(browser, words.too_short).await;
    send_passwords(browser, "password12345", "password12345").await;
    is_refused(browser, words.common).await;
    send_passwords(browser, PASSWORD, OTHER_PASSWORD).await;
    is_refused(browser, words.differ).await;
    assert_eq!(
        browser.find("#password").await.prop("value").await.unwrap().unwrap(),
        "",
        "no password is sent back"
    );

    browser.fill("#password", PASSWORD).await;
    browser
        .until("#password-hint", |hint| hint.contains(words.enough))
        .await;
    browser.fill("#confirmation", PASSWORD).await;
    browser
        .until("#confirmation-hint", |hint| hint.contains(words.same))
        .await;
    set_password(browser, words, PASSWORD).await;
}

/// The web client believes the gateway for good reasons, and shows them.
async fn check_assertion(browser: &Browser) {
    browser.click(".tabs a[href='#request']").await;
    browser.find("#seal:not([hidden])").await;
    let marks = "return [...document.querySelectorAll('#checks .check-mark')].map((mark) => mark.className)";
    let Value::Array(marks) = browser.ask(marks, Vec::new()).await else {
        panic!("the checks are a list");
    };
    assert!(marks.len() >= 8, "{marks:?}");
    assert!(marks.iter().all(|mark| mark == "check-mark passed"), "{marks:?}");
    let headers = browser.text("#headers").await.to_lowercase();
    assert!(headers.contains("x-sekisho-assertion"), "{headers}");
    assert!(
        !headers.contains("__host-sekisho"),
        "our cookie stays with us: {headers}"
    );
}

/// A file that is much larger than any buffer arrives as it was.
async fn send_file(browser: &Browser) {
    let directory = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes())
        .collect();
    let file = directory.path().join("recording.wav");
    std::fs::write(&file, &content).unwrap();
    browser.click(".tabs a[href='#upload']").await;
    browser.choose_file("#file", file.to_str().unwrap()).await;
    let wanted = hex(&Sha256::digest(&content));
    assert_eq!(browser.text("#upload-digest").await, wanted);
    browser.find(".verdict.good").await;
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
