//! Load: wrk and h2load where they are installed, otherwise a generator of our own.

mod built_in;
mod h2load;
mod line;
mod wrk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::cases::Case;
use super::child::{Cores, Place, is_installed};

pub use built_in::{Demand, Until, run, visit};
pub use line::{Dialler, Line};

/// What is spoken with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2 {
        /// Requests on one connection at a time.
        streams: u32,
    },
}

/// Who makes the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// wrk, from the package of the same name.
    Wrk,
    /// h2load, from the package nghttp2-client.
    H2load,
    /// This binary; it takes more of its core than the others.
    BuiltIn,
}

/// What every request carries, to whichever proxy it goes.
#[derive(Args, Clone, Debug)]
pub struct Visitor {
    /// `Host`
    #[arg(long)]
    pub host: String,
    /// `Cookie`
    #[arg(long)]
    pub cookie: String,
    /// PEM file of who vouches for the proxies
    #[arg(long)]
    pub authority: PathBuf,
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
    /// Of answers that took so many microseconds each.
    fn of(mut times: Vec<f64>, seconds: f64) -> anyhow::Result<Self> {
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        Ok(Self {
            requests: u64::try_from(times.len())?,
            seconds,
            p50: at(50),
            p99: at(99),
        })
    }

    /// Requests answered in a second.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

/// The path of an answer of so many bytes.
pub fn path(bytes: usize) -> String {
    format!("/app/{bytes}")
}

impl Visitor {
    /// As arguments for a child of ours.
    pub fn arguments(&self, command: &mut Command) {
        command.args(["--host", &self.host, "--cookie", &self.cookie, "--authority"]);
        command.arg(&self.authority);
    }
}

impl Generator {
    /// The usual one for this traffic, unless it is missing or not wanted. The usual ones resume TLS sessions, so whole
    /// handshakes are our own.
    pub fn choose(case: &Case, built_in: bool) -> Self {
        let usual = match case.protocol {
            _ if built_in || case.fresh => Self::BuiltIn,
            Protocol::Http1 => Self::Wrk,
            Protocol::Http2 { .. } => Self::H2load,
        };
        if usual.is_there() { usual } else { Self::BuiltIn }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::H2load => "h2load",
            Self::BuiltIn => "the built-in generator",
        }
    }

    fn is_there(self) -> bool {
        self == Self::BuiltIn || is_installed(self.name())
    }

    /// Loads a proxy for some seconds.
    pub fn run(
        self,
        cores: &Cores,
        at: SocketAddr,
        visitor: &Visitor,
        case: &Case,
        seconds: u32,
    ) -> anyhow::Result<Turn> {
        let url = format!("https://{at}{}", path(case.bytes));
        match self {
            Self::Wrk => wrk::run(cores, &url, visitor, case, seconds),
            Self::H2load => h2load::run(cores, &url, visitor, case, seconds),
            Self::BuiltIn => {
                let mut command = cores.command(std::env::current_exe()?, Place::Load);
                command.arg("load").arg(at.to_string());
                visitor.arguments(&mut command);
                Demand::of(case, seconds).arguments(&mut command);
                Ok(serde_json::from_str(&output(command)?)?)
            }
        }
    }
}

/// What a child says that does its work and ends.
pub fn output(mut command: Command) -> anyhow::Result<String> {
    let output = command.output().context("could not start the load generator")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "the load generator failed: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(said)
}
