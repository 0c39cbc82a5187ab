//! [`StoreLock`]: only one server at a time works on a store directory. The command line needs no lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::make_private;
use crate::domain::fault::Fault;

/// Held by a running server until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of this directory, made with mode 0700 when it is not there.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when another server holds it, or the lock file cannot be opened.
    pub fn acquire(directory: &Path) -> Result<Self, Fault> {
        let path = directory.join("server.lock");
        let failed = || format!("could not lock the data directory {}", directory.display());
        make_private(directory, &path)?;
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|cause| Fault::unavailable(failed(), cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Fault::unavailable(
                failed(),
                "another server is running on it; stop that one, or give this one a data directory of its own",
            )),
            Err(TryLockError::Error(cause)) => Err(Fault::unavailable(failed(), cause)),
        }
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
}
