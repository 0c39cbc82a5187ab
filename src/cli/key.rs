//! `sekisho key`: the keys that assertions are signed with, and the pepper that password hashes are keyed with.

use std::path::Path;

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::event::Actor;
use crate::domain::key::KeyRecord;

use super::open;
use super::output::{GOOD, Output};
use super::pepper;
use super::table::{Styled, Table};

/// What a command is about. No secret is ever named or shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The keys that assertions are signed with
    Signing,
    /// The pepper that password hashes are keyed with
    Pepper,
}

#[derive(Subcommand)]
pub enum Command {
    /// List the signing keys, and the peppers with the number of accounts that rest on each
    List {
        /// Only these; without it both, and the signing keys in JSON
        what: Option<What>,
        /// Print JSON, with times in UTC
        #[arg(long)]
        json: bool,
    },
    /// Make a new signing key or pepper that counts from now on
    #[command(
        after_help = "Rotate at once when a key may have been seen by somebody else. Signing keys rotate by themselves: see \
        assertion.rotate_every in the configuration. Nobody is signed out; the old key stays published until the \
        last assertion it signed has expired.\n\nAn old pepper is kept until each person has signed in once more: see \
        sekisho key list pepper, and sekisho key drop."
    )]
    Rotate {
        /// What to make anew
        #[arg(default_value = "signing")]
        what: What,
    },
    /// Remove an old pepper that no account rests on any more
    Drop {
        /// Its name, as `sekisho key list` shows it
        #[arg(value_name = "NAME")]
        id: String,
        /// Even though accounts rest on it: they need a new password then
        #[arg(long, short)]
        yes: bool,
    },
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::List {
                what: None,
                json: false,
            } => {
                list(path, false, output)?;
                output.line("")?;
                pepper::list(path, false, output)
            }
            Self::List {
                what: Some(What::Pepper),
                json,
            } => pepper::list(path, *json, output),
            Self::List { json, .. } => list(path, *json, output),
            Self::Rotate { what: What::Signing } => rotate(path, output),
            Self::Rotate { what: What::Pepper } => pepper::rotate(path, output),
            Self::Drop { id, yes } => pepper::drop(path, id, *yes, output),
        }
    }
}

/// A key in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    kid: &'a str,
    algorithm: &'static str,
    created_at: Timestamp,
    retired_at: Option<Timestamp>,
    current: bool,
}

impl<'a> Entry<'a> {
    fn of(key: &'a KeyRecord) -> Self {
        Self {
            kid: &key.kid,
            algorithm: key.algorithm.as_str(),
            created_at: key.created_at,
            retired_at: key.retired_at,
            current: key.retired_at.is_none(),
        }
    }
}

fn list(path: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let keys = open::office(path, async |office, config| {
        Ok(office.keys(config).await?.store.list().await?)
    })?;
    show(&keys, json, output)
}

fn show(keys: &[KeyRecord], json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(&keys.iter().map(Entry::of).collect::<Vec<_>>());
    }
    if keys.is_empty() {
        return output.line("There is no signing key yet. The gateway makes the first one when it starts.");
    }
    let mut table = Table::new(["Key", "Algorithm", "Made", "State"]).unbroken(&[0]);
    for key in keys {
        let state = match key.retired_at {
            None => Styled::new("signs now", GOOD),
            Some(at) => Styled::faint(&format!("retired {}", output.time(at))),
        };
        table.row([
            key.kid.as_str().into(),
            key.algorithm.as_str().into(),
            output.time(key.created_at).into(),
            state,
        ]);
    }
    output.table(&table)
}

fn rotate(path: &Path, output: &mut Output) -> anyhow::Result<()> {
    let key = open::office(path, async |office, config| {
        Ok(office.keys(config).await?.rotate(Actor::Operator).await?)
    })?;
    output.line(format_args!(
        "Key {} ({}) signs from now on; a running gateway takes it up within a second.\nThe key before it stays published \
         until the last assertion it signed has expired.",
        key.kid, key.algorithm
    ))
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::key::SigningAlgorithm;

    fn key(kid: &str, retired_at: Option<&str>) -> KeyRecord {
        KeyRecord {
            kid: kid.to_owned(),
            algorithm: SigningAlgorithm::Es256,
            sealed: b"sealed away".to_vec(),
            public_jwk: "{}".to_owned(),
            created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            retired_at: retired_at.map(|at| at.parse().unwrap()),
        }
    }

    fn shown(keys: &[KeyRecord], json: bool) -> String {
        let sheet = Sheet::default();
        show(keys, json, &mut sheet.output()).unwrap();
        sheet.text()
    }

    #[test]
    fn the_key_that_signs_is_marked() {
        let keys = [key("new", None), key("old", Some("2026-02-03T04:05:06Z"))];
        let text = shown(&keys, false);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[2].contains("new") && lines[2].contains("signs now"), "{text}");
        assert!(lines[3].contains("retired 2026-02-03 04:05"), "{text}");
        assert!(shown(&[], false).starts_with("There is no signing key yet"));

        let json: serde_json::Value = serde_json::from_str(&shown(&keys, true)).unwrap();
        assert_eq!(
            json[1],
            serde_json::json!({
                "kid": "old", "algorithm": "ES256", "created_at": "2026-01-02T03:04:05Z",
                "retired_at": "2026-02-03T04:05:06Z", "current": false,
            })
        );
        assert_eq!(json[0]["current"], true);
    }
}
