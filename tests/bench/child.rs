//! Child processes: where they run, where they listen, and what they use up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The most a child may take to be ready, under valgrind too.
const START: Duration = Duration::from_mins(2);

/// Which core the proxies run on, and which the load and the upstream.
#[derive(Clone, Debug, Default)]
pub struct Cores {
    /// Core of the proxies and core of all else; `None` when processes are not tied to cores.
    pub apart: Option<(u32, u32)>,
}

/// Where a child runs.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// With the proxies, of which one is busy at a time.
    Proxies,
    /// With the load generator and the upstream.
    Load,
}

impl Cores {
    /// The first and the last core this process may use; needs two cores and taskset.
    pub fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .unwrap_or_default();
        let numbers = || {
            allowed
                .split([',', '-'])
                .filter_map(|number| number.trim().parse().ok())
        };
        let apart = match (numbers().next(), numbers().next_back()) {
            (Some(first), Some(last)) if first != last && is_installed("taskset") => Some((first, last)),
            _ => None,
        };
        Self { apart }
    }

    /// A command for this program, tied to its place.
    pub fn command(&self, program: impl AsRef<Path>, place: Place) -> Command {
        let Some((proxies, load)) = self.apart else {
            return Command::new(program.as_ref());
        };
        let core = match place {
            Place::Proxies => proxies,
            Place::Load => load,
        };
        let mut command = Command::new("taskset");
        command.arg("-c").arg(core.to_string()).arg(program.as_ref());
        command
    }
}

/// Whether a program can be started by its name.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// A process that listens; it is killed when it is dropped.
pub struct Server {
    process: Child,
    what: &'static str,
    log: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it and waits until it says `ready`. What it writes to standard error goes into `log`.
    pub fn start(what: &'static str, mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let errors = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("could not start {what}"))?;
        let out = process.stdout.take().context("standard output is piped")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // After `ready` nobody listens, but the pipe must not fill.
                let _ = sender.send(line);
            }
        });
        let mut server = Self {
            process,
            what,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        loop {
            let Ok(line) = lines.recv_timeout(START) else {
                bail!("{what} did not get ready: {}", server.last_words());
            };
            if let Some(address) = line.strip_prefix("listening on ") {
                server.address = address.parse().with_context(|| format!("{what} says {line:?}"))?;
            } else if line == "ready" {
                return Ok(server);
            }
        }
    }

    /// Processor time used so far, in user and kernel mode.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Resident memory, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("no VmRSS in /proc")? * 1024)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id")?, Signal::TERM)?;
        self.process.wait()?;
        Ok(())
    }

    /// The end of what it wrote to standard error.
    pub fn last_words(&self) -> String {
        let written = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&written);
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(10)..)
            .unwrap_or_default()
            .join("\n")
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))
            .map_err(|error| anyhow!("{} is gone ({error}): {}", self.what, self.last_words()))
    }
}

/// The unit of /proc/PID/stat; Linux has shown it as 100 on every architecture for decades.
const TICKS_PER_SECOND: u64 = 100;

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
