//! [`MemoryStore`]: the ports over plain maps. It is the reference model that every other adapter is compared with,
//! and the store of fast tests; nothing in it outlives the process.

mod accounts;
mod api_tokens;
mod attempts;
mod batch;
mod bounces;
mod campaigns;
mod journal;
mod orders;
mod outbox;
mod sessions;
mod tickets;
mod unlocks;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use parking_lot::Mutex;
use uuid::Uuid;

use self::orders::StoredOrder;
use self::outbox::StoredLetter;
use crate::domain::account::{Account, AccountId, AccountState, Role};
use crate::domain::api_token::ApiToken;
use crate::domain::bounce::{Bounce, Ignored};
use crate::domain::campaigns::{Campaign, CampaignId};
use crate::domain::event::{Consequences, Event};
use crate::domain::key::KeyRecord;
use crate::domain::limits::record::AttemptRecord;
use crate::domain::password::PasswordHash;
use crate::domain::session::Session;
use crate::domain::ticket::{Ticket, TicketEnd, TicketState};
use crate::domain::token::TokenDigest;
use crate::domain::unlock::Unlock;
use crate::ports::{AttemptPlace, Changed};

/// Accounts, sessions, tickets, API tokens, orders, letters, events, attempts and keys behind one lock: every port method holds it from
/// beginning to end, so that it is one atomic act by construction.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<AccountId, StoredAccount>,
    sessions: HashMap<TokenDigest, Session>,
    tickets: HashMap<TokenDigest, Ticket>,
    unlocks: HashMap<TokenDigest, Unlock>,
    openings: HashMap<TokenDigest, Openings>,
    letters: Vec<StoredLetter>,
    events: Vec<Event>,
    /// Those that are no more; numbers of events stay as they are.
    swept_events: HashSet<Uuid>,
    keys: Vec<KeyRecord>,
    tokens: Vec<ApiToken>,
    campaigns: BTreeMap<CampaignId, Campaign>,
    orders: Vec<StoredOrder>,
    order_revision: i64,
    dead_addresses: BTreeMap<String, Bounce>,
    ignored: BTreeMap<Ignored, u64>,
    attempts: BTreeMap<AttemptPlace, AttemptRecord>,
    newest_attempt: i64,
    changes: Vec<StoredChange>,
    newest_change: i64,
}

struct StoredAccount {
    account: Account,
    hash: Option<PasswordHash>,
    closed: Option<PasswordHash>,
    password_set_at: Option<Timestamp>,
    last_sign_in_at: Option<Timestamp>,
}

/// What became of the link of a ticket.
#[derive(Clone, Copy, Default)]
struct Openings {
    count: u32,
    last: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

struct StoredChange {
    seq: i64,
    at: Timestamp,
    what: Changed,
}

impl State {
    fn record(&mut self, then: Consequences) {
        self.events.extend(then.events);
        for letter in then.letters {
            if !self.letters.iter().any(|earlier| letter.repeats(earlier.letter())) {
                self.letters.push(StoredLetter::new(letter));
            }
        }
    }

    fn note(&mut self, at: Timestamp, what: Changed) {
        self.newest_change += 1;
        self.changes.push(StoredChange {
            seq: self.newest_change,
            at,
            what,
        });
    }

    /// Replaces every ticket of the account that is live at `now`.
    fn replace_tickets(&mut self, account: AccountId, now: Timestamp) {
        self.end_tickets(account, TicketEnd::Replaced, now);
    }

    /// Ends every ticket of the account that is live at `now`.
    fn end_tickets(&mut self, account: AccountId, end: TicketEnd, now: Timestamp) {
        let of_account = self.tickets.values_mut().filter(|ticket| ticket.account == account);
        for ticket in of_account.filter(|ticket| ticket.state_at(now) == TicketState::Live) {
            ticket.ended = Some(end);
            self.openings.entry(ticket.digest).or_default().ended_at = Some(now);
        }
    }

    /// Whether nobody but this account is an administrator who can sign in, and this one is.
    fn is_last_administrator(&self, id: AccountId) -> bool {
        self.accounts.get(&id).is_some_and(StoredAccount::can_administrate)
            && !self
                .accounts
                .values()
                .any(|other| other.account.id != id && other.can_administrate())
    }
}

impl StoredAccount {
    fn can_administrate(&self) -> bool {
        self.account.role == Role::Admin && self.account.state == AccountState::Active && self.hash.is_some()
    }
}
