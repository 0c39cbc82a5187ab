//! `sekisho upgrade`: lets the program that lies where the running gateway was started from take its place.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::app::{self, Upgraded};

use super::open;
use super::output::{BAD, GOOD, Output, aside, plain};

/// Upgrades the gateway with the configuration in `path`.
pub fn run(path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
    let config = open::config(path)?;
    let directory = &config.store.directory;
    let asked = app::ask_to_upgrade(directory, path)
        .with_context(|| format!("could not ask the gateway on the store in {}", directory.display()))?;
    match asked {
        None => bail!("no gateway is running on the store in {}", directory.display()),
        Some(Upgraded::Failed(why)) => {
            aside(format_args!("{BAD}error:{BAD:#} {}", plain(&why)));
            aside("The new program did not take over; the old one serves on.");
            Ok(ExitCode::FAILURE)
        }
        Some(Upgraded::Done { process }) => {
            output.line(format!(
                "{GOOD}Process {process} serves now{GOOD:#}; the one before ends with what is open in it."
            ))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
