//! Synthetic attacks on a policy: how far each gets in a day. No network, no password and nobody's account: attempts are
//! made up, and `Ground` decides over them as the ledger of a running gateway does.
//!
//! The attacker knows the policy: an address that is refused waits as long as it has to, and what may be tried elsewhere
//! meanwhile is tried there. Only `lockout` does not wait, since its aim is to leave no room for the owner; since what is
//! refused changes nothing, what it tries before anything could be granted is counted and not gone through. Every attempt of
//! the attacker is wrong as far as the limits are concerned; what it would hit is reckoned from how popular passwords are.

mod ground;
mod rooms;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::Serialize;

use super::NameDigest;
use super::attempt::{Attempt, Endpoint};
use super::meter::Nanos;
use super::policy::{Action, KeyKind, LimitRule, Policy, RuleName};
use super::quota::Quota;
use super::tradeoff::whole;
use crate::domain::client::ClientAddr;
use crate::domain::common_passwords::popularity;

use ground::{Answer, Ground, Visit};
use rooms::Rooms;

/// A kind of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// The commonest password at every account, then the next.
    Spray,
    /// Pairs of name and password from elsewhere, each tried once.
    Stuffing,
    /// One account, as many passwords as can be tried.
    Targeted,
    /// One account, to keep its owner out.
    Lockout,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Spray, Self::Stuffing, Self::Targeted, Self::Lockout];

    /// As it is typed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spray => "spray",
            Self::Stuffing => "stuffing",
            Self::Targeted => "targeted",
            Self::Lockout => "lockout",
        }
    }
}

/// An attack with its means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// Which.
    pub attack: Attack,
    /// Accounts it is aimed at.
    pub accounts: u32,
    /// Addresses it comes from, five in each /24.
    pub addresses: u32,
    /// The most attempts of one address in an hour.
    pub pace: u32,
    /// Another number, other addresses and moments.
    pub seed: u64,
}

impl Scenario {
    /// What is usual for this attack.
    pub const fn usual(attack: Attack, seed: u64) -> Self {
        let (accounts, addresses, pace) = match attack {
            Attack::Spray => (500, 50, 3600),
            Attack::Stuffing => (20_000, 500, 360),
            Attack::Targeted => (1, 50, 3600),
            Attack::Lockout => (1, 50, 360),
        };
        Self {
            attack,
            accounts,
            addresses,
            pace,
            seed,
        }
    }

    /// Guessing that only rules by this key and wider ones bound: at one account from many addresses, or from one address
    /// at one account, or from one address or network at many accounts.
    pub const fn within(key: KeyKind) -> Self {
        let (accounts, addresses) = match key {
            KeyKind::Account => (1, 50),
            KeyKind::ClientAccount | KeyKind::Device => (1, 1),
            KeyKind::Client => (200, 1),
            KeyKind::Subnet => (200, 5),
            KeyKind::Password | KeyKind::Global => (200, 50),
        };
        Self {
            accounts,
            addresses,
            ..Self::usual(Attack::Spray, 1)
        }
    }
}

/// How far it got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulated {
    /// What was tried.
    pub scenario: Scenario,
    /// Attempts made.
    pub attempts: u64,
    /// Let through: so many passwords were tried.
    pub guesses: u64,
    /// Stopped.
    pub refused: u64,
    /// Whether it was ended early, having come to more decisions than are simulated: more would have come through.
    pub cut: bool,
    /// Accounts at which at least one password was tried.
    pub accounts: u64,
    /// The most passwords tried at one of them.
    pub most: u64,
    /// How many accounts would have been opened, on average.
    pub hits: f64,
    /// The rules that stopped it, those that did so most often first.
    pub by: Vec<(RuleName, u64)>,
    /// The owner of the first account, who signs in with the right password once in each hour.
    pub owner: Owner,
}

/// How the owner fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// How often she tried, each; less than [`Owner::TRIES`] where the simulation ended early.
    pub tries: u64,
    /// At a browser that has signed in before.
    pub known: u64,
    /// At a new one, from an address of her own.
    pub new: u64,
}

