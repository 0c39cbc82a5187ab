//! A policy: named rules, each with what it counts and what it does beyond its quota. Its text form is in `config`.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::attempt::{Attempt, Endpoint, LaneKind, subnet};
use super::fixed::Fixed;
use super::ledger::{Bucket, Draw, Subject};
use super::quota::Quota;
use crate::domain::client::ClientAddr;

/// The name of a rule: lower-case letters, digits and `.+-`, at most 48 characters. It stands in logs, events, metrics
/// and records, and what has been counted stays with it when the policy changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleName(Arc<str>);

impl RuleName {
    const MOST_CHARS: usize = 48;

    /// `None` when the name has other characters, none or too many.
    pub fn parse(text: &str) -> Option<Self> {
        let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
        (!text.is_empty() && text.len() <= Self::MOST_CHARS && text.chars().all(right)).then(|| Self(text.into()))
    }

    /// The name of a budget that belongs to no policy.
    pub fn fixed(budget: Fixed) -> Self {
        Self(budget.as_str().into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RuleName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no name of a rule")
    }
}

impl From<RuleName> for String {
    fn from(name: RuleName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// By what a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// IPv4 address, or /64 of IPv6.
    Client,
    /// /24 of IPv4, or /48 of IPv6.
    Subnet,
    /// The account or address aimed at, existing or invented.
    Account,
    /// One client at one account.
    ClientAccount,
    /// One device at one account.
    Device,
    /// One password, at any account: the same one tried on many.
    Password,
    /// Everybody together.
    Global,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Client,
        Self::Subnet,
        Self::Account,
        Self::ClientAccount,
        Self::Device,
        Self::Password,
        Self::Global,
    ];

    /// As it is written in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Subnet => "subnet",
            Self::Account => "account",
            Self::ClientAccount => "client+account",
            Self::Device => "device",
            Self::Password => "password",
            Self::Global => "global",
        }
    }

    /// The opposite of [`KeyKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Whose attempts a rule counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LaneFilter {
    /// Everybody's.
    #[default]
    Any,
    /// Those of one lane.
    Only(LaneKind),
}

impl LaneFilter {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Any, Self::Only(LaneKind::Strangers), Self::Only(LaneKind::Known)];

    /// As it is written in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Only(lane) => lane.as_str(),
        }
    }

    /// Whether attempts of this lane are counted.
    pub fn admits(self, lane: LaneKind) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == lane,
        }
    }
}

/// What a rule does beyond its quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// The attempt is refused, with the time to wait.
    #[default]
    Refuse,
    /// The attempt is answered late: by the time to wait, at most [`Action::LONGEST_DELAY`]. Known devices never are,
    /// unless the rule is about the known lane.
    Slow,
    /// Nothing but an event, a metric and a line in the log.
    Notify,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Slow, Self::Notify];

    /// The longest that an attempt is kept waiting.
    pub const LONGEST_DELAY: std::time::Duration = std::time::Duration::from_secs(10);

    /// As it is written in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Slow => "slow",
            Self::Notify => "notify",
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// Its name; no two rules of a policy share one.
    pub name: RuleName,
    /// What it counts. Several share one budget.
    pub endpoints: Vec<Endpoint>,
    /// By what.
    pub key: KeyKind,
    /// Whose attempts.
    pub lane: LaneFilter,
    /// How many per how long.
    pub quota: Quota,
    /// How many may be under way at once; `None` is as many as the quota grants.
    pub in_flight: Option<u32>,
    /// What happens beyond.
    pub action: Action,
    /// A rule that is switched off stays in the file and counts nothing.
    pub enabled: bool,
}

impl LimitRule {
    /// A rule about both lanes that refuses; `None` when its name or its quota is none.
    pub fn new(name: &str, endpoints: &[Endpoint], key: KeyKind, quota: &str) -> Option<Self> {
        Some(Self {
            name: RuleName::parse(name)?,
            endpoints: endpoints.to_vec(),
            key,
            lane: LaneFilter::Any,
            quota: quota.parse().ok()?,
            in_flight: None,
            action: Action::Refuse,
            enabled: true,
        })
    }

