//! A small world behind the flows: one account, its sessions and links, a limiter to be closed and a store to be broken.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::domain::account::{Account, AccountEdit, AccountId, AccountState, Email, Extension, LoginName};
use crate::domain::api_token::{ApiToken, ApiTokenId, LastUse};
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::limits::attempt::Attempt;
use crate::domain::limits::ledger::{Draw, Outcome};
use crate::domain::limits::policy::{KeyKind, RuleName};
use crate::domain::limits::{NameDigest, Nanos};
use crate::domain::outbox::{LetterId, QueuedLetter};
use crate::domain::password::{Password, PasswordHash};
use crate::domain::principal::Principal;
use crate::domain::session::{Session, SessionId};
use crate::domain::ticket::{Ticket, TicketEnd, TicketState};
use crate::domain::token::{TOKEN_BYTES, TokenDigest};
use crate::domain::unlock::Unlock;
use crate::ports::{
    AccountBatch, AccountListing, Accounts, Adding, ApiTokens, BatchOutcome, Change, Changed, Clock, Compared,
    Creation, Credential, EmailMatch, Entropy, EventFilter, Events, Grant, Hasher, Issue, LetterListing, Limiter,
    Outbox, PasswordChange, Place, Principals, Redemption, Renewal, Room, Ruling, Sessions, Spent, Stopped,
    TicketListing, TicketRecord, Tickets, Unlocks, Verification,
};

/// Everything the flows can reach.
pub(super) struct Fakes {
    pub now: Mutex<Timestamp>,
    pub account: Mutex<Account>,
    pub password: Mutex<Option<String>>,
    pub sessions: Mutex<HashMap<TokenDigest, Session>>,
    pub former: Mutex<HashMap<TokenDigest, SessionId>>,
    pub tickets: Mutex<HashMap<TokenDigest, Ticket>>,
    pub unlocks: Mutex<HashMap<TokenDigest, Unlock>>,
    pub events: Mutex<Vec<Event>>,
    pub letters: Mutex<usize>,
    /// What the letters accepted with other acts are about.
    pub matters: Mutex<Vec<&'static str>>,
    /// When the person last signed in.
    pub signed_in_at: Mutex<Option<Timestamp>>,
    pub password_set_at: Mutex<Option<Timestamp>>,
    pub hashes: Mutex<usize>,
    /// Every draw is refused for so long.
    pub closed_for: Mutex<Option<Duration>>,
    /// Every attempt is kept waiting for so long.
    pub slowed_by: Mutex<Duration>,
    /// What was tried, and how what was granted ended.
    pub tried: Mutex<Vec<Attempt>>,
    pub ended: Arc<Mutex<Vec<Outcome>>>,
    /// Who knocked, and as whom.
    pub knocked: Mutex<Vec<(Attempt, Option<AccountId>)>>,
    /// By a rule that counts so.
    pub closed_by: Mutex<KeyKind>,
    /// The hasher's queue is full.
    pub busy: Mutex<bool>,
    /// The store is down.
    pub down: Mutex<bool>,
    drawn: AtomicU64,
}

