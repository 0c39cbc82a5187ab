//! Made traffic: days on which nothing is wrong, and attacks.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::account::AccountId;
use crate::domain::client::ClientAddr;
use crate::domain::limits::policy::RuleName;
use crate::domain::limits::record::AttemptRecord;
use crate::domain::session::tests::at;

/// Nine o'clock on a Monday.
const NINE: i64 = 9 * 3600;

fn address(number: u32) -> ClientAddr {
    ClientAddr::new(Ipv4Addr::from_bits(0xc633_6400 + number).into())
}

fn far(number: u32) -> ClientAddr {
    ClientAddr::new(Ipv4Addr::from_bits(0x2d00_0000 + number * 1021).into())
}

/// Keyed digests are spread evenly; so are these.
fn digest(number: u64) -> NameDigest {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    NameDigest(z ^ (z >> 27), number)
}

fn person(number: u64) -> AccountId {
    AccountId::new(Uuid::from_u128(u128::from(number) + 1))
}

/// What is tried, to be sent to [`Campaigns::observe`].
#[derive(Clone, Debug)]
pub(crate) struct Made(pub(crate) Seen);

impl Made {
    /// A wrong password of a stranger, at an account that exists.
    pub(crate) fn wrong(second: i64, client: ClientAddr, account: u64, password: u64) -> Self {
        Self(Seen {
            record: AttemptRecord {
                at: at(second),
                took: std::time::Duration::ZERO,
                endpoint: Endpoint::SignIn,
                client,
                budgets: 1,
                account: Some(digest(account)),
                person: Some(person(account)),
                lane: LaneKind::Strangers,
                device: None,
                outcome: Some(Outcome::Failed),
                active: Verdict::Granted,
                candidate: None,
            },
            password: Some(digest(1 << 40 | password)),
        })
    }

    pub(crate) fn right(mut self) -> Self {
        self.0.record.outcome = Some(Outcome::Succeeded);
        self
    }

    fn unknown(mut self) -> Self {
        self.0.record.person = None;
        self
    }

    fn known_device(mut self) -> Self {
        self.0.record.lane = LaneKind::Known;
        self.0.record.device = Some(digest(77));
        self
    }

    pub(super) fn stopped(mut self) -> Self {
        self.0.record.outcome = None;
        self.0.record.person = None;
        self.0.record.active = Verdict::Refused(RuleName::parse("sign-in.client").unwrap());
        self
    }

    fn of_many(mut self, budgets: u32) -> Self {
        self.0.record.budgets = budgets;
        self
    }

    fn reset(second: i64, client: ClientAddr, account: u64) -> Self {
        let mut made = Self::wrong(second, client, account, 0).unknown();
        made.0.record.endpoint = Endpoint::ForgotPassword;
        made.0.password = None;
        made
    }
}

fn watch() -> Campaigns {
    Campaigns::new(Spread::new(&[3; 32]))
}

fn all(campaigns: &mut Campaigns, traffic: impl IntoIterator<Item = Made>) -> Vec<Change> {
    let mut traffic: Vec<Made> = traffic.into_iter().collect();
    traffic.sort_by_key(|made| made.0.record.at);
    let mut changes = Vec::new();
    for Made(seen) in &traffic {
        changes.extend(campaigns.tick(seen.record.at));
        changes.extend(campaigns.observe(seen));
    }
    changes
}

fn begun(changes: &[Change]) -> usize {
    changes
        .iter()
        .filter(|change| matches!(change, Change::Began(_)))
        .count()
}

fn won(changes: &[Change]) -> Vec<AccountId> {
    let won = changes.iter().filter_map(|change| match change {
        Change::Succeeded(_, success) => Some(success.person),
        _ => None,
    });
    won.collect()
}

fn only(campaigns: &Campaigns) -> &Campaign {
    let living: Vec<&Campaign> = campaigns.living().collect();
    let [one] = living[..] else {
        panic!("{living:#?}");
    };
    one
}

