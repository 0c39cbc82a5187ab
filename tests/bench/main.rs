//! `make bench`: the gateway against a bare pass-through Pingora, in one run, as a ratio.
//!
//! Absolute figures swing by half within minutes on a shared machine, so nothing here is compared with a figure of
//! yesterday. Two bare proxies run beside the gateway, with the same framework, TLS, allocator and build profile; each
//! round loads all three in turn, and the gateway is compared with its neighbours. The two bare proxies compared with
//! each other tell how much of a ratio is noise; when that is too much, no ratio is printed.
//!
//! This binary is also what it measures against: it starts itself again as `bare`, as `upstream` and, where wrk is
//! missing, as `load`.

mod bare;
mod child;
mod gateway;
mod instructions;
mod load;
mod options;
mod report;
mod rounds;
mod stats;
mod upstream;

use std::process::ExitCode;

use clap::Parser;

use child::Cores;
use options::{Options, Role};
use report::Report;

/// The gateway's allocator, so that like is compared with like.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only where a provider is installed already, and nothing ran before this.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = Options::parse();
    let done = match &options.role {
        Some(Role::Bare {
            certificate,
            key,
            upstream,
        }) => bare::run(certificate, key, *upstream),
        Some(Role::Upstream { bytes }) => upstream::run(*bytes),
        Some(Role::Load(work)) => load::run(work),
        None => return bench(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> ExitCode {
    match measure(options) {
        Ok(report) if report.is_trustworthy() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> anyhow::Result<Report> {
    let cores = Cores::of_this_process();
    let mut report = Report::new(options, &cores);
    report.tell_setting();
    if options.instructions {
        report.instructions = Some(instructions::count(options, &cores)?);
    } else {
        report.throughput = Some(rounds::run(options, &cores, options.connections)?);
        report.latency = Some(rounds::run(options, &cores, options.latency_connections)?);
    }
    report.tell();
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    Ok(report)
}
