//! Backups: made while the server runs, restored onto a new machine, and proved to tell nobody a secret.

mod create;
mod prove;
mod restore;
mod scan;
mod workplace;

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::crypto::secrets::SealingKey;
use crate::domain::fault::Fault;
use crate::store::archive::{Archive, ArchiveProblem};

pub use create::{Created, create};
pub use prove::{Check, Verdict, prove};
pub use restore::{PepperStanding, Restored, Restoring, SealingStanding, Step, restore};

pub use crate::store::archive::Manifest;

/// What the MAC of a backup is for.
const AUTHENTIC: &str = "authenticate backups";

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupProblem {
    /// Something that was needed does not work.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A file of that name is there.
    #[error("{} is there already, and a backup is never overwritten unasked; name another file, or add --force", .0.display())]
    Exists(PathBuf),
    /// The name is that of what a command works on, and the next one removes what has such a name.
    #[error("{} is no name for a backup: what begins so is removed as left by a killed command; name another file", .0.display())]
    Reserved(PathBuf),
    /// The file is no backup that can be used.
    #[error("{} is not used", .file.display())]
    Archive {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: ArchiveProblem,
    },
    /// Its MAC was not made with the key that its manifest names.
    #[error(
        "{} is not used: it names the sealing key of this machine, and was not made with it; somebody put it together from \
         something else", .0.display()
    )]
    Forged(PathBuf),
    /// Nothing here can tell who made it.
    #[error(
        "{} is not used: whether it is as it was made can only be told with the sealing key it was made with{named}, and {here}. \
         Bring pepper and sealing.key of the machine it was made on into the secrets directory first. Lost for good? Add \
         --keys-lost, if you know where the file has been", .file.display()
    )]
    Unverifiable {
        /// The file.
        file: PathBuf,
        /// What the key is called, as far as the file says so.
        named: String,
        /// What is here in its place.
        here: &'static str,
    },
    /// The database inside it is not as it should be.
    #[error("{} is not used: the database in it {why}", .file.display())]
    Unsound {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Its tables are those of a later version.
    #[error(
        "{} was made by Sekisho {version}, whose tables are at {found}; this is Sekisho {}, which knows them up to {known}: \
         install that version or a newer one, and restore again", .file.display(), env!("CARGO_PKG_VERSION")
    )]
    NewerSchema {
        /// The file.
        file: PathBuf,
        /// The version that made it.
        version: String,
        /// Its newest migration.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The store has accounts.
    #[error(
        "the store in {} is not empty; add --replace to put the backup in its place (what is there now is kept aside)",
        .0.display()
    )]
    NotEmpty(PathBuf),
}

/// Removes from a store's directory what killed backup commands left in it.
pub fn tidy(store: &Path) {
    workplace::remove_leftovers(store, &[workplace::MAKING, workplace::RESTORING]);
}

/// Opens a backup and checks every byte of it.
fn open(path: &Path) -> Result<Archive, BackupProblem> {
    let wrong = |problem| BackupProblem::Archive {
        file: path.to_owned(),
        problem,
    };
    let file = File::open(path).map_err(|error| wrong(error.into()))?;
    Archive::open(file).map_err(wrong)
}

/// Who made a backup, as far as this machine can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Whoever has this machine's sealing key.
    Ours,
    /// It names this machine's sealing key, and was not made with it.
    Forged,
    /// It was made with another sealing key, or without one.
    OtherKey,
    /// There is no sealing key here to check with.
    NoKeyHere,
}

fn origin(archive: &Archive, key: Option<&SealingKey>) -> Origin {
    match (key, &archive.manifest.sealing_key_id) {
        (None, _) => Origin::NoKeyHere,
        (Some(key), _) if key.is_authentic(AUTHENTIC, &archive.digest, &archive.mac) => Origin::Ours,
        (Some(key), Some(id)) if *id == key.id() => Origin::Forged,
        (Some(_), _) => Origin::OtherKey,
    }
}

fn could_not(what: impl Into<String>, error: std::io::Error) -> BackupProblem {
    Fault::unavailable(what, error).into()
}

/// The directory that a file is in.
fn directory_of(file: &Path) -> &Path {
    file.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes the entries of a directory durable.
fn sync_directory(directory: &Path) -> Result<(), BackupProblem> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| could_not(format!("could not write the directory {}", directory.display()), error))
}
