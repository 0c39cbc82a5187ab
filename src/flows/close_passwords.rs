//! Taking away a password that an attack got in with: it opens nothing any more, the sessions end, and its person is mailed
//! a link to set another one.
//!
//! To whoever tries it, it is a wrong password like any other: the account has none, as before its Welcome, and the same
//! work is done for it.

use std::sync::Arc;

use crate::domain::campaigns::{CampaignId, Success};
use crate::domain::event::{Actor, Consequences, Fact};
use crate::domain::fault::Fault;
use crate::domain::outbox::Matter;
use crate::ports::{Accounts, Change};

use super::World;

/// Takes passwords away.
pub struct ClosePasswords {
    /// Whose.
    pub accounts: Arc<dyn Accounts>,
    /// Time and chance.
    pub world: World,
}

impl ClosePasswords {
    /// Takes away the password that this success of a campaign was had with. One that was set since is left alone.
    ///
    /// # Errors
    /// When the store is down; nothing has changed then.
    pub async fn run(&self, campaign: CampaignId, success: &Success) -> Result<Change, Fault> {
        let (id, now) = (success.person, self.world.now());
        let Some(account) = self.accounts.find(id).await? else {
            return Ok(Change::NotFound);
        };
        let fact = Fact::PasswordClosed(campaign);
        let mut then = Consequences::event(self.world.event(Actor::Gateway, Some(success.client), Some(id), fact));
        if account.email.is_some() {
            let matter = Matter::NewPassword { account: id };
            then = then.and_letter(self.world.uuid(), matter, now);
        }
        self.accounts.close_password(id, success.at, now, then).await
    }
}
