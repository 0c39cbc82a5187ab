//! Signing out: one session ends on the server, at once.

use std::sync::Arc;

use crate::domain::client::ClientAddr;
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::ports::{Principals, Sessions};

use super::World;

/// Ends sessions at their person's word.
pub struct SignOut {
    /// Where the session is.
    pub sessions: Arc<dyn Sessions>,
    /// Forgets it at once.
    pub principals: Arc<dyn Principals>,
    /// Time and chance.
    pub world: World,
}

impl SignOut {
    /// Ends this session.
    pub async fn run(&self, principal: &Principal, client: ClientAddr) -> Result<(), Fault> {
        let (session, account) = (&principal.session, principal.account.id);
        let event = self.world.event(
            Actor::Person(account),
            Some(client),
            Some(account),
            Fact::SignedOut(session.id),
        );
        // By its id: another tab may have renewed its token meanwhile.
        self.sessions.end(session.id, Consequences::event(event)).await?;
        self.principals.forget(&session.digest);
        Ok(())
    }
}
