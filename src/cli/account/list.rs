//! Accounts as listed: a table for people, JSON for programs.

use std::path::Path;

use anstyle::Style;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::account::{AccountId, AccountState, Email, Extension, Role};
use crate::domain::language::Language;
use crate::domain::order::{Decree, Order, Target, Words};
use crate::ports::AccountListing;

use super::super::link;
use super::super::open;
use super::super::output::{BAD, CARE, GOOD, Output, STRONG};
use super::super::table::{Styled, Table};
use super::no_such_account;

#[derive(Args)]
pub struct List {
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Show {
    /// The extension number
    #[arg(value_name = "EXTENSION", value_parser = Extension::parse)]
    extension: Extension,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let listings = open::office(path, async |office, _| Ok(office.accounts.list().await?))?;
        if self.json {
            return output.json(&listings.iter().map(Entry::of).collect::<Vec<_>>());
        }
        if listings.is_empty() {
            return output.line("No accounts yet. Add one: sekisho account add --help");
        }
        output.table(&table(&listings, output))
    }
}

impl Show {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (listing, links, ban) = open::office(path, async |office, _| {
            let listing = office.accounts.list().await?.into_iter();
            let listing = listing
                .into_iter()
                .find(|listing| listing.account.extension == self.extension);
            let listing = listing.ok_or_else(|| no_such_account(&self.extension))?;
            let links = office.links.list(Some(listing.account.id), MOST_LINKS).await?;
            let mut orders = office.orders.list().await?.into_iter();
            let of_account = |order: &Order| order.decree == Decree::Ban(Target::Account(listing.account.id));
            let ban = orders.find(of_account);
            Ok((listing, links, ban))
        })?;
        if self.json {
            let links = links.iter().map(|link| link::Entry::of(link, Some(&self.extension)));
            return output.json(&Shown {
                account: Entry::of(&listing),
                ban: ban.as_ref().map(Ban::of),
                links: links.collect(),
            });
        }
        output.table(&facts(&listing, ban.as_ref(), output))?;
        if links.is_empty() {
            return Ok(());
        }
        output.line("")?;
        output.table(&link::table(&links, None, output))
    }
}

/// Older links are in `link list`.
const MOST_LINKS: usize = 10;

/// One account in JSON, with its links.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    account: Entry<'a>,
    ban: Option<Ban<'a>>,
    links: Vec<link::Entry<'a>>,
}

/// The ban of an account in JSON.
#[derive(Serialize)]
struct Ban<'a> {
    reason: Option<&'a str>,
    author: &'a str,
    made_at: Timestamp,
    until: Option<Timestamp>,
}

impl<'a> Ban<'a> {
    fn of(order: &'a Order) -> Self {
        Self {
            reason: order.reason.as_ref().map(Words::as_str),
            author: order.author.as_str(),
            made_at: order.made_at,
            until: order.until,
        }
    }
}

/// An account in JSON.
#[derive(Serialize)]
pub struct Entry<'a> {
    extension: &'a Extension,
    name: &'a str,
    email: Option<&'a str>,
    role: Role,
    groups: &'a [String],
    language: Language,
    state: AccountState,
    created_at: Timestamp,
    password_set_at: Option<Timestamp>,
    last_sign_in_at: Option<Timestamp>,
    needs_new_password: bool,
    id: AccountId,
}

impl<'a> Entry<'a> {
    pub fn of(listing: &'a AccountListing) -> Self {
        let account = &listing.account;
        Self {
            extension: &account.extension,
            name: &account.name,
            email: account.email.as_ref().map(Email::as_typed),
            role: account.role,
            groups: &account.groups,
            language: account.language,
            state: account.state,
            created_at: account.created_at,
            password_set_at: listing.password_set_at,
            last_sign_in_at: listing.last_sign_in_at,
            needs_new_password: listing.needs_new_password(),
            id: account.id,
        }
    }
}

/// How the state of an account looks.
pub fn state_style(state: AccountState) -> Style {
    match state {
        AccountState::Invited => CARE,
        AccountState::Active => GOOD,
        AccountState::Disabled => BAD,
    }
}

