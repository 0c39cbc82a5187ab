//! A new pepper in the place of the old one, which stays beside it for verification: at no moment, crash or not, is one
//! of them gone that a stored hash may rest on.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Pepper;
use super::files::{PEPPER, line_of, read};
use crate::crypto::durable::{self, Existing};
use crate::domain::fault::Fault;
use crate::ports::Entropy;

/// The name of an old pepper that was renamed by hand.
const BY_HAND: &str = "pepper.previous";

/// Puts a new pepper in the place of the current one, which is kept under its name. Answers the file it is kept in and
/// the new state. Two at once wait for each other.
///
/// # Errors
/// Says which path is at fault; the pepper is the old one then.
pub fn rotate_pepper(directory: &Path, entropy: &dyn Entropy) -> Result<(PathBuf, Pepper), Fault> {
    let _alone = lock(directory)?;
    let path = directory.join(PEPPER);
    refuse_foreign_owner(&path)?;
    let old = read(&path)?.ok_or_else(|| missing(&path))?;
    let kept = directory.join(kept_name(Pepper::from_bytes(*old).key_id()));
    let unwritten = |path: &Path, e| Fault::unavailable(format!("could not write {}", path.display()), e);
    // First the copy, then the new one: a crash between the two leaves the old pepper twice.
    match durable::write(&kept, line_of(&old).as_bytes(), 0o600, Existing::Keep, entropy) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        written => written.map_err(|e| unwritten(&kept, e))?,
    }
    let new = Zeroizing::new(entropy.token());
    durable::write(&path, line_of(&new).as_bytes(), 0o600, Existing::Replace, entropy)
        .map_err(|e| unwritten(&path, e))?;
    Ok((kept, read_locked(directory)?))
}

/// Removes an old pepper. Whoever has a hash that rests on it needs a new password then.
///
/// # Errors
/// There is none of this name, it is the current one, or its file cannot be removed.
pub fn drop_pepper(directory: &Path, key_id: &str) -> Result<(), Fault> {
    let _alone = lock(directory)?;
    let mut removed = false;
    for path in previous(directory)? {
        if read(&path)?.is_some_and(|old| Pepper::from_bytes(*old).key_id() == key_id) {
            fs::remove_file(&path)
                .map_err(|e| Fault::unavailable(format!("could not remove {}", path.display()), e))?;
            removed = true;
        }
    }
    durable::sync_directory(directory)
        .map_err(|e| Fault::unavailable(format!("could not write {}", directory.display()), e))?;
    if removed {
        Ok(())
    } else {
        Err(Fault::Corrupt {
            what: format!("there is no pepper {key_id} of before in {}", directory.display()),
            source: None,
        })
    }
}

/// The pepper as it lies in its files now; makes nothing.
///
/// # Errors
/// Says which file is missing or at fault.
pub fn read_pepper(directory: &Path) -> Result<Pepper, Fault> {
    let _alone = lock(directory)?;
    read_locked(directory)
}

/// Tells whether the files of the pepper have changed since another stamp was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PepperStamp(Vec<(PathBuf, u64, i64, i64)>);

