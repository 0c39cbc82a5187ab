//! One attack: what is known of it, whatever became of the attempts that it was seen by.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::has_passed;
use super::sketch::Distinct;
use super::sources::{Source, Sources, Spread};
use crate::domain::account::AccountId;
use crate::domain::client::ClientAddr;
use crate::domain::limits::NameDigest;

/// Names a campaign: when it was noticed, in milliseconds, and unlike that of any other. Eight characters that a person
/// can type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CampaignId(u64);

impl CampaignId {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

    /// The id of what is noticed at this time, after `last`.
    pub fn after(last: Option<Self>, at: Timestamp) -> Self {
        let at = u64::try_from(at.as_millisecond()).unwrap_or_default();
        Self(at.max(last.map_or(0, |last| last.0.saturating_add(1))))
    }

    /// From the text it displays as.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = (1..=12).contains(&text.len())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        plain.then(|| u64::from_str_radix(text, 36).ok().map(Self)).flatten()
    }
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut left, mut digits) = (self.0, Vec::new());
        loop {
            let digit = usize::try_from(left % 36).unwrap_or_default();
            digits.push(char::from(Self::DIGITS[digit]));
            left /= 36;
            if left == 0 {
                break;
            }
        }
        f.write_str(&digits.into_iter().rev().collect::<String>())
    }
}

impl From<CampaignId> for String {
    fn from(id: CampaignId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for CampaignId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no id of a campaign")
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Many passwords are tried on one account.
    Guessing,
    /// One password is tried on many accounts.
    Spraying,
    /// Pairs of names and passwords from elsewhere are tried: many accounts, few tries each.
    Stuffing,
    /// Letters with links are asked for, over and over or for many addresses.
    MailBomb,
    /// Names are tried of which nearly none exists.
    Probing,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Guessing,
        Self::Spraying,
        Self::Stuffing,
        Self::MailBomb,
        Self::Probing,
    ];

    /// The stable name in the store, in events, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guessing => "guessing",
            Self::Spraying => "spraying",
            Self::Stuffing => "stuffing",
            Self::MailBomb => "mail-bomb",
            Self::Probing => "probing",
        }
    }

    /// The opposite of [`Kind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A sign-in that worked, inside a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    /// When.
    pub at: Timestamp,
    /// From where.
    #[serde(with = "address")]
    pub client: ClientAddr,
    /// To whose account.
    pub person: AccountId,
}

/// An attack. All of it is of bounded size, and nothing in it tells what was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its name.
    pub id: CampaignId,
    /// What is being done.
    pub kind: Kind,
    /// The first attempt that belongs to it.
    pub began_at: Timestamp,
    /// The newest one.
    pub last_at: Timestamp,
    /// When it was taken to be over; `None` while it is under way.
    pub ended_at: Option<Timestamp>,
    /// Attempts that failed or were stopped.
    pub attempts: u64,
    /// Those of them that the limits stopped: nobody knows how they would have ended.
    pub stopped: u64,
    /// Those of them whose name was looked up.
    pub judged: u64,
    /// Those of the judged whose name no account has.
    pub unknown: u64,
    /// Where it comes from.
    pub sources: Sources,
    /// How many names it is aimed at.
    pub accounts: Distinct,
    /// Whose accounts those are, as far as there are such, in the order they were seen; at most [`Campaign::MOST_PEOPLE`].
    pub people: Vec<AccountId>,
    /// The account that is guessed or the address that is bombed, where it is one.
    pub target: Option<NameDigest>,
    /// Whether it comes from so many places that no single one of them stands out.
    pub scattered: bool,
    /// How many sign-ins to different accounts worked.
    pub succeeded: u64,
    /// The first of them, at most [`Campaign::MOST_SUCCESSES`].
    pub successes: Vec<Success>,
    /// When the administrators were last told of them.
    pub told_at: Option<Timestamp>,
    /// Of how many they have been told.
    pub told: u64,
}

