//! Unlocking a browser: for an owner who is stopped on a new device while somebody else guesses at the account.
//!
//! Whoever is stopped asks for a link; nobody is looked up while the request waits, so that it says nothing about the name.
//! [`DeliverLetters`](super::DeliverLetters) decides whether anybody is written to. The link makes the browser that it is
//! opened in a device that the account knows: what is tried there draws on a bucket that no stranger can use up. It is no
//! sign-in, and no way around one.
//!
//! It is asked for, and not sent by itself: an attacker is stopped all day, and the owner would be written to every hour.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::account::{Account, LoginName};
use crate::domain::client::ClientAddr;
use crate::domain::device::Device;
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::limits::Quota;
use crate::domain::limits::attempt::{Attempt, Endpoint};
use crate::domain::limits::fixed::Fixed;
use crate::domain::limits::ledger::{Draw, Outcome, Subject};
use crate::domain::outbox::Matter;
use crate::domain::site::SiteName;
use crate::domain::token::UnlockToken;
use crate::domain::unlock::Unlock;
use crate::ports::{Accounts, Limiter, Outbox, Ruling, Stopped, Unlocks};

use super::World;

/// How often one client may ask.
const ASKED_BY_CLIENT: Quota = Quota::hourly(20);

/// Wishes for one name that become letters, of which one an hour is sent; more are taken for the same wish. There is room
/// again within a minute: whoever uses it up keeps the owner from asking for no longer, once the link of the hour before
/// works no more.
const ASKED_FOR_NAME: Quota = Quota::hourly(60);

/// What became of the wish for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnlockRequest {
    /// Accepted; whether a letter goes out is decided later.
    Accepted,
    /// Too many wishes; try again after this time.
    Throttled(Duration),
}

/// What a link is worth.
#[derive(Debug)]
pub enum UnlockLook {
    /// It unlocks a browser for this account.
    Live(Box<Account>),
    /// It is used, replaced, too old, or was never made.
    Dead,
    /// Too many links; try again after this time.
    Throttled(Duration),
}

/// What became of using a link.
#[derive(Debug)]
pub enum Unlocking {
    /// The device, which knows the account from now on, for its cookie.
    Done(Box<Device>),
    /// The link works no longer.
    Dead,
    /// Too many links; try again after this time.
    Throttled(Duration),
}

/// Makes browsers known by link.
pub struct UnlockBrowser {
    /// The rights to do so.
    pub unlocks: Arc<dyn Unlocks>,
    /// Whose they are.
    pub accounts: Arc<dyn Accounts>,
    /// Where wishes wait.
    pub outbox: Arc<dyn Outbox>,
    /// Charged before any work.
    pub limiter: Arc<dyn Limiter>,
    /// Time and chance.
    pub world: World,
    /// Whether the operator has limits.
    pub limited: bool,
}

/// A link that works, and what the device needs of its account.
struct Live {
    account: Account,
    password_set_at: Option<Timestamp>,
}

impl UnlockBrowser {
    /// Takes the wish of somebody who typed this as the name, on a page of this site. The same work is done and the same
    /// answer given for every name.
    pub async fn ask(&self, typed: &str, client: ClientAddr, site: &SiteName) -> Result<UnlockRequest, Fault> {
        let name = LoginName::parse(typed).ok();
        let asked = Fixed::UnlockClient.draw(Subject::Client(client.limit_key()), ASKED_BY_CLIENT);
        let asked = match self.draw(asked) {
            Ruling::Granted(grant) => grant,
            Ruling::Refused(Stopped { retry_after, rule }) => {
                tracing::info!(%client, %rule, "wish for an unlock throttled");
                return Ok(UnlockRequest::Throttled(retry_after));
            }
        };
        let key = match &name {
            Some(name) => self.limiter.digest(name),
            None => self.limiter.digest_text(typed),
        };
        let first = self.draw(Fixed::UnlockName.draw(Subject::Account(key), ASKED_FOR_NAME));
        let event = self
            .world
            .event(Actor::Stranger, Some(client), None, Fact::UnlockRequested);
        let mut then = Consequences::event(event);
        // A name that is none, and one that was asked for often enough, is written down all the same: one transaction either
        // way, whose time says nothing.
        if let (Some(name), Ruling::Granted(_)) = (name, &first) {
            let site = site.clone();
            let matter = Matter::UnlockRequested { name, client, site };
            then = then.and_letter(self.world.uuid(), matter, self.world.now());
        }
        let accepted = self.outbox.accept(then).await;
        let outcome = match &accepted {
            Ok(()) => Outcome::Used,
            Err(_) => Outcome::NotTried,
        };
        asked.settle(outcome);
        if let Ruling::Granted(grant) = first {
            grant.settle(outcome);
        }
        accepted.map(|()| UnlockRequest::Accepted)
    }

