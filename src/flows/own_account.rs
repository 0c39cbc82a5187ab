//! What a signed-in person does with the own account: the password, the sessions, the language.
//!
//! Sensitive acts need a fresh sign-in: one whose password was given a short while ago. Giving it again goes through
//! the limits and the hasher of a sign-in, so that a borrowed browser is no way around them; and it gives the session a
//! new token (OWASP ASVS 5.0, 7.2.4), so that whoever holds a copy of the old one gains nothing by it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::account::{AccountEdit, AccountState, Field, LoginName};
use crate::domain::client::ClientAddr;
use crate::domain::device::Device;
use crate::domain::event::{Actor, Consequences, Event, Fact, Reason};
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::limits::attempt::{Attempt, Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;
use crate::domain::outbox::Matter;
use crate::domain::password::{Password, PasswordHash, Weaknesses};
use crate::domain::principal::Principal;
use crate::domain::session::{Lifetime, Session, SessionId, SessionState, later};
use crate::domain::token::SessionToken;
use crate::ports::{
    Accounts, Change, Events, Grant, Hasher, Limiter, PasswordChange, Place, Principals, Renewal, Ruling, Sessions,
    Spent, Stopped, Verification,
};

use super::set_password::{NewPassword, SetPassword};
use super::{Refusals, StandingOrders, World};

/// The person's own counter.
pub struct OwnAccount {
    /// The record and its hash.
    pub accounts: Arc<dyn Accounts>,
    /// The sessions.
    pub sessions: Arc<dyn Sessions>,
    /// Forgets what this process has just changed.
    pub principals: Arc<dyn Principals>,
    /// Where refusals are recorded.
    pub events: Arc<dyn Events>,
    /// Charged before any work.
    pub limiter: Arc<dyn Limiter>,
    /// Compares and hashes passwords.
    pub hasher: Arc<dyn Hasher>,
    /// When refusals leave: on the schedule of signing in.
    pub refusals: Arc<Refusals>,
    /// Who is banned: who has a session left gets no further with the password.
    pub orders: Arc<StandingOrders>,
    /// Judges new passwords, as for whoever sets one by link.
    pub set_password: Arc<SetPassword>,
    /// Time and chance.
    pub world: World,
    /// When sessions are past their limits.
    pub lifetime: Lifetime,
    /// How long after the password was given sensitive acts need no more.
    pub fresh_for: Duration,
}

/// What became of giving the password again.
#[derive(Debug)]
pub enum Confirmation {
    /// It is the password; the sign-in is fresh, and this is the session's new token, for the cookie, once.
    Done(SessionToken),
    /// It is not, or the account may not sign in any more.
    Refused,
    /// Too many attempts; try again after this time.
    Throttled(Duration),
}

/// What became of changing the password.
#[derive(Debug)]
pub enum PasswordOutcome {
    /// It is changed, durably.
    Done {
        /// The session's new token, for the cookie, once.
        token: SessionToken,
        /// The device it was done on, as it is known from now on: all others have become strange.
        device: Option<Box<Device>>,
    },
    /// The old password is wrong.
    WrongOld,
    /// The two fields differ.
    Differ,
    /// The new password is not good enough.
    Weak(Weaknesses),
    /// The new password is the old one.
    Same,
    /// Too many attempts; try again after this time.
    Throttled(Duration),
    /// Something else changed the account in between; nothing was done.
    Overtaken,
}

/// Which of the own sessions are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This one.
    One(SessionId),
    /// All but the one it is asked from.
    Others,
    /// All.
    All,
}

impl OwnAccount {
    /// Whether sensitive acts need no password again.
    pub fn is_fresh(&self, principal: &Principal) -> bool {
        self.world.now() < later(principal.session.authenticated_at, self.fresh_for)
    }

    /// The living sessions, the one that asks first, then those used last.
    pub async fn sessions(&self, principal: &Principal) -> Result<Vec<Session>, Fault> {
        let now = self.world.now();
        let stored = self.sessions.list(Some(principal.account.id)).await?;
        let mut living: Vec<Session> = stored
            .into_iter()
            .filter(|(session, account)| {
                session.state_at(now, session.last_seen_at, account, self.lifetime) == SessionState::Live
                    || session.id == principal.session.id
            })
            .map(|(session, _)| session)
            .collect();
        living.sort_by_key(|session| {
            let current = session.id == principal.session.id;
            std::cmp::Reverse((current, session.last_seen_at))
        });
        Ok(living)
    }

