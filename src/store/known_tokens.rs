//! [`KnownTokens`]: all API tokens in memory for the proxied path. There are as many as an operator has made, so they are
//! read as a whole, again whenever one is made or revoked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::api_token::ApiToken;
use crate::domain::fault::Fault;
use crate::domain::limits::Nanos;
use crate::domain::service::Service;
use crate::domain::token::TokenDigest;
use crate::ports::{ApiTokens, Clock, Services};

/// Remembers which program holds which token.
///
/// Memory lags behind the store by the time between two calls of [`KnownTokens::follow`]. While the store does not
/// answer it is believed for `outage_grace` longer, and then for nothing; and once it is told of a change, for nothing
/// until it has been read again.
pub struct KnownTokens {
    tokens: Arc<dyn ApiTokens>,
    clock: Arc<dyn Clock>,
    outage_grace: Duration,
    known: ArcSwap<HashMap<TokenDigest, Arc<Service>>>,
    /// On the monotonic clock, in nanoseconds; 0 when nothing is believed.
    believed_until: AtomicU64,
    doubts: Mutex<Doubts>,
}

/// How many changes memory has been told of, and how many of them it has seen in the store.
#[derive(Default)]
struct Doubts {
    told: u64,
    seen: Option<u64>,
}

impl KnownTokens {
    /// Nothing is known yet.
    pub fn new(tokens: Arc<dyn ApiTokens>, clock: Arc<dyn Clock>, outage_grace: Duration) -> Self {
        Self {
            tokens,
            clock,
            outage_grace,
            known: ArcSwap::default(),
            believed_until: AtomicU64::new(0),
            doubts: Mutex::default(),
        }
    }

    /// Tokens were made or revoked, or may have been.
    pub fn doubt(&self) {
        let mut doubts = self.doubts.lock();
        doubts.told += 1;
        self.believed_until.store(0, Ordering::Release);
    }

    /// Reads the tokens again where there is doubt, and believes memory from now on. To be called after the store has
    /// been asked for changes, and has told of none that is not passed on. `now` is the monotonic time of that question.
    ///
    /// # Errors
    /// The store's; memory is then believed no longer than it was.
    pub async fn follow(&self, now: Nanos) -> Result<(), Fault> {
        let told = {
            let doubts = self.doubts.lock();
            (doubts.seen != Some(doubts.told)).then_some(doubts.told)
        };
        if let Some(told) = told {
            let tokens = self.tokens.list().await?;
            self.remember(tokens);
            self.doubts.lock().seen = Some(told);
        }
        let grace = u64::try_from(self.outage_grace.as_nanos()).unwrap_or(u64::MAX);
        let doubts = self.doubts.lock();
        if doubts.seen == Some(doubts.told) {
            self.believed_until
                .store(now.0.saturating_add(grace), Ordering::Release);
        }
        Ok(())
    }

    /// Lets every program be given a fresh assertion with its next request: after the signing keys changed.
    pub fn drop_passes(&self) {
        for service in self.known.load().values() {
            service.passes().drop_all();
        }
    }

    /// What is known already of a token that has not changed stays: its assertions, and when its use was recorded.
    fn remember(&self, tokens: Vec<ApiToken>) {
        let before = self.known.load();
        let entries = tokens.into_iter().map(|token| {
            let digest = token.digest;
            let same = before.get(&digest).filter(|known| is_same(&known.token, &token));
            (
                digest,
                same.map_or_else(|| Arc::new(Service::new(token.clone())), Arc::clone),
            )
        });
        let known: HashMap<_, _> = entries.collect();
        self.known.store(Arc::new(known));
    }
}

/// Alike but for the last use, which memory knows better.
fn is_same(known: &ApiToken, stored: &ApiToken) -> bool {
    let stored = ApiToken {
        used: known.used,
        ..stored.clone()
    };
    *known == stored
}

#[async_trait]
impl Services for KnownTokens {
    fn known(&self, digest: &TokenDigest) -> Option<Arc<Service>> {
        if self.clock.monotonic().0 >= self.believed_until.load(Ordering::Acquire) {
            return None;
        }
        self.known.load().get(digest).cloned()
    }

    fn remembers(&self, digest: &TokenDigest) -> bool {
        self.known.load().contains_key(digest)
    }

