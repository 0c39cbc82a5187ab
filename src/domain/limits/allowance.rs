//! How much several rules let through together, as figures: of all that bind, the tightest one counts at each length of
//! time.

use std::time::Duration;

use super::attempt::{Endpoint, LaneKind};
use super::policy::{Action, KeyKind, LimitRule, Policy, RuleName};
use super::quota::Quota;

/// An hour.
pub const HOUR: Duration = Duration::from_hours(1);
/// A day.
pub const DAY: Duration = Duration::from_hours(24);

/// Whom a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One client at one account.
    ClientAtAccount,
    /// One account, wherever the attempts come from.
    Account,
    /// One client, at any account.
    Client,
    /// One network of clients, at any account.
    Subnet,
    /// One password, at any account.
    Password,
    /// Everybody together.
    Everybody,
    /// One known device at one account.
    Device,
}

impl Scope {
    /// The stable name, for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientAtAccount => "client-at-account",
            Self::Account => "account",
            Self::Client => "client",
            Self::Subnet => "subnet",
            Self::Password => "password",
            Self::Everybody => "everybody",
            Self::Device => "device",
        }
    }

    /// Whether all that happens in this scope draws on one bucket of a rule with this key.
    const fn is_counted_together_by(self, key: KeyKind) -> bool {
        use KeyKind as K;
        match self {
            Self::ClientAtAccount => matches!(key, K::ClientAccount | K::Client | K::Subnet | K::Account | K::Global),
            Self::Account => matches!(key, K::Account | K::Global),
            Self::Client => matches!(key, K::Client | K::Subnet | K::Global),
            Self::Subnet => matches!(key, K::Subnet | K::Global),
            Self::Password => matches!(key, K::Password | K::Global),
            Self::Everybody => matches!(key, K::Global),
            Self::Device => !matches!(key, K::Password),
        }
    }
}

/// What several rules let through together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The rules that bind; at least one.
    rules: Vec<(RuleName, Quota)>,
}

impl Allowance {
    /// What the rules of a policy that refuse leave at an endpoint, to one lane, in one scope. `None`: nothing bounds it.
    pub fn of(policy: &Policy, endpoint: Endpoint, lane: LaneKind, scope: Scope) -> Option<Self> {
        let rules: Vec<_> = policy
            .rules
            .iter()
            .filter(|rule| rule.is_in_force(endpoint) && rule.action == Action::Refuse)
            .filter(|rule| rule.lane.admits(lane) && scope.is_counted_together_by(rule.key))
            .map(|rule| (rule.name.clone(), rule.quota))
            .collect();
        (!rules.is_empty()).then_some(Self { rules })
    }

    /// The most that may come at one moment.
    pub fn at_once(&self) -> u64 {
        self.most_within(Duration::ZERO)
    }

    /// The most that get through within any time of this length: one burst, and what refills meanwhile.
    pub fn most_within(&self, time: Duration) -> u64 {
        let most = |quota: &Quota| u64::from(quota.burst()).saturating_add(refilled(quota, time));
        self.rules
            .iter()
            .map(|(_, quota)| most(quota))
            .min()
            .unwrap_or(u64::MAX)
    }

    /// What gets through within this time once every burst is used up.
    pub fn lasting(&self, time: Duration) -> u64 {
        let rules = self.rules.iter();
        rules.map(|(_, quota)| refilled(quota, time)).min().unwrap_or(u64::MAX)
    }

    /// The time in which one gets through once every burst is used up.
    pub fn interval(&self) -> Duration {
        let rules = self.rules.iter();
        rules.map(|(_, quota)| quota.interval()).max().unwrap_or_default()
    }

    /// The rule that is the tightest over this time.
    pub fn tightest(&self, time: Duration) -> Option<&RuleName> {
        let most = |quota: &Quota| u64::from(quota.burst()).saturating_add(refilled(quota, time));
        let rules = self.rules.iter();
        rules.min_by_key(|(_, quota)| most(quota)).map(|(name, _)| name)
    }
}

impl LimitRule {
    /// Whether it counts anything at this endpoint.
    pub fn is_in_force(&self, endpoint: Endpoint) -> bool {
        self.enabled && self.endpoints.contains(&endpoint)
    }
}

/// What comes back within this time.
fn refilled(quota: &Quota, time: Duration) -> u64 {
    let nanos = time.as_nanos().saturating_mul(u128::from(quota.burst()));
    u64::try_from(nanos / quota.period().as_nanos().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::limits::{Meter, Nanos};

    fn allowance(quotas: &[&str]) -> Allowance {
        let rules = quotas.iter().enumerate().map(|(index, quota)| {
            let name = RuleName::parse(&format!("rule-{index}")).unwrap();
            (name, quota.parse().unwrap())
        });
        Allowance { rules: rules.collect() }
    }

    #[test]
    fn of_several_rules_the_tightest_counts_at_each_length_of_time() {
        let both = allowance(&["10 per 15m", "100 per 1day"]);
        assert_eq!((both.at_once(), both.most_within(HOUR)), (10, 50));
        assert_eq!(both.tightest(HOUR).unwrap().as_str(), "rule-0");
        // 100 at once and 100 in the day is tighter than 10 and 960.
        assert_eq!((both.most_within(DAY), both.lasting(DAY)), (200, 100));
        assert_eq!(both.tightest(DAY).unwrap().as_str(), "rule-1");
        assert_eq!((both.lasting(HOUR), both.interval().as_secs()), (4, 864));
    }

    proptest! {
        /// The figure is what meters let through when somebody tries as fast as they answer: neither more nor less.
        #[test]
        fn the_figures_are_what_the_meters_grant(
            quotas in prop::collection::vec((1_u32..30, 1_u64..5_000), 1..4),
            seconds in 0_u64..20_000,
        ) {
            // A day that divides into the quota's intervals without a rest, so that no nanosecond is lost.
            let quota = |(burst, every): &(u32, u64)| {
                Quota::new(*burst, Duration::from_secs(every * u64::from(*burst))).unwrap()
            };
            let quotas: Vec<Quota> = quotas.iter().map(quota).collect();
            let rules = quotas.iter().map(|quota| (RuleName::parse("r").unwrap(), *quota)).collect();
            let figures = Allowance { rules };
            let mut meters = vec![Meter::default(); quotas.len()];
            let mut granted = 0;
            for second in 0..=seconds {
                let now = Nanos((1_000_000 + second) * 1_000_000_000);
                loop {
                    let drawn: Result<Vec<_>, _> =
                        meters.iter().zip(&quotas).map(|(meter, quota)| meter.draw(quota, now)).collect();
                    let Ok(drawn) = drawn else { break };
                    meters = drawn;
                    granted += 1;
                }
            }
            prop_assert_eq!(granted, figures.most_within(Duration::from_secs(seconds)));
        }
    }
}