impl Fakes {
    pub(super) fn new(account: Account, password: &str, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::new(now),
            account: Mutex::new(account),
            password: Mutex::new(Some(password.to_owned())),
            sessions: Mutex::default(),
            former: Mutex::default(),
            tickets: Mutex::default(),
            unlocks: Mutex::default(),
            events: Mutex::default(),
            letters: Mutex::default(),
            matters: Mutex::default(),
            signed_in_at: Mutex::default(),
            password_set_at: Mutex::default(),
            hashes: Mutex::default(),
            closed_for: Mutex::default(),
            slowed_by: Mutex::default(),
            tried: Mutex::default(),
            ended: Arc::default(),
            knocked: Mutex::default(),
            closed_by: Mutex::new(KeyKind::Client),
            busy: Mutex::default(),
            down: Mutex::default(),
            drawn: AtomicU64::new(1),
        })
    }

    fn store(&self) -> Result<(), Fault> {
        if *self.down.lock() {
            Err(Fault::unavailable(
                "could not read /var/lib/secret-place.db",
                "disk on fire",
            ))
        } else {
            Ok(())
        }
    }

    fn record(&self, then: Consequences) {
        self.events.lock().extend(then.events);
        let matters = then.letters.iter().map(|letter| letter.matter.as_str());
        self.matters.lock().extend(matters);
    }

    fn raise(&self, only: Option<SessionId>) {
        let mut account = self.account.lock();
        let before = account.generation;
        account.generation += 1;
        let mut sessions = self.sessions.lock();
        let living = sessions.values_mut().filter(|session| session.generation == before);
        for session in living.filter(|session| only.is_none_or(|only| only == session.id)) {
            session.generation = account.generation;
        }
    }

    fn renew_token(&self, renewal: &Renewal, now: Timestamp) -> bool {
        let mut sessions = self.sessions.lock();
        let Some(mut session) = sessions.remove(&renewal.old) else {
            return false;
        };
        session.digest = renewal.new;
        session.authenticated_at = now;
        sessions.insert(renewal.new, session);
        true
    }

    fn hashing(&self) -> Result<(), Fault> {
        *self.hashes.lock() += 1;
        if *self.busy.lock() {
            Err(Fault::overloaded("the hashing queue holds 16"))
        } else {
            Ok(())
        }
    }
}

impl Clock for Fakes {
    fn now(&self) -> Timestamp {
        *self.now.lock()
    }

    fn monotonic(&self) -> Nanos {
        Nanos(1)
    }
}

impl Entropy for Fakes {
    fn token(&self) -> [u8; TOKEN_BYTES] {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut bytes = [7; TOKEN_BYTES];
        bytes[..8].copy_from_slice(&drawn);
        bytes
    }
}

impl Limiter for Fakes {
    fn knock(&self, attempt: &Attempt, person: Option<AccountId>) -> Option<Stopped> {
        self.knocked.lock().push((attempt.clone(), person));
        None
    }

    fn attempt(&self, attempt: Attempt, _: Option<AccountId>) -> Ruling {
        self.tried.lock().push(attempt);
        match self.draw(Vec::new()) {
            Ruling::Granted(_) => {
                let ended = Arc::clone(&self.ended);
                let grant = Grant::new(*self.slowed_by.lock(), move |outcome| ended.lock().push(outcome));
                Ruling::Granted(grant)
            }
            refused @ Ruling::Refused(_) => refused,
        }
    }

    fn draw(&self, _: Vec<Draw>) -> Ruling {
        match *self.closed_for.lock() {
            Some(retry_after) => Ruling::Refused(Stopped {
                retry_after,
                rule: RuleName::parse("test").unwrap(),
            }),
            None => Ruling::Granted(Grant::free()),
        }
    }

    fn counts_by(&self, _: &RuleName) -> Option<KeyKind> {
        Some(*self.closed_by.lock())
    }

    fn digest_text(&self, text: &str) -> NameDigest {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        NameDigest(hasher.finish(), 0)
    }

    fn digest_password(&self, _: &Password) -> NameDigest {
        NameDigest(0, 0)
    }
}

#[async_trait]
impl Hasher for Fakes {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, Fault> {
        self.hashing()?;
        Ok(PasswordHash::from_phc(password.expose().to_owned()))
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>, _: Place) -> Result<Compared, Fault> {
        self.hashing()?;
        let outcome = if hash.is_some_and(|hash| hash.expose() == password.expose()) {
            Verification::Match { stale: false }
        } else {
            Verification::Mismatch
        };
        Ok(Compared {
            outcome,
            spent: Spent::NOTHING,
        })
    }
}

#[async_trait]
impl Events for Fakes {
    async fn append(&self, events: &[Event]) -> Result<(), Fault> {
        self.store()?;
        self.events.lock().extend_from_slice(events);
        Ok(())
    }

    async fn list(&self, _: EventFilter) -> Result<Vec<Event>, Fault> {
        Ok(self.events.lock().clone())
    }

    async fn sweep(&self, _: Timestamp, _: u64) -> Result<u64, Fault> {
        unreachable!("no page sweeps events")
    }

    async fn recorded_since(&self, _: Option<i64>, _: usize) -> Result<(Vec<Event>, i64), Fault> {
        unreachable!("no page asks for it")
    }
}

