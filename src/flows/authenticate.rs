//! From the cookie of a request to the principal behind it: the step every proxied request takes.
//!
//! A session gets a new token when its person gives the password again. What a page had asked for by then arrives with
//! the old one, and refusing it would look like being signed out. So for [`IN_FLIGHT`] the process that renewed a
//! session takes its former token for that session, as [`Standing::Former`]. Whoever else holds the old token, which is
//! what renewing guards against, wins nothing by it: it opens what it had opened for hours, for five seconds more and as
//! long as the session lives; on our own pages it looks and signs out, and does no other act, so it renews nothing and
//! cannot use that the password has just been given; and a stream opened with it ends with it. The store knows the old
//! token no more.
//!
//! What somebody had opened with a copy of the token goes on as the session's own streams do, until the account raises
//! its generation: a new password, or the end of all other sessions. Then the session's own end as well
//! ([`Severed::Anew`]), and who holds its new cookie opens them anew. So do all streams of an account whose role or groups
//! change: what they may reach was judged, and told to the web client, when they were opened.
//!
//! [`IN_FLIGHT`]: crate::domain::session::IN_FLIGHT

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::account::Account;
use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::domain::session::{Lifetime, SessionId, SessionState};
use crate::domain::token::{SessionToken, TokenDigest};
use crate::ports::Principals;

use super::World;
use super::digests::Digests;
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
    /// A live session, by the token it had until a moment ago: enough to look, not to act.
    Former(Arc<Principal>, TokenDigest),
}

/// What an open stream ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bond {
    /// By what right it was opened.
    pub right: Right,
    /// The generation of its session by then.
    pub generation: u64,
    /// What the account might do by then; see [`reach`].
    pub reach: u64,
}

/// By what right a stream is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// That of a session, whatever token it has by now.
    Session(SessionId),
    /// That of the former token it was opened with.
    Token(TokenDigest),
}

/// Why an open stream must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severed {
    /// Its session is over, or its token.
    Over(Refusal),
    /// Its session lives on, in a later generation or with another role or other groups. Whoever holds its cookie may
    /// open the stream anew.
    Anew,
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
    /// The session goes on under another token, and this was to be an act.
    Renewed,
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
            Self::Renewed => "renewed",
        }
    }
}

impl Standing {
    /// The principal, when there is one.
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        match self {
            Self::Known(principal) | Self::Former(principal, _) => Some(principal),
            Self::Stranger | Self::Refused(_) => None,
        }
    }

    /// Whether a session was presented that opens nothing, and why.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Stranger | Self::Known(_) | Self::Former(..) => None,
        }
    }

    /// What a stream ends with that is opened now.
    pub fn bond(&self) -> Option<Bond> {
        match self {
            Self::Known(principal) => Some(Bond::of(Right::Session(principal.session.id), principal)),
            Self::Former(principal, token) => Some(Bond::of(Right::Token(*token), principal)),
            Self::Stranger | Self::Refused(_) => None,
        }
    }
}

impl Bond {
    fn of(right: Right, principal: &Principal) -> Self {
        Self {
            right,
            generation: principal.session.generation,
            reach: reach(&principal.account),
        }
    }

    /// Whether everything else is as it was.
    fn holds(&self, principal: &Principal) -> bool {
        *self == Self::of(self.right, principal)
    }
}

/// A number that is another one once role or groups are others. Within one process; it is stored nowhere.
fn reach(account: &Account) -> u64 {
    let mut hasher = DefaultHasher::new();
    (account.role, &account.groups).hash(&mut hasher);
    hasher.finish()
}

/// Tells who sends a request.
pub struct Authenticate {
    principals: Arc<dyn Principals>,
    world: World,
    lifetime: Lifetime,
    record_every: Duration,
    seen: SeenSender,
    digests: Digests,
}

