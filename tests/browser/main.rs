//! What people do, done by a real browser: Debian's Chromium before the real gateway, with the real sample web client
//! behind it and a real mail server beside it.
//!
//! `actions.rs` holds what a person can do, `stories/` what happens; a story names no CSS but its own page's.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "all of this is test code; a broken expectation is how it reports"
)]

#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the gateway's tests, which need more of it than these"
)]
#[path = "../gateway/harness/mod.rs"]
mod harness;

mod actions;
mod axe;
mod browser;
mod countdown;
mod office;
mod pages;
mod screens;
mod stories;
mod words;