impl Owner {
    /// Once in each hour.
    pub const TRIES: u64 = 24;
}

/// How many of a stuffer's pairs fit, as is reported of such lists: one in two hundred.
pub const REUSED: f64 = 0.005;

/// More decisions are not simulated.
const MOST_DECISIONS: u64 = 500_000;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 60 * 60 * SECOND;
/// Meters begin to count at some time that is not the beginning of the clock.
const BEGIN: u64 = DAY;

/// Carries an attack out for a day. The same scenario and policy come to the same, always.
pub fn simulate(scenario: Scenario, policy: &Policy) -> Simulated {
    let mut day = Day::new(scenario, policy);
    day.pass();
    day.told()
}

/// Passwords that can be tried in a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// So many, or more where the simulation ended early.
    pub guesses: u64,
    /// Whether it did.
    pub cut: bool,
}

/// Those of somebody with many addresses at one account.
pub fn reach_of_one_account(policy: &Policy) -> Reach {
    let day = simulate(Scenario::usual(Attack::Targeted, 1), policy);
    Reach {
        guesses: day.most,
        cut: day.cut,
    }
}

/// Those of somebody whom only this rule and wider ones bound, with each of these quotas for it.
///
/// A quota that stops nothing is not gone beyond by a wider one either: then the day is the same to the last attempt, and
/// is not gone through again.
pub fn reach_within(policy: &Policy, rule: &LimitRule, quotas: &[Quota]) -> Vec<Reach> {
    let mut reach = vec![Reach::default(); quotas.len()];
    let mut tightest_first: Vec<usize> = (0..quotas.len()).collect();
    tightest_first.sort_by_key(|index| {
        quotas
            .get(*index)
            .map(|quota| (quota.burst(), Reverse(quota.interval())))
    });
    let mut idle: Vec<(Quota, Reach)> = Vec::new();
    for index in tightest_first {
        let Some((quota, place)) = quotas.get(index).zip(reach.get_mut(index)) else {
            continue;
        };
        if let Some((_, known)) = idle.iter().find(|(known, _)| quota.is_as_wide_as(known)) {
            *place = *known;
            continue;
        }
        let Some(policy) = policy.with_quota(&rule.name, *quota) else {
            continue;
        };
        let day = simulate(Scenario::within(rule.key), &policy);
        *place = Reach {
            guesses: day.guesses,
            cut: day.cut,
        };
        let stops = day.by.iter().any(|(name, _)| *name == rule.name);
        if rule.action == Action::Notify || rule.action == Action::Refuse && !stops {
            idle.push((*quota, *place));
        }
    }
    reach
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Owner,
    /// Something may be tried at this account again.
    Account(u32),
    Address(u32),
}

struct Day<'a> {
    scenario: Scenario,
    policy: &'a Policy,
    ground: Ground,
    agenda: BinaryHeap<Reverse<(u64, Actor)>>,
    /// Of each address, whether no rule counts it.
    exempt: Vec<bool>,
    pause: u64,
    /// Passwords tried, by account.
    tried: Vec<u64>,
    /// Accounts at which something may be tried.
    ready: VecDeque<u32>,
    /// Addresses that have found none, the one that waits longest first.
    idle: VecDeque<u32>,
    /// Of each address, which accounts have no room for it.
    rooms: Vec<Rooms>,
    chance: Chance,
    decisions: u64,
    attempts: u64,
    refused: u64,
    by: Vec<u64>,
    owner: Owner,
}

