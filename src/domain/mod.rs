//! The pure heart of the gateway: what accounts, sessions, tickets, paths and limits *are*.
//!
//! Nothing here awaits, reads a clock, draws randomness or touches a file; time and chance are
//! handed in. It compiles with everything else deleted, so every rule can be tested as a value.

pub mod account;
pub mod api_token;
pub mod assertion;
pub mod bearer;
pub mod body;
pub mod bounce;
pub mod browser;
pub mod campaigns;
pub mod census;
pub mod certificate;
pub mod client;
mod common_passwords;
pub mod device;
pub mod doors;
pub mod event;
pub mod fault;
mod folding;
pub mod hops;
pub mod key;
pub mod language;
pub mod limits;
pub mod method;
pub mod order;
pub mod outbox;
pub mod party;
pub mod passes;
pub mod password;
pub mod pattern;
pub mod policy;
pub mod principal;
pub mod rule;
pub mod scope;
pub mod service;
pub mod session;
pub mod sharing;
pub mod site;
pub mod target;
pub mod ticket;
pub mod token;
pub mod unlock;
