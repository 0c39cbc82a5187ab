//! `sekisho account import`: shows what a file would change, and does it when told to.

mod report;

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};

use crate::app::Office;
use crate::config::Config;
use crate::crypto::foreign;
use crate::domain::language::Language;
use crate::flows::import::{
    Column, Difference, ImportOutcome, ImportPlan, JudgeHash, MAX_FILE, Mapping, Reading, Sheet, Wish, encoding,
};

use super::super::open;
use super::super::output::{Output, counted};
use report::Report;

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Import {
    /// The file, or - for standard input. Its first line names the columns
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Which heading a column stands under, when it is not recognised; COLUMN= alone leaves the column out
    #[arg(long, value_name = "COLUMN=HEADING", value_parser = mapping)]
    map: Vec<Mapping>,
    /// The encoding of the file, such as cp932 [default: recognised]
    #[arg(long, value_name = "NAME", value_parser = |name: &str| encoding(name).map(|encoding| encoding.name().to_owned()))]
    encoding: Option<String>,
    /// Language of new people whose line names none [default: branding.language of the configuration]
    #[arg(long, value_parser = PossibleValuesParser::new(["ja", "en"]).try_map(|tag| tag.parse::<Language>()))]
    language: Option<Language>,
    /// Disable whoever is not in the file
    #[arg(long)]
    sync: bool,
    /// With --sync: also when more than a quarter of all people would be disabled
    #[arg(long, requires = "sync")]
    allow_many: bool,
    /// Mail a Welcome link to everybody invited who has not been written to, at the rate of the configuration
    #[arg(long)]
    welcome: bool,
    /// Leave refused lines out, instead of changing nothing at all
    #[arg(long)]
    skip_refused: bool,
    /// Do it, without asking
    #[arg(long)]
    apply: bool,
    /// Show at most so many lines of each kind
    #[arg(long, value_name = "N", default_value_t = 50)]
    most: usize,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

fn mapping(text: &str) -> Result<Mapping, String> {
    let columns = || Column::ALL.map(Column::as_str).join(", ");
    let (column, heading) = text.split_once('=').ok_or("write COLUMN=HEADING")?;
    let column = Column::parse(column).ok_or_else(|| format!("{column:?} is none of the columns {}", columns()))?;
    let heading = heading.trim();
    Ok(Mapping {
        column,
        heading: (!heading.is_empty()).then(|| heading.to_owned()),
    })
}

impl Import {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let bytes = self.bytes()?;
        open::office(path, async |office, config| {
            self.import(&bytes, office, config, output).await
        })
    }

    async fn import(&self, bytes: &[u8], office: &Office, config: &Config, output: &mut Output) -> anyhow::Result<()> {
        let sheet = self.sheet(bytes)?;
        let mut report = Report::of(&sheet);
        let imports = office.imports(config);
        let wish = Wish {
            sync: self.sync,
            welcome: self.welcome,
            language: self.language.unwrap_or(config.branding.language),
        };
        let plan = imports.plan(sheet, wish).await?;
        report.compare(&plan, self.most);
        if !self.json {
            report.print(&plan, output)?;
        }
        let objection = self.objection(&plan.difference);
        let wanted = objection.is_none() && !plan.difference.is_empty() && (self.apply || self.agreed()?);
        if wanted {
            let bar = bar(plan.difference.count(), "storing");
            let outcome = imports.apply(&plan, &|stored| bar.set_position(stored as u64)).await;
            bar.finish_and_clear();
            judge(outcome?)?;
            report.applied = true;
        }
        if self.json {
            output.json(&report)?;
        } else if objection.is_none() {
            output.line(last_words(&plan, wanted, output))?;
        }
        match objection {
            Some(objection) => bail!("{objection}; nothing was changed"),
            None => Ok(()),
        }
    }

    /// The file, as far as it may be read.
    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let most = MAX_FILE as u64;
        let mut bytes = Vec::new();
        let read = if self.file.as_os_str() == "-" {
            io::stdin().lock().take(most + 1).read_to_end(&mut bytes)
        } else {
            File::open(&self.file).and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        };
        read.with_context(|| format!("could not read {}", self.file.display()))?;
        if bytes.len() > MAX_FILE {
            bail!(
                "{} is larger than 32 MiB; split it, and import the parts without --sync",
                self.file.display()
            );
        }
        Ok(bytes)
    }

    fn sheet(&self, bytes: &[u8]) -> anyhow::Result<Sheet> {
        let bar = bar(0, "reading");
        let judge: JudgeHash<'_> = &|text| foreign::judge(text).map_err(|problem| problem.to_string());
        let progress = |read: usize, lines: usize| {
            bar.set_length(lines as u64);
            bar.set_position(read as u64);
        };
        let reading = Reading {
            encoding: self.encoding.as_deref().map(encoding).transpose()?,
            told: &self.map,
            judge_hash: judge,
            progress: &progress,
        };
        let sheet = Sheet::read(bytes, &reading);
        bar.finish_and_clear();
        sheet.with_context(|| format!("could not read {}", self.file.display()))
    }

    /// Why nothing may be changed, and what to do about it.
    fn objection(&self, difference: &Difference) -> Option<String> {
        let refused = difference.refused.len();
        if refused > 0 && !self.skip_refused {
            let lines = counted(refused, "line is refused: mend it", "lines are refused: mend them");
            return Some(format!("{lines}, or leave what is refused out with --skip-refused"));
        }
        if difference.is_uncertain() {
            return Some(
                "some refused lines do not even tell whom they are about, so with --sync nobody can say who is missing: \
                 mend them"
                    .to_owned(),
            );
        }
        if difference.disables_many() && !self.allow_many {
            return Some(format!(
                "{} of {} people would be disabled, which looks like an incomplete file: when it is right, add --allow-many",
                difference.disabled.len(),
                difference.enabled
            ));
        }
        None
    }

    /// Asks at a terminal. Programs, and whoever wants JSON, say `--apply`.
    fn agreed(&self) -> anyhow::Result<bool> {
        let piped = self.file.as_os_str() == "-";
        if self.json || piped || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(false);
        }
        let mut question = anstream::stderr();
        let _ = write!(question, "Make these changes? [y/N] ");
        let _ = question.flush();
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

