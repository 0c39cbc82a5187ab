//! `sekisho limits replay`: a policy beside the one in force, on attempts that were really made.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::language::Language;
use crate::domain::limits::record::AttemptRecord;
use crate::domain::limits::replay::{Course, Replay, Replayed, Tally};

use super::super::open;
use super::super::output::{BAD, CARE, FAINT, GOOD, Output, STRONG, aside};
use super::super::table::{Styled, Table};
use super::past::Told;
use super::policies::{self, Named};
use super::report;
use super::trace::{Trace, TraceArgs};

#[derive(Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    trace: TraceArgs,
    /// The policy to try: a file, or relaxed, standard or strict [default: limits.candidate]
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Compare it with this one instead of the policy in force
    #[arg(long, value_name = "POLICY")]
    active: Option<String>,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
    /// Write a report with plots, one HTML file that needs no network
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The language of the report
    #[arg(long, default_value = "en", value_parser = PossibleValuesParser::new(["en", "ja"]).try_map(|tag| tag.parse::<Language>()))]
    lang: Language,
}

/// What one policy came to.
#[derive(Debug, Serialize)]
pub struct Side {
    /// What the policy is called.
    pub name: String,
    /// The figures.
    #[serde(flatten)]
    pub replayed: Replayed,
}

/// What it all came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// From then on.
    since: Option<Timestamp>,
    /// What the gateway itself did when it happened; `None` for another system's log.
    pub recorded: Option<Replayed>,
    /// What the policy that was on trial then would have done; `None` where none was.
    pub on_trial: Option<Replayed>,
    /// The policy in force, on the same attempts; at times another one was applied by order.
    pub active: Side,
    /// The policy that is tried.
    pub tried: Option<Side>,
    /// The orders of that time that were taken into account.
    pub orders: Vec<Told>,
}

