//! What administrators are told of attacks: whom to write to, and what the letter says by the time it is written.

use std::sync::Arc;

use crate::domain::account::{AccountState, Email, Role};
use crate::domain::campaigns::{CampaignId, Success};
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::outbox::LetterId;
use crate::ports::{Accounts, Alert, CampaignBook, Content, EmailMatch, Entry, Mail, Mailer, Reader, Receipt, Refusal};

/// Tells administrators.
pub struct Alerts {
    /// Who they are, and whose accounts it is about.
    pub accounts: Arc<dyn Accounts>,
    /// The attacks.
    pub campaigns: Arc<dyn CampaignBook>,
    /// Who is written to; nobody named is every administrator.
    pub to: Vec<Email>,
    /// The language of those who have no account.
    pub language: Language,
    /// Whether passwords are taken away.
    pub closes: bool,
}

/// The most accounts that a letter names.
const MOST_ENTRIES: usize = 20;

impl Alerts {
    /// The addresses to write to.
    pub async fn receivers(&self) -> Result<Vec<Email>, Fault> {
        if !self.to.is_empty() {
            return Ok(self.to.clone());
        }
        let mut receivers: Vec<Email> = Vec::new();
        for listing in self.accounts.list().await? {
            let account = listing.account;
            if account.role == Role::Admin
                && account.state == AccountState::Active
                && let Some(email) = account.email
                && !receivers.contains(&email)
            {
                receivers.push(email);
            }
        }
        Ok(receivers)
    }

    /// Writes the letter and hands it over; `None` when the attack is no longer known.
    pub(super) async fn send(
        &self,
        letter: LetterId,
        to: &Email,
        campaign: CampaignId,
        mailer: &dyn Mailer,
    ) -> Result<Option<Result<Receipt, Refusal>>, Fault> {
        let Some(campaign) = self.campaigns.find(campaign).await? else {
            return Ok(None);
        };
        let mut entries = Vec::new();
        for success in campaign.successes.iter().rev().take(MOST_ENTRIES) {
            entries.push(self.entry(success).await?);
        }
        let alert = Alert {
            campaign: &campaign,
            entries,
            closes: self.closes,
        };
        let receiver = match self.accounts.find_by_email(to).await? {
            EmailMatch::One(account) => Some(account),
            EmailMatch::Nobody | EmailMatch::Shared(_) => None,
        };
        let reader = receiver
            .as_deref()
            .map_or_else(|| Reader::in_language(self.language), Reader::from);
        let mail = Mail {
            letter,
            to,
            reader,
            content: Content::Campaign(&alert),
            site: None,
        };
        Ok(Some(mailer.send(mail).await))
    }

    async fn entry(&self, success: &Success) -> Result<Entry, Fault> {
        let account = self.accounts.find(success.person).await?;
        Ok(Entry {
            person: account.map_or_else(String::new, |account| format!("{} {}", account.extension, account.name)),
            at: success.at,
            client: success.client,
        })
    }
}
