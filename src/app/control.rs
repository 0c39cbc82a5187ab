//! Where a running gateway is told something by its operator: a socket in the store's directory.
//!
//! That directory belongs to the gateway's user, admits nobody else and has one server at a time, so the socket needs no
//! key of its own in the configuration, no password, and what a killed server left can be replaced.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::reload::{Cause, Reloaded, Reloads};

/// The name of the socket in the store's directory.
const SOCKET: &str = "control.sock";

/// The request: this, and the path of a configuration.
const RELOAD: &[u8] = b"reload ";

/// Longer requests are none: the longest path, and a word.
const MOST_BYTES: u64 = 4200;

/// Whoever asks has asked by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer takes as long as lists of known passwords take to load.
const ANSWER: Duration = Duration::from_mins(2);

/// The open socket.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Opens it for the owner of the directory alone. The caller holds the lock of the store.
    pub fn bind(directory: &Path) -> io::Result<Self> {
        let (path, making) = (directory.join(SOCKET), directory.join("control.new"));
        match fs::remove_file(&making) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&making)?;
        // Nobody can connect before it is private.
        fs::set_permissions(&making, Permissions::from_mode(0o600))?;
        fs::rename(&making, &path)?;
        Ok(Self { listener, path })
    }

    /// Answers until the stop.
    pub async fn serve(self, reloads: Arc<Reloads>, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => drop(tokio::spawn(answer(stream, Arc::clone(&reloads)))),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection on the control socket");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
        let _ = fs::remove_file(&self.path);
    }
}

async fn answer(mut stream: UnixStream, reloads: Arc<Reloads>) {
    let mut request = Vec::new();
    let mut bounded = (&mut stream).take(MOST_BYTES);
    let reading = bounded.read_to_end(&mut request);
    let Ok(Ok(_)) = tokio::time::timeout(PATIENCE, reading).await else {
        return;
    };
    let Some(path) = request.strip_prefix(RELOAD) else {
        return;
    };
    let asked = Path::new(std::ffi::OsStr::from_bytes(path));
    let reloaded = if reloads.is_of(asked) {
        reloads.reload(Cause::Command).await
    } else {
        let (own, asked) = (reloads.file().display(), asked.display());
        Reloaded::Refused(vec![format!(
            "the gateway on this store was started with {own}, not with {asked}"
        )])
    };
    if let Ok(text) = serde_json::to_vec(&reloaded) {
        let _ = stream.write_all(&text).await;
        let _ = stream.shutdown().await;
    }
}

/// Asks the gateway on the store in `directory` to take up its configuration, which is `file`. `None`: none is running.
///
/// # Errors
/// When it does not answer, or this user may not ask it.
pub fn ask_to_reload(directory: &Path, file: &Path) -> io::Result<Option<Reloaded>> {
    let mut stream = match BlockingStream::connect(directory.join(SOCKET)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(RELOAD)?;
    stream.write_all(fs::canonicalize(file)?.as_os_str().as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    serde_json::from_slice(&text).map(Some).map_err(io::Error::other)
}
