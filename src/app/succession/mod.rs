//! One process takes the place of another while people go on working: an upgrade of the program.
//!
//! The process that serves starts the new program as its own child, so that it runs where a service manager expects it,
//! and the two talk over a socket that is the child's standard input:
//!
//! ```text
//! old                                         new
//!   starts it                         ------>
//!   the store's lock and every socket ------>   reads the configuration, opens the store, builds everything
//!                                     <------ prepared
//!   lays down letters, sweeping, keys
//!   counted attempts                  ------>   takes those up, takes connections
//!                                     <------ ready
//!   takes no more connections, finishes what is open
//! ```
//!
//! Until `ready` the old process serves as if nothing were; if the new one dies, is late or says why it cannot, it goes on
//! with everything. Connections that wait in a socket's queue are the socket's, so none is lost. From `ready` on the old
//! process writes only when sessions were used and what its last requests ask for; what is ended elsewhere it learns from
//! the store as ever.

mod channel;
mod handover;
mod predecessor;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use serde::{Deserialize, Serialize};

pub(super) use handover::Handover;
pub use handover::Upgraded;
pub use predecessor::Predecessor;

/// What the old process hands over: a socket follows for the lock of the store, and one for each of these names.
#[derive(Debug, Serialize, Deserialize)]
struct Estate {
    sockets: Vec<String>,
}

/// What the new process says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    /// It is there.
    Here { process: u32 },
    /// It could serve at once.
    Prepared,
    /// It serves.
    Ready,
    /// It cannot.
    Failed(String),
}

/// The file this program was started from, as it was named: what lies there later is the new program.
fn program() -> io::Result<PathBuf> {
    let named = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if named.components().count() > 1 {
        return std::path::absolute(named);
    }
    let places = env::var_os("PATH").unwrap_or_default();
    let mut found = env::split_paths(&places).map(|place| place.join(&named));
    match found.find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => env::current_exe(),
    }
}

/// The command that takes over with the configuration in `file`.
fn successor(program: &Path, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["serve", "--take-over", "--config"]).arg(file);
    // These are about another process.
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command
}

/// Starts this program once more, as nobody's child: whoever started the service hears of its end, even while the old
/// process lives.
///
/// # Errors
/// Those of the system.
pub fn detach(file: &Path) -> io::Result<()> {
    let mut command = successor(&program()?, file);
    command.arg("--detached").stdin(Stdio::inherit()).spawn().map(drop)
}
