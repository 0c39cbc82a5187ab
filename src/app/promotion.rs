//! The policy on trial takes the place of the one in force, and may go back: files are renamed, so that at every moment
//! there is a whole policy under the name that the gateway reads.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::crypto::sync_directory;

/// Where the former policy is kept: the name of the one in force, and this.
const BEFORE: &str = ".before";

/// The file that keeps the policy which was in force before `policy`.
pub fn former(policy: &Path) -> PathBuf {
    named(&real(policy), BEFORE)
}

/// Puts the file `candidate` in the place of `policy`, which is kept as its [`former`].
///
/// # Errors
/// When a file cannot be moved: then `policy` is as it was.
pub fn promote(policy: &Path, candidate: &Path) -> io::Result<()> {
    let (policy, candidate) = (real(policy), real(candidate));
    fs::metadata(&candidate)?;
    if policy.exists() {
        keep(&policy, &former(&policy))?;
    }
    match fs::rename(&candidate, &policy) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let whole = named(&policy, ".new");
            copy(&candidate, &whole)?;
            fs::rename(&whole, &policy)?;
            fs::remove_file(&candidate)?;
        }
        moved => moved?,
    }
    sync_directory(directory(&policy))
}

/// Exchanges `policy` and its [`former`]: once more, and all is as it was.
///
/// # Errors
/// When there is no former one, or a file cannot be moved: then `policy` is as it was.
pub fn revert(policy: &Path) -> io::Result<()> {
    let policy = real(policy);
    renameat_with(CWD, &policy, CWD, former(&policy), RenameFlags::EXCHANGE)?;
    sync_directory(directory(&policy))
}

/// The file at the end of links: the name that others link to is the one that is moved.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn named(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn directory(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A second name for the file, in the place of what has that name; a copy where names cannot be given.
fn keep(file: &Path, name: &Path) -> io::Result<()> {
    let making = named(name, ".new");
    match fs::remove_file(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if fs::hard_link(file, &making).is_err() {
        copy(file, &making)?;
    }
    fs::rename(making, name)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn with(files: &[(&str, &str)]) -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            for (name, content) in files {
                fs::write(home.path(name), content).unwrap();
            }
            home
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// What is in these files; `-` where there is none.
        fn holds(&self, names: &[&str]) -> String {
            let read = |name: &&str| fs::read_to_string(self.path(name)).unwrap_or_else(|_| "-".to_owned());
            names.iter().map(read).collect::<Vec<_>>().join(" ")
        }
    }

    const ALL: [&str; 3] = ["policy", "policy.before", "candidate"];

    #[test]
    fn the_candidate_becomes_the_policy_and_the_former_is_kept() {
        let home = Home::with(&[("policy", "old"), ("policy.before", "oldest"), ("candidate", "new")]);
        promote(&home.path("policy"), &home.path("candidate")).unwrap();
        assert_eq!(home.holds(&ALL), "new old -");
        assert_eq!(fs::read_dir(home.0.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn a_revert_goes_back_and_a_second_one_forth() {
        let home = Home::with(&[("policy", "old"), ("candidate", "new")]);
        promote(&home.path("policy"), &home.path("candidate")).unwrap();
        revert(&home.path("policy")).unwrap();
        assert_eq!(home.holds(&ALL), "old new -");
        revert(&home.path("policy")).unwrap();
        assert_eq!(home.holds(&ALL), "new old -");
    }

    #[test]
    fn without_a_candidate_or_a_former_policy_nothing_changes() {
        let home = Home::with(&[("policy", "old")]);
        assert!(revert(&home.path("policy")).is_err());
        assert_eq!(home.holds(&ALL), "old - -");
        assert!(promote(&home.path("policy"), &home.path("candidate")).is_err());
        assert_eq!(home.holds(&ALL), "old - -");
    }

    #[test]
    fn a_policy_behind_a_link_is_changed_where_it_lies() {
        let home = Home::with(&[("there", "old"), ("candidate", "new")]);
        std::os::unix::fs::symlink(home.path("there"), home.path("policy")).unwrap();
        promote(&home.path("policy"), &home.path("candidate")).unwrap();
        assert_eq!(home.holds(&["policy", "there", "there.before"]), "new new old");
        assert!(home.path("policy").is_symlink());
        revert(&home.path("policy")).unwrap();
        assert_eq!(home.holds(&["policy", "there", "there.before"]), "old old new");
    }
}
