//! Load by h2load.

use std::fs;

use anyhow::{Context, bail, ensure};

use super::{Protocol, Turn, Visitor, output};
use crate::cases::Case;
use crate::child::{Cores, Place};

/// Runs it for so many seconds.
pub fn run(cores: &Cores, url: &str, visitor: &Visitor, case: &Case, seconds: u32) -> anyhow::Result<Turn> {
    let Protocol::Http2 { streams } = case.protocol else {
        bail!("h2load is for HTTP/2 here");
    };
    // One line for each answer; it keeps no percentiles itself.
    let log = tempfile::NamedTempFile::new()?;
    let mut command = cores.command("h2load", Place::Load);
    command
        .args(["--threads", "1", "--clients", &case.connections.to_string()])
        .args(["--max-concurrent-streams", &streams.to_string()])
        .args(["--duration", &seconds.to_string()])
        .args(["--header", &format!(":authority: {}", visitor.host)])
        .args(["--header", &format!("cookie: {}", visitor.cookie)])
        .arg(format!("--log-file={}", log.path().display()))
        .arg(url);
    let said = output(command)?;
    let lines = fs::read_to_string(log.path())?;
    read(&lines, seconds).with_context(|| format!("h2load says:\n{said}"))
}

/// Reads its log: when a request began, its status, and how many microseconds it took.
fn read(log: &str, seconds: u32) -> anyhow::Result<Turn> {
    let mut times = Vec::new();
    for line in log.lines() {
        let mut fields = line.split_whitespace().skip(1);
        let (status, took) = (fields.next().context("no status")?, fields.next().context("no time")?);
        // What was under way at the end has no status.
        if status == "-1" {
            continue;
        }
        ensure!(status == "200", "answered {status}");
        times.push(took.parse()?);
    }
    ensure!(!times.is_empty(), "no request was answered");
    Turn::of(times, seconds.into())
}
