//! What came back about letters, in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query, query_as};

use super::SqliteStore;
use super::events;
use super::rows::{self, Trouble, letter_columns, ms};
use crate::domain::account::Email;
use crate::domain::bounce::{Action, DeadAddress, Ignored, Report};
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::ports::{Bounces, LetterListing, Noting};

#[async_trait]
impl Bounces for SqliteStore {
    async fn letter(&self, id: LetterId) -> Result<Option<LetterListing>, Fault> {
        self.read(format!("look up letter {id}"), async {
            let row = query(concat!("SELECT ", letter_columns!(), " FROM letters WHERE id = $1"))
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
            row.as_ref().map(rows::letter_listing).transpose()
        })
        .await
    }

    async fn note(&self, id: LetterId, report: &Report, now: Timestamp, event: Event) -> Result<Noting, Fault> {
        self.write(format!("note what was reported about letter {id}"), async {
            let mut tx = self.transaction().await?;
            let found: Option<(String, Option<String>, Option<String>)> =
                query_as("SELECT status, bounce, sent_to FROM letters WHERE id = $1")
                    .bind(id.to_string())
                    .fetch_optional(&mut *tx)
                    .await?;
            let Some((status, bounce, sent_to)) = found else {
                return Ok(Noting::Unknown);
            };
            match status.as_str() {
                "delivered" => {}
                "bounced" => return Ok(Noting::Unchanged),
                "waiting" => return Ok(Noting::NotYetSent),
                _ => return Ok(Noting::Unknown),
            }
            match report.action {
                Action::Delivered if bounce.is_none() => return Ok(Noting::Unchanged),
                Action::Delivered => forget_delay(&mut tx, id).await?,
                Action::Delayed => keep(&mut tx, id, report, now).await?,
                Action::Failed => {
                    keep(&mut tx, id, report, now).await?;
                    query("UPDATE letters SET status = 'bounced', ended_at = $2 WHERE id = $1")
                        .bind(id.to_string())
                        .bind(ms(now))
                        .execute(&mut *tx)
                        .await?;
                    if let Some(email) = sent_to.and_then(|typed| Email::parse(&typed).ok())
                        && report.is_permanent()
                    {
                        speak_against(&mut tx, &email, report, now).await?;
                    }
                    events::insert(&mut tx, &event).await?;
                }
            }
            tx.commit().await?;
            Ok(Noting::Done)
        })
        .await
    }

    async fn ignore(&self, why: Ignored) -> Result<(), Fault> {
        self.write("count a message that told nothing", async {
            let mut tx = self.transaction().await?;
            query(
                "INSERT INTO ignored_reports (reason, count) VALUES ($1, 1) \
                 ON CONFLICT (reason) DO UPDATE SET count = count + 1",
            )
            .bind(why.as_str())
            .execute(&mut *tx)
            .await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn ignored(&self) -> Result<Vec<(Ignored, u64)>, Fault> {
        self.read("count messages that told nothing", async {
            let found = query("SELECT reason, count FROM ignored_reports")
                .fetch_all(&self.readers)
                .await?;
            let mut counts = found.iter().map(rows::ignored).collect::<Result<Vec<_>, _>>()?;
            counts.sort_by_key(|(reason, _)| *reason);
            Ok(counts)
        })
        .await
    }

    async fn dead_addresses(&self) -> Result<Vec<DeadAddress>, Fault> {
        self.read("list the addresses to which mail bounces", async {
            let found = query(
                "SELECT email_key, bounce_status, bounce_words, bounced_at FROM dead_addresses ORDER BY email_key",
            )
            .fetch_all(&self.readers)
            .await?;
            found.iter().map(dead_address).collect()
        })
        .await
    }
}

fn dead_address(row: &SqliteRow) -> Result<DeadAddress, Trouble> {
    Ok(DeadAddress {
        key: row.try_get("email_key")?,
        bounce: rows::bounce(row, Action::Failed)?,
    })
}

async fn keep(tx: &mut SqliteConnection, id: LetterId, report: &Report, now: Timestamp) -> Result<(), Trouble> {
    query("UPDATE letters SET bounce = $2, bounce_status = $3, bounce_words = $4, bounced_at = $5 WHERE id = $1")
        .bind(id.to_string())
        .bind(report.action.as_str())
        .bind(report.status.map(|status| status.to_string()))
        .bind(report.words.as_deref())
        .bind(ms(now))
        .execute(tx)
        .await?;
    Ok(())
}

async fn forget_delay(tx: &mut SqliteConnection, id: LetterId) -> Result<(), Trouble> {
    query(
        "UPDATE letters SET bounce = NULL, bounce_status = NULL, bounce_words = NULL, bounced_at = NULL WHERE id = $1",
    )
    .bind(id.to_string())
    .execute(tx)
    .await?;
    Ok(())
}

async fn speak_against(
    tx: &mut SqliteConnection,
    email: &Email,
    report: &Report,
    now: Timestamp,
) -> Result<(), Trouble> {
    query(
        "INSERT OR REPLACE INTO dead_addresses (email_key, bounce_status, bounce_words, bounced_at) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(email.key())
    .bind(report.status.map(|status| status.to_string()))
    .bind(report.words.as_deref())
    .bind(ms(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// A letter to this address was taken: what bounced before speaks against it no longer.
pub(super) async fn forgive(tx: &mut SqliteConnection, email: &Email) -> Result<(), Trouble> {
    query("DELETE FROM dead_addresses WHERE email_key = $1")
        .bind(email.key())
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes what bounced before then at addresses that nobody has any more.
pub(super) async fn forget(tx: &mut SqliteConnection, before: Timestamp) -> Result<(), Trouble> {
    query(
        "DELETE FROM dead_addresses WHERE bounced_at < $1 \
         AND NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.email_key = dead_addresses.email_key)",
    )
    .bind(ms(before))
    .execute(tx)
    .await?;
    Ok(())
}
