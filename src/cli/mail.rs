//! `sekisho mail`: the letters accepted, what became of them, and what the mail server said.

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::account::Email;
use crate::domain::outbox::{LetterId, Matter};
use crate::ports::{LetterListing, LetterStatus};

use super::event::People;
use super::open;
use super::output::{BAD, CARE, FAINT, GOOD, Output};
use super::table::{Styled, Table};

pub mod bounce;
mod preview;

#[derive(Subcommand)]
pub enum Command {
    /// List letters, newest first, with the mail server's own words
    #[command(
        after_help = "A letter is waiting until the mail server takes it (delivered), until it is decided that nothing is \
        sent (withheld; the event says why), or until four days have passed (given-up). It has bounced when another mail \
        server sent it back afterwards; see: sekisho mail bounce --help.\n\n\
        Examples:\n  sekisho mail list\n  sekisho mail list --most 1000 --json"
    )]
    List(List),
    /// Show a letter as people receive it, with sample data and links that do not work
    #[command(
        after_help = "Uses the branding, the doors and the theme of the configuration. Nothing is sent.\n\n\
        Examples:\n  sekisho mail preview --kind welcome --lang ja\n  sekisho mail preview --kind new-device --open\n  \
        sekisho mail preview --kind reset --html > reset.html"
    )]
    Preview(preview::Preview),
    /// Take in what comes to mail.bounces: a message on standard input, in files or in a Maildir
    #[command(
        after_help = "For the pipe of a mail server, for fetchmail and for mailboxes that were fetched: docs/bounces.md has \
        recipes. What bounced is shown by `mail list`, `link list`, `event list` and `account lint`; the link in a letter \
        that bounced goes on working. Exit code 0: dealt with, also when a message told nothing; 75: try again later, and \
        the mail server keeps the message; 66: a file cannot be read.\n\n\
        Examples:\n  sekisho mail bounce < message.eml\n  sekisho mail bounce --maildir /var/lib/sekisho/bounces"
    )]
    Bounce(bounce::Bounce),
    /// See how far the letters are: how many wait, were delivered, withheld, given up or have bounced
    #[command(after_help = "Letters of the last month count. With --wait it shows a bar until no letter waits.")]
    Progress(super::progress::Progress),
}

#[derive(Args)]
pub struct List {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    most: usize,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run(path, output)?,
            Self::Preview(preview) => preview.run(path, output)?,
            Self::Progress(progress) => progress.run(path, output)?,
            Self::Bounce(bounce) => return Ok(bounce.run(path, output)),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (letters, people) = open::office(path, async |office, _| {
            let people = People::of(office.accounts.list().await?.into_iter().map(|listing| listing.account));
            Ok((office.outbox.list(self.most).await?, people))
        })?;
        show(&letters, &people, self.json, output)
    }
}

/// A letter in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    id: LetterId,
    matter: &'static str,
    status: &'static str,
    attempts: u32,
    words: Option<&'a str>,
    created_at: Timestamp,
    sent_to: Option<&'a str>,
    bounce: Option<Returned<'a>>,
}

/// What was reported about a letter after the mail server had taken it, in JSON.
#[derive(Serialize)]
pub struct Returned<'a> {
    action: &'static str,
    status: Option<String>,
    words: Option<&'a str>,
    at: Timestamp,
}

impl<'a> Returned<'a> {
    pub fn of(letter: &'a LetterListing) -> Option<Self> {
        let bounce = letter.bounce.as_ref()?;
        Some(Self {
            action: bounce.report.action.as_str(),
            status: bounce.report.status.map(|status| status.to_string()),
            words: bounce.report.words.as_deref(),
            at: bounce.at,
        })
    }
}

impl<'a> Entry<'a> {
    fn of(listing: &'a LetterListing) -> Self {
        Self {
            id: listing.letter.id,
            matter: listing.letter.matter.as_str(),
            status: status(listing.status),
            attempts: listing.attempts,
            words: listing.words.as_deref(),
            created_at: listing.letter.created_at,
            sent_to: listing.sent_to.as_ref().map(Email::as_typed),
            bounce: Returned::of(listing),
        }
    }
}

/// The stable name of where a letter stands.
pub const fn status(status: LetterStatus) -> &'static str {
    match status {
        LetterStatus::Waiting(_) => "waiting",
        LetterStatus::Delivered(_) => "delivered",
        LetterStatus::Withheld(_) => "withheld",
        LetterStatus::GivenUp(_) => "given-up",
        LetterStatus::Bounced(_) => "bounced",
    }
}

fn show(letters: &[LetterListing], people: &People, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(&letters.iter().map(Entry::of).collect::<Vec<_>>());
    }
    if letters.is_empty() {
        return output.line("No letters yet.");
    }
    let mut table = Table::new([
        "Accepted",
        "Matter",
        "To",
        "Status",
        "Failed tries",
        "The mail server said",
    ])
    .unbroken(&[0, 1]);
    for listing in letters {
        table.row([
            output.second(listing.letter.created_at).into(),
            listing.letter.matter.as_str().into(),
            to(&listing.letter.matter, people),
            standing(listing, output),
            match listing.attempts {
                0 => Styled::or_dash(None),
                n => n.to_string().into(),
            },
            Styled::or_dash(last_words(listing).as_deref()),
        ]);
    }
    output.table(&table)
}