#[async_trait]
impl Unlocks for Fakes {
    async fn issue(&self, _: &Unlock) -> Result<bool, Fault> {
        unreachable!("no page asks for it")
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Unlock>, Fault> {
        self.store()?;
        Ok(self.unlocks.lock().get(digest).cloned())
    }

    async fn use_up(&self, digest: &TokenDigest, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        self.store()?;
        let mut unlocks = self.unlocks.lock();
        let Some(unlock) = unlocks.get_mut(digest).filter(|unlock| unlock.ended_at.is_none()) else {
            return Ok(false);
        };
        unlock.ended_at = Some(now);
        self.record(then);
        Ok(true)
    }

    async fn sent_since(&self, _: AccountId, _: Timestamp, _: LetterId) -> Result<bool, Fault> {
        unreachable!("no page asks for it")
    }

    async fn sweep(&self, _: Timestamp) -> Result<u64, Fault> {
        unreachable!("no page asks for it")
    }
}

#[async_trait]
impl ApiTokens for Fakes {
    async fn add(&self, _: &ApiToken, _: Consequences) -> Result<Adding, Fault> {
        unreachable!("no page asks for it")
    }

    async fn find(&self, _: &TokenDigest) -> Result<Option<ApiToken>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn list(&self) -> Result<Vec<ApiToken>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn revoke(&self, _: ApiTokenId, _: Timestamp, _: Consequences) -> Result<bool, Fault> {
        unreachable!("no page asks for it")
    }

    async fn used(&self, _: &[(ApiTokenId, LastUse)]) -> Result<(), Fault> {
        unreachable!("no page asks for it")
    }

    async fn sweep(&self, _: Timestamp) -> Result<u64, Fault> {
        unreachable!("no page asks for it")
    }
}

#[async_trait]
impl Principals for Fakes {
    fn is_nobodys(&self, _: &TokenDigest) -> bool {
        false
    }

    fn known(&self, _: &TokenDigest) -> Option<Arc<Principal>> {
        None
    }

    async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Principal>>, Fault> {
        self.store()?;
        let session = self.sessions.lock().get(digest).cloned();
        Ok(session.map(|session| Arc::new(Principal::new(session, self.account.lock().clone()))))
    }

    fn known_session(&self, _: SessionId) -> Option<Arc<Principal>> {
        None
    }

    async fn fetch_session(&self, id: SessionId) -> Result<Option<Arc<Principal>>, Fault> {
        self.store()?;
        let session = self.sessions.lock().values().find(|session| session.id == id).cloned();
        Ok(session.map(|session| Arc::new(Principal::new(session, self.account.lock().clone()))))
    }

    fn forget(&self, _: &TokenDigest) {}

    fn used(&self, _: &Principal) {}

    fn renewing(&self, old: &TokenDigest, session: SessionId) {
        self.former.lock().insert(*old, session);
    }

    fn formerly(&self, digest: &TokenDigest) -> Option<SessionId> {
        self.former.lock().get(digest).copied()
    }
}

#[async_trait]
impl Sessions for Fakes {
    async fn begin(
        &self,
        session: &Session,
        replaces: Option<TokenDigest>,
        _: &Room<'_>,
        then: Consequences,
    ) -> Result<bool, Fault> {
        self.store()?;
        let mut sessions = self.sessions.lock();
        if let Some(old) = replaces {
            sessions.remove(&old);
        }
        sessions.insert(session.digest, session.clone());
        *self.signed_in_at.lock() = Some(session.created_at);
        self.record(then);
        Ok(true)
    }

    async fn find(&self, _: &TokenDigest) -> Result<Option<(Session, Account)>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn find_by_id(&self, _: SessionId) -> Result<Option<(Session, Account)>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn end(&self, id: SessionId, then: Consequences) -> Result<bool, Fault> {
        self.store()?;
        let mut sessions = self.sessions.lock();
        let before = sessions.len();
        sessions.retain(|_, session| session.id != id);
        self.record(then);
        Ok(sessions.len() < before)
    }

    async fn renew(&self, renewal: &Renewal, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        self.store()?;
        self.record(then);
        Ok(self.renew_token(renewal, now))
    }