/// The first day: five hundred people whom nobody has met sign in through one address between nine and ten. One in seven
/// mistypes, up to three times; one in a hundred gives up and asks for a new password.
fn first_day(client: impl Fn(u64) -> ClientAddr) -> Vec<Made> {
    let mut traffic = Vec::new();
    for who in 0..500 {
        let (mut second, from) = (NINE + i64::try_from(who).unwrap() * 7, client(who));
        if who % 7 == 3 {
            for slip in 0..=who % 3 {
                traffic.push(Made::wrong(second, from, who, who * 10 + slip));
                second += 9;
            }
        }
        if who % 100 == 99 {
            traffic.push(Made::reset(second, from, who));
            traffic.push(Made::reset(second + 40, from, who));
        } else {
            traffic.push(Made::wrong(second, from, who, who * 10 + 9).right());
        }
    }
    traffic
}

#[test]
fn the_first_day_of_an_office_behind_one_address_is_no_attack() {
    let mut campaigns = watch();
    assert_eq!(all(&mut campaigns, first_day(|_| address(1))), []);
}

#[test]
fn the_first_day_of_people_at_home_is_no_attack() {
    let mut campaigns = watch();
    let home = |who| far(u32::try_from(who).unwrap());
    assert_eq!(all(&mut campaigns, first_day(home)), []);
}

#[test]
fn an_office_morning_with_a_telephone_that_has_the_old_password_is_no_attack() {
    let mut traffic = Vec::new();
    for who in 0..500 {
        let second = NINE + i64::try_from(who).unwrap() * 3;
        if who % 5 == 0 {
            for slip in 0..4 {
                traffic.push(Made::wrong(second + slip, address(1), who, who * 10).known_device());
            }
        }
        traffic.push(
            Made::wrong(second + 9, address(1), who, who * 10 + 9)
                .right()
                .known_device(),
        );
    }
    for minute in 0..10 * 60 {
        let tried = Made::wrong(NINE + minute * 60, far(1), 12, 5);
        traffic.push(if minute % 3 == 0 { tried } else { tried.stopped() });
    }
    assert_eq!(all(&mut watch(), traffic), []);
}

#[test]
fn somebody_who_has_forgotten_her_password_is_no_attack() {
    let mut traffic: Vec<Made> = (0..15)
        .map(|n| Made::wrong(NINE + n * 20, far(1), 7, 100 + n.unsigned_abs()))
        .collect();
    traffic.extend((0..6).map(|n| Made::reset(NINE + 400 + n * 30, far(1), 7)));
    traffic.push(Made::wrong(NINE + 900, far(1), 7, 999).right());
    traffic.extend((0..15).map(|n| Made::wrong(NINE + 1000 + n * 20, far(1), 7, 200 + n.unsigned_abs())));
    assert_eq!(all(&mut watch(), traffic), []);
}

#[test]
fn one_password_at_many_accounts_is_spraying_and_its_success_counts_wherever_it_comes_from() {
    let mut campaigns = watch();
    let spray = (0..40).map(|n| Made::wrong(NINE + i64::from(n) * 5, far(n % 3), u64::from(n), 1));
    let changes = all(&mut campaigns, spray);
    assert_eq!(begun(&changes), 1);
    let campaign = only(&campaigns);
    assert_eq!(
        (campaign.kind, campaign.attempts, campaign.accounts.count()),
        (Kind::Spraying, 40, 40)
    );
    assert_eq!((campaign.sources.addresses(), campaign.began_at), (3, at(NINE)));
    let changes = all(&mut campaigns, [Made::wrong(NINE + 300, far(9), 77, 1).right()]);
    assert_eq!(won(&changes), [person(77)]);
    // The same account once, and others whose password is their own not at all.
    let later = [
        Made::wrong(NINE + 301, far(9), 77, 1).right(),
        Made::wrong(NINE + 302, far(10), 78, 5000).right(),
    ];
    assert_eq!(won(&all(&mut campaigns, later)), []);
    assert_eq!(only(&campaigns).succeeded, 1);
}

#[test]
fn the_next_password_of_a_spray_is_the_same_campaign() {
    let mut campaigns = watch();
    let spray = (0..60).map(|n| {
        Made::wrong(
            NINE + i64::from(n) * 5,
            far(n % 4),
            u64::from(n % 20),
            u64::from(n / 20),
        )
    });
    assert_eq!(begun(&all(&mut campaigns, spray)), 1);
    assert_eq!(only(&campaigns).attempts, 60);
}

