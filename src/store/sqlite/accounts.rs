//! Accounts in SQLite.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query, query_scalar};

use super::events::record;
use super::rows::{self, Trouble, account_columns, ms};
use super::sessions::{note, renew_token};
use super::tickets::{end_live, replace_live};
use super::{BATCH_DEADLINE, SqliteStore};
use crate::domain::account::{Account, AccountEdit, AccountId, AccountState, Email, Extension, Field, LoginName, Role};
use crate::domain::event::Consequences;
use crate::domain::fault::Fault;
use crate::domain::password::PasswordHash;
use crate::domain::session::SessionId;
use crate::domain::ticket::TicketEnd;
use crate::ports::{
    AccountBatch, AccountListing, Accounts, BatchOutcome, Change, Changed, Creation, Credential, EmailMatch,
    PasswordChange,
};

/// What a sign-in is judged by, beside the account itself.
macro_rules! credential_columns {
    () => {
        ", a.password_hash, a.password_set_at, (a.last_sign_in_at IS NULL AND EXISTS (SELECT 1 FROM tickets t \
         WHERE t.account = a.id AND t.purpose = 'welcome' AND t.ended = 'used')) AS welcomed"
    };
}

/// Who may use an address: the disabled ones only when there is nobody else.
macro_rules! may_use_address {
    () => {
        "(a.state <> 'disabled' OR NOT EXISTS \
         (SELECT 1 FROM accounts b WHERE b.email_key = a.email_key AND b.state <> 'disabled'))"
    };
}

#[async_trait]
impl Accounts for SqliteStore {
    async fn create(&self, account: &Account, then: Consequences) -> Result<Creation, Fault> {
        self.write(format!("create account {}", account.id), async {
            let mut tx = self.transaction().await?;
            if !insert(&mut tx, account).await? {
                return Ok(Creation::ExtensionTaken);
            }
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Creation::Done)
        })
        .await
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, Fault> {
        self.read(format!("look up account {id}"), async {
            let row = query(concat!(
                "SELECT ",
                account_columns!(),
                " FROM accounts a WHERE a.id = $1"
            ))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(rows::account).transpose()
        })
        .await
    }

    async fn find_by_extension(&self, extension: &Extension) -> Result<Option<Account>, Fault> {
        self.read(format!("look up extension {extension}"), async {
            let row = query(concat!(
                "SELECT ",
                account_columns!(),
                " FROM accounts a WHERE a.extension = $1"
            ))
            .bind(extension.as_str())
            .fetch_optional(&self.readers)
            .await?;
            row.as_ref().map(rows::account).transpose()
        })
        .await
    }

    async fn find_by_email(&self, email: &Email) -> Result<EmailMatch, Fault> {
        self.read("look up an account by e-mail address", async {
            let found = self.by_email(email).await?;
            Ok(match found.as_slice() {
                [] => EmailMatch::Nobody,
                [one] => EmailMatch::One(Box::new(rows::account(one)?)),
                several => EmailMatch::Shared(several.len()),
            })
        })
        .await
    }

    async fn credential(&self, name: &LoginName) -> Result<Option<Credential>, Fault> {
        self.read("look up a credential", async {
            let nearest = match name {
                LoginName::Extension(extension) => self.nearest_extension(extension).await?,
                LoginName::Email(email) => self.nearest_email(email).await?,
            };
            let Some(row) = nearest else {
                return Ok(None);
            };
            let (meant, credential) = (row.try_get("meant")?, rows::credential(&row));
            // Of somebody else it was read for its time alone; that it cannot be read is nothing to whoever is meant.
            if meant { credential.map(Some) } else { Ok(None) }
        })
        .await
    }

