//! `sekisho hash tune`: which Argon2id parameters this machine can bear.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::crypto::tuning::{Advice, FLOOR_KIB, FLOOR_PASSES, Missing, Setting, Wish, tune};

use super::output::{Output, aside};

#[derive(Subcommand)]
pub enum Command {
    /// Measure this machine and propose parameters for the hashing of passwords
    #[command(arg = super::unused_config())]
    #[command(
        after_help = "Run it on the machine that serves, while nothing else does. It takes some seconds, all cores and the \
        memory you name. Nothing is changed: paste what it proposes into the configuration. Exit code 3 when the wish cannot \
        be met.\n\nExample:\n  sekisho hash tune --memory 512MiB --p95 300ms --peak 40/s"
    )]
    Tune(Tune),
}

#[derive(Args)]
pub struct Tune {
    /// Memory that hashing may take in all
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    memory: u64,
    /// Time within which 95 of 100 sign-ins have their hash, waiting included
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = time)]
    p95: Duration,
    /// Sign-ins at the busiest moment, such as 40/s or 600/m
    #[arg(long, value_name = "RATE", default_value = "10/s", value_parser = rate)]
    peak: f64,
    /// Threads that may hash at once [default: one fewer than cores]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub fn run(&self, output: &mut Output) -> anyhow::Result<std::process::ExitCode> {
        match self {
            Self::Tune(tune) => tune.run(output),
        }
    }
}

/// A wish that cannot be met is an answer, not an error.
const CANNOT_BE_MET: u8 = 3;

impl Tune {
    fn run(&self, output: &mut Output) -> anyhow::Result<std::process::ExitCode> {
        let threads = self.threads.map_or_else(
            || available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1),
            usize::from,
        );
        aside("Measuring, which takes some seconds ...");
        let advice = tune(Wish {
            memory_kib: self.memory / 1024,
            p95: self.p95,
            peak: self.peak,
            threads,
        })?;
        if self.json {
            output.json(&for_programs(&advice))?;
        } else {
            output.line(self.for_people(&advice))?;
        }
        Ok(match advice {
            Advice::Use(_) => std::process::ExitCode::SUCCESS,
            Advice::CannotBeMet { .. } => CANNOT_BE_MET.into(),
        })
    }

    fn for_people(&self, advice: &Advice) -> String {
        let p95 = humantime::format_duration(self.p95);
        match advice {
            Advice::Use(setting) => format!(
                "This machine bears {peak} sign-ins a second within {p95}:\n\n{lines}\n\nMeasured: {measured}.\nThat takes \
                 {all} MiB when all threads hash, and one larger imported hash at a time comes on top (128 MiB at most).",
                peak = self.peak,
                lines = lines(setting),
                measured = measured(setting),
                all = u64::from(setting.memory_kib) * setting.threads as u64 / 1024,
            ),
            Advice::CannotBeMet { floor, missing } => {
                let what = match missing {
                    Missing::Memory(kib) => format!(
                        "one hash at OWASP's floor ({FLOOR_KIB} KiB) does not fit into the memory; it takes {kib} KiB more"
                    ),
                    Missing::Throughput(times) => format!(
                        "{} sign-ins a second need {times:.1} times the hashing that this machine does; give it more cores or \
                         memory for more threads, or plan with a lower peak: sign-ins beyond it are told to try again",
                        self.peak
                    ),
                    Missing::Latency(over) => format!(
                        "sign-ins take {} longer than {p95} at the peak; give it more cores, or allow more time",
                        humantime::format_duration(Duration::from_millis(
                            u64::try_from(over.as_millis()).unwrap_or(u64::MAX).max(1)
                        ))
                    ),
                };
                let closest = floor.as_ref().map_or_else(String::new, |floor| {
                    format!(
                        "\n\nThe floor on this machine: {}. Closest to the wish:\n\n{}",
                        measured(floor),
                        lines(floor)
                    )
                });
                format!(
                    "It cannot be met with OWASP's floor of {FLOOR_KIB} KiB and {FLOOR_PASSES} passes, below which nothing is \
                     proposed: {what}.{closest}"
                )
            }
        }
    }
}

fn lines(setting: &Setting) -> String {
    format!(
        "[passwords.hashing]\nmemory = \"{} KiB\"\npasses = {}\nthreads = {}\nqueue = {}",
        setting.memory_kib, setting.passes, setting.threads, setting.queue
    )
}