    /// Looks at a link without using it up.
    pub async fn look(&self, token: Option<&UnlockToken>, client: ClientAddr) -> Result<UnlockLook, Fault> {
        Ok(match self.judge(token, client).await? {
            Ok(Some((_, live))) => UnlockLook::Live(Box::new(live.account)),
            Ok(None) => UnlockLook::Dead,
            Err(wait) => UnlockLook::Throttled(wait),
        })
    }

    /// Uses a link up and makes the device known: the one this browser has, or a new one.
    pub async fn redeem(
        &self,
        token: Option<&UnlockToken>,
        client: ClientAddr,
        device: Option<Device>,
    ) -> Result<Unlocking, Fault> {
        let (unlock, live) = match self.judge(token, client).await? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Unlocking::Dead),
            Err(wait) => return Ok(Unlocking::Throttled(wait)),
        };
        let Live {
            account,
            password_set_at,
        } = live;
        let event = self
            .world
            .event(Actor::Stranger, Some(client), Some(account.id), Fact::BrowserUnlocked);
        let then = Consequences::event(event);
        if !self.unlocks.use_up(&unlock.digest, self.world.now(), then).await? {
            return Ok(Unlocking::Dead);
        }
        let device = device.unwrap_or_else(|| Device::fresh(self.world.token()));
        Ok(Unlocking::Done(Box::new(device.with(account.id, password_set_at))))
    }

    /// The link, when it works; how long to wait, when too many were tried from here.
    async fn judge(
        &self,
        token: Option<&UnlockToken>,
        client: ClientAddr,
    ) -> Result<Result<Option<(Unlock, Live)>, Duration>, Fault> {
        let grant = match self.limiter.attempt(Attempt::new(Endpoint::SetPassword, client), None) {
            Ruling::Granted(grant) => grant,
            Ruling::Refused(Stopped { retry_after, rule }) => {
                tracing::info!(%client, %rule, "link throttled");
                return Ok(Err(retry_after));
            }
        };
        super::wait(&grant).await;
        let found = match token {
            Some(token) => self.find(token).await,
            None => Ok(None),
        };
        grant.settle(match &found {
            Ok(Some(_)) => Outcome::Used,
            Ok(None) => Outcome::Failed,
            Err(_) => Outcome::NotTried,
        });
        found.map(Ok)
    }

    async fn find(&self, token: &UnlockToken) -> Result<Option<(Unlock, Live)>, Fault> {
        let Some(unlock) = self.unlocks.find(&token.digest()).await? else {
            return Ok(None);
        };
        let Some(account) = self.accounts.find(unlock.account).await? else {
            return Ok(None);
        };
        let name = LoginName::Extension(account.extension.clone());
        // The extension may belong to somebody else by now.
        let Some(credential) = self.accounts.credential(&name).await? else {
            return Ok(None);
        };
        let live = Live {
            account: credential.account,
            password_set_at: credential.password_set_at,
        };
        let works = unlock.works(&live.account, live.password_set_at, self.world.now());
        Ok(works.then_some((unlock, live)))
    }

    fn draw(&self, draw: Draw) -> Ruling {
        let draws = if self.limited { vec![draw] } else { Vec::new() };
        self.limiter.draw(draws)
    }
}
