//! The directory the demo keeps its data in. A marker says that the demo made it, so that nothing of anybody else's
//! is ever removed.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::app::StoreLock;

const MARKER: &str = ".sekisho-demo";
const STORE: &str = "store";
const SECRETS: &str = "secrets";
const INBOX: &str = "inbox";
const CONFIG: &str = "sekisho.toml";
const POLICY: &str = "limits.toml";
const FORMER: &str = "limits.toml.before";
const CANDIDATE: &str = "limits.candidate.toml";
const LOG: &str = "demo.log";

/// Everything the demo makes, the marker last: while it is there, the rest may be removed.
const MADE: [&str; 9] = [STORE, SECRETS, INBOX, CONFIG, POLICY, FORMER, CANDIDATE, LOG, MARKER];

const MARKER_TEXT: &str =
    "Made by `sekisho demo`. `sekisho demo --fresh` removes what the demo made here and nothing else.\n";

/// The demo's data directory.
pub struct Ground(PathBuf);

impl Ground {
    /// The directory, provided that it is missing, empty, or the demo's own.
    pub fn at(directory: &Path) -> anyhow::Result<Self> {
        let ground = Self(directory.to_owned());
        let shown = directory.display();
        let files = match fs::read_dir(directory) {
            Ok(files) => files.count(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error).with_context(|| format!("could not use {shown} as data directory")),
        };
        if files > 0 && !ground.marker().is_file() {
            bail!(
                "{shown} holds files that the demo did not make (there is no {MARKER} in it); choose another directory with \
                 --data"
            );
        }
        Ok(ground)
    }

    /// Makes the directory, marked as the demo's. The letters in it carry links, so it is nobody else's to read.
    pub fn prepare(&self) -> anyhow::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .and_then(|()| fs::write(self.marker(), MARKER_TEXT))
            .with_context(|| format!("could not make the data directory {}", self.0.display()))
    }

    /// Refuses a directory that a running demo works on, before anything in it is touched.
    pub fn claim(&self) -> anyhow::Result<Option<StoreLock>> {
        let store = self.0.join(STORE);
        if !store.is_dir() {
            return Ok(None);
        }
        let lock = StoreLock::acquire(&store)
            .with_context(|| format!("{} is in use; choose another directory with --data", self.0.display()))?;
        Ok(Some(lock))
    }

    /// Removes what the demo made.
    pub fn clear(&self) -> anyhow::Result<()> {
        if !self.marker().is_file() {
            return Ok(());
        }
        for name in MADE {
            remove(&self.0.join(name)).with_context(|| format!("could not remove {}", self.0.join(name).display()))?;
        }
        Ok(())
    }

    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// Where the mail catcher keeps letters.
    pub fn inbox(&self) -> PathBuf {
        self.0.join(INBOX)
    }

    /// The configuration in effect, for other commands on the same data.
    pub fn config(&self) -> PathBuf {
        self.0.join(CONFIG)
    }

    /// The policy of the limits.
    pub fn policy(&self) -> PathBuf {
        self.0.join(POLICY)
    }

    /// The place of a policy on trial.
    pub fn candidate(&self) -> PathBuf {
        self.0.join(CANDIDATE)
    }

    pub fn log(&self) -> PathBuf {
        self.0.join(LOG)
    }

    fn marker(&self) -> PathBuf {
        self.0.join(MARKER)
    }
}

/// Where the store and the secrets lie in a data directory.
pub fn store_and_secrets(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join(STORE), directory.join(SECRETS))
}

/// Removes a file or a directory with what is in it; a link is removed, never followed.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_over_removes_what_the_demo_made_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("demo-data");
        let ground = Ground::at(&directory).unwrap();
        ground.prepare().unwrap();
        let (store, secrets) = store_and_secrets(&directory);
        let elsewhere = home.path().join("elsewhere");
        for made in [&store, &secrets, &elsewhere] {
            fs::create_dir_all(made).unwrap();
            fs::write(made.join("file"), "").unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, ground.inbox()).unwrap();
        fs::write(ground.log(), "").unwrap();
        fs::write(directory.join("notes.txt"), "mine").unwrap();

        Ground::at(&directory).unwrap().clear().unwrap();
        let left: Vec<_> = fs::read_dir(&directory)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        assert_eq!(left, ["notes.txt"]);
        assert!(elsewhere.join("file").is_file(), "a link is not followed");
    }

    #[test]
    fn a_directory_that_is_somebody_elses_is_refused() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("store")).unwrap();
        let refusal = Ground::at(home.path()).err().unwrap().to_string();
        assert!(refusal.contains("--data"), "{refusal}");
        assert!(home.path().join("store").is_dir());

        let empty = tempfile::tempdir().unwrap();
        Ground::at(empty.path()).unwrap().clear().unwrap();
        assert!(empty.path().is_dir());
    }

    #[test]
    fn a_directory_that_a_demo_is_running_on_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let ground = Ground::at(home.path()).unwrap();
        ground.prepare().unwrap();
        let (store, _) = store_and_secrets(home.path());
        let running = StoreLock::acquire(&store).unwrap();
        let refusal = ground.claim().unwrap_err().to_string();
        assert!(refusal.contains("is in use") && refusal.contains("--data"), "{refusal}");
        drop(running);
        ground.claim().unwrap();
    }
}