#[test]
fn a_success_before_anybody_could_know_is_found_when_the_attack_is_noticed() {
    let mut campaigns = watch();
    let mut spray: Vec<Made> = (0..12_u32)
        .map(|n| Made::wrong(NINE + i64::from(n), far(1), u64::from(n), 1))
        .collect();
    spray[3] = spray[3].clone().right();
    let changes = all(&mut campaigns, spray);
    assert_eq!((begun(&changes), won(&changes)), (1, vec![person(3)]));
}

#[test]
fn pairs_from_one_address_are_stuffing_and_what_they_open_is_told() {
    let mut campaigns = watch();
    let pairs = (0..60).map(|n| {
        let made = Made::wrong(NINE + n, far(1), n.unsigned_abs(), n.unsigned_abs());
        match n {
            5 | 40 => made.right(),
            n if n % 2 == 0 => made.unknown(),
            _ => made,
        }
    });
    let changes = all(&mut campaigns, pairs);
    assert_eq!(begun(&changes), 1);
    assert_eq!(won(&changes), [person(5), person(40)]);
    let campaign = only(&campaigns);
    assert_eq!(
        (campaign.kind, campaign.attempts, campaign.succeeded),
        (Kind::Stuffing, 58, 2)
    );
    assert!(campaign.unknown > 20 && campaign.unknown < 40);
}

#[test]
fn pairs_from_neighbours_are_one_campaign_and_those_the_limits_stopped_count() {
    let mut campaigns = watch();
    let pairs = (0..90).map(|n| {
        let made = Made::wrong(NINE + i64::from(n), address(n / 30), u64::from(n), u64::from(n));
        if n % 30 > 20 { made.stopped() } else { made }
    });
    assert_eq!(begun(&all(&mut campaigns, pairs)), 1);
    let campaign = only(&campaigns);
    assert_eq!((campaign.attempts, campaign.stopped), (90, 27));
    assert_eq!((campaign.sources.addresses(), campaign.sources.subnets()), (3, 1));
}

#[test]
fn pairs_from_everywhere_are_stuffing_and_subside() {
    let mut campaigns = watch();
    let pairs = (0..120_u32).map(|n| Made::wrong(NINE + i64::from(n) * 2, far(n % 60), u64::from(n), u64::from(n)));
    let changes = all(&mut campaigns, pairs);
    assert_eq!(begun(&changes), 1);
    let campaign = only(&campaigns);
    assert!(campaign.scattered && campaign.kind == Kind::Stuffing && campaign.attempts == 120);
    // Slips of ordinary people go on all day and do not keep it alive.
    let slips = (0..60).map(|n| Made::wrong(NINE + 600 + n * 300, far(900 + u32::try_from(n).unwrap()), 5000, 1));
    let changes = all(&mut campaigns, slips);
    assert!(changes.iter().any(|change| matches!(change, Change::Ended(_))));
    assert_eq!(campaigns.living().count(), 0);
}

#[test]
fn many_passwords_at_one_account_are_guessing_from_one_address_or_many() {
    for spread in [1_u32, 20] {
        let mut campaigns = watch();
        let guesses = (0..50_u32).map(|n| Made::wrong(NINE + i64::from(n) * 10, far(n % spread), 7, u64::from(n)));
        assert_eq!(begun(&all(&mut campaigns, guesses)), 1);
        let campaign = only(&campaigns);
        assert_eq!((campaign.kind, campaign.attempts), (Kind::Guessing, 50));
        assert_eq!(campaign.people, [person(7)]);
        assert_eq!(campaign.sources.addresses(), u64::from(spread));
        // The owner at her desk is no success, nor is she on a device and in a place that are new; whoever guesses is.
        let owner = [
            Made::wrong(NINE + 600, address(1), 7, 999).right().known_device(),
            Made::wrong(NINE + 601, address(2), 7, 999).right(),
        ];
        assert_eq!(won(&all(&mut campaigns, owner)), []);
        let changes = all(&mut campaigns, [Made::wrong(NINE + 602, far(0), 7, 999).right()]);
        assert_eq!(won(&changes), [person(7)]);
    }
}

