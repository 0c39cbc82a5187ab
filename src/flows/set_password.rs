//! Setting a password by link: looking at a ticket changes nothing; redeeming spends it, once.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::account::{Account, AccountState};
use crate::domain::client::ClientAddr;
use crate::domain::event::{Actor, Consequences, Fact, Reason};
use crate::domain::fault::Fault;
use crate::domain::limits::attempt::{Attempt, Endpoint};
use crate::domain::limits::ledger::Outcome;
use crate::domain::outbox::Matter;
use crate::domain::password::{Password, PasswordHash, PasswordRules, Weakness, Weaknesses};
use crate::domain::ticket::{Purpose, TicketState};
use crate::domain::token::TicketToken;
use crate::ports::{Events, Hasher, Limiter, Place, Redemption, Ruling, Stopped, TicketRecord, Tickets, Verification};

use super::{StandingOrders, World};

/// What a presented link is worth.
#[derive(Debug)]
pub enum Look {
    /// It may set the password of this account.
    Live {
        /// Whose password.
        account: Box<Account>,
        /// Why it was made.
        purpose: Purpose,
    },
    /// It worked once, but no longer.
    Dead {
        /// Why not.
        state: TicketState,
        /// Why it was made, so that the page can offer the right next step.
        purpose: Purpose,
    },
    /// It never worked, or is long gone.
    Unknown,
    /// Too many links; try again after this time.
    Throttled(Duration),
}

/// What was typed into the form.
#[derive(Debug)]
pub struct NewPassword<'a> {
    /// The first field.
    pub password: &'a str,
    /// The second field.
    pub confirmation: &'a str,
}

/// What became of a redemption.
#[derive(Debug)]
pub enum WithTicket {
    /// The password is set, durably; every other session of the account has ended.
    Done(Box<Account>),
    /// The two fields differ; the link still works.
    Differ(Box<Account>, Purpose),
    /// The password is not good enough; the link still works.
    Weak(Box<Account>, Purpose, Weaknesses),
    /// The link does not work.
    NotLive(Look),
}

/// Sets passwords by link.
pub struct SetPassword {
    /// The rights to set one.
    pub tickets: Arc<dyn Tickets>,
    /// Where openings and refusals are recorded.
    pub events: Arc<dyn Events>,
    /// Charged before any work.
    pub limiter: Arc<dyn Limiter>,
    /// Hashes the new password.
    pub hasher: Arc<dyn Hasher>,
    /// Who is banned.
    pub orders: Arc<StandingOrders>,
    /// Time and chance.
    pub world: World,
    /// What a new password must meet.
    pub rules: PasswordRules,
}

impl SetPassword {
    /// Looks at a link without spending it, and records that it was opened.
    pub async fn look(&self, token: Option<&TicketToken>, client: ClientAddr) -> Result<Look, Fault> {
        let look = self.judge(token, client).await?;
        let event = |account, fact| self.world.event(Actor::Stranger, Some(client), account, fact);
        match (&look, token) {
            (Look::Live { account, purpose }, Some(token)) => {
                let opened = event(Some(account.id), Fact::LinkOpened(*purpose));
                self.tickets.opened(&token.digest(), self.world.now(), opened).await?;
            }
            (Look::Dead { state, .. }, _) => {
                self.events
                    .append(&[event(None, Fact::LinkRefused(refusal(*state)))])
                    .await?;
            }
            // Invented links are counted by the limits; recording each would let a stranger fill the store.
            _ => {}
        }
        Ok(look)
    }

    /// Looks at a link whose page is shown again: it was opened before, so nothing is counted or recorded.
    pub async fn look_again(&self, token: Option<&TicketToken>, client: ClientAddr) -> Result<Look, Fault> {
        self.judge(token, client).await
    }

