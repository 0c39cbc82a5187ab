//! `make bench`: the gateway against a bare pass-through Pingora, nginx and Caddy, in one run, as ratios.
//!
//! Absolute figures swing by half within minutes on a shared machine, so nothing here is compared with a figure of
//! yesterday. Two bare proxies run beside the gateway, with the same framework, TLS, allocator and build profile; each
//! round loads every proxy in turn, and the gateway is compared with the others of the same round. The two bare proxies
//! compared with each other tell how much of a ratio is noise; when that is too much, no ratio is printed.
//!
//! This binary is also what it measures against: it starts itself again as `bare`, as `upstream`, as the clients that no
//! usual tool is (`flood`, `sockets`) and, where wrk or h2load is missing, as `load`.

mod cases;
mod child;
mod flood;
mod gateway;
mod instructions;
mod load;
mod options;
mod peers;
mod report;
mod rounds;
mod scene;
mod sockets;
mod stats;
mod upstream;

use std::process::ExitCode;

use clap::Parser;

use cases::Part;
use child::Cores;
use options::{Options, Role};
use report::Report;
use scene::Scene;

/// The gateway's allocator, so that like is compared with like.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Fails only where a provider is installed already, and nothing ran before this.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = Options::parse();
    let done = match &options.role {
        Some(Role::Bare {
            listen,
            certificate,
            key,
            upstream,
        }) => peers::run_bare(*listen, certificate, key, *upstream),
        Some(Role::Upstream) => upstream::run(),
        Some(Role::Load { to, demand }) => load::run(to, demand),
        Some(Role::Flood { to, guessing }) => flood::guess(to, *guessing),
        Some(Role::Sockets { to, count }) => sockets::hold(to, *count),
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
        Ok(report) if options.quick || report.is_trustworthy() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> anyhow::Result<Report> {
    child::open_files();
    let cores = Cores::of_this_process();
    let mut report = Report::new(options, &cores);
    report.tell_setting();
    if options.instructions {
        let instructions = instructions::count(&cores)?;
        instructions.tell();
        report.instructions = Some(instructions);
    } else {
        tables(options, &cores, &mut report)?;
        for part in options.parts() {
            match part {
                Part::Sockets => {
                    let sockets = sockets::run(options, &cores)?;
                    sockets.tell();
                    report.sockets = Some(sockets);
                }
                Part::Flood => {
                    let flood = flood::run(options, &cores)?;
                    flood.tell();
                    report.flood = Some(flood);
                }
                _ => {}
            }
        }
    }
    report.tell_end();
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    Ok(report)
}

/// Every proxy with every kind of traffic, each table as soon as it is there.
fn tables(options: &Options, cores: &Cores, report: &mut Report) -> anyhow::Result<()> {
    let cases: Vec<_> = options.parts().filter_map(Part::case).collect();
    let Some(first) = cases.first() else {
        return Ok(());
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let scene = runtime.block_on(Scene::set(cores, ""))?;
    let peers = peers::start(cores, &scene.home, &scene.gateway)?;
    runtime.block_on(peers::check(&peers, &scene.visitor))?;
    if !options.quick {
        rounds::warm_up(options, cores, &peers, &scene.visitor, first)?;
    }
    for case in cases {
        let rounds = rounds::run(options, cores, &peers, &scene.visitor, case)?;
        rounds.tell();
        report.tables.push(rounds);
    }
    // A session that had ended on the way would have been answered by the gateway itself.
    runtime.block_on(peers::check(&peers, &scene.visitor))
}