#[test]
fn who_guesses_on_though_stopped_is_the_same_campaign() {
    let mut campaigns = watch();
    let guesses = (0..100).map(|n| {
        let guess = Made::wrong(NINE + n, far(1), 7, n.unsigned_abs());
        if n < 30 {
            return guess;
        }
        // Stopped before anybody is looked up, so that what was typed is all that is known of the account.
        let mut stopped = guess.stopped();
        stopped.0.record.account = Some(digest(7000));
        stopped
    });
    assert_eq!(begun(&all(&mut campaigns, guesses)), 1);
    assert_eq!(only(&campaigns).attempts, 100);
}

#[test]
fn letters_to_one_address_or_by_one_client_to_many_are_a_bomb() {
    let mut campaigns = watch();
    let one = (0..30).map(|n| Made::reset(NINE + n * 10, far(u32::try_from(n).unwrap()), 7));
    assert_eq!(begun(&all(&mut campaigns, one)), 1);
    let campaign = only(&campaigns);
    assert_eq!(
        (campaign.kind, campaign.attempts, campaign.accounts.count()),
        (Kind::MailBomb, 30, 1)
    );
    let mut campaigns = watch();
    let many = (0..80).map(|n| Made::reset(NINE + n * 10, far(1), n.unsigned_abs()));
    assert_eq!(begun(&all(&mut campaigns, many)), 1);
    assert_eq!(only(&campaigns).accounts.count(), 80);
}

#[test]
fn names_that_do_not_exist_are_probed_for() {
    let mut campaigns = watch();
    let names = (0..200).map(|n| {
        let made = Made::wrong(NINE + n, far(1), n.unsigned_abs(), n.unsigned_abs());
        if n % 12 == 0 { made } else { made.unknown() }
    });
    assert_eq!(begun(&all(&mut campaigns, names)), 1);
    let campaign = only(&campaigns);
    assert_eq!((campaign.kind, campaign.attempts), (Kind::Probing, 200));
    assert!((160..=240).contains(&campaign.accounts.count()));
}

#[test]
fn ordinary_people_beside_an_attack_are_no_part_of_it() {
    let mut traffic = first_day(|_| address(1));
    traffic.extend((0..300).map(|n| Made::wrong(NINE + n * 10, far(1), 10_000 + n.unsigned_abs(), n.unsigned_abs())));
    traffic.extend((0..40).map(|n| Made::wrong(NINE + n * 80, far(2), 77, 50_000 + n.unsigned_abs())));
    let mut campaigns = watch();
    let changes = all(&mut campaigns, traffic);
    let mut kinds: Vec<Kind> = campaigns.living().map(|campaign| campaign.kind).collect();
    kinds.sort();
    assert_eq!((begun(&changes), kinds), (2, vec![Kind::Guessing, Kind::Stuffing]));
    assert_eq!(won(&changes), []);
    for campaign in campaigns.living() {
        assert_eq!(campaign.sources.find(address(1).limit_key()), None);
    }
}

#[test]
fn an_attacker_inside_the_office_does_not_make_successes_of_colleagues() {
    let mut traffic: Vec<Made> = (0..60)
        .map(|n| Made::wrong(NINE + n, address(1), 10_000 + n.unsigned_abs(), 1))
        .collect();
    traffic.push(Made::wrong(NINE - 60, address(1), 3, 30).right().known_device());
    traffic.push(Made::wrong(NINE + 100, address(1), 4, 40).right());
    let mut campaigns = watch();
    let changes = all(&mut campaigns, traffic);
    assert_eq!((begun(&changes), won(&changes)), (1, vec![]));
}

#[test]
fn a_client_that_stands_for_many_people_may_fail_more_often() {
    let slips = |budgets| {
        let slips = (0..40)
            .map(move |n| Made::wrong(NINE + n * 60, address(1), n.unsigned_abs(), n.unsigned_abs()).of_many(budgets));
        begun(&all(&mut watch(), slips))
    };
    assert_eq!((slips(1), slips(10)), (1, 0));
}

#[test]
fn a_campaign_ends_when_it_has_been_quiet() {
    let mut campaigns = watch();
    all(
        &mut campaigns,
        (0..40).map(|n| Made::wrong(NINE + n, far(1), 7, n.unsigned_abs())),
    );
    let last = only(&campaigns).last_at;
    assert_eq!(
        campaigns.tick(later(
            last,
            thresholds::QUIET.saturating_sub(std::time::Duration::from_secs(1))
        )),
        []
    );
    let over = later(last, thresholds::QUIET);
    let changes = campaigns.tick(over);
    let [Change::Ended(campaign)] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((campaign.ended_at, campaign.attempts), (Some(over), 40));
    assert_eq!(campaigns.living().count(), 0);
}

