//! Attacks in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::SqliteStore;
use super::events::record_once;
use super::rows::{Trouble, limit, ms};
use crate::domain::campaigns::{Campaign, CampaignId};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::ports::{CampaignBook, Stored};

/// When administrators were told of an attack, as its record says it and the index has it.
macro_rules! told_at {
    () => {
        "CASE WHEN json_valid(record_json) THEN json_extract(record_json, '$.told_at') END"
    };
}
#[cfg(test)]
pub(super) use told_at;

#[async_trait]
impl CampaignBook for SqliteStore {
    async fn put(&self, campaigns: &[Campaign], then: Consequences) -> Result<(), Fault> {
        self.write("store campaigns", async {
            let mut tx = self.transaction().await?;
            for campaign in campaigns {
                let record = serde_json::to_string(campaign).map_err(|error| Trouble::Column(error.to_string()))?;
                query(
                    "INSERT INTO campaigns (id, kind, began_at, last_at, ended_at, record_json) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET began_at = excluded.began_at, \
                     last_at = excluded.last_at, ended_at = excluded.ended_at, record_json = excluded.record_json",
                )
                .bind(campaign.id.to_string())
                .bind(campaign.kind.as_str())
                .bind(ms(campaign.began_at))
                .bind(ms(campaign.last_at))
                .bind(campaign.ended_at.map(ms))
                .bind(record)
                .execute(&mut *tx)
                .await?;
            }
            record_once(&mut tx, &then).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn find(&self, id: CampaignId) -> Result<Option<Campaign>, Fault> {
        self.read("look up a campaign", async {
            let found = query("SELECT id, record_json FROM campaigns WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
            found.as_ref().map(campaign).transpose()
        })
        .await
    }

    async fn list(&self, since: Timestamp, most: usize) -> Result<Vec<Stored>, Fault> {
        self.read("list the campaigns", async {
            let found = query(
                "SELECT id, record_json FROM campaigns WHERE last_at >= $1 ORDER BY last_at DESC, id DESC LIMIT $2",
            )
            .bind(ms(since))
            .bind(limit(most))
            .fetch_all(&self.readers)
            .await?;
            Ok(found.iter().map(stored).collect())
        })
        .await
    }

    async fn told_at(&self, moment: Timestamp, most: usize) -> Result<Vec<Stored>, Fault> {
        self.read("list the campaigns of a letter", async {
            // The second as it is written in the record, whatever follows it. The expression is that of the index: there
            // may be as many attacks as strangers like, and a letter does not wait for all of them to be read.
            let second = |at: i64| Timestamp::from_second(at).map_err(|error| Trouble::Column(error.to_string()));
            let [from, until] = [moment.as_second(), moment.as_second() + 1].map(second);
            let written = |at: Timestamp| at.to_string().trim_end_matches('Z').to_owned();
            let found = query(concat!(
                "SELECT id, record_json FROM campaigns WHERE ",
                told_at!(),
                " >= $1 AND ",
                told_at!(),
                " < $2 ORDER BY id"
            ))
            .bind(written(from?))
            .bind(written(until?))
            .fetch_all(&self.readers)
            .await?;
            let mut told: Vec<Stored> = found.iter().map(stored).collect();
            told.retain(|stored| {
                let at = stored.as_ref().map(|campaign| campaign.told_at.map(ms));
                at.is_err() || at.is_ok_and(|at| at == Some(ms(moment)))
            });
            told.truncate(most);
            Ok(told)
        })
        .await
    }

    async fn living(&self) -> Result<Vec<Stored>, Fault> {
        self.read("list the campaigns under way", async {
            let found = query("SELECT id, record_json FROM campaigns WHERE ended_at IS NULL ORDER BY id")
                .fetch_all(&self.readers)
                .await?;
            Ok(found.iter().map(stored).collect())
        })
        .await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        self.write("remove campaigns of long ago", async {
            let mut tx = self.transaction().await?;
            let removed = query("DELETE FROM campaigns WHERE ended_at < $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}

fn campaign(row: &SqliteRow) -> Result<Campaign, Trouble> {
    let text: &str = row.try_get("record_json")?;
    serde_json::from_str(text).map_err(|error| Trouble::Column(format!("a campaign cannot be read: {error}")))
}

/// One of several.
fn stored(row: &SqliteRow) -> Stored {
    campaign(row).map_err(|trouble| {
        let id = row.try_get::<&str, _>("id").unwrap_or("without a name");
        trouble.into_fault(format!("could not read campaign {id}"))
    })
}
