//! `sekisho config`: what is wrong with a configuration, what is in effect, what may be written in one.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::config::{Config, Problem};

use super::open;
use super::output::{BAD, CARE, GOOD, Output, aside, plain};

#[derive(Subcommand)]
pub enum Command {
    /// Check the configuration and the files it names: every error in one run
    #[command(
        after_help = "The check is made as the user who runs it: run it as the user that the gateway runs as. \
        The exit code is 0 when the gateway would start, warnings or not, and 1 otherwise."
    )]
    Check,
    /// Print the configuration in effect, defaults included; it holds no secrets
    Show,
    /// Print every key with its explanation and its default: a configuration to start from
    #[command(after_help = "Example:\n  sekisho config example > /etc/sekisho/sekisho.toml")]
    Example,
    /// Print the JSON Schema of the configuration, for editors
    Schema,
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check => return check(path, output),
            Self::Show => output.text(&open::config(path)?.show())?,
            Self::Example => output.text(&Config::documented())?,
            Self::Schema => output.json(&Config::schema())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn check(path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
    let (errors, warnings) = match Config::load(path) {
        Ok(config) => (config.check_files(), config.warnings()),
        Err(errors) => (errors.0, Vec::new()),
    };
    for error in &errors {
        report(format_args!("{BAD}error:{BAD:#}"), error);
    }
    for warning in &warnings {
        report(format_args!("{CARE}warning:{CARE:#}"), warning);
    }
    if errors.is_empty() {
        output.line(verdict(path, warnings.len()))?;
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

fn report(label: std::fmt::Arguments<'_>, problem: &Problem) {
    aside(format_args!("{label} {}", plain(&problem.to_string())));
}

fn verdict(path: &Path, warnings: usize) -> String {
    let path = path.display();
    match warnings {
        0 => format!("{GOOD}{path} is in order.{GOOD:#}"),
        1 => format!("{GOOD}{path} is in order{GOOD:#}, with one warning."),
        n => format!("{GOOD}{path} is in order{GOOD:#}, with {n} warnings."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Sheet;
    use super::*;

    #[test]
    fn a_missing_file_fails_the_check_and_prints_no_verdict() {
        let sheet = Sheet::default();
        let code = check(Path::new("/nowhere/sekisho.toml"), &mut sheet.output()).unwrap();
        assert_eq!(code, ExitCode::FAILURE);
        assert_eq!(sheet.text(), "");
    }

    #[test]
    fn what_is_shown_and_what_is_offered_to_start_from_can_be_read_back() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("sekisho.toml");
        let print = |command: &Command| {
            let sheet = Sheet::default();
            command.run(&file, &mut sheet.output()).unwrap();
            sheet.text()
        };
        let example = print(&Command::Example);
        assert_eq!(Config::parse(&example, &file).unwrap(), Config::default());
        std::fs::write(&file, example).unwrap();
        assert_eq!(Config::parse(&print(&Command::Show), &file).unwrap(), Config::default());
        let schema: serde_json::Value = serde_json::from_str(&print(&Command::Schema)).unwrap();
        assert!(schema.get("$schema").is_some());
    }
}
