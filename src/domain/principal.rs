//! The authenticated party of a request, and what is remembered about it between requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use jiff::Timestamp;

use super::account::Account;
use super::assertion::AssertionTerms;
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
    passes: ArcSwapOption<Vec<Pass>>,
}

/// A signed assertion, ready to be set as a header value, and how long it may be reused.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The compact JWT.
    pub jwt: Bytes,
    /// What it was signed under, the audience among it.
    pub terms: Arc<AssertionTerms>,
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
            passes: ArcSwapOption::empty(),
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

    /// The assertion last signed under these terms, while it may still be reused.
    pub fn pass_for(&self, terms: &Arc<AssertionTerms>, now: Timestamp) -> Option<Bytes> {
        let passes = self.passes.load();
        let passes = passes.as_ref()?;
        let same = |pass: &&Pass| Arc::ptr_eq(&pass.terms, terms) || pass.terms == *terms;
        let pass = passes.iter().find(same)?;
        (now < pass.refresh_at).then(|| pass.jwt.clone())
    }

    /// Remembers a freshly signed assertion, in the place of the one for the same audience and of those whose time has
    /// come: there is never more than one for each web client in use.
    pub fn keep_pass(&self, pass: &Pass, now: Timestamp) {
        self.passes.rcu(|kept| {
            let others = kept.iter().flat_map(|kept| kept.iter());
            let others = others.filter(|kept| kept.terms.audience != pass.terms.audience && now < kept.refresh_at);
            Some(Arc::new(others.chain([pass]).cloned().collect()))
        });
    }

    /// Forgets the assertions, so that the next request signs one: after a key rotation.
    pub fn drop_passes(&self) {
        self.passes.store(None);
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

    fn terms(audience: &str) -> Arc<AssertionTerms> {
        Arc::new(AssertionTerms {
            issuer: "https://door.example".into(),
            audience: audience.into(),
            life: MINUTE,
        })
    }

    fn pass(audience: &str, refresh: i64) -> Pass {
        Pass {
            jwt: Bytes::from(audience.to_owned()),
            terms: terms(audience),
            refresh_at: at(refresh),
        }
    }

    #[test]
    fn an_assertion_is_reused_for_its_audience_until_its_refresh() {
        let principal = Principal::new(session(), account());
        principal.keep_pass(&pass("phone", 30), at(0));
        assert!(principal.pass_for(&terms("phone"), at(29)).is_some());
        assert!(principal.pass_for(&terms("phone"), at(30)).is_none());
        assert!(principal.pass_for(&terms("other"), at(0)).is_none());
        let mut renamed = (*terms("phone")).clone();
        renamed.issuer.push('x');
        assert!(
            principal.pass_for(&Arc::new(renamed), at(0)).is_none(),
            "signed by another name"
        );
        principal.drop_passes();
        assert!(principal.pass_for(&terms("phone"), at(0)).is_none());
    }

    #[test]
    fn one_assertion_is_kept_for_each_audience_and_none_past_its_time() {
        let principal = Principal::new(session(), account());
        for (audience, refresh) in [("phone", 30), ("wiki", 40), ("phone", 50)] {
            principal.keep_pass(&pass(audience, refresh), at(0));
        }
        assert_eq!(principal.pass_for(&terms("wiki"), at(0)).as_deref(), Some(&b"wiki"[..]));
        assert!(principal.pass_for(&terms("phone"), at(49)).is_some());
        assert_eq!(principal.passes.load().as_ref().map(|kept| kept.len()), Some(2));
        principal.keep_pass(&pass("crm", 90), at(45));
        assert_eq!(principal.passes.load().as_ref().map(|kept| kept.len()), Some(2));
        assert!(principal.pass_for(&terms("wiki"), at(0)).is_none());
    }
}