    /// The same, for one lane.
    #[must_use]
    pub fn of(mut self, lane: LaneKind) -> Self {
        self.lane = LaneFilter::Only(lane);
        self
    }

    /// What this attempt draws on under this rule; `None` when the rule does not concern it.
    pub fn draw(&self, attempt: &Attempt) -> Option<Draw> {
        let of_lane = match self.lane {
            LaneFilter::Any => self.action != Action::Slow || attempt.lane() == LaneKind::Strangers,
            LaneFilter::Only(lane) => lane == attempt.lane(),
        };
        if !self.enabled || !of_lane || !self.endpoints.contains(&attempt.endpoint) {
            return None;
        }
        let client = attempt.client.limit_key();
        let subject = match self.key {
            KeyKind::Client => Subject::Client(client),
            KeyKind::Subnet => Subject::Subnet(subnet(client)),
            KeyKind::Account => Subject::Account(attempt.account?),
            KeyKind::ClientAccount => Subject::ClientAccount(client, attempt.account?),
            KeyKind::Device => Subject::Device(attempt.device?),
            KeyKind::Password => Subject::Password(attempt.password?),
            KeyKind::Global => Subject::Global,
        };
        // Many people behind one address are several clients; what may be tried at one account stays as it is.
        let quota = match self.key {
            KeyKind::Client | KeyKind::Subnet => self.quota.times(attempt.budgets),
            _ => self.quota,
        };
        Some(Draw {
            bucket: Bucket {
                rule: self.name.clone(),
                subject,
            },
            quota,
            in_flight: self.in_flight,
            action: self.action,
            for_anybody: self.is_for_anybody(),
        })
    }

    /// Whether it draws the same whatever account an attempt is aimed at and whoever is known there.
    const fn is_for_anybody(&self) -> bool {
        matches!(self.lane, LaneFilter::Any)
            && !matches!(self.action, Action::Slow)
            && !matches!(self.key, KeyKind::Account | KeyKind::ClientAccount | KeyKind::Device)
    }
}

/// Named rules and who is exempt from all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// In the order of the file; every rule that concerns an attempt counts it.
    pub rules: Vec<LimitRule>,
    /// Clients whom no rule counts.
    pub exempt: Vec<IpNet>,
}

impl Policy {
    /// What an attempt draws on.
    pub fn draws(&self, attempt: &Attempt) -> Vec<Draw> {
        self.draws_under(attempt, |_| true)
    }

    /// What an attempt draws on whatever account it is aimed at, for a look before anybody is looked up.
    pub fn draws_of_anybody(&self, attempt: &Attempt) -> Vec<Draw> {
        self.draws_under(attempt, LimitRule::is_for_anybody)
    }

    /// Whether no rule counts this client.
    pub fn exempts(&self, client: ClientAddr) -> bool {
        let client = client.ip();
        self.exempt.iter().any(|network| network.contains(&client))
    }

