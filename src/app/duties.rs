//! [`Duties`]: what exactly one process does on a store: deliver letters, sweep, rotate keys. It can be laid down for
//! another one to take up.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::charter::Current;
use super::lasting::Lasting;
use super::tasks::{self, Tasks};

/// The work of one process alone.
pub(super) struct Duties {
    lasting: Arc<Lasting>,
    current: Arc<Current>,
    stop: CancellationToken,
    running: Mutex<Option<Tasks>>,
}

impl Duties {
    /// Nobody does them yet. Taken up, they end with `stop`.
    pub fn new(lasting: Arc<Lasting>, current: Arc<Current>, stop: CancellationToken) -> Self {
        Self {
            lasting,
            current,
            stop,
            running: Mutex::default(),
        }
    }

    /// This process does them from now on.
    pub fn take_up(&self) {
        let tasks = Tasks::new(self.stop.child_token());
        tasks::start(&tasks, &self.lasting, &self.current);
        *self.running.lock() = Some(tasks);
    }

    /// This process does them no more. Answers whether what was under way has ended, within `limit`.
    pub async fn lay_down(&self, limit: Duration) -> bool {
        let running = self.running.lock().take();
        match running {
            Some(tasks) => tasks.end(limit).await,
            None => true,
        }
    }
}
