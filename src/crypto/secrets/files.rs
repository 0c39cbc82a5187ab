//! The files of the secrets: made once, never half, refused when others could read or change them.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::rotation::with_all_previous;
use super::{Pepper, SECRET_BYTES, SealingKey};
use crate::crypto::durable::{self, Existing};
use crate::domain::fault::Fault;
use crate::ports::Entropy;

/// The pepper's file.
pub const PEPPER: &str = "pepper";
/// The sealing key's file.
pub const SEALING_KEY: &str = "sealing.key";

/// More than a line of base64 for 32 bytes and less than anything put here by mistake.
const MAX_FILE_BYTES: usize = 256;

/// What the secret files hold.
#[derive(Debug)]
pub struct SecretFiles {
    /// `pepper`, and those before it where there are any.
    pub pepper: Pepper,
    /// `sealing.key`.
    pub sealing_key: SealingKey,
    /// The files that did not exist and were made now, to tell the operator what to back up.
    pub made: Vec<PathBuf>,
}

impl SecretFiles {
    /// Reads the secret files; makes the directory (0700) and the missing ones (0600) first.
    ///
    /// # Errors
    /// Says which path is at fault and how to mend it: it cannot be read or made, others could read
    /// or change it, or it does not hold a secret.
    pub fn open_or_make(directory: &Path, entropy: &dyn Entropy) -> Result<Self, Fault> {
        make_directory(directory)
            .map_err(|e| Fault::unavailable(format!("could not make the directory {}", directory.display()), e))?;
        refuse_foreign_writers(directory)?;
        let mut made = Vec::new();
        let mut secret = |name| read_or_make(&directory.join(name), entropy, &mut made);
        let (pepper, sealing_key) = (secret(PEPPER)?, secret(SEALING_KEY)?);
        Ok(Self {
            pepper: with_all_previous(Pepper::from_bytes(*pepper), directory)?,
            sealing_key: SealingKey::from_bytes(*sealing_key),
            made,
        })
    }
}

/// The secrets that are there: for whoever looks at a store and must not make any.
#[derive(Debug)]
pub struct PresentSecrets {
    /// `pepper` and those before it.
    pub pepper: Option<Pepper>,
    /// `sealing.key`.
    pub sealing_key: Option<SealingKey>,
}

impl PresentSecrets {
    /// Reads what is there, and makes nothing.
    ///
    /// # Errors
    /// As [`SecretFiles::open_or_make`], for files that are there and cannot be used.
    pub fn look(directory: &Path) -> Result<Self, Fault> {
        let secret = |name| read(&directory.join(name));
        let pepper = secret(PEPPER)?.map(|pepper| with_all_previous(Pepper::from_bytes(*pepper), directory));
        Ok(Self {
            pepper: pepper.transpose()?,
            sealing_key: secret(SEALING_KEY)?.map(|key| SealingKey::from_bytes(*key)),
        })
    }
}

pub(super) type Secret = Zeroizing<[u8; SECRET_BYTES]>;

fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    // Only the directory itself is private: its parents may hold what others need.
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => durable::sync_directory(parent.unwrap_or(Path::new("."))),
    }
}

/// Whoever may write to the directory may put a known secret in place of ours. A sticky directory
/// is safe from that: in it only the owner replaces a file.
fn refuse_foreign_writers(directory: &Path) -> Result<(), Fault> {
    let mode = fs::metadata(directory)
        .map_err(|e| Fault::unavailable(format!("could not look at the directory {}", directory.display()), e))?
        .mode();
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(exposed(directory, mode, "changed by others", "700"));
    }
    Ok(())
}

fn read_or_make(path: &Path, entropy: &dyn Entropy, made: &mut Vec<PathBuf>) -> Result<Secret, Fault> {
    if let Some(secret) = read(path)? {
        return Ok(secret);
    }
    let secret = Zeroizing::new(entropy.token());
    let line = line_of(&secret);
    match durable::write(path, line.as_bytes(), 0o600, Existing::Keep, entropy) {
        Ok(()) => {
            made.push(path.to_owned());
            Ok(secret)
        }
        // Another process was first; both must go on with the same secret.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            read(path)?.ok_or_else(|| Fault::unavailable(format!("{} vanished while being made", path.display()), e))
        }
        Err(e) => Err(Fault::unavailable(
            format!("could not make the secret file {}", path.display()),
            e,
        )),
    }
}

/// A secret as its file holds it.
pub(super) fn line_of(secret: &Secret) -> Zeroizing<String> {
    let mut line = Zeroizing::new(BASE64_STANDARD.encode(secret.as_slice()));
    line.push('\n');
    line
}

/// The secret in a file, or `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Secret>, Fault> {
    let unreadable = |e| Fault::unavailable(format!("could not read the secret file {}", path.display()), e);
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(unreadable)?,
    };
    // Asked of the open file, so that what is judged is what is read.
    refuse_exposed(path, &file.metadata().map_err(unreadable)?)?;
    // Never grown, so that no copy is left behind unwiped.
    let mut text = Zeroizing::new(String::with_capacity(2 * MAX_FILE_BYTES));
    file.take(MAX_FILE_BYTES as u64)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    decode(&text).map(Some).ok_or_else(|| malformed(path))
}

