//! What a person does at the gateway's pages and in the web client behind them, one function per act.

use std::sync::Arc;

use serde_json::json;

use crate::browser::Browser;
use crate::harness::{IN, Links, OTHER_PASSWORD, OUT, Visitor};
use crate::office::{Office, Person};
use crate::words::Words;

/// Opens the link of a letter and waits for the form behind it; the ticket leaves the address bar.
pub async fn open_link(browser: &Browser, link: &str) {
    browser.visit(link).await;
    browser.find("#confirmation").await;
    let address = browser.address().await;
    assert_eq!(
        (address.path(), address.query()),
        ("/set-password", None),
        "the ticket left the address bar"
    );
}

/// Fills the two fields in and sends them.
pub async fn send_passwords(browser: &Browser, password: &str, confirmation: &str) {
    browser.fill("#password", password).await;
    browser.fill("#confirmation", confirmation).await;
    browser.click("main button.primary").await;
}

/// Sets a password behind an open link; the login page says that it is done.
pub async fn set_password(browser: &Browser, words: &Words, password: &str) {
    send_passwords(browser, password, password).await;
    browser.arrive("/login").await;
    browser
        .until("[role=status]", |text| text.contains(words.password_set))
        .await;
}

/// Waits for a form to come back with this objection.
pub async fn is_refused(browser: &Browser, objection: &str) {
    browser.until("[role=alert]", |text| text.contains(objection)).await;
}

/// Sends the login form.
pub async fn try_sign_in(browser: &Browser, login: &str, password: &str) {
    browser.fill("#login", login).await;
    browser.fill("#password", password).await;
    browser.click("main button[type=submit]").await;
}

/// Signs in on the login page that is open; the web client appears.
pub async fn sign_in(browser: &Browser, login: &str, password: &str) {
    try_sign_in(browser, login, password).await;
    browser.arrive("/").await;
    browser.find("#me-name").await;
}

/// Follows the login page's own link, asks for a letter and reads the answer.
pub async fn forget_password(browser: &Browser, words: &Words, email: &str) {
    browser.click("main a[href='/forgot-password']").await;
    browser.fill("#email", email).await;
    browser.click("main button[type=submit]").await;
    browser.until("h1", |title| title == words.sent).await;
}

/// Signs out where the web client says so, and confirms.
pub async fn sign_out(browser: &Browser, words: &Words) {
    browser.click("#sign-out").await;
    browser.until("h1", |title| title == words.sign_out).await;
    browser.click("main button[type=submit]").await;
    browser.arrive("/login").await;
    browser
        .until("[role=status]", |text| text.contains(words.signed_out))
        .await;
}

/// The web client knows who this is, and its live parts are live.
pub async fn is_at_work(browser: &Browser, person: &Person) {
    assert_eq!(browser.text("#me-name").await, person.name);
    assert_eq!(browser.text("#me-ext").await, person.extension);
    assert_eq!(browser.text("#me-email").await, person.email);
    browser.find("#line[data-state=live]").await;
    browser.find("#feed[data-state=live]").await;
    browser.find("#people-list li[data-ext]").await;
}

/// Takes the link for the door that this browser's owner uses.
pub fn link_for<'a>(links: &'a Links, door: &str) -> &'a str {
    if door == OUT {
        &links.out_of_office
    } else {
        &links.in_office
    }
}

/// From nothing to a password: account, letter, link, form. The browser ends at the login page.
pub async fn start_out(office: &Office, browser: &Browser, person: &Person, words: &Words, password: &str) {
    office.invite(person).await;
    let links = office.mailbox.next_links(&person.email).await;
    open_link(browser, &links.in_office).await;
    set_password(browser, words, password).await;
}

/// Somebody at the same address guesses at this name until that is stopped; then the person tries, and is stopped as well.
pub async fn be_stopped(office: &Office, browser: &Browser, words: &Words, login: &str) {
    let guesser = Visitor::trusting(&office.gateway, IN, Arc::clone(&office.roots));
    for number in 0.. {
        let guess = json!({ "login": login, "password": format!("{OTHER_PASSWORD} {number}") });
        if guesser.post_json("/login", &guess).await.status == 429 {
            break;
        }
        assert!(number < 100, "nobody stops whoever guesses");
    }
    browser.visit("/login").await;
    try_sign_in(browser, login, OTHER_PASSWORD).await;
    is_refused(browser, words.throttled).await;
    browser.find("form.aside button").await;
}

/// Asks for the link on the page that says that one is stopped, follows it, and unlocks the browser; it ends at the login
/// page. The visitor is shown each page on the way. Answers the link.
pub async fn unlock_by_mail(
    office: &Office,
    browser: &Browser,
    words: &Words,
    person: &Person,
    mut visitor: impl AsyncFnMut(&str, &Browser),
) -> String {
    browser.click("form.aside button").await;
    browser.arrive("/login").await;
    browser
        .until("[role=status]", |text| text.contains(words.unlock_sent))
        .await;
    visitor("login-unlock-sent", browser).await;
    let letter = office.mailbox.next(&person.email).await;
    assert!(letter.subject.contains(words.unlock_letter), "{}", letter.subject);
    let link = crate::harness::mailbox::links(&letter).in_office;
    browser.visit(&link).await;
    browser.until("h1", |title| title == words.unlock).await;
    let address = browser.address().await;
    assert_eq!(
        (address.path(), address.query()),
        ("/.sekisho/unlock", None),
        "the ticket left the address bar"
    );
    visitor("unlock", browser).await;
    browser.click("main button.primary").await;
    browser.arrive("/login").await;
    browser
        .until("[role=status]", |text| text.contains(words.unlocked))
        .await;
    visitor("login-unlocked", browser).await;
    link
}
