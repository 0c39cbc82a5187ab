//! [`Draft`]: what may turn out to be a campaign, for a short while and in little memory.

use std::net::IpAddr;

use jiff::Timestamp;

use super::sources::Source;
use crate::domain::account::AccountId;
use crate::domain::limits::NameDigest;

/// A failed or stopped attempt, as campaigns are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    pub at: Timestamp,
    /// As limits count it.
    pub client: IpAddr,
    /// How many people's worth of room the client has.
    pub budgets: u32,
    pub account: Option<NameDigest>,
    pub person: Option<AccountId>,
    /// Whether a look-up has told who it is.
    pub judged: bool,
    pub stopped: bool,
    pub password: Option<NameDigest>,
}

/// How much of each kind a draft remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub sources: usize,
    pub accounts: usize,
    pub passwords: usize,
}

/// Attempts that have something in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub first: Option<Timestamp>,
    pub attempts: u64,
    pub stopped: u64,
    pub judged: u64,
    pub unknown: u64,
    /// From where.
    pub sources: Vec<Source>,
    /// Names without a success since.
    pub accounts: Vec<(NameDigest, Option<AccountId>)>,
    /// Names with one.
    pub mended: Vec<NameDigest>,
    /// Different passwords.
    pub passwords: Vec<NameDigest>,
    /// Attempts whose password nobody can compare.
    pub undigested: u64,
    /// Whether somebody signed in on a device that is known.
    pub people: bool,
}

impl Draft {
    pub fn note(&mut self, tried: &Try, room: Room) {
        self.first.get_or_insert(tried.at);
        self.attempts += 1;
        self.stopped += u64::from(tried.stopped);
        self.judged += u64::from(tried.judged);
        self.unknown += u64::from(tried.judged && tried.person.is_none());
        if let Some(source) = self.sources.iter_mut().find(|source| source.address == tried.client) {
            source.note(tried.account);
        } else if self.sources.len() < room.sources {
            self.sources.push(Source::new(tried.client, tried.account));
        }
        if let Some(account) = tried.account {
            if let Some((_, person)) = self.accounts.iter_mut().find(|(known, _)| *known == account) {
                *person = person.or(tried.person);
            } else if self.accounts.len() < room.accounts {
                self.accounts.push((account, tried.person));
            }
        }
        match tried.password {
            None => self.undigested += 1,
            Some(password) if self.passwords.len() < room.passwords && !self.passwords.contains(&password) => {
                self.passwords.push(password);
            }
            Some(_) => {}
        }
    }

    /// Somebody got in: what failed before, at this name, was a slip.
    fn mend(&mut self, account: NameDigest, known: bool, room: Room) {
        self.people |= known;
        self.accounts.retain(|(known, _)| *known != account);
        if self.mended.len() < room.accounts && !self.mended.contains(&account) {
            self.mended.push(account);
        }
    }

    /// How many different passwords were tried, as far as that can be told.
    pub fn guesses(&self) -> u64 {
        self.passwords.len() as u64 + self.undigested
    }

    /// Both together.
    fn and(mut self, later: &Self) -> Self {
        self.first = self.first.or(later.first);
        self.attempts += later.attempts;
        self.stopped += later.stopped;
        self.judged += later.judged;
        self.unknown += later.unknown;
        self.undigested += later.undigested;
        self.people |= later.people;
        for source in &later.sources {
            match self.sources.iter_mut().find(|known| known.address == source.address) {
                Some(known) => known.merge(source),
                None => self.sources.push(*source),
            }
        }
        self.accounts.retain(|(account, _)| !later.mended.contains(account));
        for (account, person) in &later.accounts {
            match self.accounts.iter_mut().find(|(known, _)| known == account) {
                Some((_, before)) => *before = before.or(*person),
                None => self.accounts.push((*account, *person)),
            }
        }
        for (all, more) in [
            (&mut self.mended, &later.mended),
            (&mut self.passwords, &later.passwords),
        ] {
            for one in more {
                if !all.contains(one) {
                    all.push(*one);
                }
            }
        }
        self
    }
}

/// Two drafts in a row, each for half of the time that is looked at: what is older than that time has been forgotten, and
/// what is younger than half of it has not.
#[derive(Clone, Debug, Default)]
pub(super) struct Paned {
    pane: i64,
    before: Draft,
    now: Draft,
}

impl Paned {
    /// The seconds of one pane.
    pub const PANE: i64 = 30 * 60;

    fn turn(&mut self, at: Timestamp) {
        let pane = at.as_second().div_euclid(Self::PANE);
        // A clock that went back a little changes nothing: the time that is looked at lasts a little longer. One that was
        // set back begins anew: else slips would be collected until it is where it was.
        match pane - self.pane {
            -1..=0 => {}
            1 => {
                self.before = std::mem::take(&mut self.now);
                self.pane = pane;
            }
            _ => {
                *self = Self {
                    pane,
                    ..Self::default()
                };
            }
        }
    }

    pub fn note(&mut self, tried: &Try, room: Room) {
        self.turn(tried.at);
        self.now.note(tried, room);
    }

    /// Somebody got in at this name, on a device that is `known` or another one.
    pub fn mend(&mut self, account: NameDigest, known: bool, at: Timestamp, room: Room) {
        self.turn(at);
        self.before.accounts.retain(|(before, _)| *before != account);
        self.now.mend(account, known, room);
    }

    /// What came from this client belongs elsewhere, and so do its names.
    pub fn give_up(&mut self, client: IpAddr, accounts: &[(NameDigest, Option<AccountId>)]) {
        for draft in [&mut self.before, &mut self.now] {
            draft.sources.retain(|source| source.address != client);
            draft
                .accounts
                .retain(|(known, _)| !accounts.iter().any(|(given, _)| given == known));
        }
    }

    /// Whether somebody signed in lately on a device that is known.
    pub fn has_people(&self) -> bool {
        self.before.people || self.now.people
    }

    /// How many attempts there were lately.
    pub fn attempts(&self) -> u64 {
        self.before.attempts + self.now.attempts
    }

    /// All that there was lately.
    pub fn whole(&self) -> Draft {
        self.before.clone().and(&self.now)
    }

    /// All that there was lately, seen from now.
    pub fn whole_at(&mut self, at: Timestamp) -> Draft {
        self.turn(at);
        self.whole()
    }

    /// Whether nothing in it is of any use at this time.
    pub fn is_over(&self, at: Timestamp) -> bool {
        (at.as_second().div_euclid(Self::PANE) - self.pane).abs() > 1
    }
}
