//! Places that a backup command works in, and what is left of those whose process was killed. Each is locked by its
//! process for as long as it lives, so that the next command tells what somebody works in from what nobody will ever
//! remove.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::{NamedTempFile, TempDir};

use super::{BackupProblem, could_not};

/// Where a backup is made, in the store's directory.
pub const MAKING: &str = ".backup-";
/// Where one is restored, in the store's directory.
pub const RESTORING: &str = ".restore-";
/// Where one is looked at, among the temporary files of the machine.
pub const PROVING: &str = "sekisho-prove-";
/// A backup that is being written, beside its place.
pub const DRAFT: &str = ".sekisho-backup-";

/// Two processes can meet once in a while, never again and again.
const TRIES: usize = 16;

/// A directory for its owner alone that vanishes with all that is in it.
pub struct Workplace {
    // Removed before the lock is let go of.
    directory: TempDir,
    _lock: File,
}

impl Workplace {
    /// Makes one, after removing what killed processes left of theirs.
    pub fn make(inside: &Path, prefix: &str) -> Result<Self, BackupProblem> {
        remove_leftovers(inside, &[prefix]);
        let failed = |error| could_not(format!("could not make a directory in {}", inside.display()), error);
        for _ in 0..TRIES {
            let directory = tempfile::Builder::new()
                .prefix(prefix)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(inside)
                .map_err(failed)?;
            // Between these two lines another process may take it for a leftover; then it is gone.
            let lock = File::open(directory.path());
            if let Some(lock) = lock.ok().filter(|lock| is_ours_now(lock, directory.path())) {
                return Ok(Self { directory, _lock: lock });
            }
        }
        Err(failed(io::ErrorKind::ResourceBusy.into()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A file with mode 0600 in this directory that vanishes unless it is given its name.
pub fn draft(inside: &Path) -> io::Result<NamedTempFile> {
    remove_leftovers(inside, &[DRAFT]);
    for _ in 0..TRIES {
        let draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(inside)?;
        if is_ours_now(draft.as_file(), draft.path()) {
            return Ok(draft);
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Whether what has this name may be taken for a leftover, and so is no place for what is to stay.
pub fn is_reserved(file: &Path) -> bool {
    let name = file.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    let prefixes = [MAKING, RESTORING, PROVING, DRAFT];
    prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Locks what was opened, and asks whether it is still what the path leads to.
fn is_ours_now(opened: &File, path: &Path) -> bool {
    let same = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    opened.try_lock().is_ok()
        && matches!((opened.metadata(), path.symlink_metadata()), (Ok(one), Ok(other)) if same(&one, &other))
}

/// Removes the places of processes that are dead: of our own user, private, named with one of these prefixes, and
/// locked by nobody. Whatever else is there is left alone; so is what cannot be removed, since nothing depends on it.
pub fn remove_leftovers(inside: &Path, prefixes: &[&str]) {
    let Ok(entries) = fs::read_dir(inside) else {
        return;
    };
    let named = |entry: &DirEntry| {
        let name = entry.file_name();
        prefixes
            .iter()
            .any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
    };
    for entry in entries.filter_map(Result::ok).filter(named) {
        let path = entry.path();
        match remove_leftover(&path) {
            Ok(false) => {}
            Ok(true) => tracing::info!(path = %path.display(), "removed what a killed backup command left"),
            Err(error) => tracing::debug!(%error, path = %path.display(), "a leftover of a backup command stays"),
        }
    }
}

/// `false` when it is not a leftover.
fn remove_leftover(path: &Path) -> io::Result<bool> {
    // Neither a link nor a pipe is followed or waited for.
    let no_links = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(no_links.cast_signed())
        .open(path)?;
    let found = opened.metadata()?;
    let for_its_owner = found.mode() & 0o7777 & !0o700 == 0;
    let private = for_its_owner && found.uid() == rustix::process::geteuid().as_raw();
    if !private || !(found.is_dir() || found.is_file()) || !is_ours_now(&opened, path) {
        return Ok(false);
    }
    if found.is_dir() {
        fs::remove_dir_all(path)?;
    } else {
        fs::remove_file(path)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn private_directory(inside: &Path, name: &str, mode: u32) {
        let path = inside.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("sekisho.db"), "a database").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_a_living_one_works_in_is_not() {
        let home = tempfile::tempdir().unwrap();
        let living = Workplace::make(home.path(), MAKING).unwrap();
        let writing = draft(home.path()).unwrap();
        private_directory(home.path(), ".backup-dead", 0o700);
        private_directory(home.path(), ".restore-other", 0o700);
        fs::write(home.path().join(".sekisho-backup-dead"), "half of it").unwrap();
        fs::set_permissions(home.path().join(".sekisho-backup-dead"), Permissions::from_mode(0o600)).unwrap();
        let next = Workplace::make(home.path(), MAKING).unwrap();
        drop(draft(home.path()).unwrap());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut wanted = vec![
            ".restore-other".to_owned(),
            name(living.path()),
            name(next.path()),
            name(writing.path()),
        ];
        wanted.sort();
        assert_eq!(names(home.path()), wanted);
        remove_leftovers(home.path(), &[MAKING, RESTORING, DRAFT]);
        drop((living, next, writing));
        assert_eq!(names(home.path()), [""; 0], "those that end remove their own");
    }

    #[test]
    fn only_what_is_private_ours_and_no_link_is_taken_for_a_leftover() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        private_directory(elsewhere.path(), "precious", 0o700);
        std::os::unix::fs::symlink(elsewhere.path().join("precious"), home.path().join(".backup-link")).unwrap();
        private_directory(home.path(), ".backup-public", 0o755);
        private_directory(home.path(), "backup-of-mine", 0o700);
        remove_leftovers(home.path(), &[MAKING]);
        assert_eq!(names(home.path()), [".backup-link", ".backup-public", "backup-of-mine"]);
        assert_eq!(names(elsewhere.path()), ["precious"]);
        remove_leftovers(&home.path().join("no-such"), &[MAKING]);
    }
}