fn measured(setting: &Setting) -> String {
    format!(
        "{} ms for a hash while {} thread(s) hash, {:.0} hashes a second",
        setting.one.as_millis(),
        setting.threads,
        setting.per_second
    )
}

fn for_programs(advice: &Advice) -> serde_json::Value {
    let figures = |setting: &Setting| {
        json!({
            "memory_kib": setting.memory_kib, "passes": setting.passes, "threads": setting.threads,
            "queue": setting.queue, "hash_ms": setting.one.as_secs_f64() * 1000.0, "per_second": setting.per_second,
        })
    };
    match advice {
        Advice::Use(setting) => json!({ "met": true, "setting": figures(setting), "missing": null }),
        Advice::CannotBeMet { floor, missing } => json!({
            "met": false,
            "setting": floor.as_ref().map(figures),
            "missing": match missing {
                Missing::Memory(kib) => json!({ "memory_kib": kib }),
                Missing::Throughput(times) => json!({ "throughput_times": times }),
                Missing::Latency(over) => json!({ "latency_ms": over.as_secs_f64() * 1000.0 }),
            },
        }),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    text.parse::<bytesize::ByteSize>()
        .ok()
        .map(|size| size.as_u64())
        .filter(|bytes| has_unit && (1 << 20..=1 << 40).contains(bytes))
        .ok_or_else(|| "write a size with its unit, such as 512MiB".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|time| (Duration::from_millis(1)..=Duration::from_mins(1)).contains(time))
        .ok_or_else(|| "write a time with its unit, such as 300ms".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let read = |digits: &str, per: f64| digits.trim().parse::<f64>().ok().map(|rate| rate / per);
    match text.split_once('/') {
        Some((digits, "s")) => read(digits, 1.0),
        Some((digits, "m")) => read(digits, 60.0),
        _ => None,
    }
    .filter(|rate| rate.is_finite() && (0.001..=100_000.0).contains(rate))
    .ok_or_else(|| "write a rate, such as 40/s or 600/m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: Setting = Setting {
        memory_kib: 65_536,
        passes: 3,
        threads: 4,
        queue: 25,
        one: Duration::from_millis(91),
        per_second: 44.0,
    };

    fn tuned() -> Tune {
        Tune {
            memory: 512 << 20,
            p95: Duration::from_millis(300),
            peak: 40.0,
            threads: None,
            json: false,
        }
    }

    #[test]
    fn a_proposal_can_be_pasted_into_the_configuration() {
        let said = tuned().for_people(&Advice::Use(SETTING));
        let lines = lines(&SETTING);
        assert!(said.contains(&lines), "{said}");
        let read: toml::Table = lines.parse().unwrap();
        assert_eq!(read["passwords"]["hashing"]["memory"].as_str(), Some("65536 KiB"));
        assert!(said.contains("256 MiB"), "{said}");
        assert_eq!(for_programs(&Advice::Use(SETTING))["setting"]["queue"], 25);
    }

    #[test]
    fn what_cannot_be_met_says_by_how_much() {
        let say = |missing| {
            tuned().for_people(&Advice::CannotBeMet {
                floor: Some(SETTING),
                missing,
            })
        };
        assert!(say(Missing::Throughput(2.34)).contains("2.3 times"));
        assert!(say(Missing::Memory(9_456)).contains("9456 KiB more"));
        assert!(say(Missing::Latency(Duration::from_micros(12_300))).contains("12ms longer than 300ms"));
        let missing = Missing::Throughput(2.0);
        let json = for_programs(&Advice::CannotBeMet { floor: None, missing });
        assert_eq!(
            (&json["met"], &json["missing"]["throughput_times"]),
            (&false.into(), &2.0.into())
        );
    }

    #[test]
    fn rates_sizes_and_times_carry_their_unit() {
        assert_eq!(rate("40/s"), Ok(40.0));
        assert_eq!(rate("600/m"), Ok(10.0));
        assert_eq!(size("512MiB"), Ok(512 << 20));
        assert_eq!(time("300ms"), Ok(Duration::from_millis(300)));
        for wrong in ["40", "40/h", "-1/s", "NaN/s", "inf/s", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert!(size("512").is_err() && size("1KiB").is_err() && time("300").is_err() && time("2h").is_err());
    }
}
