//! Mail accepted but not yet sent: what a letter is about, and when to try again.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account::{Account, AccountId, Email, Extension, LoginName};
use super::browser::Browser;
use super::campaigns::CampaignId;
use super::client::ClientAddr;
use super::device::Device;
use super::language::Language;
use super::session::later;
use super::site::SiteName;
use super::ticket::Purpose;

/// A letter to be written. It names facts, never a token: links are made when the letter is written,
/// so that no secret ever waits in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Names the letter in logs and listings.
    pub id: LetterId,
    /// What it is about.
    pub matter: Matter,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A notice of a new device is not accepted again within this time, for the same account, the same browser in words and
/// the same network: twenty sign-ins of a script are told of once, and nobody elsewhere goes untold by calling the
/// browser as its owner does.
pub const TOLD_FOR: Duration = Duration::from_hours(1);

impl Letter {
    /// Whether `earlier` has told the same a short while ago, so that this letter is not needed.
    pub fn repeats(&self, earlier: &Self) -> bool {
        match (&self.matter, &earlier.matter) {
            (
                Matter::NewDevice {
                    account,
                    user_agent,
                    client,
                },
                Matter::NewDevice {
                    account: told,
                    user_agent: told_of,
                    client: seen,
                },
            ) => {
                account == told
                    && client.limit_key() == seen.limit_key()
                    && Browser::of(user_agent) == Browser::of(told_of)
                    && self.created_at < later(earlier.created_at, TOLD_FOR)
            }
            _ => false,
        }
    }
}

/// Names a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LetterId(Uuid);

/// How many letters to take at once. Each kind has its own share: nothing waits behind paced letters, and those wait
/// behind nothing but their own rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Resets, and notices of what one person or an operator did.
    pub others: usize,
    /// Welcomes, and every letter of an import: they come in crowds.
    pub paced: usize,
}

impl LetterId {
    /// From a fresh UUID (version 7).
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// From its textual form.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }

    /// Its sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a letter is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Invite the person to set the first password.
    Welcome {
        /// Whom.
        account: AccountId,
    },
    /// Somebody typed this address into the forgot-password page. Whether anybody is written to is
    /// decided when the letter is worked on, never while the request waits.
    ResetRequested {
        /// The address as typed.
        email: Email,
        /// Who asked.
        client: ClientAddr,
        /// The device it was asked on, when somebody has signed in there before. Whether that was the account's own
        /// person is seen when the letter is worked on, like everything else about the account.
        device: Option<Device>,
        /// At which site's host: the letter leads back there.
        site: SiteName,
    },
    /// Tell the person that the password was changed.
    PasswordChanged {
        /// Whom.
        account: AccountId,
    },
    /// Tell the person of a sign-in on a device that has not been used for the account before.
    NewDevice {
        /// Whom.
        account: AccountId,
        /// Where the sign-in came from.
        client: ClientAddr,
        /// The browser's own words about itself, cut to a bounded length.
        user_agent: String,
    },
    /// Tell one address of the person that the account's address was changed. The former and the new one are each
    /// told by a letter of their own, so that whoever changes an address cannot keep its owner in the dark.
    EmailChanged {
        /// Whose address.
        account: AccountId,
        /// Where this letter goes, whatever address the account has by then.
        to: Email,
        /// Who reads it, as the account said when it was changed: nobody else can tell once it has been removed. A
        /// letter of before this was noted has none.
        reader: Option<Addressee>,
    },
    /// Tell the person that a disabled account can be used again.
    AccountUnlocked {
        /// Whom.
        account: AccountId,
    },
    /// Let the person set a new password: the old one was taken away, since an attack got in with it.
    NewPassword {
        /// Whom.
        account: AccountId,
    },
    /// Tell an administrator that an attack got in.
    Campaign {
        /// Where this letter goes.
        to: Email,
        /// Which attack.
        campaign: CampaignId,
    },
    /// Somebody whom the limits stop on a browser that the account does not know asked for a link that makes it known.
    /// As with a reset, whether anybody is written to is decided when the letter is worked on.
    UnlockRequested {
        /// What was typed as the name.
        name: LoginName,
        /// Who asked.
        client: ClientAddr,
        /// At which site's host: the letter leads back there.
        site: SiteName,
    },
}

