//! What the flows need from the world, as small traits in domain words.
//!
//! One method is one atomic act: all of it happens, durably, or none. There is no `begin` and no
//! `commit`, so no flow can hold a transaction while it hashes, mails or waits.

mod accounts;
mod api_tokens;
mod attempt_log;
mod attempts;
mod bounces;
mod campaigns;
mod events;
mod floor;
mod hasher;
mod keys;
mod limiter;
mod mailer;
mod orders;
mod outbox;
mod principals;
mod services;
mod sessions;
mod signer;
mod tickets;
mod unlocks;
mod world;

pub use accounts::{
    AccountBatch, AccountListing, AccountRecord, Accounts, BatchOutcome, Change, Creation, Credential, DueLetter,
    EmailMatch, PasswordChange,
};
pub use api_tokens::{Adding, ApiTokens};
pub use attempt_log::{AttemptLog, NoLog, SeveralLogs};
pub use attempts::{AttemptPage, AttemptPlace, Attempts, Since};
pub use bounces::{Bounces, Noting};
pub use campaigns::{CampaignBook, Stored};
pub use events::{EventFilter, Events};
pub use floor::Floor;
pub use hasher::{Compared, Hasher, Place, Spent, Verification};
pub use keys::Keys;
pub use limiter::{Crowds, Grant, Limiter, Nobody, Ruling, Stopped, Witness};
pub use mailer::{Alert, Content, Entry, Mail, Mailer, Reader, Receipt, Refusal};
pub use orders::{Orders, PastOrder};
pub use outbox::{LetterListing, LetterStatus, Outbox, Queue};
pub use principals::Principals;
pub use services::Services;
pub use sessions::{Changed, Renewal, Room, Sessions};
pub use signer::Signer;
pub use tickets::{Issue, Redemption, TicketListing, TicketRecord, Tickets};
pub use unlocks::Unlocks;
pub use world::{Clock, Entropy, fresh_uuid};

#[cfg(test)]
pub(crate) use world::tests::Hand;
