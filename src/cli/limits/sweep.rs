//! `sekisho limits sweep`: one rule with many quotas, on attempts that were really made.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;

use crate::domain::language::Language;
use crate::domain::limits::Quota;
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::policy::{KeyKind, LimitRule, Policy, RuleName};
use crate::domain::limits::replay::{Course, Replay, Replayed};
use crate::domain::limits::simulate::reach_within;
use crate::domain::limits::tradeoff::{Point, Standing, counts, periods, standings};

use super::super::output::{CARE, FAINT, GOOD, Output, STRONG, aside};
use super::super::table::{Styled, Table};
use super::policies::{self, Named};
use super::trace::{Trace, TraceArgs};
use super::{chart, report};

#[derive(Args)]
pub struct SweepArgs {
    #[command(flatten)]
    trace: TraceArgs,
    /// The rule whose quota is varied
    #[arg(long, value_name = "NAME", value_parser = rule_name)]
    rule: RuleName,
    /// How many, from the least to the most
    #[arg(long, value_name = "N..N", default_value = "3..50", value_parser = bursts)]
    quota: (u32, u32),
    /// Per how long, from the shortest to the longest [default: as the rule has it]
    #[arg(long, value_name = "TIME..TIME", value_parser = times)]
    per: Option<(Duration, Duration)>,
    /// The policy with this rule: a file, or relaxed, standard or strict [default: the one in force]
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a report with the plot, one HTML file that needs no network
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The language of the report
    #[arg(long, default_value = "en", value_parser = PossibleValuesParser::new(["en", "ja"]).try_map(|tag| tag.parse::<Language>()))]
    lang: Language,
}

/// What a rule comes to with each quota.
#[derive(Debug)]
pub struct Swept {
    /// The policy.
    pub policy: String,
    /// The rule.
    pub rule: RuleName,
    /// What it counts by.
    pub key: KeyKind,
    /// As it is now.
    pub current: Quota,
    /// People who signed in, whatever the quota.
    pub people: u64,
    /// Whether with some quota more can be guessed than was simulated.
    pub cut: bool,
    /// Whether the rule counts sign-ins at all.
    pub of_sign_ins: bool,
    /// One for each quota.
    pub cells: Vec<Cell>,
}

/// What it comes to with one quota.
#[derive(Debug)]
pub struct Cell {
    /// People stopped, and guesses left.
    pub point: Point,
    /// Beside the others.
    pub standing: Standing,
    /// On the attempts that were made.
    pub replayed: Replayed,
}

