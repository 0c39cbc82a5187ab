//! Signing keys in SQLite: the private part arrives here already sealed.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::query;

use super::SqliteStore;
use super::events::record;
use super::rows::{self, ms};
use super::sessions::note;
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::key::KeyRecord;
use crate::ports::{Changed, Keys};

#[async_trait]
impl Keys for SqliteStore {
    async fn list(&self) -> Result<Vec<KeyRecord>, Fault> {
        self.read("list the signing keys", async {
            let found = query(
                "SELECT kid, algorithm, sealed, public_jwk, created_at, retired_at FROM signing_keys \
                 ORDER BY created_at DESC, kid DESC",
            )
            .fetch_all(&self.readers)
            .await?;
            found.iter().map(rows::key).collect()
        })
        .await
    }

    async fn add(&self, key: &KeyRecord, then: Consequences) -> Result<(), Fault> {
        self.write(format!("add signing key {}", key.kid), async {
            let mut tx = self.transaction().await?;
            query("UPDATE signing_keys SET retired_at = $1 WHERE retired_at IS NULL")
                .bind(ms(key.created_at))
                .execute(&mut *tx)
                .await?;
            query(
                "INSERT INTO signing_keys (kid, algorithm, sealed, public_jwk, created_at, retired_at) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&key.kid)
            .bind(key.algorithm.as_str())
            .bind(&key.sealed)
            .bind(&key.public_jwk)
            .bind(ms(key.created_at))
            .bind(key.retired_at.map(ms))
            .execute(&mut *tx)
            .await?;
            note(&mut tx, key.created_at, &Changed::Keys).await?;
            record(&mut tx, &then).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        self.write("remove retired signing keys", async {
            let mut tx = self.transaction().await?;
            let removed = query("DELETE FROM signing_keys WHERE retired_at < $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}
