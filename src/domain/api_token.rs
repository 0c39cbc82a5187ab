//! An API token: the right of a program to use a part of the web client, named, bounded and until a day. The bearer
//! secret itself is not part of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::client::ClientAddr;
use super::event::Actor;
use super::rule::Asked;
use super::scope::{self, Scope};
use super::session::later;
use super::target::RequestPath;
use super::token::TokenDigest;

/// The record of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Names the token for ever; opens nothing.
    pub id: ApiTokenId,
    /// What people call it. Of the tokens that are not revoked one has it.
    pub name: ApiTokenName,
    /// Digest of the secret.
    pub digest: TokenDigest,
    /// What it may be used for; beyond it, it opens nothing, whatever the rules say.
    pub scopes: Vec<Scope>,
    /// The groups it counts as a member of.
    pub groups: Vec<String>,
    /// Who made it.
    pub created_by: Actor,
    /// When.
    pub created_at: Timestamp,
    /// From then on it opens nothing.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The last use seen, to within a minute.
    pub used: Option<LastUse>,
}

/// When and from where a token was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub client: ClientAddr,
}

/// What a token is worth at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiTokenState {
    /// Opens what it is for.
    Live,
    /// Its day has come.
    Expired,
    /// An operator took it back.
    Revoked,
}

impl ApiTokenState {
    /// The stable name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A clock may be stepped back this far by time synchronisation without ending tokens.
const CLOCK_SLACK: Duration = Duration::from_hours(2);

impl ApiToken {
    /// The longest life: a forgotten token ends by itself.
    pub const MAX_LIFE: Duration = Duration::from_hours(366 * 24);

    /// The most scopes of one token.
    pub const MAX_SCOPES: usize = 32;

    /// Judges it against the clock.
    pub fn state_at(&self, now: Timestamp) -> ApiTokenState {
        let ends = self.expires_at.min(later(self.created_at, Self::MAX_LIFE));
        if self.revoked_at.is_some() {
            ApiTokenState::Revoked
        } else if now >= ends || self.created_at > later(now, CLOCK_SLACK) {
            // A clock set back must not keep anything open: a token from the future counts as expired.
            ApiTokenState::Expired
        } else {
            ApiTokenState::Live
        }
    }

    /// When it ended or ends.
    pub fn ends_at(&self) -> Timestamp {
        self.revoked_at
            .map_or(self.expires_at, |revoked| revoked.min(self.expires_at))
    }

    /// Whether it may be used for this request, whatever way the web client reads that.
    pub fn is_for(&self, path: &RequestPath<'_>, asked: &Asked<'_>) -> bool {
        scope::hold(&self.scopes, path, asked)
    }

    /// Who the web client is told is asking. No person's id has this form.
    pub fn subject(&self) -> String {
        format!("svc:{}", self.id)
    }
}

/// Names a token for ever without opening anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ApiTokenId(Uuid);

impl ApiTokenId {
    /// From a fresh UUID (version 7).
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// From its textual form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }
}

impl fmt::Display for ApiTokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What people call a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ApiTokenName(Arc<str>);

impl ApiTokenName {
    /// The longest name, in bytes: shorter than any id.
    const MAX_BYTES: usize = 30;

    /// Reads a name.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || text.len() > Self::MAX_BYTES || !text.bytes().all(plain) {
            return Err(
                "the name of a token is made of lower-case letters, digits, hyphens and dots, at most 30, and starts \
                 with a letter",
            );
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiTokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::session::tests::at;
    use super::*;

    pub(crate) fn token(name: &str, scopes: &[&str]) -> ApiToken {
        ApiToken {
            id: ApiTokenId::new(Uuid::from_u128(0xa1)),
            name: ApiTokenName::parse(name).unwrap(),
            digest: TokenDigest::from_bytes([9; 32]),
            scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
            groups: Vec::new(),
            created_by: Actor::Operator,
            created_at: at(0),
            expires_at: at(1000),
            revoked_at: None,
            used: None,
        }
    }

    #[test]
    fn a_token_opens_until_its_day_or_until_it_is_revoked() {
        let token = token("reports", &["/api/*"]);
        assert_eq!(token.state_at(at(0)), ApiTokenState::Live);
        assert_eq!(token.state_at(at(999)), ApiTokenState::Live);
        assert_eq!(token.state_at(at(1000)), ApiTokenState::Expired);
        assert_eq!(
            token.state_at(at(-30)),
            ApiTokenState::Live,
            "a small step of the clock"
        );
        assert_eq!(token.state_at(at(-3 * 3600)), ApiTokenState::Expired);
        let revoked = ApiToken {
            revoked_at: Some(at(500)),
            ..token.clone()
        };
        assert_eq!(revoked.state_at(at(1)), ApiTokenState::Revoked);
        assert_eq!((token.ends_at(), revoked.ends_at()), (at(1000), at(500)));
    }

    #[test]
    fn no_stored_day_makes_a_token_live_for_longer_than_any_may() {
        let token = ApiToken {
            expires_at: Timestamp::MAX,
            ..token("reports", &["/api/*"])
        };
        assert_eq!(token.state_at(at(365 * 86400)), ApiTokenState::Live);
        assert_eq!(token.state_at(at(366 * 86400)), ApiTokenState::Expired);
    }

    #[test]
    fn a_name_is_plain_and_never_an_id() {
        for good in ["a", "reports", "ci-1.nightly"] {
            assert_eq!(ApiTokenName::parse(good).unwrap().as_str(), good);
        }
        let id = Uuid::from_u128(u128::MAX);
        for bad in [
            "",
            "Reports",
            "1a",
            "-a",
            "a b",
            "a,b",
            "日報",
            &id.to_string(),
            &id.simple().to_string(),
        ] {
            assert!(ApiTokenName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_program_is_never_taken_for_a_person() {
        let subject = token("reports", &[]).subject();
        assert!(subject.starts_with("svc:"), "{subject}");
        assert!(super::super::account::AccountId::parse(&subject).is_none());
        assert!(super::super::account::Extension::parse(&subject).is_err());
    }
}
