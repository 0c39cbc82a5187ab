//! Bringing many people in from a file: read it, show what it would change, and store that, all or nothing.
//!
//! Reading and comparing are values without any store behind them; [`ImportAccounts`] is the only part that awaits.

mod cell;
mod columns;
mod difference;
mod lines;
mod sheet;
mod text;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use cell::{guard, join_groups};
pub use columns::{Column, ColumnProblem, Columns, Mapping};
pub use difference::{Difference, Person, Wish};
pub use lines::LineProblem;
pub use sheet::{JudgeHash, MAX_FILE, Reading, RefusedLine, Row, RowProblem, Sheet};
pub use text::{UnknownEncoding, encoding};

use super::World;
use crate::domain::account::{AccountId, AccountState};
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::limits::Quota;
use crate::domain::outbox::{GIVE_UP_AFTER, Letter, LetterId, Matter};
use crate::domain::session::later;
use crate::domain::ticket::{Ticket, TicketState, Way};
use crate::ports::{AccountBatch, AccountRecord, Accounts, BatchOutcome, DueLetter, LetterStatus, Outbox, Tickets};

use difference::Known;

/// Imports people.
pub struct ImportAccounts {
    /// Who there is.
    pub accounts: Arc<dyn Accounts>,
    /// Who has been written to.
    pub outbox: Arc<dyn Outbox>,
    /// Who has a link on paper.
    pub tickets: Arc<dyn Tickets>,
    /// Time and chance.
    pub world: World,
    /// How many letters in how much time the mail server bears.
    pub rate: Quota,
}

/// What an import would do.
#[derive(Debug)]
pub struct ImportPlan {
    /// What would change.
    pub difference: Difference,
    /// When the last of its letters would leave; `None` when there are none.
    pub last_letter_at: Option<Timestamp>,
    /// Letters that wait already; new ones queue behind them.
    waiting_until: Option<Timestamp>,
}

/// What became of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// All of it is stored.
    Done,
    /// An account has changed since the plan was made: nothing is stored.
    Outdated,
    /// Nobody would be left who can sign in as an administrator: nothing is stored.
    LastAdministrator,
    /// At this rate the last letters would wait so long that they are given up at their first failure: nothing
    /// is stored.
    TooSlow,
}

/// All letters must be due within this time, which leaves a day to try again.
const SENT_WITHIN: Duration = GIVE_UP_AFTER.saturating_sub(Duration::from_hours(24));

impl ImportAccounts {
    /// Compares a file with everybody there is.
    ///
    /// # Errors
    /// When the store is down.
    pub async fn plan(&self, sheet: Sheet, wish: Wish) -> Result<ImportPlan, Fault> {
        let now = self.world.now();
        let listings = self.accounts.list().await?;
        let (written_to, waiting_until) = self.letters(now).await?;
        let known = Known {
            listings: &listings,
            written_to: &written_to,
            now,
        };
        let difference = Difference::between(&known, sheet, wish, || AccountId::new(self.world.uuid()));
        let mut plan = ImportPlan {
            difference,
            last_letter_at: None,
            waiting_until,
        };
        plan.last_letter_at = self.due_times(&plan, now).last();
        Ok(plan)
    }

