//! The binary: sets up what the whole process shares and hands on to [`sekisho::cli`].

use std::process::ExitCode;

/// Measured faster for a proxy than the system's, see `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only where a provider is installed already, and nothing ran before this.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    sekisho::cli::run(std::env::args_os())
}
