//! Cookie lines of a request.

#![no_main]

#[path = "../bodies/cookies.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::cookies(bytes));
