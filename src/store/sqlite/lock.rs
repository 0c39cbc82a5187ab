//! [`StoreLock`]: only one server at a time works on a store directory. The command line needs no lock. During an upgrade
//! the old process and the new one hold the same lock, and what each of them does is agreed between them.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::make_private;
use crate::domain::fault::Fault;

/// Held by a running server until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
}

/// The lock file in its directory.
const LOCK: &str = "server.lock";

impl StoreLock {
    /// Takes the lock of this directory, made with mode 0700 when it is not there.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when another server holds it, or the lock file cannot be opened.
    pub fn acquire(directory: &Path) -> Result<Self, Fault> {
        let path = directory.join(LOCK);
        let failed = || format!("could not lock the data directory {}", directory.display());
        make_private(directory, &path)?;
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|cause| Fault::unavailable(failed(), cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(Fault::unavailable(
                failed(),
                "another server is running on it; stop that one, or give this one a data directory of its own",
            )),
            Err(TryLockError::Error(cause)) => Err(Fault::unavailable(failed(), cause)),
        }
    }

    /// The lock for another process, which then holds it as well: nobody else gets it before both have ended.
    ///
    /// # Errors
    /// Those of the system.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    /// The lock of this directory, as another process has shared it.
    ///
    /// # Errors
    /// When it is the lock of another directory, or none.
    pub fn inherit(lock: OwnedFd, directory: &Path) -> Result<Self, Fault> {
        let failed = || format!("could not take over the data directory {}", directory.display());
        let file = File::from(lock);
        let same = |here: &Metadata, there: &Metadata| (here.dev(), here.ino()) == (there.dev(), there.ino());
        let metadata = |found: io::Result<Metadata>| found.map_err(|cause| Fault::unavailable(failed(), cause));
        let (held, named) = (
            metadata(file.metadata())?,
            metadata(fs::metadata(directory.join(LOCK)))?,
        );
        if !same(&held, &named) {
            return Err(Fault::unavailable(
                failed(),
                "the running server works on another one; to change store.directory, stop it and start anew",
            ));
        }
        // Locked already, through the same open file: says so without waiting.
        file.try_lock().map_err(|cause| Fault::unavailable(failed(), cause))?;
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_the_same_directory_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let first = StoreLock::acquire(directory.path()).unwrap();
        let refused = StoreLock::acquire(directory.path()).unwrap_err().chain();
        assert!(refused.contains(&directory.path().display().to_string()), "{refused}");
        assert!(refused.contains("another server"), "{refused}");
        drop(first);
        StoreLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn a_shared_lock_is_held_until_both_have_let_go() {
        let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = StoreLock::acquire(directory.path()).unwrap();
        drop(StoreLock::acquire(other.path()).unwrap());
        let elsewhere = StoreLock::inherit(first.share().unwrap(), other.path());
        assert!(elsewhere.unwrap_err().chain().contains("works on another one"));
        let second = StoreLock::inherit(first.share().unwrap(), directory.path()).unwrap();
        drop(first);
        assert!(StoreLock::acquire(directory.path()).is_err());
        drop(second);
        StoreLock::acquire(directory.path()).unwrap();
    }
}
