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
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Attempt as LimitedAttempt, Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::policy::KeyKind;
use crate::domain::order::Target;
use crate::domain::outbox::Matter;
use crate::domain::password::{Password, PasswordHash};
use crate::domain::session::{Session, SessionId};
use crate::domain::token::{SessionToken, TokenDigest};
use crate::ports::{
    Accounts, Compared, Credential, Events, Grant, Hasher, Limiter, Place, Principals, Room, Ruling, Sessions, Spent,
    Stopped, Verification,
};

use super::{Aliases, Refusals, StandingOrders, World};

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
    /// Too many attempts.
    Throttled {
        /// Try again after this time.
        wait: std::time::Duration,
        /// Whether a link that unlocks the browser would help: too much was tried at this account, existing or invented,
        /// on devices that it does not know.
        unlockable: bool,
    },
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
    /// Whose names are whose, for the records of attempts that are refused before anybody is looked up.
    pub aliases: Arc<Aliases>,
    /// Compares the password.
    pub hasher: Arc<dyn Hasher>,
    /// When refusals leave.
    pub refusals: Arc<Refusals>,
    /// Who is banned.
    pub orders: Arc<StandingOrders>,
    /// Time and chance.
    pub world: World,
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
    pub async fn run(&self, mut attempt: Attempt<'_>) -> Result<SignInOutcome, Fault> {
        let begun = Instant::now();
        let name = LoginName::parse(attempt.name).ok();
        // A banned device is a stranger's: its attempts use up nothing that known devices have.
        let pseudonym = |text: &str| self.limiter.digest_text(text);
        let device = attempt
            .device
            .take_if(|device| self.orders.bans_device(device, pseudonym));
        let mut limited = self.as_typed(&attempt, name.as_ref());
        // Whoever has used up what one client may try is sent away before anybody is looked up.
        let typed = limited.account;
        if let Some(stopped) = self.knock(&limited) {
            return self.throttle(attempt.client, typed, stopped, false).await;
        }
        let credential = match &name {
            Some(name) => self.accounts.credential(name).await?,
            None => None,
        };
        self.aim(&mut limited, &attempt, credential.as_ref());
        limited.banned = device.is_some()
            || self.bans(&limited, typed)
            || credential
                .as_ref()
                .is_some_and(|credential| self.orders.bans_account(credential.account.id));
        let banned = limited.banned;
        let lane = limited.lane();
        let place = Place::of(attempt.client, lane);
        let person = credential.as_ref().map(|credential| credential.account.id);
        let names = (typed, limited.account, person);
        let grant = match self.limiter.attempt(limited, person) {
            Ruling::Granted(grant) => grant,
            Ruling::Refused(stopped) => {
                let stranger = lane == LaneKind::Strangers;
                return self.throttle(attempt.client, typed, stopped, stranger).await;
            }
        };
        // What it was kept waiting is no part of what it took.
        let begun = begun + super::wait(&grant).await;
        let compared = match self.refusals.turn(attempt.client, begun).await {
            Ok(turn) => self
                .compare(credential, attempt.password.as_ref(), banned, place)
                .await
                .map(|compared| (compared, turn)),
            Err(fault) => Err(fault),
        };
        let ((compared, spent), turn) = match compared {
            // Nothing was tried, so nothing is charged: an owner is not locked out by a busy machine.
            Err(fault @ Fault::Overloaded { .. }) => {
                grant.settle(Outcome::NotTried);
                return Err(fault);
            }
            compared => compared?,
        };
        let outcome = self.conclude(&attempt, compared, grant).await?;
        match (&outcome, names) {
            (SignInOutcome::Refused, _) => turn.over(spent).await,
            (SignInOutcome::Done { .. }, (Some(typed), Some(account), Some(person))) => {
                self.aliases.note(typed, account, person);
            }
            _ => {}
        }
        Ok(outcome)
    }

    /// Begins the session, or records the refusal.
    async fn conclude(
        &self,
        attempt: &Attempt<'_>,
        compared: Result<Entrant, (Option<Account>, Reason)>,
        grant: Grant,
    ) -> Result<SignInOutcome, Fault> {
        match compared {
            Ok(entrant) => {
                if let (Some(old), Some(password)) = (&entrant.stale, &attempt.password) {
                    self.rehash(&entrant.account, old, password).await;
                }
                let outcome = self.begin(attempt, entrant).await?;
                if matches!(outcome, SignInOutcome::Done { .. }) {
                    grant.settle(Outcome::Succeeded);
                }
                Ok(outcome)
            }
            Err((account, reason)) => self.refuse(attempt.client, account.as_ref(), reason).await,
        }
    }

    /// A look before anybody is looked up; the record tells whose name it is where somebody has signed in by it.
    fn knock(&self, typed: &LimitedAttempt) -> Option<Stopped> {
        match typed.account.and_then(|name| self.aliases.of(name)) {
            None => self.limiter.knock(typed, None),
            Some((account, person)) => {
                let known = LimitedAttempt {
                    account: Some(account),
                    ..typed.clone()
                };
                self.limiter.knock(&known, Some(person))
            }
        }
    }

    /// The attempt as far as it is known before anybody is looked up. A name that is no name is counted like one.
    fn as_typed(&self, attempt: &Attempt<'_>, name: Option<&LoginName>) -> LimitedAttempt {
        let typed = name.map_or_else(
            || self.limiter.digest_text(attempt.name),
            |name| self.limiter.digest(name),
        );
        let password = attempt.password.as_ref();
        LimitedAttempt {
            account: Some(typed),
            password: password.map(|password| self.limiter.digest_password(password)),
            ..LimitedAttempt::new(Endpoint::SignIn, attempt.client)
        }
    }

    /// All spellings of an account are counted as one, and a device that is known for it has a lane of its own. Names
    /// without an account cost the same work.
    fn aim(&self, limited: &mut LimitedAttempt, attempt: &Attempt<'_>, credential: Option<&Credential>) {
        let nobody = (AccountId::new(Uuid::nil()), None);
        let (account, password_set_at) = credential.map_or(nobody, |found| (found.account.id, found.password_set_at));
        let digest = |text: String| self.limiter.digest_text(&text);
        let whole = digest(format!("account {account}"));
        let both = attempt.device.as_ref().map(|device| {
            let id = Uuid::from_bytes(*device.id());
            (
                digest(format!("device {id} {account}")),
                device.knows(account, password_set_at),
            )
        });
        if credential.is_some() {
            limited.account = Some(whole);
            limited.device = both.and_then(|(both, known)| known.then_some(both));
        }
    }

    /// Whether the name as it was typed, the account or the device at it is banned, by the pseudonyms that records have.
    fn bans(&self, limited: &LimitedAttempt, typed: Option<NameDigest>) -> bool {
        let known = [typed, limited.account, limited.device];
        known.into_iter().flatten().any(|known| self.orders.bans_name(|| known))
    }

    async fn throttle(
        &self,
        client: ClientAddr,
        typed: Option<NameDigest>,
        stopped: Stopped,
        stranger: bool,
    ) -> Result<SignInOutcome, Fault> {
        let Stopped { retry_after, rule } = stopped;
        // By this pseudonym an operator bans the name, whether anybody has it or not.
        let name = typed.map(|typed| Target::Pseudonym(typed).value());
        tracing::info!(%client, %rule, name, "sign-in throttled");
        self.note_throttled(client).await?;
        let by_account = matches!(
            self.limiter.counts_by(&rule),
            Some(KeyKind::Account | KeyKind::ClientAccount)
        );
        Ok(SignInOutcome::Throttled {
            wait: retry_after,
            unlockable: by_account && stranger,
        })
    }

    /// One hash, whoever it is; and what it took.
    async fn compare(
        &self,
        credential: Option<Credential>,
        password: Option<&Password>,
        banned: bool,
        place: Place,
    ) -> Result<(Result<Entrant, (Option<Account>, Reason)>, Spent), Fault> {
        let Some(password) = password else {
            // Refused without hashing, for every name alike.
            let refused = Err((credential.map(|c| c.account), Reason::WrongPassword));
            return Ok((refused, Spent::NOTHING));
        };
        let hash = credential
            .as_ref()
            .filter(|credential| credential.account.state == AccountState::Active && !banned)
            .and_then(|credential| credential.hash.as_ref());
        let Compared { outcome, spent } = self.hasher.verify(password, hash, place).await?;
        let judged = match (credential, outcome) {
            // The same work and the same words as for a wrong password; only the operator is told.
            (credential, _) if banned => Err((credential.map(|credential| credential.account), Reason::Banned)),
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
            // Its first request need not be looked up, which is not always done. Where this fails, it is.
            if let Err(fault) = self.principals.fetch(&session.digest).await {
                tracing::debug!(%fault, "a new session is not in memory");
            }
            let device = attempt
                .device
                .clone()
                .unwrap_or_else(|| Device::fresh(self.world.token()));
            // By this pseudonym an operator bans the device, should it be lost.
            let pseudonym = Target::Device(self.limiter.digest_text(&device.text())).value();
            tracing::info!(account = %account.id, client = %attempt.client, device = pseudonym, "signed in");
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
