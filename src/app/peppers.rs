//! The life of the pepper: rotated and dropped by command, taken up by a running gateway, and what still rests on it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::Config;
use crate::crypto::entropy::OsEntropy;
use crate::crypto::foreign::{Basis, basis_of};
use crate::crypto::secrets::{drop_pepper, rotate_pepper};
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::fault::Fault;

use super::office::{Office, open_secrets};

/// A version of the pepper, or what takes its place in a stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reliance {
    /// What hashes rest on.
    pub basis: Basis,
    /// How it stands.
    pub standing: Standing,
    /// How many accounts rest on it.
    pub accounts: usize,
}

/// How a pepper stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It keys new hashes.
    Current,
    /// It is kept for those who have not signed in since it was replaced.
    Kept,
    /// It is not here: nobody can sign in whose hash rests on it.
    Missing,
    /// No pepper: imported, until its owner signs in.
    Imported,
    /// The hash cannot be used: its owner needs a new password.
    Unusable,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PepperRotation {
    /// Name of the new pepper.
    pub id: String,
    /// Where the one before it is kept.
    pub kept: PathBuf,
}

impl Office {
    /// Every pepper that is here or that a hash rests on, the current one first, and the imported hashes.
    pub async fn peppers(&self, config: &Config) -> Result<Vec<Reliance>, Fault> {
        let pepper = self.secrets(config).await?.pepper;
        let mut counts: BTreeMap<Basis, usize> = [pepper.key_id()]
            .into_iter()
            .chain(pepper.previous_ids())
            .map(|id| (Basis::Pepper(id.to_owned()), 0))
            .collect();
        for (_, hash) in self.accounts.accounts.hashes().await? {
            *counts.entry(basis_of(&hash)).or_default() += 1;
        }
        let standing = |basis: &Basis| match basis {
            Basis::Pepper(id) if id == pepper.key_id() => Standing::Current,
            Basis::Pepper(id) if pepper.previous_ids().any(|previous| previous == id) => Standing::Kept,
            Basis::Pepper(_) => Standing::Missing,
            Basis::Foreign(_) => Standing::Imported,
            Basis::Unreadable => Standing::Unusable,
        };
        let mut all: Vec<_> = counts
            .into_iter()
            .map(|(basis, accounts)| Reliance {
                standing: standing(&basis),
                basis,
                accounts,
            })
            .collect();
        all.sort_by_key(|reliance| reliance.standing);
        Ok(all)
    }

    /// Makes a new pepper, which a running gateway takes up within a second; the old one is kept.
    pub async fn rotate_pepper(&self, config: &Config) -> Result<PepperRotation, Fault> {
        self.secrets(config).await?;
        let (kept, pepper) = rotate_pepper(&config.secrets.directory, &OsEntropy)?;
        let id = pepper.key_id().to_owned();
        self.note(Fact::PepperRotated(id.clone())).await?;
        Ok(PepperRotation { id, kept })
    }

    /// Removes an old pepper, whoever rests on it.
    pub async fn drop_pepper(&self, config: &Config, id: &str) -> Result<(), Fault> {
        drop_pepper(&config.secrets.directory, id)?;
        self.note(Fact::PepperDropped(id.to_owned())).await
    }

    async fn secrets(&self, config: &Config) -> Result<crate::crypto::secrets::SecretFiles, Fault> {
        open_secrets(config, self.store()).await
    }

    async fn note(&self, fact: Fact) -> Result<(), Fault> {
        let world = &self.accounts.world;
        let event = Event {
            id: world.uuid(),
            at: world.now(),
            actor: Actor::Operator,
            client: None,
            account: None,
            fact,
        };
        self.events.append(&[event]).await
    }
}
