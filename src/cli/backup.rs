//! `sekisho backup`: made while the server runs, restored onto a new machine, proved to tell nobody a secret.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::Style;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::app::{
    BackupProblem, Check, Created, Manifest, Origin, PepperStanding, Restored, Restoring, SealingStanding, Step,
    Verdict, create_backup, prove_backup, restore_backup,
};
use crate::config::Config;

use super::output::{BAD, CARE, FAINT, GOOD, Output, counted, plain};
use super::{open, runtime};

#[derive(Subcommand)]
pub enum Command {
    /// Write the store into one file, while the server runs or not
    #[command(
        after_help = "Inside: accounts with their password hashes, events, letters without their links, sealed signing keys. \
        Not inside: sessions, links, the configuration and the secrets; copy those (pepper, sealing.key) to another \
        place. The file has mode 0600; `tar --zstd -xf FILE` unpacks it anywhere.\n\n\
        Example:\n  sekisho backup create /var/backups/sekisho/$(date +%F).backup"
    )]
    Create(Create),
    /// Put a backup in the place of the store, on this machine or a new one
    #[command(
        after_help = "The whole file is checked before anything is touched. Stop the server first. After it everybody signs in \
        again, and links in letters are dead. Bring pepper and sealing.key over first: without the sealing key nothing \
        tells whether the file is as it was made, and it is refused.\n\n\
        Example:\n  sekisho backup restore /var/backups/sekisho/2026-01-31.backup"
    )]
    Restore(Restore),
    /// Show by checks that a backup tells nobody a password, a token, a private key or the pepper
    #[command(
        after_help = "One line for each check. Exit code 0: every check that could be done here holds; 1: one does not. With \
        the configuration of the machine that the backup comes from, its own secrets are looked for as well; without \
        one, that check is skipped and says so.\n\n\
        Example:\n  sekisho backup prove /var/backups/sekisho/2026-01-31.backup --json"
    )]
    Prove(Prove),
}

#[derive(Args)]
pub struct Create {
    /// The file to write
    file: PathBuf,
    /// Overwrite a file that is there
    #[arg(long)]
    force: bool,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// Also where the store has accounts; what is there now is kept aside
    #[arg(long)]
    replace: bool,
    /// Pepper or sealing key are lost for good: leave out the passwords and signing keys that need the lost one, and take
    /// the file although nothing can tell who made it
    #[arg(long)]
    keys_lost: bool,
}

#[derive(Args)]
pub struct Prove {
    /// The backup
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run(path, output)?,
            Self::Restore(restore) => restore.run(path, output)?,
            Self::Prove(prove) => return prove.run(path, output),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let config = open::config(path)?;
        open::refuse_foreign(&config.store.directory)?;
        let made = runtime::brief()?.block_on(create_backup(&config, &self.file, self.force))?;
        if self.json {
            return output.json(&Entry::of(&made));
        }
        tell_created(&made, output)
    }
}

/// A backup in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    file: &'a Path,
    bytes: u64,
    manifest: &'a Manifest,
}

impl<'a> Entry<'a> {
    fn of(made: &'a Created) -> Self {
        Self {
            file: &made.file,
            bytes: made.bytes,
            manifest: &made.manifest,
        }
    }
}

fn tell_created(made: &Created, output: &mut Output) -> anyhow::Result<()> {
    output.line(format_args!(
        "{GOOD}Wrote {}{GOOD:#} ({}): {}.",
        plain(&made.file.display().to_string()),
        bytesize::ByteSize(made.bytes).display().iec(),
        contents(&made.manifest)
    ))?;
    output.line(format_args!(
        "Not inside, on purpose: {}.",
        made.manifest.left_out.join(", ")
    ))?;
    output.line(
        "Restoring it takes the pepper and the sealing key of this machine: keep a copy of both, apart from this file.",
    )
}

fn contents(manifest: &Manifest) -> String {
    let rows = |table: &str| manifest.rows.get(table).copied().unwrap_or_default();
    [
        counted(rows("accounts"), "account", "accounts"),
        counted(rows("events"), "event", "events"),
        counted(rows("letters"), "letter", "letters"),
        counted(rows("signing_keys"), "signing key", "signing keys"),
    ]
    .join(", ")
}

impl Restore {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let config = open::config(path)?;
        open::refuse_foreign(&config.store.directory)?;
        let wish = Restoring {
            file: &self.file,
            replace: self.replace,
            keys_lost: self.keys_lost,
        };
        let mut untold = None;
        let mut progress = |step: Step<'_>| {
            // Somebody who no longer reads does not stop a restore half-way.
            if untold.is_none()
                && let Err(error) = tell_step(&step, output).and_then(|()| output.flush())
            {
                untold = Some(error);
            }
            Ok::<(), BackupProblem>(())
        };
        let restored = runtime::brief()?.block_on(restore_backup(&config, wish, &mut progress))?;
        match untold {
            Some(error) => Err(error),
            None => tell_restored(&restored, &config, output),
        }
    }
}

fn tell_step(step: &Step<'_>, output: &mut Output) -> anyhow::Result<()> {
    match step {
        Step::FileChecked(manifest, origin) => {
            done(
                output,
                format_args!(
                    "the file is whole: made {} by Sekisho {}, {}",
                    output_time(manifest),
                    plain(&manifest.version),
                    contents(manifest)
                ),
            )?;
            match origin {
                Origin::Ours => done(output, "it was made with the sealing key that is here"),
                _ => note(
                    output,
                    "who made it cannot be told without the sealing key it was made with, which was said to be lost",
                ),
            }
        }
        Step::StoreLocked => done(output, "no server runs on the store, and none can start meanwhile"),
        Step::DatabaseChecked => done(output, "the database in it is sound"),
        Step::Migrated(from, to) => done(
            output,
            format_args!("its tables were brought from version {from} to {to}"),
        ),
        Step::UpToDate => done(output, "its tables are those of this version"),
        Step::Prepared => done(output, "sessions and links are void"),
        Step::KeptAside(aside) => done(
            output,
            format_args!("the earlier store is kept in {}", plain(&aside.display().to_string())),
        ),
        Step::InPlace => done(output, "the backup is in place"),
    }
}