/// The newest words about a letter: the mail server's own, or what another one reported afterwards.
pub fn last_words(listing: &LetterListing) -> Option<Cow<'_, str>> {
    let Some(bounce) = &listing.bounce else {
        return listing.words.as_deref().map(Cow::Borrowed);
    };
    let status = bounce.report.status.map(|status| status.to_string());
    let said = [status.as_deref(), bounce.report.words.as_deref()];
    Some(said.into_iter().flatten().collect::<Vec<_>>().join(": ").into())
}

fn to(matter: &Matter, people: &People) -> Styled {
    match matter {
        Matter::UnlockRequested { name, .. } => name.as_typed().into(),
        Matter::ResetRequested { email, .. }
        | Matter::EmailChanged { to: email, .. }
        | Matter::Campaign { to: email, .. } => email.as_typed().into(),
        Matter::Welcome { account }
        | Matter::PasswordChanged { account }
        | Matter::NewDevice { account, .. }
        | Matter::AccountUnlocked { account }
        | Matter::NewPassword { account } => people.words(*account),
    }
}

fn standing(listing: &LetterListing, output: &Output) -> Styled {
    let word = status(listing.status);
    match listing.status {
        LetterStatus::Waiting(at) if listing.attempts == 0 && at > listing.letter.created_at => {
            Styled::new(&format!("{word} until {}", output.second(at)), CARE)
        }
        // Before the first try there is nothing to tell about the next.
        LetterStatus::Waiting(_) if listing.attempts == 0 => Styled::new(word, CARE),
        LetterStatus::Waiting(at) => Styled::new(&format!("{word}, again at {}", output.second(at)), CARE),
        LetterStatus::Delivered(_) => match &listing.bounce {
            Some(bounce) => Styled::new(&format!("{word}, late since {}", output.second(bounce.at)), CARE),
            None => Styled::new(word, GOOD),
        },
        LetterStatus::Bounced(at) => Styled::new(&format!("{word} {}", output.second(at)), BAD),
        LetterStatus::Withheld(_) => Styled::new(word, FAINT),
        LetterStatus::GivenUp(_) => Styled::new(word, BAD),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::account::tests::account;
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::bounce::{Action, Bounce, Report, StatusCode};
    use crate::domain::outbox::Letter;

    #[test]
    fn a_letter_is_listed_with_what_became_of_it() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let yuki = account("101", "田中 ゆき");
        let letter = |status, attempts, words: Option<&str>| LetterListing {
            letter: Letter {
                id: LetterId::new(Uuid::from_u128(5)),
                matter: Matter::Welcome { account: yuki.id },
                created_at: at,
            },
            status,
            attempts,
            words: words.map(str::to_owned),
            paced: true,
            sent_to: yuki.email.clone(),
            bounce: None,
        };
        let report = |listing: LetterListing, action, status| LetterListing {
            bounce: Some(Bounce {
                report: Report {
                    action,
                    status: StatusCode::parse(status),
                    words: Some("the remote server's words".to_owned()),
                },
                at,
            }),
            ..listing
        };
        let letters = [
            letter(LetterStatus::Waiting(at), 0, None),
            letter(LetterStatus::Waiting(at), 2, Some("450 later")),
            letter(LetterStatus::Delivered(at), 2, Some("250 taken")),
            letter(LetterStatus::Withheld(at), 0, None),
            letter(LetterStatus::GivenUp(at), 9, Some("550 no such user")),
            report(
                letter(LetterStatus::Bounced(at), 0, Some("250 taken")),
                Action::Failed,
                "5.1.1",
            ),
            report(
                letter(LetterStatus::Delivered(at), 0, Some("250 taken")),
                Action::Delayed,
                "4.4.1",
            ),
        ];
        let people = People::of([yuki.clone()]);
        let print = |json| {
            let sheet = Sheet::default();
            show(&letters, &people, json, &mut sheet.output()).unwrap();
            sheet.text()
        };
        let text = print(false);
        assert!(text.lines().nth(2).unwrap().contains("101 田中 ゆき"), "{text}");
        assert!(text.contains("waiting, again at 2026-01-02 03:04:05"), "{text}");
        assert!(text.contains("550 no such user"), "{text}");
        assert!(text.contains("bounced 2026-01-02 03:04:05"), "{text}");
        assert!(text.contains("5.1.1: the remote server's words"), "{text}");
        assert!(text.contains("delivered, late since 2026-01-02"), "{text}");

        let json: serde_json::Value = serde_json::from_str(&print(true)).unwrap();
        let statuses: Vec<_> = json
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["status"].clone())
            .collect();
        assert_eq!(
            statuses,
            [
                "waiting",
                "waiting",
                "delivered",
                "withheld",
                "given-up",
                "bounced",
                "delivered"
            ]
        );
        assert_eq!(
            json[5]["bounce"],
            serde_json::json!({
                "action": "failed", "status": "5.1.1", "words": "the remote server's words", "at": "2026-01-02T03:04:05Z",
            })
        );
        assert_eq!(
            json[1],
            serde_json::json!({
                "id": Uuid::from_u128(5).to_string(), "matter": "welcome", "status": "waiting", "attempts": 2,
                "words": "450 later", "created_at": "2026-01-02T03:04:05Z", "sent_to": "yuki@phone.example", "bounce": null,
            })
        );
    }
}
