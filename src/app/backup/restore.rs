//! Restoring a backup: everything is checked, brought up to date and prepared beside the store; then it takes the
//! store's place in one rename, and what was there is kept.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::workplace::{RESTORING, Workplace};
use super::{BackupProblem, Origin, could_not, open, origin, sync_directory, tidy};
use crate::app::office::world;
use crate::config::Config;
use crate::crypto::hashing::HashKind;
use crate::crypto::seal;
use crate::crypto::secrets::PresentSecrets;
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::fault::Fault;
use crate::ports::Events;
use crate::store::archive::{Archive, DATABASE_PART, Manifest};
use crate::store::sqlite::{DATABASE, DatabaseCopy, Forget, fold_log, prepare_restored, schema_version};
use crate::store::{SqliteStore, StoreLock};

/// What is to be restored, and how.
#[derive(Clone, Copy, Debug)]
pub struct Restoring<'a> {
    /// The backup.
    pub file: &'a Path,
    /// Whether a store that has accounts may be put aside.
    pub replace: bool,
    /// Whether a pepper or a sealing key that is not here is lost for good: what hangs on it is to be made anew, and the
    /// file is taken although nothing can tell who made it.
    pub keys_lost: bool,
}

/// What has been done so far.
#[derive(Debug)]
pub enum Step<'a> {
    /// Every byte of the file is as it was written.
    FileChecked(&'a Manifest, Origin),
    /// No server runs on the store, and none can start for now.
    StoreLocked,
    /// The database in it is sound.
    DatabaseChecked,
    /// Its tables were brought up to date, from this migration to that.
    Migrated(i64, i64),
    /// Its tables are those of this version.
    UpToDate,
    /// Nothing in it is alive: no session, no link.
    Prepared,
    /// What was there is now here.
    KeptAside(&'a Path),
    /// The store is the restored one.
    InPlace,
}

/// What was restored, and what it still needs.
#[derive(Debug)]
pub struct Restored {
    /// What the backup says about itself.
    pub manifest: Manifest,
    /// Where the earlier store is, when there was one.
    pub kept_aside: Option<PathBuf>,
    /// About the pepper.
    pub pepper: PepperStanding,
    /// About the sealing key.
    pub sealing_key: SealingStanding,
}

/// Whether passwords will work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PepperStanding {
    /// The pepper of every hash is here, or there is no hash.
    Here,
    /// Hashes of so many people need peppers of these names, which are not here.
    Missing {
        /// How many people.
        people: usize,
        /// Their peppers.
        ids: Vec<String>,
        /// Whether some other pepper is here in their place.
        another_is_here: bool,
    },
    /// So many people need a new password: the pepper was said to be lost.
    Forgotten(usize),
}

/// Whether the gateway can sign with the keys of the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealingStanding {
    /// It opens every signing key, or there is none.
    Here,
    /// So many signing keys do not open.
    Missing {
        /// How many.
        keys: usize,
        /// Whether some other sealing key is here in its place.
        another_is_here: bool,
    },
    /// So many signing keys were left out: the sealing key was said to be lost.
    Forgotten(usize),
}

