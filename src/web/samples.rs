//! Every page with sample data: what a theme is tried with before anybody sees it.

use std::collections::BTreeMap;

use minijinja::{Environment, Value, context};

/// A page as it might be shown.
pub(super) struct Sample {
    /// The template.
    pub template: &'static str,
    /// What it shows.
    pub content: Value,
    /// Whether something was wrong.
    pub problem: bool,
    /// The fields its form must have.
    pub fields: &'static [&'static str],
}

impl Sample {
    const fn new(template: &'static str, content: Value, problem: bool, fields: &'static [&'static str]) -> Self {
        Self {
            template,
            content,
            problem,
            fields,
        }
    }

    /// What the layout needs of a request.
    pub(super) fn frame(&self) -> Value {
        context! {
            lang => "en",
            languages => [
                context! { tag => "en", name => "English", href => "/?lang=en", current => true },
                context! { tag => "ja", name => "日本語", href => "/?lang=ja", current => false },
            ],
            form_token => "sample-token",
            problem => self.problem.then(problem),
            request_id => "sample-request",
        }
    }

    /// Everything the template can name.
    pub(super) fn names(&self, environment: &Environment<'_>) -> BTreeMap<String, Value> {
        let mut names = BTreeMap::new();
        for values in [&self.content, &self.frame()] {
            for key in values.try_iter().into_iter().flatten() {
                let value = values.get_item(&key).unwrap_or(Value::UNDEFINED);
                names.insert(key.to_string(), value);
            }
        }
        for (name, value) in environment.globals() {
            if ["brand", "routes", "assets"].contains(&name) {
                names.insert(name.to_owned(), value);
            }
        }
        names
    }
}

fn problem() -> Value {
    context! {
        name => "sample",
        title => "A problem",
        detail => "What to do about it.",
        field => "password",
        state => "used",
        purpose => "reset",
        status => 403,
    }
}

/// All pages, each as it is when all is well and when something was wrong.
pub(super) fn samples() -> Vec<Sample> {
    let rules = context! { min_chars => 12, min_score => 3, all_kinds => true, words => "Yuki Tanaka 101" };
    let session = |current: bool| {
        context! {
            id => "0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01",
            browser => current.then_some("Firefox"),
            system => "Linux",
            address => "192.0.2.1",
            current,
            used_unit => "minutes",
            used_count => 5,
            since_unit => "days",
            since_count => 2,
        }
    };
    let mut samples = vec![
        Sample::new("forgot_password_sent.html", context! {}, false, &[]),
        Sample::new("link.html", context! {}, true, &[]),
        Sample::new("failure.html", context! { retry => "/calls" }, true, &[]),
        Sample::new("circle.html", context! { retry => "/calls" }, true, &[]),
        Sample::new("signed_in.html", context! {}, false, &[]),
    ];
    for wrong in [false, true] {
        let notice = |text: &'static str| (!wrong).then_some(text);
        samples.extend([
            Sample::new(
                "login.html",
                context! {
                    typed => "101",
                    return_to => "/",
                    notice => notice("signed-out"),
                    without_cookie => wrong,
                    unlockable => wrong,
                },
                wrong,
                &["token", "return_to", "login", "password"],
            ),
            Sample::new(
                "unlock.html",
                context! { name => "Yuki Tanaka", extension => "101" },
                wrong,
                &["token"],
            ),
            Sample::new(
                "logout.html",
                context! { name => "Yuki Tanaka", extension => "101" },
                wrong,
                &["token"],
            ),
            Sample::new(
                "forgot_password.html",
                context! { typed => "yuki@example.com" },
                wrong,
                &["token", "email"],
            ),
            Sample::new(
                "set_password.html",
                context! {
                    name => "Yuki Tanaka",
                    extension => "101",
                    purpose => if wrong { "reset" } else { "welcome" },
                    rules => rules.clone(),
                },
                wrong,
                &["token", "password", "confirmation"],
            ),
            Sample::new(
                "account.html",
                context! {
                    name => "Yuki Tanaka",
                    extension => "101",
                    email => "yuki@example.com",
                    language => "en",
                    sessions => [session(true), session(false)],
                    rules => rules.clone(),
                    notice => notice("password-changed"),
                },
                wrong,
                &[
                    "token",
                    "session",
                    "old_password",
                    "password",
                    "confirmation",
                    "language",
                ],
            ),
            Sample::new(
                "confirm.html",
                context! {
                    action => "/.sekisho/account/sessions/end",
                    session => "0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01",
                    extension => "101",
                    fresh_minutes => 10,
                },
                wrong,
                &["token", "session", "password"],
            ),
        ]);
    }
    samples
}
