//! Orders: what an operator has decreed about who may try what, for a time or for ever: a ban, an exemption from the
//! limits, another policy for a while. What is in force of them is in [`Standing`].

pub mod blocklist;
mod networks;
mod standing;
mod target;

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

pub use standing::Standing;
pub use target::{Target, TargetProblem, everybody, network, overlapping, pseudonym};

/// One order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Names it for ever.
    pub id: OrderId,
    /// What is decreed.
    pub decree: Decree,
    /// Why, when that was said.
    pub reason: Option<Words>,
    /// Who gave it.
    pub author: Words,
    /// When.
    pub made_at: Timestamp,
    /// From then on it is over by itself; `None` is never.
    pub until: Option<Timestamp>,
}

/// What an order is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decree {
    /// This is kept out.
    Ban(Target),
    /// No rule of the limits counts clients from there.
    Exempt(IpNet),
    /// This policy is in force in the place of the file's.
    Apply(PolicySource),
}

/// Where a policy comes from that an operator applies for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// One of the built-in ones, by its name.
    Preset(String),
    /// The text of a file, as it was when it was applied.
    File {
        /// What the file was called.
        name: String,
        /// What was in it.
        text: String,
    },
}

impl PolicySource {
    /// What kind of source it is, and its name.
    pub const fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Preset(name) => ("preset", name.as_str()),
            Self::File { name, .. } => ("file", name.as_str()),
        }
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind} {name}")
    }
}

/// What kinds of order there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A ban.
    Ban,
    /// An exemption.
    Exemption,
    /// A policy.
    Policy,
}

impl Kind {
    /// The stable name in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Exemption => "exemption",
            Self::Policy => "policy",
        }
    }
}

impl Decree {
    /// What kind of order it makes.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Ban(_) => Kind::Ban,
            Self::Exempt(_) => Kind::Exemption,
            Self::Apply(_) => Kind::Policy,
        }
    }

    /// What it is about, in the words of the store and of events.
    pub fn subject(&self) -> String {
        match self {
            Self::Ban(target) => target.to_string(),
            Self::Exempt(network) => network.to_string(),
            Self::Apply(source) => source.to_string(),
        }
    }

    /// Whether two orders cannot be in force beside each other, so that the later one ends the earlier one.
    pub fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ban(one), Self::Ban(other)) => one == other,
            (Self::Exempt(one), Self::Exempt(other)) => one == other,
            (Self::Apply(_), Self::Apply(_)) => true,
            _ => false,
        }
    }
}

impl Order {
    /// Whether its time is over. A clock that is set back makes no order end.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// What an event says of it.
    pub fn summary(&self) -> String {
        let until = match self.until {
            Some(until) => format!("until {until}"),
            None => "for ever".to_owned(),
        };
        let because = self
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        format!("{} {until} by {}{because}", self.decree.subject(), self.author)
    }
}

/// Names an order for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct OrderId(Uuid);

impl OrderId {
    /// From a fresh UUID (version 7).
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// From its textual form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A few words that an operator typed: why, or who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Words(String);

impl Words {
    /// The most characters.
    pub const MOST_CHARS: usize = 200;

    /// Reads them.
    ///
    /// # Errors
    /// A sentence that says what they may be.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        let sound = !text.is_empty() && text.chars().count() <= Self::MOST_CHARS && !text.chars().any(char::is_control);
        if sound {
            Ok(Self(text.to_owned()))
        } else {
            Err("give 1 to 200 characters in one line, without control characters")
        }
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::session::tests::at;

    /// An order of one second, with a number for an id.
    pub(crate) fn order(number: u128, decree: Decree, until: Option<i64>) -> Order {
        Order {
            id: OrderId::new(Uuid::from_u128(number)),
            decree,
            reason: None,
            author: Words::parse("root").unwrap(),
            made_at: at(0),
            until: until.map(at),
        }
    }

    pub(crate) fn ban(number: u128, target: &str, until: Option<i64>) -> Order {
        order(number, Decree::Ban(Target::from_client(target).unwrap()), until)
    }

    #[test]
    fn an_order_is_over_at_its_time_and_one_without_never() {
        let ban = ban(1, "192.0.2.1", Some(10));
        assert!(!ban.is_over(at(9)) && ban.is_over(at(10)) && !ban.is_over(at(-100)));
        assert!(!Order { until: None, ..ban }.is_over(Timestamp::MAX));
    }

    #[test]
    fn an_order_says_what_until_when_by_whom_and_why() {
        let mut ban = ban(1, "192.0.2.1", Some(10));
        ban.reason = Some(Words::parse(" stuffing ").unwrap());
        assert_eq!(
            ban.summary(),
            format!("address 192.0.2.1 until {} by root: stuffing", at(10))
        );
        let strict = order(2, Decree::Apply(PolicySource::Preset("strict".to_owned())), None);
        assert_eq!(strict.summary(), "preset strict for ever by root");
    }

    #[test]
    fn words_stay_in_one_line() {
        assert_eq!(Words::parse(" 田中 ゆき ").unwrap().as_str(), "田中 ゆき");
        for bad in ["", "  ", "a\nb", "a\u{1b}[2J", &"x".repeat(201)] {
            assert!(Words::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_policy_excludes_another_and_a_ban_only_its_own_repetition() {
        let (one, other) = (ban(1, "192.0.2.1", None).decree, ban(2, "192.0.2.2", None).decree);
        let exempt = Decree::Exempt("192.0.2.1/32".parse().unwrap());
        let preset = |name: &str| Decree::Apply(PolicySource::Preset(name.to_owned()));
        assert!(one.excludes(&one) && !one.excludes(&other) && !one.excludes(&exempt));
        assert!(preset("strict").excludes(&preset("relaxed")) && exempt.excludes(&exempt));
    }
}
