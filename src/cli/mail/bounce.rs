//! `sekisho mail bounce`: takes in what comes to the return address of letters, from the pipe of a mail server or out
//! of a mailbox that was fetched.
//!
//! A mail server reads the exit code: 75 (`EX_TEMPFAIL`) keeps the message in its queue, and everything that an
//! operator can mend answers so. 0 means that the message has been dealt with, also when it told nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;

use crate::app::BounceDesk;
use crate::domain::bounce::{Action, Ignored, Report};
use crate::flows::Settled;
use crate::ports::LetterListing;

use super::super::open;
use super::super::output::{Output, complain, plain};

/// `EX_TEMPFAIL` of sysexits: try again later.
const TRY_AGAIN: u8 = 75;
/// `EX_NOINPUT` of sysexits: there is no such file, or it may not be read.
const NO_INPUT: u8 = 66;

#[derive(Args)]
pub struct Bounce {
    /// Files with one message each; without any, or for `-`, one message comes from standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take every message in new/ of this Maildir and put it into cur/ once it is dealt with
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["files", "recipient"])]
    maildir: Option<PathBuf>,
    /// The recipient in the envelope, where the mail server tells it; otherwise header fields do
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
}

impl Bounce {
    pub fn run(&self, path: &Path, output: &mut Output) -> ExitCode {
        let messages = match self.messages() {
            Ok(messages) => messages,
            Err(error) => {
                complain(&error);
                return ExitCode::from(NO_INPUT);
            }
        };
        let settled = open::office(path, async |office, config| {
            let desk = office.bounces(config)?.ok_or_else(|| {
                anyhow!("mail.bounces is not set, so no letter has a return address of its own; see docs/bounces.md")
            })?;
            let mut left = 0;
            for message in &messages {
                left += usize::from(!self.settle(message, &desk, output).await?);
            }
            output.flush()?;
            Ok(left)
        });
        match settled {
            Ok(0) => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(TRY_AGAIN),
            Err(error) => {
                complain(&error);
                ExitCode::from(TRY_AGAIN)
            }
        }
    }

    /// Where messages are to be read from.
    fn messages(&self) -> anyhow::Result<Vec<Source>> {
        if let Some(maildir) = &self.maildir {
            return in_maildir(maildir);
        }
        if self.files.is_empty() {
            return Ok(vec![Source::StandardInput]);
        }
        let source = |file: &PathBuf| {
            if file.as_os_str() == "-" {
                return Ok(Source::StandardInput);
            }
            File::open(file).with_context(|| format!("could not read {}", file.display()))?;
            Ok(Source::File(file.clone()))
        };
        self.files.iter().map(source).collect()
    }

    /// Whether the message is dealt with.
    async fn settle(&self, message: &Source, desk: &BounceDesk, output: &mut Output) -> anyhow::Result<bool> {
        let settled = desk.settle(&message.read()?, self.recipient.as_deref()).await?;
        output.line(plain(&said(&settled)))?;
        if settled == Settled::TooEarly {
            return Ok(false);
        }
        message.put_away()?;
        Ok(true)
    }
}

/// Where a message comes from.
enum Source {
    StandardInput,
    File(PathBuf),
    /// In new/ of a Maildir, and where it goes then.
    Maildir(PathBuf, PathBuf),
}

