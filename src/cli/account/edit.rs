//! `sekisho account change`: what is mentioned changes, and the answer says what was different.

use std::path::Path;

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::domain::account::{Account, AccountEdit, Email, EmailEdit, Extension, Field, Role};
use crate::domain::language::Language;
use crate::flows::{AccountChange, NewAccountProblem};
use crate::ports::AccountListing;

use super::super::open;
use super::super::output::{Output, aside, plain};
use super::add::{reason, shared_note, sharing};
use super::change::judge;
use super::list::Entry;
use super::{no_such_account, person};

#[derive(Args)]
pub struct Edit {
    /// The extension number
    #[arg(value_name = "EXTENSION", value_parser = Extension::parse)]
    extension: Extension,
    /// The new name, as pages, letters and the web client show it
    #[arg(long)]
    name: Option<String>,
    /// The new address; the former one is told as well
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The person has no address any more
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    /// Language of letters and pages
    #[arg(long, value_parser = PossibleValuesParser::new(["ja", "en"]).try_map(|tag| tag.parse::<Language>()))]
    language: Option<Language>,
    /// What the person may do in the gateway itself
    #[arg(long, value_parser = PossibleValuesParser::new(["user", "admin"])
        .try_map(|role| Role::parse(&role).ok_or("no such role")))]
    role: Option<Role>,
    /// A group that the web client is told; may be given several times, and those not given are left
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The person is in no group any more
    #[arg(long, conflicts_with = "groups")]
    no_group: bool,
    /// Print the account as it is now as JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

impl Edit {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let edit = self.read()?;
        let extension = &self.extension;
        let (words, listing, sharing) = open::office(path, async |office, _| {
            let change = office.accounts.change(extension, &edit).await?;
            let listings = office.accounts.list().await?;
            let listing = listings
                .into_iter()
                .find(|listing| listing.account.extension == *extension);
            let words = match change {
                AccountChange::Unchanged(account) => {
                    format!("{} is so already; nothing was changed.", person(&account))
                }
                change => judge(extension, change, |before| changed(before, listing.as_ref()))?,
            };
            let listing = listing.ok_or_else(|| no_such_account(extension))?;
            let sharing = sharing(office, &listing.account).await?;
            Ok((words, listing, sharing))
        })?;
        if !matches!(edit.email, EmailEdit::Keep)
            && let Some(note) = shared_note(&listing.account, sharing)
        {
            aside(note);
        }
        if self.json {
            return output.json(&Entry::of(&listing));
        }
        output.line(plain(&words))
    }

    fn read(&self) -> anyhow::Result<AccountEdit> {
        let groups = match (self.no_group, self.groups.as_slice()) {
            (true, _) => Some(&[][..]),
            (false, []) => None,
            (false, groups) => Some(groups),
        };
        let mut edit = AccountEdit::parse(
            self.name.as_deref(),
            self.email.as_deref(),
            self.role,
            groups,
            self.language,
        )
        .map_err(|problem| anyhow!("{}", self.explain(&problem)))?;
        if self.no_email {
            edit.email = EmailEdit::Remove;
        }
        if edit == AccountEdit::default() {
            bail!(
                "nothing to change was given; name at least one of --name, --email, --no-email, --language, --role, --group, \
                 --no-group"
            );
        }
        Ok(edit)
    }

    /// The problem, with the argument it is about as it was typed.
    fn explain(&self, problem: &NewAccountProblem) -> String {
        let typed = match problem {
            NewAccountProblem::Extension(_) => format!("EXTENSION {:?}", self.extension.as_str()),
            NewAccountProblem::Email(_) => format!("--email {:?}", self.email.as_deref().unwrap_or_default()),
            NewAccountProblem::Name => format!("--name {:?}", self.name.as_deref().unwrap_or_default()),
            NewAccountProblem::Group => format!("--group {:?}", self.groups.join(" ")),
        };
        format!("{typed}: {}", reason(problem))
    }
}

/// What is different now, and what follows from it.
fn changed(before: &Account, now: Option<&AccountListing>) -> String {
    let Some(AccountListing { account, .. }) = now else {
        return format!("Changed {}.", person(before));
    };
    let edit = AccountEdit {
        name: Some(account.name.clone()),
        email: account.email.clone().map_or(EmailEdit::Remove, EmailEdit::Set),
        role: Some(account.role),
        groups: Some(account.groups.clone()),
        language: Some(account.language),
    };
    let (_, fields) = edit.apply(before, account.updated_at);
    let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    let mut words = format!("Changed {}: {}.", person(account), names.join(", "));
    if fields.contains(&Field::Email) && before.email != account.email {
        let told: Vec<&str> = [&before.email, &account.email]
            .into_iter()
            .flatten()
            .map(Email::as_typed)
            .collect();
        let told = told.join(" and ");
        words = format!("{words} A notice is on its way to {told}. Links mailed before no longer work.");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::tests::account;
    use super::*;

    fn edit() -> Edit {
        Edit {
            extension: Extension::parse("101").unwrap(),
            name: None,
            email: None,
            no_email: false,
            language: None,
            role: None,
            groups: Vec::new(),
            no_group: false,
            json: false,
        }
    }

    #[test]
    fn what_is_not_mentioned_stays() {
        let read = Edit {
            groups: vec!["sales".into()],
            ..edit()
        };
        assert_eq!(
            read.read().unwrap(),
            AccountEdit {
                groups: Some(vec!["sales".into()]),
                ..AccountEdit::default()
            }
        );
        let none = Edit {
            no_group: true,
            no_email: true,
            ..edit()
        };
        let read = none.read().unwrap();
        assert_eq!((read.groups, read.email), (Some(vec![]), EmailEdit::Remove));
    }

    #[test]
    fn a_refusal_names_the_argument() {
        let refusal = |edit: Edit| edit.read().unwrap_err().to_string();
        assert!(refusal(edit()).contains("--name"));
        let email = Edit {
            email: Some("yuki@".into()),
            ..edit()
        };
        assert!(refusal(email).starts_with("--email \"yuki@\": it is not one plain"));
        let name = Edit {
            name: Some(" ".into()),
            ..edit()
        };
        assert!(refusal(name).starts_with("--name \" \": give 1 to 100"));
    }

    #[test]
    fn the_answer_says_what_is_different_and_who_is_told() {
        let before = account("101", "Yuki Tanaka");
        let mut after = before.clone();
        after.name = "Yuki Suzuki".into();
        let listing = |account: &Account| AccountListing {
            account: account.clone(),
            password_set_at: None,
            last_sign_in_at: None,
        };
        assert_eq!(
            changed(&before, Some(&listing(&after))),
            "Changed 101 Yuki Suzuki: name."
        );
        after.name.clone_from(&before.name);
        after.email = Some(Email::parse("new@phone.example").unwrap());
        assert_eq!(
            changed(&before, Some(&listing(&after))),
            "Changed 101 Yuki Tanaka: email. A notice is on its way to yuki@phone.example and new@phone.example. \
             Links mailed before no longer work."
        );
    }
}
