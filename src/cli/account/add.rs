//! `sekisho account add`: says in words what was done, and what is left to do.

use std::path::Path;

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::app::Office;
use crate::domain::account::{Account, Role};
use crate::domain::language::Language;
use crate::flows::{AccountChange, NewAccount, NewAccountProblem};
use crate::ports::{AccountListing, EmailMatch};

use super::super::open;
use super::super::output::{Output, aside, plain};
use super::list::Entry;
use super::person;

#[derive(Args)]
pub struct Add {
    /// The extension number: letters, digits and *#._- ; unique
    #[arg(value_name = "EXTENSION")]
    extension: String,
    /// The person's name, as pages, letters and the web client show it
    #[arg(long)]
    name: String,
    /// Where the Welcome mail and later reset mails go
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Language of letters to this person [default: branding.language of the configuration]
    #[arg(long, value_parser = PossibleValuesParser::new(["ja", "en"]).try_map(|tag| tag.parse::<Language>()))]
    language: Option<Language>,
    /// What the person may do in the gateway itself
    #[arg(long, default_value = "user", value_parser = PossibleValuesParser::new(["user", "admin"])
        .try_map(|role| Role::parse(&role).ok_or("no such role")))]
    role: Role,
    /// A group that the web client is told; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Send no Welcome mail yet
    #[arg(long)]
    no_welcome: bool,
    /// Print the new account as JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

impl Add {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (account, sharing) = open::office(path, async |office, config| {
            let language = self.language.unwrap_or(config.branding.language);
            let account = self.store(office, language).await?;
            let sharing = sharing(office, &account).await?;
            Ok((account, sharing))
        })?;
        if let Some(note) = shared_note(&account, sharing) {
            aside(note);
        }
        if self.json {
            return output.json(&Entry::of(&AccountListing {
                account,
                password_set_at: None,
                last_sign_in_at: None,
            }));
        }
        output.line(added(&account, !self.no_welcome))
    }

    async fn store(&self, office: &Office, language: Language) -> anyhow::Result<Account> {
        let new = self.read(language)?;
        match office.accounts.add(new, !self.no_welcome).await? {
            AccountChange::Done(account) | AccountChange::Unchanged(account) => Ok(*account),
            AccountChange::ExtensionTaken => bail!(
                "EXTENSION {0}: another account has this extension number; choose another, or look at it: sekisho account \
                 show {0}",
                self.extension
            ),
            other => bail!("the account was not added: {other:?}"),
        }
    }

    fn read(&self, language: Language) -> anyhow::Result<NewAccount> {
        let email = self.email.as_deref();
        NewAccount::parse(&self.extension, &self.name, email, self.role, &self.groups, language)
            .map_err(|problem| anyhow!("{}", self.explain(&problem)))
    }

    /// The problem, with the argument it is about as it was typed.
    fn explain(&self, problem: &NewAccountProblem) -> String {
        let typed = match problem {
            NewAccountProblem::Extension(_) => format!("EXTENSION {:?}", self.extension),
            NewAccountProblem::Email(_) => format!("--email {:?}", self.email.as_deref().unwrap_or_default()),
            NewAccountProblem::Name => format!("--name {:?}", self.name),
            NewAccountProblem::Group => format!("--group {:?}", self.groups.join(" ")),
        };
        format!("{typed}: {}", reason(problem))
    }
}

/// What is wrong and how to mend it, without the name of the field.
pub(super) fn reason(problem: &NewAccountProblem) -> String {
    match problem {
        NewAccountProblem::Extension(problem) | NewAccountProblem::Email(problem) => problem.to_string(),
        NewAccountProblem::Name | NewAccountProblem::Group => {
            let words = problem.to_string();
            words
                .split_once(": ")
                .map_or(words.clone(), |(_, reason)| reason.to_owned())
        }
    }
}

/// How many accounts have the address of this one.
pub(super) async fn sharing(office: &Office, account: &Account) -> anyhow::Result<usize> {
    let Some(email) = &account.email else {
        return Ok(0);
    };
    Ok(match office.accounts.accounts.find_by_email(email).await? {
        EmailMatch::Nobody => 0,
        EmailMatch::One(_) => 1,
        EmailMatch::Shared(accounts) => accounts,
    })
}

pub(super) fn shared_note(account: &Account, accounts: usize) -> Option<String> {
    let email = account.email.as_ref().filter(|_| accounts > 1)?;
    Some(format!(
        "Note: {accounts} accounts now have the address {}. None of them can use \"forgot password\" or sign in by e-mail, \
         since nobody could say whose it is.",
        plain(email.as_typed())
    ))
}

fn added(account: &Account, welcome: bool) -> String {
    let who = format!("Added {} ({}).", plain(&person(account)), account.state.as_str());
    let extension = &account.extension;
    match &account.email {
        Some(email) if welcome => format!(
            "{who} A Welcome mail is on its way to {}.\nThe running gateway sends it at once; what became of it: sekisho mail list",
            plain(email.as_typed())
        ),
        Some(_) => format!("{who} Nothing was mailed, as you asked. Invite them: sekisho account welcome {extension}"),
        None => format!(
            "{who} Nothing was mailed, since there is no e-mail address.\nHand a link over on paper: \
             sekisho account welcome {extension} --print"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::account;
    use super::*;

    fn add(extension: &str, email: Option<&str>) -> Add {
        Add {
            extension: extension.to_owned(),
            name: "Yuki Tanaka".to_owned(),
            email: email.map(str::to_owned),
            language: None,
            role: Role::User,
            groups: vec!["a".to_owned()],
            no_welcome: false,
            json: false,
        }
    }

    #[test]
    fn a_refusal_names_the_argument_and_says_how_to_mend_it() {
        let refusal = |add: Add| add.read(Language::En).unwrap_err().to_string();
        assert_eq!(
            refusal(add("1/2", None)),
            "EXTENSION \"1/2\": an extension number has letters, digits and `*#._-` only"
        );
        assert_eq!(
            refusal(add("101", Some("yuki@"))),
            "--email \"yuki@\": it is not one plain e-mail address such as name@example.com"
        );
        let nameless = Add {
            name: "\u{7}".to_owned(),
            ..add("101", None)
        };
        assert_eq!(
            refusal(nameless),
            "--name \"\\u{7}\": give 1 to 100 characters without control characters"
        );
        let grouped = Add {
            groups: vec!["a,b".to_owned()],
            ..add("101", None)
        };
        assert!(refusal(grouped).starts_with("--group \"a,b\": give 1 to 64"));
    }

    #[test]
    fn what_was_mailed_is_said_and_what_to_do_where_nothing_was() {
        let mut yuki = account("101", "Yuki Tanaka");
        let words = added(&yuki, true);
        assert!(
            words.starts_with("Added 101 Yuki Tanaka (invited). A Welcome mail is on its way to yuki@phone.example."),
            "{words}"
        );
        assert!(added(&yuki, false).ends_with("sekisho account welcome 101"));
        yuki.email = None;
        let words = added(&yuki, true);
        assert!(
            words.contains("there is no e-mail address") && words.contains("--print"),
            "{words}"
        );
    }

    #[test]
    fn a_shared_address_is_pointed_out() {
        let yuki = account("101", "Yuki Tanaka");
        assert_eq!(shared_note(&yuki, 1), None);
        assert!(
            shared_note(&yuki, 2)
                .unwrap()
                .starts_with("Note: 2 accounts now have the address yuki@phone.example.")
        );
    }
}