impl SweepArgs {
    pub fn run(&self, config: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let base = policies::typed_or_in_force(self.policy.as_deref(), config)?;
        let rule = find(&base, &self.rule)?;
        let trace = self.trace.open(config)?;
        let per = self.per.unwrap_or((rule.quota.period(), rule.quota.period()));
        let quotas = grid(self.quota, per);
        if quotas.is_empty() {
            bail!("--quota and --per hold no quota: it is a number from 1 to 1000000, and a time from 1s to 1year");
        }
        let swept = sweep(&trace, &base, rule, &quotas)?;
        if let Some(file) = &self.report {
            report::write(file, &report::of_sweep(&swept, self.lang))?;
            aside(format_args!("The report is in {}.", file.display()));
        }
        if self.json {
            output.json(&swept.told())?;
            return Ok(ExitCode::SUCCESS);
        }
        swept.tell(output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The rule of this name, if a quota of it can be tried at all.
fn find<'a>(base: &'a Named, name: &RuleName) -> anyhow::Result<&'a LimitRule> {
    let rule = base
        .policy
        .rules
        .iter()
        .find(|rule| rule.name == *name)
        .ok_or_else(|| {
            let names: Vec<_> = base.policy.rules.iter().map(|rule| rule.name.as_str()).collect();
            anyhow!("{} has no rule {name}; there are {}", base.name, names.join(", "))
        })?;
    if rule.key == KeyKind::Password {
        bail!("{name} counts by password, and nothing is recorded of passwords: its quota cannot be tried on what was");
    }
    if !rule.enabled {
        bail!("{name} is switched off in {}", base.name);
    }
    Ok(rule)
}

/// Every quota of the grid.
pub fn grid(bursts: (u32, u32), per: (Duration, Duration)) -> Vec<Quota> {
    const STEPS: u32 = 10;
    let periods = periods(per.0, per.1);
    counts(bursts.0, bursts.1, STEPS)
        .into_iter()
        .flat_map(|burst| periods.iter().filter_map(move |period| Quota::new(burst, *period)))
        .collect()
}

/// Policies that are tried in one pass over the attempts: each keeps meters and what it has counted by account and address.
const AT_ONCE: usize = 16;

/// Tries the rule with each of these quotas.
pub fn sweep(trace: &Trace, base: &Named, rule: &LimitRule, quotas: &[Quota]) -> anyhow::Result<Swept> {
    let varied: Vec<_> = quotas
        .iter()
        .filter_map(|quota| Some((*quota, Arc::new(base.policy.with_quota(&rule.name, *quota)?))))
        .collect();
    let policies: Vec<_> = varied.iter().map(|(_, policy)| Arc::clone(policy)).collect();
    let mut replayed = Vec::with_capacity(policies.len());
    for some in policies.chunks(AT_ONCE) {
        replayed.extend(replay_all(trace, some)?);
    }
    let tried: Vec<_> = varied.iter().map(|(quota, _)| *quota).collect();
    let reach = reach_within(&base.policy, rule, &tried);
    let cut = reach.iter().any(|reach| reach.cut);
    let points: Vec<_> = tried
        .iter()
        .zip(&replayed)
        .zip(reach)
        .map(|((quota, told), reach)| Point {
            quota: *quota,
            stopped: told.people.stopped,
            guesses: reach.guesses,
        })
        .collect();
    let people = replayed.first().map_or(0, |told| told.people.seen);
    let cells = standings(&points).into_iter().zip(points).zip(replayed);
    Ok(Swept {
        policy: base.name.clone(),
        rule: rule.name.clone(),
        key: rule.key,
        current: rule.quota,
        people,
        cut,
        of_sign_ins: rule.endpoints.contains(&Endpoint::SignIn),
        cells: cells
            .map(|((standing, point), replayed)| Cell {
                point,
                standing,
                replayed,
            })
            .collect(),
    })
}

/// Each of these policies on all attempts, by as many threads as there are cores.
pub fn replay_all(trace: &Trace, policies: &[Arc<Policy>]) -> anyhow::Result<Vec<Replayed>> {
    let memory = policies.iter().map(|policy| policy.memory()).max().unwrap_or_default();
    let exempt = trace.past.exemptions();
    let mut replays: Vec<_> = policies
        .iter()
        .map(|policy| Replay::new(Course::new(policy, &exempt), trace.since))
        .collect();
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = replays.len().div_ceil(cores).max(1);
    trace.each(memory, |page| {
        std::thread::scope(|scope| {
            for part in replays.chunks_mut(share) {
                scope.spawn(move || {
                    for replay in part {
                        for record in page {
                            replay.take(record);
                        }
                    }
                });
            }
        });
    })?;
    Ok(replays.into_iter().map(Replay::finish).collect())
}

#[derive(Serialize)]
struct Told<'a> {
    policy: &'a str,
    rule: &'a RuleName,
    current: String,
    people: u64,
    /// Whether the guesses of some quota are only the least.
    cut: bool,
    quotas: Vec<ToldCell>,
}

#[derive(Serialize)]
struct ToldCell {
    quota: String,
    standing: Standing,
    people_stopped: u64,
    guesses_possible: u64,
    guesses_seen: u64,
    refused: u64,
}

