//! API tokens in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, query};

use super::SqliteStore;
use super::events::record;
use super::rows::{self, Trouble, ms};
use super::sessions::note;
use crate::domain::api_token::{ApiToken, ApiTokenId, LastUse};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::token::TokenDigest;
use crate::ports::{Adding, ApiTokens, Changed};

#[async_trait]
impl ApiTokens for SqliteStore {
    async fn add(&self, token: &ApiToken, then: Consequences) -> Result<Adding, Fault> {
        self.write(format!("add API token {}", token.id), async {
            let mut tx = self.transaction().await?;
            let added = query(
                "INSERT INTO api_tokens (id, name, digest, scopes_json, groups_json, created_by, created_at, expires_at, \
                 revoked_at, used_at, used_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING",
            )
            .bind(token.id.to_string())
            .bind(token.name.as_str())
            .bind(&token.digest.as_bytes()[..])
            .bind(rows::scopes(&token.scopes))
            .bind(rows::groups(&token.groups))
            .bind(token.created_by.to_string())
            .bind(ms(token.created_at))
            .bind(ms(token.expires_at))
            .bind(token.revoked_at.map(ms))
            .bind(token.used.map(|used| ms(used.at)))
            .bind(token.used.map(|used| used.client.to_string()))
            .execute(&mut *tx)
            .await?;
            if added.rows_affected() == 0 {
                return Ok(Adding::NameTaken);
            }
            note(&mut tx, token.created_at, &Changed::Token(token.id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Adding::Done)
        })
        .await
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<ApiToken>, Fault> {
        self.read("look up an API token", async {
            let row = query("SELECT * FROM api_tokens WHERE digest = $1")
                .bind(&digest.as_bytes()[..])
                .fetch_optional(&self.readers)
                .await?;
            row.as_ref().map(rows::api_token).transpose()
        })
        .await
    }

    async fn list(&self) -> Result<Vec<ApiToken>, Fault> {
        self.read("list the API tokens", async {
            let found = query("SELECT * FROM api_tokens ORDER BY created_at DESC, id DESC")
                .fetch_all(&self.readers)
                .await?;
            found.iter().filter_map(|row| readable(row).transpose()).collect()
        })
        .await
    }

    async fn revoke(&self, id: ApiTokenId, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        self.write(format!("revoke API token {id}"), async {
            let mut tx = self.transaction().await?;
            let revoked = query("UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
                .bind(id.to_string())
                .bind(ms(now))
                .execute(&mut *tx)
                .await?;
            if revoked.rows_affected() == 0 {
                return Ok(false);
            }
            note(&mut tx, now, &Changed::Token(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn used(&self, uses: &[(ApiTokenId, LastUse)]) -> Result<(), Fault> {
        if uses.is_empty() {
            return Ok(());
        }
        self.write(format!("note that {} API tokens were used", uses.len()), async {
            let mut tx = self.transaction().await?;
            for (id, used) in uses {
                query(
                    "UPDATE api_tokens SET used_at = $2, used_from = $3 \
                     WHERE id = $1 AND (used_at IS NULL OR used_at < $2)",
                )
                .bind(id.to_string())
                .bind(ms(used.at))
                .bind(used.client.to_string())
                .execute(&mut *tx)
                .await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        self.write("remove ended API tokens", async {
            let mut tx = self.transaction().await?;
            // They opened nothing for long, wherever they are remembered: that is no change to follow.
            let removed = query("DELETE FROM api_tokens WHERE expires_at < $1 OR revoked_at < $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}

/// A token that cannot be understood opens nothing, and keeps nobody from seeing and revoking the others.
fn readable(row: &SqliteRow) -> Result<Option<ApiToken>, Trouble> {
    let id: String = row.try_get("id")?;
    match rows::api_token(row) {
        Ok(token) => Ok(Some(token)),
        Err(trouble) => {
            let fault = trouble.into_fault(format!("could not read API token {id}"));
            tracing::error!(fault = fault.chain(), "an API token cannot be read, and opens nothing");
            Ok(None)
        }
    }
}
