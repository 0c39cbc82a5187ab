//! What the benchmark can be told, and the parts this binary plays in it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures the gateway with a signed-in session against a bare pass-through Pingora
#[derive(Parser)]
#[command(name = "make bench", max_term_width = 100, args_conflicts_with_subcommands = true)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct Options {
    /// Connections that keep the proxies busy
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub connections: u32,
    /// Connections while latency is measured
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub latency_connections: u32,
    /// Seconds of one turn
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Rounds; in each, every proxy has one turn
    #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Bytes of one answer
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub bytes: usize,
    /// Two rounds of a second: shows that it works, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// Count instructions with valgrind instead: slow, but the same on every run, however busy the machine
    #[arg(long)]
    pub instructions: bool,
    /// Also write every figure into this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Use the built-in load generator even where wrk is installed
    #[arg(long)]
    pub no_wrk: bool,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    pub role: Option<Role>,
}

impl Options {
    /// Rounds to run, after `--quick`.
    pub const fn rounds(&self) -> u32 {
        if self.quick { 2 } else { self.rounds }
    }

    /// Seconds of a turn, after `--quick`.
    pub const fn seconds(&self) -> u32 {
        if self.quick { 1 } else { self.seconds }
    }
}

/// The parts this binary plays in its own measurements.
#[derive(Subcommand)]
pub enum Role {
    /// A proxy that only passes on
    #[command(hide = true)]
    Bare {
        /// PEM file with the chain
        certificate: PathBuf,
        /// PEM file with the key
        key: PathBuf,
        /// Where requests go
        upstream: SocketAddr,
    },
    /// The server behind the proxies
    #[command(hide = true)]
    Upstream {
        /// Bytes of an answer
        bytes: usize,
    },
    /// The built-in load generator
    #[command(hide = true)]
    Load(Work),
}

/// What the built-in load generator is to do.
#[derive(Args, Clone)]
pub struct Work {
    /// The proxy
    pub address: SocketAddr,
    /// `Host` of every request
    pub host: String,
    /// `Cookie` of every request
    pub cookie: String,
    /// Connections
    #[arg(long)]
    pub connections: u32,
    /// For so long
    #[arg(long)]
    pub seconds: u32,
}
