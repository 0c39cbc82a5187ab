//! Where a running gateway is told something by its operator: a socket in the store's directory.
//!
//! That directory belongs to the gateway's user, admits nobody else and has one server at a time, so the socket needs no
//! key of its own in the configuration, no password, and what a killed server left can be replaced.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::campaigns::{Activity, CampaignWatch};
use super::regime::{Governing, Regimes};
use super::reload::{Cause, Reloaded, Reloads};
use super::succession::{Handover, Upgraded};

/// The name of the socket in the store's directory.
const SOCKET: &str = "control.sock";

/// The same socket, as long as another process tries to take the place of the one that listens on it.
const BEFORE: &str = "control.before";

/// The longest path that the address of a socket has room for.
const LONGEST_PATH: usize = 107;

/// A request: one of these, and the path of a configuration.
const RELOAD: &[u8] = b"reload ";
const UPGRADE: &[u8] = b"upgrade ";
const ACTIVITY: &[u8] = b"activity ";
const LIMITS: &[u8] = b"limits ";

/// Longer requests are none: the longest path, and a word.
const MOST_BYTES: u64 = 4200;

/// Whoever asks has asked by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer takes as long as lists of known passwords take to load, and letters under way to be sent.
const ANSWER: Duration = Duration::from_mins(2);

/// The open socket.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

/// Who does what is asked for.
pub(super) struct Asked {
    /// A new configuration.
    pub reloads: Arc<Reloads>,
    /// Other policies of the limits.
    pub regimes: Arc<Regimes>,
    /// A new program.
    pub handover: Arc<Handover>,
    /// What is going on.
    pub campaigns: Arc<CampaignWatch>,
}

impl Control {
    /// Opens it for the owner of the directory alone. The caller holds the lock of the store.
    pub fn bind(directory: &Path) -> io::Result<Self> {
        let (path, making) = (directory.join(SOCKET), directory.join("control.new"));
        match fs::remove_file(&making) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (near, _held) = near(directory, "control.new")?;
        let listener = UnixListener::bind(near)?;
        // Nobody can connect before it is private.
        fs::set_permissions(&making, Permissions::from_mode(0o600))?;
        keep_before(directory);
        fs::rename(&making, &path)?;
        let inode = fs::symlink_metadata(&path)?.ino();
        Ok(Self { listener, path, inode })
    }

    /// Answers until the stop.
    pub async fn serve(self, asked: Asked, stop: CancellationToken) {
        let (asked, answers) = (Arc::new(asked), TaskTracker::new());
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => drop(answers.spawn(answer(stream, Arc::clone(&asked)))),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection on the control socket");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
        // Another process may have put its own there.
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
        answers.close();
        answers.wait().await;
    }
}

/// A file in the directory, by a path that fits into the address of a socket as long as what comes with it is held.
fn near(directory: &Path, name: &str) -> io::Result<(PathBuf, Option<File>)> {
    let path = directory.join(name);
    if path.as_os_str().len() <= LONGEST_PATH {
        return Ok((path, None));
    }
    let held = File::open(directory)?;
    let path = Path::new("/proc/self/fd").join(held.as_raw_fd().to_string()).join(name);
    Ok((path, Some(held)))
}

/// Keeps the socket that another process may still be listening on: that one serves on when this one fails.
fn keep_before(directory: &Path) {
    settle(directory);
    let _ = fs::hard_link(directory.join(SOCKET), directory.join(BEFORE));
}

/// The process that made its socket last is the one that serves.
pub(super) fn settle(directory: &Path) {
    let _ = fs::remove_file(directory.join(BEFORE));
}

/// The process that made its socket last has failed: that of the one before is back in its place.
pub(super) fn reclaim(directory: &Path) {
    let _ = fs::rename(directory.join(BEFORE), directory.join(SOCKET));
    // Where both were the same already, there is one name too many.
    settle(directory);
}

async fn answer(mut stream: UnixStream, asked: Arc<Asked>) {
    let mut request = Vec::new();
    let mut bounded = (&mut stream).take(MOST_BYTES);
    let reading = bounded.read_to_end(&mut request);
    let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, reading).await else {
        return;
    };
    let text = if let Some(path) = request.strip_prefix(RELOAD) {
        serde_json::to_vec(&match asked.other_file(path) {
            None => asked.reloads.reload(Cause::Command).await,
            Some(other) => Reloaded::Refused(vec![other]),
        })
    } else if let Some(path) = request.strip_prefix(UPGRADE) {
        serde_json::to_vec(&match asked.other_file(path) {
            None => Arc::clone(&asked.handover).upgrade().await,
            Some(other) => Upgraded::Failed(other),
        })
    } else if request.starts_with(ACTIVITY) {
        serde_json::to_vec(&*asked.campaigns.activity())
    } else if let Some(path) = request.strip_prefix(LIMITS) {
        serde_json::to_vec(&match asked.other_file(path) {
            None => asked.regimes.reload(Cause::Command).await,
            Some(other) => Governing::Refused(vec![other]),
        })
    } else {
        return;
    };
    if let Ok(text) = text {
        let _ = stream.write_all(&text).await;
        let _ = stream.shutdown().await;
    }
}

