//! Orders in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query};

use super::SqliteStore;
use super::events::record;
use super::rows::{self, Trouble, ms};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::order::{Decree, Order, OrderId, PolicySource, Words};
use crate::ports::{Orders, PastOrder};

#[async_trait]
impl Orders for SqliteStore {
    async fn give(&self, order: &Order, then: Consequences) -> Result<(), Fault> {
        self.write(format!("store the order {}", order.id), async {
            let mut tx = self.transaction().await?;
            let kind = order.decree.kind().as_str();
            let subject = order.decree.subject();
            // Of policies one is in force, whatever they are called.
            query(
                "UPDATE orders SET ended_at = $3 \
                 WHERE kind = $1 AND (subject = $2 OR kind = 'policy') AND ended_at IS NULL",
            )
            .bind(kind)
            .bind(&subject)
            .bind(ms(order.made_at))
            .execute(&mut *tx)
            .await?;
            let text = match &order.decree {
                Decree::Apply(PolicySource::File { text, .. }) => Some(text.as_str()),
                _ => None,
            };
            query(
                "INSERT INTO orders (id, kind, subject, policy_text, reason, author, made_at, until) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(order.id.to_string())
            .bind(kind)
            .bind(&subject)
            .bind(text)
            .bind(order.reason.as_ref().map(Words::as_str))
            .bind(order.author.as_str())
            .bind(ms(order.made_at))
            .bind(order.until.map(ms))
            .execute(&mut *tx)
            .await?;
            revise(&mut tx).await?;
            record(&mut tx, &then).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn end(&self, id: OrderId, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        self.write(format!("end the order {id}"), async {
            let mut tx = self.transaction().await?;
            let ended = query("UPDATE orders SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL")
                .bind(id.to_string())
                .bind(ms(now))
                .execute(&mut *tx)
                .await?;
            if ended.rows_affected() == 0 {
                return Ok(false);
            }
            revise(&mut tx).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn unended(&self) -> Result<(Vec<Order>, i64), Fault> {
        self.read("read the orders", async {
            // Before the orders: what changes in between is seen by the next look.
            let revision = newest(self).await?;
            let found = query("SELECT * FROM orders WHERE ended_at IS NULL ORDER BY made_at DESC, id DESC")
                .fetch_all(&self.readers)
                .await?;
            let orders: Result<Vec<Order>, Trouble> = found.iter().map(rows::order).collect();
            Ok((orders?, revision))
        })
        .await
    }

    async fn bearing(&self, since: Timestamp) -> Result<Vec<PastOrder>, Fault> {
        self.read("read the orders of before", async {
            let found = query(
                "SELECT * FROM orders WHERE kind IN ('exemption', 'policy') AND coalesce(ended_at > $1, TRUE) \
                 AND coalesce(until > $1, TRUE) ORDER BY made_at, id",
            )
            .bind(ms(since))
            .fetch_all(&self.readers)
            .await?;
            let past = |row: &SqliteRow| -> Result<PastOrder, Trouble> {
                Ok(PastOrder {
                    order: rows::order(row)?,
                    ended_at: rows::time_if_any(row, "ended_at")?,
                })
            };
            found.iter().map(past).collect()
        })
        .await
    }

    async fn revision(&self) -> Result<i64, Fault> {
        self.read("look whether the orders have changed", newest(self)).await
    }

    async fn sweep(&self, before: Timestamp, bearing: Timestamp) -> Result<u64, Fault> {
        self.write("remove orders that are over", async {
            let mut tx = self.transaction().await?;
            let removed = query(
                "DELETE FROM orders WHERE (ended_at < $1 OR until < $1) \
                 AND (kind NOT IN ('exemption', 'policy') OR ended_at < $2 OR until < $2)",
            )
            .bind(ms(before))
            .bind(ms(bearing))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}

async fn newest(store: &SqliteStore) -> Result<i64, Trouble> {
    let row = query("SELECT number FROM order_revision")
        .fetch_one(&store.readers)
        .await?;
    Ok(row.try_get("number")?)
}

async fn revise(tx: &mut SqliteConnection) -> Result<(), Trouble> {
    query("UPDATE order_revision SET number = number + 1")
        .execute(tx)
        .await?;
    Ok(())
}