impl<'a> Day<'a> {
    fn new(scenario: Scenario, policy: &'a Policy) -> Self {
        let mut chance = Chance(scenario.seed);
        let pause = pause(scenario);
        let networks = 1 + chance.below(200);
        let addresses = (0..scenario.addresses).map(|number| {
            address(
                networks + u64::from(number / IN_A_NETWORK),
                1 + u64::from(number % IN_A_NETWORK),
            )
        });
        let mut agenda: BinaryHeap<_> = (0..scenario.addresses)
            .map(|number| Reverse((BEGIN + chance.below(pause), Actor::Address(number))))
            .collect();
        agenda.extend((0..Owner::TRIES).map(|hour| Reverse((BEGIN + (hour * 60 + 30) * 60 * SECOND, Actor::Owner))));
        Self {
            scenario,
            policy,
            ground: Ground::new(
                policy,
                &attempt(None),
                &attempt(Some(NameDigest(3, 0))),
                scenario.addresses + 2,
            ),
            agenda,
            exempt: addresses.map(|address| policy.exempts(address)).collect(),
            pause,
            tried: vec![0; scenario.accounts as usize],
            ready: (0..scenario.accounts).collect(),
            idle: VecDeque::new(),
            rooms: (0..scenario.addresses).map(|_| Rooms::default()).collect(),
            chance,
            decisions: 0,
            attempts: 0,
            refused: 0,
            by: vec![0; policy.rules.len()],
            owner: Owner::default(),
        }
    }

    fn pass(&mut self) {
        while let Some(Reverse((now, actor))) = self.agenda.pop()
            && now < BEGIN + DAY
        {
            match actor {
                Actor::Owner => self.let_owner_in(now),
                Actor::Account(account) => {
                    self.ready.push_back(account);
                    self.rouse(now);
                }
                // What would be tried from now on, and how the owner would fare then, nobody knows.
                Actor::Address(_) if self.decisions >= MOST_DECISIONS => break,
                Actor::Address(number) => self.attack(now, number),
            }
        }
    }

    /// One attempt of one address, and when it is its turn again. Without an account to try it waits for one.
    fn attack(&mut self, now: u64, number: u32) {
        let Some(account) = self.next(now, number) else {
            self.idle.push_back(number);
            return;
        };
        self.decisions += 1;
        self.attempts += 1;
        let pause = self.pause;
        let turn = match self.guess(now, number, account) {
            Answer::Granted(delay) => {
                if let Some(tried) = self.tried.get_mut(account as usize) {
                    *tried += 1;
                }
                if self.scenario.attack != Attack::Stuffing {
                    self.ready.push_back(account);
                }
                now + pause + nanos(delay)
            }
            Answer::Refused(wait, by) if self.scenario.attack == Attack::Lockout => {
                self.ready.push_front(account);
                // Nothing is granted before that, and what is refused changes nothing.
                let left = (BEGIN + DAY).saturating_sub(now);
                let turns = nanos(wait).min(left).div_ceil(pause).max(1);
                self.stop(by, turns);
                self.attempts += turns - 1;
                now + turns * pause
            }
            Answer::Refused(wait, by) => {
                self.stop(by, 1);
                let until = now + nanos(wait).max(1);
                self.wait(now, until, number, account, self.key(by)).max(now + pause)
            }
        };
        self.agenda.push(Reverse((turn, Actor::Address(number))));
        self.rouse(now);
    }

    /// What is tried after a refusal by a rule with this key; answers until when the address waits.
    fn wait(&mut self, now: u64, until: u64, number: u32, account: u32, key: KeyKind) -> u64 {
        let alone = self.exempt.len() == 1;
        match key {
            // Nobody may try it, and others may be tried meanwhile.
            KeyKind::Account | KeyKind::Password => self.rest(account, until),
            KeyKind::ClientAccount if self.scenario.accounts > 1 && alone => self.rest(account, until),
            // It may be tried from elsewhere, and others from here, until all of them have turned this address away.
            KeyKind::ClientAccount if self.scenario.accounts > 1 => {
                self.ready.push_back(account);
                let accounts = self.scenario.accounts;
                let rooms = self.rooms.get_mut(number as usize);
                return rooms
                    .and_then(|rooms| rooms.turned_away(account, until, accounts))
                    .unwrap_or(now);
            }
            _ => {
                self.ready.push_front(account);
                return until;
            }
        }
        now
    }

