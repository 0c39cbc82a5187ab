//! How the inbox looks: the templates of the page and what they are given.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::{Environment, Error, HtmlEscape, UndefinedBehavior, Value, context};
use serde::Deserialize;

use super::message::Message;

/// Renders the pages.
pub(super) struct Page {
    templates: Environment<'static>,
    smtp: SocketAddr,
    zone: TimeZone,
}

/// Which side of a letter is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    Html,
    Text,
    Source,
}

impl View {
    /// As in the query of the page's address.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Text => "text",
            Self::Source => "source",
        }
    }
}

impl Page {
    pub(super) fn new(smtp: SocketAddr) -> Self {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.add_filter("linked", linked);
        for (name, source) in [
            ("inbox.html", include_str!("page/inbox.html")),
            ("list.html", include_str!("page/list.html")),
        ] {
            if let Err(error) = templates.add_template(name, source) {
                tracing::error!(%error, name, "a template of the mail catcher does not parse");
            }
        }
        Self {
            templates,
            smtp,
            zone: TimeZone::system(),
        }
    }

    /// The inbox with no letter open.
    pub(super) fn inbox(&self, messages: &[Arc<Message>]) -> Result<String, Error> {
        self.render("inbox.html", context! { open => (), ..self.listing(messages, None) })
    }

    /// The list alone, for the script that keeps it fresh.
    pub(super) fn list(&self, messages: &[Arc<Message>], selected: Option<u64>) -> Result<String, Error> {
        self.render("list.html", self.listing(messages, selected))
    }

    /// The inbox with a letter open, from the asked side or the best one it has.
    pub(super) fn message(
        &self,
        messages: &[Arc<Message>],
        message: &Message,
        view: Option<View>,
    ) -> Result<String, Error> {
        let mut views = Vec::new();
        views.extend(message.html.is_some().then_some(View::Html));
        views.extend(message.text.is_some().then_some(View::Text));
        views.push(View::Source);
        let view = view.filter(|view| views.contains(view)).unwrap_or(views[0]);
        let open = context! {
            id => message.id,
            subject => subject(message),
            lang => language_of(&message.subject),
            sender => &message.sender,
            to => message.to.join(", "),
            date => message.date.map(|date| self.local(date, "%A, %-d %B %Y, %H:%M:%S (UTC%:z)")),
            view => view.as_str(),
            views => views.iter().map(|view| view.as_str()).collect::<Vec<_>>(),
            text => &message.text,
            text_lang => language_of(message.text.as_deref().unwrap_or_default()),
            source => (view == View::Source).then(|| String::from_utf8_lossy(&message.raw)),
        };
        self.render(
            "inbox.html",
            context! { open, ..self.listing(messages, Some(message.id)) },
        )
    }

    fn listing(&self, messages: &[Arc<Message>], selected: Option<u64>) -> Value {
        let rows: Vec<Value> = messages
            .iter()
            .rev()
            .map(|message| {
                context! {
                    id => message.id,
                    subject => subject(message),
                    lang => language_of(&message.subject),
                    to => message.to.join(", "),
                    date => message.date.map(|date| self.local(date, "%-d %b, %H:%M")),
                    selected => Some(message.id) == selected,
                }
            })
            .collect();
        context! { rows, selected, smtp => self.smtp.to_string() }
    }

    fn local(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }

    fn render(&self, name: &str, facts: Value) -> Result<String, Error> {
        self.templates.get_template(name)?.render(facts)
    }
}

fn subject(message: &Message) -> &str {
    if message.subject.is_empty() {
        "(no subject)"
    } else {
        &message.subject
    }
}

/// `ja` where kana shows it, so that kanji are not drawn in their Chinese shapes.
fn language_of(text: &str) -> &'static str {
    if text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}')) {
        "ja"
    } else {
        ""
    }
}

/// Text as HTML, with its addresses made into links.
fn linked(text: &str) -> Value {
    let mut html = String::with_capacity(text.len() * 2);
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let address = HtmlEscape(word).to_string();
        if word.starts_with("https://") || word.starts_with("http://") {
            html.extend([
                "<a target=\"_blank\" rel=\"noopener noreferrer\" href=\"",
                &address,
                "\">",
                &address,
                "</a>",
            ]);
        } else {
            html.push_str(&address);
        }
        html.push_str(&piece[word.len()..]);
    }
    Value::from_safe_string(html)
}
