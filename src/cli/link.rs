//! `sekisho link`: the life of links, from the queue to the password set. Nobody can see a link here.

use std::path::Path;

use anstyle::Style;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::account::{AccountId, Extension};
use crate::domain::outbox::{LetterId, Matter};
use crate::domain::ticket::Way;
use crate::flows::{Link, Stage};
use crate::ports::LetterStatus;

use super::account::no_such_account;
use super::event::People;
use super::mail::{Returned, last_words};
use super::open;
use super::output::{BAD, CARE, FAINT, GOOD, Output};
use super::table::{Styled, Table};

#[derive(Subcommand)]
pub enum Command {
    /// List links, newest first, with what became of each; the links themselves are shown to nobody
    #[command(
        after_help = "A link is queued until the mail server takes its letter (sent) or it is on a sheet (printed), opened when somebody looks at its page, \
        used when it has set a password, expired when its time is over or a backup was restored, replaced when a newer one was made or the \
        account was disabled; withheld when no letter went out on purpose (the event says why), undelivered when the \
        mail server refused it for good, bounced when another mail server sent it back later (the link works on), overtaken \
        when a password was set in another way. To send another: sekisho account welcome EXTENSION.\n\n\
        Examples:\n  sekisho link list\n  sekisho link list --account 101 --json"
    )]
    List(List),
}

#[derive(Args)]
pub struct List {
    /// Only links of this extension number
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
        let Self::List(list) = self;
        let (links, people) = open::office(path, async |office, _| {
            let people: Vec<_> = office
                .accounts
                .list()
                .await?
                .into_iter()
                .map(|listing| listing.account)
                .collect();
            let account = match &list.account {
                None => None,
                Some(extension) => {
                    let found = people.iter().find(|account| account.extension == *extension);
                    Some(found.ok_or_else(|| no_such_account(extension))?.id)
                }
            };
            Ok((office.links.list(account, list.most).await?, People::of(people)))
        })?;
        show(&links, &people, list.json, output)
    }
}

/// A link in JSON.
#[derive(Serialize)]
pub struct Entry<'a> {
    account: Option<AccountId>,
    extension: Option<&'a Extension>,
    purpose: &'static str,
    stage: &'static str,
    made_at: Timestamp,
    expires_at: Option<Timestamp>,
    way: Option<&'static str>,
    letter: Option<LetterId>,
    letter_status: Option<&'static str>,
    words: Option<&'a str>,
    sent_to: Option<&'a str>,
    bounce: Option<Returned<'a>>,
    attempts: u32,
    opened: u32,
    opened_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl<'a> Entry<'a> {
    pub fn of(link: &'a Link, extension: Option<&'a Extension>) -> Self {
        let (ticket, letter) = (link.ticket.as_ref(), link.letter.as_ref());
        Self {
            account: link.account,
            extension,
            purpose: link.purpose.as_str(),
            stage: link.stage.as_str(),
            made_at: link.at,
            expires_at: ticket.map(|ticket| ticket.ticket.expires_at),
            way: way(link),
            letter: letter.map(|letter| letter.letter.id),
            letter_status: letter.map(|letter| super::mail::status(letter.status)),
            words: letter.and_then(|letter| letter.words.as_deref()),
            sent_to: letter.and_then(|letter| Some(letter.sent_to.as_ref()?.as_typed())),
            bounce: letter.and_then(Returned::of),
            attempts: letter.map_or(0, |letter| letter.attempts),
            opened: ticket.map_or(0, |ticket| ticket.openings),
            opened_at: ticket.and_then(|ticket| ticket.opened_at),
            ended_at: ticket.and_then(|ticket| ticket.ended_at),
        }
    }
}

fn way(link: &Link) -> Option<&'static str> {
    match link.ticket.as_ref().map(|ticket| ticket.ticket.way) {
        Some(Some(Way::Page)) => Some("page"),
        Some(Some(Way::Letter(_))) => Some("letter"),
        Some(None) => None,
        None => link.letter.as_ref().map(|_| "letter"),
    }
}

fn show(links: &[Link], people: &People, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        let entry = |link| Entry::of(link, extension(link, people));
        return output.json(&links.iter().map(entry).collect::<Vec<_>>());
    }
    if links.is_empty() {
        return output.line("No links yet.");
    }
    output.table(&table(links, Some(people), output))
}

fn extension<'a>(link: &Link, people: &'a People) -> Option<&'a Extension> {
    people.find(link.account?).map(|account| &account.extension)
}

