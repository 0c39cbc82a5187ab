//! The authenticated party of a request, and what is remembered about it between requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use jiff::Timestamp;

use super::account::Account;
use super::session::{Lifetime, Session, SessionState};

/// Who is asking, since when and how strongly: a live session and its account.
///
/// One `Principal` is shared by all requests of a session, so it also holds what those requests
/// may reuse: the time last seen and the assertion last signed.
#[derive(Debug)]
pub struct Principal {
    /// The session the request presented.
    pub session: Session,
    /// Its account.
    pub account: Account,
    last_seen_ms: AtomicI64,
    recorded_ms: AtomicI64,
    pass: ArcSwapOption<Pass>,
}

/// A signed assertion, ready to be set as a header value, and how long it may be reused.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The compact JWT.
    pub jwt: Bytes,
    /// The upstream it is meant for.
    pub audience: Arc<str>,
    /// From then on a fresh one is signed.
    pub refresh_at: Timestamp,
}

impl Principal {
    /// From what the store holds.
    pub fn new(session: Session, account: Account) -> Self {
        let seen = session.last_seen_at.as_millisecond();
        Self {
            session,
            account,
            last_seen_ms: AtomicI64::new(seen),
            recorded_ms: AtomicI64::new(seen),
            pass: ArcSwapOption::empty(),
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

    /// The assertion last signed for this audience, while it may still be reused.
    pub fn pass_for(&self, audience: &str, now: Timestamp) -> Option<Bytes> {
        let pass = self.pass.load();
        let pass = pass.as_ref()?;
        (now < pass.refresh_at && &*pass.audience == audience).then(|| pass.jwt.clone())
    }

    /// Remembers a freshly signed assertion.
    pub fn keep_pass(&self, pass: Pass) {
        self.pass.store(Some(Arc::new(pass)));
    }

    /// Forgets the assertion, so that the next request signs one: after a key rotation.
    pub fn drop_pass(&self) {
        self.pass.store(None);
    }
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
    fn an_assertion_is_reused_for_its_audience_until_its_refresh() {
        let principal = Principal::new(session(), account());
        principal.keep_pass(Pass {
            jwt: Bytes::from_static(b"jwt"),
            audience: "phone".into(),
            refresh_at: at(30),
        });
        assert!(principal.pass_for("phone", at(29)).is_some());
        assert!(principal.pass_for("phone", at(30)).is_none());
        assert!(principal.pass_for("other", at(0)).is_none());
        principal.drop_pass();
        assert!(principal.pass_for("phone", at(0)).is_none());
    }
}
