//! Unlocks in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::query;

use super::SqliteStore;
use super::accounts::state;
use super::events::record;
use super::rows::{self, ms};
use crate::domain::account::AccountId;
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::domain::token::TokenDigest;
use crate::domain::unlock::Unlock;
use crate::ports::Unlocks;

#[async_trait]
impl Unlocks for SqliteStore {
    async fn issue(&self, unlock: &Unlock) -> Result<bool, Fault> {
        self.write(format!("issue an unlock to account {}", unlock.account), async {
            let mut tx = self.transaction().await?;
            if state(&mut tx, unlock.account).await?.is_none() {
                return Ok(false);
            }
            query("UPDATE unlocks SET ended_at = $2 WHERE account = $1 AND ended_at IS NULL")
                .bind(unlock.account.to_string())
                .bind(ms(unlock.created_at))
                .execute(&mut *tx)
                .await?;
            query(
                "INSERT INTO unlocks (digest, account, letter, sent_to, created_at, expires_at, ended_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&unlock.digest.as_bytes()[..])
            .bind(unlock.account.to_string())
            .bind(unlock.letter.to_string())
            .bind(unlock.sent_to.as_typed())
            .bind(ms(unlock.created_at))
            .bind(ms(unlock.expires_at))
            .bind(unlock.ended_at.map(ms))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Unlock>, Fault> {
        self.read("look up an unlock", async {
            let row = query(
                "SELECT digest, account, letter, sent_to, created_at, expires_at, ended_at FROM unlocks \
                 WHERE digest = $1",
            )
            .bind(&digest.as_bytes()[..])
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(rows::unlock).transpose()
        })
        .await
    }

    async fn use_up(&self, digest: &TokenDigest, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        self.write("use an unlock", async {
            let mut tx = self.transaction().await?;
            let used =
                query("UPDATE unlocks SET ended_at = $2 WHERE digest = $1 AND ended_at IS NULL AND expires_at > $2")
                    .bind(&digest.as_bytes()[..])
                    .bind(ms(now))
                    .execute(&mut *tx)
                    .await?;
            if used.rows_affected() == 0 {
                return Ok(false);
            }
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn sent_since(&self, account: AccountId, since: Timestamp, besides: LetterId) -> Result<bool, Fault> {
        self.read("look for an unlock that was sent", async {
            let found = query(
                "SELECT 1 FROM unlocks u LEFT JOIN letters l ON l.id = u.letter \
                 WHERE u.account = $1 AND u.created_at > $2 AND u.letter <> $3 \
                 AND (l.status IS NULL OR l.status IN ('delivered', 'waiting')) LIMIT 1",
            )
            .bind(account.to_string())
            .bind(ms(since))
            .bind(besides.to_string())
            .fetch_optional(&self.readers)
            .await?;
            Ok(found.is_some())
        })
        .await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        self.write("remove expired unlocks", async {
            let mut tx = self.transaction().await?;
            let removed = query("DELETE FROM unlocks WHERE expires_at < $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}