fn judge(outcome: ImportOutcome) -> anyhow::Result<()> {
    match outcome {
        ImportOutcome::Done => Ok(()),
        ImportOutcome::Outdated => {
            bail!("an account was changed by somebody else meanwhile, so nothing was imported; run the command again")
        }
        ImportOutcome::LastAdministrator => bail!(
            "nobody would be left who can sign in as an administrator, so nothing was imported; first add another with \
             --role admin, who has to set a password"
        ),
        ImportOutcome::TooSlow => bail!(
            "at mail.rate the last letters would wait for more than three days, so nothing was imported; raise mail.rate in \
             the configuration, or import without --welcome and in parts"
        ),
    }
}

fn last_words(plan: &ImportPlan, applied: bool, output: &Output) -> String {
    if plan.difference.is_empty() {
        return "Nothing to change: everything in the file is stored already.".to_owned();
    }
    if !applied {
        return "Nothing has been changed. To make these changes: the same command with --apply".to_owned();
    }
    match plan.last_letter_at {
        None => "Done.".to_owned(),
        Some(at) => format!(
            "Done. Letters leave one after the other, the last at about {}. How far they are: sekisho mail progress",
            output.time(at)
        ),
    }
}

/// A bar on standard error; nothing where that is no terminal.
pub(in crate::cli) fn bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg:>8} {wide_bar} {human_pos}/{human_len} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_a_column_and_its_heading() {
        let read = mapping("email=Mail Address").unwrap();
        assert_eq!(
            (read.column, read.heading.as_deref()),
            (Column::Email, Some("Mail Address"))
        );
        assert_eq!(mapping("first-name=x").unwrap().column, Column::FirstName);
        assert_eq!(mapping("role=").unwrap().heading, None);
        assert!(mapping("email").is_err());
        assert!(mapping("phone=x").unwrap_err().contains("extension, name"));
    }

    #[test]
    fn every_outcome_but_done_says_what_to_do() {
        assert!(judge(ImportOutcome::Done).is_ok());
        for (outcome, says) in [
            (ImportOutcome::Outdated, "run the command again"),
            (ImportOutcome::LastAdministrator, "--role admin"),
            (ImportOutcome::TooSlow, "mail.rate"),
        ] {
            let words = judge(outcome).unwrap_err().to_string();
            assert!(
                words.contains(says) && words.contains("nothing was imported"),
                "{words}"
            );
        }
    }
}