fn output_time(manifest: &Manifest) -> String {
    manifest.created_at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn done(output: &mut Output, what: impl std::fmt::Display) -> anyhow::Result<()> {
    output.line(format_args!("{GOOD}done{GOOD:#}  {what}"))
}

fn note(output: &mut Output, what: impl std::fmt::Display) -> anyhow::Result<()> {
    output.line(format_args!("{CARE}note{CARE:#}  {what}"))
}

fn tell_restored(restored: &Restored, config: &Config, output: &mut Output) -> anyhow::Result<()> {
    let directory = config.secrets.directory.display();
    let wrong = |another: bool| if another { "is another one than" } else { "is missing:" };
    match &restored.pepper {
        PepperStanding::Here => done(output, "the pepper is here: passwords work")?,
        PepperStanding::Missing {
            people,
            ids,
            another_is_here,
        } => note(
            output,
            format_args!(
                "{directory}/pepper {} the one that the passwords of {} were hashed with (named {}). Bring it \
                 over before the first start. Lost for good? Restore again with --replace --keys-lost: then they choose \
                 \"Forgot your password?\" and set new ones",
                wrong(*another_is_here),
                counted(people, "person", "people"),
                plain(&ids.join(", "))
            ),
        )?,
        PepperStanding::Forgotten(people) => note(
            output,
            format_args!(
                "the passwords of {} are gone with the lost pepper: they choose \"Forgot your password?\" and set new ones",
                counted(people, "person", "people")
            ),
        )?,
    }
    match restored.sealing_key {
        SealingStanding::Here => done(output, "the sealing key is here: signing keys work")?,
        SealingStanding::Missing { keys, another_is_here } => note(
            output,
            format_args!(
                "{directory}/sealing.key {} the one that {} sealed with. Bring it over before the first start. Lost for good? \
                 Restore again with --replace --keys-lost: then new signing keys are made",
                wrong(another_is_here),
                counted(keys, "signing key is", "signing keys are")
            ),
        )?,
        SealingStanding::Forgotten(keys) => note(
            output,
            format_args!(
                "{} gone with the lost sealing key: the next start makes new ones",
                counted(keys, "signing key is", "signing keys are")
            ),
        )?,
    }
    output.line("Everybody signs in again, and links in letters are dead: sekisho account welcome sends new ones.")
}

impl Prove {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        // An auditor has the backup and perhaps nothing else.
        let own = if path.exists() { Some(open::config(path)?) } else { None };
        let checks = runtime::brief()?.block_on(prove_backup(&self.file, own.as_ref()))?;
        let proved = checks.iter().all(|check| check.verdict != Verdict::Failed);
        if self.json {
            output.json(&serde_json::json!({ "file": self.file, "proved": proved, "checks": checks }))?;
        } else {
            tell_checks(&checks, proved, output)?;
        }
        Ok(if proved { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn tell_checks(checks: &[Check], proved: bool, output: &mut Output) -> anyhow::Result<()> {
    for check in checks {
        let (style, word) = look_of(check.verdict);
        let notes = if check.notes.is_empty() {
            String::new()
        } else {
            format!(": {}", check.notes.join("; "))
        };
        output.line(format_args!(
            "{style}{word:<7}{style:#}  {:<19}  looked for {}: {} ({} looked at){}",
            check.name,
            check.looked_for,
            check.place,
            check.looked_at,
            plain(&notes)
        ))?;
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let skipped = match count(Verdict::Skipped) {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    let (held, failed) = (count(Verdict::Proved), count(Verdict::Failed));
    if proved {
        output.line(format_args!("{GOOD}Proved{GOOD:#} by {held} checks{skipped}."))
    } else {
        output.line(format_args!(
            "{BAD}Not proved{BAD:#}: {failed} checks failed, {held} hold{skipped}."
        ))
    }
}

const fn look_of(verdict: Verdict) -> (Style, &'static str) {
    match verdict {
        Verdict::Proved => (GOOD, "proved"),
        Verdict::Failed => (BAD, "FAILED"),
        Verdict::Skipped => (FAINT, "skipped"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Sheet;
    use super::*;

    fn check(name: &'static str, verdict: Verdict, notes: &[&str]) -> Check {
        Check {
            name,
            looked_for: "secrets",
            place: "the file",
            looked_at: 7,
            verdict,
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        }
    }

    fn told(checks: &[Check], proved: bool) -> String {
        let sheet = Sheet::default();
        tell_checks(checks, proved, &mut sheet.output()).unwrap();
        sheet.text()
    }

    #[test]
    fn each_check_is_a_line_and_the_last_line_is_the_verdict() {
        let good = check("whole", Verdict::Proved, &[]);
        let skipped = check("own", Verdict::Skipped, &["no configuration"]);
        let bad = check("keys", Verdict::Failed, &["a: opens"]);
        let text = told(&[good.clone(), skipped.clone()], true);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "proved   whole                looked for secrets: the file (7 looked at)"
        );
        assert!(lines[1].starts_with("skipped  own") && lines[1].ends_with(": no configuration"));
        assert_eq!(lines[2], "Proved by 1 checks, 1 skipped.");
        let text = told(&[good, skipped, bad], false);
        assert!(
            text.contains("FAILED   keys") && text.ends_with("Not proved: 1 checks failed, 1 hold, 1 skipped.\n"),
            "{text}"
        );
    }
}
