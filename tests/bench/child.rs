//! Child processes: where they run, where they listen, and what they use up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::process::{Pid, Resource, Signal, kill_process, setrlimit};

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

/// Whether a program can be started.
pub fn is_installed(name: &str) -> bool {
    program(name).is_absolute()
}

/// Where a program is; its bare name where it is nowhere. Servers lie outside the path of some users.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| name.into())
}

/// Lets this process and its children open as many files as they may, and tells how many that is.
pub fn open_files() -> u64 {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it fails, what there is stays.
    let _ = setrlimit(Resource::Nofile, limit);
    rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A port that nobody listens on, for programs that cannot say which one the system gave them.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
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
        command.stdout(Stdio::piped());
        let mut server = Self::spawn(what, command, log)?;
        let out = server.process.stdout.take().context("standard output is piped")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // After `ready` nobody listens, but the pipe must not fill.
                let _ = sender.send(line);
            }
        });
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

    /// Starts one that listens at this address and says nothing of it, and waits until it takes connections.
    pub fn start_at(
        address: SocketAddr,
        what: &'static str,
        mut command: Command,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        command.stdout(Stdio::null());
        let mut server = Self::spawn(what, command, log)?;
        server.address = address;
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = server.process.try_wait()?;
            let waits = ended.is_none() && begun.elapsed() < START;
            ensure!(waits, "{what} did not get ready: {}", server.last_words());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn spawn(what: &'static str, mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let errors = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
        let process = command
            .stdin(Stdio::null())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("could not start {what}"))?;
        Ok(Self {
            process,
            what,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        })
    }

    /// Processor time used so far by it and its workers, in user and kernel mode.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let ticks = self.sum(|process| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
            // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
            let fields = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
            Some(fields.filter_map(|field| field.parse::<u64>().ok()).sum())
        })?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Resident memory of it and its workers, in bytes.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let kib = self.sum(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse().ok()
        })?;
        Ok(kib * 1024)
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        kill_process(pid(self.process.id()).context("a process id")?, Signal::TERM)?;
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

    /// Something about it and its workers.
    fn sum(&self, about: fn(u32) -> Option<u64>) -> anyhow::Result<u64> {
        let own = self.process.id();
        let of_own = about(own).ok_or_else(|| anyhow!("{} is gone: {}", self.what, self.last_words()))?;
        Ok(of_own + self.workers().into_iter().filter_map(about).sum::<u64>())
    }

    fn workers(&self) -> Vec<u32> {
        let own = self.process.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
            .collect()
    }
}

/// The unit of /proc/PID/stat; Linux has shown it as 100 on every architecture for decades.
const TICKS_PER_SECOND: u64 = 100;

impl Drop for Server {
    fn drop(&mut self) {
        // Workers would outlive a master that cannot tell them.
        let workers = self.workers();
        let _ = self.process.kill();
        let _ = self.process.wait();
        for worker in workers.into_iter().filter_map(pid) {
            let _ = kill_process(worker, Signal::KILL);
        }
    }
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}
