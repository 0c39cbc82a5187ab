//! Signing in: login name and password become a new session.
//!
//! Every refusal costs the same work (the limits, one look-up, one hash, one event) and gives the
//! same answer, so that a stranger learns nothing about who has an account; where an imported hash costs
//! more, [`Refusals`] see to it that no answer tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::account::{Account, AccountId, AccountState, LoginName};
use crate::domain::client::ClientAddr;
use crate::domain::device::Device;
use crate::domain::event::{Actor, Consequences, Fact, Reason};
use crate::domain::fault::Fault;
use crate::domain::limits::{Decision, Lane, Reservation, SignInLimits};
use crate::domain::outbox::Matter;
use crate::domain::password::{Password, PasswordHash};
use crate::domain::session::{Session, SessionId};
use crate::domain::token::{SessionToken, TokenDigest};
use crate::ports::{
    Accounts, Compared, Credential, Events, Hasher, Limiter, Principals, Room, Sessions, Spent, Verification,
};

use super::{Refusals, World};

/// One attempt to sign in.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// What was typed as the name.
    pub name: &'a str,
    /// The password; `None` when it was longer than any password may be.
    pub password: Option<Password>,
    /// From where.
    pub client: ClientAddr,
    /// The browser's own words about itself.
    pub user_agent: &'a str,
    /// The device, when it has signed anybody in before.
    pub device: Option<Device>,
    /// The session this browser has had until now; it ends with the new one.
    pub replaces: Option<TokenDigest>,
}

/// What became of an attempt.
#[derive(Debug)]
pub enum SignInOutcome {
    /// Signed in.
    Done {
        /// For the cookie, once.
        token: SessionToken,
        /// The new session.
        session: Box<Session>,
        /// Who signed in.
        account: Box<Account>,
        /// The device as it is known from now on, for its cookie.
        device: Box<Device>,
    },
    /// Wrong, for whatever reason: one answer for all.
    Refused,
    /// Too many attempts; try again after this time.
    Throttled(std::time::Duration),
}

/// Somebody whose password was right.
struct Entrant {
    account: Account,
    /// The hash, when parameters or pepper have moved on since it was made.
    stale: Option<PasswordHash>,
    /// When the password was set.
    password_set_at: Option<Timestamp>,
    /// Whether this is the first sign-in after a Welcome link.
    welcomed: bool,
}

/// Signs people in.
pub struct SignIn {
    /// Names and hashes.
    pub accounts: Arc<dyn Accounts>,
    /// Where the session goes.
    pub sessions: Arc<dyn Sessions>,
    /// Forgets at once the session whose place it takes.
    pub principals: Arc<dyn Principals>,
    /// Where refusals are recorded.
    pub events: Arc<dyn Events>,
    /// Charged before any work.
    pub limiter: Arc<dyn Limiter>,
    /// Compares the password.
    pub hasher: Arc<dyn Hasher>,
    /// When refusals leave.
    pub refusals: Arc<Refusals>,
    /// Time and chance.
    pub world: World,
    /// `None` when the operator switched limits off.
    pub limits: Option<SignInLimits>,
    /// The most living sessions of one account; one more ends the one used longest ago.
    pub sessions_per_account: usize,
    /// When a throttled attempt was last recorded as an event, in seconds; see `SignIn::note_throttled`.
    pub throttled_noted_at: AtomicI64,
}

/// Longest user agent that is stored, in characters.
const USER_AGENT_CHARS: usize = 256;

