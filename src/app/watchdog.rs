//! Tells the service manager that the gateway works, as long as it does: one that hangs is restarted.
//!
//! What counts is whether anything answers at all. A database that answers with an error is no reason to restart:
//! whoever is signed in goes on for a while without it, and a new process could not even start.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::proxy::Roll;
use crate::store::SqliteStore;
use crate::telemetry::supervisor::Supervisor;

/// What must answer for the gateway to count as alive.
pub(super) struct Watchdog {
    /// Who is told.
    pub supervisor: Arc<Supervisor>,
    /// The database.
    pub store: Arc<SqliteStore>,
    /// The loops that take connections.
    pub roll: Arc<Roll>,
}

impl Watchdog {
    /// Looks and tells, three times in the time that the service manager waits, until `end`.
    pub async fn keep(self, end: CancellationToken) {
        if let Some(limit) = self.supervisor.watchdog() {
            end.run_until_cancelled(self.look_again_and_again(limit)).await;
        }
    }

    async fn look_again_and_again(&self, limit: Duration) {
        let pause = limit / 3;
        let mut silent = false;
        loop {
            let hanging = self.hanging(pause).await;
            match hanging {
                None => self.supervisor.alive(),
                Some(what) if !silent => {
                    let seconds = limit.as_secs_f64();
                    tracing::error!(
                        what,
                        seconds,
                        "the gateway hangs; if it goes on, the service manager restarts it"
                    );
                }
                Some(_) => {}
            }
            silent = hanging.is_some();
            tokio::time::sleep(pause).await;
        }
    }

    /// What does not answer in time.
    async fn hanging(&self, patience: Duration) -> Option<&'static str> {
        if tokio::time::timeout(patience, self.store.answers()).await != Ok(true) {
            return Some("the database does not answer");
        }
        if tokio::time::timeout(patience, self.roll.call()).await != Ok(true) {
            return Some("connections are not taken any more");
        }
        None
    }
}