fn table(listings: &[AccountListing], output: &Output) -> Table {
    let mut table =
        Table::new(["Extension", "Name", "E-mail", "Role", "State", "Last sign-in"]).unbroken(&[0, 3, 4, 5]);
    for listing in listings {
        let account = &listing.account;
        table.row([
            account.extension.as_str().into(),
            Styled::name(&account.name),
            Styled::or_dash(account.email.as_ref().map(Email::as_typed)),
            account.role.as_str().into(),
            standing(listing),
            Styled::or_dash(listing.last_sign_in_at.map(|at| output.time(at)).as_deref()),
        ]);
    }
    table
}

fn facts(listing: &AccountListing, ban: Option<&Order>, output: &Output) -> Table {
    let account = &listing.account;
    let mut table = Table::of_facts();
    table.fact("Extension", Styled::new(account.extension.as_str(), STRONG));
    table.fact("Name", Styled::new(&account.name, STRONG));
    table.fact("E-mail", Styled::or_dash(account.email.as_ref().map(Email::as_typed)));
    table.fact("State", standing(listing));
    if let Some(ban) = ban {
        let until = ban.until.map_or_else(
            || "for ever".to_owned(),
            |until| format!("until {}", output.time(until)),
        );
        let because = ban
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        table.fact(
            "Banned",
            Styled::new(&format!("{until} by {}{because}", ban.author), BAD),
        );
    }
    table.fact("Role", account.role.as_str());
    table.fact("Groups", Styled::or_dash(Some(&account.groups.join(", "))));
    table.fact("Language", account.language.tag());
    table.fact("Added", output.time(account.created_at));
    table.fact("Password set", time_or_never(listing.password_set_at, output));
    table.fact("Last sign-in", time_or_never(listing.last_sign_in_at, output));
    table.fact("Id", Styled::faint(&account.id.to_string()));
    table
}

/// The state, with what is particular about it.
fn standing(listing: &AccountListing) -> Styled {
    if listing.needs_new_password() {
        return Styled::new("invited: needs a new password", BAD);
    }
    let state = listing.account.state;
    Styled::new(state.as_str(), state_style(state))
}

fn time_or_never(at: Option<Timestamp>, output: &Output) -> String {
    at.map_or_else(|| "never".to_owned(), |at| output.time(at))
}

#[cfg(test)]
mod tests {
    use super::super::super::output::tests::Sheet;
    use super::super::tests::account;
    use super::*;

    fn listing() -> AccountListing {
        AccountListing {
            account: account("101", "田中 ゆき"),
            password_set_at: None,
            last_sign_in_at: Some("2026-02-03T04:05:06Z".parse().unwrap()),
        }
    }

    fn ban() -> Order {
        crate::domain::order::tests::ban(1, "192.0.2.1", None)
    }

    #[test]
    fn json_has_every_field_that_programs_rely_on() {
        let json = serde_json::to_value(Entry::of(&listing())).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "extension": "101", "name": "田中 ゆき", "email": "yuki@phone.example", "role": "user", "groups": [],
                "language": "ja", "state": "invited", "created_at": "2026-01-02T03:04:05Z", "password_set_at": null,
                "last_sign_in_at": "2026-02-03T04:05:06Z", "needs_new_password": false, "id": listing().account.id.to_string(),
            })
        );
    }

    #[test]
    fn whose_password_was_taken_away_is_seen_at_once() {
        let closed = AccountListing {
            password_set_at: Some("2026-02-03T04:05:06Z".parse().unwrap()),
            ..listing()
        };
        let sheet = Sheet::default();
        let mut output = sheet.output();
        let (rows, one) = (
            table(std::slice::from_ref(&closed), &output),
            facts(&closed, None, &output),
        );
        output.table(&rows).unwrap();
        output.table(&one).unwrap();
        assert_eq!(
            sheet.text().matches("needs a new password").count(),
            2,
            "{}",
            sheet.text()
        );
        assert_eq!(
            serde_json::to_value(Entry::of(&closed)).unwrap()["needs_new_password"],
            true
        );
    }

    #[test]
    fn people_read_a_table_and_the_facts_of_one_account() {
        let sheet = Sheet::default();
        let mut output = sheet.output();
        let (rows, one) = (table(&[listing()], &output), facts(&listing(), Some(&ban()), &output));
        output.table(&rows).unwrap();
        output.table(&one).unwrap();
        let text = sheet.text();
        assert!(text.contains("101        田中 ゆき"), "{text}");
        assert!(text.contains("Password set  never"), "{text}");
        assert!(text.contains("Banned        for ever by root"), "{text}");
        assert!(text.contains("Last sign-in  2026-02-03 04:05"), "{text}");
    }
}