impl SignIn {
    /// Judges one attempt.
    ///
    /// # Errors
    /// A fault when the store is down or the hashing queue is full; nobody is signed in then.
    pub async fn run(&self, attempt: Attempt<'_>) -> Result<SignInOutcome, Fault> {
        let begun = Instant::now();
        let name = LoginName::parse(attempt.name).ok();
        // Whoever brings a device signed here is looked up before being charged, whatever the name: the lane depends
        // on the account. Strangers are charged first.
        let mut looked_up = None;
        if let (Some(_), Some(name)) = (&attempt.device, &name) {
            looked_up = Some(self.accounts.credential(name).await?);
        }
        let lane = self.lane(&attempt, name.as_ref(), looked_up.as_ref().and_then(Option::as_ref));
        let reservation = match self.reserve(attempt.client, lane) {
            Decision::Granted(reservation) => reservation,
            Decision::Refused { retry_after, rule } => {
                tracing::info!(client = %attempt.client, rule, "sign-in throttled");
                self.note_throttled(attempt.client).await?;
                return Ok(SignInOutcome::Throttled(retry_after));
            }
        };
        let credential = match (looked_up, &name) {
            (Some(credential), _) => credential,
            (None, Some(name)) => self.accounts.credential(name).await?,
            (None, None) => None,
        };
        let compared = match self.refusals.turn(attempt.client, begun).await {
            Ok(turn) => self
                .compare(credential, attempt.password.as_ref())
                .await
                .map(|compared| (compared, turn)),
            Err(fault) => Err(fault),
        };
        if let Err(Fault::Overloaded { .. }) = &compared {
            // Nothing was tried, so nothing is charged: an owner is not locked out by a busy machine.
            self.limiter.refund(&reservation);
        }
        let ((compared, spent), turn) = compared?;
        let outcome = self.conclude(&attempt, compared, &reservation).await?;
        if matches!(outcome, SignInOutcome::Refused) {
            turn.over(spent).await;
        }
        Ok(outcome)
    }

    /// Begins the session, or records the refusal.
    async fn conclude(
        &self,
        attempt: &Attempt<'_>,
        compared: Result<Entrant, (Option<Account>, Reason)>,
        reservation: &Reservation,
    ) -> Result<SignInOutcome, Fault> {
        match compared {
            Ok(entrant) => {
                if let (Some(old), Some(password)) = (&entrant.stale, &attempt.password) {
                    self.rehash(&entrant.account, old, password).await;
                }
                let outcome = self.begin(attempt, entrant).await?;
                if matches!(outcome, SignInOutcome::Done { .. }) {
                    self.limiter.refund(reservation);
                }
                Ok(outcome)
            }
            Err((account, reason)) => self.refuse(attempt.client, account.as_ref(), reason).await,
        }
    }

    /// A device that is known for the account has a lane of its own. A name that is no name is counted like one.
    fn lane(&self, attempt: &Attempt<'_>, name: Option<&LoginName>, credential: Option<&Credential>) -> Lane {
        // Nobody's account is asked after as well, since the asking takes its time.
        let nobody = (AccountId::new(Uuid::nil()), None);
        let (account, password_set_at) = credential.map_or(nobody, |found| (found.account.id, found.password_set_at));
        if let Some(device) = &attempt.device
            && device.knows(account, password_set_at)
            && credential.is_some()
        {
            let device = Uuid::from_bytes(*device.id());
            let both = format!("device {device} {account}");
            return Lane::Device(self.limiter.digest_text(&both));
        }
        Lane::Strangers(name.map_or_else(
            || self.limiter.digest_text(attempt.name),
            |name| self.limiter.digest(name),
        ))
    }

    /// Charges before any work.
    fn reserve(&self, client: ClientAddr, lane: Lane) -> Decision {
        let client = client.limit_key();
        let draws = self.limits.iter().flat_map(|limits| limits.draws(client, lane));
        self.limiter.reserve(draws.collect(), self.world.monotonic())
    }

    /// One hash, whoever it is; and what it took.
    async fn compare(
        &self,
        credential: Option<Credential>,
        password: Option<&Password>,
    ) -> Result<(Result<Entrant, (Option<Account>, Reason)>, Spent), Fault> {
        let Some(password) = password else {
            // Refused without hashing, for every name alike.
            let refused = Err((credential.map(|c| c.account), Reason::WrongPassword));
            return Ok((refused, Spent::NOTHING));
        };
        let hash = credential
            .as_ref()
            .filter(|credential| credential.account.state == AccountState::Active)
            .and_then(|credential| credential.hash.as_ref());
        let Compared { outcome, spent } = self.hasher.verify(password, hash).await?;
        let judged = match (credential, outcome) {
            (None, _) => Err((None, Reason::UnknownName)),
            (
                Some(Credential {
                    account,
                    hash,
                    password_set_at,
                    welcomed,
                }),
                verification,
            ) => match (account.state, hash, verification) {
                (AccountState::Disabled, ..) => Err((Some(account), Reason::Disabled)),
                (AccountState::Invited, ..) | (_, None, _) => Err((Some(account), Reason::NeverActivated)),
                (AccountState::Active, Some(hash), Verification::Match { stale }) => {
                    let entrant = Entrant {
                        account,
                        stale: stale.then_some(hash),
                        password_set_at,
                        welcomed,
                    };
                    Ok(entrant)
                }
                (AccountState::Active, Some(_), Verification::Mismatch) => Err((Some(account), Reason::WrongPassword)),
            },
        };
        Ok((judged, spent))
    }

