//! Sessions in SQLite, and the log of changes that running servers follow.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query, query_scalar};

use super::SqliteStore;
use super::events::record;
use super::rows::{self, Trouble, account_columns, ms, session_columns};
use crate::domain::account::{Account, AccountId, AccountState};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::session::{Session, SessionId};
use crate::domain::token::TokenDigest;
use crate::ports::{Changed, Renewal, Room, Sessions};
use crate::store::change_time;

#[async_trait]
impl Sessions for SqliteStore {
    async fn begin(
        &self,
        session: &Session,
        replaces: Option<TokenDigest>,
        room: &Room<'_>,
        then: Consequences,
    ) -> Result<bool, Fault> {
        self.write(format!("begin session {}", session.id), async {
            let mut tx = self.transaction().await?;
            if !note_sign_in(&mut tx, session).await? {
                return Ok(false);
            }
            if let Some(digest) = replaces
                && remove_replaced(&mut tx, digest).await?
            {
                note(&mut tx, session.created_at, &Changed::Session(digest)).await?;
            }
            for id in crowding(&mut tx, session, room.most).await? {
                if let Some(ended) = remove(&mut tx, id).await? {
                    note(&mut tx, session.created_at, &Changed::Session(ended.digest)).await?;
                    record(&mut tx, &Consequences::event((room.ended)(id))).await?;
                }
            }
            insert(&mut tx, session).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<(Session, Account)>, Fault> {
        self.read("look up a session", async {
            let row = query(concat!(
                "SELECT ",
                session_columns!(),
                ", ",
                account_columns!(),
                " FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.digest = $1"
            ))
            .bind(&digest.as_bytes()[..])
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(with_account).transpose()
        })
        .await
    }

    async fn find_by_id(&self, id: SessionId) -> Result<Option<(Session, Account)>, Fault> {
        self.read(format!("look up session {id}"), async {
            let row = query(concat!(
                "SELECT ",
                session_columns!(),
                ", ",
                account_columns!(),
                " FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.id = $1"
            ))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(with_account).transpose()
        })
        .await
    }

    async fn end(&self, id: SessionId, then: Consequences) -> Result<bool, Fault> {
        self.write(format!("end session {id}"), async {
            let mut tx = self.transaction().await?;
            let Some(ended) = remove(&mut tx, id).await? else {
                return Ok(false);
            };
            let at = change_time(&then).unwrap_or(ended.last_seen_at);
            note(&mut tx, at, &Changed::Session(ended.digest)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn renew(&self, renewal: &Renewal, now: Timestamp, then: Consequences) -> Result<bool, Fault> {
        self.write(format!("renew session {}", renewal.session), async {
            let mut tx = self.transaction().await?;
            if !renew_token(&mut tx, renewal, now).await? {
                return Ok(false);
            }
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn list(&self, account: Option<AccountId>) -> Result<Vec<(Session, Account)>, Fault> {
        self.read("list the sessions", async {
            let statement = match account {
                Some(_) => query(concat!(
                    "SELECT ",
                    session_columns!(),
                    ", ",
                    account_columns!(),
                    " FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.account = $1 \
                     ORDER BY s.created_at DESC, s.id DESC"
                )),
                None => query(concat!(
                    "SELECT ",
                    session_columns!(),
                    ", ",
                    account_columns!(),
                    " FROM sessions s JOIN accounts a ON a.id = s.account ORDER BY s.created_at DESC, s.id DESC"
                )),
            };
            let statement = match account {
                Some(account) => statement.bind(account.to_string()),
                None => statement,
            };
            let found = statement.fetch_all(&self.readers).await?;
            found.iter().map(with_account).collect()
        })
        .await
    }

    async fn touch(&self, seen: &[(SessionId, Timestamp)]) -> Result<(), Fault> {
        if seen.is_empty() {
            return Ok(());
        }
        self.write(format!("note that {} sessions were seen", seen.len()), async {
            let mut tx = self.transaction().await?;
            for (id, at) in seen {
                query("UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2")
                    .bind(id.to_string())
                    .bind(ms(*at))
                    .execute(&mut *tx)
                    .await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn sweep(&self, begun_before: Timestamp, seen_before: Timestamp) -> Result<u64, Fault> {
        self.write("remove dead sessions", async {
            let mut tx = self.transaction().await?;
            // The clock has ended these already, wherever they are remembered: that is no change to follow.
            let removed = query("DELETE FROM sessions WHERE created_at < $1 OR last_seen_at < $2")
                .bind(ms(begun_before))
                .bind(ms(seen_before))
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }

    async fn changes_since(&self, cursor: Option<i64>) -> Result<(Vec<Changed>, i64), Fault> {
        self.read("look for changes", async {
            let Some(cursor) = cursor else {
                let newest: i64 = query_scalar("SELECT COALESCE(MAX(seq), 0) FROM changes")
                    .fetch_one(&self.readers)
                    .await?;
                return Ok((Vec::new(), newest));
            };
            let found = query("SELECT seq, kind, id FROM changes WHERE seq > $1 ORDER BY seq")
                .bind(cursor)
                .fetch_all(&self.readers)
                .await?;
            let newest = found.last().map_or(Ok(cursor), |row| row.try_get("seq"))?;
            let changes: Result<_, Trouble> = found.iter().map(rows::changed).collect();
            Ok((changes?, newest))
        })
        .await
    }

    async fn sweep_changes(&self, before: Timestamp) -> Result<(), Fault> {
        self.write("forget old changes", async {
            let mut tx = self.transaction().await?;
            query("DELETE FROM changes WHERE at < $1")
                .bind(ms(before))
                .execute(&mut *tx)
                .await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// Tells running servers of a change, in the transaction that makes it.
pub(super) async fn note(tx: &mut SqliteConnection, at: Timestamp, what: &Changed) -> Result<(), Trouble> {
    let (kind, id) = match what {
        Changed::Account(account) => ("account", account.to_string()),
        Changed::Session(digest) => ("session", rows::digest_text(digest)),
        Changed::Token(id) => ("token", id.to_string()),
        Changed::Keys => ("keys", String::new()),
    };
    query("INSERT INTO changes (at, kind, id) VALUES ($1, $2, $3)")
        .bind(ms(at))
        .bind(kind)
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}

/// `false` when the account may not begin this session.
async fn note_sign_in(tx: &mut SqliteConnection, session: &Session) -> Result<bool, Trouble> {
    let noted = query("UPDATE accounts SET last_sign_in_at = $4 WHERE id = $1 AND state = $2 AND generation = $3")
        .bind(session.account.to_string())
        .bind(AccountState::Active.as_str())
        .bind(rows::generation(session.generation)?)
        .bind(ms(session.created_at))
        .execute(tx)
        .await?;
    Ok(noted.rows_affected() == 1)
}

async fn insert(tx: &mut SqliteConnection, session: &Session) -> Result<(), Trouble> {
    query(
        "INSERT INTO sessions (id, digest, account, generation, created_at, last_seen_at, client, user_agent, \
         authenticated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(session.id.to_string())
    .bind(&session.digest.as_bytes()[..])
    .bind(session.account.to_string())
    .bind(rows::generation(session.generation)?)
    .bind(ms(session.created_at))
    .bind(ms(session.last_seen_at))
    .bind(session.client.to_string())
    .bind(&session.user_agent)
    .bind(ms(session.authenticated_at))
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives a living session its new token, used and authenticated as of `now`, and tells running servers of it. `false`
/// when it is not a living one of the account, or has another token.
pub(super) async fn renew_token(tx: &mut SqliteConnection, renewal: &Renewal, now: Timestamp) -> Result<bool, Trouble> {
    let renewed = query(
        "UPDATE sessions SET digest = $4, authenticated_at = $5, last_seen_at = MAX(last_seen_at, $5) \
         WHERE id = $1 AND account = $2 AND digest = $3 \
         AND generation = (SELECT generation FROM accounts WHERE id = $2 AND state = $6)",
    )
    .bind(renewal.session.to_string())
    .bind(renewal.account.to_string())
    .bind(&renewal.old.as_bytes()[..])
    .bind(&renewal.new.as_bytes()[..])
    .bind(ms(now))
    .bind(AccountState::Active.as_str())
    .execute(&mut *tx)
    .await?;
    let done = renewed.rows_affected() == 1;
    if done {
        note(tx, now, &Changed::Session(renewal.old)).await?;
    }
    Ok(done)
}

/// The living sessions that leave a new one no room, those used longest ago, the oldest first.
async fn crowding(tx: &mut SqliteConnection, new: &Session, most: usize) -> Result<Vec<SessionId>, Trouble> {
    let stay = most.saturating_sub(1);
    let found = query(
        "SELECT *, id AS session_id FROM sessions WHERE account = $1 AND generation = $2 \
         ORDER BY last_seen_at DESC, created_at DESC, id DESC LIMIT -1 OFFSET $3",
    )
    .bind(new.account.to_string())
    .bind(rows::generation(new.generation)?)
    .bind(i64::try_from(stay).unwrap_or(i64::MAX))
    .fetch_all(tx)
    .await?;
    found.iter().rev().map(|row| Ok(rows::session(row)?.id)).collect()
}

async fn remove(tx: &mut SqliteConnection, id: SessionId) -> Result<Option<Session>, Trouble> {
    let removed = query("DELETE FROM sessions WHERE id = $1 RETURNING *, id AS session_id")
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    removed.as_ref().map(rows::session).transpose()
}

async fn remove_replaced(tx: &mut SqliteConnection, digest: TokenDigest) -> Result<bool, Trouble> {
    let removed = query("DELETE FROM sessions WHERE digest = $1")
        .bind(&digest.as_bytes()[..])
        .execute(tx)
        .await?;
    Ok(removed.rows_affected() == 1)
}

fn with_account(row: &SqliteRow) -> Result<(Session, Account), Trouble> {
    Ok((rows::session(row)?, rows::account(row)?))
}
