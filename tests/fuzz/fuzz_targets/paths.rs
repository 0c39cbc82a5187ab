//! Paths of requests.

#![no_main]

#[path = "../bodies/paths.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|text: &str| body::paths(text));