    /// Stores what the plan says. `stored` hears how many records are stored so far.
    ///
    /// # Errors
    /// When the store is down; nothing is stored then.
    pub async fn apply(
        &self,
        plan: &ImportPlan,
        stored: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<ImportOutcome, Fault> {
        let now = self.world.now();
        if self
            .due_times(plan, now)
            .last()
            .is_some_and(|last| last > later(now, SENT_WITHIN))
        {
            return Ok(ImportOutcome::TooSlow);
        }
        let batch = self.batch(plan, now);
        Ok(match self.accounts.import(&batch, now, stored).await? {
            BatchOutcome::Done => ImportOutcome::Done,
            BatchOutcome::Outdated => ImportOutcome::Outdated,
            BatchOutcome::LastAdministrator => ImportOutcome::LastAdministrator,
        })
    }

    /// Whose Welcome letter waits or was delivered, or who has a link on paper, which a letter would spend; and until
    /// when letters wait. A letter that bounced has reached nobody.
    async fn letters(&self, now: Timestamp) -> Result<(HashSet<AccountId>, Option<Timestamp>), Fault> {
        let (mut written_to, mut until, mut crowd) = (HashSet::new(), None, 0_u32);
        for listing in self.outbox.list(usize::MAX).await? {
            if let LetterStatus::Waiting(due) = listing.status {
                until = until.max(Some(due).filter(|due| *due > now));
                crowd += u32::from(listing.paced);
            }
            let (LetterStatus::Waiting(_) | LetterStatus::Delivered(_)) = listing.status else {
                continue;
            };
            if let Matter::Welcome { account } = listing.letter.matter {
                written_to.insert(account);
            }
        }
        let newest = self.tickets.newest().await?;
        let on_paper = |ticket: &&Ticket| ticket.way == Some(Way::Page) && ticket.state_at(now) == TicketState::Live;
        written_to.extend(newest.iter().filter(on_paper).map(|ticket| ticket.account));
        Ok((written_to, until.max(self.paced(now, crowd))))
    }

    /// When the last of so many waiting letters of crowds can leave at the earliest: overdue ones leave at the rate, too.
    fn paced(&self, now: Timestamp, crowd: u32) -> Option<Timestamp> {
        let before = crowd.checked_sub(1)?;
        Some(later(now, self.rate.interval().saturating_mul(before)))
    }

    /// When each letter is due: evenly, behind those that wait already.
    fn due_times(&self, plan: &ImportPlan, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let interval = self.rate.interval();
        let first = plan.waiting_until.map_or(now, |until| later(until, interval)).max(now);
        let count = u32::try_from(matters(&plan.difference).count()).unwrap_or(u32::MAX);
        (0..count).map(move |number| later(first, interval.saturating_mul(number)))
    }

    fn letters_due(&self, plan: &ImportPlan, now: Timestamp) -> Vec<DueLetter> {
        let due = |(matter, due_at)| DueLetter {
            letter: Letter {
                id: LetterId::new(self.world.uuid()),
                matter,
                created_at: now,
            },
            due_at,
        };
        matters(&plan.difference)
            .zip(self.due_times(plan, now))
            .map(due)
            .collect()
    }

    fn batch(&self, plan: &ImportPlan, now: Timestamp) -> AccountBatch {
        let difference = &plan.difference;
        let mut then = Consequences::default();
        let mut note = |account, fact| {
            let event = self.world.event(Actor::Operator, None, Some(account), fact);
            then.events.push(event);
        };
        let mut records = Vec::with_capacity(difference.new.len() + difference.changed.len());
        for person in difference.new.iter().chain(&difference.changed) {
            let id = person.record.after.id;
            match person.record.before {
                None => note(id, Fact::AccountCreated),
                Some(_) if !person.fields.is_empty() => note(id, Fact::AccountChanged(person.fields.clone())),
                Some(_) => {}
            }
            if person.record.hash.is_some() {
                note(id, Fact::PasswordImported);
            }
            records.push(person.record.clone());
        }
        for account in &difference.disabled {
            note(account.id, Fact::AccountDisabled);
            let mut after = account.clone();
            after.state = AccountState::Disabled;
            after.generation += 1;
            after.updated_at = now;
            records.push(AccountRecord {
                before: Some(account.clone()),
                after,
                hash: None,
            });
        }
        for account in &difference.welcome {
            note(*account, Fact::WelcomeRequested);
        }
        AccountBatch {
            records,
            then,
            later: self.letters_due(plan, now),
        }
    }
}

/// The letters of an import: whose address changes is told at both, before anybody is welcomed.
fn matters(difference: &Difference) -> impl Iterator<Item = Matter> + '_ {
    let moved = difference.changed.iter().flat_map(|person| {
        let AccountRecord { before, after, .. } = &person.record;
        let former = before.as_ref().and_then(|before| before.email.clone());
        let both = if former == after.email {
            [None, None]
        } else {
            [former, after.email.clone()]
        };
        both.into_iter().flatten().map(move |to| Matter::EmailChanged {
            account: after.id,
            to,
            reader: Some(after.into()),
        })
    });
    let welcome = difference.welcome.iter();
    moved.chain(welcome.map(|account| Matter::Welcome { account: *account }))
}
