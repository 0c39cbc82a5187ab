//! What another mail server reports about a letter after ours had taken it (RFC 3464), and what came of such a report.

use std::fmt;

use jiff::Timestamp;

use super::outbox::LetterId;

/// What one message to the return address of letters turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A report about this letter.
    About(LetterId, Report),
    /// Nothing that a letter could be told by.
    Ignored(Ignored),
}

/// A report about one letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What became of the letter.
    pub action: Action,
    /// The code that the remote server gave, when it gave one.
    pub status: Option<StatusCode>,
    /// The remote server's words, in one bounded line.
    pub words: Option<String>,
}

impl Report {
    /// Whether mail to the address is refused for good. A server that stopped trying after days (4.x.x) has not said
    /// so, and what says nothing but that it failed has.
    pub fn is_permanent(&self) -> bool {
        self.action == Action::Failed && self.status.is_none_or(StatusCode::is_permanent)
    }
}

/// What became of a letter on its further way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It will not arrive.
    Failed,
    /// It is late; the remote server goes on trying.
    Delayed,
    /// It has arrived, or was handed on to where nothing is reported from.
    Delivered,
}

impl Action {
    /// The stable name in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
        }
    }

    /// The opposite of [`Action::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Failed, Self::Delayed, Self::Delivered]
            .into_iter()
            .find(|action| action.as_str() == text)
    }
}

/// An enhanced status code (RFC 3463): `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusCode {
    class: u8,
    subject: u16,
    detail: u16,
}

impl StatusCode {
    /// Reads `2.x.x`, `4.x.x` or `5.x.x`, each part with at most three digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut number = || {
            let part = parts.next()?;
            let plain = matches!(part.len(), 1..=3) && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse::<u16>().ok()).flatten()
        };
        let (class, subject, detail) = (number()?, number()?, number()?);
        (parts.next().is_none() && matches!(class, 2 | 4 | 5)).then_some(Self {
            class: u8::try_from(class).ok()?,
            subject,
            detail,
        })
    }

    /// Whether trying again is pointless (class 5).
    pub const fn is_permanent(self) -> bool {
        self.class == 5
    }

    /// Whether nothing is wrong (class 2).
    pub const fn is_success(self) -> bool {
        self.class == 2
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A report as it is kept with its letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// What it said.
    pub report: Report,
    /// When it came in.
    pub at: Timestamp,
}

/// An address to which mail bounces for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadAddress {
    /// The address, as addresses are compared.
    pub key: String,
    /// The newest report about it.
    pub bounce: Bounce,
}

/// Why a message to the return address was not believed, or told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ignored {
    /// No recipient of it is a return address of a letter.
    Untagged,
    /// It names a letter in a way that was not made here: forged, altered or cut.
    Forged,
    /// Somebody's answer, written by a person or by a machine, and no bounce.
    Answer,
    /// The letter it is about is not kept any more, or was never handed over.
    Unknown,
}

impl Ignored {
    /// Every reason there is.
    pub const ALL: [Self; 4] = [Self::Untagged, Self::Forged, Self::Answer, Self::Unknown];

    /// The stable name in the store and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untagged => "untagged",
            Self::Forged => "forged",
            Self::Answer => "answer",
            Self::Unknown => "unknown",
        }
    }

    /// The opposite of [`Ignored::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_code_reads_back_and_nothing_else_is_one() {
        for text in ["5.1.1", "4.4.7", "2.0.0", "5.7.509"] {
            assert_eq!(StatusCode::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "", "5", "5.1", "5.1.1.1", "3.1.1", "5.1.1000", "5..1", "5.1.x", "+5.1.1", "550",
        ] {
            assert_eq!(StatusCode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_failure_is_permanent_unless_the_remote_server_merely_stopped_trying() {
        let report = |action, status: Option<&str>| Report {
            action,
            status: status.map(|text| StatusCode::parse(text).unwrap()),
            words: None,
        };
        assert!(report(Action::Failed, Some("5.1.1")).is_permanent());
        assert!(report(Action::Failed, None).is_permanent());
        assert!(!report(Action::Failed, Some("4.4.7")).is_permanent());
        assert!(!report(Action::Delayed, Some("5.1.1")).is_permanent());
        assert!(!report(Action::Delivered, None).is_permanent());
    }
}