    async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Service>>, Fault> {
        let found = self.tokens.find(digest).await?;
        Ok(found.map(|token| Arc::new(Service::new(token))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::api_token::tests::token;
    use crate::domain::api_token::{ApiTokenId, LastUse};
    use crate::domain::client::ClientAddr;
    use crate::domain::event::Consequences;
    use crate::domain::session::tests::at;
    use crate::ports::Adding;
    use crate::store::MemoryStore;

    const GRACE: Duration = Duration::from_secs(30);

    #[derive(Default)]
    struct Shelf {
        store: MemoryStore,
        down: AtomicBool,
        nanos: AtomicU64,
    }

    impl Shelf {
        fn up(&self) -> Result<&MemoryStore, Fault> {
            if self.down.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not read", "it is down"));
            }
            Ok(&self.store)
        }
    }

    impl Clock for Shelf {
        fn now(&self) -> Timestamp {
            at(0)
        }

        fn monotonic(&self) -> Nanos {
            Nanos(self.nanos.load(Ordering::Relaxed))
        }
    }

    #[async_trait]
    impl ApiTokens for Shelf {
        async fn add(&self, token: &ApiToken, then: Consequences) -> Result<Adding, Fault> {
            self.up()?.add(token, then).await
        }

        async fn find(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, Fault> {
            ApiTokens::find(self.up()?, digest).await
        }

        async fn list(&self) -> Result<Vec<ApiToken>, Fault> {
            ApiTokens::list(self.up()?).await
        }

        async fn revoke(&self, id: ApiTokenId, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
            self.up()?.revoke(id, now, then).await
        }

        async fn used(&self, uses: &[(ApiTokenId, LastUse)]) -> Result<(), Fault> {
            self.up()?.used(uses).await
        }

        async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
            ApiTokens::sweep(self.up()?, before).await
        }
    }

    async fn shelf() -> (Arc<Shelf>, KnownTokens, ApiToken) {
        let shelf = Arc::new(Shelf::default());
        let token = token("reports", &["GET /api/*"]);
        let added = shelf.add(&token, Consequences::default()).await.unwrap();
        assert_eq!(added, Adding::Done);
        let known = KnownTokens::new(Arc::clone(&shelf) as _, Arc::clone(&shelf) as _, GRACE);
        (shelf, known, token)
    }

    fn pass_time(shelf: &Shelf, by: Duration) -> Nanos {
        let by = u64::try_from(by.as_nanos()).unwrap();
        Nanos(shelf.nanos.fetch_add(by, Ordering::Relaxed) + by)
    }

    #[tokio::test]
    async fn nothing_is_known_before_the_store_was_read_and_then_everything() {
        let (shelf, known, token) = shelf().await;
        assert!(known.known(&token.digest).is_none());
        known.follow(shelf.monotonic()).await.unwrap();
        assert_eq!(known.known(&token.digest).unwrap().token, token);
        assert!(known.known(&TokenDigest::from_bytes([1; 32])).is_none());
    }

    #[tokio::test]
    async fn a_change_is_not_forgotten_when_the_store_cannot_be_read() {
        let (shelf, known, token) = shelf().await;
        known.follow(shelf.monotonic()).await.unwrap();
        shelf.revoke(token.id, at(1), Consequences::default()).await.unwrap();
        known.doubt();
        assert!(
            known.known(&token.digest).is_none() && known.remembers(&token.digest),
            "nothing is believed from that moment on"
        );
        shelf.down.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            known.follow(shelf.monotonic()).await.unwrap_err();
            assert!(known.known(&token.digest).is_none());
        }
        shelf.down.store(false, Ordering::Relaxed);
        known.follow(shelf.monotonic()).await.unwrap();
        assert_eq!(known.known(&token.digest).unwrap().token.revoked_at, Some(at(1)));
    }

    #[tokio::test]
    async fn memory_is_believed_for_the_grace_and_no_longer() {
        let (shelf, known, token) = shelf().await;
        known.follow(shelf.monotonic()).await.unwrap();
        pass_time(&shelf, GRACE.saturating_sub(Duration::from_secs(1)));
        assert!(known.known(&token.digest).is_some());
        pass_time(&shelf, Duration::from_secs(1));
        assert!(known.known(&token.digest).is_none());
        shelf.down.store(true, Ordering::Relaxed);
        known.fetch(&token.digest).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_has_not_changed_stays_the_same_program() {
        let (shelf, known, token) = shelf().await;
        known.follow(shelf.monotonic()).await.unwrap();
        let before = known.known(&token.digest).unwrap();
        let used = LastUse {
            at: at(9),
            client: ClientAddr::new("192.0.2.7".parse().unwrap()),
        };
        shelf.used(&[(token.id, used)]).await.unwrap();
        known.doubt();
        known.follow(shelf.monotonic()).await.unwrap();
        assert!(Arc::ptr_eq(&before, &known.known(&token.digest).unwrap()));
    }
}
