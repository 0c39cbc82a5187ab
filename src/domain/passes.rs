//! Signed assertions that may serve several requests of one party.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use jiff::Timestamp;

use super::assertion::AssertionTerms;
use super::session::later;

/// For each audience, the assertion last signed.
#[derive(Debug, Default)]
pub struct Passes(ArcSwapOption<Vec<Pass>>);

/// A signed assertion, ready to be set as a header value, and how long it may be reused.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The compact JWT.
    pub jwt: Bytes,
    /// What it was signed under, the audience among it.
    pub terms: Arc<AssertionTerms>,
    /// When it was signed: nobody accepts it before.
    pub signed_at: Timestamp,
    /// From then on a fresh one is signed.
    pub refresh_at: Timestamp,
}

/// By so much two requests at once may differ about the time.
const SLACK: Duration = Duration::from_secs(1);

impl Passes {
    /// The assertion last signed under these terms, while it may still be reused. Not one that was signed by a clock which
    /// has been set back since: web clients would refuse it, or believe it for too long.
    pub fn of(&self, terms: &Arc<AssertionTerms>, now: Timestamp) -> Option<Bytes> {
        let passes = self.0.load();
        let passes = passes.as_ref()?;
        let same = |pass: &&Pass| Arc::ptr_eq(&pass.terms, terms) || pass.terms == *terms;
        let pass = passes.iter().find(same)?;
        (pass.signed_at <= later(now, SLACK) && now < pass.refresh_at).then(|| pass.jwt.clone())
    }

    /// Remembers a freshly signed assertion, in the place of the one for the same audience and of those whose time has
    /// come: there is never more than one for each web client in use.
    pub fn keep(&self, pass: &Pass, now: Timestamp) {
        self.0.rcu(|kept| {
            let others = kept.iter().flat_map(|kept| kept.iter());
            let others = others.filter(|kept| kept.terms.audience != pass.terms.audience && now < kept.refresh_at);
            Some(Arc::new(others.chain([pass]).cloned().collect()))
        });
    }

    /// Forgets the assertions, so that the next request signs one: after a key rotation.
    pub fn drop_all(&self) {
        self.0.store(None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::at;
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

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
            signed_at: at(0),
            refresh_at: at(refresh),
        }
    }

    #[test]
    fn an_assertion_is_reused_for_its_audience_until_its_refresh() {
        let passes = Passes::default();
        passes.keep(&pass("phone", 30), at(0));
        assert!(passes.of(&terms("phone"), at(29)).is_some());
        assert!(passes.of(&terms("phone"), at(30)).is_none());
        assert!(passes.of(&terms("other"), at(0)).is_none());
        let mut renamed = (*terms("phone")).clone();
        renamed.issuer.push('x');
        assert!(passes.of(&Arc::new(renamed), at(0)).is_none(), "signed by another name");
        passes.drop_all();
        assert!(passes.of(&terms("phone"), at(0)).is_none());
    }

    #[test]
    fn an_assertion_from_a_clock_that_was_ahead_is_not_reused_once_that_is_set_back() {
        let passes = Passes::default();
        let ahead = Pass {
            signed_at: at(600),
            ..pass("phone", 630)
        };
        passes.keep(&ahead, at(600));
        assert!(passes.of(&terms("phone"), at(600)).is_some());
        assert!(passes.of(&terms("phone"), at(599)).is_some(), "another request");
        assert!(passes.of(&terms("phone"), at(598)).is_none());
        passes.keep(&pass("phone", 30), at(0));
        assert!(passes.of(&terms("phone"), at(0)).is_some(), "in its place");
    }

    #[test]
    fn one_assertion_is_kept_for_each_audience_and_none_past_its_time() {
        let passes = Passes::default();
        for (audience, refresh) in [("phone", 30), ("wiki", 40), ("phone", 50)] {
            passes.keep(&pass(audience, refresh), at(0));
        }
        assert_eq!(passes.of(&terms("wiki"), at(0)).as_deref(), Some(&b"wiki"[..]));
        assert!(passes.of(&terms("phone"), at(49)).is_some());
        assert_eq!(passes.0.load().as_ref().map(|kept| kept.len()), Some(2));
        passes.keep(&pass("crm", 90), at(45));
        assert_eq!(passes.0.load().as_ref().map(|kept| kept.len()), Some(2));
        assert!(passes.of(&terms("wiki"), at(0)).is_none());
    }
}
