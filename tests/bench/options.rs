//! What the benchmark can be told, and the parts this binary plays in it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::cases::Part;
use super::flood::Guessing;
use super::load::{Demand, Visitor};

/// Measures the gateway with a signed-in session against a bare pass-through Pingora, nginx and Caddy
#[derive(Parser)]
#[command(name = "make bench", max_term_width = 100, args_conflicts_with_subcommands = true)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct Options {
    /// Measure this alone; may be given several times
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Vec<Part>,
    /// Seconds of one turn
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Rounds; in each, every proxy has one turn
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// How many WebSocket connections to hold open
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(200..))]
    pub sockets: u32,
    /// One round of a second and few of everything: shows that everything works, measures nothing
    #[arg(long)]
    pub quick: bool,
    /// Count instructions with valgrind instead: slow, but the same on every run, however busy the machine
    #[arg(long)]
    pub instructions: bool,
    /// Also write every figure into this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Use the built-in load generator even where wrk and h2load are installed
    #[arg(long)]
    pub built_in: bool,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    pub role: Option<Role>,
}

impl Options {
    /// What to measure, in the order of the tables.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        Part::value_variants()
            .iter()
            .copied()
            .filter(|part| self.only.is_empty() || self.only.contains(part))
    }

    /// Rounds to run, after `--quick`.
    pub const fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// Seconds of a turn, after `--quick`.
    pub const fn seconds(&self) -> u32 {
        if self.quick { 1 } else { self.seconds }
    }

    /// WebSocket connections to hold open, after `--quick`.
    pub const fn sockets(&self) -> u32 {
        if self.quick { 300 } else { self.sockets }
    }
}

/// The parts this binary plays in its own measurements.
#[derive(Subcommand)]
pub enum Role {
    /// A proxy that only passes on
    #[command(hide = true)]
    Bare {
        /// Where it listens
        listen: SocketAddr,
        /// PEM file with the chain
        certificate: PathBuf,
        /// PEM file with the key
        key: PathBuf,
        /// Where requests go
        upstream: SocketAddr,
    },
    /// The server behind the proxies
    #[command(hide = true)]
    Upstream,
    /// The built-in load generator
    #[command(hide = true)]
    Load {
        /// The proxy, and who asks it
        #[command(flatten)]
        to: Errand,
        /// How much is asked for
        #[command(flatten)]
        demand: Demand,
    },
    /// Strangers who try passwords
    #[command(hide = true)]
    Flood {
        /// The gateway, and the host it is asked for
        #[command(flatten)]
        to: Errand,
        /// How many passwords
        #[command(flatten)]
        guessing: Guessing,
    },
    /// A crowd that opens a WebSocket each and says nothing
    #[command(hide = true)]
    Sockets {
        /// The proxy, and who opens them
        #[command(flatten)]
        to: Errand,
        /// How many
        count: u32,
    },
}

/// Where a child of ours sends requests, and as whom.
#[derive(Args, Clone)]
pub struct Errand {
    /// The proxy
    pub address: SocketAddr,
    /// Who asks
    #[command(flatten)]
    pub visitor: Visitor,
}