/// Puts a backup in the place of the store; tells `progress` of each step that is done.
///
/// # Errors
/// Whatever is wrong; the store is then as it was.
pub async fn restore(
    config: &Config,
    wish: Restoring<'_>,
    progress: &mut dyn FnMut(Step<'_>) -> Result<(), BackupProblem>,
) -> Result<Restored, BackupProblem> {
    let secrets = PresentSecrets::look(&config.secrets.directory)?;
    let archive = open(wish.file)?;
    let origin = origin(&archive, secrets.sealing_key.as_ref());
    if origin == Origin::Forged {
        return Err(BackupProblem::Forged(wish.file.to_owned()));
    }
    refuse_newer(wish.file, &archive.manifest, archive.manifest.schema)?;
    if !wish.keys_lost {
        refuse_unverifiable(wish.file, &archive.manifest, origin)?;
    }
    progress(Step::FileChecked(&archive.manifest, origin))?;

    let directory = &config.store.directory;
    let _lock = StoreLock::acquire(directory)?;
    if !wish.replace && !is_empty(directory).await {
        return Err(BackupProblem::NotEmpty(directory.clone()));
    }
    progress(Step::StoreLocked)?;

    tidy(directory);
    let workplace = Workplace::make(directory, RESTORING)?;
    let file = unpack(&archive, wish.file, workplace.path())?;
    let (pepper, sealing_key, forget) = check(&archive, wish, &file, &secrets).await?;
    progress(Step::DatabaseChecked)?;
    bring_up_to_date(&archive, wish.file, workplace.path()).await?;
    progress(match (archive.manifest.schema, schema_version()) {
        (old, new) if old < new => Step::Migrated(old, new),
        _ => Step::UpToDate,
    })?;
    prepare(&file, workplace.path(), &forget).await?;
    progress(Step::Prepared)?;

    let kept_aside = keep_aside(directory, world().now()).await?;
    if let Some(aside) = &kept_aside {
        progress(Step::KeptAside(aside))?;
    }
    let place = directory.join(DATABASE);
    fs::rename(&file, &place)
        .map_err(|error| could_not(format!("could not put the database at {}", place.display()), error))?;
    sync_directory(directory)?;
    progress(Step::InPlace)?;
    Ok(Restored {
        manifest: archive.manifest,
        kept_aside,
        pepper,
        sealing_key,
    })
}

/// Whoever alters a file can make its digest anew, and can say that another key made it: only the MAC under the sealing
/// key covers every byte, the manifest's own words among them. Where it cannot be checked, the file could be anybody's.
fn refuse_unverifiable(file: &Path, manifest: &Manifest, origin: Origin) -> Result<(), BackupProblem> {
    let here = match origin {
        Origin::Ours | Origin::Forged => return Ok(()),
        Origin::OtherKey => "the one that is here is another",
        Origin::NoKeyHere => "none is here",
    };
    let named = manifest.sealing_key_id.as_ref();
    Err(BackupProblem::Unverifiable {
        file: file.to_owned(),
        named: named.map(|id| format!(" (it says: {id})")).unwrap_or_default(),
        here,
    })
}

fn refuse_newer(file: &Path, manifest: &Manifest, found: i64) -> Result<(), BackupProblem> {
    let known = schema_version();
    if found > known {
        return Err(BackupProblem::NewerSchema {
            file: file.to_owned(),
            version: manifest.version.clone(),
            found,
            known,
        });
    }
    Ok(())
}

/// A store that nobody has an account in. One that cannot be read is not called empty.
async fn is_empty(directory: &Path) -> bool {
    let file = directory.join(DATABASE);
    match fs::metadata(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
        Ok(metadata) if metadata.len() == 0 => return true,
        _ => {}
    }
    let Ok(mut store) = DatabaseCopy::open_live(&file).await else {
        return false;
    };
    let empty = matches!(store.has_accounts().await, Ok(false));
    store.close().await;
    empty
}

fn unpack(archive: &Archive, from: &Path, workplace: &Path) -> Result<PathBuf, BackupProblem> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = workplace.join(DATABASE_PART);
    let made = File::options().write(true).create_new(true).mode(0o600).open(&file);
    let made = made.map_err(|error| could_not(format!("could not make {}", file.display()), error))?;
    archive.unpack(&made).map_err(|problem| BackupProblem::Archive {
        file: from.to_owned(),
        problem,
    })?;
    Ok(file)
}

/// Looks into the unpacked database, and at what the secrets here can do with it.
async fn check(
    archive: &Archive,
    wish: Restoring<'_>,
    file: &Path,
    secrets: &PresentSecrets,
) -> Result<(PepperStanding, SealingStanding, Forget), BackupProblem> {
    let unsound = |why: String| BackupProblem::Unsound {
        file: wish.file.to_owned(),
        why,
    };
    let mut copy = DatabaseCopy::open(file).await?;
    let found = copy.schema_version().await?;
    refuse_newer(wish.file, &archive.manifest, found)?;
    if found != archive.manifest.schema {
        return Err(unsound("is not at the version that its manifest names".to_owned()));
    }
    if copy.rows().await? != archive.manifest.rows {
        return Err(unsound("has not the rows that its manifest counts".to_owned()));
    }
    if let Some(damage) = copy.damage().await?.into_iter().next() {
        return Err(unsound(format!("is damaged: {damage}")));
    }
    let mut forget = Forget::default();
    let pepper = pepper_standing(&mut copy, secrets, wish.keys_lost, &mut forget).await?;
    let sealing_key = sealing_standing(&mut copy, secrets, wish.keys_lost, &mut forget).await?;
    copy.close().await;
    Ok((pepper, sealing_key, forget))
}

async fn pepper_standing(
    copy: &mut DatabaseCopy,
    secrets: &PresentSecrets,
    lost: bool,
    forget: &mut Forget,
) -> Result<PepperStanding, Fault> {
    let mut ids = Vec::new();
    for (extension, hash) in copy.password_hashes().await? {
        if let HashKind::Keyed { pepper, .. } = HashKind::of(&hash)
            && !secrets.pepper.as_ref().is_some_and(|here| here.has(&pepper))
        {
            forget.passwords_of.push(extension);
            ids.push(pepper);
        }
    }
    let people = ids.len();
    ids.sort();
    ids.dedup();
    Ok(match people {
        0 => PepperStanding::Here,
        people if lost => PepperStanding::Forgotten(people),
        people => {
            forget.passwords_of.clear();
            PepperStanding::Missing {
                people,
                ids,
                another_is_here: secrets.pepper.is_some(),
            }
        }
    })
}

