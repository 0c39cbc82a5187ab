//! `sekisho reload`: tells the running gateway to take up its configuration, and says what came of it.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::app::{self, Reloaded};
use crate::config::{Change, Config};

use super::output::{BAD, CARE, GOOD, Output, aside, plain};

/// Takes up the configuration in `path`.
pub fn run(path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
    let config = match Config::load(path) {
        Ok(config) => config,
        // Where the gateway is to be found is not known either; it sees for itself that the file has changed.
        Err(errors) => return Ok(refuse(errors.0.iter().map(ToString::to_string))),
    };
    let directory = &config.store.directory;
    let asked = app::ask_to_reload(directory, path)
        .with_context(|| format!("could not ask the gateway on the store in {}", directory.display()))?;
    match asked {
        None => bail!(
            "no gateway is running on the store in {}; one that was started with another store.directory goes on there \
             until its restart",
            directory.display()
        ),
        Some(Reloaded::Refused(problems)) => Ok(refuse(problems)),
        Some(Reloaded::TakenUp { changes, warnings }) => {
            for warning in warnings {
                aside(format_args!("{CARE}warning:{CARE:#} {}", plain(&warning)));
            }
            report(&changes, output)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn refuse(problems: impl IntoIterator<Item = String>) -> ExitCode {
    for problem in problems {
        aside(format_args!("{BAD}error:{BAD:#} {}", plain(&problem)));
    }
    aside("The new configuration is refused; a running gateway goes on with the old one.");
    ExitCode::FAILURE
}

fn report(changes: &[Change], output: &mut Output) -> anyhow::Result<()> {
    let waiting = changes.iter().filter(|change| change.restart.is_some()).count();
    for change in changes {
        let value = |value: &Option<String>| {
            value
                .as_deref()
                .map_or_else(|| "(none)".to_owned(), |text| plain(text).into_owned())
        };
        let line = format!(
            "{}: {} -> {}",
            plain(&change.key),
            value(&change.before),
            value(&change.after)
        );
        match &change.restart {
            None => output.line(line)?,
            Some(why) => output.line(format!("{line} {CARE}waits for a restart{CARE:#}: {}", plain(why)))?,
        }
    }
    output.line(match (changes.len() - waiting, waiting) {
        (0, 0) => format!("{GOOD}The configuration is in force{GOOD:#}; no key in it has changed."),
        (_, 0) => format!("{GOOD}The configuration is in force.{GOOD:#}"),
        _ => format!("{GOOD}The configuration is in force{GOOD:#}, but for what waits for a restart."),
    })
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Sheet;
    use super::*;

    fn change(key: &str, before: Option<&str>, restart: Option<&'static str>) -> Change {
        Change {
            key: key.to_owned(),
            before: before.map(str::to_owned),
            after: Some("2".to_owned()),
            restart: restart.map(Into::into),
        }
    }

    #[test]
    fn what_changed_is_said_key_by_key_and_what_waits_with_its_reason() {
        let sheet = Sheet::default();
        let changes = [
            change("branding.logo", None, None),
            change("server.listen", Some("1"), Some("the sockets are opened at the start")),
        ];
        report(&changes, &mut sheet.output()).unwrap();
        assert_eq!(
            sheet.text(),
            "branding.logo: (none) -> 2\n\
             server.listen: 1 -> 2 waits for a restart: the sockets are opened at the start\n\
             The configuration is in force, but for what waits for a restart.\n"
        );
        let sheet = Sheet::default();
        report(&[], &mut sheet.output()).unwrap();
        assert_eq!(
            sheet.text(),
            "The configuration is in force; no key in it has changed.\n"
        );
    }
}
