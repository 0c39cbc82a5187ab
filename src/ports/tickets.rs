//! Tickets: the rights to set a password.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::account::{Account, AccountId};
use crate::domain::event::{Consequences, Event};
use crate::domain::fault::Fault;
use crate::domain::outbox::LetterId;
use crate::domain::password::PasswordHash;
use crate::domain::ticket::{Ticket, TicketState};
use crate::domain::token::TokenDigest;

/// Tickets and what they are exchanged for.
#[async_trait]
pub trait Tickets: Send + Sync {
    /// Stores a new ticket; every earlier live ticket of the account is replaced by it.
    /// Refused when the account is gone or disabled.
    async fn issue(&self, ticket: &Ticket) -> Result<Issue, Fault>;

    /// The ticket with this digest and its account.
    async fn find(&self, digest: &TokenDigest) -> Result<Option<TicketRecord>, Fault>;

    /// In one transaction, provided that the ticket is live at `now` and the account not disabled:
    /// spends the ticket, replaces the account's other live tickets, stores the hash, makes the account
    /// Active, raises its generation (every session ends) and records the consequences.
    /// Answered only when it is durable.
    async fn redeem(
        &self,
        digest: &TokenDigest,
        hash: &PasswordHash,
        now: Timestamp,
        then: Consequences,
    ) -> Result<Redemption, Fault>;

    /// Whether the account has a ticket made after `since` that is live at `now` and whose link is on paper, was handed
    /// to the mail server, or waits to be. That of the letter `besides` does not count.
    async fn stands(
        &self,
        account: AccountId,
        since: Timestamp,
        now: Timestamp,
        besides: LetterId,
    ) -> Result<bool, Fault>;

    /// The newest ticket of each account that has any, in no order.
    async fn newest(&self) -> Result<Vec<Ticket>, Fault>;

    /// Counts that the link was opened, and records it. Changes nothing else, and nothing when there is no such ticket.
    async fn opened(&self, digest: &TokenDigest, now: Timestamp, event: Event) -> Result<(), Fault>;

    /// The tickets of one account or of all, newest first, at most `most`.
    async fn list(&self, account: Option<AccountId>, most: usize) -> Result<Vec<TicketListing>, Fault>;

    /// Removes tickets that expired before `before`. Answers how many.
    async fn sweep(&self, before: Timestamp) -> Result<u64, Fault>;
}

/// A ticket in a listing: what became of its link. The link itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketListing {
    /// The ticket.
    pub ticket: Ticket,
    /// How often its link was opened while it worked.
    pub openings: u32,
    /// When last.
    pub opened_at: Option<Timestamp>,
    /// When it was used or replaced.
    pub ended_at: Option<Timestamp>,
}

/// What became of a new ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// It is stored.
    Done,
    /// The account is gone or disabled.
    NoAccount,
}

/// A ticket and the account it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketRecord {
    /// The ticket.
    pub ticket: Ticket,
    /// Its account.
    pub account: Account,
    /// The hash of the account's password that was taken away, when one was: it must not be set again.
    pub closed: Option<PasswordHash>,
}

/// What became of a redemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// The password is set.
    Done,
    /// The ticket is not live (any more).
    Refused(TicketState),
    /// There is no such ticket, or its account is gone or disabled.
    Unknown,
}
