//! Acts on an account that exists: each says what it did, or why not and what to do instead.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::app::Printed;
use crate::domain::account::{Account, AccountState, Extension};
use crate::flows::{AccountChange, AccountOffice};

use super::super::open;
use super::super::output::{Output, plain};
use super::{no_such_account, person};

#[derive(Args)]
pub struct Remove {
    /// The extension number
    #[arg(value_name = "EXTENSION", value_parser = Extension::parse)]
    extension: Extension,
    /// Do not ask whether to
    #[arg(long, short)]
    yes: bool,
}

#[derive(Args)]
pub struct Welcome {
    /// The extension number
    #[arg(value_name = "EXTENSION", value_parser = Extension::parse)]
    extension: Extension,
    /// Send no mail: show the link and its QR code here, once, to be handed over
    #[arg(long)]
    print: bool,
    /// Write them as a page to print into this file (mode 0600) instead of showing them here
    #[arg(long, value_name = "FILE", requires = "print")]
    html: Option<PathBuf>,
}

impl Welcome {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        if self.print {
            self.hand_over(path, output)
        } else {
            welcome(path, &self.extension, output)
        }
    }

    fn hand_over(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let draft = self.html.as_deref().map(Draft::beside).transpose()?;
        let printed = open::office(path, async |office, config| {
            Ok(office.print_welcome(config, &self.extension).await?)
        })?;
        let (account, sheet) = match printed {
            Printed::Done { account, sheet } => (account, sheet),
            Printed::Not(change) => {
                return judge(&self.extension, change, |_| String::new()).map(|_| ());
            }
        };
        match draft {
            None => output.text(&sheet.text),
            Some(draft) => {
                let file = draft.publish(&sheet.html)?;
                output.line(format_args!(
                    "Wrote the sheet for {} to {}. Print it, hand it over, and delete the file. Earlier links have stopped \
                     working.",
                    plain(&person(&account)),
                    plain(&file.display().to_string())
                ))
            }
        }
    }
}

/// A file that appears whole, with mode 0600, where nothing is; made before the link, so that no link is lost to a
/// directory that cannot be written.
struct Draft {
    file: tempfile::NamedTempFile,
    place: PathBuf,
}

impl Draft {
    fn beside(place: &Path) -> anyhow::Result<Self> {
        if place.symlink_metadata().is_ok() {
            bail!("{} is there already; name another file", place.display());
        }
        let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".sheet-").tempfile_in(directory);
        Ok(Self {
            file: file.with_context(|| format!("could not write into {}", directory.display()))?,
            place: place.to_owned(),
        })
    }

    fn publish(mut self, text: &str) -> anyhow::Result<PathBuf> {
        let again = "the link is lost; ask for another one";
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| format!("could not write {}: {again}", self.place.display()))?;
        let put = self.file.persist_noclobber(&self.place);
        put.with_context(|| format!("could not write {}: {again}", self.place.display()))?;
        Ok(self.place)
    }
}

/// Mails a Welcome link again.
pub fn welcome(path: &Path, extension: &Extension, output: &mut Output) -> anyhow::Result<()> {
    let words = act(path, async |accounts| {
        judge(extension, accounts.welcome(extension).await?, |account| {
            let email = account.email.as_ref().map_or("", |email| email.as_typed());
            format!(
                "A Welcome mail to {} is on its way to {}. Earlier links stop working when it goes out.",
                person(account),
                email
            )
        })
    })?;
    output.line(plain(&words))
}

/// Keeps somebody out.
pub fn disable(path: &Path, extension: &Extension, output: &mut Output) -> anyhow::Result<()> {
    let words = act(path, async |accounts| {
        judge(extension, accounts.disable(extension).await?, |account| {
            format!(
                "Disabled {}. Sessions and links have ended; a running gateway stops their requests within a second.",
                person(account)
            )
        })
    })?;
    output.line(plain(&words))
}

/// Lets somebody in again.
pub fn enable(path: &Path, extension: &Extension, output: &mut Output) -> anyhow::Result<()> {
    let words = act(path, async |accounts| {
        let change = accounts.enable(extension).await?;
        // The state it has now says what is left to do.
        let now = accounts.find(extension).await?.map(|account| account.state);
        judge(extension, change, |account| match now {
            Some(AccountState::Invited) => format!(
                "Enabled {}. No password has been set yet; invite them: sekisho account welcome {extension}",
                person(account)
            ),
            _ => format!("Enabled {}. They sign in with the password they had.", person(account)),
        })
    })?;
    output.line(plain(&words))
}