async fn sealing_standing(
    copy: &mut DatabaseCopy,
    secrets: &PresentSecrets,
    lost: bool,
    forget: &mut Forget,
) -> Result<SealingStanding, Fault> {
    let opens = |kid: &str, sealed: &[u8]| {
        let key = secrets.sealing_key.as_ref();
        key.is_some_and(|key| seal::open(key, kid, sealed).is_ok())
    };
    let shut = copy.signing_keys().await?.rows.into_iter();
    let shut: Vec<_> = shut
        .filter(|key| !opens(&key.kid, &key.sealed))
        .map(|key| key.kid)
        .collect();
    let keys = shut.len();
    Ok(match keys {
        0 => SealingStanding::Here,
        keys if lost => {
            forget.signing_keys = shut;
            SealingStanding::Forgotten(keys)
        }
        keys => SealingStanding::Missing {
            keys,
            another_is_here: secrets.sealing_key.is_some(),
        },
    })
}

/// Migrates the unpacked database, and refuses one whose tables are then not exactly those of a new store: a trigger
/// that somebody added could do anything later.
async fn bring_up_to_date(archive: &Archive, from: &Path, workplace: &Path) -> Result<(), BackupProblem> {
    let unsound = |why: String| BackupProblem::Unsound {
        file: from.to_owned(),
        why,
    };
    let migrated = SqliteStore::open(workplace).await;
    let migrated = migrated.map_err(|fault| {
        unsound(format!(
            "could not be brought from version {} to {}: {}",
            archive.manifest.schema,
            schema_version(),
            fault.chain()
        ))
    })?;
    migrated.close().await;
    let model = Workplace::make(workplace, "model-")?;
    SqliteStore::open(model.path()).await?.close().await;
    let (mut ours, mut theirs) = (
        DatabaseCopy::open(&model.path().join(DATABASE)).await?,
        DatabaseCopy::open(&workplace.join(DATABASE)).await?,
    );
    let (wanted, found) = (ours.schema().await?, theirs.schema().await?);
    ours.close().await;
    theirs.close().await;
    match found.iter().find(|object| !wanted.contains(object)) {
        Some((kind, name, _)) => Err(unsound(format!(
            "holds a {kind} {name} that no version of Sekisho makes"
        ))),
        None if found.len() != wanted.len() => Err(unsound("lacks a part of its tables".to_owned())),
        None => Ok(()),
    }
}

async fn prepare(file: &Path, workplace: &Path, forget: &Forget) -> Result<(), BackupProblem> {
    let world = world();
    prepare_restored(file, forget, world.now()).await?;
    let store = SqliteStore::open(workplace).await?;
    let event = Event {
        id: world.uuid(),
        at: world.now(),
        actor: Actor::Operator,
        client: None,
        account: None,
        fact: Fact::BackupRestored,
    };
    let noted = store.append(&[event]).await;
    // The last connection folds the write-ahead log into the database: one file is all there is.
    store.close().await;
    noted?;
    let failed = |error| could_not(format!("could not write {}", file.display()), error);
    File::open(file).and_then(|file| file.sync_all()).map_err(failed)
}

/// Keeps the store's files, whatever they are, in a directory of their own beside them. The database also stays where
/// it is until the restored one takes its place, so that there is one at every moment.
async fn keep_aside(directory: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupProblem> {
    let database = directory.join(DATABASE);
    if !database.exists() {
        return Ok(None);
    }
    // Where it is sound, the log is folded into the database: then one file holds everything.
    fold_log(&database).await;
    let name = format!("replaced-{}", now.strftime("%Y%m%dT%H%M%S%3fZ"));
    let aside = directory.join(name);
    let failed = |error| could_not(format!("could not keep the store aside in {}", aside.display()), error);
    fs::DirBuilder::new().mode(0o700).create(&aside).map_err(failed)?;
    fs::hard_link(&database, aside.join(DATABASE)).map_err(failed)?;
    // The log of one database beside another would damage it.
    for file in ["-wal", "-shm", "-journal"].map(|end| format!("{DATABASE}{end}")) {
        if directory.join(&file).exists() {
            fs::rename(directory.join(&file), aside.join(&file)).map_err(failed)?;
        }
    }
    sync_directory(&aside)?;
    sync_directory(directory)?;
    Ok(Some(aside))
}
