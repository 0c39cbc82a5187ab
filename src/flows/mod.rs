//! What the gateway does, one file per thing a person or a request can do.
//!
//! A flow knows the ports and the domain, nothing else: no HTTP, no SQL, no page. Decisions come
//! back as values; `Err` means that something we depend on is not working.

mod accounts;
mod alerts;
mod aliases;
mod api_tokens;
mod authenticate;
mod authenticate_service;
mod bounces;
mod close_passwords;
mod deliver_letters;
mod digests;
pub mod foreign_log;
mod forgot_password;
mod housekeeping;
pub mod import;
pub mod inspect;
mod links;
mod mail_budget;
mod orders;
mod own_account;
mod pace;
mod record_attempts;
mod record_seen;
mod refusals;
mod sentinel;
mod set_password;
mod sign_in;
mod sign_out;
mod standing_orders;
mod tie;
mod unlock;
mod wall_clock;

pub use accounts::{AccountChange, AccountOffice, NewAccount, NewAccountProblem};
pub use alerts::Alerts;
pub use aliases::Aliases;
pub use api_tokens::{Made, NewToken, NewTokenProblem, Revoking, TokenKey, TokenOffice};
pub use authenticate::{Authenticate, Bond, Presented, Refusal, Right, Severed, Standing};
pub use authenticate_service::{AuthenticateService, Claim, Clearance, TokenRefusal};
pub use bounces::{BounceOffice, Settled};
pub use close_passwords::ClosePasswords;
pub use deliver_letters::{DeliverLetters, Delivery};
pub use forgot_password::{ForgotPassword, ResetLimits, ResetRequest};
pub use housekeeping::{Housekeeping, Swept};
pub use import::ImportAccounts;
pub use inspect::InspectAccounts;
pub use links::{Link, LinkOffice, Printing, Stage};
pub use mail_budget::{Budget, MailBudget, MailLimits};
pub use orders::{GivenOrder, OrderOffice, OrderTerms};
pub use own_account::{Confirmation, Ending, OwnAccount, PasswordOutcome};
pub use pace::Pace;
pub use record_attempts::{AttemptSender, RecordAttempts};
pub use record_seen::{RecordSeen, SeenSender};
pub use refusals::Refusals;
pub use sentinel::{Crowd, Declared, Lookout, Sentinel};
pub use set_password::{Look, NewPassword, SetPassword, WithTicket};
pub use sign_in::{Attempt, SignIn, SignInOutcome};
pub use sign_out::SignOut;
pub use standing_orders::StandingOrders;
pub use tie::Tie;
pub use unlock::{UnlockBrowser, UnlockLook, UnlockRequest, Unlocking};
pub use wall_clock::WallClock;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::account::AccountId;
use crate::domain::client::ClientAddr;
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::limits::Nanos;
use crate::domain::token::TOKEN_BYTES;
use crate::ports::{Clock, Entropy, Grant, fresh_uuid};

/// Time and chance, as every flow needs them.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    sequence: Arc<AtomicU16>,
}

impl World {
    /// From the real ones, or from those of a test.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            clock,
            entropy,
            sequence: Arc::new(AtomicU16::new(0)),
        }
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock that never goes back.
    pub fn monotonic(&self) -> Nanos {
        self.clock.monotonic()
    }

    /// The clock itself, for an adapter that keeps its own time limits.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// A fresh id.
    pub fn uuid(&self) -> Uuid {
        fresh_uuid(
            self.now(),
            self.sequence.fetch_add(1, Ordering::Relaxed),
            &*self.entropy,
        )
    }

    fn token(&self) -> [u8; TOKEN_BYTES] {
        self.entropy.token()
    }

    fn event(&self, actor: Actor, client: Option<ClientAddr>, account: Option<AccountId>, fact: Fact) -> Event {
        Event {
            id: self.uuid(),
            at: self.now(),
            actor,
            client,
            account,
            fact,
        }
    }
}

/// Keeps an attempt waiting that the limits slow down, before anything is hashed for it and holding no thread. Answers how
/// long it was.
async fn wait(grant: &Grant) -> Duration {
    if grant.delay().is_zero() {
        return Duration::ZERO;
    }
    let begun = Instant::now();
    tokio::time::sleep(grant.delay()).await;
    begun.elapsed()
}
