//! [`Predecessor`]: the process whose place this one takes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::fault::Fault;
use crate::domain::limits::ledger::Counted;
use crate::proxy::{Given, Kept};
use crate::store::StoreLock;

use super::channel::Channel;
use super::{Estate, Said};

/// It answers, or hands over, within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Letters under way are finished by then.
const RIGHTS: Duration = Duration::from_mins(1);

/// The process whose place this one takes, on the other end of standard input.
#[derive(Debug)]
pub struct Predecessor {
    channel: Mutex<Channel>,
    lock: Mutex<Option<OwnedFd>>,
    sockets: Mutex<Vec<Kept>>,
}

/// What the other process has counted. One of an older version may tell it in another form: that is no reason to leave
/// everything to it.
fn told(counted: serde_json::Value) -> Counted {
    serde_json::from_value(counted).unwrap_or_else(|error| {
        tracing::warn!(%error, "the old process counts in another form; the limits begin with empty counters");
        Counted::default()
    })
}

impl Predecessor {
    /// Meets it, and is handed the store's lock and the sockets.
    ///
    /// # Errors
    /// When standard input is no such socket.
    pub fn meet() -> io::Result<Self> {
        let mut channel = Channel::of(io::stdin().as_fd().try_clone_to_owned()?);
        // The socket closes with the talk, and nothing that is started later inherits it.
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        let process = std::process::id();
        channel.say(&Said::Here { process }, PATIENCE)?;
        let estate: Estate = channel.hear(Instant::now() + PATIENCE)?;
        let lock = channel.take()?;
        let mut sockets = Vec::with_capacity(estate.sockets.len());
        for name in estate.sockets {
            sockets.push(Kept::new(name, channel.take()?));
        }
        Ok(Self {
            channel: Mutex::new(channel),
            lock: Mutex::new(Some(lock)),
            sockets: Mutex::new(sockets),
        })
    }

    /// The lock of the store, which both hold from now on.
    ///
    /// # Errors
    /// When the configuration names another store than the one that was locked.
    pub(in crate::app) fn lock(&self, directory: &Path) -> Result<StoreLock, Fault> {
        match self.lock.lock().take() {
            Some(lock) => StoreLock::inherit(lock, directory),
            None => StoreLock::acquire(directory),
        }
    }

    /// The sockets.
    pub(in crate::app) fn sockets(&self) -> Given {
        Given::kept(std::mem::take(&mut *self.sockets.lock()))
    }

    /// Everything is in place; waits for the right to act, and for what has been counted. Blocks.
    ///
    /// # Errors
    /// When the other process has gone or does not want any more.
    pub(in crate::app) fn prepared(&self) -> io::Result<Counted> {
        let mut channel = self.channel.lock();
        channel.say(&Said::Prepared, PATIENCE)?;
        Ok(told(channel.hear(Instant::now() + RIGHTS)?))
    }

    /// This process serves.
    ///
    /// # Errors
    /// When the other one has gone.
    pub(in crate::app) fn ready(&self) -> io::Result<()> {
        self.channel.lock().say(&Said::Ready, PATIENCE)
    }

    /// This process cannot take the other one's place. Nobody hears of it once it has.
    pub fn fail(&self, why: &str) {
        let _ = self.channel.lock().say(&Said::Failed(why.to_owned()), PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_another_form_are_no_obstacle() {
        let older = serde_json::json!({"meters": [[{"SignInClient": "192.0.2.1"}, 900]], "shared": []});
        assert!(told(older).is_empty());
        let ours = serde_json::json!({
            "meters": [[{"rule": "sign-in.client", "subject": {"Client": "192.0.2.1"}}, 900]],
            "shared": [["sign-in.client", 7]],
        });
        assert_eq!(told(ours).len(), 2);
    }
}
