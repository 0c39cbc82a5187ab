//! [`Requests`]: how many requests are under way, streams among them. A connection can be open without any.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The requests under way.
#[derive(Debug, Default)]
pub struct Requests(AtomicUsize);

/// One of them; dropping it ends it.
#[derive(Debug)]
pub struct UnderWay(Arc<Requests>);

impl Requests {
    /// One more.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// How many there are.
    pub fn under_way(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
