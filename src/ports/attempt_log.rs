//! Where attempts are noted.

use std::sync::Arc;

use crate::domain::limits::record::Seen;

/// Takes note of attempts, whatever became of them. Never waits and never fails: what finds no room is counted and left.
pub trait AttemptLog: Send + Sync {
    /// One attempt that has ended, or was stopped.
    fn note(&self, seen: Seen);
}

/// Notes nothing.
#[derive(Debug, Default)]
pub struct NoLog;

impl AttemptLog for NoLog {
    fn note(&self, _: Seen) {}
}

/// Notes everything in each of them.
pub struct SeveralLogs(pub Vec<Arc<dyn AttemptLog>>);

impl AttemptLog for SeveralLogs {
    fn note(&self, seen: Seen) {
        if let Some((last, rest)) = self.0.split_last() {
            for log in rest {
                log.note(seen.clone());
            }
            last.note(seen);
        }
    }
}
