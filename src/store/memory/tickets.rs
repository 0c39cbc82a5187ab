//! Tickets in memory.

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{MemoryStore, State, StoredAccount};
use crate::domain::account::{AccountId, AccountState};
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::domain::password::PasswordHash;
use crate::domain::ticket::{Ticket, TicketEnd, TicketState, Way};
use crate::domain::token::TokenDigest;
use crate::ports::{Changed, Issue, Redemption, TicketListing, TicketRecord, Tickets};

#[async_trait]
impl Tickets for MemoryStore {
    async fn issue(&self, ticket: &Ticket) -> Result<Issue, Fault> {
        let mut state = self.state.lock();
        if state.enabled(ticket.account).is_none() {
            return Ok(Issue::NoAccount);
        }
        state.replace_tickets(ticket.account, ticket.created_at);
        state.tickets.insert(ticket.digest, ticket.clone());
        Ok(Issue::Done)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TicketRecord>, Fault> {
        let state = self.state.lock();
        Ok(state.tickets.get(digest).and_then(|ticket| {
            let stored = state.accounts.get(&ticket.account)?;
            Some(TicketRecord {
                ticket: ticket.clone(),
                account: stored.account.clone(),
                closed: stored.closed.clone(),
            })
        }))
    }

    async fn redeem(
        &self,
        digest: &TokenDigest,
        hash: &PasswordHash,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Redemption, Fault> {
        let mut state = self.state.lock();
        let Some(ticket) = state.tickets.get(digest).cloned() else {
            return Ok(Redemption::Unknown);
        };
        let Some(stored) = state.enabled(ticket.account) else {
            return Ok(Redemption::Unknown);
        };
        match ticket.state_at(now) {
            TicketState::Live => {}
            dead => return Ok(Redemption::Refused(dead)),
        }
        stored.hash = Some(hash.clone());
        stored.closed = None;
        stored.password_set_at = Some(now);
        stored.account.state = AccountState::Active;
        stored.account.generation += 1;
        stored.account.updated_at = now;
        let used = Ticket {
            ended: Some(TicketEnd::Used),
            ..ticket
        };
        let account = used.account;
        state.tickets.insert(*digest, used);
        state.openings.entry(*digest).or_default().ended_at = Some(now);
        state.replace_tickets(account, now);
        state.note(now, Changed::Account(account));
        state.record(then);
        Ok(Redemption::Done)
    }

    async fn stands(
        &self,
        account: AccountId,
        since: Timestamp,
        now: Timestamp,
        besides: LetterId,
    ) -> Result<bool, Fault> {
        let state = self.state.lock();
        let held = |way: Option<Way>| match way {
            Some(Way::Letter(id)) => id != besides && state.letters.iter().all(|stored| stored.may_arrive(id)),
            Some(Way::Page) | None => true,
        };
        Ok(state.tickets.values().any(|ticket| {
            ticket.account == account
                && ticket.created_at > since
                && ticket.state_at(now) == TicketState::Live
                && held(ticket.way)
        }))
    }

    async fn newest(&self) -> Result<Vec<Ticket>, Fault> {
        let state = self.state.lock();
        let mut newest: HashMap<AccountId, &Ticket> = HashMap::new();
        for ticket in state.tickets.values() {
            let age = |ticket: &Ticket| (ticket.created_at, *ticket.digest.as_bytes());
            let known = newest.entry(ticket.account).or_insert(ticket);
            if age(ticket) > age(known) {
                *known = ticket;
            }
        }
        Ok(newest.into_values().cloned().collect())
    }

    async fn opened(&self, digest: &TokenDigest, now: Timestamp, event: Event) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if state.tickets.contains_key(digest) {
            let life = state.openings.entry(*digest).or_default();
            life.count += 1;
            life.last = Some(now);
            state.events.push(event);
        }
        Ok(())
    }

    async fn list(&self, account: Option<AccountId>, most: usize) -> Result<Vec<TicketListing>, Fault> {
        let state = self.state.lock();
        let mut found: Vec<_> = state.tickets.values().collect();
        found.retain(|ticket| account.is_none_or(|account| ticket.account == account));
        found.sort_by_key(|ticket| (Reverse(ticket.created_at), *ticket.digest.as_bytes()));
        found.truncate(most);
        let listing = |ticket: &Ticket| {
            let life = state.openings.get(&ticket.digest).copied().unwrap_or_default();
            TicketListing {
                ticket: ticket.clone(),
                openings: life.count,
                opened_at: life.last,
                ended_at: life.ended_at,
            }
        };
        Ok(found.into_iter().map(listing).collect())
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        let mut state = self.state.lock();
        let held = state.tickets.len();
        state.tickets.retain(|_, ticket| ticket.expires_at >= before);
        Ok((held - state.tickets.len()) as u64)
    }
}

impl State {
    fn enabled(&mut self, account: AccountId) -> Option<&mut StoredAccount> {
        self.accounts
            .get_mut(&account)
            .filter(|stored| stored.account.state != AccountState::Disabled)
    }
}
