//! Campaigns: failures grouped into attacks. Pure: what was seen goes in with its time, what is new about the attacks
//! comes out; memory is bounded whatever strangers make up.
//!
//! Only what browsers do that the account does not know counts as a failure, so that nobody's own desk looks like an
//! attack. An attempt belongs to one campaign: to the one whose password or account it tries, else to the one whose
//! address it comes from. Failures that belong to none are kept for an hour under what they have in common, and become a
//! campaign when there are as many of them as [`thresholds`] say.

mod campaign;
mod draft;
mod pulse;
mod sketch;
mod sources;
mod tallies;
#[cfg(test)]
pub(crate) mod tests;
pub mod thresholds;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use super::limits::NameDigest;
use super::limits::attempt::{Endpoint, LaneKind};
use super::limits::ledger::Outcome;
use super::limits::record::{Seen, Verdict};
use super::session::later;

pub use campaign::{Campaign, CampaignId, Kind, Success};
pub use pulse::{Pulse, Traffic};
pub use sketch::Distinct;
pub use sources::{Source, Sources, Spread};

use draft::{Draft, Paned, Room, Try};
use tallies::Tallies;

/// What is new about an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was noticed.
    Began(CampaignId),
    /// Another attempt belongs to it.
    Grew(CampaignId),
    /// A sign-in worked that belongs to it.
    Succeeded(CampaignId, Success),
    /// It is over.
    Ended(Box<Campaign>),
}

/// A campaign under way, with what must not outlive the process.
struct Living {
    campaign: Campaign,
    /// The passwords that are sprayed: digests whose key lives for minutes.
    passwords: Vec<NameDigest>,
}

/// Somebody has signed in on a device that the account does not know.
#[derive(Clone, Copy)]
struct Entered {
    success: Success,
    account: Option<NameDigest>,
    password: Option<NameDigest>,
}

/// Tallies of each kind.
const MOST_TALLIES: usize = 4096;
/// Sign-ins that are remembered, since the campaign they belong to may be noticed later.
const MOST_RECENT: usize = 256;
/// Passwords of one campaign.
const MOST_PASSWORDS: usize = 64;

/// What is remembered of attempts at one account, or for one address.
const AT_ONE: Room = Room {
    sources: 32,
    accounts: 1,
    passwords: 32,
};
/// Of attempts with one password.
const WITH_ONE: Room = Room {
    sources: 32,
    accounts: 32,
    passwords: 1,
};
/// Of all attempts together.
const OF_ALL: Room = Room {
    sources: 128,
    accounts: 128,
    passwords: 0,
};

/// Of attempts by one client, where so many names make a campaign.
const fn by_one(names: u64) -> Room {
    #[expect(clippy::cast_possible_truncation, reason = "the figures are below 2000")]
    let accounts = names as usize + 1;
    Room {
        sources: 1,
        accounts,
        passwords: 0,
    }
}

/// The figure for a client that counts as so many people.
fn times(figure: u64, budgets: u32) -> u64 {
    figure * u64::from(budgets.clamp(1, thresholds::MOST_BUDGETS))
}

/// The attacks under way, and what may become one.
pub struct Campaigns {
    spread: Spread,
    living: Vec<Living>,
    last: Option<CampaignId>,
    /// Sign-ins that failed, by account.
    accounts: Tallies<NameDigest>,
    /// By password.
    passwords: Tallies<NameDigest>,
    /// By client.
    clients: Tallies<IpAddr>,
    /// All of them.
    everywhere: Paned,
    /// Letters asked for, by address.
    mailboxes: Tallies<NameDigest>,
    /// By client.
    askers: Tallies<IpAddr>,
    recent: VecDeque<Entered>,
    resumed_at: Option<Timestamp>,
}

impl Campaigns {
    /// Nothing was seen yet.
    pub fn new(spread: Spread) -> Self {
        Self {
            spread,
            living: Vec::new(),
            last: None,
            accounts: Tallies::new(MOST_TALLIES),
            passwords: Tallies::new(MOST_TALLIES),
            clients: Tallies::new(MOST_TALLIES),
            everywhere: Paned::default(),
            mailboxes: Tallies::new(MOST_TALLIES),
            askers: Tallies::new(MOST_TALLIES),
            recent: VecDeque::new(),
            resumed_at: None,
        }
    }

    /// Goes on with campaigns that another process has seen, which are not over.
    pub fn resume(&mut self, campaigns: impl IntoIterator<Item = Campaign>, now: Timestamp) {
        self.resumed_at = Some(now);
        for campaign in campaigns.into_iter().filter(Campaign::is_living) {
            self.last = self.last.max(Some(campaign.id));
            self.living.push(Living {
                campaign,
                passwords: Vec::new(),
            });
        }
        self.living.truncate(thresholds::MOST_LIVING);
    }

