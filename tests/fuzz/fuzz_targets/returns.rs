//! Paths to come back to after a sign-in.

#![no_main]

#[path = "../bodies/returns.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|text: &str| body::returns(text));
