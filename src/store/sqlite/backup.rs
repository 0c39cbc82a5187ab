//! A copy of the database for a backup, and a look at such a copy: what is in it, cell by cell.
//!
//! The copy is taken by `VACUUM INTO` while others read and write: it is the database as of one moment, and no page
//! of it holds what was deleted before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row, TypeInfo, Value, ValueRef, query, query_scalar};

use super::rows::{self, Trouble, ms};
use super::{SqliteStore, attempts, migrations};
use crate::domain::api_token::ApiToken;
use crate::domain::fault::Fault;
use crate::domain::key::KeyRecord;
use crate::domain::password::PasswordHash;

/// A large database on a slow disk takes its time, and nobody waits for an answer.
const COPY_DEADLINE: Duration = Duration::from_hours(2);

/// What becomes of a table in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its rows are in the backup.
    Kept,
    /// It is in the backup without rows: what it holds must not come back to life.
    Emptied,
}

/// Each table and what becomes of it. A table without a line here keeps any backup from being made, so that nobody
/// adds one without deciding; a test says so first.
const TABLES: &[(&str, Fate)] = &[
    ("_sqlx_migrations", Fate::Kept),
    ("accounts", Fate::Kept),
    ("api_tokens", Fate::Kept),
    // Of what was typed they hold keyed digests; their key is in no backup of the store.
    ("attempt_rules", Fate::Kept),
    ("attempts", Fate::Kept),
    ("campaigns", Fate::Kept),
    ("changes", Fate::Emptied),
    ("dead_addresses", Fate::Kept),
    ("events", Fate::Kept),
    ("events_kept", Fate::Kept),
    ("ignored_reports", Fate::Kept),
    ("letters", Fate::Kept),
    ("order_revision", Fate::Kept),
    ("orders", Fate::Kept),
    ("sessions", Fate::Emptied),
    ("signing_keys", Fate::Kept),
    ("tickets", Fate::Emptied),
    ("unlocks", Fate::Emptied),
];

/// The tables that are in a backup without rows.
pub fn emptied() -> impl Iterator<Item = &'static str> {
    TABLES
        .iter()
        .filter(|(_, fate)| *fate == Fate::Emptied)
        .map(|(name, _)| *name)
}

/// The newest migration this version knows.
pub fn schema_version() -> i64 {
    migrations()
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or_default()
}

impl SqliteStore {
    /// Writes the database as of now into a new file, without what must not come back to life: sessions, links and
    /// open requests for one. Whoever reads and writes meanwhile does not notice.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it cannot be read or the file not be written.
    pub async fn copy_into(&self, file: &Path, now: Timestamp) -> Result<(), Fault> {
        let what = format!("copy the database to {}", file.display());
        self.within(COPY_DEADLINE, what, async {
            let mut reader = self.readers.acquire().await?;
            query("VACUUM INTO $1")
                .bind(file.to_string_lossy().into_owned())
                .execute(&mut *reader)
                .await?;
            strip(file, now).await
        })
        .await
    }
}

/// What of a copy is lost with secrets that are lost, and made anew by people and the gateway.
#[derive(Clone, Debug, Default)]
pub struct Forget {
    /// Password hashes of these people.
    pub passwords_of: Vec<String>,
    /// These signing keys.
    pub signing_keys: Vec<String>,
}

/// Prepares the database of a backup, brought up to date before, for service: once more nothing in it is alive.
///
/// # Errors
/// When it cannot be written.
pub async fn prepare_restored(file: &Path, forget: &Forget, now: Timestamp) -> Result<(), Fault> {
    let prepared = async {
        let mut copy = connect(file).await?;
        for extension in &forget.passwords_of {
            query("UPDATE accounts SET password_hash = NULL, closed_hash = NULL, password_set_at = NULL WHERE extension = $1")
                .bind(extension)
                .execute(&mut copy)
                .await?;
        }
        for kid in &forget.signing_keys {
            query("DELETE FROM signing_keys WHERE kid = $1")
                .bind(kid)
                .execute(&mut copy)
                .await?;
        }
        copy.close().await?;
        strip(file, now).await
    };
    let what = || format!("could not prepare the restored database {}", file.display());
    prepared.await.map_err(|trouble: Trouble| trouble.into_fault(what()))
}

