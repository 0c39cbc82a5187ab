//! What letters say: text and HTML in English and Japanese, rendered from the templates beside this
//! file. Separate from sending, so that every letter can be read, tested and changed without a server.

pub(in crate::mail) mod phrase;
mod sample;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::config::{Branding, Routes};
use crate::domain::browser::Browser;
use crate::domain::doors::Doors;
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::site::SiteName;
use crate::domain::token::TicketToken;
use crate::domain::unlock;
use crate::ports::{Alert, Content, Reader};

pub use sample::KINDS;

/// Templates of a theme, by file name; those left out stay ours.
pub type Templates = BTreeMap<String, String>;

/// Writes letters. Links are built from the configured doors and routes and from nothing else.
pub struct LetterPress {
    templates: Environment<'static>,
    brand: String,
    accent: String,
    support: Option<String>,
    doors: Doors,
    sites: BTreeMap<SiteName, Doors>,
    login: String,
    set_password: String,
    zone: TimeZone,
}

/// A letter, ready to be put into an envelope. It may hold a live token, so it does not print itself.
pub struct Written {
    /// One line.
    pub subject: String,
    /// For readers without HTML, and for people who prefer it.
    pub text: String,
    /// A whole HTML document.
    pub html: String,
}

/// Steps that writing a letter may take, far more than ours need: a theme that loops for ever is refused by its check.
const FUEL: u64 = 200_000;

/// The most other attacks that a letter about one of them names.
const MOST_OTHERS: usize = 20;

