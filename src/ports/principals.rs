//! Who holds a session token, answered from memory on the proxied path.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::domain::session::SessionId;
use crate::domain::token::TokenDigest;

/// Looks sessions up with their accounts. Memory may lag behind the store by a stated time, well under a second.
#[async_trait]
pub trait Principals: Send + Sync {
    /// From memory alone; `None` when it is not there or memory may no longer be believed.
    fn known(&self, digest: &TokenDigest) -> Option<Arc<Principal>>;

    /// From the store, and remembered. Dead sessions are answered as well: judging is the caller's.
    async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Principal>>, Fault>;

    /// Whether memory knows that nobody has this token: a token is made for a session that begins, and never again, so what
    /// the store once did not know it never will.
    fn is_nobodys(&self, digest: &TokenDigest) -> bool;

    /// By the session, whatever its token is by now: from memory alone, as [`Principals::known`].
    fn known_session(&self, id: SessionId) -> Option<Arc<Principal>>;

    /// By the session: from the store, as [`Principals::fetch`].
    async fn fetch_session(&self, id: SessionId) -> Result<Option<Arc<Principal>>, Fault>;

    /// Forgets one at once: this process has just ended it.
    fn forget(&self, digest: &TokenDigest);

    /// It is in use, which is said about once a minute: where memory is full, others are forgotten before it.
    fn used(&self, principal: &Principal);

    /// Remembers for [`IN_FLIGHT`] whose token this is: this process is about to renew the session.
    ///
    /// [`IN_FLIGHT`]: crate::domain::session::IN_FLIGHT
    fn renewing(&self, old: &TokenDigest, session: SessionId);

    /// The session whose token this was a moment ago; asked about tokens that the store does not know.
    fn formerly(&self, digest: &TokenDigest) -> Option<SessionId>;
}