impl Authenticate {
    /// A session's last use is recorded once a minute, or more often where the idle limit is short.
    pub fn new(principals: Arc<dyn Principals>, world: World, lifetime: Lifetime, seen: SeenSender) -> Self {
        let record_every = (lifetime.idle / 10).min(Duration::from_mins(1));
        let digests = Digests::new(&*world.entropy);
        Self {
            principals,
            world,
            lifetime,
            record_every,
            seen,
            digests,
        }
    }

    /// Judges what a request presents and, when it is a live session, notes that it was used.
    pub async fn run(&self, presented: &Presented) -> Result<Standing, Fault> {
        let standing = self.look(presented).await?;
        if let Some(principal) = standing.principal() {
            self.note_use(principal);
        }
        Ok(standing)
    }

    /// Why an open stream must end; `None` while it may stay open. Being open does not count as use.
    pub async fn severed(&self, bond: &Bond) -> Result<Option<Severed>, Fault> {
        let (standing, gone) = match bond.right {
            Right::Session(id) => (self.judge_session(id).await?, Refusal::Ended),
            Right::Token(token) => (self.judge(&token).await?, Refusal::Renewed),
        };
        Ok(match standing {
            Standing::Known(principal) => (!bond.holds(&principal)).then_some(Severed::Anew),
            Standing::Former(principal, _) => (!bond.holds(&principal)).then_some(Severed::Over(Refusal::Renewed)),
            // It was known when the stream began.
            Standing::Stranger | Standing::Refused(Refusal::Unknown) => Some(Severed::Over(gone)),
            Standing::Refused(refusal) => Some(Severed::Over(refusal)),
        })
    }

    /// Something passed on a stream of this session that counts as use. Answered from memory and never waits; a session
    /// that memory does not know, or that is over, is not prolonged.
    pub fn used(&self, session: SessionId) {
        if let Some(principal) = self.principals.known_session(session)
            && let Standing::Known(principal) = self.weigh(principal)
        {
            self.note_use(&principal);
        }
    }

    /// Use is worth noting again after this time.
    pub const fn use_every(&self) -> Duration {
        self.record_every
    }

    fn note_use(&self, principal: &Principal) {
        let now = self.world.now();
        if principal.see(now, self.record_every) {
            self.seen.note(principal.session.id, now);
        }
    }

    /// Judges without counting as use.
    pub async fn look(&self, presented: &Presented) -> Result<Standing, Fault> {
        let digest = match presented {
            Presented::Nothing => return Ok(Standing::Stranger),
            Presented::Unclear => return Ok(Standing::Refused(Refusal::Unclear)),
            Presented::Token(token) => self.digests.of(token),
        };
        self.judge(&digest).await
    }

    async fn judge(&self, digest: &TokenDigest) -> Result<Standing, Fault> {
        let principal = match self.principals.known(digest) {
            Some(principal) => principal,
            None => match self.principals.fetch(digest).await? {
                Some(principal) => principal,
                None => return self.judge_former(*digest).await,
            },
        };
        Ok(self.weigh(principal))
    }

    async fn judge_former(&self, token: TokenDigest) -> Result<Standing, Fault> {
        let Some(session) = self.principals.formerly(&token) else {
            return Ok(Standing::Refused(Refusal::Unknown));
        };
        Ok(match self.judge_session(session).await? {
            Standing::Known(principal) => Standing::Former(principal, token),
            other => other,
        })
    }

    async fn judge_session(&self, id: SessionId) -> Result<Standing, Fault> {
        let principal = match self.principals.known_session(id) {
            Some(principal) => Some(principal),
            None => self.principals.fetch_session(id).await?,
        };
        Ok(principal.map_or(Standing::Refused(Refusal::Unknown), |principal| self.weigh(principal)))
    }

    fn weigh(&self, principal: Arc<Principal>) -> Standing {
        match principal.state_at(self.world.now(), self.lifetime) {
            SessionState::Live => Standing::Known(principal),
            SessionState::Idle => Standing::Refused(Refusal::Idle),
            SessionState::Expired => Standing::Refused(Refusal::Expired),
            SessionState::Ended => Standing::Refused(Refusal::Ended),
        }
    }
}
