//! Every page there is, in the order somebody can come to see them. The stories about looks and accessibility walk
//! through all of them; a new page belongs in here.

use crate::actions::{
    be_stopped, link_for, open_link, send_passwords, set_password, sign_in, try_sign_in, unlock_by_mail,
};
use crate::browser::{Browser, Kind};
use crate::harness::{IN, Links, OTHER_PASSWORD, PASSWORD, eventually, quotas};
use crate::office::{Office, Person};
use crate::words::Words;

/// Visits every page in one language. The visitor is told each page's name and may change how it is shown, but must
/// not leave it.
pub async fn walk(words: &Words, mut visitor: impl AsyncFnMut(&str, &Browser)) {
    let rules = quotas(&[("sign-in.client+account", "8 per 15m")]);
    let office = Office::with(&format!(
        "{rules}\n[links]\nwelcome = \"1s\"\n[sessions]\nfresh_for = \"1s\""
    ))
    .await;
    let browser = Browser::open(&office, Kind::speaking(words.language)).await;
    let person = Person::new("501", words.somebody, words.language);
    let expired = expired_link(&office, &browser, words).await;
    office.gateway.configure("[links]\nwelcome = \"3d\"");
    office.gateway.restart().await;

    let mut walk = Walk {
        office,
        browser,
        words,
        person,
    };
    walk.links(&mut visitor, &expired).await;
    walk.signing_in(&mut visitor).await;
    walk.web_client(&mut visitor).await;
    walk.own_page(&mut visitor).await;
    walk.failures(&mut visitor).await;
    walk.browser.close().await;
}

struct Walk<'a> {
    office: Office,
    browser: Browser,
    words: &'a Words,
    person: Person,
}

