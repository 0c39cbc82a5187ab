//! Ports with somebody beside them who counts what goes through. The port behind does the work and knows nothing of it.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use prometheus_client::metrics::counter::Counter;

use crate::domain::fault::Fault;
use crate::domain::password::{Password, PasswordHash};
use crate::flows::World;
use crate::ports::{Compared, Content, Hasher, Mail, Mailer, Place, Receipt, Refusal};
use crate::telemetry::health::{Health, Part};
use crate::telemetry::metrics::{Histogram, Labelled, Metrics};

/// Measures how long people wait for a hash.
pub struct ObservedHasher {
    inner: Arc<dyn Hasher>,
    hash: Histogram,
    verify: Histogram,
}

impl ObservedHasher {
    pub fn new(inner: Arc<dyn Hasher>, metrics: &Metrics) -> Self {
        let of = |work| metrics.work.hashing_duration.get(&[work]).cloned().unwrap_or_default();
        Self {
            inner,
            hash: of("hash"),
            verify: of("verify"),
        }
    }
}

#[async_trait]
impl Hasher for ObservedHasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, Fault> {
        let begun = Instant::now();
        let hash = self.inner.hash(password).await?;
        self.hash.observe(begun.elapsed());
        Ok(hash)
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>, place: Place) -> Result<Compared, Fault> {
        let begun = Instant::now();
        let compared = self.inner.verify(password, hash, place).await?;
        self.verify.observe(begun.elapsed());
        Ok(compared)
    }
}

/// Notes what the mail server says. What it takes and what is given up is recorded and counted from there.
pub struct ObservedMailer {
    pub inner: Arc<dyn Mailer>,
    pub letters: Labelled<Counter>,
    pub health: Arc<Health>,
    pub world: World,
}

#[async_trait]
impl Mailer for ObservedMailer {
    async fn send(&self, mail: Mail<'_>) -> Result<Receipt, Refusal> {
        let kind = kind(&mail.content);
        let sent = self.inner.send(mail).await;
        let said = match &sent {
            Ok(_) => "accepted",
            Err(Refusal { permanent: true, .. }) => "rejected",
            Err(Refusal { permanent: false, .. }) => {
                self.letters.count(&[kind, "deferred"]);
                "deferred"
            }
        };
        let now = self.world.now().as_second();
        self.health.note_letter(said, now);
        self.health.note(Part::Mail, said != "deferred", || now);
        sent
    }
}

/// What a letter is, by the name it has in the outbox.
const fn kind(content: &Content<'_>) -> &'static str {
    match content {
        Content::Welcome { .. } => "welcome",
        Content::Reset { .. } => "reset",
        Content::PasswordChanged { .. } => "password-changed",
        Content::NewDevice { .. } => "new-device",
        Content::EmailChanged { .. } => "email-changed",
        Content::AccountUnlocked { .. } => "account-unlocked",
        Content::NewPassword { .. } => "new-password",
        Content::Campaign(_) => "campaign",
        Content::BrowserUnlock { .. } => "browser-unlock",
    }
}
