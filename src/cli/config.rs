//! `sekisho config`: what is wrong with a configuration, what is in effect, what may be written in one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Subcommand;

use crate::app;
use crate::config::Config;
use crate::crypto::tls::Survey;
use crate::domain::doors::Door;

use super::open;
use super::output::{BAD, CARE, GOOD, Output, aside, plain};
use super::table::Table;

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
    /// Write the built-in pages, letters, texts and style sheets into a directory: a theme to start from
    #[command(
        after_help = "Delete what you do not change: a file that is not there stays as the gateway has it, also in later \
        versions. Name the directory as branding.theme; `sekisho config check` says what is wrong with it.\n\n\
        Example:\n  sekisho config theme /etc/sekisho/theme"
    )]
    Theme {
        /// The directory; made where it is missing, and otherwise empty
        directory: PathBuf,
    },
    /// Print the JSON Schema of the configuration, for editors
    Schema,
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check => return check(path, output),
            Self::Show => output.text(&open::config(path)?.show())?,
            Self::Example => output.text(&Config::documented())?,
            Self::Theme { directory } => theme(directory, output)?,
            Self::Schema => output.json(&Config::schema())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn check(path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
    let (errors, warnings, sites) = match Config::load(path) {
        Ok(config) => {
            let files = config.check_files().iter().map(ToString::to_string).collect::<Vec<_>>();
            // What a file that cannot be read holds is no second problem.
            let (survey, trust) = if files.is_empty() {
                (app::survey_certificates(&config), app::check_trust(&config))
            } else {
                (Survey::default(), Vec::new())
            };
            let warnings = [config.warnings(), config.warnings_of_files()].concat();
            let warnings = warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
            (
                [
                    files,
                    survey.errors,
                    trust,
                    app::check_blocklists(&config),
                    app::check_theme(&config),
                ]
                .concat(),
                [warnings, survey.warnings].concat(),
                sites(&config),
            )
        }
        Err(errors) => (errors.0.iter().map(ToString::to_string).collect(), Vec::new(), None),
    };
    for error in &errors {
        report(format_args!("{BAD}error:{BAD:#}"), error);
    }
    for warning in &warnings {
        report(format_args!("{CARE}warning:{CARE:#}"), warning);
    }
    if errors.is_empty() {
        if let Some(sites) = sites {
            output.table(&sites)?;
        }
        output.line(verdict(path, warnings.len()))?;
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

/// The sites, where there are several.
fn sites(config: &Config) -> Option<Table> {
    let mut table = Table::new(["Site", "In office", "Out of office", "Audience"]);
    for site in config.all_sites() {
        let address = |door: &Door| door.link(site.path.as_str());
        table.row([
            site.name.to_string().into(),
            address(&site.doors.in_office).into(),
            address(&site.doors.out_of_office).into(),
            site.audience.as_str().into(),
        ]);
    }
    (!config.sites.is_empty()).then_some(table)
}

/// Nothing that is there is overwritten: it may be somebody's work.
fn theme(directory: &Path, output: &mut Output) -> anyhow::Result<()> {
    let failed = |error: std::io::Error| anyhow!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    if fs::read_dir(directory).map_err(failed)?.next().is_some() {
        bail!(
            "{} is not empty; name a directory that is, or a new one",
            directory.display()
        );
    }
    let files = app::built_in_theme();
    for (path, bytes) in &files {
        let file = directory.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::write(&file, bytes).map_err(failed)?;
    }
    output.line(format!(
        "{} files were written to {}.",
        files.len(),
        plain(&directory.display().to_string())
    ))
}

fn report(label: std::fmt::Arguments<'_>, problem: &str) {
    aside(format_args!("{label} {}", plain(problem)));
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
    fn a_theme_to_start_from_is_written_once() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("theme");
        let sheet = Sheet::default();
        theme(&directory, &mut sheet.output()).unwrap();
        assert!(directory.join("pages/login.html").is_file() && directory.join("letters/welcome.ja.txt").is_file());
        let refused = theme(&directory, &mut sheet.output()).unwrap_err();
        assert!(
            refused
                .to_string()
                .ends_with("is not empty; name a directory that is, or a new one")
        );
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
