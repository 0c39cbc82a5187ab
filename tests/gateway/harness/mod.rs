//! A house to test in: the real gateway, a real upstream behind it, a real mail server beside it and
//! visitors before it. It is separate from the stories so that those read as stories.

pub mod frames;
pub mod gateway;
pub mod mailbox;
pub mod page;
pub mod statistics;
pub mod upstream;
pub mod visitor;

use std::time::{Duration, Instant};

pub use gateway::Gateway;
pub use mailbox::{Links, Mailbox};
pub use upstream::Upstream;
pub use visitor::{Answer, Visitor};

/// The in-office door's host.
pub const IN: &str = "in.test";
/// The out-of-office door's host.
pub const OUT: &str = "out.test";
/// The in-office door's host of the second site, where a story has one.
pub const WIKI_IN: &str = "wiki.in.test";
/// The out-of-office door's host of the second site.
pub const WIKI_OUT: &str = "wiki.test";
/// Name of the session cookie.
pub const SESSION: &str = "__Host-sekisho";
/// Header of the assertion.
pub const ASSERTION: &str = "x-sekisho-assertion";
/// A password that every rule accepts.
pub const PASSWORD: &str = "correct horse battery staple 9";
/// Another one.
pub const OTHER_PASSWORD: &str = "three quiet rivers under snow 4";

/// The longest anything may take that should take no time at all; generous, since two cores run it all.
pub const SOON: Duration = Duration::from_secs(20);

/// However busy the machine is, a refusal has left by then: after twenty seconds at most, and what is waited before that.
pub const LATEST: Duration = Duration::from_secs(45);

/// Everything a story needs.
pub struct House {
    /// The product.
    pub gateway: Gateway,
    /// The web client behind it.
    pub upstream: Upstream,
    /// The mail server beside it.
    pub mailbox: Mailbox,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// The extension number.
    pub extension: String,
    /// The address.
    pub email: String,
    /// The current password.
    pub password: String,
}

impl House {
    /// With the test configuration.
    pub async fn open() -> Self {
        Self::with("").await
    }

    /// With `overrides`, a piece of TOML that is laid over the test configuration, and where it has rules ([`quotas`]) over
    /// the policy of the limits.
    pub async fn with(overrides: &str) -> Self {
        let house = Self::closed(overrides).await;
        house.gateway.start().await;
        house
    }

    /// Everything but the running server.
    pub async fn closed(overrides: &str) -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let (upstream, mailbox) = (Upstream::open().await, Mailbox::open().await);
        let gateway = Gateway::prepare(upstream.address(), mailbox.address(), overrides);
        Self {
            gateway,
            upstream,
            mailbox,
        }
    }

    /// Somebody with a browser, in the office.
    pub fn visitor(&self) -> Visitor {
        Visitor::at(&self.gateway, IN)
    }

    /// Adds an account, whose Welcome letter goes out.
    pub async fn invite(&self, extension: &str, more: &[&str]) -> String {
        let email = format!("p{extension}@example.com");
        let name = format!("Person {extension}");
        let mut args = vec!["account", "add", extension, "--name", &name, "--email", &email];
        args.extend(more);
        self.gateway.cli(&args).await.succeeded();
        email
    }

    /// Adds an account and sets its first password by the link of the Welcome letter.
    pub async fn welcome(&self, extension: &str) -> Person {
        self.welcome_with(extension, &[]).await
    }

    /// The same, with more options of `account add`.
    pub async fn welcome_with(&self, extension: &str, more: &[&str]) -> Person {
        let email = self.invite(extension, more).await;
        let links = self.mailbox.next_links(&email).await;
        let set = self.visitor().set_password(&links.in_office, PASSWORD).await;
        assert!(set.is_done(), "{set:?}");
        Person {
            extension: extension.to_owned(),
            email,
            password: PASSWORD.to_owned(),
        }
    }

    /// A visitor who is signed in as this person.
    pub async fn signed_in(&self, person: &Person) -> Visitor {
        let visitor = self.visitor();
        let answer = visitor.sign_in(&person.extension, &person.password).await;
        assert!(answer.is_done(), "{answer:?}");
        visitor
    }

    /// The events, newest first.
    pub async fn events(&self) -> Vec<serde_json::Value> {
        self.gateway
            .cli_json(&["event", "list", "--most", "500", "--json"])
            .await
    }

    /// Waits until an event of this name and detail is recorded.
    pub async fn event(&self, name: &str, detail: Option<&str>) -> serde_json::Value {
        eventually(&format!("the event {name} {detail:?}"), async || {
            let wanted = |event: &serde_json::Value| {
                event["name"] == name && detail.is_none_or(|detail| event["detail"] == detail)
            };
            self.events().await.into_iter().find(wanted)
        })
        .await
    }
}

/// A number that somebody who measures by hand may choose (see docs/security-figures.md).
pub fn asked(name: &str, otherwise: usize) -> usize {
    let wanted = std::env::var(name).ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Rules of the limits with these quotas, for what is laid over the test configuration.
pub fn quotas(rules: &[(&str, &str)]) -> String {
    let rule = |(name, quota): &(&str, &str)| format!("[[rule]]\nname = \"{name}\"\nquota = \"{quota}\"\n");
    rules.iter().map(rule).collect()
}

/// Polls a condition until it holds, and fails the test when it does not hold soon.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    within(SOON, what, condition).await
}

/// Polls a condition until it holds, and fails the test when that takes longer than `limit`.
pub async fn within<T>(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain for {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits for a future that must end soon.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(SOON, future).await;
    ended.unwrap_or_else(|_| panic!("waited {SOON:?} in vain for {what}"))
}

/// The time of day, for checking what the gateway claims about it.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests stand outside the gateway and have no clock handed in"
)]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
