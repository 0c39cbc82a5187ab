//! `[store]` and `[secrets]`: where the gateway keeps its data, and, apart from it, its keys.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::keys::forms::{Time, path};
use super::keys::{Slot, Walker};

/// The embedded database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Directory of the database files. Default `/var/lib/sekisho`.
    pub directory: PathBuf,
    /// `keep_events`: how long events stay. Default: for ever.
    pub keep_events: Option<Duration>,
}

/// How long an event stays at least: as long as letters and links of which it tells.
const LEAST_KEPT: Duration = Duration::from_hours(30 * 24);
/// How long it stays at most where a time is named.
const MOST_KEPT: Duration = Duration::from_hours(100 * 365 * 24);

/// The files that hold secrets: made on first start where they can be, 0600, never inside the store's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Directory of `pepper` and `sealing.key`. Default `/etc/sekisho/secrets`.
    pub directory: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            directory: "/var/lib/sekisho".into(),
            keep_events: None,
        }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            directory: "/etc/sekisho/secrets".into(),
        }
    }
}

impl Store {
    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "store",
            "The embedded database: accounts, sessions, links, letters not yet sent, events.",
        );
        walker.key(
            "directory",
            "Directory of the database files, on a local disk. Made on first start.",
            &path(),
            Slot::Default(&mut self.directory),
        );
        walker.key(
            "keep_events",
            "How long events are kept, such as \"400d\", 30 days at least. Older ones are deleted in small steps, every ten \
             minutes. Without it they stay for ever.",
            &Time {
                least: LEAST_KEPT,
                most: MOST_KEPT,
            },
            Slot::Optional(&mut self.keep_events, Duration::from_hours(400 * 24)),
        );
    }
}

impl Secrets {
    pub(super) fn walk(&mut self, walker: &mut impl Walker, store: &Store) {
        walker.section(
            "secrets",
            "The files that hold secrets, apart from the database, so that a copy of the database alone opens nothing.",
        );
        walker.key(
            "directory",
            "Directory of `pepper`, which keys the password hashes, and `sealing.key`, which seals the signing keys. Both \
             are made on first start with mode 0600. Back them up separately: without the pepper no password works.",
            &path(),
            Slot::Default(&mut self.directory),
        );
        walker.check(&["secrets.directory", "store.directory"], || {
            if plainly(&self.directory).starts_with(plainly(&store.directory)) {
                Err(format!(
                    "{} is inside store.directory, so that one backup would hold the database and its keys; choose a \
                     directory elsewhere",
                    self.directory.display()
                ))
            } else {
                Ok(())
            }
        });
    }
}

/// The path from the root, without `.` and `..`, as far as that can be said without looking at the disk.
fn plainly(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            _ => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_has_one_plain_path() {
        for (one, other) in [
            ("/a/b", "/a/./b/"),
            ("/a/b", "/a/c/../b"),
            ("a", "./a"),
            ("/a", "/../a"),
        ] {
            assert_eq!(plainly(Path::new(one)), plainly(Path::new(other)));
        }
        assert_ne!(plainly(Path::new("/a/bc")), plainly(Path::new("/a/b")));
    }
}
