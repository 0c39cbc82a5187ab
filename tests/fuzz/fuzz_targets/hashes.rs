//! Password hashes of other systems, as text.

#![no_main]

#[path = "../bodies/hashes.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|text: &str| body::hashes(text));