    /// Spends the link and sets the password, provided that everything is in order.
    ///
    /// # Errors
    /// A fault when the store is down or the hashing queue is full; the link still works then.
    pub async fn redeem(
        &self,
        token: Option<&TicketToken>,
        typed: NewPassword<'_>,
        client: ClientAddr,
    ) -> Result<WithTicket, Fault> {
        let (look, closed) = self.judge_with_closed(token, client).await?;
        let (account, purpose) = match look {
            Look::Live { account, purpose } => (account, purpose),
            other => return Ok(WithTicket::NotLive(other)),
        };
        let Some(token) = token else {
            return Ok(WithTicket::NotLive(Look::Unknown));
        };
        let password = match self.read(&typed, &account) {
            Ok(Some(password)) => password,
            Ok(None) => return Ok(WithTicket::Differ(account, purpose)),
            Err(weakness) => return Ok(WithTicket::Weak(account, purpose, weakness)),
        };
        if let Some(closed) = &closed
            && let Verification::Match { .. } = self.hasher.verify(&password, Some(closed), Place::OWN).await?.outcome
        {
            // Whoever it was taken away from knows it still.
            return Ok(WithTicket::Weak(account, purpose, Weakness::Common.into()));
        }
        let hash = self.hasher.hash(&password).await?;
        let (id, now) = (account.id, self.world.now());
        let set = self
            .world
            .event(Actor::Person(id), Some(client), Some(id), Fact::PasswordSet(purpose));
        let notice = Matter::PasswordChanged { account: id };
        // The very first password needs no notice: the person has just answered the Welcome letter.
        let then = match purpose {
            Purpose::Welcome => Consequences::event(set),
            Purpose::Reset => Consequences::event(set).and_letter(self.world.uuid(), notice, now),
        };
        Ok(match self.tickets.redeem(&token.digest(), &hash, now, then).await? {
            Redemption::Done => WithTicket::Done(account),
            Redemption::Refused(state) => WithTicket::NotLive(Look::Dead { state, purpose }),
            Redemption::Unknown => WithTicket::NotLive(Look::Unknown),
        })
    }

    /// Judges what somebody is about to choose, for a page that says so while they type.
    pub fn rules(&self) -> &PasswordRules {
        &self.rules
    }

    async fn judge(&self, token: Option<&TicketToken>, client: ClientAddr) -> Result<Look, Fault> {
        Ok(self.judge_with_closed(token, client).await?.0)
    }

    /// The same, with the password that was taken away from the account.
    async fn judge_with_closed(
        &self,
        token: Option<&TicketToken>,
        client: ClientAddr,
    ) -> Result<(Look, Option<PasswordHash>), Fault> {
        let grant = match self.limiter.attempt(Attempt::new(Endpoint::SetPassword, client), None) {
            Ruling::Granted(grant) => grant,
            Ruling::Refused(Stopped { retry_after, rule }) => {
                tracing::info!(%client, %rule, "link throttled");
                return Ok((Look::Throttled(retry_after), None));
            }
        };
        super::wait(&grant).await;
        let Some(token) = token else {
            return Ok((Look::Unknown, None));
        };
        let found = self.tickets.find(&token.digest()).await;
        // Good links are counted like bad ones: each look is written down.
        grant.settle(match &found {
            Ok(Some(_)) => Outcome::Used,
            Ok(None) => Outcome::Failed,
            Err(_) => Outcome::NotTried,
        });
        let Some(TicketRecord {
            ticket,
            account,
            closed,
        }) = found?
        else {
            return Ok((Look::Unknown, None));
        };
        let purpose = ticket.purpose;
        let look = match ticket.state_at(self.world.now()) {
            // Of a ban, too, a stranger learns nothing; when it is lifted the link works again.
            TicketState::Live if account.state == AccountState::Disabled || self.orders.bans_account(account.id) => {
                Look::Dead {
                    state: TicketState::Replaced,
                    purpose,
                }
            }
            TicketState::Live => Look::Live {
                account: Box::new(account),
                purpose,
            },
            state => Look::Dead { state, purpose },
        };
        Ok((look, closed))
    }

    /// The password, `None` when the two fields differ.
    pub(super) fn read(&self, typed: &NewPassword<'_>, account: &Account) -> Result<Option<Password>, Weaknesses> {
        let parse = |text| Password::parse(text, self.rules.max_chars).map_err(|_| Weakness::TooLong);
        let (password, confirmation) = (parse(typed.password)?, parse(typed.confirmation)?);
        let email = account.email.as_ref().map_or("", |email| email.as_typed());
        self.rules
            .check(&password, &[&account.name, account.extension.as_str(), email])?;
        Ok(password.same_as(&confirmation).then_some(password))
    }
}

const fn refusal(state: TicketState) -> Reason {
    match state {
        TicketState::Expired => Reason::LinkExpired,
        TicketState::Used => Reason::LinkUsed,
        TicketState::Replaced => Reason::LinkReplaced,
        TicketState::Overtaken => Reason::LinkOvertaken,
        TicketState::Live => Reason::LinkUnknown,
    }
}
