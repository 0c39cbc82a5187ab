//! [`StoreFaults`]: how often the store could not be used, counted where every call comes by.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::fault::Fault;

/// Counts calls that failed.
#[derive(Debug, Default)]
pub struct StoreFaults {
    reads: Failed,
    writes: Failed,
}

#[derive(Debug, Default)]
struct Failed {
    unavailable: AtomicU64,
    corrupt: AtomicU64,
}

impl StoreFaults {
    /// So far: reads that found it unavailable and corrupt, then writes.
    pub fn counts(&self) -> [u64; 4] {
        let Self { reads, writes } = self;
        [&reads.unavailable, &reads.corrupt, &writes.unavailable, &writes.corrupt]
            .map(|count| count.load(Ordering::Relaxed))
    }

    pub(super) fn note_read<T>(&self, done: Result<T, Fault>) -> Result<T, Fault> {
        self.reads.note(done)
    }

    pub(super) fn note_write<T>(&self, done: Result<T, Fault>) -> Result<T, Fault> {
        self.writes.note(done)
    }
}

impl Failed {
    fn note<T>(&self, done: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &done {
            let count = match fault {
                Fault::Corrupt { .. } => &self.corrupt,
                Fault::Unavailable { .. } | Fault::Overloaded { .. } => &self.unavailable,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        done
    }
}
