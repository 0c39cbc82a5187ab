//! Files of accounts to import, as bytes.

#![no_main]

#[path = "../bodies/csv.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| body::csv(bytes));