    async fn rehash(&self, id: AccountId, old: &PasswordHash, new: &PasswordHash) -> Result<(), Fault> {
        self.write(format!("renew the password hash of account {id}"), async {
            let mut tx = self.transaction().await?;
            query("UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2")
                .bind(id.to_string())
                .bind(old.expose())
                .bind(new.expose())
                .execute(&mut *tx)
                .await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn hashes(&self) -> Result<Vec<(AccountId, PasswordHash)>, Fault> {
        self.read("read the password hashes", async {
            let found = query("SELECT id, password_hash FROM accounts WHERE password_hash IS NOT NULL")
                .fetch_all(&self.readers)
                .await?;
            found.iter().map(rows::account_hash).collect()
        })
        .await
    }

    async fn list(&self) -> Result<Vec<AccountListing>, Fault> {
        self.read("list the accounts", async {
            let found = query(concat!(
                "SELECT ",
                account_columns!(),
                ", a.password_set_at, a.last_sign_in_at FROM accounts a ORDER BY a.extension"
            ))
            .fetch_all(&self.readers)
            .await?;
            found.iter().map(listing).collect()
        })
        .await
    }

    async fn administrators(&self) -> Result<Vec<Result<Account, Fault>>, Fault> {
        self.read("list the administrators", async {
            let found = query(concat!(
                "SELECT ",
                account_columns!(),
                " FROM accounts a WHERE a.role = $1 AND a.state = $2 ORDER BY a.extension"
            ))
            .bind(Role::Admin.as_str())
            .bind(AccountState::Active.as_str())
            .fetch_all(&self.readers)
            .await?;
            let one = |row: &SqliteRow| {
                rows::account(row).map_err(|trouble| trouble.into_fault("could not read an administrator".to_owned()))
            };
            Ok(found.iter().map(one).collect())
        })
        .await
    }

    async fn disable(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        self.write(format!("disable account {id}"), async {
            let mut tx = self.transaction().await?;
            match state(&mut tx, id).await? {
                None => return Ok(Change::NotFound),
                Some(AccountState::Disabled) => return Ok(Change::Unchanged),
                Some(AccountState::Invited | AccountState::Active) => {}
            }
            if is_last_administrator(&mut tx, id).await? {
                return Ok(Change::LastAdministrator);
            }
            query("UPDATE accounts SET state = $2, generation = generation + 1, updated_at = $3 WHERE id = $1")
                .bind(id.to_string())
                .bind(AccountState::Disabled.as_str())
                .bind(ms(now))
                .execute(&mut *tx)
                .await?;
            replace_live(&mut tx, id, now).await?;
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn enable(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        self.write(format!("enable account {id}"), async {
            let mut tx = self.transaction().await?;
            match state(&mut tx, id).await? {
                None => return Ok(Change::NotFound),
                Some(AccountState::Invited | AccountState::Active) => return Ok(Change::Unchanged),
                Some(AccountState::Disabled) => {}
            }
            query(
                "UPDATE accounts SET state = CASE WHEN password_hash IS NULL THEN $2 ELSE $3 END, updated_at = $4 \
                 WHERE id = $1",
            )
            .bind(id.to_string())
            .bind(AccountState::Invited.as_str())
            .bind(AccountState::Active.as_str())
            .bind(ms(now))
            .execute(&mut *tx)
            .await?;
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn update(
        &self,
        id: AccountId,
        edit: &AccountEdit,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        self.write(format!("change account {id}"), async {
            let mut tx = self.transaction().await?;
            let Some(before) = find(&mut tx, id).await? else {
                return Ok(Change::NotFound);
            };
            let (after, changed) = edit.apply(&before, now);
            if changed.is_empty() {
                return Ok(Change::Unchanged);
            }
            if after.role != Role::Admin && is_last_administrator(&mut tx, id).await? {
                return Ok(Change::LastAdministrator);
            }
            replace(&mut tx, &after).await?;
            if changed.contains(&Field::Email) {
                replace_live(&mut tx, id, now).await?;
            }
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn remove(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        self.write(format!("remove account {id}"), async {
            let mut tx = self.transaction().await?;
            if is_last_administrator(&mut tx, id).await? {
                return Ok(Change::LastAdministrator);
            }
            for statement in [
                "DELETE FROM sessions WHERE account = $1",
                "DELETE FROM tickets WHERE account = $1",
                "DELETE FROM unlocks WHERE account = $1",
            ] {
                query(statement).bind(id.to_string()).execute(&mut *tx).await?;
            }
            let removed = query("DELETE FROM accounts WHERE id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            if removed.rows_affected() == 0 {
                return Ok(Change::NotFound);
            }
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn end_sessions(&self, id: AccountId, now: Timestamp, then: Consequences) -> Result<Change, Fault> {
        self.write(format!("end the sessions of account {id}"), async {
            let mut tx = self.transaction().await?;
            let raised = query("UPDATE accounts SET generation = generation + 1, updated_at = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(ms(now))
                .execute(&mut *tx)
                .await?;
            if raised.rows_affected() == 0 {
                return Ok(Change::NotFound);
            }
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn end_other_sessions(
        &self,
        id: AccountId,
        keep: SessionId,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        self.write(format!("end the other sessions of account {id}"), async {
            let mut tx = self.transaction().await?;
            if !take_along(&mut tx, id, Some(keep)).await? {
                return Ok(Change::NotFound);
            }
            query("UPDATE accounts SET generation = generation + 1, updated_at = $2 WHERE id = $1")
                .bind(id.to_string())
                .bind(ms(now))
                .execute(&mut *tx)
                .await?;
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn change_password(
        &self,
        change: &PasswordChange,
        now: Timestamp,
        then: Consequences,
    ) -> Result<bool, Fault> {
        let id = change.renewal.account;
        self.write(format!("change the password of account {id}"), async {
            let mut tx = self.transaction().await?;
            if !renew_token(&mut tx, &change.renewal, now).await?
                || !take_along(&mut tx, id, change.end_others.then_some(change.renewal.session)).await?
            {
                return Ok(false);
            }
            let changed = query(
                "UPDATE accounts SET password_hash = $3, password_set_at = $4, updated_at = $4, \
                 generation = generation + 1 WHERE id = $1 AND password_hash = $2 AND state = $5",
            )
            .bind(id.to_string())
            .bind(change.old.expose())
            .bind(change.new.expose())
            .bind(ms(now))
            .bind(AccountState::Active.as_str())
            .execute(&mut *tx)
            .await?;
            if changed.rows_affected() == 0 {
                return Ok(false);
            }
            end_live(&mut tx, id, TicketEnd::Overtaken, now).await?;
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn close_password(
        &self,
        id: AccountId,
        set_by: Timestamp,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Change, Fault> {
        self.write(format!("take the password of account {id} away"), async {
            let mut tx = self.transaction().await?;
            if state(&mut tx, id).await?.is_none() {
                return Ok(Change::NotFound);
            }
            let closed = query(
                "UPDATE accounts SET closed_hash = password_hash, password_hash = NULL, state = CASE state WHEN $4 THEN $5 ELSE state END, \
                 generation = generation + 1, updated_at = $3 \
                 WHERE id = $1 AND password_hash IS NOT NULL AND coalesce(password_set_at, $2) <= $2",
            )
            .bind(id.to_string())
            .bind(ms(set_by))
            .bind(ms(now))
            .bind(AccountState::Active.as_str())
            .bind(AccountState::Invited.as_str())
            .execute(&mut *tx)
            .await?;
            if closed.rows_affected() == 0 {
                return Ok(Change::Unchanged);
            }
            replace_live(&mut tx, id, now).await?;
            note(&mut tx, now, &Changed::Account(id)).await?;
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn record(&self, id: AccountId, then: Consequences) -> Result<Change, Fault> {
        self.write(format!("record what concerns account {id}"), async {
            let mut tx = self.transaction().await?;
            if state(&mut tx, id).await?.is_none() {
                return Ok(Change::NotFound);
            }
            record(&mut tx, &then).await?;
            tx.commit().await?;
            Ok(Change::Done)
        })
        .await
    }

    async fn import(
        &self,
        batch: &AccountBatch,
        now: Timestamp,
        stored: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<BatchOutcome, Fault> {
        let count = batch.records.len();
        self.within(BATCH_DEADLINE, format!("store {count} accounts together"), async {
            self.store_batch(batch, now, stored).await
        })
        .await
    }
}

impl SqliteStore {
    /// The password hashes that do not begin with `head`, with nothing else about anybody.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn hashes_unlike(&self, head: &str) -> Result<Vec<PasswordHash>, Fault> {
        self.read("look for password hashes of another kind", async {
            let found: Vec<String> =
                query_scalar("SELECT password_hash FROM accounts WHERE substr(password_hash, 1, length($1)) <> $1")
                    .bind(head)
                    .fetch_all(&self.readers)
                    .await?;
            Ok(found.into_iter().map(PasswordHash::from_phc).collect())
        })
        .await
    }

    /// The row of the account with this number, which says that it is the one that is `meant`. Where there is none it is
    /// somebody else's, the next in order, so that whoever looks for nobody seeks, fetches and decodes as much as
    /// whoever looks for somebody. `None` when there is no account at all.
    pub(super) async fn nearest_extension(&self, extension: &Extension) -> Result<Option<SqliteRow>, Trouble> {
        let found = query(concat!(
            "SELECT ",
            account_columns!(),
            credential_columns!(),
            ", a.extension = $1 AS meant FROM accounts a WHERE a.extension = coalesce(",
            "(SELECT min(extension) FROM accounts WHERE extension >= $1), (SELECT min(extension) FROM accounts))"
        ))
        .bind(extension.as_str())
        .fetch_optional(&self.readers)
        .await?;
        Ok(found)
    }

    /// The same for an address. An address that several may use means none of them.
    pub(super) async fn nearest_email(&self, email: &Email) -> Result<Option<SqliteRow>, Trouble> {
        let found = query(concat!(
            "SELECT ",
            account_columns!(),
            credential_columns!(),
            ", a.email_key = $1 AND count(*) OVER () = 1 AS meant FROM accounts a WHERE a.email_key = coalesce(",
            "(SELECT min(email_key) FROM accounts WHERE email_key >= $1), (SELECT min(email_key) FROM accounts)) AND ",
            may_use_address!(),
            " LIMIT 1"
        ))
        .bind(email.key())
        .fetch_optional(&self.readers)
        .await?;
        Ok(found)
    }

    /// Those who may use the address.
    async fn by_email(&self, email: &Email) -> Result<Vec<SqliteRow>, Trouble> {
        let found = query(concat!(
            "SELECT ",
            account_columns!(),
            " FROM accounts a WHERE a.email_key = $1 AND ",
            may_use_address!()
        ))
        .bind(email.key())
        .fetch_all(&self.readers)
        .await?;
        Ok(found)
    }
}

/// The state of an account, when there is one.
pub(super) async fn state(tx: &mut SqliteConnection, id: AccountId) -> Result<Option<AccountState>, Trouble> {
    let found = query("SELECT state FROM accounts WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(tx)
        .await?;
    found.as_ref().map(rows::state).transpose()
}

/// `false` when the extension number is taken.
async fn insert(tx: &mut SqliteConnection, account: &Account) -> Result<bool, Trouble> {
    let inserted = query(
        "INSERT INTO accounts (id, extension, name, email, email_key, role, groups_json, language, state, \
         generation, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (extension) DO NOTHING",
    )
    .bind(account.id.to_string())
    .bind(account.extension.as_str())
    .bind(&account.name)
    .bind(account.email.as_ref().map(Email::as_typed))
    .bind(account.email.as_ref().map(Email::key))
    .bind(account.role.as_str())
    .bind(rows::groups(&account.groups))
    .bind(account.language.tag())
    .bind(account.state.as_str())
    .bind(rows::generation(account.generation)?)
    .bind(ms(account.created_at))
    .bind(ms(account.updated_at))
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The account as it is inside the transaction.
async fn find(tx: &mut SqliteConnection, id: AccountId) -> Result<Option<Account>, Trouble> {
    let row = query(concat!(
        "SELECT ",
        account_columns!(),
        " FROM accounts a WHERE a.id = $1"
    ))
    .bind(id.to_string())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(rows::account).transpose()
}

/// Stores what an edit may change.
async fn replace(tx: &mut SqliteConnection, account: &Account) -> Result<(), Trouble> {
    query(
        "UPDATE accounts SET name = $2, email = $3, email_key = $4, role = $5, groups_json = $6, language = $7, \
         updated_at = $8 WHERE id = $1",
    )
    .bind(account.id.to_string())
    .bind(&account.name)
    .bind(account.email.as_ref().map(Email::as_typed))
    .bind(account.email.as_ref().map(Email::key))
    .bind(account.role.as_str())
    .bind(rows::groups(&account.groups))
    .bind(account.language.tag())
    .bind(ms(account.updated_at))
    .execute(tx)
    .await?;
    Ok(())
}

/// Raises the generation of living sessions, ahead of the account's: of this one, or of all. `false` when there was none.
async fn take_along(tx: &mut SqliteConnection, account: AccountId, only: Option<SessionId>) -> Result<bool, Trouble> {
    let taken = query(
        "UPDATE sessions SET generation = generation + 1 WHERE account = $1 AND ($2 IS NULL OR id = $2) \
         AND generation = (SELECT generation FROM accounts WHERE id = $1)",
    )
    .bind(account.to_string())
    .bind(only.map(|session| session.to_string()))
    .execute(tx)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// The administrators who can sign in.
pub(super) async fn administrators(tx: &mut SqliteConnection) -> Result<Vec<String>, Trouble> {
    Ok(
        query_scalar("SELECT id FROM accounts WHERE role = $1 AND state = $2 AND password_hash IS NOT NULL")
            .bind(Role::Admin.as_str())
            .bind(AccountState::Active.as_str())
            .fetch_all(tx)
            .await?,
    )
}

/// Whether this account is an administrator who can sign in, and nobody else is.
async fn is_last_administrator(tx: &mut SqliteConnection, id: AccountId) -> Result<bool, Trouble> {
    let administrators = administrators(tx).await?;
    Ok(administrators == [id.to_string()])
}

fn listing(row: &SqliteRow) -> Result<AccountListing, Trouble> {
    Ok(AccountListing {
        account: rows::account(row)?,
        password_set_at: rows::time_if_any(row, "password_set_at")?,
        last_sign_in_at: rows::time_if_any(row, "last_sign_in_at")?,
    })
}
