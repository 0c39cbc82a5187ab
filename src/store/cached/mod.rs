//! [`CachedSessions`]: sessions in memory for the proxied path. The store stays the truth: what changes there,
//! whoever changed it, is gone from memory as soon as [`CachedSessions::follow`] has heard of it.

mod recent;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use crate::domain::account::{Account, AccountId};
use crate::domain::fault::Fault;
use crate::domain::limits::Nanos;
use crate::domain::principal::Principal;
use crate::domain::session::{IN_FLIGHT, Session, SessionId};
use crate::domain::token::TokenDigest;
use crate::ports::{Changed, Clock, Principals, Sessions};

use recent::Recent;

/// Remembers who holds which session token.
///
/// Memory lags behind the store by the time between two calls of [`CachedSessions::follow`]. While the store does
/// not answer it is believed for `outage_grace` longer, and then for nothing.
pub struct CachedSessions {
    sessions: Arc<dyn Sessions>,
    clock: Arc<dyn Clock>,
    outage_grace: Duration,
    entries: Cache<TokenDigest, Entry>,
    recent: Recent,
    /// The token under which a session was last read. It may be an old one: [`CachedSessions::entries`] tells.
    tokens: Cache<SessionId, TokenDigest>,
    /// Tokens of sessions that are renewed, with the monotonic time until which that counts.
    former: Cache<TokenDigest, (SessionId, Nanos)>,
    /// Tokens that the store did not know. No token is made twice, so it never will.
    nobodys: Cache<TokenDigest, ()>,
    /// On the monotonic clock, in nanoseconds. Nothing is believed before the first success.
    believed_until: AtomicU64,
    accounts: Mutex<Accounts>,
    /// Where the log of changes has been read to. Held while it is read: one follows at a time.
    cursor: tokio::sync::Mutex<Option<i64>>,
}

#[derive(Clone)]
struct Entry {
    principal: Arc<Principal>,
    group: Arc<Group>,
}

/// What the remembered sessions of one account have in common: one flag ends the belief in all of them.
#[derive(Default)]
struct Group {
    stale: AtomicBool,
}

/// Who is remembered, and how many changes have been applied to memory.
#[derive(Default)]
struct Accounts {
    groups: HashMap<AccountId, Arc<Group>>,
    epoch: u64,
}

/// What else a call of [`CachedSessions::follow`] has learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The signing keys changed, or may have: load them again, then call [`CachedSessions::drop_passes`].
    pub keys_changed: bool,
    /// API tokens were made or revoked, or may have been: what is remembered of them may not be believed.
    pub tokens_changed: bool,
}

/// Former tokens that are remembered at once. Each has cost a hash, so this many are never made in [`IN_FLIGHT`].
const FORMER: u64 = 10_000;

/// Tokens of nobody that are remembered at once, a few megabytes: those of sessions that ended while their browsers go on
/// presenting them, and what strangers make up.
const NOBODYS: u64 = 50_000;

/// How often a look-up is repeated when changes overtake it.
const LOOK_UPS: usize = 3;

impl CachedSessions {
    /// Remembers up to `most` sessions, those seen last.
    pub fn new(sessions: Arc<dyn Sessions>, clock: Arc<dyn Clock>, most: u64, outage_grace: Duration) -> Self {
        Self {
            sessions,
            clock,
            outage_grace,
            entries: newest(most),
            recent: Recent::new(),
            tokens: newest(most),
            former: newest(FORMER),
            nobodys: newest(NOBODYS),
            believed_until: AtomicU64::new(0),
            accounts: Mutex::default(),
            cursor: tokio::sync::Mutex::new(None),
        }
    }

    /// Learns from the store what changed since the last call and drops it from memory. `now` is the monotonic time
    /// of the call.
    ///
    /// # Errors
    /// The store's; memory is then believed until `outage_grace` after the last success.
    pub async fn follow(&self, now: Nanos) -> Result<Followed, Fault> {
        let mut cursor = self.cursor.lock().await;
        let (changes, newest) = self.sessions.changes_since(*cursor).await?;
        // The store forgets old changes. After the beginning or a long silence some may have been missed.
        let unbroken = cursor.is_some() && self.is_believed(now);
        *cursor = Some(newest);
        if unbroken {
            self.apply(&changes);
        } else {
            self.drop_everything();
        }
        let grace = u64::try_from(self.outage_grace.as_nanos()).unwrap_or(u64::MAX);
        self.believed_until
            .fetch_max(now.0.saturating_add(grace), Ordering::Release);
        Ok(Followed {
            keys_changed: !unbroken || changes.contains(&Changed::Keys),
            tokens_changed: !unbroken || changes.iter().any(|change| matches!(change, Changed::Token(_))),
        })
    }

    /// Lets every session be given a fresh assertion with its next request: after the signing keys changed.
    pub fn drop_passes(&self) {
        let all = self.entries.iter().map(|(_, entry)| entry);
        for entry in all.chain(self.recent.entries()) {
            entry.principal.passes().drop_all();
        }
    }

