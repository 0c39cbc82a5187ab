//! What the operator sees of a running gateway: its log.

pub mod log;
