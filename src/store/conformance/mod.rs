//! One test suite that every adapter of the data ports must pass: stories of each contract, and random sequences
//! of calls in which every adapter must agree with the reference model in memory.

mod accounts;
mod api_tokens;
mod attempts;
mod bounces;
mod campaigns;
mod journal;
mod model;
mod orders;
mod outbox;
mod sessions;
mod tickets;
mod unlocks;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::{MemoryStore, SqliteStore};
use crate::domain::account::{Account, AccountId, AccountState, Email, Extension, Role};
use crate::domain::event::{Actor, Consequences, Event, Fact, Reason};
use crate::domain::language::Language;
use crate::domain::outbox::{Letter, LetterId, Matter};
use crate::domain::password::PasswordHash;
use crate::domain::session::tests::at;
use crate::domain::session::{Session, SessionId, later};
use crate::domain::ticket::{Purpose, Ticket, Way};
use crate::domain::token::TokenDigest;
use crate::ports::{
    Accounts, ApiTokens, Attempts, Bounces, CampaignBook, EventFilter, Events, Keys, Orders, Outbox, Redemption, Room,
    Sessions, Tickets, Unlocks,
};

/// One adapter, seen through its ports alone.
pub(super) struct Ports {
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) sessions: Arc<dyn Sessions>,
    pub(super) tickets: Arc<dyn Tickets>,
    pub(super) unlocks: Arc<dyn Unlocks>,
    pub(super) tokens: Arc<dyn ApiTokens>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) bounces: Arc<dyn Bounces>,
    pub(super) campaigns: Arc<dyn CampaignBook>,
    pub(super) events: Arc<dyn Events>,
    pub(super) keys: Arc<dyn Keys>,
    pub(super) orders: Arc<dyn Orders>,
    pub(super) attempts: Arc<dyn Attempts>,
    _directory: Option<TempDir>,
}

impl Ports {
    fn of<S>(store: S, directory: Option<TempDir>) -> Self
    where
        S: Accounts
            + Sessions
            + Tickets
            + Unlocks
            + ApiTokens
            + Outbox
            + Bounces
            + CampaignBook
            + Events
            + Keys
            + Orders
            + Attempts
            + 'static,
    {
        let store = Arc::new(store);
        Self {
            accounts: Arc::clone(&store) as _,
            sessions: Arc::clone(&store) as _,
            tickets: Arc::clone(&store) as _,
            unlocks: Arc::clone(&store) as _,
            tokens: Arc::clone(&store) as _,
            outbox: Arc::clone(&store) as _,
            bounces: Arc::clone(&store) as _,
            campaigns: Arc::clone(&store) as _,
            events: Arc::clone(&store) as _,
            orders: Arc::clone(&store) as _,
            keys: Arc::clone(&store) as _,
            attempts: store,
            _directory: directory,
        }
    }

    pub(super) fn memory() -> Self {
        Self::of(MemoryStore::new(), None)
    }

    pub(super) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).await.unwrap();
        Self::of(store, Some(directory))
    }

    /// The names of the facts recorded so far, oldest first.
    async fn facts(&self) -> Vec<&'static str> {
        let mut events = self.events.list(EventFilter::newest(1000)).await.unwrap();
        events.reverse();
        events.iter().map(|event| event.fact.name()).collect()
    }

    /// Stores an invited account.
    async fn invited(&self, extension: &str) -> Account {
        self.invited_as(extension, None, Role::User).await
    }

    async fn invited_as(&self, extension: &str, email: Option<&str>, role: Role) -> Account {
        let account = invitation(extension, email, role);
        self.accounts.create(&account, Consequences::default()).await.unwrap();
        account
    }

    /// Stores an account and sets its password by a ticket.
    async fn active(&self, extension: &str) -> Account {
        self.active_as(extension, None, Role::User).await
    }

    async fn active_as(&self, extension: &str, email: Option<&str>, role: Role) -> Account {
        let account = self.invited_as(extension, email, role).await;
        let ticket = self.ticket(&account, 0).await;
        let redeemed = self.redeem(&ticket, "$first", 1).await;
        assert_eq!(redeemed, Redemption::Done);
        self.accounts.find(account.id).await.unwrap().unwrap()
    }

    /// Issues a ticket that lives for 100 seconds.
    async fn ticket(&self, account: &Account, second: i64) -> Ticket {
        let ticket = fresh_ticket(account.id, at(second));
        self.tickets.issue(&ticket).await.unwrap();
        ticket
    }

    async fn redeem(&self, ticket: &Ticket, hash: &str, second: i64) -> Redemption {
        self.tickets
            .redeem(&ticket.digest, &phc(hash), at(second), Consequences::default())
            .await
            .unwrap()
    }

    async fn sign_in(&self, account: &Account, second: i64) -> Session {
        let session = fresh_session(account, at(second));
        assert!(
            self.sessions
                .begin(&session, None, &ROOMY, Consequences::default())
                .await
                .unwrap()
        );
        session
    }
}

