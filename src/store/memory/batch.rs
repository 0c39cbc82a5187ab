//! Many records at once, in memory.

use std::collections::HashMap;

use jiff::Timestamp;

use super::outbox::StoredLetter;
use super::{State, StoredAccount};
use crate::domain::account::AccountId;
use crate::ports::{AccountBatch, AccountRecord, BatchOutcome, Changed};

impl State {
    pub(super) fn import(&mut self, batch: &AccountBatch, now: Timestamp) -> BatchOutcome {
        if !self.is_current(batch) {
            return BatchOutcome::Outdated;
        }
        if self.leaves_no_administrator(batch) {
            return BatchOutcome::LastAdministrator;
        }
        for record in &batch.records {
            self.put(record, now);
        }
        self.record(batch.then.clone());
        let later = batch.later.iter().cloned();
        self.letters
            .extend(later.map(|due| StoredLetter::of_crowd(due.letter, due.due_at)));
        BatchOutcome::Done
    }

    /// Whether every account is as the batch was made from.
    fn is_current(&self, batch: &AccountBatch) -> bool {
        let taken: HashMap<_, _> = self
            .accounts
            .values()
            .map(|stored| (stored.account.extension.clone(), stored.account.id))
            .collect();
        batch.records.iter().all(|record| match &record.before {
            None => !taken.contains_key(&record.after.extension) && !self.accounts.contains_key(&record.after.id),
            Some(before) => self.accounts.get(&before.id).is_some_and(|stored| {
                (stored.account.generation, stored.account.updated_at) == (before.generation, before.updated_at)
            }),
        })
    }

    /// Judged before anything is stored, so that a refusal has nothing to take back.
    fn leaves_no_administrator(&self, batch: &AccountBatch) -> bool {
        let had = self.accounts.values().any(StoredAccount::can_administrate);
        let records: HashMap<AccountId, &AccountRecord> =
            batch.records.iter().map(|record| (record.after.id, record)).collect();
        let stays = self
            .accounts
            .values()
            .any(|stored| stored.can_administrate() && !records.contains_key(&stored.account.id));
        let comes = records
            .values()
            .any(|record| self.merged(record, None).can_administrate());
        had && !stays && !comes
    }

    /// What is stored of this account after the batch.
    fn merged(&self, record: &AccountRecord, now: Option<Timestamp>) -> StoredAccount {
        let known = self.accounts.get(&record.after.id);
        StoredAccount {
            account: record.after.clone(),
            hash: record
                .hash
                .clone()
                .or_else(|| known.and_then(|known| known.hash.clone())),
            closed: known.and_then(|known| known.closed.clone()),
            password_set_at: match record.hash {
                Some(_) => now,
                None => known.and_then(|known| known.password_set_at),
            },
            last_sign_in_at: known.and_then(|known| known.last_sign_in_at),
        }
    }

    fn put(&mut self, record: &AccountRecord, now: Timestamp) {
        let id = record.after.id;
        let merged = self.merged(record, Some(now));
        self.accounts.insert(id, merged);
        if let Some(end) = record.ends_links() {
            self.end_tickets(id, end, now);
        }
        if record.is_news() {
            self.note(now, Changed::Account(id));
        }
    }
}
