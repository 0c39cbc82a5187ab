//! What a proxy says before a connection begins.

#![no_main]

#[path = "../bodies/proxy.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::proxy(bytes));
