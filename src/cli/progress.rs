//! `sekisho mail progress`: how far the letters are, in numbers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::app::Office;
use crate::domain::bounce::Ignored;
use crate::ports::{LetterListing, LetterStatus};

use super::account::import::bar;
use super::mail::bounce;
use super::open;
use super::output::{BAD, CARE, FAINT, GOOD, Output};
use super::table::{Styled, Table};

#[derive(Args)]
pub struct Progress {
    /// Wait until no letter waits any more
    #[arg(long)]
    wait: bool,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How many letters stand where.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Tally {
    waiting: usize,
    delivered: usize,
    withheld: usize,
    given_up: usize,
    bounced: usize,
    /// Letters that wait although the mail server has been tried.
    tried_in_vain: usize,
    /// When the last one that waits is due.
    last_due_at: Option<Timestamp>,
    /// Messages to the return address that told nothing, by reason.
    ignored: BTreeMap<&'static str, u64>,
}

impl Progress {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let tally = open::office(path, async |office, _| {
            if self.wait {
                wait(office).await
            } else {
                tally_of(office).await
            }
        })?;
        if self.json {
            return output.json(&tally);
        }
        output.table(&tally.table(output))
    }
}

async fn tally_of(office: &Office) -> anyhow::Result<Tally> {
    let mut tally = Tally::of(&office.outbox.list(usize::MAX).await?);
    let ignored = office.returned.ignored().await?.into_iter();
    tally.ignored = ignored.map(|(why, count)| (why.as_str(), count)).collect();
    Ok(tally)
}

/// The bar counts from the letters that wait when it begins. A stop of this command stops no letter.
async fn wait(office: &Office) -> anyhow::Result<Tally> {
    let mut tally = tally_of(office).await?;
    let total = tally.waiting;
    let bar = bar(total, "letters");
    while tally.waiting > 0 {
        bar.set_length(tally.waiting.max(total) as u64);
        bar.set_position(total.saturating_sub(tally.waiting) as u64);
        tokio::time::sleep(LOOK).await;
        tally = tally_of(office).await?;
    }
    bar.finish_and_clear();
    Ok(tally)
}

impl Tally {
    fn of(letters: &[LetterListing]) -> Self {
        let mut tally = Self::default();
        for listing in letters {
            match listing.status {
                LetterStatus::Waiting(due) => {
                    tally.waiting += 1;
                    tally.tried_in_vain += usize::from(listing.attempts > 0);
                    tally.last_due_at = tally.last_due_at.max(Some(due));
                }
                LetterStatus::Delivered(_) => tally.delivered += 1,
                LetterStatus::Withheld(_) => tally.withheld += 1,
                LetterStatus::GivenUp(_) => tally.given_up += 1,
                LetterStatus::Bounced(_) => tally.bounced += 1,
            }
        }
        tally
    }

    fn table(&self, output: &Output) -> Table {
        let mut table = Table::of_facts();
        let waiting = match self.last_due_at {
            Some(at) => format!("{}, the last is due at {}", self.waiting, output.second(at)),
            None => "0".to_owned(),
        };
        table.fact(
            "Waiting",
            Styled::new(&waiting, if self.waiting > 0 { CARE } else { FAINT }),
        );
        if self.tried_in_vain > 0 {
            let words = format!("{} (see: sekisho mail list)", self.tried_in_vain);
            table.fact("Tried in vain", Styled::new(&words, BAD));
        }
        table.fact("Delivered", Styled::new(&self.delivered.to_string(), GOOD));
        table.fact("Withheld", Styled::new(&self.withheld.to_string(), FAINT));
        let given_up = if self.given_up > 0 { BAD } else { FAINT };
        table.fact("Given up", Styled::new(&self.given_up.to_string(), given_up));
        let bounced = if self.bounced > 0 { BAD } else { FAINT };
        table.fact("Bounced", Styled::new(&self.bounced.to_string(), bounced));
        for (reason, count) in Ignored::ALL.map(|why| (why, self.ignored.get(why.as_str()))) {
            if let Some(count) = count {
                table.fact("Ignored reports", format!("{count}: {}", bounce::reason(reason)));
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::account::tests::account;
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::outbox::{Letter, LetterId, Matter};

    #[test]
    fn letters_are_counted_by_where_they_stand() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let letter = |status, attempts| LetterListing {
            letter: Letter {
                id: LetterId::new(Uuid::from_u128(5)),
                matter: Matter::Welcome {
                    account: account("101", "Yuki").id,
                },
                created_at: at(0),
            },
            status,
            attempts,
            words: None,
            paced: true,
            sent_to: None,
            bounce: None,
        };
        let mut tally = Tally::of(&[
            letter(LetterStatus::Waiting(at(60)), 0),
            letter(LetterStatus::Waiting(at(30)), 2),
            letter(LetterStatus::Delivered(at(1)), 1),
            letter(LetterStatus::Withheld(at(1)), 0),
            letter(LetterStatus::GivenUp(at(1)), 9),
            letter(LetterStatus::Bounced(at(1)), 0),
        ]);
        tally.ignored.insert("forged", 3);
        assert_eq!(
            tally,
            Tally {
                waiting: 2,
                delivered: 1,
                withheld: 1,
                given_up: 1,
                bounced: 1,
                tried_in_vain: 1,
                last_due_at: Some(at(60)),
                ignored: BTreeMap::from([("forged", 3)]),
            }
        );
        let sheet = Sheet::default();
        let mut output = sheet.output();
        let table = tally.table(&output);
        output.table(&table).unwrap();
        assert!(
            sheet.text().contains("2, the last is due at 1970-01-01 00:01:00"),
            "{}",
            sheet.text()
        );
        assert!(sheet.text().contains("Tried in vain"), "{}", sheet.text());
        assert!(
            sheet.text().contains("3: the tag in its recipient was not made here"),
            "{}",
            sheet.text()
        );
    }
}
