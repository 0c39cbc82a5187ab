//! The adapters of the data ports: where accounts, sessions, tickets, API tokens, letters, events, keys and meters are kept.

pub mod archive;
pub mod cached;
pub mod counts;
pub mod known_tokens;
pub mod limiter;
pub mod memory;
pub mod sqlite;

#[cfg(test)]
mod conformance;

pub use cached::{CachedSessions, Followed};
pub use counts::CountsFile;
pub use known_tokens::KnownTokens;
pub use limiter::{LimiterTerms, MemoryLimiter};
pub use memory::MemoryStore;
pub use sqlite::{SqliteStore, StoreFaults, StoreLock};

/// When a change happened whose port method is handed no time: at its newest event.
fn change_time(then: &crate::domain::event::Consequences) -> Option<jiff::Timestamp> {
    then.events.iter().map(|event| event.at).max()
}