    /// Those under way.
    pub fn living(&self) -> impl Iterator<Item = &Campaign> {
        self.living.iter().map(|living| &living.campaign)
    }

    /// The administrators are told of what worked in this one.
    pub fn tell(&mut self, id: CampaignId, now: Timestamp) {
        if let Some(living) = self.living.iter_mut().find(|living| living.campaign.id == id) {
            living.campaign.tell(now);
        }
    }

    /// One of them.
    pub fn find(&self, id: CampaignId) -> Option<&Campaign> {
        self.living().find(|campaign| campaign.id == id)
    }

    /// Takes note of an attempt that has ended, or was stopped.
    pub fn observe(&mut self, seen: &Seen) -> Vec<Change> {
        let record = &seen.record;
        match (record.endpoint, record.outcome) {
            (Endpoint::SignIn, Some(Outcome::Succeeded)) => self.entered(seen),
            (_, Some(Outcome::NotTried)) => Vec::new(),
            (Endpoint::SignIn, _) if record.lane == LaneKind::Strangers => self.failed(&tried(seen)),
            (Endpoint::ForgotPassword, _) if record.lane == LaneKind::Strangers => self.asked(&tried(seen)),
            _ => Vec::new(),
        }
    }

    /// Ends what has been quiet for long.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        self.accounts.sweep(now);
        self.passwords.sweep(now);
        self.clients.sweep(now);
        self.mailboxes.sweep(now);
        self.askers.sweep(now);
        let everywhere = self.everywhere.whole_at(now);
        // What another process saw of it is not in these figures.
        let settled = |at| has_passed(at, thresholds::QUIET, now);
        let subsided =
            self.resumed_at.is_none_or(settled) && (everywhere.accounts.len() as u64) < thresholds::SCATTERED / 2;
        let (over, living) = std::mem::take(&mut self.living).into_iter().partition(|living| {
            let campaign = &living.campaign;
            let quiet = has_passed(campaign.last_at, thresholds::QUIET, now);
            // What fails anywhere joins a scattered one, so it would never be quiet. One that got somewhere stays until
            // that has been told.
            (quiet || campaign.scattered && subsided) && campaign.succeeded == campaign.told
        });
        self.living = living;
        let over: Vec<Living> = over;
        over.into_iter().map(|living| ended(living.campaign, now)).collect()
    }

    /// How much is remembered, for the proof that it is bounded.
    pub fn remembered(&self) -> usize {
        self.accounts.len() + self.passwords.len() + self.clients.len() + self.mailboxes.len() + self.askers.len()
    }

    fn failed(&mut self, tried: &Try) -> Vec<Change> {
        if let Some(id) = self.home_of(tried) {
            return self.join(id, tried);
        }
        let names = times(thresholds::STUFFED, tried.budgets);
        self.everywhere.note(tried, OF_ALL);
        let of_client = self.clients.at(tried.client, tried.at);
        of_client.note(tried, by_one(names));
        let of_client = (of_client.attempts() >= names).then(|| of_client.whole());
        if let Some(password) = tried.password {
            let of_password = self.passwords.at(password, tried.at);
            of_password.note(tried, WITH_ONE);
            if of_password.attempts() >= thresholds::SPRAYED {
                let draft = of_password.whole();
                if draft.accounts.len() as u64 >= thresholds::SPRAYED {
                    self.passwords.remove(password);
                    return self.spray(password, &draft, tried);
                }
            }
        }
        if let Some(account) = tried.account {
            let of_account = self.accounts.at(account, tried.at);
            of_account.note(tried, AT_ONE);
            if of_account.attempts() >= thresholds::GUESSES {
                let draft = of_account.whole();
                if draft.guesses() >= thresholds::GUESSES {
                    self.accounts.remove(account);
                    return self.begin(Kind::Guessing, Some(account), false, &draft, tried);
                }
            }
        }
        if let Some(draft) = of_client.filter(|draft| is_stuffing(draft, names)) {
            return self.stuff(&draft, tried);
        }
        self.scatter(tried)
    }

    /// Many names, from everywhere.
    fn scatter(&mut self, tried: &Try) -> Vec<Change> {
        let under_way = self
            .living()
            .find(|campaign| campaign.scattered)
            .map(|campaign| campaign.id);
        if let Some(id) = under_way {
            return self.join(id, tried);
        }
        if self.everywhere.attempts() < thresholds::SCATTERED {
            return Vec::new();
        }
        let draft = self.everywhere.whole();
        if draft.sources.len() as u64 >= thresholds::SCATTERED_FROM && is_stuffing(&draft, thresholds::SCATTERED) {
            return self.begin(kind_of(&draft), None, true, &draft, tried);
        }
        Vec::new()
    }

    /// Many names, from one client.
    fn stuff(&mut self, draft: &Draft, tried: &Try) -> Vec<Change> {
        self.everywhere.give_up(tried.client, &draft.accounts);
        self.clients.remove(tried.client);
        let near = self.living().find(|campaign| {
            let of_names = matches!(campaign.kind, Kind::Stuffing | Kind::Probing) && !campaign.scattered;
            of_names && campaign.sources.are_near(tried.client)
        });
        if let Some(id) = near.map(|campaign| campaign.id) {
            return self.absorb(id, draft, tried);
        }
        self.begin(kind_of(draft), None, false, draft, tried)
    }

    /// One password at many names. Another one from the same place is the same campaign.
    fn spray(&mut self, password: NameDigest, draft: &Draft, tried: &Try) -> Vec<Change> {
        let of_campaign = self.living.iter().position(|living| {
            let known = |source: &Source| living.campaign.sources.find(source.address).is_some();
            living.campaign.kind == Kind::Spraying && draft.sources.iter().any(known)
        });
        let changes = match of_campaign {
            Some(place) => self.absorb(self.living[place].campaign.id, draft, tried),
            None => self.begin(Kind::Spraying, None, false, draft, tried),
        };
        let id = changes.iter().find_map(|change| match change {
            Change::Began(id) | Change::Grew(id) => Some(*id),
            _ => None,
        });
        if let Some(living) = self.living.iter_mut().find(|living| Some(living.campaign.id) == id)
            && living.passwords.len() < MOST_PASSWORDS
        {
            living.passwords.push(password);
        }
        let mut changes = changes;
        if let Some(id) = id {
            changes.extend(self.look_back(id));
        }
        changes
    }

    /// The campaign that an attempt belongs to.
    fn home_of(&self, tried: &Try) -> Option<CampaignId> {
        let with_password = |living: &Living| tried.password.is_some_and(|one| living.passwords.contains(&one));
        let at_account = |living: &Living| {
            let campaign = &living.campaign;
            campaign.kind == Kind::Guessing && campaign.target.is_some() && campaign.target == tried.account
        };
        let from_there = |living: &Living| {
            let of_names = matches!(living.campaign.kind, Kind::Spraying | Kind::Stuffing | Kind::Probing);
            let source = living.campaign.sources.find(tried.client);
            of_names && !living.campaign.scattered && source.is_some_and(|source| source.several_names)
        };
        // Who is stopped before the account is looked up is known by the name that was typed alone.
        let unseen = |living: &Living| {
            let campaign = &living.campaign;
            campaign.kind == Kind::Guessing
                && tried.stopped
                && tried.person.is_none()
                && campaign.sources.find(tried.client).is_some()
        };
        let find = |is_home: &dyn Fn(&Living) -> bool| self.living.iter().find(|living| is_home(living));
        let home = find(&with_password)
            .or_else(|| find(&at_account))
            .or_else(|| find(&from_there))
            .or_else(|| find(&unseen));
        home.map(|living| living.campaign.id)
    }

    fn asked(&mut self, tried: &Try) -> Vec<Change> {
        let home = self.living().find(|campaign| {
            let at_address = campaign.target.is_some() && campaign.target == tried.account;
            let from_there = campaign.target.is_none() && campaign.sources.find(tried.client).is_some();
            campaign.kind == Kind::MailBomb && (at_address || from_there)
        });
        if let Some(id) = home.map(|campaign| campaign.id) {
            return self.join(id, tried);
        }
        let addresses = times(thresholds::BOMBED_ADDRESSES, tried.budgets);
        let by_client = self.askers.at(tried.client, tried.at);
        by_client.note(tried, by_one(addresses));
        let by_client = (by_client.attempts() >= addresses).then(|| by_client.whole());
        if let Some(address) = tried.account {
            let to_address = self.mailboxes.at(address, tried.at);
            to_address.note(tried, AT_ONE);
            if to_address.attempts() >= thresholds::BOMBED {
                let draft = to_address.whole();
                self.mailboxes.remove(address);
                return self.begin(Kind::MailBomb, Some(address), false, &draft, tried);
            }
        }
        if let Some(draft) = by_client.filter(|draft| draft.accounts.len() as u64 >= addresses) {
            self.askers.remove(tried.client);
            return self.begin(Kind::MailBomb, None, false, &draft, tried);
        }
        Vec::new()
    }

    /// Somebody got in.
    fn entered(&mut self, seen: &Seen) -> Vec<Change> {
        let record = &seen.record;
        let (client, known) = (record.client.limit_key(), record.lane == LaneKind::Known);
        let names = times(thresholds::STUFFED, record.budgets);
        if let Some(account) = record.account {
            self.clients
                .at(client, record.at)
                .mend(account, known, record.at, by_one(names));
            self.everywhere.mend(account, known, record.at, OF_ALL);
            // Whoever failed from the same place had forgotten it, and remembers.
            let own = self.accounts.find_mut(account).is_some_and(|draft| {
                let draft = draft.whole_at(record.at);
                let from_here = draft.sources.iter().find(|source| source.address == client);
                from_here.is_some_and(|source| 2 * source.attempts >= draft.attempts)
            });
            if own {
                self.accounts.remove(account);
            }
        }
        if known {
            for living in &mut self.living {
                living.campaign.sources.note_people(client);
            }
            return Vec::new();
        }
        let Some(person) = record.person else {
            return Vec::new();
        };
        let entered = Entered {
            success: Success {
                at: record.at,
                client: record.client,
                person,
            },
            account: record.account,
            password: seen.password,
        };
        if self.recent.len() == MOST_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(entered);
        let ids: Vec<CampaignId> = self.living().map(|campaign| campaign.id).collect();
        ids.into_iter().filter_map(|id| self.count_in(id, &entered)).collect()
    }

    /// Whether a sign-in belongs to this campaign; when it does, it is a success of it.
    fn count_in(&mut self, id: CampaignId, entered: &Entered) -> Option<Change> {
        let client = entered.success.client.limit_key();
        let has_people = self.clients.find(client).is_some_and(Paned::has_people);
        let living = self.living.iter_mut().find(|living| living.campaign.id == id)?;
        let campaign = &mut living.campaign;
        let suspect = campaign.sources.find(client).is_some_and(Source::is_suspect) && !has_people;
        let inside = match campaign.kind {
            Kind::Guessing => {
                let from_there = campaign.sources.find(client).is_some();
                let nearby = campaign.sources.are_near(client) && !has_people;
                campaign.target == entered.account && (from_there || nearby)
            }
            Kind::Spraying => suspect || entered.password.is_some_and(|one| living.passwords.contains(&one)),
            Kind::Stuffing | Kind::Probing => suspect,
            Kind::MailBomb => false,
        };
        if !inside || entered.success.at < campaign.began_at || !campaign.succeed(entered.success) {
            return None;
        }
        campaign.touch(entered.account, Some(entered.success.person));
        Some(Change::Succeeded(id, entered.success))
    }

    /// What worked before anybody could see that it was part of an attack.
    fn look_back(&mut self, id: CampaignId) -> Vec<Change> {
        let recent: Vec<Entered> = self.recent.iter().copied().collect();
        let changes = recent.iter().filter_map(|entered| self.count_in(id, entered));
        changes.collect()
    }

    fn join(&mut self, id: CampaignId, tried: &Try) -> Vec<Change> {
        let has_people = self.clients.find(tried.client).is_some_and(Paned::has_people);
        let Some(living) = self.living.iter_mut().find(|living| living.campaign.id == id) else {
            return Vec::new();
        };
        let campaign = &mut living.campaign;
        campaign.attempts += 1;
        campaign.stopped += u64::from(tried.stopped);
        campaign.judged += u64::from(tried.judged);
        campaign.unknown += u64::from(tried.judged && tried.person.is_none());
        campaign.last_at = campaign.last_at.max(tried.at);
        let source = Source::new(tried.client, tried.account);
        campaign.sources.add(Source { has_people, ..source }, &self.spread);
        campaign.touch(tried.account, tried.person);
        vec![Change::Grew(id)]
    }

    fn absorb(&mut self, id: CampaignId, draft: &Draft, tried: &Try) -> Vec<Change> {
        let Some(living) = self.living.iter_mut().find(|living| living.campaign.id == id) else {
            return Vec::new();
        };
        let campaign = &mut living.campaign;
        campaign.attempts += draft.attempts;
        campaign.stopped += draft.stopped;
        campaign.judged += draft.judged;
        campaign.unknown += draft.unknown;
        campaign.began_at = campaign.began_at.min(draft.first.unwrap_or(tried.at));
        campaign.last_at = campaign.last_at.max(tried.at);
        for source in &draft.sources {
            let has_people = source.has_people
                || draft.people && draft.sources.len() == 1
                || self.clients.find(source.address).is_some_and(Paned::has_people);
            campaign.sources.add(Source { has_people, ..*source }, &self.spread);
        }
        for (account, person) in &draft.accounts {
            campaign.touch(Some(*account), *person);
        }
        let mut changes = vec![Change::Grew(id)];
        changes.extend(self.look_back(id));
        changes
    }

    fn begin(
        &mut self,
        kind: Kind,
        target: Option<NameDigest>,
        scattered: bool,
        draft: &Draft,
        tried: &Try,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.living.len() >= thresholds::MOST_LIVING
            && let Some((least, _)) = (self.living.iter().enumerate()).min_by_key(|(_, one)| one.campaign.weight())
        {
            changes.push(ended(self.living.remove(least).campaign, tried.at));
        }
        let id = CampaignId::after(self.last, tried.at);
        self.last = Some(id);
        let campaign = Campaign {
            id,
            kind,
            began_at: draft.first.unwrap_or(tried.at),
            last_at: tried.at,
            ended_at: None,
            attempts: 0,
            stopped: 0,
            judged: 0,
            unknown: 0,
            sources: Sources::default(),
            accounts: Distinct::default(),
            people: Vec::new(),
            target,
            scattered,
            succeeded: 0,
            successes: Vec::new(),
            told_at: None,
            told: 0,
        };
        self.living.push(Living {
            campaign,
            passwords: Vec::new(),
        });
        changes.push(Change::Began(id));
        // It has grown to what it is by the time it is told of.
        let grown = self.absorb(id, draft, tried);
        changes.extend(grown.into_iter().filter(|change| !matches!(change, Change::Grew(_))));
        changes
    }
}

