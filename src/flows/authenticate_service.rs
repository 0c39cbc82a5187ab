//! From the bearer token of a request to the program behind it.
//!
//! All tokens there are, ended ones included, are in memory, so that a request with one asks no store. What memory does
//! not know is either seconds old or none of ours: it is charged to a limit of its client before the store is asked, and
//! given back when the store knows it after all.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::api_token::{ApiTokenState, LastUse};
use crate::domain::bearer::BearerToken;
use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::limits::attempt::{Attempt, Endpoint};
use crate::domain::limits::ledger::Outcome;
use crate::domain::service::Service;
use crate::domain::token::TokenDigest;
use crate::ports::{Grant, Limiter, Ruling, Services, Stopped};

use super::World;
use super::authenticate::Refusal;
use super::record_seen::SeenSender;

/// What a request presents as its API token.
#[derive(Debug)]
pub enum Claim {
    /// A well-formed token.
    Token(BearerToken),
    /// Meant as one, and none.
    Malformed,
}

/// The standing of a program that presents a token.
#[derive(Clone, Debug)]
pub enum Clearance {
    /// A live token.
    Known(Arc<Service>),
    /// A token that opens nothing, and whose it was, when that is known.
    Refused(TokenRefusal, Option<Arc<Service>>),
    /// Its client has presented too many that open nothing.
    Throttled(Duration),
}

/// Why a token opens nothing. Its holder is told none of this, the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// It has not the form of a token, or a wrong checksum.
    Malformed,
    /// There is none like it, or it ended long ago.
    Unknown,
    /// Its day has come.
    Expired,
    /// An operator took it back.
    Revoked,
}

impl TokenRefusal {
    /// The stable name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A token's last use is recorded this often.
const RECORD_EVERY: Duration = Duration::from_mins(1);

/// Tells which program sends a request.
pub struct AuthenticateService {
    /// The tokens in memory.
    pub services: Arc<dyn Services>,
    /// Counts tokens that open nothing.
    pub limiter: Arc<dyn Limiter>,
    /// Where uses are noted.
    pub seen: SeenSender,
    /// Time and chance.
    pub world: World,
}

impl AuthenticateService {
    /// Judges what a request presents and, when it is a live token, notes that it was used.
    pub async fn run(&self, claim: &Claim, client: ClientAddr) -> Result<Clearance, Fault> {
        let service = match claim {
            Claim::Token(token) => match self.look_up(&token.digest(), client).await? {
                Ok(Some(service)) => service,
                Ok(None) => return Ok(Clearance::Refused(TokenRefusal::Unknown, None)),
                Err(wait) => return Ok(Clearance::Throttled(wait)),
            },
            Claim::Malformed => {
                let grant = match self.charge(client) {
                    Ok(grant) => grant,
                    Err(wait) => return Ok(Clearance::Throttled(wait)),
                };
                super::wait(&grant).await;
                grant.settle(Outcome::Failed);
                return Ok(Clearance::Refused(TokenRefusal::Malformed, None));
            }
        };
        Ok(match service.token.state_at(self.world.now()) {
            ApiTokenState::Live => {
                self.note_use(&service, client);
                Clearance::Known(service)
            }
            ApiTokenState::Expired => Clearance::Refused(TokenRefusal::Expired, Some(service)),
            ApiTokenState::Revoked => Clearance::Refused(TokenRefusal::Revoked, Some(service)),
        })
    }

    /// Why an open stream must end that was begun with this token; `None` while it may stay open.
    pub async fn severed(&self, digest: &TokenDigest) -> Result<Option<Refusal>, Fault> {
        let service = match self.services.known(digest) {
            Some(service) => Some(service),
            None => self.services.fetch(digest).await?,
        };
        let state = service.map(|service| service.token.state_at(self.world.now()));
        Ok(match state {
            Some(ApiTokenState::Live) => None,
            Some(ApiTokenState::Expired) => Some(Refusal::Expired),
            Some(ApiTokenState::Revoked) | None => Some(Refusal::Ended),
        })
    }