/// Moves what is in the write-ahead log into the database file, as far as both are sound.
pub async fn fold_log(file: &Path) {
    if let Ok(mut connection) = connect(file).await {
        // What cannot be folded stays in the log, and whoever keeps the database keeps the log with it.
        let _ = query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await;
        let _ = connection.close().await;
    }
}

async fn connect(file: &Path) -> Result<SqliteConnection, Trouble> {
    let options = SqliteConnectOptions::new().filename(file).foreign_keys(true);
    let options = options.pragma("secure_delete", "ON").disable_statement_logging();
    Ok(options.connect().await?)
}

/// Takes out of a copy what must not come back to life, and every trace of it.
async fn strip(file: &Path, now: Timestamp) -> Result<(), Trouble> {
    let mut copy = connect(file).await?;
    for table in tables(&mut copy).await? {
        match TABLES.iter().find(|(name, _)| *name == table) {
            Some((_, Fate::Kept)) => {}
            Some((name, Fate::Emptied)) => {
                query(AssertSqlSafe(format!("DELETE FROM {name}")))
                    .execute(&mut copy)
                    .await?;
            }
            None => {
                return Err(Trouble::Column(format!(
                    "the table {table} is unknown here, and what is unknown is in no backup"
                )));
            }
        }
    }
    // Somebody asked for a link that would be of no use to them by the time anybody restores this.
    query(
        "UPDATE letters SET status = 'withheld', ended_at = $1 \
         WHERE status = 'waiting' AND matter IN ('reset', 'browser-unlock')",
    )
    .bind(ms(now))
    .execute(&mut copy)
    .await?;
    // One that is revoked after the backup must not work again: names and scopes are kept, to make others by.
    query("UPDATE api_tokens SET revoked_at = $1 WHERE revoked_at IS NULL")
        .bind(ms(now))
        .execute(&mut copy)
        .await?;
    // What strangers typed into a form, and what a browser calls itself, is no business of a backup: it could be made to
    // look like anything.
    query("UPDATE letters SET email = 'withheld@invalid' WHERE matter = 'reset'")
        .execute(&mut copy)
        .await?;
    query("UPDATE letters SET login = 'withheld' WHERE login IS NOT NULL")
        .execute(&mut copy)
        .await?;
    query("UPDATE letters SET user_agent = NULL, device = NULL WHERE status <> 'waiting'")
        .execute(&mut copy)
        .await?;
    query("UPDATE letters SET taken_until = NULL WHERE taken_until IS NOT NULL")
        .execute(&mut copy)
        .await?;
    query("VACUUM").execute(&mut copy).await?;
    Ok(copy.close().await?)
}

async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
        .fetch_all(connection)
        .await
}

/// One value of a database.
#[derive(Debug)]
pub struct Cell<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The text or the bytes; numbers are not looked at.
    pub value: &'a [u8],
    /// What the event is called, in a row of events.
    pub event: Option<&'a str>,
}

/// A database file that is looked at and never written.
#[derive(Debug)]
pub struct DatabaseCopy {
    connection: SqliteConnection,
    what: String,
}

/// Rows that this version understands, and ids of those that it does not.
#[derive(Debug)]
pub struct Read<T> {
    /// Understood.
    pub rows: Vec<T>,
    /// Not understood, with the reason.
    pub strange: Vec<String>,
}

impl<T> Default for Read<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            strange: Vec::new(),
        }
    }
}

impl DatabaseCopy {
    /// Opens a file that nobody writes.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when it is no database.
    pub async fn open(file: &Path) -> Result<Self, Fault> {
        Self::with(file, SqliteConnectOptions::new().immutable(true)).await
    }

    /// Opens the database of a store, which another process may be writing.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when it is no database.
    pub async fn open_live(file: &Path) -> Result<Self, Fault> {
        Self::with(file, SqliteConnectOptions::new()).await
    }

    async fn with(file: &Path, options: SqliteConnectOptions) -> Result<Self, Fault> {
        let what = format!("could not read the database {}", file.display());
        let options = options
            .filename(file)
            .read_only(true)
            // What the file itself defines runs nothing.
            .pragma("trusted_schema", "OFF")
            .disable_statement_logging();
        match options.connect().await {
            Ok(connection) => Ok(Self { connection, what }),
            Err(error) => Err(Trouble::from(error).into_fault(what)),
        }
    }