    fn draws_under(&self, attempt: &Attempt, which: impl Fn(&LimitRule) -> bool) -> Vec<Draw> {
        if self.exempts(attempt.client) {
            return Vec::new();
        }
        let rules = self.rules.iter().filter(|rule| which(rule));
        rules.filter_map(|rule| rule.draw(attempt)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::NameDigest;
    use super::*;

    fn attempt(client: &str, device: Option<u64>) -> Attempt {
        Attempt {
            account: Some(NameDigest(1, 1)),
            device: device.map(|device| NameDigest(device, 0)),
            password: Some(NameDigest(2, 2)),
            ..Attempt::new(Endpoint::SignIn, ClientAddr::new(client.parse().unwrap()))
        }
    }

    fn rule(name: &str, key: KeyKind) -> LimitRule {
        LimitRule::new(name, &[Endpoint::SignIn, Endpoint::ChangePassword], key, "5 per 1m").unwrap()
    }

    fn one_of_each() -> Policy {
        let rule = |key: KeyKind| rule(key.as_str(), key);
        Policy {
            rules: KeyKind::ALL.into_iter().map(rule).collect(),
            exempt: Vec::new(),
        }
    }

    fn names(draws: &[Draw]) -> Vec<&str> {
        draws.iter().map(|draw| draw.bucket.rule.as_str()).collect()
    }

    #[test]
    fn a_rule_counts_by_its_key_and_an_attempt_without_it_is_not_concerned() {
        let policy = one_of_each();
        let whole = policy.draws(&attempt("192.0.2.77", Some(3)));
        let client = "192.0.2.77".parse().unwrap();
        assert_eq!(
            whole.iter().map(|draw| draw.bucket.subject.clone()).collect::<Vec<_>>(),
            [
                Subject::Client(client),
                Subject::Subnet("192.0.2.0".parse().unwrap()),
                Subject::Account(NameDigest(1, 1)),
                Subject::ClientAccount(client, NameDigest(1, 1)),
                Subject::Device(NameDigest(3, 0)),
                Subject::Password(NameDigest(2, 2)),
                Subject::Global,
            ]
        );
        let least = policy.draws(&Attempt::new(
            Endpoint::ChangePassword,
            ClientAddr::new("2001:db8::1".parse().unwrap()),
        ));
        assert_eq!(names(&least), ["client", "subnet", "global"]);
        let other = Attempt::new(Endpoint::ApiToken, ClientAddr::new(client));
        assert!(policy.draws(&other).is_empty(), "another endpoint");
    }

    #[test]
    fn what_anybody_meets_depends_on_no_account_and_no_lane() {
        let mut policy = one_of_each();
        policy
            .rules
            .push(rule("strangers", KeyKind::Client).of(LaneKind::Strangers));
        let mut slow = rule("slow", KeyKind::Client);
        slow.action = Action::Slow;
        policy.rules.push(slow);
        let draws = policy.draws_of_anybody(&attempt("192.0.2.77", None));
        assert_eq!(names(&draws), ["client", "subnet", "password", "global"]);
        assert!(draws.iter().all(|draw| draw.for_anybody));
        let known = policy.draws_of_anybody(&attempt("192.0.2.77", Some(1)));
        assert_eq!(known, draws);
    }

    #[test]
    fn known_devices_meet_their_own_rules_and_are_slowed_down_by_no_others() {
        let mut policy = Policy::default();
        for (name, lane) in [
            ("any", LaneFilter::Any),
            ("strangers", LaneFilter::Only(LaneKind::Strangers)),
            ("known", LaneFilter::Only(LaneKind::Known)),
        ] {
            for (action, what) in [(Action::Refuse, "stop"), (Action::Slow, "slow")] {
                policy.rules.push(LimitRule {
                    lane,
                    action,
                    ..rule(&format!("{name}.{what}"), KeyKind::Client)
                });
            }
        }
        let stranger = policy.draws(&attempt("192.0.2.1", None));
        assert_eq!(
            names(&stranger),
            ["any.stop", "any.slow", "strangers.stop", "strangers.slow"]
        );
        let known = policy.draws(&attempt("192.0.2.1", Some(1)));
        assert_eq!(names(&known), ["any.stop", "known.stop", "known.slow"]);
    }

    #[test]
    fn a_crowd_has_more_room_by_address_and_no_more_at_an_account() {
        let crowd = Attempt {
            budgets: 4,
            ..attempt("192.0.2.1", None)
        };
        for draw in one_of_each().draws(&crowd) {
            let wide = matches!(draw.bucket.subject, Subject::Client(_) | Subject::Subnet(_));
            assert_eq!(draw.quota.burst(), if wide { 20 } else { 5 }, "{draw:?}");
        }
    }

    #[test]
    fn whoever_is_exempt_and_rules_that_are_off_count_nothing() {
        let mut policy = one_of_each();
        policy.exempt.push("10.0.0.0/8".parse().unwrap());
        assert!(policy.draws(&attempt("10.1.2.3", None)).is_empty());
        assert!(policy.draws(&attempt("::ffff:10.1.2.3", None)).is_empty());
        assert!(!policy.draws(&attempt("11.1.2.3", None)).is_empty());
        for rule in &mut policy.rules {
            rule.enabled = false;
        }
        assert!(policy.draws(&attempt("11.1.2.3", None)).is_empty());
    }
}
