//! A session: what a sign-in begins and a sign-out, a limit or an administrator ends.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::account::{Account, AccountId, AccountState};
use super::client::ClientAddr;
use super::token::TokenDigest;

/// The record of one sign-in. The bearer secret itself is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session in listings, events and the assertion's `sid`; opens nothing.
    pub id: SessionId,
    /// Digest of the token in the cookie.
    pub digest: TokenDigest,
    /// Whose session it is.
    pub account: AccountId,
    /// The account's generation at sign-in, or when the session was last taken along; once the account's is higher, the
    /// session is dead.
    pub generation: u64,
    /// When the person signed in.
    pub created_at: Timestamp,
    /// When the person last gave the password in this session (`auth_time`): at sign-in, or again for a sensitive act.
    pub authenticated_at: Timestamp,
    /// The last request seen, to within a minute.
    pub last_seen_at: Timestamp,
    /// Where the sign-in came from.
    pub client: ClientAddr,
    /// The browser's own words about itself, cut to a bounded length.
    pub user_agent: String,
}

/// Names a session without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// From a fresh UUID (version 7).
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// From its textual form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Without any request.
    pub idle: Duration,
    /// In all; nothing slides this one.
    pub absolute: Duration,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self {
            idle: Duration::from_hours(8),
            absolute: Duration::from_hours(168),
        }
    }
}

/// How long requests may be on their way that a browser sent before it heard of a session's new token.
pub const IN_FLIGHT: Duration = Duration::from_secs(5);

/// What a session is worth at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Opens the door.
    Live,
    /// No request for too long.
    Idle,
    /// Reached its absolute limit.
    Expired,
    /// The account ended all sessions begun before: disabled, password changed, signed out everywhere.
    Ended,
}

impl Session {
    /// Judges the session against its account and the clock. `last_seen` may be fresher than the record's.
    pub fn state_at(
        &self,
        now: Timestamp,
        last_seen: Timestamp,
        account: &Account,
        lifetime: Lifetime,
    ) -> SessionState {
        if account.state != AccountState::Active || account.generation != self.generation || account.id != self.account
        {
            return SessionState::Ended;
        }
        // A clock set back must not keep anything open: a session from the future counts as expired.
        if outlived(self.created_at, now, lifetime.absolute) || self.created_at > later(now, CLOCK_SLACK) {
            return SessionState::Expired;
        }
        if outlived(last_seen, now, lifetime.idle) {
            SessionState::Idle
        } else {
            SessionState::Live
        }
    }
}

/// A clock may be stepped back this far by time synchronisation without ending sessions.
const CLOCK_SLACK: Duration = Duration::from_hours(2);

/// Whether `limit` has gone by since then.
pub fn outlived(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    now >= later(since, limit)
}

/// `at + by`, clamped to the end of time.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `at - by`, clamped to the beginning of time.
pub fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_sub(by).ok())
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::account::{Extension, Role};
    use super::super::language::Language;
    use super::*;

    pub(crate) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    pub(crate) fn account() -> Account {
        Account {
            id: AccountId::new(Uuid::from_u128(1)),
            extension: Extension::parse("101").unwrap(),
            name: "Yuki Tanaka".into(),
            email: None,
            role: Role::User,
            groups: vec!["sales".into()],
            language: Language::Ja,
            state: AccountState::Active,
            generation: 1,
            created_at: at(0),
            updated_at: at(0),
        }
    }

    pub(crate) fn session() -> Session {
        Session {
            id: SessionId::new(Uuid::from_u128(2)),
            digest: TokenDigest::from_bytes([3; 32]),
            account: account().id,
            generation: 1,
            created_at: at(0),
            authenticated_at: at(0),
            last_seen_at: at(0),
            client: ClientAddr::new("192.0.2.1".parse().unwrap()),
            user_agent: String::new(),
        }
    }

    const LIFETIME: Lifetime = Lifetime {
        idle: Duration::from_mins(1),
        absolute: Duration::from_mins(10),
    };

    fn state(now: i64, seen: i64, account: &Account) -> SessionState {
        session().state_at(at(now), at(seen), account, LIFETIME)
    }

    #[test]
    fn a_session_idles_out_and_activity_keeps_it() {
        assert_eq!(state(59, 0, &account()), SessionState::Live);
        assert_eq!(state(60, 0, &account()), SessionState::Idle);
        assert_eq!(state(100, 50, &account()), SessionState::Live);
    }

    #[test]
    fn nothing_slides_the_absolute_limit() {
        assert_eq!(state(599, 598, &account()), SessionState::Live);
        assert_eq!(state(600, 599, &account()), SessionState::Expired);
    }

    #[test]
    fn a_disabled_account_or_a_newer_generation_ends_the_session() {
        let disabled = Account {
            state: AccountState::Disabled,
            ..account()
        };
        assert_eq!(state(1, 0, &disabled), SessionState::Ended);
        let changed = Account {
            generation: 2,
            ..account()
        };
        assert_eq!(state(1, 0, &changed), SessionState::Ended);
    }

    #[test]
    fn a_session_from_the_future_opens_nothing() {
        assert_eq!(state(-3 * 3600, 0, &account()), SessionState::Expired);
        assert_eq!(
            state(-30, 0, &account()),
            SessionState::Live,
            "a small step back of the clock"
        );
    }
}