#[test]
fn another_process_goes_on_with_a_campaign_and_is_told_no_password() {
    let mut campaigns = watch();
    all(
        &mut campaigns,
        (0..20).map(|n| Made::wrong(NINE + n, far(1), n.unsigned_abs(), 1)),
    );
    let text = serde_json::to_string(only(&campaigns)).unwrap();
    let NameDigest(first, second) = digest(1 << 40 | 1);
    assert!(
        !text.contains(&first.to_string()) && !text.contains(&second.to_string()),
        "{text}"
    );
    let stored: Campaign = serde_json::from_str(&text).unwrap();
    assert_eq!(&stored, only(&campaigns));
    let mut resumed = watch();
    resumed.resume([stored], at(NINE + 30));
    let changes = all(&mut resumed, [Made::wrong(NINE + 40, far(1), 900, 2)]);
    assert!(matches!(changes[..], [Change::Grew(_)]), "{changes:?}");
    assert_eq!(only(&resumed).attempts, 21);
}

#[test]
fn a_block_list_names_no_proxy_no_shared_address_and_nobody_who_works_there() {
    let mut campaigns = watch();
    let of = |client: ClientAddr, names: u64| {
        (0..60)
            .map(move |n| Made::wrong(NINE + n, client, names + n.unsigned_abs(), n.unsigned_abs()))
            .collect::<Vec<_>>()
    };
    let six = ClientAddr::new("2001:db8:1:2:3::4".parse().unwrap());
    let mut traffic = [of(far(1), 100), of(far(2), 200), of(far(3), 300), of(six, 400)].concat();
    traffic.push(Made::wrong(NINE + 50, far(3), 5, 5).right().known_device());
    // A slip, by chance at a name of the list.
    traffic.push(Made::wrong(NINE + 50, far(4), 101, 5));
    all(&mut campaigns, traffic);
    let spared = [network(far(2).ip())];
    let listed: Vec<String> = sources(campaigns.living(), &spared)
        .map(|network| network.to_string())
        .collect();
    assert_eq!(listed, [format!("{}/32", far(1)), "2001:db8:1:2::/64".to_owned()]);
}

#[test]
fn a_block_list_names_nobody_for_what_others_did_from_whom_a_place_was_taken() {
    let mut campaigns = watch();
    let attack = (0..3000_u32).map(|n| {
        let number = u64::from(n);
        Made::wrong(NINE + i64::from(n) / 10, far(n % 300), 1000 + number, number)
    });
    all(&mut campaigns, attack);
    let scattered = campaigns.living().find(|campaign| campaign.scattered).unwrap();
    assert!(scattered.sources.top().iter().all(|source| source.attempts > 5));
    let innocent = [
        Made::wrong(NINE + 301, address(1), 1, 9001),
        Made::wrong(NINE + 302, address(1), 2, 9002),
        Made::wrong(NINE + 303, address(1), 2, 9003).right(),
    ];
    assert_eq!(won(&all(&mut campaigns, innocent)), [], "two slips are nobody's attack");
    let listed: Vec<IpNet> = sources(campaigns.living(), &[]).collect();
    assert!(!listed.contains(&network(address(1).ip())), "{listed:?}");
}

/// Whatever fails anywhere joins an attack from everywhere.
#[test]
fn a_block_list_names_no_office_and_nobody_at_one_name_while_attacks_come_from_everywhere() {
    let mut campaigns = watch();
    // Before it was noticed.
    let office = |n: i64| {
        Made::wrong(
            NINE - 60 + n,
            address(1),
            500 + n.unsigned_abs(),
            9000 + n.unsigned_abs(),
        )
    };
    let mut traffic: Vec<Made> = (0..120_u32)
        .map(|n| Made::wrong(NINE + i64::from(n), far(n % 12), 1000 + u64::from(n), u64::from(n)))
        .collect();
    traffic.push(office(0).right().known_device());
    traffic.extend((200..208).map(office));
    traffic.extend((0..8).map(|n| Made::wrong(NINE + 150 + n, address(600), 3, 8000 + n.unsigned_abs())));
    all(&mut campaigns, traffic);
    assert!(campaigns.living().any(|campaign| campaign.scattered));
    let listed: Vec<IpNet> = sources(campaigns.living(), &[]).collect();
    assert!(listed.contains(&network(far(1).ip())), "{listed:?}");
    for innocent in [address(1), address(600)] {
        assert!(!listed.contains(&network(innocent.ip())), "{innocent}: {listed:?}");
    }
}

