//! Accounts in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{MemoryStore, State, StoredAccount};
use crate::domain::account::{Account, AccountEdit, AccountId, AccountState, Email, Extension, Field, LoginName, Role};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::password::PasswordHash;
use crate::domain::session::SessionId;
use crate::domain::ticket::{Purpose, TicketEnd};
use crate::domain::token::TokenDigest;
use crate::ports::{
    AccountBatch, AccountListing, Accounts, BatchOutcome, Change, Changed, Creation, Credential, EmailMatch,
    PasswordChange,
};

#[async_trait]
impl Accounts for MemoryStore {
    async fn create(&self, account: &Account, then: Consequences) -> Result<Creation, Fault> {
        let mut state = self.state.lock();
        if state.by_extension(&account.extension).is_some() {
            return Ok(Creation::ExtensionTaken);
        }
        state.accounts.insert(
            account.id,
            StoredAccount {
                account: account.clone(),
                hash: None,
                closed: None,
                password_set_at: None,
                last_sign_in_at: None,
            },
        );
        state.record(then);
        Ok(Creation::Done)
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, Fault> {
        let state = self.state.lock();
        Ok(state.accounts.get(&id).map(|stored| stored.account.clone()))
    }

    async fn find_by_extension(&self, extension: &Extension) -> Result<Option<Account>, Fault> {
        let state = self.state.lock();
        Ok(state.by_extension(extension).map(|stored| stored.account.clone()))
    }

    async fn find_by_email(&self, email: &Email) -> Result<EmailMatch, Fault> {
        let state = self.state.lock();
        Ok(match state.by_email(email).as_slice() {
            [] => EmailMatch::Nobody,
            [one] => EmailMatch::One(Box::new(one.account.clone())),
            several => EmailMatch::Shared(several.len()),
        })
    }

    async fn credential(&self, name: &LoginName) -> Result<Option<Credential>, Fault> {
        let state = self.state.lock();
        let found = match name {
            LoginName::Extension(extension) => state.by_extension(extension),
            LoginName::Email(email) => match state.by_email(email).as_slice() {
                [one] => Some(*one),
                _ => None,
            },
        };
        Ok(found.map(|stored| Credential {
            account: stored.account.clone(),
            hash: stored.hash.clone(),
            password_set_at: stored.password_set_at,
            welcomed: stored.last_sign_in_at.is_none()
                && state.tickets.values().any(|ticket| {
                    ticket.account == stored.account.id
                        && ticket.purpose == Purpose::Welcome
                        && ticket.ended == Some(TicketEnd::Used)
                }),
        }))
    }

    async fn rehash(&self, id: AccountId, old: &PasswordHash, new: &PasswordHash) -> Result<(), Fault> {
        let mut state = self.state.lock();
        if let Some(stored) = state.accounts.get_mut(&id)
            && stored.hash.as_ref() == Some(old)
        {
            stored.hash = Some(new.clone());
        }
        Ok(())
    }

    async fn hashes(&self) -> Result<Vec<(AccountId, PasswordHash)>, Fault> {
        let state = self.state.lock();
        let hash = |(id, stored): (&AccountId, &StoredAccount)| stored.hash.clone().map(|hash| (*id, hash));
        Ok(state.accounts.iter().filter_map(hash).collect())
    }

    async fn list(&self) -> Result<Vec<AccountListing>, Fault> {
        let state = self.state.lock();
        let mut listings: Vec<_> = state
            .accounts
            .values()
            .map(|stored| AccountListing {
                account: stored.account.clone(),
                password_set_at: stored.password_set_at,
                last_sign_in_at: stored.last_sign_in_at,
            })
            .collect();
        listings.sort_by(|one, other| one.account.extension.cmp(&other.account.extension));
        Ok(listings)
    }

    async fn administrators(&self) -> Result<Vec<Result<Account, Fault>>, Fault> {
        let listed = self.list().await?.into_iter().map(|listing| listing.account);
        let is_one = |account: &Account| account.role == Role::Admin && account.state == AccountState::Active;
        Ok(listed.filter(is_one).map(Ok).collect())
    }

    async fn disable(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        let last = state.is_last_administrator(id);
        let Some(stored) = state.accounts.get_mut(&id) else {
            return Ok(Change::NotFound);
        };
        if stored.account.state == AccountState::Disabled {
            return Ok(Change::Unchanged);
        }
        if last {
            return Ok(Change::LastAdministrator);
        }
        stored.account.state = AccountState::Disabled;
        stored.account.generation += 1;
        stored.account.updated_at = now;
        state.replace_tickets(id, now);
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(Change::Done)
    }

    async fn enable(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        let Some(stored) = state.accounts.get_mut(&id) else {
            return Ok(Change::NotFound);
        };
        if stored.account.state != AccountState::Disabled {
            return Ok(Change::Unchanged);
        }
        stored.account.state = match stored.hash {
            Some(_) => AccountState::Active,
            None => AccountState::Invited,
        };
        stored.account.updated_at = now;
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(Change::Done)
    }

    async fn update(
        &self,
        id: AccountId,
        edit: &AccountEdit,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        let last = state.is_last_administrator(id);
        let Some(stored) = state.accounts.get_mut(&id) else {
            return Ok(Change::NotFound);
        };
        let (after, changed) = edit.apply(&stored.account, now);
        if changed.is_empty() {
            return Ok(Change::Unchanged);
        }
        if last && after.role != Role::Admin {
            return Ok(Change::LastAdministrator);
        }
        stored.account = after;
        if changed.contains(&Field::Email) {
            state.replace_tickets(id, now);
        }
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(Change::Done)
    }

    async fn remove(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        if state.is_last_administrator(id) {
            return Ok(Change::LastAdministrator);
        }
        if state.accounts.remove(&id).is_none() {
            return Ok(Change::NotFound);
        }
        state.sessions.retain(|_, session| session.account != id);
        state.tickets.retain(|_, ticket| ticket.account != id);
        state.unlocks.retain(|_, unlock| unlock.account != id);
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(Change::Done)
    }

    async fn end_sessions(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        let Some(stored) = state.accounts.get_mut(&id) else {
            return Ok(Change::NotFound);
        };
        stored.account.generation += 1;
        stored.account.updated_at = now;
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(Change::Done)
    }

    async fn end_other_sessions(
        &self,
        id: AccountId,
        keep: SessionId,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        let Some(digest) = state.living(id, keep) else {
            return Ok(Change::NotFound);
        };
        state.raise(id, Some(digest));
        if let Some(stored) = state.accounts.get_mut(&id) {
            stored.account.updated_at = now;
        }
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(Change::Done)
    }

    async fn change_password(
        &self,
        change: &PasswordChange,
        now: Timestamp,
        then: Consequences,
    ) -> Result<bool, Fault> {
        let mut state = self.state.lock();
        let renewal = &change.renewal;
        let id = renewal.account;
        if !state.is_renewable(renewal) {
            return Ok(false);
        }
        let Some(stored) = state
            .accounts
            .get_mut(&id)
            .filter(|stored| stored.hash.as_ref() == Some(&change.old))
        else {
            return Ok(false);
        };
        stored.hash = Some(change.new.clone());
        stored.password_set_at = Some(now);
        stored.account.updated_at = now;
        state.raise(id, change.end_others.then_some(renewal.old));
        state.renew(renewal, now);
        state.end_tickets(id, TicketEnd::Overtaken, now);
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(true)
    }

    async fn close_password(
        &self,
        id: AccountId,
        set_by: Timestamp,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        let Some(stored) = state.accounts.get_mut(&id) else {
            return Ok(Change::NotFound);
        };
        if stored.hash.is_none() || stored.password_set_at.is_some_and(|at| at > set_by) {
            return Ok(Change::Unchanged);
        }
        stored.closed = stored.hash.take();
        if stored.account.state == AccountState::Active {
            stored.account.state = AccountState::Invited;
        }
        stored.account.generation += 1;
        stored.account.updated_at = now;
        state.replace_tickets(id, now);
        state.note(now, Changed::Account(id));
        state.record(then);
        Ok(Change::Done)
    }

    async fn record(&self, id: AccountId, then: Consequences) -> Result<Change, Fault> {
        let mut state = self.state.lock();
        if !state.accounts.contains_key(&id) {
            return Ok(Change::NotFound);
        }
        state.record(then);
        Ok(Change::Done)
    }

    async fn import(
        &self,
        batch: &AccountBatch,
        now: Timestamp,
        stored: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<BatchOutcome, Fault> {
        let outcome = self.state.lock().import(batch, now);
        if outcome == BatchOutcome::Done {
            stored(batch.records.len());
        }
        Ok(outcome)
    }
}

impl State {
    /// The digest of a session of the account, as long as no raised generation has ended it.
    fn living(&self, account: AccountId, session: SessionId) -> Option<TokenDigest> {
        let generation = self.accounts.get(&account)?.account.generation;
        let found = self.sessions.values().find(|known| known.id == session)?;
        (found.account == account && found.generation == generation).then_some(found.digest)
    }

    /// Raises the generation and takes living sessions along: this one, or all.
    fn raise(&mut self, account: AccountId, only: Option<TokenDigest>) {
        let Some(stored) = self.accounts.get_mut(&account) else {
            return;
        };
        let before = stored.account.generation;
        stored.account.generation += 1;
        for session in self.sessions.values_mut() {
            let living = session.account == account && session.generation == before;
            if living && only.is_none_or(|only| only == session.digest) {
                session.generation += 1;
            }
        }
    }

    fn by_extension(&self, extension: &Extension) -> Option<&StoredAccount> {
        self.accounts
            .values()
            .find(|stored| stored.account.extension == *extension)
    }

    /// Those who may use the address; the disabled ones only when there is nobody else.
    fn by_email(&self, email: &Email) -> Vec<&StoredAccount> {
        let holders = || {
            self.accounts
                .values()
                .filter(|stored| stored.account.email.as_ref() == Some(email))
        };
        let open: Vec<_> = holders()
            .filter(|stored| stored.account.state != AccountState::Disabled)
            .collect();
        if open.is_empty() { holders().collect() } else { open }
    }
}
