//! "Forgot password": accepts the request. Nobody is looked up while the request waits, so nothing
//! about the address can be learned from the answer or its time.
//!
//! Strangers who ask for somebody's address over and over draw on the buckets of strangers alone: a browser on which
//! somebody has signed in before, as its signed cookie proves, has buckets of its own for each address. The cookie is
//! judged by itself, for addresses that exist and for addresses that do not; whether the device is one of the account's
//! own is seen by [`DeliverLetters`](super::DeliverLetters), where a device of somebody else counts as a stranger.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::account::Email;
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
use crate::ports::{Grant, Limiter, Outbox, Ruling, Stopped};

use super::{StandingOrders, World};

/// How often somebody may repeat a request. How often somebody may ask is a matter of the policy in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetLimits {
    /// Equal requests in a row; more of them are one.
    pub again: Quota,
    /// What one client repeats for one address.
    pub repeat: Quota,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetRequest {
    /// Accepted; whether a letter goes out is decided later.
    Accepted,
    /// The text is no e-mail address. That says nothing about any account.
    NotAnAddress,
    /// Too many requests; try again after this time.
    Throttled(Duration),
}

/// Accepts reset requests.
pub struct ForgotPassword {
    /// Where the request waits.
    pub outbox: Arc<dyn Outbox>,
    /// Charged before any work.
    pub limiter: Arc<dyn Limiter>,
    /// Which devices and names are banned. Whose account is, is seen by [`DeliverLetters`](super::DeliverLetters).
    pub orders: Arc<StandingOrders>,
    /// Time and chance.
    pub world: World,
    /// `None` when the operator switched limits off.
    pub limits: Option<ResetLimits>,
}

impl ForgotPassword {
    /// Takes what was typed as the address on a page of this site, and the device it was typed on, when somebody has
    /// signed in there before.
    pub async fn run(
        &self,
        typed: &str,
        client: ClientAddr,
        device: Option<Device>,
        site: &SiteName,
    ) -> Result<ResetRequest, Fault> {
        let email = Email::parse(typed).ok();
        let address = email.as_ref().map_or(typed, Email::key);
        let name = self.limiter.digest_text(address);
        let pseudonym = |text: &str| self.limiter.digest_text(text);
        let device = device.filter(|device| !self.orders.bans_device(device, pseudonym));
        let banned = self.orders.bans_name(|| name);
        let device_key = device.as_ref().map(|device| {
            let device = Uuid::from_bytes(*device.id());
            self.limiter.digest_text(&format!("device {device} {address}"))
        });
        let key = device_key.unwrap_or(name);
        let first = self.draw(|limits| Fixed::ResetAgain.draw(Subject::Account(key), limits.again));
        let repeated = matches!(first, Ruling::Refused(_));
        let charged = if repeated {
            // It causes no letter, so it uses up nothing that others behind the same address, or the owner of this one,
            // still need; that it is recorded bounds it, for this client and this address alone.
            let subject = Subject::ClientAccount(client.limit_key(), key);
            self.draw(|limits| Fixed::ResetRepeat.draw(subject, limits.repeat))
        } else {
            let attempt = Attempt {
                account: Some(name),
                device: device_key,
                ..Attempt::new(Endpoint::ForgotPassword, client)
            };
            self.limiter.attempt(attempt, None)
        };
        let charged = match charged {
            Ruling::Granted(grant) => grant,
            Ruling::Refused(Stopped { retry_after, rule }) => {
                give_back(first);
                tracing::info!(%client, %rule, "reset request throttled");
                return Ok(ResetRequest::Throttled(retry_after));
            }
        };
        super::wait(&charged).await;
        let Some(email) = email else {
            return Ok(ResetRequest::NotAnAddress);
        };
        let event = self
            .world
            .event(Actor::Stranger, Some(client), None, Fact::ResetRequested);
        let mut then = Consequences::event(event);
        // The first of them waits or has just gone out. One transaction either way: the time says nothing.
        if banned {
            tracing::info!(%client, "reset request for a banned address; nothing is sent");
        } else if repeated {
            tracing::info!(%client, rule = "reset.again", "reset request repeated; the letter of the first is enough");
        } else {
            let site = site.clone();
            let matter = Matter::ResetRequested {
                email,
                client,
                device,
                site,
            };
            then = then.and_letter(self.world.uuid(), matter, self.world.now());
        }
        if let Err(fault) = self.outbox.accept(then).await {
            give_back(first);
            return Err(fault);
        }
        charged.settle(Outcome::Used);
        Ok(ResetRequest::Accepted)
    }

    fn draw(&self, wanted: impl FnOnce(&ResetLimits) -> Draw) -> Ruling {
        match &self.limits {
            Some(limits) => self.limiter.draw(vec![wanted(limits)]),
            None => Ruling::Granted(Grant::free()),
        }
    }
}

/// What was not accepted is not the first of anything.
fn give_back(drawn: Ruling) {
    if let Ruling::Granted(grant) = drawn {
        grant.settle(Outcome::NotTried);
    }
}