impl LetterPress {
    /// Loads the templates, those of a theme in the place of ours. `zone` is the time zone in which letters tell the
    /// time.
    ///
    /// # Errors
    /// When a template does not parse: of ours, the tests of this module rule that out.
    pub fn new(
        branding: &Branding,
        doors: Doors,
        routes: &Routes,
        zone: TimeZone,
        theme: &Templates,
    ) -> Result<Self, Fault> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        // Errors of the debug mode quote the values in scope, and a token may be among them.
        templates.set_debug(false);
        templates.add_filter("link", link);
        for (name, source) in TEMPLATES {
            let source = theme.get(name).map_or(source, String::as_str).to_owned();
            templates
                .add_template_owned(name, source)
                .map_err(|error| Fault::corrupt(format!("letters/{name}"), error))?;
        }
        Ok(Self {
            templates,
            brand: phrase::one_line(&branding.name),
            accent: branding.accent.clone(),
            support: branding.support.as_deref().map(phrase::one_line),
            doors,
            sites: BTreeMap::new(),
            login: routes.login.clone(),
            set_password: routes.set_password.clone(),
            zone,
        })
    }

    /// The doors of sites beside the main one.
    #[must_use]
    pub fn with_sites(mut self, sites: BTreeMap<SiteName, Doors>) -> Self {
        self.sites = sites;
        self
    }

    /// Our own templates, by file name.
    pub fn built_in() -> Vec<(&'static str, &'static str)> {
        TEMPLATES.to_vec()
    }

    fn source(&self, name: &str) -> String {
        let template = self.templates.get_template(name);
        template
            .map(|template| template.source().to_owned())
            .unwrap_or_default()
    }

    /// The product's name, as letters are signed.
    pub fn brand(&self) -> &str {
        &self.brand
    }

    /// Writes one letter in the reader's language, with links through the doors of this site; of the main one where
    /// none is named, or none of this name is configured any more.
    ///
    /// # Errors
    /// When a template asks for something it was not given.
    pub fn write<'a>(
        &self,
        reader: impl Into<Reader<'a>>,
        content: &Content<'_>,
        site: Option<&SiteName>,
    ) -> Result<Written, Fault> {
        let reader = reader.into();
        let language = reader.language;
        let doors = site.and_then(|site| self.sites.get(site)).unwrap_or(&self.doors);
        let (kind, facts) = match content {
            Content::Welcome { token, life } => ("welcome", self.invitation(doors, token, language, *life)),
            Content::Reset { token, life } => ("reset", self.invitation(doors, token, language, *life)),
            Content::PasswordChanged { at } => ("password_changed", self.notice(doors, *at, language)),
            Content::NewDevice { at, client, user_agent } => {
                let device = phrase::device(language, Browser::of(user_agent));
                let facts = context! { device, address => client.to_string(), ..self.notice(doors, *at, language) };
                ("new_device", facts)
            }
            Content::EmailChanged { at, current } => {
                // Told to the owner all the same, but without the way to a sign-in that is closed.
                let disabled = reader.disabled;
                let facts = context! { current, disabled, ..self.notice(doors, *at, language) };
                ("email_changed", facts)
            }
            Content::AccountUnlocked { at } => ("account_unlocked", self.notice(doors, *at, language)),
            Content::NewPassword { token, life, at } => {
                let when = phrase::moment(language, *at, &self.zone);
                let facts = context! { when, ..self.invitation(doors, token, language, *life) };
                ("new_password", facts)
            }
            Content::Campaign(alert) => ("campaign", self.alert(alert, language)),
            Content::BrowserUnlock {
                token,
                life,
                at,
                client,
            } => {
                let path = format!("{}?ticket={}", unlock::PATH, token.expose());
                let facts = context! {
                    life => phrase::duration(language, *life),
                    when => phrase::moment(language, *at, &self.zone),
                    address => client.to_string(),
                    ..links(doors, &path)
                };
                ("browser_unlock", facts)
            }
        };
        let common = self.common(&reader);
        let plain = self.render(
            &format!("{kind}.{language}.txt"),
            &context! { ..facts.clone(), ..common.clone() },
        )?;
        let (subject, text) = split_subject(&plain);
        let html = self.render(
            &format!("{kind}.{language}.html"),
            &context! { subject, ..context! { ..facts, ..common } },
        )?;
        Ok(Written {
            subject: subject.to_owned(),
            text: text.to_owned(),
            html,
        })
    }

    /// What every letter may mention.
    fn common(&self, reader: &Reader<'_>) -> Value {
        let name = phrase::one_line(reader.name);
        let extension = reader.extension;
        context! {
            lang => reader.language.tag(),
            brand => &self.brand,
            accent => &self.accent,
            ink => phrase::ink_on(&self.accent),
            support => &self.support,
            name => if name.is_empty() { extension } else { &name },
            extension,
        }
    }

    /// The two links that carry the right to set a password.
    fn invitation(&self, doors: &Doors, token: &TicketToken, language: Language, life: std::time::Duration) -> Value {
        let path = format!("{}?ticket={}", self.set_password, token.expose());
        context! { life => phrase::duration(language, life), ..links(doors, &path) }
    }

    /// What happened when, with the way to the sign-in page. No token.
    fn notice(&self, doors: &Doors, at: Timestamp, language: Language) -> Value {
        context! { when => phrase::moment(language, at, &self.zone), ..links(doors, &self.login) }
    }

    /// An attack in figures, and where it got in. No link: what is to be done is done at the gateway's machine.
    fn alert(&self, alert: &Alert<'_>, language: Language) -> Value {
        let campaign = alert.campaign;
        let moment = |at| phrase::moment(language, at, &self.zone);
        let entries: Vec<Value> = (alert.entries.iter())
            .map(|entry| {
                context! {
                    person => phrase::one_line(&entry.person),
                    when => moment(entry.at),
                    address => entry.client.to_string(),
                }
            })
            .collect();
        let others: Vec<Value> = (alert.others.iter().take(MOST_OTHERS))
            .map(|other| {
                context! {
                    id => other.id.to_string(),
                    kind => other.kind.as_str(),
                    succeeded => other.succeeded,
                    last => moment(other.last_at),
                }
            })
            .collect();
        context! {
            more_others => alert.others.len() - others.len(),
            others,
            kind => campaign.kind.as_str(),
            id => campaign.id.to_string(),
            began => moment(campaign.began_at),
            last => moment(campaign.last_at),
            under_way => campaign.is_living(),
            attempts => campaign.attempts,
            addresses => campaign.sources.addresses(),
            subnets => campaign.sources.subnets(),
            accounts => campaign.accounts.count(),
            more => campaign.succeeded.saturating_sub(entries.len() as u64),
            entries,
            closes => alert.closes,
        }
    }

    fn render(&self, name: &str, facts: &Value) -> Result<String, Fault> {
        self.templates
            .get_template(name)
            .and_then(|template| template.render(facts))
            .map_err(|error| self.broken(name, facts, &error))
    }

    /// Why a letter cannot be written, with the names its template asks for in vain. Names only: a value may be a
    /// live token.
    fn broken(&self, name: &str, facts: &Value, error: &minijinja::Error) -> Fault {
        let file = error.name().unwrap_or(name);
        let line = error.line().map_or_else(String::new, |line| format!("line {line}: "));
        let there: HashSet<String> = facts
            .try_iter()
            .into_iter()
            .flatten()
            .map(|key| key.to_string())
            .collect();
        let asked = self
            .templates
            .get_template(file)
            .map(|template| template.undeclared_variables(false));
        let mut missing: Vec<String> = asked
            .unwrap_or_default()
            .into_iter()
            .filter(|name| !there.contains(name) && !["super", "self", "loop"].contains(&name.as_str()))
            .collect();
        missing.sort();
        if missing.is_empty() {
            return Fault::corrupt(format!("letters/{file}"), format!("{line}{error}"));
        }
        let mut names: Vec<String> = there.into_iter().collect();
        names.sort();
        let (missing, names) = (missing.join(", "), names.join(", "));
        Fault::corrupt(
            format!("letters/{file}"),
            format!("{line}there is no {missing} here; there are: {names}"),
        )
    }
}