impl Walk<'_> {
    async fn links(&mut self, visitor: &mut impl AsyncFnMut(&str, &Browser), expired: &Links) {
        let Self {
            office,
            browser,
            words,
            person,
        } = self;
        office.invite(person).await;
        let links = office.mailbox.next_links(&person.email).await;
        open_link(browser, &links.in_office).await;
        visitor("set-password", browser).await;
        send_passwords(browser, "password12345", "password12345").await;
        browser.until("[role=alert]", |text| text.contains(words.common)).await;
        visitor("set-password-weak", browser).await;
        send_passwords(browser, PASSWORD, OTHER_PASSWORD).await;
        browser.until("[role=alert]", |text| text.contains(words.differ)).await;
        browser.fill("#password", PASSWORD).await;
        browser.fill("#confirmation", "correct").await;
        visitor("set-password-differ", browser).await;
        set_password(browser, words, PASSWORD).await;
        visitor("login-password-set", browser).await;

        browser.visit(link_for(&links, IN)).await;
        browser.until("h1", |title| title == words.used).await;
        visitor("link-used", browser).await;
        browser.visit(link_for(expired, IN)).await;
        browser.until("h1", |title| title == words.expired).await;
        visitor("link-expired", browser).await;
        browser.visit("/set-password?ticket=unknown").await;
        browser.until("h1", |title| title == words.unknown).await;
        visitor("link-unknown", browser).await;
    }

    async fn signing_in(&mut self, visitor: &mut impl AsyncFnMut(&str, &Browser)) {
        let Self {
            office,
            browser,
            words,
            person,
        } = self;
        browser.visit("/login").await;
        browser.find("#login").await;
        visitor("login", browser).await;
        try_sign_in(browser, &person.extension, OTHER_PASSWORD).await;
        browser.until("[role=alert]", |text| text.contains(words.wrong)).await;
        visitor("login-refused", browser).await;

        browser.visit("/forgot-password").await;
        browser.find("#email").await;
        visitor("forgot-password", browser).await;
        browser.fill("#email", "emma").await;
        browser.click("main button[type=submit]").await;
        browser.find("[role=alert]").await;
        visitor("forgot-password-refused", browser).await;
        browser.fill("#email", &person.email).await;
        browser.click("main button[type=submit]").await;
        browser.until("h1", |title| title == words.sent).await;
        visitor("forgot-password-sent", browser).await;
        let links = office.mailbox.next_links(&person.email).await;
        open_link(browser, link_for(&links, IN)).await;
        browser.until("h1", |title| title == words.reset).await;
        visitor("set-password-reset", browser).await;

        be_stopped(office, browser, words, &person.extension).await;
        visitor("login-stopped", browser).await;
        let link = unlock_by_mail(office, browser, words, person, &mut *visitor).await;
        browser.visit(&link).await;
        browser.until("h1", |title| title == words.unknown).await;
        visitor("unlock-dead", browser).await;
    }

    async fn web_client(&mut self, visitor: &mut impl AsyncFnMut(&str, &Browser)) {
        let Self {
            browser, words, person, ..
        } = self;
        browser.visit("/login").await;
        sign_in(browser, &person.extension, PASSWORD).await;
        browser.find("#line[data-state=live]").await;
        browser.find("#people-list li[data-ext]").await;
        visitor("client", browser).await;
        for view in ["people", "upload", "request"] {
            browser.visit(&format!("/#{view}")).await;
            browser.find(&format!("body[data-view={view}]")).await;
            if view == "request" {
                browser.find("#seal:not([hidden])").await;
            }
            visitor(&format!("client-{view}"), browser).await;
        }
        browser.visit("/nothing-here").await;
        browser.find("h1").await;
        visitor("client-not-found", browser).await;
        browser.visit("/logout").await;
        browser.until("h1", |title| title == words.sign_out).await;
        visitor("logout", browser).await;
        go_in_a_circle(browser, words).await;
        visitor("circle", browser).await;
    }

    async fn own_page(&mut self, visitor: &mut impl AsyncFnMut(&str, &Browser)) {
        let Self { browser, words, .. } = self;
        eventually("the sign-in to be old", async || {
            browser.visit("/").await;
            let fresh = browser.ask(IS_FRESH, Vec::new()).await;
            (fresh == false).then_some(())
        })
        .await;
        browser.visit("/.sekisho/account").await;
        browser.until("h1", |title| title == words.account).await;
        visitor("account", browser).await;
        browser.fill("#old_password", OTHER_PASSWORD).await;
        send_passwords(browser, OTHER_PASSWORD, OTHER_PASSWORD).await;
        browser
            .until("[role=alert]", |text| text.contains(words.not_your_password))
            .await;
        visitor("account-refused", browser).await;
        browser.click("form[action$='/sessions/end-all'] button").await;
        browser.until("h1", |title| title == words.confirm).await;
        visitor("confirm", browser).await;
    }

    async fn failures(&mut self, visitor: &mut impl AsyncFnMut(&str, &Browser)) {
        let Self { office, browser, .. } = self;
        browser.visit("/.sekisho/nothing").await;
        browser.until(".status", |status| status == "404").await;
        visitor("not-found", browser).await;
        office.stop_client().await;
        browser.visit("/").await;
        browser.until(".status", |status| status == "502").await;
        visitor("bad-gateway", browser).await;
    }
}

/// The same redirect three times in a row; somebody is signed in, and goes to sign in.
async fn go_in_a_circle(browser: &Browser, words: &Words) {
    eventually("the third redirect", async || {
        browser.visit("/login").await;
        (browser.text("h1").await == words.circle).then_some(())
    })
    .await;
}

/// Whether sensitive acts need no password again; asked from a page of the web client, which lets scripts ask.
const IS_FRESH: &str = "
    const request = new XMLHttpRequest();
    request.open('GET', '/.sekisho/account', false);
    request.setRequestHeader('accept', 'application/json');
    request.send();
    return JSON.parse(request.responseText).fresh;
";

/// A link whose time is over.
async fn expired_link(office: &Office, browser: &Browser, words: &Words) -> Links {
    let late = Person::new("502", "Late", words.language);
    office.invite(&late).await;
    let links = office.mailbox.next_links(&late.email).await;
    eventually("the link to expire", async || {
        browser.visit(&links.in_office).await;
        (browser.text("h1").await == words.expired).then_some(())
    })
    .await;
    links
}
