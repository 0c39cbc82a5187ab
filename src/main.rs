//! The binary: parses arguments and hands on to [`sekisho::cli`].
fn main() {}
