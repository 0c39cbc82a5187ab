//! The parts that the command line needs, whether the server runs or not.

use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::crypto::entropy::OsEntropy;
use crate::crypto::foreign::{Basis, basis_of};
use crate::crypto::jwt::KeyRing;
use crate::crypto::secrets::{PEPPER, PresentSecrets, SEALING_KEY, SealingKey, SecretFiles};
use crate::domain::account::{Account, Email, Extension};
use crate::domain::campaigns::{self, Campaign};
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::fault::Fault;
use crate::flows::{
    AccountChange, AccountOffice, BounceOffice, ImportAccounts, InspectAccounts, LinkOffice, OrderOffice, Printing,
    Settled, TokenOffice, World,
};
use crate::mail::ReturnPath;
use crate::mail::bounce;
use crate::mail::sheet::{self, Sheet};
use crate::ports::{Accounts, Attempts, Bounces, CampaignBook, Events, Keys, Outbox};
use crate::store::SqliteStore;

use super::clock::SystemClock;
use super::keys::SigningKeys;

/// The store and what an operator does with it.
pub struct Office {
    /// People.
    pub accounts: AccountOffice,
    /// What happened.
    pub events: Arc<dyn Events>,
    /// Letters on their way.
    pub outbox: Arc<dyn Outbox>,
    /// What came back about them.
    pub returned: Arc<dyn Bounces>,
    /// Links and what became of them.
    pub links: LinkOffice,
    /// API tokens.
    pub tokens: TokenOffice,
    /// Attacks.
    pub campaigns: Arc<dyn CampaignBook>,
    /// Bans, exemptions and applied policies.
    pub orders: OrderOffice,
    /// What was tried.
    pub attempts: Arc<dyn Attempts>,
    store: Arc<SqliteStore>,
}

/// Where messages to the return address of letters are read and settled.
pub struct BounceDesk {
    returns: ReturnPath,
    office: BounceOffice,
}

impl BounceDesk {
    /// The most of a message that is looked at, in bytes.
    pub const MOST_READ: usize = bounce::MOST_READ;

    /// Reads one message and keeps what it says. `recipient` is the envelope's, when the mail server told it.
    ///
    /// # Errors
    /// When the store is down; nothing is kept then.
    pub async fn settle(&self, message: &[u8], recipient: Option<&str>) -> Result<Settled, Fault> {
        self.office
            .settle(bounce::read(message, recipient, &self.returns))
            .await
    }
}

/// The return address of letters, with tags that only this machine's sealing key makes.
pub(super) fn return_path(config: &Config, sealing: &SealingKey) -> Result<Option<ReturnPath>, Fault> {
    let Some(typed) = &config.mail.bounces else {
        return Ok(None);
    };
    let address = Email::parse(typed)
        .map_err(|problem| Fault::corrupt(format!("[mail] bounces = {typed:?} cannot be used"), problem))?;
    Ok(Some(ReturnPath::new(&address, sealing.derive("bounces"))))
}

/// What became of the wish for a sheet with a link.
pub enum Printed {
    /// Here it is, for once.
    Done {
        /// For whom.
        account: Box<Account>,
        /// What to hand over.
        sheet: Sheet,
    },
    /// Why there is none.
    Not(AccountChange),
}

/// The real time and chance.
pub fn world() -> World {
    World::new(Arc::new(SystemClock::new()), Arc::new(OsEntropy))
}

/// Opens the secret files, and makes them for a store that needs none of the old ones. A secret that is gone although
/// the store depends on it is never replaced: every password would be wrong, and nobody would know why.
pub(super) async fn open_secrets(config: &Config, store: &SqliteStore) -> Result<SecretFiles, Fault> {
    let directory = &config.secrets.directory;
    let missing = |file: &str| !directory.join(file).exists();
    if missing(PEPPER)
        // Hashes of other systems were made without it.
        && Accounts::hashes(store)
            .await?
            .iter()
            .any(|(_, hash)| matches!(basis_of(hash), Basis::Pepper(_)))
    {
        return Err(Fault::corrupt(
            format!(
                "{} is missing, but passwords in the store were hashed with it",
                directory.join(PEPPER).display()
            ),
            "put it back from its copy; without it every person needs a new password (see the runbook)",
        ));
    }
    if missing(SEALING_KEY) && !Keys::list(store).await?.is_empty() {
        return Err(Fault::corrupt(
            format!(
                "{} is missing, but signing keys in the store are sealed with it",
                directory.join(SEALING_KEY).display()
            ),
            "put it back from its copy (see the runbook)",
        ));
    }
    SecretFiles::open_or_make(directory, &OsEntropy)
}

