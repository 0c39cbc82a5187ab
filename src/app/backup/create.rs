//! Making a backup: a copy of the database as of one moment, in one file that appears whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::workplace::{self, Workplace};
use super::{AUTHENTIC, BackupProblem, could_not, directory_of, sync_directory, tidy};
use crate::app::office::world;
use crate::config::Config;
use crate::crypto::secrets::PresentSecrets;
use crate::domain::event::{Actor, Event, Fact};
use crate::ports::Events;
use crate::store::SqliteStore;
use crate::store::archive::{self, DATABASE_PART, Manifest};
use crate::store::sqlite::{DatabaseCopy, emptied, schema_version};

/// A backup that was made.
#[derive(Debug)]
pub struct Created {
    /// Where.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it says about itself.
    pub manifest: Manifest,
}

/// Makes a backup of the store into `file`, whether a server runs on it or not.
///
/// # Errors
/// [`BackupProblem::Exists`] unless `force`, [`BackupProblem::Reserved`], or what does not work.
pub async fn create(config: &Config, file: &Path, force: bool) -> Result<Created, BackupProblem> {
    if workplace::is_reserved(file) {
        return Err(BackupProblem::Reserved(file.to_owned()));
    }
    if !force && file.symlink_metadata().is_ok() {
        return Err(BackupProblem::Exists(file.to_owned()));
    }
    let store = SqliteStore::open(&config.store.directory).await?;
    let made = from_store(config, &store, file, force).await;
    store.close().await;
    made
}

async fn from_store(config: &Config, store: &SqliteStore, file: &Path, force: bool) -> Result<Created, BackupProblem> {
    let world = world();
    let began = world.now();
    // In the store's own directory: until it is stripped, the copy holds no more and no less than the store.
    tidy(&config.store.directory);
    let workplace = Workplace::make(&config.store.directory, workplace::MAKING)?;
    let copy = workplace.path().join(DATABASE_PART);
    store.copy_into(&copy, began).await?;

    let mut manifest = Manifest::new(schema_version(), began);
    let mut looked_at = DatabaseCopy::open(&copy).await?;
    manifest.rows = looked_at.rows().await?;
    looked_at.close().await;
    manifest.left_out = left_out();
    let key = PresentSecrets::look(&config.secrets.directory)?.sealing_key;
    manifest.sealing_key_id = key.as_ref().map(crate::crypto::secrets::SealingKey::id);

    let failed = |error| could_not(format!("could not write the backup {}", file.display()), error);
    let mut database = File::open(&copy).map_err(failed)?;
    let directory = directory_of(file);
    // Made with mode 0600 under another name.
    let mut draft = workplace::draft(directory).map_err(failed)?;
    archive::write(draft.as_file_mut(), &mut manifest, &mut database, |digest| {
        key.map_or([0; 32], |key| key.authenticate(AUTHENTIC, digest))
    })
    .map_err(failed)?;
    if force {
        draft.persist(file).map_err(|error| failed(error.error))?;
    } else {
        draft
            .persist_noclobber(file)
            .map_err(|error| match error.error.kind() {
                std::io::ErrorKind::AlreadyExists => BackupProblem::Exists(file.to_owned()),
                _ => failed(error.error),
            })?;
    }
    sync_directory(directory)?;
    let event = Event {
        id: world.uuid(),
        at: world.now(),
        actor: Actor::Operator,
        client: None,
        account: None,
        fact: Fact::BackupCreated,
    };
    store.append(&[event]).await?;
    Ok(Created {
        file: file.to_owned(),
        bytes: fs::metadata(file).map_err(failed)?.len(),
        manifest,
    })
}

fn left_out() -> Vec<String> {
    let tables = emptied().map(|table| format!("rows of {table}"));
    let others = [
        "open requests for a new password",
        "the configuration",
        "the secrets: pepper, sealing key, password of the mail server",
        "the certificate and its key",
    ];
    tables.chain(others.map(str::to_owned)).collect()
}
