//! The parts that the command line needs, whether the server runs or not.

use std::sync::Arc;

use crate::config::Config;
use crate::crypto::entropy::OsEntropy;
use crate::crypto::secrets::SecretFiles;
use crate::domain::fault::Fault;
use crate::flows::{AccountOffice, World};
use crate::ports::{Events, Outbox};
use crate::store::SqliteStore;

use super::clock::SystemClock;
use super::keys::SigningKeys;

/// The store and what an operator does with it.
pub struct Office {
    /// People.
    pub accounts: AccountOffice,
    /// What happened.
    pub events: Arc<dyn Events>,
    /// Letters on their way.
    pub outbox: Arc<dyn Outbox>,
    store: Arc<SqliteStore>,
}

/// The real time and chance.
pub fn world() -> World {
    World::new(Arc::new(SystemClock::new()), Arc::new(OsEntropy))
}

impl Office {
    /// Opens the store named in the config; made when it is not there yet.
    pub async fn open(config: &Config) -> Result<Self, Fault> {
        let store = Arc::new(SqliteStore::open(&config.store.directory).await?);
        Ok(Self {
            accounts: AccountOffice {
                accounts: store.clone(),
                sessions: store.clone(),
                world: world(),
            },
            events: store.clone(),
            outbox: store.clone(),
            store,
        })
    }

    /// The signing keys. Reads the secret files, and makes them where they are missing.
    pub fn keys(&self, config: &Config) -> Result<SigningKeys, Fault> {
        let secrets = SecretFiles::open_or_make(&config.secrets.directory, &OsEntropy)?;
        Ok(SigningKeys {
            store: self.store.clone(),
            sealing: Arc::new(secrets.sealing_key),
            algorithm: config.assertion.algorithm,
            world: world(),
        })
    }

    /// Closes the store when what is under way has finished.
    pub async fn close(self) {
        self.store.close().await;
    }
}