impl Office {
    /// Opens the store named in the config; made when it is not there yet.
    pub async fn open(config: &Config) -> Result<Self, Fault> {
        let store = Arc::new(SqliteStore::open(&config.store.directory).await?);
        Ok(Self {
            accounts: AccountOffice {
                accounts: store.clone(),
                sessions: store.clone(),
                world: world(),
            },
            events: store.clone(),
            outbox: store.clone(),
            returned: store.clone(),
            links: LinkOffice {
                accounts: store.clone(),
                tickets: store.clone(),
                outbox: store.clone(),
                events: store.clone(),
                world: world(),
                life: config.links,
            },
            tokens: TokenOffice {
                tokens: store.clone(),
                world: world(),
            },
            campaigns: store.clone(),
            orders: OrderOffice {
                orders: store.clone(),
                world: world(),
            },
            attempts: store.clone(),
            store,
        })
    }

    /// Brings people in from files.
    pub fn imports(&self, config: &Config) -> ImportAccounts {
        ImportAccounts {
            accounts: self.store.clone(),
            outbox: self.store.clone(),
            tickets: self.store.clone(),
            world: world(),
            rate: config.mail.rate,
        }
    }

    /// Looks for what an administrator should put in order.
    pub fn inspection(&self) -> InspectAccounts {
        InspectAccounts {
            accounts: self.store.clone(),
            tickets: self.store.clone(),
            bounces: self.store.clone(),
            tokens: self.store.clone(),
            world: world(),
        }
    }

    /// The signing keys. Reads the secret files, and makes them where they are missing.
    pub async fn keys(&self, config: &Config) -> Result<SigningKeys, Fault> {
        let secrets = open_secrets(config, &self.store).await?;
        Ok(SigningKeys {
            store: self.store.clone(),
            sealing: Arc::new(secrets.sealing_key),
            algorithm: config.assertion.algorithm,
            world: world(),
        })
    }

    /// The keys that sign test statements for the upstream at this origin. That they are taken for this is recorded first.
    pub async fn test_ring(&self, config: &Config, origin: String) -> Result<KeyRing, Fault> {
        let keys = self.keys(config).await?;
        let ring = KeyRing::load(keys.store.list().await?, &keys.sealing)?;
        let event = Event {
            id: keys.world.uuid(),
            at: keys.world.now(),
            actor: Actor::Operator,
            client: None,
            account: None,
            fact: Fact::UpstreamTried(origin),
        };
        self.events.append(&[event]).await?;
        Ok(ring)
    }

    /// The networks that these attacks come from and that a filter may name: never a proxy, never an address that many
    /// people share, never one from which somebody signs in on a device of their own, and none of `exempt`.
    pub fn campaign_sources(living: &[Campaign], config: &Config, exempt: &[IpNet]) -> Vec<IpNet> {
        let server = &config.server;
        let declared = [
            &server.trusted_proxies,
            &server.shared_addresses,
            &config.forward_auth.proxies,
        ];
        let spared: Vec<IpNet> = declared.into_iter().flatten().chain(exempt).copied().collect();
        campaigns::sources(living, &spared).collect()
    }

    pub(super) fn store(&self) -> &SqliteStore {
        &self.store
    }

    /// Makes a Welcome link on a sheet to be handed over.
    pub async fn print_welcome(&self, config: &Config, extension: &Extension) -> Result<Printed, Fault> {
        let change = match self.links.print(extension).await? {
            Printing::Done {
                account,
                token,
                expires_at,
            } => {
                let house = sheet::House {
                    branding: &config.branding,
                    doors: &config.doors,
                    routes: &config.routes,
                    zone: &TimeZone::system(),
                };
                let sheet = sheet::write(&house, &account, &token, expires_at)?;
                return Ok(Printed::Done { account, sheet });
            }
            Printing::NotFound => AccountChange::NotFound,
            Printing::Disabled(account) => AccountChange::Disabled(account),
            Printing::AlreadyActive(account) => AccountChange::AlreadyActive(account),
        };
        Ok(Printed::Not(change))
    }

    /// Takes in what comes to the return address of letters; `None` when letters have none.
    pub fn bounces(&self, config: &Config) -> Result<Option<BounceDesk>, Fault> {
        let directory = &config.secrets.directory;
        let sealing = PresentSecrets::look(directory)?.sealing_key.ok_or_else(|| {
            Fault::unavailable(
                "could not read the tags of letters",
                format!(
                    "there is no {} yet; the server makes it at its first start",
                    directory.join(SEALING_KEY).display()
                ),
            )
        })?;
        let returns = return_path(config, &sealing)?;
        Ok(returns.map(|returns| BounceDesk {
            returns,
            office: BounceOffice {
                bounces: self.store.clone(),
                accounts: self.store.clone(),
                world: world(),
            },
        }))
    }

    /// Closes the store when what is under way has finished.
    pub async fn close(self) {
        self.store.close().await;
    }
}
