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
use crate::domain::limits::{Decision, Draw, LimitKey, Quota};
use crate::domain::outbox::Matter;
use crate::domain::site::SiteName;
use crate::ports::{Limiter, Outbox};

use super::World;

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetLimits {
    /// From one client, for any address.
    pub client: Quota,
    /// For one address, by strangers from anywhere; on one device where somebody has signed in, too.
    pub email: Quota,
    /// Equal requests in a row; more of them are one.
    pub again: Quota,
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
        let (key, of_address) = match &device {
            None => {
                let key = self.limiter.digest_text(address);
                (key, LimitKey::ResetEmail(key))
            }
            Some(device) => {
                let device = Uuid::from_bytes(*device.id());
                let key = self.limiter.digest_text(&format!("device {device} {address}"));
                (key, LimitKey::ResetDevice(key))
            }
        };
        let first = self.draw(|limits| vec![(LimitKey::ResetAgain(key), limits.again)]);
        let repeated = matches!(first, Decision::Refused { .. });
        let charged = self.draw(|limits| {
            let from = client.limit_key();
            if repeated {
                // It causes no letter, so it uses up nothing that others behind the same address, or the owner of
                // this one, still need; that it is recorded bounds it, for this client and this address alone.
                vec![(LimitKey::ResetRepeat(from, key), limits.client)]
            } else {
                vec![
                    (LimitKey::ResetClient(from), limits.client),
                    (of_address.clone(), limits.email),
                ]
            }
        });
        if let Decision::Refused { retry_after, rule } = charged {
            self.give_back(&first);
            tracing::info!(%client, rule, "reset request throttled");
            return Ok(ResetRequest::Throttled(retry_after));
        }
        let Some(email) = email else {
            return Ok(ResetRequest::NotAnAddress);
        };
        let event = self
            .world
            .event(Actor::Stranger, Some(client), None, Fact::ResetRequested);
        let mut then = Consequences::event(event);
        // The first of them waits or has just gone out. One transaction either way: the time says nothing.
        if repeated {
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
            self.give_back(&first);
            return Err(fault);
        }
        Ok(ResetRequest::Accepted)
    }

    /// What was not accepted is not the first of anything.
    fn give_back(&self, drawn: &Decision) {
        if let Decision::Granted(reservation) = drawn {
            self.limiter.refund(reservation);
        }
    }

    fn draw(&self, wanted: impl Fn(&ResetLimits) -> Vec<(LimitKey, Quota)>) -> Decision {
        let draws = self.limits.iter().flat_map(wanted);
        let draws = draws.map(|(key, quota)| Draw { key, quota }).collect();
        self.limiter.reserve(draws, self.world.monotonic())
    }
}
