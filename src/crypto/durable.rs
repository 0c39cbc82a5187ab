//! Writing a secret file so that a crash leaves all of it or nothing; shared by whatever makes files here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::ports::Entropy;

/// What happens to a file that is already there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the write fails with [`io::ErrorKind::AlreadyExists`]: of two writers, one wins.
    Keep,
    /// It is replaced.
    Replace,
}

/// Writes `contents` to `path` with permission bits `mode`; durable when this returns.
///
/// The contents are complete on disk under another name before `path` points at them.
pub fn write(path: &Path, contents: &[u8], mode: u32, existing: Existing, entropy: &dyn Entropy) -> io::Result<()> {
    let draft = draft_of(path, entropy);
    let written = write_draft(&draft, contents, mode).and_then(|()| match existing {
        Existing::Keep => fs::hard_link(&draft, path),
        Existing::Replace => fs::rename(&draft, path),
    });
    if written.is_err() || existing == Existing::Keep {
        // The draft is a private copy with mode 0600; one that cannot be removed does no harm.
        let _ = fs::remove_file(&draft);
    }
    written?;
    // The parent of a bare name is the empty path, which cannot be opened.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_directory(parent.unwrap_or(Path::new(".")))
}

/// Makes the entries of a directory durable.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn write_draft(draft: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// A name beside `path` that no other process draws.
fn draft_of(path: &Path, entropy: &dyn Entropy) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = u64::from_le_bytes(std::array::from_fn({
        let random = entropy.token();
        move |i| random[i]
    }));
    path.with_file_name(format!(".{name}.{unique:016x}.tmp"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::crypto::testing::Counting;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_first_writer_wins_and_no_draft_is_left() {
        let home = tempfile::tempdir().unwrap();
        let (path, chance) = (home.path().join("it"), Counting::default());
        write(&path, b"first", 0o600, Existing::Keep, &chance).unwrap();
        let second = write(&path, b"second", 0o600, Existing::Keep, &chance).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(home.path()), ["it"]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_replaced_file_has_the_new_contents_and_the_new_mode() {
        let home = tempfile::tempdir().unwrap();
        let (path, chance) = (home.path().join("it"), Counting::default());
        write(&path, b"first", 0o644, Existing::Replace, &chance).unwrap();
        write(&path, b"second", 0o600, Existing::Replace, &chance).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(home.path()), ["it"]);
    }
}
