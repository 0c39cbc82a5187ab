//! What the operator sees of a running gateway: its log, its metrics and its health, and where the two are served; and what its service manager is told.

pub mod endpoint;
pub mod health;
pub mod log;
pub mod metrics;
pub mod supervisor;
