//! The built-in generator: as fast as answers come, or at a given rate.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use tokio::task::JoinSet;

use super::{Dialler, Line, Protocol, Turn, Visitor, path};
use crate::cases::Case;
use crate::options::Errand;

/// How much is asked for.
#[derive(Args, Clone, Copy, Debug)]
pub struct Demand {
    /// Connections
    #[arg(long)]
    pub connections: u32,
    /// Requests on one connection at a time, by HTTP/2; 0: HTTP/1.1
    #[arg(long, default_value_t = 0)]
    pub streams: u32,
    /// Bytes of one answer
    #[arg(long)]
    pub bytes: usize,
    /// A new connection for each request
    #[arg(long)]
    pub fresh: bool,
    /// For so long
    #[arg(long)]
    pub seconds: u32,
    /// Requests a second in all, whether or not answers keep up; 0: as many as are answered
    #[arg(long, default_value_t = 0)]
    pub rate: u32,
}

/// When a connection has done enough.
#[derive(Clone, Copy)]
pub enum Until {
    /// After so many requests.
    Requests(u64),
    /// From then on.
    Time(Instant),
}

impl Demand {
    /// As much traffic of this kind as goes through.
    pub const fn of(case: &Case, seconds: u32) -> Self {
        Self {
            connections: case.connections,
            streams: match case.protocol {
                Protocol::Http1 => 0,
                Protocol::Http2 { streams } => streams,
            },
            bytes: case.bytes,
            fresh: case.fresh,
            seconds,
            rate: 0,
        }
    }

    /// As arguments for a child of ours.
    pub fn arguments(&self, command: &mut Command) {
        command
            .args(["--connections", &self.connections.to_string()])
            .args(["--streams", &self.streams.to_string()])
            .args(["--bytes", &self.bytes.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--rate", &self.rate.to_string()]);
        if self.fresh {
            command.arg("--fresh");
        }
    }

    const fn protocol(&self) -> Protocol {
        match self.streams {
            0 => Protocol::Http1,
            streams => Protocol::Http2 { streams },
        }
    }

    /// Time in which so many requests are due; `None`: each as soon as the last one is answered.
    fn pace(&self, requests: u32) -> Option<Duration> {
        (self.rate > 0).then(|| Duration::from_secs(requests.into()) / self.rate)
    }
}

/// The generator as a process of its own.
pub fn run(to: &Errand, demand: &Demand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let until = Until::Time(Instant::now() + Duration::from_secs(demand.seconds.into()));
    let turn = runtime.block_on(visit(to.address, &to.visitor, demand, until))?;
    println!("{}", serde_json::to_string(&turn)?);
    Ok(())
}

/// Sends requests over every connection, each waiting for its answer before the next.
pub async fn visit(at: SocketAddr, visitor: &Visitor, demand: &Demand, until: Until) -> anyhow::Result<Turn> {
    let begun = Instant::now();
    let dialler = Dialler::new(at, visitor, demand.protocol())?;
    let streams = demand.streams.max(1);
    let mut visits = JoinSet::new();
    for connection in 0..demand.connections {
        if demand.fresh {
            visits.spawn(strangers(dialler.clone(), *demand, until));
            continue;
        }
        let line = dialler.open().await?;
        for stream in 1..streams {
            visits.spawn(regular(line.share()?, *demand, until, connection * streams + stream));
        }
        visits.spawn(regular(line, *demand, until, connection * streams));
    }
    let mut times = Vec::new();
    while let Some(done) = visits.join_next().await {
        times.extend(done??);
    }
    Turn::of(times, begun.elapsed().as_secs_f64())
}

/// Somebody who stays connected, one of those with a number. At a given pace, a request is due whether or not the one
/// before was answered, and its time runs from then on: what waits because of a slow answer is late as well.
async fn regular(mut line: Line, demand: Demand, until: Until, number: u32) -> anyhow::Result<Vec<f64>> {
    let path = path(demand.bytes);
    let pace = demand.pace(demand.connections * demand.streams.max(1));
    let mut times = Vec::new();
    let mut due = Instant::now() + demand.pace(number).unwrap_or_default();
    while !until.is_over(times.len()) {
        if let Some(pace) = pace {
            tokio::time::sleep_until(due.into()).await;
            ask(&mut line, &path).await?;
            times.push(micros(due));
            due += pace;
        } else {
            let begun = Instant::now();
            ask(&mut line, &path).await?;
            times.push(micros(begun));
        }
    }
    Ok(times)
}

/// One after the other, each on a connection of its own.
async fn strangers(dialler: Dialler, demand: Demand, until: Until) -> anyhow::Result<Vec<f64>> {
    let path = path(demand.bytes);
    let mut times = Vec::new();
    while !until.is_over(times.len()) {
        let begun = Instant::now();
        ask(&mut dialler.open().await?, &path).await?;
        times.push(micros(begun));
    }
    Ok(times)
}

async fn ask(line: &mut Line, path: &str) -> anyhow::Result<()> {
    let status = line.ask(path).await?.status();
    ensure!(status == 200, "answered {status}");
    Ok(())
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

impl Until {
    fn is_over(self, requests: usize) -> bool {
        match self {
            Self::Requests(most) => u64::try_from(requests).is_ok_and(|requests| requests >= most),
            Self::Time(end) => Instant::now() >= end,
        }
    }
}