/// The networks that a filter may name: addresses with attempts enough to be no slip, in campaigns that are under way, at
/// several names where whatever fails anywhere is taken to belong to it. None of `spared`, which are the proxies and the
/// addresses that many people share, nor any from which somebody signs in on a device of their own.
pub fn sources<'a>(
    campaigns: impl IntoIterator<Item = &'a Campaign>,
    spared: &'a [IpNet],
) -> impl Iterator<Item = IpNet> {
    /// An address with fewer attempts may be anybody's.
    const LISTED_FROM: u64 = 5;
    let mut networks: Vec<IpNet> = campaigns
        .into_iter()
        .filter(|campaign| campaign.is_living())
        .flat_map(|campaign| {
            let sources = campaign.sources.top().into_iter();
            sources.filter(move |source| source.several_names || !campaign.scattered)
        })
        .filter(|source| source.own_attempts() >= LISTED_FROM && !source.has_people)
        .map(Source::network)
        .filter(|network| {
            let meets = |spared: &IpNet| spared.contains(network) || network.contains(spared);
            !spared.iter().any(meets) && !network.addr().is_loopback() && !network.addr().is_unspecified()
        })
        .collect();
    networks.sort();
    networks.dedup();
    networks.into_iter()
}

/// Whether it was so long ago, or is as far ahead: a clock that was set back must not stop what waits for it.
fn has_passed(at: Timestamp, time: Duration, now: Timestamp) -> bool {
    now >= later(at, time) || at >= later(now, time)
}

/// Whether these names are no slips: enough of them, and far more than got in.
fn is_stuffing(draft: &Draft, names: u64) -> bool {
    let (failed, entered) = (draft.accounts.len() as u64, draft.mended.len() as u64);
    failed >= names && failed > thresholds::FAILED_PER_ENTERED * entered
}

/// What many names in few tries are.
fn kind_of(draft: &Draft) -> Kind {
    if draft.judged > 0 && draft.unknown * 100 >= draft.judged * thresholds::UNKNOWN_PERCENT {
        Kind::Probing
    } else {
        Kind::Stuffing
    }
}

fn ended(mut campaign: Campaign, now: Timestamp) -> Change {
    campaign.ended_at = Some(now);
    Change::Ended(Box::new(campaign))
}

fn tried(seen: &Seen) -> Try {
    let record = &seen.record;
    Try {
        at: record.at,
        client: record.client.limit_key(),
        budgets: record.budgets,
        account: record.account,
        person: record.person,
        judged: record.endpoint == Endpoint::SignIn && record.outcome == Some(Outcome::Failed),
        stopped: matches!(record.active, Verdict::Refused(_) | Verdict::Banned),
        password: seen.password,
    }
}
