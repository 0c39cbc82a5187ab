//! Logs of other systems, as bytes.

#![no_main]

#[path = "../bodies/logs.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::logs(bytes));