impl Swept {
    fn told(&self) -> Told<'_> {
        let cell = |cell: &Cell| ToldCell {
            quota: cell.point.quota.to_string(),
            standing: cell.standing,
            people_stopped: cell.point.stopped,
            guesses_possible: cell.point.guesses,
            guesses_seen: cell.replayed.guesses.most,
            refused: cell.replayed.refused,
        };
        Told {
            policy: &self.policy,
            rule: &self.rule,
            current: self.current.to_string(),
            people: self.people,
            cut: self.cut,
            quotas: self.cells.iter().map(cell).collect(),
        }
    }

    /// Those that no other beats, the tightest first.
    pub fn front(&self) -> Vec<&Cell> {
        let mut front: Vec<_> = self
            .cells
            .iter()
            .filter(|cell| cell.standing != Standing::Beaten)
            .collect();
        front.sort_by_key(|cell| (cell.point.guesses, cell.point.stopped));
        front
    }

    fn tell(&self, output: &mut Output) -> anyhow::Result<()> {
        output.line(format_args!(
            "{STRONG}{} of {}{STRONG:#}, now {}: {} quotas tried on what {} people did\n",
            self.rule,
            self.policy,
            self.current,
            self.cells.len(),
            self.people
        ))?;
        let points: Vec<_> = self.cells.iter().map(|cell| (cell.point, cell.standing)).collect();
        for line in chart::scatter(&points) {
            output.line(line)?;
        }
        output.line(format_args!(
            "\n{FAINT}Guesses: what somebody gets in a day {}, whatever was really tried.{FAINT:#}\n",
            reach(self.key)
        ))?;
        let mut table = Table::new([
            "Quota",
            "People stopped",
            "Guesses a day",
            "Really tried at one account",
            "Refused",
            "",
        ]);
        for cell in self.front() {
            let (mark, style) = match cell.standing {
                Standing::Knee => ("◆ the knee", GOOD),
                _ => ("", anstyle::Style::new()),
            };
            table.row([
                Styled::new(&cell.point.quota.to_string(), style),
                Styled::new(
                    &cell.point.stopped.to_string(),
                    if cell.point.stopped > 0 { CARE } else { GOOD },
                ),
                cell.point.guesses.to_string().as_str().into(),
                cell.replayed.guesses.most.to_string().as_str().into(),
                cell.replayed.refused.to_string().as_str().into(),
                Styled::new(mark, style),
            ]);
        }
        output.table(&table)?;
        if self.cut {
            output.line(format_args!(
                "\n{CARE}With some of these quotas more can be guessed than is simulated: their guesses are the least.{CARE:#}"
            ))?;
        }
        if !self.of_sign_ins {
            output.line(format_args!(
                "\n{CARE}{} counts no sign-ins, so that no quota of it bounds guesses.{CARE:#}",
                self.rule
            ))?;
        }
        if self.people == 0 {
            output.line(format_args!(
                "\n{CARE}Nobody succeeded in these attempts, so nobody can be found to be stopped.{CARE:#}"
            ))?;
        }
        Ok(())
    }
}

/// Where somebody guesses whom a rule by this key bounds.
pub const fn reach(key: KeyKind) -> &'static str {
    match key {
        KeyKind::Account => "at one account from 50 addresses",
        KeyKind::ClientAccount | KeyKind::Device => "at one account from one address",
        KeyKind::Client => "at 200 accounts from one address",
        KeyKind::Subnet => "at 200 accounts from five addresses of one network",
        KeyKind::Password | KeyKind::Global => "at 200 accounts from 50 addresses",
    }
}

fn rule_name(text: &str) -> Result<RuleName, String> {
    RuleName::parse(text).ok_or_else(|| "no name of a rule".to_owned())
}

/// `3..50`, or one number.
fn bursts(text: &str) -> Result<(u32, u32), String> {
    let read = |text: &str| text.trim().parse::<u32>().map_err(|_| format!("{text:?} is no number"));
    ends(text, read)
}

/// `5m..1h`, or one time.
fn times(text: &str) -> Result<(Duration, Duration), String> {
    ends(text, |text| {
        humantime::parse_duration(text.trim()).map_err(|error| format!("{text:?}: {error}"))
    })
}

fn ends<T: PartialOrd + Copy>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<(T, T), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (read(least)?, read(most)?);
    if least > most {
        return Err("the first end is beyond the second".to_owned());
    }
    Ok((least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_range_are_read() {
        assert_eq!(bursts("3..50"), Ok((3, 50)));
        assert_eq!(bursts("7"), Ok((7, 7)));
        assert_eq!(times("5m..1h"), Ok((Duration::from_mins(5), Duration::from_hours(1))));
        assert!(bursts("50..3").is_err() && bursts("a..b").is_err() && times("5..7").is_err());
    }

    #[test]
    fn a_grid_has_every_quota_that_can_be_written() {
        let all = grid((3, 50), (Duration::from_mins(5), Duration::from_hours(1)));
        assert_eq!(all.len(), 10 * 5);
        assert!(all.contains(&"3 per 5m".parse().unwrap()) && all.contains(&"50 per 1h".parse().unwrap()));
        assert!(grid((0, 0), (Duration::ZERO, Duration::ZERO)).is_empty());
    }
}
