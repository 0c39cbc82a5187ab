//! Attacks in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::SqliteStore;
use super::events::record;
use super::rows::{Trouble, limit, ms};
use crate::domain::campaigns::{Campaign, CampaignId};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::ports::CampaignBook;

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
            record(&mut tx, &then).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn find(&self, id: CampaignId) -> Result<Option<Campaign>, Fault> {
        self.read("look up a campaign", async {
            let found = query("SELECT record_json FROM campaigns WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.readers)
                .await?;
            found.as_ref().map(campaign).transpose()
        })
        .await
    }

    async fn list(&self, since: Timestamp, most: usize) -> Result<Vec<Campaign>, Fault> {
        self.read("list the campaigns", async {
            let found =
                query("SELECT record_json FROM campaigns WHERE last_at >= $1 ORDER BY last_at DESC, id DESC LIMIT $2")
                    .bind(ms(since))
                    .bind(limit(most))
                    .fetch_all(&self.readers)
                    .await?;
            found.iter().map(campaign).collect()
        })
        .await
    }

    async fn told_at(&self, moment: Timestamp, since: Timestamp, most: usize) -> Result<Vec<Campaign>, Fault> {
        self.read("list the campaigns of a letter", async {
            // The second as it is written in the record, whatever follows it.
            let second =
                Timestamp::from_second(moment.as_second()).map_err(|error| Trouble::Column(error.to_string()))?;
            let written = format!("\"told_at\":\"{}", second.to_string().trim_end_matches('Z'));
            let found = query(
                "SELECT record_json FROM campaigns WHERE last_at >= $1 AND instr(record_json, $2) > 0 ORDER BY id",
            )
            .bind(ms(since))
            .bind(written)
            .fetch_all(&self.readers)
            .await?;
            let mut told = found.iter().map(campaign).collect::<Result<Vec<_>, _>>()?;
            told.retain(|campaign| campaign.told_at.map(ms) == Some(ms(moment)));
            told.truncate(most);
            Ok(told)
        })
        .await
    }

    async fn living(&self) -> Result<Vec<Campaign>, Fault> {
        self.read("list the campaigns under way", async {
            let found = query("SELECT record_json FROM campaigns WHERE ended_at IS NULL ORDER BY id")
                .fetch_all(&self.readers)
                .await?;
            found.iter().map(campaign).collect()
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
