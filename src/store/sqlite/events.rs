//! Events in SQLite, and the consequences that every other change writes in its own transaction.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection, query};

use super::SqliteStore;
use super::outbox;
use super::rows::{self, Trouble, limit, ms};
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::ports::{EventFilter, Events};

#[async_trait]
impl Events for SqliteStore {
    async fn append(&self, events: &[Event]) -> Result<(), Fault> {
        self.write("record events", async {
            let mut tx = self.transaction().await?;
            for event in events {
                insert(&mut tx, event).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn list(&self, filter: EventFilter) -> Result<Vec<Event>, Fault> {
        self.read("list the events", async {
            let since = filter.since.map_or(i64::MIN, ms);
            let statement = match filter.account {
                Some(account) => query(
                    "SELECT id, at, actor, client, account, name, detail FROM events \
                     WHERE at >= $1 AND account = $3 ORDER BY at DESC, id DESC LIMIT $2",
                )
                .bind(since)
                .bind(limit(filter.most))
                .bind(account.to_string()),
                None => query(
                    "SELECT id, at, actor, client, account, name, detail FROM events \
                     WHERE at >= $1 ORDER BY at DESC, id DESC LIMIT $2",
                )
                .bind(since)
                .bind(limit(filter.most)),
            };
            let found = statement.fetch_all(&self.readers).await?;
            found.iter().map(rows::event).collect()
        })
        .await
    }

    async fn recorded_since(&self, cursor: Option<i64>, most: usize) -> Result<(Vec<Event>, i64), Fault> {
        self.read("read the newest events", async {
            // Rows are added by one writer at a time and the newest is never removed, so their numbers follow the order
            // of commits; ids and times do not, where two processes record.
            let Some(cursor) = cursor else {
                let newest = query("SELECT coalesce(max(rowid), 0) AS number FROM events");
                let row = newest.fetch_one(&self.readers).await?;
                return Ok((Vec::new(), row.try_get("number")?));
            };
            let found = query(
                "SELECT rowid AS number, id, at, actor, client, account, name, detail FROM events \
                 WHERE rowid > $1 ORDER BY rowid LIMIT $2",
            )
            .bind(cursor)
            .bind(limit(most))
            .fetch_all(&self.readers)
            .await?;
            let newest = match found.last() {
                Some(row) => row.try_get("number")?,
                None => cursor,
            };
            let events: Result<Vec<Event>, Trouble> = found.iter().map(rows::event).collect();
            Ok((events?, newest))
        })
        .await
    }

    async fn sweep(&self, before: Timestamp, most: u64) -> Result<u64, Fault> {
        self.write("remove old events", async {
            let mut tx = self.transaction().await?;
            // Whatever is not older than this, the database keeps, whoever wants to delete it.
            query("UPDATE events_kept SET since = $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            let removed = query(
                "DELETE FROM events WHERE rowid IN (SELECT rowid FROM events WHERE at < $1 \
                 AND rowid < (SELECT max(rowid) FROM events) ORDER BY at, id LIMIT $2)",
            )
            .bind(ms(before))
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}

impl SqliteStore {
    /// When the newest event was recorded, whether or not this version understands it; `None` as long as there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn newest_event(&self) -> Result<Option<Timestamp>, Fault> {
        self.read("find the newest event", async {
            let row = query("SELECT max(at) AS at FROM events")
                .fetch_one(&self.readers)
                .await?;
            rows::time_if_any(&row, "at")
        })
        .await
    }
}

/// Writes what follows from a change, in the transaction that makes it.
pub(super) async fn record(tx: &mut SqliteConnection, then: &Consequences) -> Result<(), Trouble> {
    for event in &then.events {
        insert(tx, event).await?;
    }
    for letter in &then.letters {
        outbox::insert(tx, letter).await?;
    }
    Ok(())
}

/// The same for what may have been written before, by a commit whose answer came too late: each once.
pub(super) async fn record_once(tx: &mut SqliteConnection, then: &Consequences) -> Result<(), Trouble> {
    for event in &then.events {
        let known = query("SELECT 1 FROM events WHERE id = $1").bind(event.id.to_string());
        if known.fetch_optional(&mut *tx).await?.is_none() {
            insert(tx, event).await?;
        }
    }
    for letter in &then.letters {
        let known = query("SELECT 1 FROM letters WHERE id = $1").bind(letter.id.to_string());
        if known.fetch_optional(&mut *tx).await?.is_none() {
            outbox::insert(tx, letter).await?;
        }
    }
    Ok(())
}

pub(super) async fn insert(tx: &mut SqliteConnection, event: &Event) -> Result<(), Trouble> {
    query("INSERT INTO events (id, at, actor, client, account, name, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(event.id.to_string())
        .bind(ms(event.at))
        .bind(event.actor.to_string())
        .bind(event.client.map(|client| client.to_string()))
        .bind(event.account.map(|account| account.to_string()))
        .bind(event.fact.name())
        .bind(event.fact.detail())
        .execute(tx)
        .await?;
    Ok(())
}
