//! Tickets in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query};

use super::SqliteStore;
use super::accounts::state;
use super::events::{self, record};
use super::rows::{self, Trouble, account_columns, limit, ms};
use super::sessions::note;
use crate::domain::account::{AccountId, AccountState};
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::domain::password::PasswordHash;
use crate::domain::ticket::{Ticket, TicketEnd, TicketState};
use crate::domain::token::TokenDigest;
use crate::ports::{Changed, Issue, Redemption, TicketListing, TicketRecord, Tickets};

#[async_trait]
impl Tickets for SqliteStore {
    async fn issue(&self, ticket: &Ticket) -> Result<Issue, Fault> {
        self.write(format!("issue a ticket to account {}", ticket.account), async {
            let mut tx = self.transaction().await?;
            match state(&mut tx, ticket.account).await? {
                None | Some(AccountState::Disabled) => return Ok(Issue::NoAccount),
                Some(AccountState::Invited | AccountState::Active) => {}
            }
            replace_live(&mut tx, ticket.account, ticket.created_at).await?;
            insert(&mut tx, ticket).await?;
            tx.commit().await?;
            Ok(Issue::Done)
        })
        .await
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<TicketRecord>, Fault> {
        self.read("look up a ticket", async {
            let row = query(concat!(
                "SELECT t.digest, t.account, t.purpose, t.way, t.created_at, t.expires_at, t.ended, a.closed_hash, ",
                account_columns!(),
                " FROM tickets t JOIN accounts a ON a.id = t.account WHERE t.digest = $1"
            ))
            .bind(&digest.as_bytes()[..])
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(ticket_record).transpose()
        })
        .await
    }

    async fn redeem(
        &self,
        digest: &TokenDigest,
        hash: &PasswordHash,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Redemption, Fault> {
        self.write("redeem a ticket", async {
            let mut tx = self.transaction().await?;
            let Some(ticket) = of_enabled_account(&mut tx, digest).await? else {
                return Ok(Redemption::Unknown);
            };
            match ticket.state_at(now) {
                TicketState::Live => {}
                dead => return Ok(Redemption::Refused(dead)),
            }
            if !spend(&mut tx, digest, now).await? {
                return Ok(Redemption::Refused(TicketState::Used));
            }
            replace_live(&mut tx, ticket.account, now).await?;
            set_password(&mut tx, ticket.account, hash, now).await?;
            note(&mut tx, now, &Changed::Account(ticket.account)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Redemption::Done)
        })
        .await
    }

    async fn stands(
        &self,
        account: AccountId,
        since: Timestamp,
        now: Timestamp,
        besides: LetterId,
    ) -> Result<bool, Fault> {
        self.read("look for a link that works", async {
            let found = query(
                "SELECT 1 FROM tickets t LEFT JOIN letters l ON l.id = t.way \
                 WHERE t.account = $1 AND t.ended IS NULL AND t.created_at > $2 AND t.expires_at > $3 \
                 AND (t.way IS NULL OR t.way <> $4) AND (l.status IS NULL OR l.status IN ('delivered', 'waiting'))",
            )
            .bind(account.to_string())
            .bind(ms(since))
            .bind(ms(now))
            .bind(besides.to_string())
            .fetch_optional(&self.readers)
            .await?;
            Ok(found.is_some())
        })
        .await
    }

    async fn newest(&self) -> Result<Vec<Ticket>, Fault> {
        self.read("look for the newest tickets", async {
            let found = query(
                "SELECT digest, account, purpose, way, created_at, expires_at, ended FROM (SELECT *, row_number() OVER \
                 (PARTITION BY account ORDER BY created_at DESC, digest DESC) AS age FROM tickets) WHERE age = 1",
            )
            .fetch_all(&self.readers)
            .await?;
            found.iter().map(rows::ticket).collect()
        })
        .await
    }

    async fn opened(&self, digest: &TokenDigest, now: Timestamp, event: Event) -> Result<(), Fault> {
        self.write("note that a link was opened", async {
            let mut tx = self.transaction().await?;
            let counted = query("UPDATE tickets SET openings = openings + 1, opened_at = $2 WHERE digest = $1")
                .bind(&digest.as_bytes()[..])
                .bind(ms(now))
                .execute(&mut *tx)
                .await?;
            if counted.rows_affected() == 1 {
                events::insert(&mut tx, &event).await?;
                tx.commit().await?;
            }
            Ok(())
        })
        .await
    }

    async fn list(&self, account: Option<AccountId>, most: usize) -> Result<Vec<TicketListing>, Fault> {
        self.read("list the links", async {
            let found = query(
                "SELECT digest, account, purpose, way, created_at, expires_at, ended, openings, opened_at, ended_at \
                 FROM tickets WHERE $1 IS NULL OR account = $1 ORDER BY created_at DESC, digest LIMIT $2",
            )
            .bind(account.map(|account| account.to_string()))
            .bind(limit(most))
            .fetch_all(&self.readers)
            .await?;
            found.iter().map(rows::ticket_listing).collect()
        })
        .await
    }

    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault> {
        self.write("remove expired tickets", async {
            let mut tx = self.transaction().await?;
            let removed = query("DELETE FROM tickets WHERE expires_at < $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }
}

/// Replaces every ticket of the account that is live at `now`.
pub(super) async fn replace_live(tx: &mut SqliteConnection, id: AccountId, now: Timestamp) -> Result<(), Trouble> {
    end_live(tx, id, TicketEnd::Replaced, now).await
}

/// Ends every ticket of the account that is live at `now`.
pub(super) async fn end_live(
    tx: &mut SqliteConnection,
    id: AccountId,
    end: TicketEnd,
    now: Timestamp,
) -> Result<(), Trouble> {
    query("UPDATE tickets SET ended = $2, ended_at = $3 WHERE account = $1 AND ended IS NULL AND expires_at > $3")
        .bind(id.to_string())
        .bind(end.as_str())
        .bind(ms(now))
        .execute(tx)
        .await?;
    Ok(())
}

/// The same for many accounts: a JSON array of their ids.
pub(super) async fn end_live_of(
    tx: &mut SqliteConnection,
    ids: &str,
    end: TicketEnd,
    now: Timestamp,
) -> Result<(), Trouble> {
    query(
        "UPDATE tickets SET ended = $2, ended_at = $3 WHERE ended IS NULL AND expires_at > $3 \
         AND account IN (SELECT value FROM json_each($1))",
    )
    .bind(ids)
    .bind(end.as_str())
    .bind(ms(now))
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert(tx: &mut SqliteConnection, ticket: &Ticket) -> Result<(), Trouble> {
    query(
        "INSERT INTO tickets (digest, account, purpose, created_at, expires_at, ended, way) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&ticket.digest.as_bytes()[..])
    .bind(ticket.account.to_string())
    .bind(ticket.purpose.as_str())
    .bind(ms(ticket.created_at))
    .bind(ms(ticket.expires_at))
    .bind(ticket.ended.map(TicketEnd::as_str))
    .bind(ticket.way.map(|way| way.to_string()))
    .execute(tx)
    .await?;
    Ok(())
}

async fn of_enabled_account(tx: &mut SqliteConnection, digest: &TokenDigest) -> Result<Option<Ticket>, Trouble> {
    let row = query(
        "SELECT t.digest, t.account, t.purpose, t.way, t.created_at, t.expires_at, t.ended \
         FROM tickets t JOIN accounts a ON a.id = t.account WHERE t.digest = $1 AND a.state <> $2",
    )
    .bind(&digest.as_bytes()[..])
    .bind(AccountState::Disabled.as_str())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(rows::ticket).transpose()
}

/// `false` when somebody else was faster: on a database with several writers this update decides.
async fn spend(tx: &mut SqliteConnection, digest: &TokenDigest, now: Timestamp) -> Result<bool, Trouble> {
    let spent = query("UPDATE tickets SET ended = $2, ended_at = $3 WHERE digest = $1 AND ended IS NULL")
        .bind(&digest.as_bytes()[..])
        .bind(TicketEnd::Used.as_str())
        .bind(ms(now))
        .execute(tx)
        .await?;
    Ok(spent.rows_affected() == 1)
}

async fn set_password(
    tx: &mut SqliteConnection,
    id: AccountId,
    hash: &PasswordHash,
    now: Timestamp,
) -> Result<(), Trouble> {
    query(
        "UPDATE accounts SET password_hash = $2, password_set_at = $3, state = $4, closed_hash = NULL, generation = generation + 1, \
         updated_at = $3 WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(hash.expose())
    .bind(ms(now))
    .bind(AccountState::Active.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

fn ticket_record(row: &SqliteRow) -> Result<TicketRecord, Trouble> {
    let closed: Option<String> = row.try_get("closed_hash")?;
    Ok(TicketRecord {
        ticket: rows::ticket(row)?,
        account: rows::account(row)?,
        closed: closed.map(PasswordHash::from_phc),
    })
}
