//! `sekisho limits promote` and `revert`: the policy on trial takes the place of the one in force, and goes back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::json;

use super::super::open;
use super::super::output::{CARE, FAINT, GOOD, Output, aside, plain};
use super::{check, diff};
use crate::app::{self, Governing, Office, world};
use crate::config::Config;
use crate::config::limits_file::LimitsFile;
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::limits::difference::Difference;

#[derive(Args)]
pub struct Promote {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Revert {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Promote {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let config = open::config(path)?;
        let policy = named(&config)?;
        let Some(candidate) = config.limits.candidate.clone() else {
            bail!("no policy is on trial: limits.candidate is not set");
        };
        if !candidate.exists() {
            bail!("no policy is on trial: {} does not exist", candidate.display());
        }
        let swap = Swap {
            config,
            path,
            new: candidate,
            old: policy.clone(),
            recorded: Fact::LimitsPromoted,
            json: self.json,
        };
        swap.run(output, || app::promote_policy(&policy, &swap.new))
    }
}

impl Revert {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let config = open::config(path)?;
        let policy = named(&config)?;
        let former = app::former_policy(&policy);
        if !former.exists() {
            bail!("there is nothing to go back to: {} does not exist", former.display());
        }
        let swap = Swap {
            config,
            path,
            new: former,
            old: policy.clone(),
            recorded: Fact::LimitsReverted,
            json: self.json,
        };
        swap.run(output, || app::revert_policy(&policy))
    }
}

/// The file of the policy in force.
fn named(config: &Config) -> anyhow::Result<PathBuf> {
    config.limits.policy.clone().ok_or_else(|| {
        anyhow!(
            "the preset standard is in force, and no file: write limits.policy = \"limits.toml\" into the configuration, and \
             the file with sekisho limits example"
        )
    })
}

/// One policy in the place of another.
struct Swap<'a> {
    config: Config,
    path: &'a Path,
    /// The file that is to be in force.
    new: PathBuf,
    /// The file that is.
    old: PathBuf,
    recorded: fn(String) -> Fact,
    json: bool,
}

impl Swap<'_> {
    fn run(&self, output: &mut Output, act: impl FnOnce() -> std::io::Result<()>) -> anyhow::Result<ExitCode> {
        let new = match LimitsFile::load(&self.new) {
            Ok(new) => new.policy,
            Err(problems) => {
                let code = check::refuse(&problems);
                aside("Nothing was changed.");
                return Ok(code);
            }
        };
        // What is not a policy any more is no reason to keep it.
        let old = LimitsFile::load(&self.old).map(|file| file.policy).unwrap_or_default();
        let difference = Difference::between(&old, &new);
        open::refuse_foreign(&self.config.store.directory)?;
        act().with_context(|| {
            format!(
                "could not put {} in the place of {}",
                self.new.display(),
                self.old.display()
            )
        })?;
        let fact = (self.recorded)(difference.to_string());
        open::office(self.path, async |office: &Office, _| {
            let world = world();
            let event = Event {
                id: world.uuid(),
                at: world.now(),
                actor: Actor::Operator,
                client: None,
                account: None,
                fact,
            };
            Ok(office.events.append(&[event]).await?)
        })?;
        let governing = self.tell()?;
        if self.json {
            output.json(&json!({
                "policy": self.old.display().to_string(),
                "running": governing.is_some(),
                "difference": diff::for_programs(&difference),
            }))?;
        } else {
            diff::report(&difference, output)?;
        }
        self.conclude(governing, output)
    }

    /// Has the running gateway take it up.
    fn tell(&self) -> anyhow::Result<Option<Governing>> {
        let directory = &self.config.store.directory;
        app::ask_to_govern(directory, self.path).with_context(|| {
            format!(
                "the files are in place, but the gateway on the store in {} could not be asked to take them up; it sees them \
                 by itself within seconds",
                directory.display()
            )
        })
    }

    fn conclude(&self, governing: Option<Governing>, output: &mut Output) -> anyhow::Result<ExitCode> {
        let policy = plain(&self.old.display().to_string()).into_owned();
        match governing {
            Some(Governing::Refused(problems)) => {
                for problem in problems {
                    aside(format_args!("{CARE}warning:{CARE:#} {}", plain(&problem)));
                }
                aside(format_args!(
                    "{policy} is in its place, but the running gateway goes on with what it had."
                ));
                return Ok(ExitCode::FAILURE);
            }
            _ if self.json => {}
            Some(Governing::InForce) => output.line(format!("{GOOD}{policy} is in force.{GOOD:#}"))?,
            None => output.line(format!(
                "{GOOD}{policy} is in its place{GOOD:#}; no gateway is running on the store in {}.",
                self.config.store.directory.display()
            ))?,
        }
        if !self.json && app::former_policy(&self.old).exists() {
            aside(format_args!(
                "{FAINT}The one before is kept beside it; sekisho limits revert exchanges the two.{FAINT:#}"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