    fn fault(&self, trouble: impl Into<Trouble>) -> Fault {
        trouble.into().into_fault(self.what.clone())
    }

    /// Closes it.
    pub async fn close(self) {
        // Nothing was written: a failure loses nothing.
        let _ = self.connection.close().await;
    }

    /// What SQLite finds wrong with the file; nothing when it is sound.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn damage(&mut self) -> Result<Vec<String>, Fault> {
        let words: Result<Vec<String>, _> = query_scalar("PRAGMA integrity_check")
            .fetch_all(&mut self.connection)
            .await;
        let mut words = words.map_err(|error| self.fault(error))?;
        words.retain(|word| word != "ok");
        let strays = query("PRAGMA foreign_key_check").fetch_all(&mut self.connection).await;
        let strays = strays.map_err(|error| self.fault(error))?.len();
        if strays > 0 {
            words.push(format!("{strays} rows refer to rows that are not there"));
        }
        Ok(words)
    }

    /// Pages that belong to nothing and may hold anything.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn free_pages(&mut self) -> Result<i64, Fault> {
        let found = query_scalar("PRAGMA freelist_count")
            .fetch_one(&mut self.connection)
            .await;
        found.map_err(|error| self.fault(error))
    }

    /// The newest migration that was done in it.
    ///
    /// # Errors
    /// When it cannot be read, or is no database of Sekisho.
    pub async fn schema_version(&mut self) -> Result<i64, Fault> {
        let found = query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
            .fetch_one(&mut self.connection)
            .await;
        found.map_err(|error| self.fault(error))
    }

    /// Everything that the schema defines: kind, name and definition, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn schema(&mut self) -> Result<Vec<(String, String, String)>, Fault> {
        let found = sqlx::query_as(
            "SELECT type, name, COALESCE(sql, '') FROM sqlite_master \
             WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name",
        )
        .fetch_all(&mut self.connection)
        .await;
        found.map_err(|error| self.fault(error))
    }

    /// Rows of each table.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn rows(&mut self) -> Result<BTreeMap<String, u64>, Fault> {
        let mut counts = BTreeMap::new();
        for table in self.tables().await? {
            let count: Result<i64, _> = query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {}", quoted(&table))))
                .fetch_one(&mut self.connection)
                .await;
            let count = count.map_err(|error| self.fault(error))?;
            counts.insert(table, u64::try_from(count).unwrap_or_default());
        }
        Ok(counts)
    }

    async fn tables(&mut self) -> Result<Vec<String>, Fault> {
        let found = tables(&mut self.connection).await;
        found.map_err(|error| self.fault(error))
    }

    /// Shows every text and every blob in every table to `look`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn each_cell(&mut self, mut look: impl FnMut(&Cell<'_>)) -> Result<(), Fault> {
        for table in self.tables().await? {
            let shown = show_cells(&mut self.connection, &table, &mut look).await;
            shown.map_err(|error| self.fault(error))?;
        }
        Ok(())
    }

    /// Everybody's password hash, with the extension number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn password_hashes(&mut self) -> Result<Vec<(String, PasswordHash)>, Fault> {
        let found: Result<Vec<(String, String)>, _> = sqlx::query_as(
            "SELECT extension, password_hash FROM accounts WHERE password_hash IS NOT NULL ORDER BY extension",
        )
        .fetch_all(&mut self.connection)
        .await;
        let found = found.map_err(|error| self.fault(error))?;
        Ok(found
            .into_iter()
            .map(|(extension, hash)| (extension, PasswordHash::from_phc(hash)))
            .collect())
    }

    /// Whether there is an account.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn has_accounts(&mut self) -> Result<bool, Fault> {
        let found: Result<i64, _> = query_scalar("SELECT EXISTS (SELECT 1 FROM accounts)")
            .fetch_one(&mut self.connection)
            .await;
        found.map(|found| found != 0).map_err(|error| self.fault(error))
    }

    /// The signing keys.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn signing_keys(&mut self) -> Result<Read<KeyRecord>, Fault> {
        let all = "SELECT kid, algorithm, sealed, public_jwk, created_at, retired_at FROM signing_keys";
        self.understand(all, "kid", rows::key).await
    }

    /// The events; only how many are understood, since there may be millions.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn events(&mut self) -> Result<Read<()>, Fault> {
        let all = "SELECT id, at, actor, client, account, name, detail FROM events";
        self.understand(all, "id", |row| rows::event(row).map(|_| ())).await
    }

    /// The letters; only how many are understood.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn letters(&mut self) -> Result<Read<()>, Fault> {
        let all = "SELECT * FROM letters";
        self.understand(all, "id", |row| rows::letter(row).map(|_| ())).await
    }

    /// The API tokens; of a database from before there were any, none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn api_tokens(&mut self) -> Result<Read<ApiToken>, Fault> {
        if !self.tables().await?.iter().any(|table| table == "api_tokens") {
            return Ok(Read::default());
        }
        self.understand("SELECT * FROM api_tokens", "id", rows::api_token).await
    }

    /// The orders; only how many are understood, and of a database from before there were any, none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn orders(&mut self) -> Result<Read<()>, Fault> {
        if !self.tables().await?.iter().any(|table| table == "orders") {
            return Ok(Read::default());
        }
        self.understand("SELECT * FROM orders", "id", |row| rows::order(row).map(|_| ()))
            .await
    }

    /// The attempts; only how many are understood. Of a database from before they were kept, none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn attempts(&mut self) -> Result<Read<()>, Fault> {
        if !self.tables().await?.iter().any(|table| table == "attempts") {
            return Ok(Read::default());
        }
        let rules = attempts::rules(&mut self.connection).await;
        let rules = rules.map_err(|trouble| trouble.into_fault(self.what.clone()))?;
        let all = "SELECT CAST(seq AS TEXT) AS id, * FROM attempts";
        self.understand(all, "id", |row| attempts::attempt(row, &rules).map(|_| ()))
            .await
    }

    async fn understand<T>(
        &mut self,
        all: &'static str,
        id: &str,
        read: impl Fn(&SqliteRow) -> Result<T, Trouble>,
    ) -> Result<Read<T>, Fault> {
        let mut found = Read::default();
        let mut rows = query(all).fetch(&mut self.connection);
        loop {
            let row = match rows.try_next().await {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => return Err(Trouble::from(error).into_fault(self.what.clone())),
            };
            match read(&row) {
                Ok(one) => found.rows.push(one),
                Err(Trouble::Column(why)) => {
                    let id: String = row.try_get(id).unwrap_or_default();
                    found.strange.push(format!("{id}: {why}"));
                }
                Err(trouble) => return Err(trouble.into_fault(self.what.clone())),
            }
        }
        Ok(found)
    }
}