    /// The person gives the password again. `None` is a password longer than any may be.
    pub async fn confirm(
        &self,
        principal: &Principal,
        password: Option<&Password>,
        client: ClientAddr,
    ) -> Result<Confirmation, Fault> {
        let grant = match self.charge(principal, password, client) {
            Ok(grant) => grant,
            Err(wait) => return Ok(Confirmation::Throttled(wait)),
        };
        if self.compare(principal, password, client, grant).await?.is_none() {
            return Ok(Confirmation::Refused);
        }
        let session = &principal.session;
        let then = Consequences::event(self.event(principal, client, Fact::SignInConfirmed(session.id)));
        let (token, renewal) = self.renewal(principal);
        let renewed = self.sessions.renew(&renewal, self.world.now(), then).await?;
        self.principals.forget(&renewal.old);
        Ok(if renewed {
            Confirmation::Done(token)
        } else {
            Confirmation::Refused
        })
    }

    /// Changes the password of whoever knows the old one. The person is told by mail.
    pub async fn change_password(
        &self,
        principal: &Principal,
        old: Option<&Password>,
        typed: NewPassword<'_>,
        end_others: bool,
        client: ClientAddr,
        device: Option<Device>,
    ) -> Result<PasswordOutcome, Fault> {
        let grant = match self.charge(principal, old, client) {
            Ok(grant) => grant,
            Err(wait) => return Ok(PasswordOutcome::Throttled(wait)),
        };
        let new = match self.set_password.read(&typed, &principal.account) {
            Ok(Some(new)) => new,
            problem => {
                // The old password was not tried, so nothing was guessed.
                grant.settle(Outcome::NotTried);
                return Ok(problem.err().map_or(PasswordOutcome::Differ, PasswordOutcome::Weak));
            }
        };
        let same = old.is_some_and(|old| old.same_as(&new));
        let Some(old) = self.compare(principal, old, client, grant).await? else {
            return Ok(PasswordOutcome::WrongOld);
        };
        // Said only to whoever knows the old one; nobody is told by mail of a change that is none.
        if same {
            return Ok(PasswordOutcome::Same);
        }
        let new = self.hasher.hash(&new).await?;
        let (token, renewal) = self.renewal(principal);
        let change = PasswordChange {
            old,
            new,
            renewal,
            end_others,
        };
        let account = principal.account.id;
        let notice = Matter::PasswordChanged { account };
        let now = self.world.now();
        let then = Consequences::event(self.event(principal, client, Fact::PasswordChanged)).and_letter(
            self.world.uuid(),
            notice,
            now,
        );
        let changed = self.accounts.change_password(&change, now, then).await?;
        self.principals.forget(&change.renewal.old);
        Ok(if changed {
            let device = device.map(|device| Box::new(device.with(account, Some(now))));
            PasswordOutcome::Done { token, device }
        } else {
            PasswordOutcome::Overtaken
        })
    }

    /// Ends own sessions. `false` when there is no such session of this person.
    pub async fn end(&self, principal: &Principal, which: Ending, client: ClientAddr) -> Result<bool, Fault> {
        let (account, now) = (principal.account.id, self.world.now());
        let event = |fact| Consequences::event(self.event(principal, client, fact));
        let ended = match which {
            Ending::One(id) => {
                let own = self.sessions.list(Some(account)).await?;
                let Some((session, _)) = own.into_iter().find(|(session, _)| session.id == id) else {
                    return Ok(false);
                };
                let ended = self.sessions.end(id, event(Fact::SignedOut(id))).await?;
                self.principals.forget(&session.digest);
                ended
            }
            Ending::Others => {
                let keep = principal.session.id;
                let then = event(Fact::SessionsEnded);
                self.accounts.end_other_sessions(account, keep, now, then).await? == Change::Done
            }
            Ending::All => {
                let then = event(Fact::SessionsEnded);
                self.accounts.end_sessions(account, now, then).await? == Change::Done
            }
        };
        self.principals.forget(&principal.session.digest);
        Ok(ended)
    }