fn links(doors: &Doors, path: &str) -> Value {
    context! {
        in_office => doors.in_office.link(path),
        out_of_office => doors.out_of_office.link(path),
    }
}

/// A link as HTML: escaped, but with its slashes as they are, since the scanners of some mail servers
/// look for addresses without reading HTML.
fn link(address: &str) -> Value {
    let mut html = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#x27;"),
            c => html.push(c),
        }
    }
    Value::from_safe_string(html)
}

/// The first line of a text template is its subject.
fn split_subject(plain: &str) -> (&str, &str) {
    let (first, text) = plain.split_once('\n').unwrap_or((plain, ""));
    let subject = first.strip_prefix("Subject:").unwrap_or(first);
    (subject.trim(), text.trim_start_matches('\n'))
}

/// Each with its name; names that end in `.html` are escaped as HTML, `.txt` not at all.
const TEMPLATES: [(&str, &str); 38] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("welcome.en.txt", include_str!("templates/welcome.en.txt")),
    ("welcome.ja.txt", include_str!("templates/welcome.ja.txt")),
    ("welcome.en.html", include_str!("templates/welcome.en.html")),
    ("welcome.ja.html", include_str!("templates/welcome.ja.html")),
    ("reset.en.txt", include_str!("templates/reset.en.txt")),
    ("reset.ja.txt", include_str!("templates/reset.ja.txt")),
    ("reset.en.html", include_str!("templates/reset.en.html")),
    ("reset.ja.html", include_str!("templates/reset.ja.html")),
    (
        "password_changed.en.txt",
        include_str!("templates/password_changed.en.txt"),
    ),
    (
        "password_changed.ja.txt",
        include_str!("templates/password_changed.ja.txt"),
    ),
    (
        "password_changed.en.html",
        include_str!("templates/password_changed.en.html"),
    ),
    (
        "password_changed.ja.html",
        include_str!("templates/password_changed.ja.html"),
    ),
    ("new_device.en.txt", include_str!("templates/new_device.en.txt")),
    ("new_device.ja.txt", include_str!("templates/new_device.ja.txt")),
    ("new_device.en.html", include_str!("templates/new_device.en.html")),
    ("new_device.ja.html", include_str!("templates/new_device.ja.html")),
    ("email_changed.en.txt", include_str!("templates/email_changed.en.txt")),
    ("email_changed.ja.txt", include_str!("templates/email_changed.ja.txt")),
    ("email_changed.en.html", include_str!("templates/email_changed.en.html")),
    ("email_changed.ja.html", include_str!("templates/email_changed.ja.html")),
    (
        "account_unlocked.en.txt",
        include_str!("templates/account_unlocked.en.txt"),
    ),
    (
        "account_unlocked.ja.txt",
        include_str!("templates/account_unlocked.ja.txt"),
    ),
    (
        "account_unlocked.en.html",
        include_str!("templates/account_unlocked.en.html"),
    ),
    (
        "account_unlocked.ja.html",
        include_str!("templates/account_unlocked.ja.html"),
    ),
    ("new_password.en.txt", include_str!("templates/new_password.en.txt")),
    ("new_password.ja.txt", include_str!("templates/new_password.ja.txt")),
    ("new_password.en.html", include_str!("templates/new_password.en.html")),
    ("new_password.ja.html", include_str!("templates/new_password.ja.html")),
    ("campaign.en.txt", include_str!("templates/campaign.en.txt")),
    ("campaign.ja.txt", include_str!("templates/campaign.ja.txt")),
    ("campaign.en.html", include_str!("templates/campaign.en.html")),
    ("campaign.ja.html", include_str!("templates/campaign.ja.html")),
    ("browser_unlock.en.txt", include_str!("templates/browser_unlock.en.txt")),
    ("browser_unlock.ja.txt", include_str!("templates/browser_unlock.ja.txt")),
    (
        "browser_unlock.en.html",
        include_str!("templates/browser_unlock.en.html"),
    ),
    (
        "browser_unlock.ja.html",
        include_str!("templates/browser_unlock.ja.html"),
    ),
];