/// Links as a table; `people` for a list of everybody's.
pub fn table(links: &[Link], people: Option<&People>, output: &Output) -> Table {
    let rest = [
        "Purpose",
        "Made",
        "Stage",
        "Opened",
        "Works until",
        "By",
        "The mail server said",
    ];
    let mut table = match people {
        Some(_) => Table::new(["Account", rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6]]),
        None => Table::new(rest),
    };
    for link in links {
        let (ticket, letter) = (link.ticket.as_ref(), link.letter.as_ref());
        let mut row = Vec::new();
        if let Some(people) = people {
            row.push(whose(link, people));
        }
        row.extend([
            link.purpose.as_str().into(),
            output.time(link.at).into(),
            standing(link, output),
            match ticket.map_or(0, |ticket| ticket.openings) {
                0 => Styled::or_dash(None),
                1 => "once".into(),
                n => format!("{n} times").into(),
            },
            Styled::or_dash(ticket.map(|ticket| output.time(ticket.ticket.expires_at)).as_deref()),
            Styled::or_dash(way(link)),
            Styled::or_dash(letter.and_then(last_words).as_deref()),
        ]);
        table.row(row);
    }
    table
}

fn whose(link: &Link, people: &People) -> Styled {
    if let Some(id) = link.account {
        return people.words(id);
    }
    match link.letter.as_ref().map(|letter| &letter.letter.matter) {
        Some(Matter::ResetRequested { email, .. }) => email.as_typed().into(),
        _ => Styled::or_dash(None),
    }
}

fn standing(link: &Link, output: &Output) -> Styled {
    let word = link.stage.as_str();
    let letter = link.letter.as_ref();
    match (link.stage, letter.map(|letter| (letter.status, letter.attempts))) {
        (Stage::Queued, Some((LetterStatus::Waiting(at), tries))) if tries > 0 => {
            Styled::new(&format!("{word}, again at {}", output.second(at)), CARE)
        }
        (Stage::Sent | Stage::Opened, _) if letter.is_some_and(|letter| letter.bounce.is_some()) => {
            let word = match letter.map(|letter| letter.status) {
                Some(LetterStatus::Bounced(_)) => format!("{word}, bounced"),
                _ => format!("{word}, late"),
            };
            Styled::new(&word, CARE)
        }
        _ => {
            let ended = link.ticket.as_ref().and_then(|ticket| ticket.ended_at);
            let text = ended.map_or_else(|| word.to_owned(), |at| format!("{word} {}", output.time(at)));
            Styled::new(&text, look(link.stage))
        }
    }
}

const fn look(stage: Stage) -> Style {
    match stage {
        Stage::Queued => CARE,
        Stage::Sent | Stage::Printed | Stage::Opened | Stage::Used => GOOD,
        Stage::Undelivered | Stage::Bounced => BAD,
        Stage::Withheld | Stage::Expired | Stage::Replaced | Stage::Overtaken => FAINT,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::account::tests::account;
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::outbox::Letter;
    use crate::domain::ticket::{Purpose, Ticket};
    use crate::domain::token::TicketToken;
    use crate::ports::{LetterListing, TicketListing};

    #[test]
    fn a_link_is_listed_with_its_life_and_without_itself() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let yuki = account("101", "田中 ゆき");
        let token = TicketToken::from_entropy([9; 32]);
        let id = LetterId::new(Uuid::from_u128(5));
        let link = Link {
            account: Some(yuki.id),
            purpose: Purpose::Welcome,
            at,
            stage: Stage::Opened,
            ticket: Some(TicketListing {
                ticket: Ticket {
                    digest: token.digest(),
                    account: yuki.id,
                    purpose: Purpose::Welcome,
                    way: Some(Way::Letter(id)),
                    created_at: at,
                    expires_at: "2026-01-05T03:04:05Z".parse().unwrap(),
                    ended: None,
                },
                openings: 2,
                opened_at: Some(at),
                ended_at: None,
            }),
            letter: Some(LetterListing {
                letter: Letter {
                    id,
                    matter: Matter::Welcome { account: yuki.id },
                    created_at: at,
                },
                status: LetterStatus::Delivered(at),
                attempts: 0,
                words: Some("250 taken".to_owned()),
                paced: true,
                sent_to: yuki.email.clone(),
                bounce: None,
            }),
        };
        let people = People::of([yuki]);
        let print = |json| {
            let sheet = Sheet::default();
            show(std::slice::from_ref(&link), &people, json, &mut sheet.output()).unwrap();
            sheet.text()
        };
        let text = print(false);
        for words in ["101 田中 ゆき", "opened", "2 times", "2026-01-05", "250 taken"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&print(true)).unwrap();
        assert_eq!(
            (
                &json[0]["stage"],
                &json[0]["opened"],
                &json[0]["extension"],
                &json[0]["letter_status"]
            ),
            (&"opened".into(), &2.into(), &"101".into(), &"delivered".into())
        );
        assert!(!text.contains(&*token.expose()) && !print(true).contains(&*token.expose()));
    }
}
