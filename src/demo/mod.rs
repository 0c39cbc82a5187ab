//! The parts that exist for the demonstration only; nothing but the command line may import them.

pub mod client;
pub mod mailcatcher;