impl Campaign {
    /// The most accounts that are named.
    pub const MOST_PEOPLE: usize = 256;
    /// The most successes that are named.
    pub const MOST_SUCCESSES: usize = 64;

    /// The administrators are told of one campaign at most once in this time.
    pub const TOLD_FOR: Duration = Duration::from_hours(1);

    /// Whether there are successes that the administrators are to be told of now.
    pub fn is_to_be_told(&self, now: Timestamp) -> bool {
        self.succeeded > self.told && self.told_at.is_none_or(|at| has_passed(at, Self::TOLD_FOR, now))
    }

    /// They are told of all there are.
    pub fn tell(&mut self, now: Timestamp) {
        self.told_at = Some(now);
        self.told = self.succeeded;
    }

    /// Whichever weighs least makes room: nobody makes it forgotten by other attacks, however large, that something worked
    /// of which nobody has been told, nor by attacks on names that he made up that somebody's account is tried.
    pub(super) const fn weight(&self) -> (bool, bool, u64) {
        (self.succeeded > self.told, !self.people.is_empty(), self.attempts)
    }

    /// Whether it is still under way.
    pub const fn is_living(&self) -> bool {
        self.ended_at.is_none()
    }

    /// One that never was, to show what one looks like: under way, or over.
    pub fn sample(living: bool, at: Timestamp) -> Self {
        let spread = Spread::new(&[0; 32]);
        let (mut sources, mut accounts) = (Sources::default(), Distinct::default());
        for number in 1..=24_u8 {
            let address = Ipv4Addr::new(203, 0, 113, number);
            sources.add(Source::new(address.into(), None), &spread);
            accounts.note(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        let client = ClientAddr::new(Ipv4Addr::new(203, 0, 113, 7).into());
        let person = AccountId::new(uuid::Uuid::nil());
        Self {
            id: CampaignId::after(None, at),
            kind: if living { Kind::Spraying } else { Kind::Guessing },
            began_at: at,
            last_at: at,
            ended_at: (!living).then_some(at),
            attempts: 240,
            stopped: 12,
            judged: 228,
            unknown: 6,
            sources,
            accounts,
            people: vec![person],
            target: None,
            scattered: false,
            succeeded: if living { 1 } else { 3 },
            successes: vec![Success { at, client, person }],
            told_at: None,
            told: 0,
        }
    }

    /// Notes a success. `false` when that account's was noted before.
    pub(super) fn succeed(&mut self, success: Success) -> bool {
        if self.successes.iter().any(|known| known.person == success.person) {
            return false;
        }
        self.succeeded += 1;
        if self.successes.len() < Self::MOST_SUCCESSES {
            self.successes.push(success);
        }
        true
    }

    pub(super) fn touch(&mut self, account: Option<NameDigest>, person: Option<AccountId>) {
        if let Some(NameDigest(hash, _)) = account {
            self.accounts.note(hash);
        }
        if let Some(person) = person
            && self.people.len() < Self::MOST_PEOPLE
            && !self.people.contains(&person)
        {
            self.people.push(person);
        }
    }
}

/// An address as its text.
mod address {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::domain::client::ClientAddr;

    pub fn serialize<S: Serializer>(client: &ClientAddr, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(client)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ClientAddr, D::Error> {
        std::net::IpAddr::deserialize(from).map(ClientAddr::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_is_unlike_the_one_before() {
        let at = Timestamp::from_millisecond(1_790_000_000_000).unwrap();
        let one = CampaignId::after(None, at);
        let two = CampaignId::after(Some(one), at);
        assert_ne!(one, two);
        assert_eq!(one.to_string().len(), 8);
        for id in [one, two, CampaignId(0)] {
            assert_eq!(CampaignId::parse(&id.to_string()), Some(id));
        }
        for text in [
            "",
            "A",
            "-1",
            "+1",
            "00",
            "01",
            "é",
            "zzzzzzzzzzzzz",
            "zzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(CampaignId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn kinds_read_as_they_are_written() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("spray"), None);
    }
}