impl Source {
    /// Its beginning: a report stands before the message that it returns. What comes through a pipe is taken to the
    /// end all the same, since a mail server that cannot write it all believes that something went wrong.
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        let mut message = Vec::new();
        match self {
            Self::StandardInput => {
                let mut input = io::stdin().lock();
                let most = u64::try_from(BounceDesk::MOST_READ)?;
                input
                    .by_ref()
                    .take(most)
                    .read_to_end(&mut message)
                    .and_then(|_| io::copy(&mut input, &mut io::sink()))
                    .context("could not read the message from standard input")?;
            }
            Self::File(file) | Self::Maildir(file, _) => {
                File::open(file)
                    .and_then(|file| file.take(BounceDesk::MOST_READ as u64).read_to_end(&mut message))
                    .with_context(|| format!("could not read {}", file.display()))?;
            }
        }
        Ok(message)
    }

    fn put_away(&self) -> anyhow::Result<()> {
        if let Self::Maildir(from, to) = self {
            fs::rename(from, to).with_context(|| format!("could not move {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }
}

/// The messages that nobody has looked at, by name: that is the order in which they came. Only plain files count: a
/// pipe or a link that somebody laid there could be anything.
fn in_maildir(directory: &Path) -> anyhow::Result<Vec<Source>> {
    let (new, cur) = (directory.join("new"), directory.join("cur"));
    if !cur.is_dir() {
        return Err(anyhow!(
            "{} is no Maildir: there is no directory cur in it",
            directory.display()
        ));
    }
    let unreadable = || format!("could not read the directory {}", new.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(&new).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let is_message = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_message && let Some(name) = entry.file_name().to_str().filter(|name| !name.starts_with('.')) {
            let seen = match name.split_once(':') {
                Some(_) => name.to_owned(),
                None => format!("{name}:2,S"),
            };
            found.push((name.to_owned(), entry.path(), cur.join(seen)));
        }
    }
    found.sort();
    Ok(found
        .into_iter()
        .map(|(_, from, to)| Source::Maildir(from, to))
        .collect())
}

/// What became of a message, for the mail server's log or the person who ran this.
fn said(settled: &Settled) -> String {
    match settled {
        Settled::Noted(letter, report) => about(
            match report.action {
                Action::Failed => "bounced",
                Action::Delayed => "late",
                Action::Delivered => "arrived",
            },
            letter,
            report,
        ),
        Settled::Known(letter, report) => about("nothing new", letter, report),
        Settled::Ignored(why) => format!("ignored: {}; counted in: sekisho mail progress", reason(*why)),
        Settled::TooEarly => {
            "too early: the letter is not noted as handed over yet; to be handed in again in a while".to_owned()
        }
    }
}

fn about(outcome: &str, listing: &LetterListing, report: &Report) -> String {
    let letter = &listing.letter;
    let to = listing.sent_to.as_ref().map_or("nobody", |email| email.as_typed());
    let mut text = format!("{outcome}: {} to {to} (letter {})", letter.matter.as_str(), letter.id);
    if let Some(status) = report.status {
        text = format!("{text}: {status}");
    }
    match &report.words {
        Some(words) => format!("{text}: {words}"),
        None => text,
    }
}

/// What is said of a message that told nothing.
pub const fn reason(why: Ignored) -> &'static str {
    match why {
        Ignored::Untagged => "no recipient is the return address of a letter",
        Ignored::Forged => "the tag in its recipient was not made here",
        Ignored::Answer => "it is an answer and no bounce",
        Ignored::Unknown => "the letter it is about is not kept any more, or never left",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_maildir_gives_its_new_messages_in_order_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        assert!(in_maildir(home.path()).is_err());
        for directory in ["new", "cur", "new/directory"] {
            fs::create_dir(home.path().join(directory)).unwrap();
        }
        for name in ["new/2.b.host", "new/1.a.host:2,", "new/.hidden", "cur/3.c.host:2,S"] {
            fs::write(home.path().join(name), name).unwrap();
        }
        symlink("/etc/passwd", home.path().join("new/4.link.host")).unwrap();
        let found = in_maildir(home.path()).unwrap();
        let read: Vec<_> = found.iter().map(|source| source.read().unwrap()).collect();
        assert_eq!(read, [b"new/1.a.host:2,".to_vec(), b"new/2.b.host".to_vec()]);
        for source in &found {
            source.put_away().unwrap();
        }
        let cur = |name| fs::read(home.path().join("cur").join(name)).unwrap();
        assert_eq!(cur("1.a.host:2,"), b"new/1.a.host:2,");
        assert_eq!(cur("2.b.host:2,S"), b"new/2.b.host");
        assert!(in_maildir(home.path()).unwrap().is_empty());
    }

    #[test]
    fn no_more_of_a_file_is_read_than_a_report_needs() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("huge");
        fs::write(&file, vec![b'x'; BounceDesk::MOST_READ + 5]).unwrap();
        assert_eq!(Source::File(file).read().unwrap().len(), BounceDesk::MOST_READ);
    }
}