    async fn list(&self, _: Option<AccountId>) -> Result<Vec<(Session, Account)>, Fault> {
        self.store()?;
        let account = self.account.lock().clone();
        let sessions = self.sessions.lock();
        let mut listed: Vec<_> = sessions
            .values()
            .map(|session| (session.clone(), account.clone()))
            .collect();
        listed.sort_by_key(|(session, _)| std::cmp::Reverse((session.created_at, session.id.to_string())));
        Ok(listed)
    }

    async fn touch(&self, _: &[(SessionId, Timestamp)]) -> Result<(), Fault> {
        Ok(())
    }

    async fn sweep(&self, _: Timestamp, _: Timestamp) -> Result<u64, Fault> {
        unreachable!("no page asks for it")
    }

    async fn changes_since(&self, _: Option<i64>) -> Result<(Vec<Changed>, i64), Fault> {
        unreachable!("no page asks for it")
    }

    async fn sweep_changes(&self, _: Timestamp) -> Result<(), Fault> {
        unreachable!("no page asks for it")
    }
}

#[async_trait]
impl Tickets for Fakes {
    async fn issue(&self, ticket: &Ticket) -> Result<Issue, Fault> {
        self.tickets.lock().insert(ticket.digest, ticket.clone());
        Ok(Issue::Done)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TicketRecord>, Fault> {
        self.store()?;
        let ticket = self.tickets.lock().get(digest).cloned();
        Ok(ticket.map(|ticket| TicketRecord {
            ticket,
            account: self.account.lock().clone(),
            closed: None,
        }))
    }

    async fn redeem(
        &self,
        digest: &TokenDigest,
        hash: &PasswordHash,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Redemption, Fault> {
        self.store()?;
        let mut tickets = self.tickets.lock();
        let Some(ticket) = tickets.get_mut(digest) else {
            return Ok(Redemption::Unknown);
        };
        match ticket.state_at(now) {
            TicketState::Live => {
                ticket.ended = Some(TicketEnd::Used);
                *self.password.lock() = Some(hash.expose().to_owned());
                self.account.lock().generation += 1;
                self.account.lock().state = AccountState::Active;
                self.record(then);
                Ok(Redemption::Done)
            }
            state => Ok(Redemption::Refused(state)),
        }
    }

    async fn stands(&self, _: AccountId, _: Timestamp, _: Timestamp, _: LetterId) -> Result<bool, Fault> {
        unreachable!("no page asks for it")
    }

    async fn newest(&self) -> Result<Vec<Ticket>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn opened(&self, digest: &TokenDigest, _: Timestamp, event: Event) -> Result<(), Fault> {
        self.store()?;
        if self.tickets.lock().contains_key(digest) {
            self.events.lock().push(event);
        }
        Ok(())
    }

    async fn list(&self, _: Option<AccountId>, _: usize) -> Result<Vec<TicketListing>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn sweep(&self, _: Timestamp) -> Result<u64, Fault> {
        unreachable!("no page asks for it")
    }
}

#[async_trait]
impl Outbox for Fakes {
    async fn accept(&self, then: Consequences) -> Result<(), Fault> {
        self.store()?;
        *self.letters.lock() += then.letters.len();
        Ok(())
    }

    async fn take(
        &self,
        _: Timestamp,
        _: crate::domain::outbox::Batch,
        _: Duration,
    ) -> Result<Vec<QueuedLetter>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn give_back_taken(&self) -> Result<(), Fault> {
        unreachable!("no page asks for it")
    }

    async fn queue(&self, _: Timestamp) -> Result<crate::ports::Queue, Fault> {
        unreachable!("no page asks for it")
    }

    async fn delivered(
        &self,
        _: LetterId,
        _: &crate::domain::account::Email,
        _: Timestamp,
        _: &str,
        _: Event,
    ) -> Result<(), Fault> {
        unreachable!("no page asks for it")
    }

    async fn withheld(&self, _: LetterId, _: Timestamp, _: Event) -> Result<(), Fault> {
        unreachable!("no page asks for it")
    }

    async fn failed(&self, _: LetterId, _: &str, _: Timestamp) -> Result<(), Fault> {
        unreachable!("no page asks for it")
    }

    async fn given_up(&self, _: LetterId, _: Timestamp, _: &str, _: Event) -> Result<(), Fault> {
        unreachable!("no page asks for it")
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn recall(&self, _: Timestamp, _: Timestamp) -> Result<u64, Fault> {
        unreachable!("no page asks for it")
    }

    async fn list(&self, _: usize) -> Result<Vec<LetterListing>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn sweep(&self, _: Timestamp) -> Result<u64, Fault> {
        unreachable!("no page asks for it")
    }
}

#[async_trait]
impl Accounts for Fakes {
    async fn credential(&self, name: &LoginName) -> Result<Option<Credential>, Fault> {
        self.store()?;
        let account = self.account.lock().clone();
        let named = match name {
            LoginName::Extension(extension) => account.extension == *extension,
            LoginName::Email(email) => account.email.as_ref() == Some(email),
        };
        let hash = self.password.lock().clone().map(PasswordHash::from_phc);
        Ok(named.then_some(Credential {
            account,
            hash,
            password_set_at: *self.password_set_at.lock(),
            welcomed: self.signed_in_at.lock().is_none(),
        }))
    }

    async fn create(&self, _: &Account, _: Consequences) -> Result<Creation, Fault> {
        unreachable!("no page asks for it")
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, Fault> {
        self.store()?;
        Ok(Some(self.account.lock().clone()).filter(|account| account.id == id))
    }

    async fn find_by_extension(&self, _: &Extension) -> Result<Option<Account>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn find_by_email(&self, _: &Email) -> Result<EmailMatch, Fault> {
        unreachable!("no page looks an address up")
    }

    async fn rehash(&self, _: AccountId, _: &PasswordHash, _: &PasswordHash) -> Result<(), Fault> {
        unreachable!("no hash is stale here")
    }

    async fn hashes(&self) -> Result<Vec<(AccountId, PasswordHash)>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn list(&self) -> Result<Vec<AccountListing>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn administrators(&self) -> Result<Vec<Result<Account, Fault>>, Fault> {
        unreachable!("no page asks for it")
    }

    async fn disable(&self, _: AccountId, _: Timestamp, _: Consequences) -> Result<Change, Fault> {
        unreachable!("no page asks for it")
    }

    async fn enable(&self, _: AccountId, _: Timestamp, _: Consequences) -> Result<Change, Fault> {
        unreachable!("no page asks for it")
    }

    async fn remove(&self, _: AccountId, _: Timestamp, _: Consequences) -> Result<Change, Fault> {
        unreachable!("no page asks for it")
    }

    async fn end_sessions(&self, _: AccountId, _: Timestamp, then: Consequences) -> Result<Change, Fault> {
        self.store()?;
        self.account.lock().generation += 1;
        self.record(then);
        Ok(Change::Done)
    }

    async fn update(
        &self,
        _: AccountId,
        edit: &AccountEdit,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        self.store()?;
        let mut account = self.account.lock();
        let (after, changed) = edit.apply(&account, now);
        if changed.is_empty() {
            return Ok(Change::Unchanged);
        }
        *account = after;
        self.record(then);
        Ok(Change::Done)
    }

    async fn end_other_sessions(
        &self,
        _: AccountId,
        keep: SessionId,
        _: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        self.store()?;
        self.raise(Some(keep));
        self.record(then);
        Ok(Change::Done)
    }

    async fn change_password(
        &self,
        change: &PasswordChange,
        now: Timestamp,
        then: Consequences,
    ) -> Result<bool, Fault> {
        self.store()?;
        if self.password.lock().as_deref() != Some(change.old.expose()) {
            return Ok(false);
        }
        *self.password.lock() = Some(change.new.expose().to_owned());
        *self.password_set_at.lock() = Some(now);
        self.raise(change.end_others.then_some(change.renewal.session));
        self.record(then);
        Ok(self.renew_token(&change.renewal, now))
    }

    async fn import(
        &self,
        _: &AccountBatch,
        _: Timestamp,
        _: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<BatchOutcome, Fault> {
        unreachable!("no page asks for it")
    }

    async fn close_password(&self, _: AccountId, _: Timestamp, _: Timestamp, _: Consequences) -> Result<Change, Fault> {
        unreachable!("no page takes a password away")
    }

    async fn record(&self, _: AccountId, _: Consequences) -> Result<Change, Fault> {
        unreachable!("no page asks for it")
    }
}