/// A person as a letter calls them when the account is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// The person's name; may be empty.
    pub name: String,
    /// The extension number.
    pub extension: Extension,
    /// The language of the letter.
    pub language: Language,
}

impl From<&Account> for Addressee {
    fn from(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            extension: account.extension.clone(),
            language: account.language,
        }
    }
}

impl Matter {
    /// The name in the store, in events and in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::ResetRequested { .. } => "reset",
            Self::PasswordChanged { .. } => "password-changed",
            Self::NewDevice { .. } => "new-device",
            Self::EmailChanged { .. } => "email-changed",
            Self::AccountUnlocked { .. } => "account-unlocked",
            Self::NewPassword { .. } => "new-password",
            Self::Campaign { .. } => "campaign",
            Self::UnlockRequested { .. } => "browser-unlock",
        }
    }

    /// The name equal to this text, when a matter has it.
    pub fn name(text: &str) -> Option<&'static str> {
        [
            "welcome",
            "reset",
            "password-changed",
            "new-device",
            "email-changed",
            "account-unlocked",
            "new-password",
            "campaign",
            "browser-unlock",
        ]
        .into_iter()
        .find(|name| *name == text)
    }

    /// The purpose of the ticket that goes into the letter, when one does.
    pub const fn purpose(&self) -> Option<Purpose> {
        match self {
            Self::Welcome { .. } => Some(Purpose::Welcome),
            Self::ResetRequested { .. } | Self::NewPassword { .. } => Some(Purpose::Reset),
            Self::PasswordChanged { .. }
            | Self::NewDevice { .. }
            | Self::EmailChanged { .. }
            | Self::AccountUnlocked { .. }
            | Self::Campaign { .. }
            | Self::UnlockRequested { .. } => None,
        }
    }

    /// Whether such a letter leaves at the rate of crowds, whatever it was that caused it.
    pub const fn is_paced(&self) -> bool {
        matches!(self, Self::Welcome { .. })
    }

    /// The site whose doors the letter's links lead to; `None` is the main one.
    pub const fn site(&self) -> Option<&SiteName> {
        match self {
            Self::ResetRequested { site, .. } | Self::UnlockRequested { site, .. } => Some(site),
            Self::Welcome { .. }
            | Self::PasswordChanged { .. }
            | Self::NewDevice { .. }
            | Self::EmailChanged { .. }
            | Self::AccountUnlocked { .. }
            | Self::NewPassword { .. }
            | Self::Campaign { .. } => None,
        }
    }

    /// The account the letter is about, where that is known when it is accepted.
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Welcome { account }
            | Self::PasswordChanged { account }
            | Self::NewDevice { account, .. }
            | Self::EmailChanged { account, .. }
            | Self::AccountUnlocked { account }
            | Self::NewPassword { account } => Some(*account),
            Self::ResetRequested { .. } | Self::Campaign { .. } | Self::UnlockRequested { .. } => None,
        }
    }

    /// The client that asked for the letter, where anybody can.
    pub const fn asked_by(&self) -> Option<ClientAddr> {
        match self {
            Self::ResetRequested { client, .. } | Self::UnlockRequested { client, .. } => Some(*client),
            Self::Welcome { .. }
            | Self::PasswordChanged { .. }
            | Self::NewDevice { .. }
            | Self::EmailChanged { .. }
            | Self::AccountUnlocked { .. }
            | Self::NewPassword { .. }
            | Self::Campaign { .. } => None,
        }
    }
}

/// A letter taken from the outbox to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedLetter {
    /// The letter.
    pub letter: Letter,
    /// How often it has been tried before.
    pub attempts: u32,
    /// Whether it leaves at the rate of crowds.
    pub paced: bool,
}

/// How long to wait after the n-th failed attempt (the first is 1): 5 s, doubling, at most 15 minutes.
pub fn backoff(attempts: u32) -> Duration {
    let doubled = 5_u64.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    Duration::from_secs(doubled.min(900))
}

/// A letter is given up when it has waited this long; RFC 5321 section 4.5.4.1 asks for four to five days.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(96);

/// And when it has been tried so often, which takes more than an hour: a clock that is ahead for a while, by which the
/// certificate of the mail server has expired as well, is no reason to lose what waits.
pub const GIVE_UP_TRIES: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_and_is_bounded() {
        let waits: Vec<u64> = (1..=10).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(backoff(u32::MAX).as_secs(), 900);
    }
}
