//! The outbox in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query};

use super::SqliteStore;
use super::bounces;
use super::events::{self, record};
use super::rows::{self, Trouble, letter_columns, limit, ms};
use crate::domain::account::Email;
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::outbox::{Batch, Letter, LetterId, Matter, QueuedLetter, TOLD_FOR};
use crate::domain::session::later;
use crate::ports::{LetterListing, Outbox, Queue};

#[async_trait]
impl Outbox for SqliteStore {
    async fn accept(&self, then: Consequences) -> Result<(), Fault> {
        self.write("accept a letter", async {
            let mut tx = self.transaction().await?;
            record(&mut tx, &then).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn take(&self, now: Timestamp, most: Batch, lease: Duration) -> Result<Vec<QueuedLetter>, Fault> {
        self.write("take letters from the outbox", async {
            let mut tx = self.transaction().await?;
            let mut taken = Vec::new();
            for (paced, most) in [(false, most.others), (true, most.paced)] {
                let due = query(
                    "SELECT id, matter, account, email, client, user_agent, device, site, campaign, login, reader_name, \
                     reader_extension, reader_language, created_at, attempts, paced FROM letters \
                     WHERE status = 'waiting' AND due_at <= $1 AND (taken_until IS NULL OR taken_until <= $1) \
                     AND paced = $3 ORDER BY created_at, id LIMIT $2",
                )
                .bind(ms(now))
                .bind(limit(most))
                .bind(paced)
                .fetch_all(&mut *tx)
                .await?;
                for row in &due {
                    match queued(row) {
                        Ok(letter) => taken.push(letter),
                        Err(trouble) => set_aside(&mut tx, row, trouble, later(now, lease)).await?,
                    }
                }
            }
            for queued in &taken {
                query("UPDATE letters SET taken_until = $2 WHERE id = $1")
                    .bind(queued.letter.id.to_string())
                    .bind(ms(later(now, lease)))
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok(taken)
        })
        .await
    }

    async fn give_back_taken(&self) -> Result<(), Fault> {
        self.write("give letters back to the outbox", async {
            let mut tx = self.transaction().await?;
            query("UPDATE letters SET taken_until = NULL WHERE status = 'waiting' AND taken_until IS NOT NULL")
                .execute(&mut *tx)
                .await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn delivered(
        &self,
        id: LetterId,
        to: &Email,
        now: Timestamp,
        words: &str,
        event: Event,
    ) -> Result<(), Fault> {
        self.write(format!("note that letter {id} was delivered"), async {
            let mut tx = self.transaction().await?;
            let ended = query(
                "UPDATE letters SET status = 'delivered', ended_at = $2, words = $3, sent_to = $4 \
                 WHERE id = $1 AND status = 'waiting'",
            )
            .bind(id.to_string())
            .bind(ms(now))
            .bind(words)
            .bind(to.as_typed())
            .execute(&mut *tx)
            .await?;
            if ended.rows_affected() == 1 {
                bounces::forgive(&mut tx, to).await?;
                events::insert(&mut tx, &event).await?;
                tx.commit().await?;
            }
            Ok(())
        })
        .await
    }

    async fn withheld(&self, id: LetterId, now: Timestamp, event: Event) -> Result<(), Fault> {
        self.write(format!("note that letter {id} was withheld"), async {
            let ended =
                query("UPDATE letters SET status = 'withheld', ended_at = $2 WHERE id = $1 AND status = 'waiting'");
            self.end_letter(ended.bind(id.to_string()).bind(ms(now)), &event).await
        })
        .await
    }

    async fn failed(&self, id: LetterId, words: &str, again_at: Timestamp) -> Result<(), Fault> {
        self.write(format!("note that letter {id} failed"), async {
            let mut tx = self.transaction().await?;
            query(
                "UPDATE letters SET attempts = attempts + 1, due_at = $2, taken_until = NULL, words = $3 \
                 WHERE id = $1 AND status = 'waiting'",
            )
            .bind(id.to_string())
            .bind(ms(again_at))
            .bind(words)
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn given_up(&self, id: LetterId, now: Timestamp, words: &str, event: Event) -> Result<(), Fault> {
        self.write(format!("note that letter {id} was given up"), async {
            let ended = query(
                "UPDATE letters SET status = 'given-up', attempts = attempts + 1, ended_at = $2, words = $3 \
                 WHERE id = $1 AND status = 'waiting'",
            );
            self.end_letter(ended.bind(id.to_string()).bind(ms(now)).bind(words), &event)
                .await
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, Fault> {
        self.read("look for the next letter", async {
            let row = query(
                "SELECT MIN(CASE WHEN taken_until > due_at THEN taken_until ELSE due_at END) AS next_due \
                 FROM letters WHERE status = 'waiting'",
            )
            .fetch_one(&self.readers)
            .await?;
            rows::time_if_any(&row, "next_due")
        })
        .await
    }

    async fn recall(&self, now: Timestamp, far: Timestamp) -> Result<u64, Fault> {
        self.write("recall letters that wait for a time far ahead", async {
            let mut tx = self.transaction().await?;
            let recalled = query(
                "UPDATE letters SET due_at = $1, taken_until = NULL WHERE status = 'waiting' \
                 AND (taken_until > $2 OR (due_at > $2 AND (attempts > 0 OR due_at = created_at)))",
            )
            .bind(ms(now))
            .bind(ms(far))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(recalled.rows_affected())
        })
        .await
    }

    async fn queue(&self, now: Timestamp) -> Result<Queue, Fault> {
        self.read("look at the waiting letters", async {
            let row = query(
                "SELECT COUNT(*) AS waiting, \
                 MIN(CASE WHEN attempts > 0 THEN created_at WHEN due_at <= $1 THEN due_at END) AS due_since \
                 FROM letters WHERE status = 'waiting'",
            )
            .bind(ms(now))
            .fetch_one(&self.readers)
            .await?;
            let waiting: i64 = row.try_get("waiting")?;
            Ok(Queue {
                waiting: u64::try_from(waiting).unwrap_or(0),
                due_since: rows::time_if_any(&row, "due_since")?,
            })
        })
        .await
    }

    async fn list(&self, most: usize) -> Result<Vec<LetterListing>, Fault> {
        self.read("list the letters", async {
            let found = query(concat!(
                "SELECT ",
                letter_columns!(),
                " FROM letters ORDER BY created_at DESC, id DESC LIMIT $1"
            ))
            .bind(limit(most))
            .fetch_all(&self.readers)
            .await?;
            found.iter().map(rows::letter_listing).collect()
        })
        .await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        self.write("remove old letters", async {
            let mut tx = self.transaction().await?;
            let removed = query("DELETE FROM letters WHERE status <> 'waiting' AND ended_at < $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            bounces::forget(&mut tx, before).await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}

type Statement<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

impl SqliteStore {
    /// A letter ends once: an outcome reported after that records nothing.
    async fn end_letter(&self, statement: Statement<'_>, event: &Event) -> Result<(), Trouble> {
        let mut tx = self.transaction().await?;
        if statement.execute(&mut *tx).await?.rows_affected() == 1 {
            events::insert(&mut tx, event).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Accepts a letter, due at once, in the transaction that causes it; not one that repeats what was just told.
pub(super) async fn insert(tx: &mut SqliteConnection, letter: &Letter) -> Result<(), Trouble> {
    if is_repeated(tx, letter).await? {
        return Ok(());
    }
    let columns = rows::matter(&letter.matter);
    query(
        "INSERT INTO letters (id, matter, account, email, client, user_agent, device, site, campaign, created_at, status, \
         attempts, due_at, paced, login, reader_name, reader_extension, reader_language) \
         VALUES ($1, $2, $3, $4, $5, $7, $8, $10, $11, $6, 'waiting', 0, $6, $9, $12, $13, $14, $15)",
    )
    .bind(letter.id.to_string())
    .bind(letter.matter.as_str())
    .bind(columns.account)
    .bind(columns.email)
    .bind(columns.client)
    .bind(ms(letter.created_at))
    .bind(columns.user_agent)
    .bind(columns.device)
    .bind(letter.matter.is_paced())
    .bind(columns.site)
    .bind(columns.campaign)
    .bind(columns.login)
    .bind(columns.reader.map(|reader| reader.name.as_str()))
    .bind(columns.reader.map(|reader| reader.extension.as_str()))
    .bind(columns.reader.map(|reader| reader.language.tag()))
    .execute(tx)
    .await?;
    Ok(())
}

async fn is_repeated(tx: &mut SqliteConnection, letter: &Letter) -> Result<bool, Trouble> {
    let Matter::NewDevice { account, .. } = &letter.matter else {
        return Ok(false);
    };
    let since = ms(letter.created_at).saturating_sub(i64::try_from(TOLD_FOR.as_millis()).unwrap_or(i64::MAX));
    let told = query(
        "SELECT id, matter, account, email, client, user_agent, device, created_at FROM letters \
         WHERE created_at > $1 AND matter = $2 AND account = $3",
    )
    .bind(since)
    .bind(letter.matter.as_str())
    .bind(account.to_string())
    .fetch_all(tx)
    .await?;
    for row in &told {
        if letter.repeats(&rows::letter(row)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A letter that waits and cannot be understood holds up no other one: it is looked at again when the lease of those that
/// were taken with it ends, since another version may understand it.
async fn set_aside(
    tx: &mut SqliteConnection,
    row: &SqliteRow,
    trouble: Trouble,
    until: Timestamp,
) -> Result<(), Trouble> {
    let id: String = row.try_get("id")?;
    let fault = trouble.into_fault(format!("could not read letter {id}"));
    tracing::error!(
        fault = fault.chain(),
        "a letter that waits cannot be read, and is not sent"
    );
    query("UPDATE letters SET taken_until = $2 WHERE id = $1")
        .bind(id)
        .bind(ms(until))
        .execute(tx)
        .await?;
    Ok(())
}

fn queued(row: &SqliteRow) -> Result<QueuedLetter, Trouble> {
    Ok(QueuedLetter {
        letter: rows::letter(row)?,
        attempts: rows::attempts(row)?,
        paced: row.try_get("paced")?,
    })
}