/// Room for every session of a story.
const ROOMY: Room<'static> = room(1000);

/// Room for so many sessions of one account.
const fn room(most: usize) -> Room<'static> {
    Room {
        most,
        ended: &displaced,
    }
}

/// The same event whenever the same session makes room.
fn displaced(session: SessionId) -> Event {
    Event {
        id: session.to_string().parse().unwrap(),
        ..happened(Fact::SessionDisplaced(session, Reason::TooManySessions), None, at(5))
    }
}

/// The same stories for every adapter.
macro_rules! stories {
    ($($name:ident,)+) => {
        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::Ports::memory()).await;
                }
            )+
        }
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(super::Ports::sqlite().await).await;
                }
            )+
        }
    };
}
use stories;

/// A number no caller has been given before.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn fresh_uuid() -> Uuid {
    Uuid::from_u128(u128::from(fresh()))
}

fn fresh_digest() -> TokenDigest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&fresh().to_be_bytes());
    TokenDigest::from_bytes(bytes)
}

fn fresh_ticket(account: AccountId, now: Timestamp) -> Ticket {
    Ticket {
        digest: fresh_digest(),
        account,
        purpose: Purpose::Reset,
        way: Some(Way::Letter(LetterId::new(fresh_uuid()))),
        created_at: now,
        expires_at: later(now, Duration::from_secs(100)),
        ended: None,
    }
}

fn fresh_session(account: &Account, now: Timestamp) -> Session {
    Session {
        id: SessionId::new(fresh_uuid()),
        digest: fresh_digest(),
        account: account.id,
        generation: account.generation,
        created_at: now,
        authenticated_at: now,
        last_seen_at: now,
        client: crate::domain::client::ClientAddr::new("2001:db8::1".parse().unwrap()),
        user_agent: "Mozilla/5.0 '\"\u{65e5}\u{672c}".into(),
    }
}

fn invitation(extension: &str, email: Option<&str>, role: Role) -> Account {
    Account {
        id: AccountId::new(fresh_uuid()),
        extension: Extension::parse(extension).unwrap(),
        name: "O'Hara \u{7530}\u{4e2d}".into(),
        email: email.map(|email| Email::parse(email).unwrap()),
        role,
        groups: vec!["sales".into(), "a \"b\", c".into()],
        language: Language::Ja,
        state: AccountState::Invited,
        generation: 1,
        created_at: at(0),
        updated_at: at(0),
    }
}

fn phc(text: &str) -> PasswordHash {
    PasswordHash::from_phc(text.to_owned())
}

fn happened(fact: Fact, account: Option<AccountId>, now: Timestamp) -> Event {
    Event {
        id: fresh_uuid(),
        at: now,
        actor: Actor::Operator,
        client: None,
        account,
        fact,
    }
}

fn fact(fact: Fact) -> Consequences {
    Consequences::event(happened(fact, None, at(5)))
}

fn welcome(account: AccountId, now: Timestamp) -> Letter {
    Letter {
        id: LetterId::new(fresh_uuid()),
        matter: Matter::Welcome { account },
        created_at: now,
    }
}

fn letters(letters: Vec<Letter>) -> Consequences {
    Consequences {
        events: Vec::new(),
        letters,
    }
}