#[test]
fn a_success_of_which_nobody_was_told_is_not_forgotten_for_larger_attacks() {
    let mut campaigns = watch();
    let mut traffic: Vec<Made> = (0..12)
        .map(|n| Made::wrong(NINE + n, far(1), n.unsigned_abs(), 1))
        .collect();
    traffic.push(Made::wrong(NINE + 20, far(2), 77, 1).right());
    let changes = all(&mut campaigns, traffic);
    assert_eq!(won(&changes), [person(77)]);
    let untold = only(&campaigns).id;
    let bombs = (0..80_u32).flat_map(|address| {
        (0..20).map(move |n| {
            Made::reset(
                NINE + 30 + i64::from(address),
                far(100 + address * 20 + n),
                u64::from(address),
            )
        })
    });
    let bombs = all(&mut campaigns, bombs);
    assert!(begun(&bombs) > thresholds::MOST_LIVING);
    assert!(
        campaigns
            .find(untold)
            .is_some_and(|campaign| campaign.is_to_be_told(at(NINE + 300)))
    );
}

#[test]
fn attacks_on_names_that_nobody_has_hide_none_on_somebodys_account() {
    let mut campaigns = watch();
    let guesses = (0..25).map(|n| Made::wrong(NINE, far(1), 7, n));
    all(&mut campaigns, guesses);
    let louder = (0..2 * thresholds::MOST_LIVING as u64).flat_map(|name| {
        let from = far(100 + u32::try_from(name).unwrap());
        (0..40).map(move |n| Made::wrong(NINE + 60, from, 1000 + name, name * 100 + n).unknown())
    });
    assert!(begun(&all(&mut campaigns, louder)) > thresholds::MOST_LIVING);
    let changes = all(&mut campaigns, [Made::wrong(NINE + 90, far(1), 7, 99).right()]);
    assert!(matches!(changes[..], [Change::Succeeded(..)]), "{changes:?}");
}

#[test]
fn a_clock_that_is_set_back_hides_no_success_ends_every_attack_and_collects_no_slips() {
    const YEAR: i64 = 365 * 86_400;
    let mut campaigns = watch();
    let mut traffic: Vec<Made> = (0..12)
        .map(|n| Made::wrong(NINE + YEAR + n, far(1), n.unsigned_abs(), 1))
        .collect();
    traffic.push(Made::wrong(NINE + YEAR + 20, far(2), 77, 1).right());
    all(&mut campaigns, traffic);
    let id = only(&campaigns).id;
    campaigns.tell(id, at(NINE + YEAR + 20));
    all(&mut campaigns, [Made::wrong(NINE + YEAR + 30, far(3), 78, 1).right()]);
    assert!(
        !campaigns.find(id).unwrap().is_to_be_told(at(NINE + YEAR + 40)),
        "within the hour"
    );
    assert!(campaigns.find(id).unwrap().is_to_be_told(at(NINE)));
    campaigns.tell(id, at(NINE));
    assert!(matches!(campaigns.tick(at(NINE))[..], [Change::Ended(_)]));

    // One slip a day of somebody who has a new password every day.
    let slips = (0..100).map(|day| Made::wrong(NINE + day * 86_400, far(5), 5, day.unsigned_abs()));
    assert_eq!(all(&mut campaigns, slips), []);
}

#[test]
fn who_looks_on_sees_the_last_minute_though_the_clock_was_set_back() {
    let mut pulse = Pulse::default();
    for second in [1_000_000, 1_000_001, NINE] {
        pulse.note(&Made::wrong(second, far(1), 1, 1).0.record);
    }
    let traffic = pulse.traffic(at(NINE));
    assert_eq!((traffic.attempts, traffic.seconds.last()), (1, Some(&1)));
}

