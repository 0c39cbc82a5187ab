//! From the cookie of a request to the principal behind it: the step every proxied request takes.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::domain::session::{Lifetime, SessionState};
use crate::domain::token::{SessionToken, TokenDigest};
use crate::ports::Principals;

use super::World;
use super::record_seen::SeenSender;

/// What a request presents as its session.
#[derive(Debug)]
pub enum Presented {
    /// No session cookie.
    Nothing,
    /// Exactly one well-formed token.
    Token(SessionToken),
    /// Malformed, or two different ones: whose it is cannot be told.
    Unclear,
}

/// The standing of whoever sent a request.
#[derive(Clone, Debug)]
pub enum Standing {
    /// Nothing was presented.
    Stranger,
    /// Something was presented that opens nothing (any more).
    Refused(Refusal),
    /// A live session.
    Known(Arc<Principal>),
}

/// Why a presented session opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Malformed or ambiguous.
    Unclear,
    /// No such session.
    Unknown,
    /// No request for too long.
    Idle,
    /// Reached its absolute limit.
    Expired,
    /// Ended by its person, an operator or a new password.
    Ended,
}

impl Refusal {
    /// The stable name in JSON answers, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unclear => "unclear",
            Self::Unknown => "unknown",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}

impl Standing {
    /// The principal, when there is one.
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Known(principal) => Some(principal),
            Self::Stranger | Self::Refused(_) => None,
        }
    }

    /// Whether a session was presented that opens nothing, and why.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Stranger | Self::Known(_) => None,
        }
    }
}

/// Tells who sends a request.
pub struct Authenticate {
    principals: Arc<dyn Principals>,
    world: World,
    lifetime: Lifetime,
    record_every: Duration,
    seen: SeenSender,
}

impl Authenticate {
    /// A session's last use is recorded once a minute, or more often where the idle limit is short.
    pub fn new(principals: Arc<dyn Principals>, world: World, lifetime: Lifetime, seen: SeenSender) -> Self {
        let record_every = (lifetime.idle / 10).min(Duration::from_mins(1));
        Self {
            principals,
            world,
            lifetime,
            record_every,
            seen,
        }
    }

    /// Judges what a request presents and, when it is a live session, notes that it was used.
    pub async fn run(&self, presented: &Presented) -> Result<Standing, Fault> {
        let standing = self.look(presented).await?;
        if let Standing::Known(principal) = &standing {
            let now = self.world.now();
            if principal.see(now, self.record_every) {
                self.seen.note(principal.session.id, now);
            }
        }
        Ok(standing)
    }

    /// Whether the session behind an open stream is live. Being open does not count as use.
    pub async fn is_live(&self, digest: &TokenDigest) -> Result<bool, Fault> {
        Ok(matches!(self.judge(digest).await?, Standing::Known(_)))
    }

    /// Judges without counting as use.
    pub async fn look(&self, presented: &Presented) -> Result<Standing, Fault> {
        let digest = match presented {
            Presented::Nothing => return Ok(Standing::Stranger),
            Presented::Unclear => return Ok(Standing::Refused(Refusal::Unclear)),
            Presented::Token(token) => token.digest(),
        };
        self.judge(&digest).await
    }

    async fn judge(&self, digest: &TokenDigest) -> Result<Standing, Fault> {
        let principal = match self.principals.known(digest) {
            Some(principal) => principal,
            None => match self.principals.fetch(digest).await? {
                Some(principal) => principal,
                None => return Ok(Standing::Refused(Refusal::Unknown)),
            },
        };
        Ok(match principal.state_at(self.world.now(), self.lifetime) {
            SessionState::Live => Standing::Known(principal),
            SessionState::Idle => Standing::Refused(Refusal::Idle),
            SessionState::Expired => Standing::Refused(Refusal::Expired),
            SessionState::Ended => Standing::Refused(Refusal::Ended),
        })
    }
}
