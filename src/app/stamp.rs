//! What files look like from outside, so that a change of one is seen without reading it.
//!
//! They are looked at again and again rather than watched by the kernel: editors and deployments put new files in the
//! place of old ones, links are turned over, network drives tell nothing, and a look at a few files costs microseconds.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How files looked at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(BTreeMap<PathBuf, Option<Look>>);

/// What changes whenever the content does: a write moves the times, a replacement is another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

/// A theme has its files in directories within its own.
const DEPTH: usize = 2;

impl Stamps {
    /// How these files look now, and what is in those that are directories.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let mut stamps = Self::default();
        for path in paths {
            stamps.look(path, DEPTH);
        }
        stamps
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether this file looks the same in both.
    pub fn agree_on(&self, other: &Self, path: &Path) -> bool {
        let (here, there) = (self.0.get(path), other.0.get(path));
        here.is_some() && here == there
    }

    fn look(&mut self, path: &Path, depth: usize) {
        let metadata = fs::metadata(path).ok();
        self.0.insert(path.to_owned(), metadata.as_ref().map(Look::of));
        if depth == 0 || !metadata.is_some_and(|metadata| metadata.is_dir()) {
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            self.look(&entry.path(), depth - 1);
        }
    }
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_to_a_file_shows() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        let look = || Stamps::of([&file]);
        let missing = look();
        fs::write(&file, "one").unwrap();
        let written = look();
        assert_ne!(written, missing);
        assert_eq!(written, look());
        fs::write(home.path().join("new"), "two").unwrap();
        fs::rename(home.path().join("new"), &file).unwrap();
        let replaced = look();
        assert_ne!(replaced, written, "of the same size, and written in the same moment");
        fs::remove_file(&file).unwrap();
        assert_eq!(look(), missing);
        assert!(!missing.agree_on(&replaced, &file));
        assert!(!missing.agree_on(&missing, Path::new("/another")));
    }

    #[test]
    fn what_is_in_a_theme_shows() {
        let theme = tempfile::tempdir().unwrap();
        let root = theme.path().to_owned();
        let look = || Stamps::of([&root]);
        fs::create_dir(root.join("pages")).unwrap();
        let empty = look();
        fs::write(root.join("pages/login.html"), "x").unwrap();
        let with_a_page = look();
        assert_ne!(with_a_page, empty);
        fs::write(root.join("pages/login.html"), "longer").unwrap();
        assert_ne!(look(), with_a_page);
    }
}
