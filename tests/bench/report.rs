//! What was measured, for people and for programs. The tables are Markdown, so that they can be kept as they are.

use std::fs;
use std::path::Path;

use anyhow::Context;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use super::child::Cores;
use super::flood::Flood;
use super::instructions::Instructions;
use super::options::Options;
use super::rounds::{Figures, Ratio, Rounds, Row};
use super::sockets::Sockets;

/// Everything measured in one run.
#[derive(Serialize)]
pub struct Report {
    setting: Setting,
    /// Every kind of traffic.
    pub tables: Vec<Rounds>,
    /// Each idle WebSocket.
    pub sockets: Option<Sockets>,
    /// Strangers who try passwords.
    pub flood: Option<Flood>,
    /// By valgrind.
    pub instructions: Option<Instructions>,
}

#[derive(Serialize)]
struct Setting {
    rounds: u32,
    seconds: u32,
    pinned: bool,
    quick: bool,
    /// Processes that waited for a core, over the last minute, before anything began.
    busy_before: Option<f64>,
}

const TOO_BUSY: &str =
    "Two equals differ by more than 10 %: the machine is too busy for a ratio, and none is printed. Run it again.";

impl Report {
    /// Nothing is measured yet.
    pub fn new(options: &Options, cores: &Cores) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            setting: Setting {
                rounds: options.rounds(),
                seconds: options.seconds(),
                pinned: cores.apart.is_some(),
                quick: options.quick,
                busy_before: load.split(' ').next().and_then(|load| load.parse().ok()),
            },
            tables: Vec::new(),
            sockets: None,
            flood: None,
            instructions: None,
        }
    }

    /// Whether the controls say that the ratios mean something.
    pub fn is_trustworthy(&self) -> bool {
        self.tables.iter().all(Rounds::is_quiet) && self.flood.as_ref().is_none_or(Flood::is_quiet)
    }

    /// Says beforehand what is going to happen, and what would make it better.
    pub fn tell_setting(&self) {
        let Setting {
            rounds,
            seconds,
            pinned,
            busy_before,
            ..
        } = self.setting;
        println!("Everything over TLS; {rounds} rounds of {seconds} s a turn; median [quartiles] of the rounds.");
        if pinned {
            println!("The proxies run on one core, load and upstream on another.");
        } else {
            println!("Processes are not tied to cores (that needs two cores and taskset): expect more noise.");
        }
        if let Some(load) = busy_before.filter(|load| *load > 0.5) {
            println!("This machine is busy already (load {load:.1}).");
        }
    }

    /// What is told after everything else.
    pub fn tell_end(&self) {
        if self.setting.quick {
            println!("\nA quick run shows that the benchmark works; its figures mean nothing.");
        }
    }

    /// Everything, for programs.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut value = serde_json::to_value(self)?;
        value["trustworthy"] = self.is_trustworthy().into();
        fs::write(file, format!("{value:#}\n")).with_context(|| format!("could not write {}", file.display()))
    }
}

impl Rounds {
    /// The table, with ratios when they mean something.
    pub fn tell(&self) {
        println!("\n### {}\n\nLoad by {}.\n", self.case.name, self.generator.name());
        let mut table = markdown(&[
            "",
            "requests/s",
            "CPU µs/request",
            "p50 µs",
            "p99 µs",
            "memory",
            "gateway / it: requests/s",
            "CPU",
            "p99",
        ]);
        let is_quiet = self.is_quiet();
        for Row { name, figures } in &self.peers {
            match figures {
                Ok(figures) => table.add_row(row(name, figures, is_quiet)),
                Err(why) => table.add_row([*name, why.as_str()]),
            };
        }
        println!("{table}\n");
        let Ratio { rate, cpu, .. } = &self.control;
        println!("Control, bare again / bare: requests/s {rate:.3}, CPU {cpu:.3}.");
        if !is_quiet {
            println!("{TOO_BUSY}");
        }
    }
}

impl Sockets {
    /// The table.
    pub fn tell(&self) {
        println!("\n### Idle WebSockets\n\n{} open.", self.open);
        println!(
            "One process may have {} files open, a proxy needs two for each.\n",
            self.open_files
        );
        let mut table = markdown(&["", "memory for each"]);
        for (name, each) in &self.peers {
            let each = match each {
                Ok(each) => format!("{:.1} KiB", each / 1024.0),
                Err(why) => why.clone(),
            };
            table.add_row([Cell::new(name), right(each)]);
        }
        println!("{table}");
    }
}

impl Flood {
    /// The table, with ratios when they mean something.
    pub fn tell(&self) {
        println!("\n### Passwords tried by strangers\n");
        println!(
            "{} proxied requests a second were due: half of what the gateway can answer.\n",
            self.offered
        );
        let mut table = markdown(&["", "answered/s", "p50 µs", "p99 µs"]);
        for (name, served) in [("without strangers", &self.quiet), ("with", &self.flooded)] {
            table.add_row([
                Cell::new(name),
                right(format!("{:.0}", served.rate)),
                right(format!("{:.0}", served.p50)),
                right(format!("{:.0}", served.p99)),
            ]);
        }
        println!("{table}\n");
        let [before, after] = self.memory.map(bytesize::ByteSize);
        println!("{} Resident memory {before} before, {after} after.", self.guesses);
        println!("Control, p99 after / before: {:.3}.", self.control);
        if self.is_quiet() {
            println!("p99 with / without: {:.3}.", self.p99);
        } else {
            println!("{TOO_BUSY}");
        }
    }
}

impl std::fmt::Display for super::flood::Guesses {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 passwords")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by_second = |count: u64| count as f64 / self.seconds;
        let (hashed, shed) = (by_second(self.hashed), by_second(self.shed));
        write!(f, "Passwords a second: {hashed:.0} hashed, {shed:.0} turned away.")
    }
}

impl Instructions {
    /// The figures.
    pub fn tell(&self) {
        let Self { gateway, bare, ratio } = self;
        println!("\nInstructions in user space for one request (valgrind):");
        println!("  gateway {gateway:.0}, bare {bare:.0}");
        println!("  gateway / bare: {ratio:.3}");
    }
}

fn markdown(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head);
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn row(name: &str, figures: &Figures, is_quiet: bool) -> Vec<Cell> {
    let Figures {
        rate,
        cpu,
        p50,
        p99,
        memory,
        gateway,
    } = figures;
    let ratio = gateway.as_ref().filter(|_| is_quiet);
    let against = |spread: fn(&Ratio) -> String| ratio.map(spread).unwrap_or_default();
    let values = [
        format!("{rate:.0}"),
        format!("{cpu:.1}"),
        format!("{p50:.0}"),
        format!("{p99:.0}"),
        bytesize::ByteSize(*memory).to_string(),
        against(|ratio| format!("{:.2}", ratio.rate)),
        against(|ratio| format!("{:.2}", ratio.cpu)),
        against(|ratio| format!("{:.2}", ratio.p99)),
    ];
    std::iter::once(Cell::new(name)).chain(values.map(right)).collect()
}
