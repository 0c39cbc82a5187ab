//! The pepper at the command line: which versions there are, who rests on them, and how an old one goes. Shows names of
//! peppers, never a pepper.

use std::path::Path;

use anyhow::bail;
use serde::Serialize;

use crate::app::{Reliance, Standing};
use crate::crypto::foreign::Basis;

use super::open;
use super::output::{BAD, CARE, GOOD, Output};
use super::table::{Styled, Table};

/// What hashes rest on, in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    kind: &'static str,
    name: Option<&'a str>,
    state: &'static str,
    accounts: usize,
    may_be_dropped: bool,
}

impl<'a> Entry<'a> {
    fn of(reliance: &'a Reliance) -> Self {
        let (kind, name) = match &reliance.basis {
            Basis::Pepper(id) => ("pepper", Some(id.as_str())),
            Basis::Foreign(kind) => ("imported", Some(kind.as_str())),
            Basis::Unreadable => ("unusable", None),
        };
        Self {
            kind,
            name,
            state: match reliance.standing {
                Standing::Current => "current",
                Standing::Kept => "kept",
                Standing::Missing => "missing",
                Standing::Imported => "imported",
                Standing::Unusable => "unusable",
            },
            accounts: reliance.accounts,
            may_be_dropped: may_be_dropped(reliance),
        }
    }
}

fn may_be_dropped(reliance: &Reliance) -> bool {
    reliance.standing == Standing::Kept && reliance.accounts == 0
}

pub fn list(path: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let all = open::office(path, async |office, config| Ok(office.peppers(config).await?))?;
    show(&all, json, output)
}

fn show(all: &[Reliance], json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(&all.iter().map(Entry::of).collect::<Vec<_>>());
    }
    let mut table = Table::new(["Pepper", "Accounts", "State"]).unbroken(&[0]);
    for reliance in all {
        let name = match &reliance.basis {
            Basis::Pepper(id) => id.as_str().into(),
            Basis::Foreign(kind) => Styled::faint(&format!("none ({kind})")),
            Basis::Unreadable => Styled::faint("none"),
        };
        table.row([name, reliance.accounts.to_string().into(), state(reliance)]);
    }
    output.table(&table)
}

fn state(reliance: &Reliance) -> Styled {
    match reliance.standing {
        Standing::Current => Styled::new("keys new passwords", GOOD),
        Standing::Kept if reliance.accounts == 0 => {
            Styled::new("no longer needed; may go: sekisho key drop NAME", GOOD)
        }
        Standing::Kept => Styled::new("kept until these people have signed in once more", CARE),
        Standing::Missing => Styled::new("not here: these people cannot sign in; put it back from its copy", BAD),
        Standing::Imported => Styled::new("imported; replaced when these people sign in", CARE),
        Standing::Unusable => Styled::new("unusable; these people need a new password", BAD),
    }
}

pub fn rotate(path: &Path, output: &mut Output) -> anyhow::Result<()> {
    let rotation = open::office(path, async |office, config| Ok(office.rotate_pepper(config).await?))?;
    output.line(format_args!(
        "Pepper {} keys new passwords from now on; a running gateway takes it up within a second. Copy the file `pepper` \
         somewhere safe now: without it nobody can sign in.\nThe one before it is kept in {} until everybody has signed in \
         once more; sekisho key list says who is left. Keep its copy as long as backups of the database from before today.",
        rotation.id,
        rotation.kept.display()
    ))
}

pub fn drop(path: &Path, id: &str, yes: bool, output: &mut Output) -> anyhow::Result<()> {
    let accounts = open::office(path, async |office, config| {
        let all = office.peppers(config).await?;
        let wanted = Basis::Pepper(id.to_owned());
        let Some(reliance) = all.iter().find(|reliance| reliance.basis == wanted) else {
            bail!("there is no pepper {id:?}; see sekisho key list pepper");
        };
        match reliance.standing {
            Standing::Current => bail!("{id} is the pepper in use; first make another: sekisho key rotate pepper"),
            Standing::Kept if reliance.accounts == 0 || yes => office.drop_pepper(config, id).await?,
            Standing::Kept => bail!(
                "{} account(s) rest on pepper {id}, and would need a new password by \"Forgot your password?\"; wait until \
                 they have signed in, or say --yes",
                reliance.accounts
            ),
            _ => bail!("pepper {id} is not here; nothing to drop"),
        }
        Ok(reliance.accounts)
    })?;
    output.line(format_args!(
        "Dropped pepper {id}. Copies of it elsewhere are yours to remove."
    ))?;
    if accounts > 0 {
        output.line(format_args!(
            "{accounts} account(s) rested on it: these people need a new password, by \"Forgot your password?\"."
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::crypto::foreign::HashKind;

    fn reliance(basis: Basis, standing: Standing, accounts: usize) -> Reliance {
        Reliance {
            basis,
            standing,
            accounts,
        }
    }

    fn shown(all: &[Reliance], json: bool) -> String {
        let sheet = Sheet::default();
        show(all, json, &mut sheet.output()).unwrap();
        sheet.text()
    }

    #[test]
    fn each_pepper_says_who_rests_on_it_and_when_it_may_go() {
        let pepper = |id: &str| Basis::Pepper(id.to_owned());
        let all = [
            reliance(pepper("00000001"), Standing::Current, 7),
            reliance(pepper("00000002"), Standing::Kept, 3),
            reliance(pepper("00000003"), Standing::Kept, 0),
            reliance(pepper("00000004"), Standing::Missing, 1),
            reliance(Basis::Foreign(HashKind::Bcrypt), Standing::Imported, 5),
        ];
        let text = shown(&all, false);
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
        assert!(line("00000001").contains("keys new passwords"), "{text}");
        assert!(
            line("00000002").contains('3') && line("00000002").contains("kept until"),
            "{text}"
        );
        assert!(line("00000003").contains("sekisho key drop"), "{text}");
        assert!(line("00000004").contains("cannot sign in"), "{text}");
        assert!(line("bcrypt").contains("replaced when"), "{text}");

        let json: serde_json::Value = serde_json::from_str(&shown(&all, true)).unwrap();
        assert_eq!(
            json[2],
            serde_json::json!({
                "kind": "pepper", "name": "00000003", "state": "kept", "accounts": 0, "may_be_dropped": true,
            })
        );
        assert_eq!(json[1]["may_be_dropped"], false);
        assert_eq!(json[4]["name"], "bcrypt");
    }
}
