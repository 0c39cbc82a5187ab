//! Sekisho (関所): an authentication gateway that owns sign-in in front of a web client.
pub mod cli;
pub mod config;
pub mod crypto;
pub mod demo;
pub mod domain;
pub mod flows;
pub mod mail;
pub mod ports;
pub mod proxy;
pub mod store;
pub mod telemetry;
pub mod web;
