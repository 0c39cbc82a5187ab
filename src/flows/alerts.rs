//! What administrators are told of attacks: whom to write to, and what the letter says by the time it is written.

use std::sync::Arc;

use crate::domain::account::Email;
use crate::domain::campaigns::{Campaign, CampaignId, Success};
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::outbox::Letter;
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
/// The most attacks that a letter is about beside its own.
const MOST_ATTACKS: usize = 1000;

impl Alerts {
    /// The addresses to write to.
    pub async fn receivers(&self) -> Result<Vec<Email>, Fault> {
        if !self.to.is_empty() {
            return Ok(self.to.clone());
        }
        let mut receivers: Vec<Email> = Vec::new();
        for administrator in self.accounts.administrators().await? {
            let email = match administrator {
                Ok(account) => account.email,
                Err(fault) => {
                    tracing::error!(
                        fault = fault.chain(),
                        "an administrator is not told of attacks: the account cannot be read"
                    );
                    continue;
                }
            };
            receivers.extend(email.filter(|email| !receivers.contains(email)));
        }
        Ok(receivers)
    }

    /// Writes the letter and hands it over; `None` when the attack is no longer known. What else it would say and cannot be
    /// read is left out of it: the letter is more urgent.
    pub(super) async fn send(
        &self,
        letter: &Letter,
        to: &Email,
        campaign: CampaignId,
        mailer: &dyn Mailer,
    ) -> Result<Option<Result<Receipt, Refusal>>, Fault> {
        let found = match self.campaigns.find(campaign).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => return Ok(None),
            Err(fault @ Fault::Corrupt { .. }) => Err(fault),
            Err(fault) => return Err(fault),
        };
        let mut others = self.told_with(campaign, letter).await?;
        let campaign = match found {
            Ok(found) => found,
            Err(fault) if others.is_empty() => return Err(fault),
            // The letter stands for the others as well, which may have no other one.
            Err(fault) => {
                tracing::error!(
                    fault = fault.chain(),
                    "an attack cannot be read; the letter about it is about another one that it stands for"
                );
                others.remove(0)
            }
        };
        let mut entries = Vec::new();
        for success in campaign.successes.iter().rev().take(MOST_ENTRIES) {
            entries.push(self.entry(success).await?);
        }
        let alert = Alert {
            campaign: &campaign,
            entries,
            others: &others,
            closes: self.closes,
        };
        let receiver = match readable(self.accounts.find_by_email(to).await)? {
            Some(EmailMatch::One(account)) => Some(account),
            Some(EmailMatch::Nobody | EmailMatch::Shared(_)) | None => None,
        };
        let reader = receiver
            .as_deref()
            .map_or_else(|| Reader::in_language(self.language), Reader::from);
        let mail = Mail {
            letter: letter.id,
            to,
            reader,
            content: Content::Campaign(&alert),
            site: None,
        };
        Ok(Some(mailer.send(mail).await))
    }

    /// The other attacks that administrators were to be told of at the time of this letter. Beyond so many letters an hour
    /// they have none of their own.
    async fn told_with(&self, campaign: CampaignId, letter: &Letter) -> Result<Vec<Campaign>, Fault> {
        let mut others = Vec::new();
        for other in self.campaigns.told_at(letter.created_at, MOST_ATTACKS).await? {
            others.extend(readable(other)?.filter(|other| other.id != campaign));
        }
        Ok(others)
    }

    async fn entry(&self, success: &Success) -> Result<Entry, Fault> {
        let person = match readable(self.accounts.find(success.person).await)? {
            Some(Some(account)) => format!("{} {}", account.extension, account.name),
            Some(None) => String::new(),
            // It is there, and its number is all that is known of it.
            None => success.person.to_string(),
        };
        Ok(Entry {
            person,
            at: success.at,
            client: success.client,
        })
    }
}

/// What was read; `None`, and a line in the log, when it is there and cannot be understood.
fn readable<T>(read: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(fault @ Fault::Corrupt { .. }) => {
            tracing::error!(
                fault = fault.chain(),
                "a letter about an attack leaves out what cannot be read"
            );
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Consequences;
    use crate::domain::outbox::{LetterId, Matter};
    use crate::domain::session::tests::at;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn a_letter_is_about_every_attack_that_was_to_be_told_of_at_its_time() {
        let store = Arc::new(MemoryStore::new());
        let told = |after: Option<CampaignId>, second: i64| {
            let sample = Campaign::sample(true, at(0));
            Campaign {
                id: CampaignId::after(after, at(0)),
                told_at: Some(at(second)),
                ..sample
            }
        };
        let first = told(None, 5);
        let with_it = told(Some(first.id), 5);
        let later = told(Some(with_it.id), 6);
        let all = [first.clone(), with_it.clone(), later];
        store.put(&all, Consequences::default()).await.unwrap();
        let to = Email::parse("security@example.com").unwrap();
        let letter = Letter {
            id: LetterId::new(uuid::Uuid::from_u128(1)),
            matter: Matter::Campaign { to, campaign: first.id },
            created_at: at(5),
        };
        let alerts = Alerts {
            accounts: store.clone(),
            campaigns: store,
            to: Vec::new(),
            language: Language::En,
            closes: false,
        };
        assert_eq!(alerts.told_with(first.id, &letter).await.unwrap(), [with_it]);
    }
}
