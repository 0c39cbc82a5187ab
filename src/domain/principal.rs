//! The authenticated party of a request, and what is remembered about it between requests.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::account::Account;
use super::passes::Passes;
use super::session::{Lifetime, Session, SessionState};

/// Who is asking, since when and how strongly: a live session and its account.
///
/// One `Principal` is shared by all requests of a session, so it also holds what those requests
/// may reuse: the time last seen and, for each audience, the assertion last signed.
#[derive(Debug)]
pub struct Principal {
    /// The session the request presented.
    pub session: Session,
    /// Its account.
    pub account: Account,
    last_seen_ms: AtomicI64,
    recorded_ms: AtomicI64,
    reach: u64,
    passes: Passes,
}

impl Principal {
    /// From what the store holds.
    pub fn new(session: Session, account: Account) -> Self {
        let seen = session.last_seen_at.as_millisecond();
        Self {
            session,
            reach: reach(&account),
            account,
            last_seen_ms: AtomicI64::new(seen),
            recorded_ms: AtomicI64::new(seen),
            passes: Passes::default(),
        }
    }

    /// What the session is worth now.
    pub fn state_at(&self, now: Timestamp, lifetime: Lifetime) -> SessionState {
        self.session.state_at(now, self.last_seen(), &self.account, lifetime)
    }

    /// The last request seen, whether or not the store has heard of it yet.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millisecond(self.last_seen_ms.load(Ordering::Relaxed)).unwrap_or(self.session.last_seen_at)
    }

    /// Notes a request. Answers `true` when the store's record is older than `record_every` and this
    /// caller is the one to refresh it.
    pub fn see(&self, now: Timestamp, record_every: Duration) -> bool {
        let now = now.as_millisecond();
        self.last_seen_ms.fetch_max(now, Ordering::Relaxed);
        let recorded = self.recorded_ms.load(Ordering::Relaxed);
        let every = i64::try_from(record_every.as_millis()).unwrap_or(i64::MAX);
        now.saturating_sub(recorded) >= every
            && self
                .recorded_ms
                .compare_exchange(recorded, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// A number that is another one once the account's role or groups are others, in whatever order they are written. Within
    /// one process; it is stored nowhere.
    pub const fn reach(&self) -> u64 {
        self.reach
    }

    /// The assertions that its requests may reuse.
    pub const fn passes(&self) -> &Passes {
        &self.passes
    }
}

fn reach(account: &Account) -> u64 {
    let mut hasher = DefaultHasher::new();
    let groups: BTreeSet<&String> = account.groups.iter().collect();
    (account.role, groups).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::{account, at, session};
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_session_is_recorded_at_most_once_a_minute() {
        let principal = Principal::new(session(), account());
        assert!(!principal.see(at(59), MINUTE));
        assert!(principal.see(at(60), MINUTE));
        assert!(!principal.see(at(61), MINUTE));
        assert!(principal.see(at(120), MINUTE));
    }

    #[test]
    fn being_seen_postpones_the_idle_limit() {
        let principal = Principal::new(session(), account());
        let lifetime = Lifetime {
            idle: MINUTE,
            absolute: 10 * MINUTE,
        };
        principal.see(at(50), MINUTE);
        assert_eq!(principal.state_at(at(100), lifetime), SessionState::Live);
        assert_eq!(principal.state_at(at(110), lifetime), SessionState::Idle);
    }

    #[test]
    fn groups_in_another_order_are_the_same_groups() {
        let with = |groups: &[&str]| Account {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..account()
        };
        assert_eq!(reach(&with(&["it", "all"])), reach(&with(&["all", "it"])));
        assert_ne!(reach(&with(&["it", "all"])), reach(&with(&["all"])));
    }
}