async fn show_cells(
    connection: &mut SqliteConnection,
    table: &str,
    look: &mut impl FnMut(&Cell<'_>),
) -> Result<(), sqlx::Error> {
    let all = AssertSqlSafe(format!("SELECT * FROM {}", quoted(table)));
    let mut rows = query(all).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let event: Option<&str> = if table == "events" {
            row.try_get("name").ok()
        } else {
            None
        };
        for column in row.columns() {
            let value = row.try_get_raw(column.ordinal())?;
            // A number holds nothing that anybody looks for.
            if matches!(value.type_info().name(), "TEXT" | "BLOB") {
                let value = value.to_owned();
                look(&Cell {
                    table,
                    column: column.name(),
                    value: value.decode_unchecked(),
                    event,
                });
            }
        }
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::tests::at;
    use crate::store::sqlite::DATABASE;

    async fn store() -> (tempfile::TempDir, SqliteStore) {
        let home = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(home.path()).await.unwrap();
        (home, store)
    }

    #[tokio::test]
    async fn every_table_has_its_fate_in_a_backup() {
        let (home, store) = store().await;
        store.close().await;
        let mut copy = DatabaseCopy::open(&home.path().join(DATABASE)).await.unwrap();
        let mut found = copy.tables().await.unwrap();
        found.sort();
        let known: Vec<_> = TABLES.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            found, known,
            "say in TABLES, in order, whether a new table is kept or emptied"
        );
    }

    #[tokio::test]
    async fn letters_of_every_matter_are_understood_and_what_strangers_typed_is_left_out() {
        let (home, store) = store().await;
        let mut connection = connect(&home.path().join(DATABASE)).await.unwrap();
        let account = "0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01";
        let matters = [
            "welcome",
            "reset",
            "password-changed",
            "new-device",
            "email-changed",
            "account-unlocked",
            "new-password",
            "campaign",
            "browser-unlock",
        ];
        for (index, matter) in matters.iter().enumerate() {
            query(
                "INSERT INTO letters (id, matter, account, email, client, user_agent, campaign, created_at, status, attempts, \
                 due_at, login) VALUES ($1, $2, $3, 'ticket=typed@b.example', '::1', 'Set-Cookie: x', 'mtpa9wn5', 1, \
                 'delivered', 1, 1, 'typed-by-a-stranger')",
            )
            .bind(format!("0190b5f2-7f3c-7d1e-9c55-{index:012}"))
            .bind(matter)
            .bind(account)
            .execute(&mut connection)
            .await
            .unwrap();
        }
        let file = home.path().join("copy.db");
        store.copy_into(&file, at(5)).await.unwrap();
        let mut copy = DatabaseCopy::open(&file).await.unwrap();
        let letters = copy.letters().await.unwrap();
        assert_eq!((letters.rows.len(), letters.strange), (matters.len(), Vec::new()));
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(10).any(|part| part == b"Set-Cookie"));
        assert!(!bytes.windows(19).any(|part| part == b"typed-by-a-stranger"));
        let kept = bytes.windows(12).filter(|part| part == b"ticket=typed").count();
        assert!(kept < matters.len(), "the address of a reset is not in a backup");
    }

    #[tokio::test]
    async fn a_copy_has_no_page_that_remembers_what_was_emptied() {
        let (home, store) = store().await;
        let marker = "a-marker-in-a-session-0123456789";
        let mut connection = connect(&home.path().join(DATABASE)).await.unwrap();
        for sql in [
            "INSERT INTO accounts VALUES ('a', '1', 'n', NULL, NULL, 'user', '[]', 'en', 'active', 1, 1, 1, NULL, NULL, NULL, NULL)",
            "INSERT INTO letters (id, matter, email, client, created_at, status, attempts, due_at) \
             VALUES ('l', 'reset', 'a@b.example', '::1', 1, 'waiting', 0, 1)",
        ] {
            query(sql).execute(&mut connection).await.unwrap();
        }
        query("INSERT INTO sessions VALUES ('s', x'00', 'a', 1, 1, 1, '::1', $1, 1)")
            .bind(marker)
            .execute(&mut connection)
            .await
            .unwrap();
        let file = home.path().join("copy.db");
        store.copy_into(&file, at(5)).await.unwrap();
        let holds = |bytes: Vec<u8>| bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
        assert!(!holds(std::fs::read(&file).unwrap()));
        let mut copy = DatabaseCopy::open(&file).await.unwrap();
        let rows = copy.rows().await.unwrap();
        assert_eq!((rows["accounts"], rows["sessions"], rows["letters"]), (1, 0, 1));
        assert_eq!(
            (copy.free_pages().await.unwrap(), copy.damage().await.unwrap().len()),
            (0, 0)
        );
        let mut cells = Vec::new();
        copy.each_cell(|cell| cells.push((cell.table.to_owned(), cell.value.to_vec())))
            .await
            .unwrap();
        assert!(
            cells.contains(&("letters".to_owned(), b"withheld".to_vec())),
            "{cells:?}"
        );
        let kept: i64 = query_scalar("SELECT COUNT(*) FROM sessions")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(kept, 1, "the store itself is as it was");
    }

    #[tokio::test]
    async fn a_table_nobody_decided_about_keeps_a_backup_from_being_made() {
        let (home, store) = store().await;
        let mut connection = connect(&home.path().join(DATABASE)).await.unwrap();
        query("CREATE TABLE secrets_of_tomorrow (a TEXT)")
            .execute(&mut connection)
            .await
            .unwrap();
        let fault = store.copy_into(&home.path().join("copy.db"), at(5)).await.unwrap_err();
        assert!(fault.chain().contains("secrets_of_tomorrow"), "{}", fault.chain());
    }
}