    /// How many sessions are remembered, roughly.
    pub fn len(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Whether none is remembered, roughly.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_believed(&self, now: Nanos) -> bool {
        now.0 < self.believed_until.load(Ordering::Acquire)
    }

    fn apply(&self, changes: &[Changed]) {
        if changes.is_empty() {
            return;
        }
        let mut accounts = self.accounts.lock();
        accounts.epoch += 1;
        for change in changes {
            match change {
                Changed::Account(id) => {
                    if let Some(group) = accounts.groups.remove(id) {
                        group.stale.store(true, Ordering::Release);
                    }
                }
                Changed::Session(digest) => self.drop_session(digest),
                Changed::Keys | Changed::Token(_) => {}
            }
        }
    }

    fn drop_everything(&self) {
        let mut accounts = self.accounts.lock();
        accounts.epoch += 1;
        for (_, group) in accounts.groups.drain() {
            group.stale.store(true, Ordering::Release);
        }
    }

    /// `false` when a change was applied since `epoch`: what was read may be older than that change, and putting it
    /// into memory would bring back what the change has just ended.
    fn remember(&self, digest: TokenDigest, principal: &Arc<Principal>, epoch: u64) -> bool {
        let mut accounts = self.accounts.lock();
        if accounts.epoch != epoch {
            return false;
        }
        let group = Arc::clone(accounts.groups.entry(principal.account.id).or_default());
        self.tokens.insert(principal.session.id, digest);
        let principal = Arc::clone(principal);
        let entry = Entry { principal, group };
        self.recent.put(digest, entry.clone());
        self.entries.insert(digest, entry);
        true
    }

    fn entry(&self, digest: &TokenDigest) -> Option<Entry> {
        self.recent.get(digest).or_else(|| self.entries.get(digest))
    }

    fn drop_session(&self, digest: &TokenDigest) {
        self.recent.forget(digest);
        self.entries.invalidate(digest);
    }

    /// Looks up until no change overtakes it, and remembers what was found.
    async fn look_up<F>(&self, find: impl Fn() -> F + Send + Sync) -> Result<Option<Arc<Principal>>, Fault>
    where
        F: Future<Output = Result<Option<(Session, Account)>, Fault>> + Send,
    {
        let mut last = None;
        for _ in 0..LOOK_UPS {
            let epoch = self.accounts.lock().epoch;
            let Some((session, account)) = find().await? else {
                return Ok(None);
            };
            let digest = session.digest;
            let principal = Arc::new(Principal::new(session, account));
            if let Some(before) = self.entry(&digest) {
                // The store hears of requests at most once a minute; memory knows better.
                principal.see(before.principal.last_seen(), Duration::MAX);
            }
            if self.remember(digest, &principal, epoch) {
                return Ok(Some(principal));
            }
            last = Some(principal);
        }
        Ok(last)
    }
}

/// Every new entry must find a place at once, however often others are used.
fn newest<K, V>(most: u64) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(most)
        .eviction_policy(EvictionPolicy::lru())
        .build()
}

#[async_trait]
impl Principals for CachedSessions {
    fn known(&self, digest: &TokenDigest) -> Option<Arc<Principal>> {
        if !self.is_believed(self.clock.monotonic()) {
            return None;
        }
        let entry = self.entry(digest)?;
        (!entry.group.stale.load(Ordering::Acquire)).then_some(entry.principal)
    }

    async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Principal>>, Fault> {
        if self.is_nobodys(digest) {
            return Ok(None);
        }
        let found = self.look_up(|| self.sessions.find(digest)).await?;
        if found.is_none() {
            self.drop_session(digest);
            self.nobodys.insert(*digest, ());
        }
        Ok(found)
    }

    fn is_nobodys(&self, digest: &TokenDigest) -> bool {
        self.nobodys.contains_key(digest)
    }

    fn known_session(&self, id: SessionId) -> Option<Arc<Principal>> {
        self.known(&self.tokens.get(&id)?)
    }

    async fn fetch_session(&self, id: SessionId) -> Result<Option<Arc<Principal>>, Fault> {
        self.look_up(|| self.sessions.find_by_id(id)).await
    }

    fn forget(&self, digest: &TokenDigest) {
        let mut accounts = self.accounts.lock();
        accounts.epoch += 1;
        self.drop_session(digest);
    }

    fn used(&self, principal: &Principal) {
        // Who is found among the recent ones is not looked for here, and would grow old.
        self.entries.get(&principal.session.digest);
        self.tokens.get(&principal.session.id);
    }

    fn renewing(&self, old: &TokenDigest, session: SessionId) {
        let grace = u64::try_from(IN_FLIGHT.as_nanos()).unwrap_or(u64::MAX);
        let until = Nanos(self.clock.monotonic().0.saturating_add(grace));
        self.former.insert(*old, (session, until));
    }

    fn formerly(&self, digest: &TokenDigest) -> Option<SessionId> {
        let (session, until) = self.former.get(digest)?;
        (self.clock.monotonic() < until).then_some(session)
    }
}
