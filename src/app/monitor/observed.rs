//! Ports with somebody beside them who counts what goes through. The port behind does the work and knows nothing of it.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use prometheus_client::metrics::counter::Counter;

use crate::domain::account::LoginName;
use crate::domain::fault::Fault;
use crate::domain::limits::{Decision, Draw, NameDigest, Nanos, Reservation};
use crate::domain::password::{Password, PasswordHash};
use crate::flows::World;
use crate::ports::{Compared, Content, Hasher, Limiter, Mail, Mailer, Receipt, Refusal};
use crate::telemetry::health::{Health, Part};
use crate::telemetry::metrics::{Histogram, Labelled, Metrics};

/// Counts the decisions of the limits.
pub struct ObservedLimiter {
    inner: Arc<dyn Limiter>,
    decisions: Labelled<Counter>,
    sign_ins: Labelled<Counter>,
    resets: Labelled<Counter>,
}

impl ObservedLimiter {
    pub fn new(inner: Arc<dyn Limiter>, metrics: &Metrics) -> Self {
        Self {
            inner,
            decisions: metrics.work.limit_decisions.clone(),
            sign_ins: metrics.facts.sign_ins.clone(),
            resets: metrics.facts.resets.clone(),
        }
    }

    /// Attempts that come to nothing here are recorded nowhere else, or not each of them.
    fn refused(&self, rule: &str) {
        self.decisions.count(&[rule, "refused"]);
        match rule {
            "reset.again" => self.resets.count(&["repeated", "none"]),
            rule if rule.starts_with("reset.") => self.resets.count(&["throttled", "throttled"]),
            rule if rule.starts_with("sign-in.") => self.sign_ins.count(&["throttled", "throttled"]),
            _ => {}
        }
    }
}

impl Limiter for ObservedLimiter {
    fn reserve(&self, draws: Vec<Draw>, now: Nanos) -> Decision {
        let decision = self.inner.reserve(draws, now);
        match &decision {
            Decision::Granted(Reservation(drawn)) => {
                for draw in drawn {
                    self.decisions.count(&[draw.key.rule(), "granted"]);
                }
            }
            Decision::Refused { rule, .. } => self.refused(rule),
        }
        decision
    }

    fn refund(&self, reservation: &Reservation) {
        self.inner.refund(reservation);
    }

    fn digest(&self, name: &LoginName) -> NameDigest {
        self.inner.digest(name)
    }

    fn digest_text(&self, text: &str) -> NameDigest {
        self.inner.digest_text(text)
    }
}

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

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Compared, Fault> {
        let begun = Instant::now();
        let compared = self.inner.verify(password, hash).await?;
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
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::domain::limits::LimitKey;
    use crate::store::MemoryLimiter;
    use crate::telemetry::metrics::{About, AboutConfig};

    /// One key of each kind, one after the other: a new kind does not compile until it has its place here.
    fn after(key: &LimitKey) -> Option<LimitKey> {
        let (client, name) = (IpAddr::from([192, 0, 2, 1]), NameDigest(1, 1));
        Some(match key {
            LimitKey::SignInClient(_) => LimitKey::SignInName(name),
            LimitKey::SignInName(_) => LimitKey::SignInClientName(client, name),
            LimitKey::SignInClientName(..) => LimitKey::SignInDevice(name),
            LimitKey::SignInDevice(_) => LimitKey::SignInSession(name),
            LimitKey::SignInSession(_) => LimitKey::ResetClient(client),
            LimitKey::ResetClient(_) => LimitKey::ResetEmail(name),
            LimitKey::ResetEmail(_) => LimitKey::ResetDevice(name),
            LimitKey::ResetDevice(_) => LimitKey::ResetAgain(name),
            LimitKey::ResetAgain(_) => LimitKey::ResetRepeat(client, name),
            LimitKey::ResetRepeat(..) => LimitKey::TicketClient(client),
            LimitKey::TicketClient(_) => LimitKey::TokenClient(client),
            LimitKey::TokenClient(_) => LimitKey::MailAccount(name),
            LimitKey::MailAccount(_) => LimitKey::MailDevice(name),
            LimitKey::MailDevice(_) => LimitKey::MailClient(client),
            LimitKey::MailClient(_) => LimitKey::MailDay,
            LimitKey::MailDay => return None,
        })
    }

    #[test]
    fn every_rule_of_the_limits_has_a_series_and_each_decision_is_counted() {
        let about = About {
            version: "1",
            config: AboutConfig {
                digest: String::new(),
                limits: true,
                mail_security: "tls",
            },
            started: 0.0,
        };
        let metrics = Metrics::new(&about, &Arc::default());
        let limiter = ObservedLimiter::new(Arc::new(MemoryLimiter::new(100, [1; 32])), &metrics);
        let first = LimitKey::SignInClient(IpAddr::from([192, 0, 2, 1]));
        let keys = std::iter::successors(Some(first), after);
        for key in keys {
            let rule = key.rule();
            for decision in ["granted", "refused"] {
                let quota = "1 per 1h".parse().unwrap();
                limiter.reserve(
                    vec![Draw {
                        key: key.clone(),
                        quota,
                    }],
                    Nanos(0),
                );
                let counted = metrics.work.limit_decisions.get(&[rule, decision]);
                assert_eq!(counted.unwrap().get(), 1, "{rule} {decision}");
            }
        }
        let count = |labelled: &Labelled<Counter>, values: &[&str]| labelled.get(values).unwrap().get();
        assert_eq!(count(&metrics.facts.sign_ins, &["throttled", "throttled"]), 5);
        assert_eq!(count(&metrics.facts.resets, &["throttled", "throttled"]), 4);
        assert_eq!(count(&metrics.facts.resets, &["repeated", "none"]), 1);
    }
}