    /// `Err` is how long to wait.
    async fn look_up(
        &self,
        digest: &TokenDigest,
        client: ClientAddr,
    ) -> Result<Result<Option<Arc<Service>>, Duration>, Fault> {
        if let Some(service) = self.services.known(digest) {
            return Ok(Ok(Some(service)));
        }
        if self.services.remembers(digest) {
            return self.services.fetch(digest).await.map(Ok);
        }
        let grant = match self.charge(client) {
            Ok(grant) => grant,
            Err(wait) => return Ok(Err(wait)),
        };
        super::wait(&grant).await;
        let found = self.services.fetch(digest).await;
        // Whoever holds a token of ours has guessed nothing, and of what cannot be looked up nobody knows.
        grant.settle(match &found {
            Ok(Some(_)) => Outcome::Succeeded,
            Ok(None) => Outcome::Failed,
            Err(_) => Outcome::NotTried,
        });
        found.map(Ok)
    }

    fn charge(&self, client: ClientAddr) -> Result<Grant, Duration> {
        match self.limiter.attempt(Attempt::new(Endpoint::ApiToken, client), None) {
            Ruling::Granted(grant) => Ok(grant),
            Ruling::Refused(Stopped { retry_after, .. }) => Err(retry_after),
        }
    }

    fn note_use(&self, service: &Service, client: ClientAddr) {
        let now = self.world.now();
        if service.see(now, RECORD_EVERY) {
            self.seen.note_token(service.token.id, LastUse { at: now, client });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use jiff::Timestamp;

    use super::*;
    use crate::domain::api_token::ApiToken;
    use crate::domain::api_token::tests::token;
    use crate::domain::limits::Nanos;
    use crate::domain::limits::policy::{KeyKind, LimitRule, Policy};
    use crate::domain::limits::regime::Regime;
    use crate::domain::session::tests::at;
    use crate::domain::token::TOKEN_BYTES;
    use crate::flows::RecordSeen;
    use crate::ports::{Clock, Entropy};
    use crate::store::{LimiterTerms, MemoryLimiter, MemoryStore};

    /// A store with one token, and a memory that may have it.
    #[derive(Default)]
    struct Shelf {
        token: Option<ApiToken>,
        in_memory: AtomicBool,
        believed: AtomicBool,
        down: AtomicBool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Services for Shelf {
        fn known(&self, digest: &TokenDigest) -> Option<Arc<Service>> {
            let token = self.token.as_ref().filter(|token| token.digest == *digest)?;
            let known = self.in_memory.load(Ordering::Relaxed) && self.believed.load(Ordering::Relaxed);
            known.then(|| Arc::new(Service::new(token.clone())))
        }

        fn remembers(&self, digest: &TokenDigest) -> bool {
            let same = self.token.as_ref().is_some_and(|token| token.digest == *digest);
            same && self.in_memory.load(Ordering::Relaxed)
        }

        async fn fetch(&self, digest: &TokenDigest) -> Result<Option<Arc<Service>>, Fault> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.down.load(Ordering::Relaxed) {
                return Err(Fault::unavailable("could not read", "it is down"));
            }
            let found = self.token.as_ref().filter(|token| token.digest == *digest);
            Ok(found.map(|token| Arc::new(Service::new(token.clone()))))
        }
    }

    struct Standstill;

    impl Clock for Standstill {
        fn now(&self) -> Timestamp {
            at(1)
        }

        fn monotonic(&self) -> Nanos {
            Nanos(1)
        }
    }

    impl Entropy for Standstill {
        fn token(&self) -> [u8; TOKEN_BYTES] {
            [0; TOKEN_BYTES]
        }
    }

    /// Lets two unknown tokens of a client through.
    fn flow(shelf: &Arc<Shelf>) -> AuthenticateService {
        let store = Arc::new(MemoryStore::new());
        let terms = LimiterTerms::alone(100, [0; 32], Arc::new(Standstill), Arc::new(Standstill));
        let limiter = MemoryLimiter::new(terms);
        let rule = LimitRule::new("token.client", &[Endpoint::ApiToken], KeyKind::Client, "2 per 1h");
        let policy = Policy {
            rules: vec![rule.unwrap()],
            ..Policy::default()
        };
        limiter.govern(Regime {
            active: Arc::new(policy),
            candidate: None,
        });
        AuthenticateService {
            services: Arc::clone(shelf) as _,
            limiter: Arc::new(limiter),
            seen: RecordSeen::new(store.clone(), store).1,
            world: World::new(Arc::new(Standstill), Arc::new(Standstill)),
        }
    }

    fn client(address: &str) -> ClientAddr {
        ClientAddr::new(address.parse().unwrap())
    }

    async fn said(flow: &AuthenticateService, byte: u8) -> String {
        let claim = Claim::Token(BearerToken::from_entropy([byte; 32]));
        match flow.run(&claim, client("192.0.2.7")).await {
            Ok(Clearance::Known(_)) => "known".to_owned(),
            Ok(Clearance::Refused(why, _)) => why.as_str().to_owned(),
            Ok(Clearance::Throttled(_)) => "throttled".to_owned(),
            Err(_) => "fault".to_owned(),
        }
    }

    fn shelf(byte: u8) -> Arc<Shelf> {
        let mut token = token("reports", &["/api/*"]);
        token.digest = BearerToken::from_entropy([byte; 32]).digest();
        Arc::new(Shelf {
            token: Some(token),
            ..Shelf::default()
        })
    }

    #[tokio::test]
    async fn what_nobody_knows_is_charged_before_the_store_is_asked() {
        let shelf = shelf(1);
        let flow = flow(&shelf);
        for expected in ["unknown", "unknown", "throttled", "throttled"] {
            assert_eq!(said(&flow, 9).await, expected);
        }
        assert_eq!(shelf.asked.load(Ordering::Relaxed), 2);
        let malformed = flow.run(&Claim::Malformed, client("192.0.2.7")).await.unwrap();
        assert!(
            matches!(malformed, Clearance::Throttled(_)),
            "one budget: {malformed:?}"
        );
        let elsewhere = flow.run(&Claim::Malformed, client("192.0.2.8")).await.unwrap();
        assert!(matches!(elsewhere, Clearance::Refused(TokenRefusal::Malformed, None)));
    }

    #[tokio::test]
    async fn a_token_that_was_just_made_costs_nothing_and_neither_does_a_store_that_is_down() {
        let shelf = shelf(1);
        let flow = flow(&shelf);
        for _ in 0..5 {
            assert_eq!(said(&flow, 1).await, "known");
        }
        shelf.down.store(true, Ordering::Relaxed);
        for _ in 0..5 {
            assert_eq!(said(&flow, 9).await, "fault");
        }
        shelf.down.store(false, Ordering::Relaxed);
        assert_eq!(said(&flow, 9).await, "unknown");
    }

    #[tokio::test]
    async fn whoever_is_remembered_waits_for_nobody_who_guesses() {
        let shelf = shelf(1);
        let flow = flow(&shelf);
        for _ in 0..3 {
            said(&flow, 9).await;
        }
        assert_eq!(said(&flow, 1).await, "throttled", "memory has not heard of it");
        shelf.in_memory.store(true, Ordering::Relaxed);
        assert_eq!(said(&flow, 1).await, "known", "looked up, since memory is in doubt");
        let asked = shelf.asked.load(Ordering::Relaxed);
        shelf.believed.store(true, Ordering::Relaxed);
        assert_eq!(said(&flow, 1).await, "known");
        assert_eq!(shelf.asked.load(Ordering::Relaxed), asked, "from memory alone");
    }
}
