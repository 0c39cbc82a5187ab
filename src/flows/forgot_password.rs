//! "Forgot password": accepts the request. Nobody is looked up while the request waits, so nothing
//! about the address can be learned from the answer or its time.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::account::Email;
use crate::domain::client::ClientAddr;
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::limits::{Decision, Draw, LimitKey, Quota};
use crate::domain::outbox::Matter;
use crate::ports::{Limiter, Outbox};

use super::World;

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetLimits {
    /// From one client, for any address.
    pub client: Quota,
    /// For one address, from anywhere.
    pub email: Quota,
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
    /// Takes what was typed as the address.
    pub async fn run(&self, typed: &str, client: ClientAddr) -> Result<ResetRequest, Fault> {
        let email = Email::parse(typed).ok();
        if let Decision::Refused { retry_after, rule } = self.reserve(typed, email.as_ref(), client) {
            tracing::info!(%client, rule, "reset request throttled");
            return Ok(ResetRequest::Throttled(retry_after));
        }
        let Some(email) = email else {
            return Ok(ResetRequest::NotAnAddress);
        };
        let event = self
            .world
            .event(Actor::Stranger, Some(client), None, Fact::ResetRequested);
        let matter = Matter::ResetRequested { email, client };
        self.outbox
            .accept(Consequences::event(event).and_letter(self.world.uuid(), matter, self.world.now()))
            .await?;
        Ok(ResetRequest::Accepted)
    }

    fn reserve(&self, typed: &str, email: Option<&Email>, client: ClientAddr) -> Decision {
        let digest = self.limiter.digest_text(email.map_or(typed, Email::key));
        let draws = self.limits.iter().flat_map(|limits| {
            [
                (LimitKey::ResetClient(client.limit_key()), limits.client),
                (LimitKey::ResetEmail(digest), limits.email),
            ]
        });
        let draws = draws.map(|(key, quota)| Draw { key, quota }).collect();
        self.limiter.reserve(draws, self.world.monotonic())
    }
}