#[test]
fn a_million_invented_names_take_no_more_room_and_hide_no_attack() {
    let mut campaigns = watch();
    let mut changes = Vec::new();
    for n in 0..1_000_000_u32 {
        let flood = Made::wrong(NINE + i64::from(n) / 500, far(n), u64::from(n) + 1000, u64::from(n)).unknown();
        changes.extend(campaigns.observe(&flood.0));
        if n % 20_000 == 0 {
            let guess = Made::wrong(
                NINE + i64::from(n) / 500,
                address(n / 20_000),
                7,
                10_000_000 + u64::from(n),
            );
            changes.extend(campaigns.observe(&guess.0));
            changes.extend(campaigns.observe(&guess.0));
        }
    }
    assert!(campaigns.remembered() <= 5 * MOST_TALLIES, "{}", campaigns.remembered());
    assert!(campaigns.living().count() <= thresholds::MOST_LIVING);
    assert!(campaigns.living().any(|campaign| campaign.kind == Kind::Guessing));
    let scattered = campaigns.living().find(|campaign| campaign.scattered).unwrap();
    assert_eq!(scattered.kind, Kind::Probing);
    assert!(serde_json::to_string(scattered).unwrap().len() < 64 << 10);
}

fn network(address: std::net::IpAddr) -> IpNet {
    super::sources::network(address)
}

prop_compose! {
    fn any_attempt()(
        second in 0_i64..20_000, client in 0_u32..12, account in 0_u64..60, password in 0_u64..40, how in 0..8,
    ) -> Made {
        let made = Made::wrong(NINE + second, far(client), account, password);
        match how {
            0 => made.right(),
            1 => made.unknown(),
            2 => made.stopped(),
            3 => made.known_device(),
            4 => made.right().known_device(),
            5 => Made::reset(NINE + second, far(client), account),
            _ => made,
        }
    }
}

proptest! {
    #[test]
    fn an_attempt_counts_in_one_campaign_at_most(traffic in prop::collection::vec(any_attempt(), 0..600)) {
        let mut campaigns = watch();
        let failures = traffic.iter().filter(|made| {
            let record = &made.0.record;
            record.lane == LaneKind::Strangers && record.outcome != Some(Outcome::Succeeded)
        }).count() as u64;
        let changes = all(&mut campaigns, traffic);
        let mut counted: Vec<Campaign> = campaigns.living().cloned().collect();
        counted.extend(changes.into_iter().filter_map(|change| match change {
            Change::Ended(campaign) => Some(*campaign),
            _ => None,
        }));
        let mut ids: Vec<CampaignId> = counted.iter().map(|campaign| campaign.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), counted.len());
        for campaign in &counted {
            prop_assert!(campaign.attempts <= failures);
            prop_assert!(campaign.stopped + campaign.judged <= campaign.attempts);
            prop_assert!(campaign.unknown <= campaign.judged);
            prop_assert!(campaign.began_at <= campaign.last_at);
            prop_assert!(campaign.succeeded >= campaign.successes.len() as u64);
        }
    }

    #[test]
    fn what_known_devices_do_is_never_an_attack(traffic in prop::collection::vec(any_attempt(), 0..400)) {
        let traffic = traffic.into_iter().map(Made::known_device);
        prop_assert_eq!(all(&mut watch(), traffic), []);
    }
}

/// One that is under way, for tests of others.
pub(crate) fn attack(kind: Kind, second: i64) -> Campaign {
    let mut campaigns = watch();
    let client = |n: i64| far(u32::try_from(n % 3).unwrap());
    let traffic: Vec<Made> = match kind {
        Kind::Guessing => (0..40)
            .map(|n| Made::wrong(second + n, client(n), 7, n.unsigned_abs()))
            .collect(),
        Kind::Spraying => (0..40)
            .map(|n| Made::wrong(second + n, client(n), n.unsigned_abs(), 1))
            .collect(),
        Kind::MailBomb => (0..40).map(|n| Made::reset(second + n, client(n), 7)).collect(),
        Kind::Stuffing => (0..40)
            .map(|n| Made::wrong(second + n, client(0), n.unsigned_abs(), n.unsigned_abs()))
            .collect(),
        Kind::Probing => (0..40)
            .map(|n| Made::wrong(second + n, client(0), n.unsigned_abs(), n.unsigned_abs()).unknown())
            .collect(),
    };
    all(&mut campaigns, traffic);
    only(&campaigns).clone()
}