    /// Parameters or pepper have moved on: hash anew. Signing in does not depend on it.
    async fn rehash(&self, account: &Account, old: &PasswordHash, password: &Password) {
        let renewed = match self.hasher.hash(password).await {
            Ok(new) => self.accounts.rehash(account.id, old, &new).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = renewed {
            tracing::warn!(account = %account.id, fault = fault.chain(), "could not renew a password hash; the next sign-in tries again");
        }
    }

    async fn begin(&self, attempt: &Attempt<'_>, entrant: Entrant) -> Result<SignInOutcome, Fault> {
        let Entrant {
            account,
            password_set_at,
            welcomed,
            ..
        } = entrant;
        let token = SessionToken::from_entropy(self.world.token());
        let now = self.world.now();
        let session = Session {
            id: SessionId::new(self.world.uuid()),
            digest: token.digest(),
            account: account.id,
            generation: account.generation,
            created_at: now,
            authenticated_at: now,
            last_seen_at: now,
            client: attempt.client,
            user_agent: attempt
                .user_agent
                .chars()
                .filter(|c| !c.is_control())
                .take(USER_AGENT_CHARS)
                .collect(),
        };
        let event = self.world.event(
            Actor::Person(account.id),
            Some(attempt.client),
            Some(account.id),
            Fact::SignedIn(session.id),
        );
        let mut then = Consequences::event(event);
        let familiar = attempt
            .device
            .as_ref()
            .is_some_and(|device| device.knows(account.id, password_set_at));
        // Whoever signs in for the first time has just answered the Welcome letter. An imported password may be
        // known to others, so its first sign-in is told of.
        if !familiar && !welcomed && account.email.is_some() {
            let matter = Matter::NewDevice {
                account: account.id,
                client: attempt.client,
                user_agent: session.user_agent.clone(),
            };
            then = then.and_letter(self.world.uuid(), matter, now);
        }
        let (id, client) = (account.id, attempt.client);
        let room = Room {
            most: self.sessions_per_account,
            ended: &|session| {
                let fact = Fact::SessionDisplaced(session, Reason::TooManySessions);
                self.world.event(Actor::Gateway, Some(client), Some(id), fact)
            },
        };
        if self.sessions.begin(&session, attempt.replaces, &room, then).await? {
            if let Some(old) = &attempt.replaces {
                self.principals.forget(old);
            }
            let device = attempt
                .device
                .clone()
                .unwrap_or_else(|| Device::fresh(self.world.token()));
            Ok(SignInOutcome::Done {
                token,
                session: Box::new(session),
                device: Box::new(device.with(account.id, password_set_at)),
                account: Box::new(account),
            })
        } else {
            // Disabled, or the password changed, while the hash was being computed.
            Ok(SignInOutcome::Refused)
        }
    }

    async fn refuse(
        &self,
        client: ClientAddr,
        account: Option<&Account>,
        reason: Reason,
    ) -> Result<SignInOutcome, Fault> {
        let event = self.world.event(
            Actor::Stranger,
            Some(client),
            account.map(|account| account.id),
            Fact::SignInRefused(reason),
        );
        self.events.append(&[event]).await?;
        Ok(SignInOutcome::Refused)
    }

    /// Throttled attempts are cheap to make, so at most one a second becomes an event; all are counted and logged.
    async fn note_throttled(&self, client: ClientAddr) -> Result<(), Fault> {
        let second = self.world.now().as_second();
        if self.throttled_noted_at.swap(second, Ordering::Relaxed) == second {
            return Ok(());
        }
        let event = self.world.event(
            Actor::Stranger,
            Some(client),
            None,
            Fact::SignInRefused(Reason::Throttled),
        );
        self.events.append(&[event]).await
    }
}