    fn rest(&mut self, account: u32, until: u64) {
        self.agenda.push(Reverse((until, Actor::Account(account))));
    }

    /// The account that an address tries next; `None` when none is ready.
    fn next(&mut self, now: u64, number: u32) -> Option<u32> {
        let rooms = self.rooms.get_mut(number as usize)?;
        rooms.next(&mut self.ready, now, &mut self.chance)
    }

    /// So many attempts were refused by this rule, the one of that number.
    fn stop(&mut self, by: usize, attempts: u64) {
        self.refused += attempts;
        if let Some(count) = self.by.get_mut(by) {
            *count += attempts;
        }
    }

    fn key(&self, rule: usize) -> KeyKind {
        self.policy.rules.get(rule).map_or(KeyKind::Client, |rule| rule.key)
    }

    /// Where there is an account to try, the address that has waited longest for one tries it.
    fn rouse(&mut self, now: u64) {
        if !self.ready.is_empty()
            && let Some(number) = self.idle.pop_front()
        {
            self.agenda.push(Reverse((now, Actor::Address(number))));
        }
    }

    fn guess(&mut self, now: u64, number: u32, account: u32) -> Answer {
        if self.exempt.get(number as usize).is_some_and(|exempt| *exempt) {
            return Answer::Granted(Duration::ZERO);
        }
        let rank = self.tried.get(account as usize).copied().unwrap_or_default();
        let visit = Visit {
            client: number,
            subnet: number / IN_A_NETWORK,
            account,
            password: match self.scenario.attack {
                Attack::Spray | Attack::Targeted | Attack::Lockout => rank,
                // Everybody's own.
                Attack::Stuffing => account.into(),
            },
            known_device: false,
        };
        self.ground.visit(&visit, true, Nanos(now))
    }

    /// From addresses that are in nobody's network but hers.
    fn let_owner_in(&mut self, now: u64) {
        self.owner.tries += 1;
        let addresses = self.scenario.addresses;
        let known = Visit {
            client: addresses,
            subnet: addresses,
            account: 0,
            password: OWN_PASSWORD,
            known_device: true,
        };
        let new = Visit {
            client: addresses + 1,
            subnet: addresses + 1,
            known_device: false,
            ..known
        };
        self.owner.known += u64::from(self.is_let_in(&known, now));
        self.owner.new += u64::from(self.is_let_in(&new, now));
    }

    fn is_let_in(&mut self, visit: &Visit, now: u64) -> bool {
        matches!(self.ground.visit(visit, false, Nanos(now)), Answer::Granted(_))
    }

    fn told(self) -> Simulated {
        let hits = |tried: u64| match self.scenario.attack {
            Attack::Stuffing => whole(tried) * REUSED,
            Attack::Spray | Attack::Targeted | Attack::Lockout => popularity(tried),
        };
        let names = self.policy.rules.iter().map(|rule| rule.name.clone());
        let mut by: Vec<_> = names.zip(self.by).filter(|(_, count)| *count > 0).collect();
        by.sort_by(|(one, more), (other, fewer)| (fewer, one).cmp(&(more, other)));
        let tried = self.tried.iter().copied();
        Simulated {
            scenario: self.scenario,
            attempts: self.attempts,
            guesses: tried.clone().sum(),
            refused: self.refused,
            cut: self.decisions >= MOST_DECISIONS,
            accounts: tried.clone().filter(|tried| *tried > 0).count() as u64,
            most: tried.clone().max().unwrap_or_default(),
            // The sum of nothing is less than nothing, to a machine.
            hits: tried.map(hits).sum::<f64>() + 0.0,
            by,
            owner: self.owner,
        }
    }
}

/// What nobody who guesses comes to.
const OWN_PASSWORD: u64 = u64::MAX;

/// Addresses of an attack in each /24.
const IN_A_NETWORK: u32 = 5;