    /// Sets the language of pages and letters.
    pub async fn speak(&self, principal: &Principal, language: Language, client: ClientAddr) -> Result<(), Fault> {
        let edit = AccountEdit {
            language: Some(language),
            ..AccountEdit::default()
        };
        let then = Consequences::event(self.event(principal, client, Fact::AccountChanged(vec![Field::Language])));
        self.accounts
            .update(principal.account.id, &edit, self.world.now(), then)
            .await?;
        self.principals.forget(&principal.session.digest);
        Ok(())
    }

    /// A fresh token for the session that asks, and what the store is to be told of it.
    fn renewal(&self, principal: &Principal) -> (SessionToken, Renewal) {
        let token = SessionToken::from_entropy(self.world.token());
        let renewal = Renewal {
            account: principal.account.id,
            session: principal.session.id,
            old: principal.session.digest,
            new: token.digest(),
        };
        self.principals.renewing(&renewal.old, renewal.session);
        (token, renewal)
    }

    /// Charged before any work.
    fn charge(
        &self,
        principal: &Principal,
        password: Option<&Password>,
        client: ClientAddr,
    ) -> Result<Grant, Duration> {
        // A session counts as a known device: strangers cannot lock anybody out of it, nor can wrong passwords in a
        // session lock anybody out of signing in.
        let id = principal.account.id;
        let session = format!("session {}", principal.session.id);
        let attempt = Attempt {
            account: Some(self.limiter.digest_text(&format!("account {id}"))),
            device: Some(self.limiter.digest_text(&session)),
            password: password.map(|password| self.limiter.digest_password(password)),
            banned: self.orders.bans_account(id),
            ..Attempt::new(Endpoint::ChangePassword, client)
        };
        match self.limiter.attempt(attempt, Some(id)) {
            Ruling::Granted(grant) => Ok(grant),
            Ruling::Refused(Stopped { retry_after, rule }) => {
                tracing::info!(%client, %rule, "password confirmation throttled");
                Err(retry_after)
            }
        }
    }

    /// The stored hash when this is the password; a refusal is recorded.
    async fn compare(
        &self,
        principal: &Principal,
        password: Option<&Password>,
        client: ClientAddr,
        grant: Grant,
    ) -> Result<Option<PasswordHash>, Fault> {
        super::wait(&grant).await;
        let begun = Instant::now();
        let name = LoginName::Extension(principal.account.extension.clone());
        // The extension may belong to somebody else by now, if this account was removed a moment ago.
        let credential = self.accounts.credential(&name).await?.filter(|credential| {
            credential.account.id == principal.account.id && credential.account.state == AccountState::Active
        });
        let banned = self.orders.bans_account(principal.account.id);
        let hash = credential.and_then(|credential| credential.hash);
        let compared = match self.refusals.turn(client, begun).await {
            Ok(turn) => {
                let place = Place::of(client, LaneKind::Known);
                let right = self.is_right(password, hash.as_ref(), banned, place).await;
                right.map(|right| (right, turn))
            }
            Err(fault) => Err(fault),
        };
        let ((right, spent), turn) = match compared {
            // Nothing was tried, so nothing is charged.
            Err(fault @ Fault::Overloaded { .. }) => {
                grant.settle(Outcome::NotTried);
                return Err(fault);
            }
            compared => compared?,
        };
        if right {
            grant.settle(Outcome::Succeeded);
            return Ok(hash);
        }
        grant.settle(Outcome::Failed);
        let reason = if banned { Reason::Banned } else { Reason::WrongPassword };
        let event = self.event(principal, client, Fact::SignInRefused(reason));
        self.events.append(&[event]).await?;
        turn.over(spent).await;
        Ok(None)
    }

    async fn is_right(
        &self,
        password: Option<&Password>,
        hash: Option<&PasswordHash>,
        banned: bool,
        place: Place,
    ) -> Result<(bool, Spent), Fault> {
        let (Some(password), Some(hash)) = (password, hash) else {
            return Ok((false, Spent::NOTHING));
        };
        // Compared with a hash that nothing matches: a ban takes as long as a wrong password.
        let compared = self
            .hasher
            .verify(password, Some(hash).filter(|_| !banned), place)
            .await?;
        Ok((matches!(compared.outcome, Verification::Match { .. }), compared.spent))
    }

    fn event(&self, principal: &Principal, client: ClientAddr, fact: Fact) -> Event {
        let account = principal.account.id;
        self.world
            .event(Actor::Person(account), Some(client), Some(account), fact)
    }
}
