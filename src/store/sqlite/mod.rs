//! [`SqliteStore`]: the ports over one SQLite database file. How it is opened, and what every statement shares:
//! one writer, a few readers, a deadline and the way a failure becomes a [`Fault`].

mod accounts;
mod addresses;
mod api_tokens;
mod attempts;
mod backup;
mod batch;
mod bounces;
mod campaigns;
mod events;
mod faults;
mod keys;
mod lock;
mod orders;
mod outbox;
mod rows;
mod sessions;
#[cfg(test)]
mod tests;
mod tickets;
mod unlocks;

use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, Sqlite, Transaction, query};

pub use self::backup::{Cell, DatabaseCopy, Forget, Read, emptied, fold_log, prepare_restored, schema_version};
pub use self::faults::StoreFaults;
pub use self::lock::StoreLock;
use self::rows::Trouble;
use crate::domain::fault::Fault;

/// The name of the database file in its directory.
pub const DATABASE: &str = "sekisho.db";

/// A read waits for nobody: a reader of a write-ahead log never blocks.
const READ_DEADLINE: Duration = Duration::from_secs(2);

/// A write waits for its turn at the one writer, and for the writer of another process: people are told within two
/// seconds that it cannot be done now.
const WRITE_DEADLINE: Duration = Duration::from_secs(2);

/// How long SQLite itself waits for the writer of another process.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1500);

/// Bringing the tables up to date may take longer; nobody waits for an answer then.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(30);

/// Storing a whole company takes longer than one account; somebody watches its progress meanwhile.
const BATCH_DEADLINE: Duration = Duration::from_mins(5);

const READERS: u32 = 4;

/// The accounts, sessions, tickets, letters, events, attempts and keys in one database file. Several processes may have it
/// open at the same time; what one has acknowledged the others read at once.
///
/// It lives on the runtime it was opened on.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    /// One connection: writers queue here, fairly, and not inside SQLite, where they would poll for the lock.
    writer: SqlitePool,
    readers: SqlitePool,
    file: PathBuf,
    faults: Arc<StoreFaults>,
}

impl SqliteStore {
    /// Opens the database in `directory`, made with mode 0700 when it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the directory or the file cannot be made or opened, or when the database was
    /// written by a newer version; [`Fault::Corrupt`] when the file is no intact database.
    pub async fn open(directory: &Path) -> Result<Self, Fault> {
        let file = directory.join(DATABASE);
        make_private(directory, &file)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let writer = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged survives a power cut: every commit is on the disk before it is answered.
            .synchronous(SqliteSynchronous::Full)
            // A long reader can make the log grow; it is cut back to this many bytes afterwards.
            .pragma("journal_size_limit", "67108864");
        let store = Self {
            writer: pool(1, WRITE_DEADLINE).connect_lazy_with(writer),
            readers: pool(READERS, READ_DEADLINE).connect_lazy_with(options.read_only(true)),
            file,
            faults: Arc::default(),
        };
        store
            .within(MIGRATION_DEADLINE, "prepare the tables", store.migrate())
            .await?;
        let refolded = store
            .within(
                MIGRATION_DEADLINE,
                "fold e-mail addresses anew",
                store.refold_addresses(),
            )
            .await?;
        if refolded > 0 {
            tracing::info!(
                refolded,
                "e-mail addresses are compared in a new way; their keys have been stored anew"
            );
        }
        Ok(store)
    }

    /// Closes every connection, after what is under way has finished.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The database file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How often the store could not be used.
    pub fn faults(&self) -> Arc<StoreFaults> {
        Arc::clone(&self.faults)
    }

    /// Tries whether something can be stored: writes one page, durably, as any change does, and changes nothing.
    ///
    /// # Errors
    /// When the disk is full, or another process does not let go of the database.
    pub async fn try_writing(&self) -> Result<(), Fault> {
        self.write("write anything", async {
            let mut tx = self.transaction().await?;
            // A number in the header that is SQLite's to keep and nobody's to read; the page is written all the same.
            query("PRAGMA user_version = 0").execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        })
        .await
    }

