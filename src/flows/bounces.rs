//! What comes back: keeps a report with the letter it is about, and counts what told nothing.
//!
//! A link whose letter bounced works on. The report may be wrong, whoever got the letter can forge one, and the person
//! may have the link by another way: only a password set, its time or a newer link ends it.

use std::sync::Arc;

use crate::domain::account::AccountId;
use crate::domain::bounce::{Ignored, Reading, Report};
use crate::domain::event::{Actor, Fact};
use crate::domain::fault::Fault;
use crate::ports::{Accounts, Bounces, EmailMatch, LetterListing, Noting};

use super::World;

/// Takes in what comes to the return address of letters.
pub struct BounceOffice {
    /// Where reports are kept.
    pub bounces: Arc<dyn Bounces>,
    /// Whom a letter concerns.
    pub accounts: Arc<dyn Accounts>,
    /// Time and chance.
    pub world: World,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Its report is kept with the letter.
    Noted(Box<LetterListing>, Report),
    /// Its report says nothing that was not known.
    Known(Box<LetterListing>, Report),
    /// It told nothing, and was counted.
    Ignored(Ignored),
    /// It came before the letter was noted as handed over: to be handed in again in a while.
    TooEarly,
}

impl BounceOffice {
    /// Keeps what a message said.
    ///
    /// # Errors
    /// When the store is down; nothing is kept then.
    pub async fn settle(&self, reading: Reading) -> Result<Settled, Fault> {
        let (id, report) = match reading {
            Reading::About(id, report) => (id, report),
            Reading::Ignored(why) => return self.ignore(why).await,
        };
        let Some(letter) = self.bounces.letter(id).await? else {
            return self.ignore(Ignored::Unknown).await;
        };
        let account = self.account_of(&letter).await?;
        let fact = Fact::LetterBounced(letter.letter.matter.as_str(), report.status);
        let event = self.world.event(Actor::Gateway, None, account, fact);
        match self.bounces.note(id, &report, self.world.now(), event).await? {
            Noting::Done => Ok(Settled::Noted(Box::new(letter), report)),
            Noting::Unchanged => Ok(Settled::Known(Box::new(letter), report)),
            Noting::NotYetSent => Ok(Settled::TooEarly),
            Noting::Unknown => self.ignore(Ignored::Unknown).await,
        }
    }

    async fn ignore(&self, why: Ignored) -> Result<Settled, Fault> {
        self.bounces.ignore(why).await?;
        Ok(Settled::Ignored(why))
    }

    /// Whom the letter was written to; a reset is told by its address.
    async fn account_of(&self, letter: &LetterListing) -> Result<Option<AccountId>, Fault> {
        if let Some(account) = letter.letter.matter.account() {
            return Ok(Some(account));
        }
        let Some(email) = &letter.sent_to else {
            return Ok(None);
        };
        Ok(match self.accounts.find_by_email(email).await? {
            EmailMatch::One(account) => Some(account.id),
            EmailMatch::Nobody | EmailMatch::Shared(_) => None,
        })
    }
}
