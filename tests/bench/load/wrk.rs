//! Load by wrk.

use anyhow::{Context, bail, ensure};

use super::{Turn, Visitor, output};
use crate::cases::Case;
use crate::child::{Cores, Place};

/// Runs it for so many seconds.
pub fn run(cores: &Cores, url: &str, visitor: &Visitor, case: &Case, seconds: u32) -> anyhow::Result<Turn> {
    let mut command = cores.command("wrk", Place::Load);
    command
        .args(["--threads", "1", "--latency", "--timeout", "10s"])
        .args(["--connections", &case.connections.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .args(["--header", &format!("Host: {}", visitor.host)])
        .args(["--header", &format!("Cookie: {}", visitor.cookie)])
        .arg(url);
    let said = output(command)?;
    read(&said).with_context(|| format!("wrk says:\n{said}"))
}

/// Reads what it says. Anything that went wrong makes the turn worthless.
fn read(said: &str) -> anyhow::Result<Turn> {
    for line in said.lines() {
        let trouble = line.trim_start();
        ensure!(
            !trouble.starts_with("Socket errors:") && !trouble.starts_with("Non-2xx"),
            "not every request was answered well"
        );
    }
    let words = |mark: &str| {
        let fits = |line: &&str| line.starts_with(mark) || (line.starts_with(char::is_numeric) && line.contains(mark));
        let line = said.lines().map(str::trim).find(fits);
        line.map(|line| line.split_whitespace().collect::<Vec<_>>())
            .with_context(|| format!("no {mark:?}"))
    };
    let [requests, _, _, taken, ..] = words(" requests in ")?[..] else {
        bail!("an odd summary");
    };
    let percentile = |mark: &str| -> anyhow::Result<f64> {
        let found = words(mark)?;
        Ok(time(found.get(1).context("no value")?)? * 1e6)
    };
    Ok(Turn {
        requests: requests.parse()?,
        seconds: time(taken.trim_end_matches(','))?,
        p50: percentile("50%")?,
        p99: percentile("99%")?,
    })
}

/// `1.23ms` in seconds.
fn time(text: &str) -> anyhow::Result<f64> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit).unwrap_or(text).parse()?;
    Ok(match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        _ => bail!("{text:?} is no time"),
    })
}