fn refuse_exposed(path: &Path, metadata: &Metadata) -> Result<(), Fault> {
    let mode = metadata.mode();
    if mode & 0o007 != 0 {
        Err(exposed(path, mode, "used by everybody on this machine", "600"))
    } else if mode & 0o020 != 0 {
        Err(exposed(path, mode, "changed by its group", "600"))
    } else if !metadata.is_file() {
        Err(malformed(path))
    } else {
        Ok(())
    }
}

fn decode(text: &str) -> Option<Secret> {
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(text.trim_end()).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

fn exposed(path: &Path, mode: u32, how: &str, mend: &str) -> Fault {
    Fault::Corrupt {
        what: format!(
            "{path} could be {how} (mode {:04o}); mend it with: chmod {mend} {path}",
            mode & 0o7777,
            path = path.display()
        ),
        source: None,
    }
}

fn malformed(path: &Path) -> Fault {
    Fault::Corrupt {
        what: format!(
            "{} must hold one line of base64 for {SECRET_BYTES} bytes; put the file back from a backup",
            path.display()
        ),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    use super::*;
    use crate::crypto::entropy::OsEntropy;
    use crate::crypto::testing::Counting;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn complaint(directory: &Path) -> String {
        SecretFiles::open_or_make(directory, &Counting::default())
            .unwrap_err()
            .chain()
    }

    #[test]
    fn missing_files_are_made_once_and_private() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("etc/secrets");
        let first = SecretFiles::open_or_make(&directory, &OsEntropy).unwrap();
        let (pepper, key) = (directory.join("pepper"), directory.join("sealing.key"));
        assert_eq!(first.made, [pepper.clone(), key.clone()]);
        assert_eq!((mode(&directory), mode(&pepper), mode(&key)), (0o700, 0o600, 0o600));
        assert_eq!(
            fs::read_dir(&directory).unwrap().count(),
            2,
            "no temporary file is left"
        );

        let second = SecretFiles::open_or_make(&directory, &OsEntropy).unwrap();
        assert!(second.made.is_empty());
        assert_eq!(second.pepper.current(), first.pepper.current());
        assert_eq!(second.sealing_key.derive("it"), first.sealing_key.derive("it"));
    }

    #[test]
    fn a_file_is_one_line_of_base64() {
        let home = tempfile::tempdir().unwrap();
        SecretFiles::open_or_make(home.path(), &Counting::default()).unwrap();
        let line = fs::read_to_string(home.path().join("pepper")).unwrap();
        assert_eq!(line, format!("{}=\n", "A".repeat(43)));
    }

    #[test]
    fn exposed_files_and_directories_are_refused_with_the_command_that_mends_them() {
        let home = tempfile::tempdir().unwrap();
        SecretFiles::open_or_make(home.path(), &Counting::default()).unwrap();
        let (pepper, key) = (home.path().join("pepper"), home.path().join("sealing.key"));
        set_mode(&pepper, 0o644);
        assert_eq!(
            complaint(home.path()),
            format!(
                "{0} could be used by everybody on this machine (mode 0644); mend it with: chmod 600 {0}",
                pepper.display()
            )
        );
        set_mode(&pepper, 0o640);
        set_mode(&key, 0o660);
        assert_eq!(
            complaint(home.path()),
            format!(
                "{0} could be changed by its group (mode 0660); mend it with: chmod 600 {0}",
                key.display()
            )
        );
        set_mode(&key, 0o400);
        SecretFiles::open_or_make(home.path(), &Counting::default()).unwrap();
        set_mode(home.path(), 0o770);
        assert!(complaint(home.path()).ends_with(&format!("chmod 700 {}", home.path().display())));
        set_mode(home.path(), 0o1777);
        SecretFiles::open_or_make(home.path(), &Counting::default()).unwrap();
    }

    #[test]
    fn a_file_that_holds_no_secret_is_refused_and_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let pepper = home.path().join("pepper");
        let long = format!("{}=", "A".repeat(10_000));
        for text in ["", "\n", "hunter2", "AAAA", &long] {
            fs::write(&pepper, text).unwrap();
            set_mode(&pepper, 0o600);
            let said = complaint(home.path());
            assert!(said.contains("must hold one line of base64"), "{text:?}: {said}");
            assert!(text.trim().is_empty() || !said.contains(text), "{said}");
            assert_eq!(fs::read_to_string(&pepper).unwrap(), text);
        }
    }

    #[test]
    fn a_path_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let said = complaint(&file.join("secrets"));
        assert!(said.starts_with(&format!(
            "could not make the directory {}",
            file.join("secrets").display()
        )));
    }

    #[test]
    fn the_previous_pepper_is_read_where_there_is_one() {
        let home = tempfile::tempdir().unwrap();
        let chance = Counting::default();
        let before = SecretFiles::open_or_make(home.path(), &chance).unwrap();
        fs::rename(home.path().join("pepper"), home.path().join("pepper.previous")).unwrap();
        let after = SecretFiles::open_or_make(home.path(), &chance).unwrap();
        assert_eq!(after.made, [home.path().join("pepper")]);
        assert_ne!(after.pepper.key_id(), before.pepper.key_id());
        assert_eq!(after.pepper.find(before.pepper.key_id()), Some(before.pepper.current()));
    }

    #[test]
    fn processes_that_start_together_agree_on_the_secrets() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("secrets");
        let start = Barrier::new(8);
        let ids: Vec<_> = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                let files = SecretFiles::open_or_make(&directory, &OsEntropy).unwrap();
                (files.pepper.key_id().to_owned(), files.sealing_key.derive("it"))
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
}
