//! Many records at once in SQLite: a few statements of many rows each, since the one writer is held meanwhile.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, query};

use super::SqliteStore;
use super::accounts::administrators;
use super::events::record;
use super::rows::{self, Trouble, ms};
use super::tickets::end_live_of;
use crate::domain::account::Email;
use crate::domain::event::{Consequences, Event};
use crate::domain::ticket::TicketEnd;
use crate::ports::{AccountBatch, AccountRecord, BatchOutcome, DueLetter};

/// Rows of one statement: fourteen columns each, and SQLite takes 32,766 parameters.
const ROWS: usize = 500;

impl SqliteStore {
    pub(super) async fn store_batch(
        &self,
        batch: &AccountBatch,
        now: Timestamp,
        stored: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<BatchOutcome, Trouble> {
        let mut tx = self.transaction().await?;
        if !is_current(&mut tx, batch).await? {
            return Ok(BatchOutcome::Outdated);
        }
        let had_administrator = !administrators(&mut tx).await?.is_empty();
        let mut count = 0;
        for records in batch.records.chunks(ROWS) {
            put(&mut tx, records, now).await?;
            count += records.len();
            stored(count);
        }
        if had_administrator && administrators(&mut tx).await?.is_empty() {
            return Ok(BatchOutcome::LastAdministrator);
        }
        follow_up(&mut tx, batch, now).await?;
        put_events(&mut tx, &batch.then.events).await?;
        let letters = Consequences {
            events: Vec::new(),
            letters: batch.then.letters.clone(),
        };
        record(&mut tx, &letters).await?;
        put_letters(&mut tx, &batch.later).await?;
        tx.commit().await?;
        Ok(BatchOutcome::Done)
    }
}

/// Whether every account is as the batch was made from.
async fn is_current(tx: &mut SqliteConnection, batch: &AccountBatch) -> Result<bool, Trouble> {
    let found = query("SELECT id, extension, generation, updated_at FROM accounts")
        .fetch_all(tx)
        .await?;
    let mut known: HashMap<&str, (i64, i64)> = HashMap::with_capacity(found.len());
    let mut taken: HashSet<&str> = HashSet::with_capacity(found.len());
    for row in &found {
        known.insert(
            row.try_get("id")?,
            (row.try_get("generation")?, row.try_get("updated_at")?),
        );
        taken.insert(row.try_get("extension")?);
    }
    for record in &batch.records {
        let current = match &record.before {
            None => {
                !taken.contains(record.after.extension.as_str())
                    && !known.contains_key(record.after.id.to_string().as_str())
            }
            Some(before) => {
                known.get(before.id.to_string().as_str())
                    == Some(&(rows::generation(before.generation)?, ms(before.updated_at)))
            }
        };
        if !current {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn put(tx: &mut SqliteConnection, records: &[AccountRecord], now: Timestamp) -> Result<(), Trouble> {
    let mut generations = Vec::with_capacity(records.len());
    for record in records {
        generations.push(rows::generation(record.after.generation)?);
    }
    let mut statement = QueryBuilder::<Sqlite>::new(
        "INSERT INTO accounts (id, extension, name, email, email_key, role, groups_json, language, state, generation, \
         created_at, updated_at, password_hash, password_set_at) ",
    );
    statement.push_values(records.iter().zip(generations), |mut row, (record, generation)| {
        let account = &record.after;
        row.push_bind(account.id.to_string())
            .push_bind(account.extension.as_str())
            .push_bind(&account.name)
            .push_bind(account.email.as_ref().map(Email::as_typed))
            .push_bind(account.email.as_ref().map(Email::key))
            .push_bind(account.role.as_str())
            .push_bind(rows::groups(&account.groups))
            .push_bind(account.language.tag())
            .push_bind(account.state.as_str())
            .push_bind(generation)
            .push_bind(ms(account.created_at))
            .push_bind(ms(account.updated_at))
            .push_bind(record.hash.as_ref().map(|hash| hash.expose().to_owned()))
            .push_bind(record.hash.as_ref().map(|_| ms(now)));
    });
    statement.push(
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, email_key = excluded.email_key, \
         role = excluded.role, groups_json = excluded.groups_json, language = excluded.language, \
         state = excluded.state, generation = excluded.generation, updated_at = excluded.updated_at, \
         password_hash = coalesce(excluded.password_hash, password_hash), \
         password_set_at = coalesce(excluded.password_set_at, password_set_at)",
    );
    statement.build().execute(tx).await?;
    Ok(())
}

/// Ends links that must not work any more, and tells running servers whose record or hash is another one now.
async fn follow_up(tx: &mut SqliteConnection, batch: &AccountBatch, now: Timestamp) -> Result<(), Trouble> {
    let ids = |wanted: &dyn Fn(&AccountRecord) -> bool| {
        let records = batch.records.iter().filter(|record| wanted(record));
        let ids: serde_json::Value = records.map(|record| record.after.id.to_string()).collect();
        ids.to_string()
    };
    for end in [TicketEnd::Replaced, TicketEnd::Overtaken] {
        end_live_of(tx, &ids(&|record| record.ends_links() == Some(end)), end, now).await?;
    }
    query("INSERT INTO changes (at, kind, id) SELECT $1, 'account', value FROM json_each($2)")
        .bind(ms(now))
        .bind(ids(&AccountRecord::is_news))
        .execute(tx)
        .await?;
    Ok(())
}

async fn put_events(tx: &mut SqliteConnection, events: &[Event]) -> Result<(), Trouble> {
    for events in events.chunks(ROWS) {
        let mut statement =
            QueryBuilder::<Sqlite>::new("INSERT INTO events (id, at, actor, client, account, name, detail) ");
        statement.push_values(events, |mut row, event| {
            row.push_bind(event.id.to_string())
                .push_bind(ms(event.at))
                .push_bind(event.actor.to_string())
                .push_bind(event.client.map(|client| client.to_string()))
                .push_bind(event.account.map(|account| account.to_string()))
                .push_bind(event.fact.name())
                .push_bind(event.fact.detail());
        });
        statement.build().execute(&mut *tx).await?;
    }
    Ok(())
}

async fn put_letters(tx: &mut SqliteConnection, later: &[DueLetter]) -> Result<(), Trouble> {
    for letters in later.chunks(ROWS) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "INSERT INTO letters (id, matter, account, email, client, user_agent, device, site, campaign, login, created_at, status, \
             attempts, due_at, paced) ",
        );
        statement.push_values(letters, |mut row, DueLetter { letter, due_at }| {
            let columns = rows::matter(&letter.matter);
            row.push_bind(letter.id.to_string())
                .push_bind(letter.matter.as_str())
                .push_bind(columns.account)
                .push_bind(columns.email)
                .push_bind(columns.client)
                .push_bind(columns.user_agent)
                .push_bind(columns.device)
                .push_bind(columns.site)
                .push_bind(columns.campaign)
                .push_bind(columns.login)
                .push_bind(ms(letter.created_at))
                .push_bind("waiting")
                .push_bind(0_i64)
                .push_bind(ms(*due_at))
                .push_bind(true);
        });
        statement.build().execute(&mut *tx).await?;
    }
    Ok(())
}