impl Asked {
    /// What is wrong with the path of a request, which must be the configuration's.
    fn other_file(&self, path: &[u8]) -> Option<String> {
        let (own, asked) = (&self.reloads, Path::new(std::ffi::OsStr::from_bytes(path)));
        (!own.is_of(asked)).then(|| {
            let (own, asked) = (own.file().display(), asked.display());
            format!("the gateway on this store was started with {own}, not with {asked}")
        })
    }
}

/// Asks the gateway on the store in `directory` to take up its configuration, which is `file`. `None`: none is running.
///
/// # Errors
/// When it does not answer, or this user may not ask it.
pub fn ask_to_reload(directory: &Path, file: &Path) -> io::Result<Option<Reloaded>> {
    ask(RELOAD, directory, file)
}

/// Asks the gateway on the store in `directory`, whose configuration is `file`, to take up its policies of the limits.
/// `None`: none is running.
///
/// # Errors
/// When it does not answer, or this user may not ask it.
pub fn ask_to_govern(directory: &Path, file: &Path) -> io::Result<Option<Governing>> {
    ask(LIMITS, directory, file)
}

/// Asks the gateway on the store in `directory`, whose configuration is `file`, to let the program that lies where it was
/// started from take its place. `None`: none is running.
///
/// # Errors
/// When it does not answer, or this user may not ask it.
pub fn ask_to_upgrade(directory: &Path, file: &Path) -> io::Result<Option<Upgraded>> {
    ask(UPGRADE, directory, file)
}

/// Asks the gateway on the store in `directory`, whose configuration is `file`, what is being tried and which attacks are
/// under way. `None`: none is running.
///
/// # Errors
/// When it does not answer, or this user may not ask it.
pub fn ask_for_activity(directory: &Path, file: &Path) -> io::Result<Option<Activity>> {
    ask(ACTIVITY, directory, file)
}

fn ask<T: DeserializeOwned>(request: &[u8], directory: &Path, file: &Path) -> io::Result<Option<T>> {
    let connected = near(directory, SOCKET).and_then(|(path, _held)| BlockingStream::connect(path));
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    stream.write_all(fs::canonicalize(file)?.as_os_str().as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    serde_json::from_slice(&text).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether whoever connects to the socket in the directory reaches this one.
    fn is_reached(directory: &Path, control: &Control) -> bool {
        fs::symlink_metadata(directory.join(SOCKET)).is_ok_and(|file| file.ino() == control.inode)
            && BlockingStream::connect(directory.join(SOCKET)).is_ok()
    }

    #[tokio::test]
    async fn a_store_may_lie_deeper_than_the_address_of_a_socket_has_room_for() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("deep/".repeat(30));
        fs::create_dir_all(&directory).unwrap();
        let nobody = ask::<Governing>(LIMITS, &directory, home.path()).unwrap();
        assert_eq!(nobody, None);
        let control = Control::bind(&directory).unwrap();
        let asking = std::thread::spawn({
            let (directory, file) = (directory.clone(), home.path().to_owned());
            move || ask::<Governing>(LIMITS, &directory, &file)
        });
        let (mut stream, _) = control.listener.accept().await.unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
        assert!(request.starts_with(LIMITS));
        stream.write_all(b"\"in-force\"").await.unwrap();
        drop(stream);
        assert_eq!(asking.join().unwrap().unwrap(), Some(Governing::InForce));
    }

    #[tokio::test]
    async fn the_operator_reaches_the_process_that_serves_whatever_became_of_the_one_that_was_to() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path();
        let serving = Control::bind(directory).unwrap();
        settle(directory);
        drop(Control::bind(directory).unwrap());
        assert!(BlockingStream::connect(directory.join(SOCKET)).is_err(), "it is dead");
        reclaim(directory);
        assert!(is_reached(directory, &serving));
        // One that failed before it came so far has changed nothing.
        reclaim(directory);
        assert!(is_reached(directory, &serving));

        let next = Control::bind(directory).unwrap();
        settle(directory);
        assert!(is_reached(directory, &next));
        reclaim(directory);
        assert!(is_reached(directory, &next));
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1, "nothing else is left");
    }
}