impl Remove {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let extension = &self.extension;
        let words = act(path, async |accounts| {
            let account = accounts
                .find(extension)
                .await?
                .ok_or_else(|| no_such_account(extension))?;
            if !self.yes && !confirmed(&account)? {
                return Ok("Nothing was removed.".to_owned());
            }
            judge(extension, accounts.remove(extension).await?, |account| {
                format!(
                    "Removed {}. Sessions and links have ended; the events stay.",
                    person(account)
                )
            })
        })?;
        output.line(plain(&words))
    }
}

pub(super) fn act(
    path: &Path,
    work: impl AsyncFnOnce(&AccountOffice) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    open::office(path, async |office, _| work(&office.accounts).await)
}

/// What became of an act: words for what was done, an error for what was not.
pub(super) fn judge(
    extension: &Extension,
    change: AccountChange,
    done: impl FnOnce(&Account) -> String,
) -> anyhow::Result<String> {
    Ok(match change {
        AccountChange::Done(account) => done(&account),
        AccountChange::Unchanged(account) => match account.state {
            AccountState::Disabled => format!("{} is disabled already; nothing was changed.", person(&account)),
            _ => format!("{} is not disabled; nothing was changed.", person(&account)),
        },
        AccountChange::NotFound => return Err(no_such_account(extension)),
        AccountChange::LastAdministrator => bail!(
            "{extension} is the only administrator who can sign in, and a gateway is never left without one; \
             first add another with --role admin, who has to set a password"
        ),
        AccountChange::NoEmail(account) => bail!(
            "{} has no e-mail address to write to; hand a link over on paper: sekisho account welcome {extension} --print",
            person(&account)
        ),
        AccountChange::AlreadyActive(account) => bail!(
            "{} has set a password already; whoever forgot it chooses \"Forgot your password?\" on the sign-in page",
            person(&account)
        ),
        AccountChange::Disabled(account) => bail!(
            "{} is disabled; first: sekisho account enable {extension}",
            person(&account)
        ),
        AccountChange::ExtensionTaken => bail!("another account has the extension number {extension}"),
    })
}

/// Asks whoever sits at the terminal. Where nobody does, only `--yes` will do.
fn confirmed(account: &Account) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("removing an account cannot be undone, and there is no terminal to ask at; add --yes");
    }
    let mut question = anstream::stderr();
    let _ = write!(
        question,
        "Remove {} for ever? This cannot be undone. [y/N] ",
        plain(&person(account))
    );
    let _ = question.flush();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::account;
    use super::*;

    fn outcome(change: AccountChange) -> Result<String, String> {
        judge(&Extension::parse("101").unwrap(), change, |account| {
            format!("did it to {}", person(account))
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn every_outcome_is_said_in_words_and_a_refusal_says_what_to_do_instead() {
        let yuki = || Box::new(account("101", "Yuki"));
        assert_eq!(outcome(AccountChange::Done(yuki())).unwrap(), "did it to 101 Yuki");
        assert!(
            outcome(AccountChange::Unchanged(yuki()))
                .unwrap()
                .contains("is not disabled")
        );
        let disabled = Box::new(Account {
            state: AccountState::Disabled,
            ..*yuki()
        });
        assert!(
            outcome(AccountChange::Unchanged(disabled))
                .unwrap()
                .contains("disabled already")
        );
        for (change, advice) in [
            (AccountChange::NotFound, "sekisho account list"),
            (AccountChange::LastAdministrator, "--role admin"),
            (AccountChange::NoEmail(yuki()), "--print"),
            (AccountChange::AlreadyActive(yuki()), "Forgot your password?"),
            (AccountChange::Disabled(yuki()), "sekisho account enable 101"),
        ] {
            let words = outcome(change).unwrap_err();
            assert!(words.contains(advice) && words.contains("101"), "{words}");
        }
    }

    #[test]
    fn without_a_terminal_nothing_is_removed_unasked() {
        // Tests have none, or one that nobody answers at: both are skipped by the flag alone.
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return;
        }
        let error = confirmed(&account("101", "Yuki")).unwrap_err();
        assert!(error.to_string().contains("--yes"));
    }
}