/// Looks at the files without reading them.
///
/// # Errors
/// The directory cannot be read.
pub fn stamp_pepper(directory: &Path) -> Result<PepperStamp, Fault> {
    let mut paths = previous(directory)?;
    paths.push(directory.join(PEPPER));
    let stamp = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok()?;
        Some((path, metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
    };
    Ok(PepperStamp(paths.into_iter().filter_map(stamp).collect()))
}

/// The pepper together with every one before it.
pub(super) fn with_all_previous(mut pepper: Pepper, directory: &Path) -> Result<Pepper, Fault> {
    for path in previous(directory)? {
        if let Some(old) = read(&path)? {
            pepper = pepper.with_previous(*old);
        }
    }
    Ok(pepper)
}

fn read_locked(directory: &Path) -> Result<Pepper, Fault> {
    let path = directory.join(PEPPER);
    let current = read(&path)?.ok_or_else(|| missing(&path))?;
    with_all_previous(Pepper::from_bytes(*current), directory)
}

/// The files of old peppers, in the order of their names.
fn previous(directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    let unreadable = |e| Fault::unavailable(format!("could not read the directory {}", directory.display()), e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_str().is_some_and(is_previous) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn kept_name(key_id: &str) -> String {
    format!("{PEPPER}.{key_id}")
}

/// Only our own names: a copy that somebody laid beside them under another is nobody's concern here.
fn is_previous(name: &str) -> bool {
    let digits = |id: &str| id.len() == 8 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    name == BY_HAND
        || name
            .strip_prefix(PEPPER)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(digits)
}

/// Held until the returned handle is dropped. The lock is on the directory, so that no file is left behind.
fn lock(directory: &Path) -> Result<File, Fault> {
    let locked = File::open(directory).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|e| Fault::unavailable(format!("could not lock the directory {}", directory.display()), e))
}

/// What root writes here, the gateway could not read at its next start.
fn refuse_foreign_owner(path: &Path) -> Result<(), Fault> {
    let owner = match fs::metadata(path) {
        Ok(metadata) => metadata.uid(),
        Err(_) => return Ok(()),
    };
    let me = rustix::process::geteuid().as_raw();
    if owner == me {
        return Ok(());
    }
    Err(Fault::Corrupt {
        what: format!(
            "{} belongs to another user than the one who runs this; run it as that user: sudo -u '#{owner}' sekisho ...",
            path.display()
        ),
        source: None,
    })
}

fn missing(path: &Path) -> Fault {
    Fault::Corrupt {
        what: format!(
            "{} is missing; put it back from its copy (see the runbook)",
            path.display()
        ),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::SecretFiles;
    use super::*;
    use crate::crypto::entropy::OsEntropy;

    fn home() -> (tempfile::TempDir, Pepper) {
        let home = tempfile::tempdir().unwrap();
        let files = SecretFiles::open_or_make(home.path(), &OsEntropy).unwrap();
        (home, files.pepper)
    }

    #[test]
    fn each_rotation_keeps_every_pepper_before_it() {
        let (home, first) = home();
        let mut known = vec![(first.key_id().to_owned(), first.current().to_vec())];
        for _ in 0..3 {
            let (kept, now) = rotate_pepper(home.path(), &OsEntropy).unwrap();
            let (last, _) = known.last().unwrap();
            assert_eq!(kept, home.path().join(format!("pepper.{last}")));
            assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
            known.push((now.key_id().to_owned(), now.current().to_vec()));
            for (id, bytes) in &known {
                assert_eq!(now.find(id), Some(bytes.as_slice()));
            }
        }
        let opened = SecretFiles::open_or_make(home.path(), &OsEntropy).unwrap();
        assert!(opened.made.is_empty());
        assert_eq!(opened.pepper.previous_ids().count(), 3);
        assert_eq!(read_pepper(home.path()).unwrap().key_id(), opened.pepper.key_id());
    }

    #[test]
    fn a_rotation_cut_in_the_middle_is_done_by_the_next_one() {
        let (home, first) = home();
        fs::copy(home.path().join(PEPPER), home.path().join(kept_name(first.key_id()))).unwrap();
        let (_, now) = rotate_pepper(home.path(), &OsEntropy).unwrap();
        assert_ne!(now.key_id(), first.key_id());
        assert_eq!(now.previous_ids().collect::<Vec<_>>(), [first.key_id()]);
    }

    #[test]
    fn rotations_at_once_lose_no_pepper() {
        let (home, _) = home();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| rotate_pepper(home.path(), &OsEntropy).unwrap());
            }
        });
        assert_eq!(read_pepper(home.path()).unwrap().previous_ids().count(), 8);
    }

    #[test]
    fn an_old_pepper_is_dropped_by_name_and_the_current_one_never() {
        let (home, first) = home();
        let (_, now) = rotate_pepper(home.path(), &OsEntropy).unwrap();
        assert!(
            drop_pepper(home.path(), now.key_id())
                .unwrap_err()
                .chain()
                .contains("there is no pepper")
        );
        let before = stamp_pepper(home.path()).unwrap();
        drop_pepper(home.path(), first.key_id()).unwrap();
        assert_ne!(stamp_pepper(home.path()).unwrap(), before);
        let left = read_pepper(home.path()).unwrap();
        assert_eq!((left.key_id(), left.previous_ids().count()), (now.key_id(), 0));
    }

    #[test]
    fn a_stamp_changes_with_a_rotation_and_with_nothing_else() {
        let (home, _) = home();
        let first = stamp_pepper(home.path()).unwrap();
        fs::write(home.path().join("pepper.bak"), "a copy somebody made").unwrap();
        assert_eq!(stamp_pepper(home.path()).unwrap(), first);
        rotate_pepper(home.path(), &OsEntropy).unwrap();
        assert_ne!(stamp_pepper(home.path()).unwrap(), first);
    }

    #[test]
    fn a_missing_pepper_is_named_and_not_made() {
        let (home, _) = home();
        fs::remove_file(home.path().join(PEPPER)).unwrap();
        for said in [
            rotate_pepper(home.path(), &OsEntropy).unwrap_err().chain(),
            read_pepper(home.path()).unwrap_err().chain(),
        ] {
            assert!(said.contains("pepper is missing"), "{said}");
        }
        assert!(!home.path().join(PEPPER).exists());
    }
}
