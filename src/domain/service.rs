//! A program that asks with a live API token, and what is remembered about it between requests.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::api_token::ApiToken;
use super::passes::Passes;

/// A program. It is no person: no page of the gateway's own knows it, and what its token is not for is closed to it.
///
/// One `Service` is shared by all requests with a token.
#[derive(Debug)]
pub struct Service {
    /// Its token.
    pub token: ApiToken,
    recorded_ms: AtomicI64,
    passes: Passes,
}

impl Service {
    /// From what the store holds.
    pub fn new(token: ApiToken) -> Self {
        let recorded = token.used.map_or(i64::MIN, |used| used.at.as_millisecond());
        Self {
            token,
            recorded_ms: AtomicI64::new(recorded),
            passes: Passes::default(),
        }
    }

    /// Notes a request. Answers `true` when the store's record is older than `record_every` and this caller is the one
    /// to refresh it.
    pub fn see(&self, now: Timestamp, record_every: Duration) -> bool {
        let now = now.as_millisecond();
        let recorded = self.recorded_ms.load(Ordering::Relaxed);
        let every = i64::try_from(record_every.as_millis()).unwrap_or(i64::MAX);
        now.saturating_sub(recorded) >= every
            && self
                .recorded_ms
                .compare_exchange(recorded, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// The assertions that its requests may reuse.
    pub const fn passes(&self) -> &Passes {
        &self.passes
    }
}

#[cfg(test)]
mod tests {
    use super::super::api_token::tests::token;
    use super::super::session::tests::at;
    use super::*;

    #[test]
    fn the_first_use_is_recorded_and_then_one_a_minute() {
        let (service, minute) = (Service::new(token("reports", &["/api/*"])), Duration::from_mins(1));
        assert!(service.see(at(0), minute));
        assert!(!service.see(at(59), minute));
        assert!(service.see(at(60), minute));
        assert!(!service.see(at(61), minute));
    }
}