/// Of a stranger, or on a device: of which rules it asks is all that matters.
fn attempt(device: Option<NameDigest>) -> Attempt {
    let client = ClientAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Attempt {
        account: Some(NameDigest(1, 0)),
        device,
        password: Some(NameDigest(2, 0)),
        ..Attempt::new(Endpoint::SignIn, client)
    }
}

fn pause(scenario: Scenario) -> u64 {
    60 * 60 * SECOND / u64::from(scenario.pace.max(1))
}

/// In the networks that are kept for measuring (RFC 2544), and further up where these are not enough.
fn address(network: u64, host: u64) -> ClientAddr {
    let bits = (198_u64 << 24 | 18 << 16) + (network << 8) + host;
    ClientAddr::new(IpAddr::V4(u32::try_from(bits).unwrap_or(u32::MAX).into()))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

/// Numbers that look random and follow from a seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    const fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % if most == 0 { 1 } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::attempt::LaneKind;
    use crate::domain::limits::policy::{Action, LaneFilter, LimitRule};

    fn rule(name: &str, key: KeyKind, quota: &str, lane: LaneFilter) -> LimitRule {
        LimitRule {
            name: RuleName::parse(name).unwrap(),
            endpoints: vec![Endpoint::SignIn],
            key,
            lane,
            quota: quota.parse().unwrap(),
            in_flight: None,
            action: Action::Refuse,
            enabled: true,
        }
    }

    fn policy(rules: Vec<LimitRule>) -> Policy {
        Policy {
            rules,
            exempt: Vec::new(),
        }
    }

    fn owner(known: u64, new: u64) -> Owner {
        Owner {
            tries: Owner::TRIES,
            known,
            new,
        }
    }

    const STRANGERS: LaneFilter = LaneFilter::Only(LaneKind::Strangers);

    #[test]
    fn a_targeted_attack_gets_what_the_rule_of_the_account_grants_in_a_day() {
        let policy = policy(vec![rule("account", KeyKind::Account, "12 per 1h", STRANGERS)]);
        let told = simulate(Scenario::usual(Attack::Targeted, 7), &policy);
        assert!((288..=300).contains(&told.most), "{told:?}");
        assert_eq!((told.accounts, told.owner.known), (1, 24));
        assert_eq!(told.by.first().map(|(name, _)| name.as_str()), Some("account"));
        assert!(told.hits > 0.0 && told.hits < 1.0);
    }

    #[test]
    fn a_rule_of_client_and_account_alone_lets_each_address_guess() {
        let policy = policy(vec![rule("both", KeyKind::ClientAccount, "10 per 15m", STRANGERS)]);
        let told = simulate(Scenario::usual(Attack::Targeted, 7), &policy);
        let each = 96 * 10 + 10;
        assert!(told.most > 50 * 900 && told.most <= 50 * each, "{told:?}");
    }

    #[test]
    fn a_flood_keeps_the_owner_out_where_lanes_are_shared_and_only_there() {
        let lockout = Scenario {
            pace: 120,
            ..Scenario::usual(Attack::Lockout, 3)
        };
        let shared = policy(vec![rule("account", KeyKind::Account, "10 per 1h", LaneFilter::Any)]);
        let told = simulate(lockout, &shared);
        assert_eq!(told.owner, owner(0, 0), "{told:?}");
        let apart = policy(vec![rule("account", KeyKind::Account, "10 per 1h", STRANGERS)]);
        let told = simulate(lockout, &apart);
        assert_eq!(told.owner, owner(24, 0), "{told:?}");
    }

    #[test]
    fn a_spray_is_hindered_by_a_rule_of_the_password_and_a_targeted_attack_is_not() {
        let policy = policy(vec![rule("password", KeyKind::Password, "20 per 1day", STRANGERS)]);
        let spray = Scenario {
            accounts: 200,
            addresses: 5,
            pace: 600,
            ..Scenario::usual(Attack::Spray, 1)
        };
        let (open, told) = (simulate(spray, &Policy::default()), simulate(spray, &policy));
        assert!(told.hits * 3.0 < open.hits, "{told:?} {open:?}");
        assert!(told.accounts < open.accounts);
        let targeted = Scenario {
            addresses: 5,
            pace: 600,
            ..Scenario::usual(Attack::Targeted, 1)
        };
        let told = simulate(targeted, &policy);
        assert!(told.refused == 0 && told.most > 10_000, "{told:?}");
    }

    #[test]
    fn the_guesses_within_a_rule_are_those_that_its_quota_bounds() {
        let policy = policy(vec![
            rule("account", KeyKind::Account, "100 per 1h", STRANGERS),
            rule("both", KeyKind::ClientAccount, "10 per 15m", STRANGERS),
            rule("client", KeyKind::Client, "30 per 15m", STRANGERS),
            rule("subnet", KeyKind::Subnet, "60 per 15m", STRANGERS),
        ]);
        for (key, most) in [
            (KeyKind::Account, 100 * 25),
            (KeyKind::ClientAccount, 10 * 97),
            (KeyKind::Client, 30 * 97),
            (KeyKind::Subnet, 60 * 97),
        ] {
            let guesses = simulate(Scenario::within(key), &policy).guesses;
            assert!(
                guesses <= most && guesses > most * 9 / 10,
                "{key:?}: {guesses} of {most}"
            );
        }
    }

    #[test]
    fn a_spray_finds_whatever_room_a_rule_of_client_and_account_leaves() {
        for (accounts, addresses, quota, attainable) in [
            (500, 50, "1 per 1day", 500 * 50),
            (499, 50, "1 per 1day", 499 * 50),
            // What is full when the day begins has room again after a third of it, and after another.
            (100, 10, "3 per 1day", 100 * 10 * 5),
            (99, 10, "3 per 1day", 99 * 10 * 5),
            (200, 5, "5 per 1day", 200 * 5 * 9),
        ] {
            let spray = Scenario {
                accounts,
                addresses,
                ..Scenario::usual(Attack::Spray, 1)
            };
            let policy = policy(vec![rule("both", KeyKind::ClientAccount, quota, STRANGERS)]);
            let told = simulate(spray, &policy);
            assert!(
                told.guesses <= attainable && told.guesses >= attainable * 9 / 10 && !told.cut,
                "{accounts} accounts, {quota}: {} of {attainable}: {told:?}",
                told.guesses
            );
        }
    }

    #[test]
    fn an_attack_without_hindrance_is_cut_and_says_so() {
        let fast = Scenario {
            addresses: 500,
            pace: 100_000,
            ..Scenario::usual(Attack::Targeted, 1)
        };
        let told = simulate(fast, &Policy::default());
        assert_eq!((told.cut, told.guesses), (true, MOST_DECISIONS));
        assert!(
            told.owner.tries < Owner::TRIES && told.owner.known == told.owner.tries,
            "{told:?}"
        );
    }

    #[test]
    fn stuffing_tries_each_pair_once_and_ends() {
        let small = Scenario {
            accounts: 1000,
            ..Scenario::usual(Attack::Stuffing, 1)
        };
        let told = simulate(small, &Policy::default());
        assert_eq!(
            (told.guesses, told.accounts, told.most, told.cut),
            (1000, 1000, 1, false)
        );
        assert!((told.hits - 5.0).abs() < 1e-9);
        let policy = policy(vec![rule("client", KeyKind::Client, "1 per 1day", STRANGERS)]);
        let told = simulate(small, &policy);
        assert_eq!(told.guesses, 500, "one for each address: {told:?}");
    }

    #[test]
    fn the_same_scenario_comes_to_the_same() {
        let policy = policy(vec![
            rule("client", KeyKind::Client, "30 per 15m", LaneFilter::Any),
            rule("both", KeyKind::ClientAccount, "1 per 6h", LaneFilter::Any),
        ]);
        for attack in Attack::ALL {
            let small = Scenario {
                addresses: 5,
                ..Scenario::usual(attack, 1)
            };
            assert_eq!(simulate(small, &policy), simulate(small, &policy));
        }
    }
}
