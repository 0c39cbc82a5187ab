//! What was measured, for people and for programs.

use std::fs;
use std::path::Path;

use anyhow::Context;
use comfy_table::{Cell, CellAlignment, ContentLineStyle, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::child::Cores;
use super::instructions::Instructions;
use super::load::Generator;
use super::options::Options;
use super::rounds::{Figures, Rounds};

/// Beyond this, two equals differ so much that no ratio means anything.
const MOST_NOISE: f64 = 0.10;

/// No lines but one under the head.
const LIGHT: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// Everything measured in one run.
#[derive(Serialize)]
pub struct Report {
    setting: Setting,
    /// Under full load.
    pub throughput: Option<Rounds>,
    /// Under a modest load.
    pub latency: Option<Rounds>,
    /// By valgrind.
    pub instructions: Option<Instructions>,
}

#[derive(Serialize)]
struct Setting {
    rounds: u32,
    seconds: u32,
    bytes: usize,
    pinned: bool,
    generator: Generator,
    quick: bool,
    /// Processes that waited for a core, over the last minute, before anything began.
    busy_before: Option<f64>,
}

impl Report {
    /// Nothing is measured yet.
    pub fn new(options: &Options, cores: &Cores) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            setting: Setting {
                rounds: options.rounds(),
                seconds: options.seconds(),
                bytes: options.bytes,
                pinned: cores.apart.is_some(),
                generator: Generator::choose(options.no_wrk),
                quick: options.quick,
                busy_before: load.split(' ').next().and_then(|load| load.parse().ok()),
            },
            throughput: None,
            latency: None,
            instructions: None,
        }
    }

    /// Whether the control says that the ratios mean something.
    pub fn is_trustworthy(&self) -> bool {
        self.measured().all(is_quiet)
    }

    /// Says beforehand what is going to happen, and what would make it better.
    pub fn tell_setting(&self) {
        let Setting {
            rounds,
            seconds,
            bytes,
            pinned,
            generator,
            busy_before,
            ..
        } = self.setting;
        println!("HTTP/1.1 over TLS, keep-alive, answers of {bytes} bytes; {rounds} rounds of {seconds} s a turn.");
        if pinned {
            println!("The proxies run on one core, load and upstream on another.");
        } else {
            println!("Processes are not tied to cores (that needs two cores and taskset): expect more noise.");
        }
        if generator == Generator::BuiltIn {
            println!("wrk is missing or not wanted; the built-in load generator runs instead.");
            println!("On Debian and Ubuntu: apt-get install wrk");
        }
        if busy_before.is_some_and(|load| load > 0.5) {
            println!(
                "This machine is busy already (load {:.1}).",
                busy_before.unwrap_or_default()
            );
        }
    }

    /// The tables, and the ratios when they mean something.
    pub fn tell(&self) {
        for rounds in self.measured() {
            println!("\n{} connections; median [quartiles] of the rounds", rounds.connections);
            println!("{}", table(rounds));
            tell_ratio(rounds);
        }
        if let Some(Instructions { gateway, bare, ratio }) = &self.instructions {
            println!("\nInstructions in user space for one request (valgrind):");
            println!("  gateway {gateway:.0}, bare {bare:.0}");
            println!("  gateway / bare: {ratio:.3}");
        }
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

    fn measured(&self) -> impl Iterator<Item = &Rounds> {
        self.throughput.iter().chain(&self.latency)
    }
}

fn is_quiet(rounds: &Rounds) -> bool {
    let control = &rounds.control_ratio;
    [control.rate.median, control.cpu.median]
        .iter()
        .all(|ratio| (ratio - 1.0).abs() <= MOST_NOISE)
}

fn tell_ratio(rounds: &Rounds) {
    let (ratio, control) = (&rounds.ratio, &rounds.control_ratio);
    println!(
        "bare / bare:     requests {:.3}, processor time {:.3}   (the control)",
        control.rate, control.cpu
    );
    if is_quiet(rounds) {
        println!(
            "gateway / bare:  requests {:.3}, processor time {:.3}",
            ratio.rate, ratio.cpu
        );
        println!("                 p50 {:.3}, p99 {:.3}", ratio.p50, ratio.p99);
    } else {
        println!("Two equal proxies differ by more than 10 %: the machine is too busy for a ratio. Run it again.");
    }
}

fn table(rounds: &Rounds) -> Table {
    let mut table = Table::new();
    table.load_style(LIGHT);
    table.set_header(["", "requests/s", "CPU µs/request", "p50 µs", "p99 µs", "memory"]);
    for (name, figures) in [
        ("bare", &rounds.bare),
        ("gateway", &rounds.gateway),
        ("bare, again", &rounds.control),
    ] {
        table.add_row(row(name, figures));
    }
    table
}

fn row(name: &str, figures: &Figures) -> Vec<Cell> {
    let Figures {
        rate,
        cpu,
        p50,
        p99,
        memory,
    } = figures;
    let mut cells = vec![Cell::new(name)];
    let values = [
        format!("{rate:.0}"),
        format!("{cpu:.1}"),
        format!("{p50:.0}"),
        format!("{p99:.0}"),
        bytesize::ByteSize(*memory).to_string(),
    ];
    cells.extend(values.map(|value| Cell::new(value).set_alignment(CellAlignment::Right)));
    cells
}
