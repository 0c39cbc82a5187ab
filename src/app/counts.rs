//! What the limits have counted outlives a restart: it is written down every now and then and at the stop, and taken up at
//! the start.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::domain::fault::Fault;
use crate::flows::World;
use crate::store::{CountsFile, MemoryLimiter};

use super::tasks::Tasks;

/// It is written down this often while anything is counted: a process that is killed loses what it has counted since.
const WRITE: Duration = Duration::from_secs(30);

/// What is counted, and where it is written down.
pub(super) struct Counts {
    file: CountsFile,
    limiter: Arc<MemoryLimiter>,
    world: World,
    /// Whether the file holds anything; one writes at a time.
    holds: Arc<Mutex<bool>>,
}

impl Counts {
    /// In the directory of the store.
    pub fn new(directory: &Path, limiter: &Arc<MemoryLimiter>, world: &World) -> Self {
        Self {
            file: CountsFile::beside(directory),
            limiter: Arc::clone(limiter),
            world: world.clone(),
            holds: Arc::new(Mutex::new(true)),
        }
    }

    /// Goes on with what was counted before a restart. Counters that cannot be read are said in the log and begin empty:
    /// whoever could damage the file could do worse, and a gateway that does not start keeps everybody out.
    pub async fn take_up(&self) {
        let (file, now) = (self.file.clone(), self.world.now());
        let read = tokio::task::spawn_blocking(move || file.read(now)).await;
        match read.unwrap_or_else(|error| Err(Fault::unavailable("could not read what the limits have counted", error)))
        {
            Ok(counted) if counted.is_empty() => {}
            Ok(counted) => {
                tracing::info!(meters = counted.len(), "the limits go on with what was counted before");
                self.limiter.take_up(counted);
            }
            Err(fault) => {
                tracing::error!(
                    fault = fault.chain(),
                    "what the limits have counted is lost; they begin with empty counters"
                );
            }
        }
    }

    /// Writes it down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn write(&self) -> Result<(), Fault> {
        let mut holds = self.holds.lock().await;
        let (file, limiter, now) = (self.file.clone(), Arc::clone(&self.limiter), self.world.now());
        let held = *holds;
        let writing = tokio::task::spawn_blocking(move || {
            let counted = limiter.counted();
            // Where nothing is counted the file is left alone once it says so.
            if held || !counted.is_empty() {
                file.write(&counted, now)?;
            }
            Ok(!counted.is_empty())
        });
        let failed = |error| {
            Err(Fault::unavailable(
                "could not write down what the limits have counted",
                error,
            ))
        };
        *holds = writing.await.unwrap_or_else(failed)?;
        Ok(())
    }

    /// Writes it down every now and then.
    pub fn keep(self: &Arc<Self>, tasks: &Tasks) {
        let counts = Arc::clone(self);
        tasks.every(WRITE, "writing down what the limits have counted", move || {
            let counts = Arc::clone(&counts);
            async move { counts.write().await }
        });
    }
}
