//! The life of the signing keys: made on first start, rotated by command and by age, published until the
//! last assertion they signed has expired.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::crypto::jwt::{KeyRing, make_key};
use crate::crypto::secrets::SealingKey;
use crate::domain::assertion::Assertion;
use crate::domain::event::{Actor, Consequences, Event, Fact};
use crate::domain::fault::Fault;
use crate::domain::key::{KeyRecord, SigningAlgorithm};
use crate::domain::session::{earlier, later};
use crate::flows::World;
use crate::ports::Keys;

/// The signing keys of this gateway.
pub struct SigningKeys {
    /// Where they are kept.
    pub store: Arc<dyn Keys>,
    /// What their private parts are sealed with.
    pub sealing: Arc<SealingKey>,
    /// What new keys sign with.
    pub algorithm: SigningAlgorithm,
    /// Time and chance.
    pub world: World,
}

/// A retired key stays published for the longest life of an assertion, and a margin for clocks and caches.
const PUBLISHED: Duration = Duration::from_mins(15).saturating_add(Assertion::MAX_LIFE);

impl SigningKeys {
    /// The ring of stored keys; the first key is made when there is none.
    pub async fn ring(&self) -> Result<KeyRing, Fault> {
        let mut records = self.store.list().await?;
        if current(&records).is_none() {
            self.rotate(Actor::Gateway).await?;
            records = self.store.list().await?;
        }
        KeyRing::load(records, &self.sealing)
    }

    /// When the key that signs now was made; `None` when there is none.
    pub async fn made_at(&self) -> Result<Option<Timestamp>, Fault> {
        Ok(current(&self.store.list().await?).map(|key| key.created_at))
    }

    /// Makes a key that signs from now on.
    pub async fn rotate(&self, actor: Actor) -> Result<KeyRecord, Fault> {
        let key = make_key(self.algorithm, self.world.now(), &self.sealing)?;
        let event = Event {
            id: self.world.uuid(),
            at: self.world.now(),
            actor,
            client: None,
            account: None,
            fact: Fact::KeyRotated(key.kid.clone()),
        };
        self.store.add(&key, Consequences::event(event)).await?;
        Ok(key)
    }

    /// Rotates when the current key is older than `age` or signs with another algorithm than configured, and forgets
    /// keys whose assertions have all expired.
    pub async fn keep(&self, age: Duration) -> Result<(), Fault> {
        let records = self.store.list().await?;
        let now = self.world.now();
        let due =
            current(&records).is_none_or(|key| key.algorithm != self.algorithm || now >= later(key.created_at, age));
        if due {
            let key = self.rotate(Actor::Gateway).await?;
            tracing::info!(kid = key.kid, "signing key rotated");
        }
        self.store.sweep(earlier(now, PUBLISHED)).await?;
        Ok(())
    }
}

fn current(records: &[KeyRecord]) -> Option<&KeyRecord> {
    records.iter().find(|key| key.retired_at.is_none())
}