impl ReplayArgs {
    pub fn run(&self, config: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let active = policies::typed_or_in_force(self.active.as_deref(), config)?;
        let tried = match &self.policy {
            Some(typed) => Some(policies::named(typed)?),
            None if self.active.is_none() => policies::on_trial(&open::config(config)?)?,
            None => None,
        };
        let mut trace = self.trace.open(config)?;
        // A policy that was named is compared with for all of the time.
        if self.active.is_some() {
            trace.past.forget_policies();
        }
        let outcome = replay(&trace, &active, tried.as_ref())?;
        if let Some(file) = &self.report {
            report::write(file, &report::of_replay(&outcome, self.lang))?;
            aside(format_args!("The report is in {}.", file.display()));
        }
        if self.json {
            output.json(&outcome)?;
            return Ok(ExitCode::SUCCESS);
        }
        outcome.tell(output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Goes through the attempts once, for all policies together.
pub fn replay(trace: &Trace, active: &Named, tried: Option<&Named>) -> anyhow::Result<Outcome> {
    let past = &trace.past;
    let as_it_was = Course::new(&active.policy, &past.spells);
    let instead = tried.map(|tried| Course::new(&tried.policy, &past.exemptions()));
    let memory = instead.as_ref().map(Course::memory).unwrap_or_default();
    let memory = memory.max(as_it_was.memory());
    let begin = |course: Course| Replay::new(course, trace.since);
    let (mut under_active, mut under_tried) = (begin(as_it_was), instead.map(begin));
    let (mut recorded, mut on_trial) = (Tally::default(), Tally::default());
    let mut had_trial = false;
    trace.each(memory, |page| {
        for record in page {
            under_active.take(record);
            if let Some(replay) = &mut under_tried {
                replay.take(record);
            }
            if record.at >= trace.since && trace.is_own() {
                recorded.count(record, &record.active, Duration::ZERO);
                had_trial |= count_trial(&mut on_trial, record);
            }
        }
    })?;
    let side = |named: &Named, replay: Replay| Side {
        name: named.name.clone(),
        replayed: replay.finish(),
    };
    Ok(Outcome {
        since: trace.is_own().then_some(trace.since),
        recorded: trace.is_own().then(|| recorded.finish()),
        on_trial: had_trial.then(|| on_trial.finish()),
        active: side(active, under_active),
        tried: tried.zip(under_tried).map(|(named, replay)| side(named, replay)),
        orders: past.told.clone(),
    })
}

fn count_trial(on_trial: &mut Tally, record: &AttemptRecord) -> bool {
    if let Some(verdict) = &record.candidate {
        on_trial.count(record, verdict, Duration::ZERO);
    }
    record.candidate.is_some()
}

impl Outcome {
    /// Each column, with what stands above it.
    pub fn columns(&self) -> Vec<(String, &Replayed)> {
        let mut columns = Vec::new();
        columns.extend(
            self.recorded
                .as_ref()
                .map(|replayed| ("as it was".to_owned(), replayed)),
        );
        columns.extend(
            self.on_trial
                .as_ref()
                .map(|replayed| ("trial, as it was".to_owned(), replayed)),
        );
        for side in [Some(&self.active), self.tried.as_ref()].into_iter().flatten() {
            columns.push((side.name.clone(), &side.replayed));
        }
        columns
    }

    fn tell(&self, output: &mut Output) -> anyhow::Result<()> {
        let columns = self.columns();
        let all = &self.active.replayed;
        let Some((first, last)) = all.span else {
            return output.line("Nothing was tried in that time.");
        };
        let (first, last) = (output.time(first), output.time(last));
        output.line(format_args!("{} attempts from {first} to {last}\n", all.attempts))?;
        output.table(&comparison(&columns, output))?;
        for (title, replayed) in &columns {
            if replayed.refused + replayed.slowed + replayed.noted > 0 {
                output.line(format_args!("\n{STRONG}{title}{STRONG:#}"))?;
                output.table(&details(replayed))?;
            }
        }
        if !self.orders.is_empty() {
            output.line("\nOrders of that time, which were taken into account:")?;
            for order in &self.orders {
                output.line(format_args!("  {}", order.line(output)))?;
            }
        }
        for note in notes(self) {
            output.line(format_args!("\n{note}"))?;
        }
        Ok(())
    }
}

/// The figures side by side.
fn comparison(columns: &[(String, &Replayed)], output: &Output) -> Table {
    let mut table = Table::of_facts();
    let head = columns.iter().map(|(title, _)| Styled::new(title, STRONG));
    table.row(std::iter::once(Styled::from("")).chain(head));
    let mut fact = |name: &str, figure: &dyn Fn(&Replayed) -> Styled| {
        let cells = columns.iter().map(|(_, replayed)| figure(replayed));
        table.row(std::iter::once(Styled::faint(name)).chain(cells));
    };
    let plain = |count: u64| {
        Styled::new(
            &count.to_string(),
            if count > 0 { anstyle::Style::new() } else { FAINT },
        )
    };
    fact("Refused", &|told| plain(told.refused));
    fact("Answered late", &|told| plain(told.slowed));
    fact("Told of", &|told| plain(told.noted));
    fact("People who signed in", &|told| plain(told.people.seen));
    fact("of them stopped before", &|told| {
        let style = if told.people.stopped > 0 { BAD } else { GOOD };
        Styled::new(&told.people.stopped.to_string(), style)
    });
    fact("of them kept waiting", &|told| plain(told.people.slowed));
    fact("Guesses let through", &|told| plain(told.guesses.total));
    fact("at one account in a day, at most", &|told| plain(told.guesses.most));
    fact("the median account", &|told| plain(told.guesses.median));
    fact("Worst minute", &|told| match told.worst {
        Some(worst) => format!("{} refused at {}", worst.refused, output.time(worst.at))
            .as_str()
            .into(),
        None => Styled::faint("-"),
    });
    table
}

/// Who was refused, and by which rule.
fn details(replayed: &Replayed) -> Table {
    let mut table = Table::of_facts();
    for (rule, figures) in &replayed.rules {
        let parts = [
            (figures.refused, "refused"),
            (figures.slowed, "answered late"),
            (figures.noted, "told of"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        table.fact(rule.as_str(), parts.join(", "));
    }
    let list = |counted: &[crate::domain::limits::replay::Counted]| {
        let most = counted
            .iter()
            .take(5)
            .map(|one| format!("{} ({})", one.address, one.refused));
        most.collect::<Vec<_>>().join(", ")
    };
    if !replayed.addresses.is_empty() {
        table.fact("Addresses most refused", list(&replayed.addresses));
        table.fact("Networks (/24, /48)", list(&replayed.subnets));
    }
    table
}

/// What has to be known to read the figures.
fn notes(outcome: &Outcome) -> Vec<String> {
    let all = &outcome.active.replayed;
    let mut notes = Vec::new();
    let judged = outcome.tried.as_ref().unwrap_or(&outcome.active);
    if all.people.seen == 0 {
        notes.push(format!(
            "{CARE}Nobody succeeded in these attempts, so nobody can be found to be stopped.{CARE:#} Authelia logs successes at the \
             level debug alone; for nginx, say with --map succeeded=STATUS how they are answered."
        ));
    }
    if all.unknown > 0 {
        notes.push(format!(
            "Of {} attempts nobody knows how they would have ended, since they were stopped; {} lets {} of them through. They are \
             taken for wrong ones, and for nobody's success.",
            all.unknown, judged.name, judged.replayed.unknown_granted
        ));
    }
    if all.banned > 0 {
        notes.push(format!(
            "{} attempts were stopped by a ban and by no rule; they are left out, but for what they drew.",
            all.banned
        ));
    }
    for side in [Some(&outcome.active), outcome.tried.as_ref()].into_iter().flatten() {
        for rule in &side.replayed.without {
            notes.push(format!(
                "The rule {rule} of {} counts by password. Nothing is recorded of passwords, so it has counted nothing here.",
                side.name
            ));
        }
    }
    if outcome.recorded.is_some() && all.agreement.other > 0 {
        notes.push(format!(
            "{} of {} verdicts of {} are others than those of that time: the policy was another one, or a rule counts what is \
             not recorded.",
            all.agreement.other,
            all.agreement.other + all.agreement.same,
            outcome.active.name
        ));
    }
    notes
}

#[cfg(test)]
impl Outcome {
    /// With these figures.
    pub fn for_a_test(recorded: Option<Replayed>, active: Side, tried: Option<Side>) -> Self {
        Self {
            since: None,
            recorded,
            on_trial: None,
            active,
            tried,
            orders: Vec::new(),
        }
    }
}
