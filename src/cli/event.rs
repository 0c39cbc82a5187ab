//! `sekisho event`: what happened, and who did it.

use std::collections::HashMap;
use std::path::Path;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::account::{Account, AccountId, Extension};
use crate::domain::event::{Actor, Event, Fact};
use crate::ports::EventFilter;

use super::account::no_such_account;
use super::open;
use super::output::{BAD, CARE, GOOD, Output};
use super::table::{Styled, Table};

#[derive(Subcommand)]
pub enum Command {
    /// List what happened, newest first
    #[command(after_help = "Examples:\n  sekisho event list --account 101\n  sekisho event list --most 1000 --json")]
    List(List),
}

#[derive(Args)]
pub struct List {
    /// Only what concerns this extension number
    #[arg(long, value_name = "EXTENSION", value_parser = Extension::parse)]
    account: Option<Extension>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    most: usize,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(path, output),
        }
    }
}

impl List {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (events, people) = open::office(path, async |office, _| {
            let people = People::of(office.accounts.list().await?.into_iter().map(|listing| listing.account));
            let account = match &self.account {
                Some(extension) => Some(people.with(extension).ok_or_else(|| no_such_account(extension))?),
                None => None,
            };
            let filter = EventFilter {
                account,
                ..EventFilter::newest(self.most)
            };
            Ok((office.events.list(filter).await?, people))
        })?;
        show(&events, &people, self.json, output)
    }
}

/// Whom an id in an event or a letter means.
pub struct People(HashMap<AccountId, Account>);

impl People {
    pub fn of(accounts: impl IntoIterator<Item = Account>) -> Self {
        Self(accounts.into_iter().map(|account| (account.id, account)).collect())
    }

    pub fn find(&self, id: AccountId) -> Option<&Account> {
        self.0.get(&id)
    }

    fn with(&self, extension: &Extension) -> Option<AccountId> {
        self.0
            .values()
            .find(|account| account.extension == *extension)
            .map(|account| account.id)
    }

    /// Extension and name, or that the account has been removed.
    pub fn words(&self, id: AccountId) -> Styled {
        self.find(id).map_or_else(
            || Styled::faint("removed account"),
            |account| Styled::people([(account.extension.as_str(), account.name.as_str())]),
        )
    }
}

/// An event in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    at: Timestamp,
    name: &'static str,
    detail: Option<String>,
    actor: String,
    client: Option<String>,
    account: Option<AccountId>,
    extension: Option<&'a Extension>,
}

fn show(events: &[Event], people: &People, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        let entry = |event: &Event| Entry {
            at: event.at,
            name: event.fact.name(),
            detail: event.fact.detail(),
            actor: event.actor.to_string(),
            client: event.client.map(|client| client.to_string()),
            account: event.account,
            extension: event
                .account
                .and_then(|id| people.find(id))
                .map(|account| &account.extension),
        };
        // Borrowed from `people`, so collected here and not in a function of their own.
        return output.json(&events.iter().map(entry).collect::<Vec<_>>());
    }
    if events.is_empty() {
        return output.line("Nothing has happened yet.");
    }
    let mut table = Table::new(["Time", "Event", "Detail", "Account", "By", "From"]).unbroken(&[0, 1]);
    for event in events {
        table.row([
            output.second(event.at).into(),
            Styled::new(event.fact.name(), weight(&event.fact)),
            Styled::or_dash(detail(&event.fact).as_deref()),
            event
                .account
                .map_or_else(|| Styled::or_dash(None), |id| people.words(id)),
            by(event, people),
            Styled::or_dash(event.client.map(|client| client.to_string()).as_deref()),
        ]);
    }
    output.table(&table)
}

/// Ids are for programs; a person is shown what they can use.
fn detail(fact: &Fact) -> Option<String> {
    match fact {
        Fact::SignedIn(_) | Fact::SignedOut(_) => None,
        Fact::SessionDisplaced(_, reason) => Some(reason.as_str().to_owned()),
        Fact::KeyRotated(kid) if kid.chars().count() > 12 => Some(kid.chars().take(12).chain(['…']).collect()),
        fact => fact.detail(),
    }
}

fn by(event: &Event, people: &People) -> Styled {
    match event.actor {
        Actor::Person(id) if event.account == Some(id) => "the person".into(),
        Actor::Person(id) => people.words(id),
        Actor::Gateway => Styled::faint("gateway"),
        actor => actor.to_string().into(),
    }
}

fn weight(fact: &Fact) -> anstyle::Style {
    match fact {
        Fact::LetterGivenUp(_) | Fact::LetterBounced(..) => BAD,
        Fact::SignInRefused(_) | Fact::ResetRefused(_) | Fact::LinkRefused(_) | Fact::LinkWithheld(..) => CARE,
        Fact::SignedIn(_) | Fact::PasswordSet(_) => GOOD,
        _ => anstyle::Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::account::tests::account;
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::event::Reason;

    fn event(actor: Actor, account: Option<AccountId>, fact: Fact) -> Event {
        Event {
            id: Uuid::from_u128(1),
            at: "2026-01-02T03:04:05.5Z".parse().unwrap(),
            actor,
            client: Some(ClientAddr::new("192.0.2.1".parse().unwrap())),
            account,
            fact,
        }
    }

    #[test]
    fn an_event_names_the_person_and_for_programs_the_id() {
        let yuki = account("101", "田中 ゆき");
        let gone = AccountId::new(Uuid::from_u128(99));
        let events = [
            event(
                Actor::Stranger,
                Some(yuki.id),
                Fact::SignInRefused(Reason::WrongPassword),
            ),
            event(Actor::Person(yuki.id), Some(yuki.id), Fact::AccountCreated),
            event(Actor::Operator, Some(gone), Fact::AccountRemoved),
        ];
        let people = People::of([yuki.clone()]);
        let print = |json| {
            let sheet = Sheet::default();
            show(&events, &people, json, &mut sheet.output()).unwrap();
            sheet.text()
        };
        let text = print(false);
        let lines: Vec<_> = text.lines().collect();
        for words in [
            "2026-01-02 03:04:05",
            "sign-in.refused",
            "wrong-password",
            "101 田中 ゆき",
            "stranger",
            "192.0.2.1",
        ] {
            assert!(lines[2].contains(words), "{words}: {text}");
        }
        assert!(lines[3].contains("the person"), "{text}");
        assert!(lines[4].contains("removed account"), "{text}");

        let json: serde_json::Value = serde_json::from_str(&print(true)).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({
                "at": "2026-01-02T03:04:05.5Z", "name": "sign-in.refused", "detail": "wrong-password",
                "actor": "stranger", "client": "192.0.2.1", "account": yuki.id.to_string(), "extension": "101",
            })
        );
        assert_eq!(json[2]["extension"], serde_json::Value::Null);
    }
}
