//! Policies of the limits.

#![no_main]

#[path = "../bodies/policies.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|text: &str| body::policies(text));
