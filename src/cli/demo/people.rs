//! The sample accounts of the demo, made once.

use anyhow::bail;

use crate::app::Office;
use crate::config::Config;
use crate::domain::account::Role;
use crate::domain::language::Language;
use crate::flows::{AccountChange, NewAccount};
use crate::ports::{AccountListing, EventFilter};

/// One of the sample accounts.
struct Sample {
    extension: &'static str,
    name: &'static str,
    email: &'static str,
    language: Language,
    role: Role,
    group: &'static str,
    /// Whether a Welcome mail goes out at once.
    welcome: bool,
}

/// Two people to be; two that share an address, which shows that it gets no reset mail; an administrator.
const SAMPLES: [Sample; 5] = [
    Sample {
        extension: "100",
        name: "森 明子",
        email: "admin@phone.example",
        language: Language::Ja,
        role: Role::Admin,
        group: "it",
        welcome: false,
    },
    Sample {
        extension: "101",
        name: "田中 ゆき",
        email: "yuki@phone.example",
        language: Language::Ja,
        role: Role::User,
        group: "sales",
        welcome: true,
    },
    Sample {
        extension: "102",
        name: "Sam Taylor",
        email: "sam@phone.example",
        language: Language::En,
        role: Role::User,
        group: "support",
        welcome: true,
    },
    Sample {
        extension: "103",
        name: "佐藤 健",
        email: SHARED,
        language: Language::Ja,
        role: Role::User,
        group: "reception",
        welcome: false,
    },
    Sample {
        extension: "104",
        name: "Alex Morgan",
        email: SHARED,
        language: Language::En,
        role: Role::User,
        group: "reception",
        welcome: false,
    },
];

/// The address that two accounts share.
pub const SHARED: &str = "reception@phone.example";

/// Everybody in the demo's store; the sample accounts are made where nothing has ever happened yet.
pub async fn gather(config: &Config) -> anyhow::Result<Vec<AccountListing>> {
    let office = Office::open(config).await?;
    let gathered = gather_in(&office).await;
    office.close().await;
    gathered
}

async fn gather_in(office: &Office) -> anyhow::Result<Vec<AccountListing>> {
    if office.events.list(EventFilter::newest(1)).await?.is_empty() {
        for sample in &SAMPLES {
            add(office, sample).await?;
        }
    }
    Ok(office.accounts.list().await?)
}

async fn add(office: &Office, sample: &Sample) -> anyhow::Result<()> {
    let groups = [sample.group.to_owned(), "everybody".to_owned()];
    let (email, language) = (Some(sample.email), sample.language);
    let new = NewAccount::parse(sample.extension, sample.name, email, sample.role, &groups, language)?;
    match office.accounts.add(new, sample.welcome).await? {
        AccountChange::Done(_) => Ok(()),
        other => bail!("could not add the sample account {}: {other:?}", sample.extension),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::AccountState;

    #[tokio::test]
    async fn the_sample_accounts_are_made_once_and_two_of_them_are_welcomed() {
        let home = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.directory = home.path().join("store");
        let accounts = gather(&config).await.unwrap();
        assert_eq!(accounts.len(), SAMPLES.len());
        assert!(
            accounts
                .iter()
                .all(|listing| listing.account.state == AccountState::Invited)
        );
        let shared = accounts
            .iter()
            .filter(|listing| listing.account.email.as_ref().unwrap().as_typed() == SHARED);
        assert_eq!(shared.count(), 2);

        let office = Office::open(&config).await.unwrap();
        assert_eq!(office.outbox.list(10).await.unwrap().len(), 2);
        let first = &accounts[1].account.extension;
        assert!(matches!(
            office.accounts.remove(first).await.unwrap(),
            AccountChange::Done(_)
        ));
        office.close().await;
        assert_eq!(
            gather(&config).await.unwrap().len(),
            SAMPLES.len() - 1,
            "what was removed stays removed"
        );
    }
}