    /// Whether the database answers at all, be it with an error. Without an answer it does not end by itself.
    pub async fn answers(&self) -> bool {
        let tried = query("SELECT count(*) FROM sqlite_schema").execute(&self.readers).await;
        !matches!(tried, Err(sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed))
    }

    /// Under the writer's lock, so that two processes that start together do not migrate twice.
    async fn migrate(&self) -> Result<(), Trouble> {
        let mut tx = self.transaction().await?;
        migrations().run_direct(None, &mut *tx, false).await?;
        Ok(tx.commit().await?)
    }

    /// A transaction that has the right to write from its first moment. Dropped before its commit, also because the
    /// caller went away, it is rolled back before the connection is used again.
    async fn transaction(&self) -> Result<Transaction<'static, Sqlite>, Trouble> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    async fn read<T>(
        &self,
        what: impl Display + Send,
        work: impl Future<Output = Result<T, Trouble>> + Send,
    ) -> Result<T, Fault> {
        self.faults.note_read(self.within(READ_DEADLINE, what, work).await)
    }

    async fn write<T>(
        &self,
        what: impl Display + Send,
        work: impl Future<Output = Result<T, Trouble>> + Send,
    ) -> Result<T, Fault> {
        self.faults.note_write(self.within(WRITE_DEADLINE, what, work).await)
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        what: impl Display + Send,
        work: impl Future<Output = Result<T, Trouble>> + Send,
    ) -> Result<T, Fault> {
        let failed = || format!("could not {what} in {}", self.file.display());
        match tokio::time::timeout(deadline, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(trouble)) => Err(trouble.into_fault(failed())),
            Err(_) => Err(Fault::unavailable(
                failed(),
                format!("no answer within {} s", deadline.as_secs()),
            )),
        }
    }
}

fn pool(most: u32, deadline: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(most)
        .acquire_timeout(deadline)
        .idle_timeout(None)
        .max_lifetime(None)
        // A connection is a thread of this process and not a socket: it does not go away while nobody looks.
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // On a full disk SQLite may end a transaction by itself, and sqlx then believes for ever that one
                // is open. Such a connection is replaced. The ping lets a rollback under way finish first.
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
}

/// During an upgrade the program before works on the same tables for hours: what it reads and writes must stay there under a
/// new step, or the changelog says that this version needs a restart.
fn migrations() -> Migrator {
    let step = |number, name: &'static str, sql: &'static str| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        step(1, "first", include_str!("migrations/0001_first.sql")),
        step(4, "own page", include_str!("migrations/0004_own_page.sql")),
        step(5, "links", include_str!("migrations/0005_links.sql")),
        step(6, "bounces", include_str!("migrations/0006_bounces.sql")),
        step(7, "asking device", include_str!("migrations/0007_asking_device.sql")),
        step(8, "sites", include_str!("migrations/0008_sites.sql")),
        step(9, "API tokens", include_str!("migrations/0009_api_tokens.sql")),
        step(10, "attempts", include_str!("migrations/0010_attempts.sql")),
        step(11, "orders", include_str!("migrations/0011_orders.sql")),
        step(12, "campaigns", include_str!("migrations/0012_campaigns.sql")),
        step(13, "unlocks", include_str!("migrations/0013_unlocks.sql")),
        step(
            14,
            "readers and retention",
            include_str!("migrations/0014_readers_and_retention.sql"),
        ),
        step(15, "campaigns told", include_str!("migrations/0015_campaigns_told.sql")),
    ])
}

/// Makes a directory and a file in it for their owner alone, where they are not there yet. SQLite gives its log
/// files the mode of the database.
fn make_private(directory: &Path, file: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|cause| Fault::unavailable(format!("could not make the directory {}", directory.display()), cause))?;
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    match made {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(Fault::unavailable(
            format!("could not make the file {}", file.display()),
            cause,
        )),
        _ => Ok(()),
    }
}
