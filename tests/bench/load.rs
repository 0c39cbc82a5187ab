//! Load: wrk where it is installed, otherwise a generator of our own.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use http::header::{COOKIE, HOST};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::child::{Cores, Place, is_installed};
use super::options::Work;

/// The path every request asks for.
pub const PATH: &str = "/app/data";

/// Who makes the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// wrk, from the package of the same name.
    Wrk,
    /// This binary; it takes more of its core than wrk.
    BuiltIn,
}

/// What every request carries, to whichever proxy it goes.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// `Host`.
    pub host: String,
    /// `Cookie`.
    pub cookie: String,
}

/// What one turn brought.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// Requests answered.
    pub requests: u64,
    /// How long it took.
    pub seconds: f64,
    /// Half of the answers came sooner, in microseconds.
    pub p50: f64,
    /// One answer of a hundred came later, in microseconds.
    pub p99: f64,
}

impl Turn {
    /// Requests answered in a second.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

impl Generator {
    /// wrk, unless it is missing or not wanted.
    pub fn choose(no_wrk: bool) -> Self {
        if !no_wrk && is_installed("wrk") {
            Self::Wrk
        } else {
            Self::BuiltIn
        }
    }

    /// Loads a proxy for some seconds.
    pub fn run(
        self,
        cores: &Cores,
        at: SocketAddr,
        visitor: &Visitor,
        connections: u32,
        seconds: u32,
    ) -> anyhow::Result<Turn> {
        let mut command = match self {
            Self::Wrk => {
                let mut command = cores.command("wrk", Place::Load);
                command
                    .args(["--threads", "1", "--latency"])
                    .args(["--connections", &connections.to_string()])
                    .args(["--duration", &format!("{seconds}s")])
                    .args(["--header", &format!("Host: {}", visitor.host)])
                    .args(["--header", &format!("Cookie: {}", visitor.cookie)])
                    .arg(format!("https://{at}{PATH}"));
                command
            }
            Self::BuiltIn => {
                let mut command = cores.command(std::env::current_exe()?, Place::Load);
                command
                    .args(["load", &at.to_string(), &visitor.host, &visitor.cookie])
                    .args(["--connections", &connections.to_string()])
                    .args(["--seconds", &seconds.to_string()]);
                command
            }
        };
        let output = command.output().context("could not start the load generator")?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!(
                "the load generator failed: {said}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        match self {
            Self::Wrk => read_wrk(&said).with_context(|| format!("wrk says:\n{said}")),
            Self::BuiltIn => Ok(serde_json::from_str(&said)?),
        }
    }
}

/// Reads what wrk says. Anything that went wrong makes the turn worthless.
fn read_wrk(said: &str) -> anyhow::Result<Turn> {
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
        Ok(seconds(found.get(1).context("no value")?)? * 1e6)
    };
    Ok(Turn {
        requests: requests.parse()?,
        seconds: seconds(taken.trim_end_matches(','))?,
        p50: percentile("50%")?,
        p99: percentile("99%")?,
    })
}

/// `1.23ms` in seconds.
fn seconds(text: &str) -> anyhow::Result<f64> {
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

/// How much one connection of the built-in generator does.
#[derive(Clone, Copy)]
pub enum Until {
    /// So many requests.
    Requests(u64),
    /// As many as it can until then.
    Time(Instant),
}

/// The built-in generator as a process of its own.
pub fn run(work: &Work) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let visitor = Visitor {
        host: work.host.clone(),
        cookie: work.cookie.clone(),
    };
    let until = Until::Time(Instant::now() + Duration::from_secs(work.seconds.into()));
    let turn = runtime.block_on(visit(work.address, &visitor, work.connections, until))?;
    println!("{}", serde_json::to_string(&turn)?);
    Ok(())
}

/// A client that believes every certificate: what is measured is on this machine.
pub fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?)
}

/// Sends requests over this many connections, each waiting for its answer before the next.
pub async fn visit(at: SocketAddr, visitor: &Visitor, connections: u32, until: Until) -> anyhow::Result<Turn> {
    let begun = Instant::now();
    let mut visits = JoinSet::new();
    for _ in 0..connections {
        visits.spawn(one(client()?, format!("https://{at}{PATH}"), visitor.clone(), until));
    }
    let mut times = Vec::new();
    while let Some(done) = visits.join_next().await {
        times.extend(done??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    Ok(Turn {
        requests: u64::try_from(times.len())?,
        seconds,
        p50: at(50),
        p99: at(99),
    })
}

async fn one(client: reqwest::Client, url: String, visitor: Visitor, until: Until) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    loop {
        let over = match until {
            Until::Requests(most) => u64::try_from(times.len())? >= most,
            Until::Time(end) => Instant::now() >= end,
        };
        if over {
            return Ok(times);
        }
        let begun = Instant::now();
        let answer = client
            .get(&url)
            .header(HOST, &visitor.host)
            .header(COOKIE, &visitor.cookie)
            .send()
            .await?;
        ensure!(answer.status() == 200, "answered {}", answer.status());
        answer.bytes().await?;
        times.push(begun.elapsed());
    }
}

/// The names of the headers that reach the upstream through this proxy, in lower case.
pub async fn look(at: SocketAddr, visitor: &Visitor) -> anyhow::Result<HashSet<String>> {
    let answer = client()?
        .get(format!("https://{at}{}", super::upstream::LOOK))
        .header(HOST, &visitor.host)
        .header(COOKIE, &visitor.cookie)
        .send()
        .await?;
    ensure!(answer.status() == 200, "the proxy answered {}", answer.status());
    Ok(answer.text().await?.lines().map(str::to_owned).collect())
}
