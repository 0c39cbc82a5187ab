//! What is allowed in a policy and yet does not do what its author is likely to want.

use ipnet::IpNet;

use super::allowance::{Allowance, Scope};
use super::attempt::{Endpoint, LaneKind};
use super::policy::{Action, KeyKind, LaneFilter, LimitRule, Policy, RuleName};

/// One thing to think over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The first rule never bites: whatever it counts is stopped by the second one first.
    NeverBites(RuleName, RuleName),
    /// Strangers who run into this rule close the account to its owner, too.
    LocksOwnersOut(RuleName),
    /// Everybody together runs into this rule, known devices with them.
    LocksEverybodyOut(RuleName),
    /// No rule in force counts anything there.
    Unguarded(Endpoint),
    /// Passwords of one account may be guessed without end, as long as the guesses come from many addresses.
    EndlessGuesses,
    /// So much of the Internet is exempt that it is as good as everybody.
    ExemptsEverybody(IpNet),
    /// As many may be under way at once as the quota grants anyway.
    IdleCap(RuleName),
}

impl Policy {
    /// Everything to think over, in the order of the file.
    pub fn advice(&self) -> Vec<Advice> {
        let wide = self.exempt.iter().filter(|network| is_everybody(network));
        let mut advice: Vec<_> = wide.map(|network| Advice::ExemptsEverybody(*network)).collect();
        for (index, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.enabled) {
            advice.extend(
                self.tighter(index, rule)
                    .map(|other| Advice::NeverBites(rule.name.clone(), other)),
            );
            advice.extend(rule.locks_out());
            if rule.in_flight.is_some_and(|most| most >= rule.quota.burst()) {
                advice.push(Advice::IdleCap(rule.name.clone()));
            }
        }
        for endpoint in Endpoint::ALL {
            if !self.rules.iter().any(|rule| rule.is_in_force(endpoint)) {
                advice.push(Advice::Unguarded(endpoint));
            } else if endpoint == Endpoint::SignIn
                && Allowance::of(self, endpoint, LaneKind::Strangers, Scope::Account).is_none()
            {
                advice.push(Advice::EndlessGuesses);
            }
        }
        advice
    }

    /// The rule that stops everything before this one could.
    fn tighter(&self, index: usize, rule: &LimitRule) -> Option<RuleName> {
        let others = self.rules.iter().enumerate().filter(|(other, _)| *other != index);
        others
            .filter(|(_, other)| other.enabled && other.action == Action::Refuse && other.counts_all_of(rule))
            .find(|(at, other)| {
                // Of two equal ones, the later is idle.
                let equal = other.quota == rule.quota && rule.action == Action::Refuse && rule.counts_all_of(other);
                other.is_as_tight_as(rule) && (!equal || *at < index)
            })
            .map(|(_, other)| other.name.clone())
    }
}

impl LimitRule {
    /// Whether everything that draws on one bucket of `rule` draws on one bucket of this one.
    fn counts_all_of(&self, rule: &Self) -> bool {
        let lane = self.lane == LaneFilter::Any || self.lane == rule.lane;
        lane && coarser(self.key, rule.key) && rule.endpoints.iter().all(|endpoint| self.endpoints.contains(endpoint))
    }

    /// Whether this one has run out whenever `rule` has.
    fn is_as_tight_as(&self, rule: &Self) -> bool {
        let capped = match (rule.in_flight, self.in_flight) {
            (None, _) => true,
            (Some(most), _) if most >= rule.quota.burst() => true,
            (Some(most), Some(own)) => own <= most,
            (Some(_), None) => false,
        };
        capped && rule.quota.is_as_wide_as(&self.quota)
    }

    fn locks_out(&self) -> Option<Advice> {
        let hits =
            self.action == Action::Refuse && self.lane == LaneFilter::Any && self.endpoints.contains(&Endpoint::SignIn);
        match self.key {
            KeyKind::Account if hits => Some(Advice::LocksOwnersOut(self.name.clone())),
            KeyKind::Global if hits => Some(Advice::LocksEverybodyOut(self.name.clone())),
            _ => None,
        }
    }
}

/// Whether one bucket by `key` holds all of one bucket by `finer`. Keys of clients have more room where many people share
/// an address, and others have not, so that the two cannot be compared.
const fn coarser(key: KeyKind, finer: KeyKind) -> bool {
    use KeyKind as K;
    matches!(
        (key, finer),
        (K::Client, K::Client)
            | (K::Subnet, K::Client | K::Subnet)
            | (K::Account, K::Account | K::ClientAccount | K::Device)
            | (K::ClientAccount, K::ClientAccount)
            | (K::Device, K::Device)
            | (K::Password, K::Password)
            | (K::Global, _)
    )
}

/// More than what is written as a /4, of IPv6 as a /8: whole continents.
const fn is_everybody(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 4,
        IpNet::V6(network) => network.prefix_len() < 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::Quota;

    fn rule(name: &str, key: KeyKind, lane: LaneFilter, quota: &str) -> LimitRule {
        LimitRule {
            name: RuleName::parse(name).unwrap(),
            endpoints: vec![Endpoint::SignIn],
            key,
            lane,
            quota: quota.parse::<Quota>().unwrap(),
            in_flight: None,
            action: Action::Refuse,
            enabled: true,
        }
    }

    fn name(text: &str) -> RuleName {
        RuleName::parse(text).unwrap()
    }

    /// What is said about these rules, but for endpoints that have none.
    fn advice(rules: Vec<LimitRule>) -> Vec<Advice> {
        let policy = Policy {
            rules,
            exempt: Vec::new(),
        };
        let advice = policy.advice().into_iter();
        advice
            .filter(|advice| !matches!(advice, Advice::Unguarded(_) | Advice::EndlessGuesses))
            .collect()
    }

    const STRANGERS: LaneFilter = LaneFilter::Only(LaneKind::Strangers);
    const KNOWN: LaneFilter = LaneFilter::Only(LaneKind::Known);

    #[test]
    fn a_rule_behind_a_tighter_one_never_bites() {
        let tight = || rule("tight", KeyKind::Account, STRANGERS, "5 per 1h");
        let idle = vec![Advice::NeverBites(name("idle"), name("tight"))];
        for key in [KeyKind::Account, KeyKind::ClientAccount] {
            assert_eq!(
                advice(vec![rule("idle", key, STRANGERS, "10 per 1h"), tight()]),
                idle,
                "{key:?}"
            );
        }
        // Each of these can run out before the tight one does.
        for other in [
            rule("other", KeyKind::Account, STRANGERS, "4 per 1h"),
            rule("other", KeyKind::Account, STRANGERS, "10 per 1day"),
            rule("other", KeyKind::Account, KNOWN, "10 per 1h"),
            rule("other", KeyKind::Client, STRANGERS, "10 per 1h"),
            LimitRule {
                in_flight: Some(1),
                ..rule("other", KeyKind::ClientAccount, STRANGERS, "10 per 1h")
            },
        ] {
            let idle = advice(vec![other.clone(), tight()]);
            assert!(
                !idle
                    .iter()
                    .any(|advice| matches!(advice, Advice::NeverBites(rule, _) if *rule == other.name)),
                "{other:?}"
            );
        }
    }

    #[test]
    fn a_rule_that_does_not_refuse_leaves_the_others_their_work() {
        for action in [Action::Slow, Action::Notify] {
            let soft = LimitRule {
                action,
                ..rule("soft", KeyKind::Global, STRANGERS, "5 per 1h")
            };
            assert_eq!(
                advice(vec![soft, rule("hard", KeyKind::Client, STRANGERS, "10 per 1h")]),
                []
            );
        }
        let off = LimitRule {
            enabled: false,
            ..rule("off", KeyKind::Account, STRANGERS, "5 per 1h")
        };
        assert_eq!(
            advice(vec![off, rule("on", KeyKind::Account, STRANGERS, "10 per 1h")]),
            []
        );
    }

    #[test]
    fn of_two_equal_rules_the_later_is_idle() {
        let rules = vec![
            rule("one", KeyKind::Client, STRANGERS, "5 per 1h"),
            rule("two", KeyKind::Client, STRANGERS, "5 per 1h"),
        ];
        assert_eq!(advice(rules), [Advice::NeverBites(name("two"), name("one"))]);
    }

    #[test]
    fn a_shared_address_has_more_room_than_one_account_from_it() {
        let rules = vec![
            rule("address", KeyKind::Client, STRANGERS, "5 per 1h"),
            rule("both", KeyKind::ClientAccount, STRANGERS, "10 per 1h"),
        ];
        assert_eq!(
            advice(rules),
            [],
            "ten people's worth of room makes the second one bite"
        );
    }

    #[test]
    fn strangers_who_can_lock_an_owner_out_are_told_of() {
        let account = rule("account", KeyKind::Account, LaneFilter::Any, "5 per 1h");
        assert_eq!(advice(vec![account.clone()]), [Advice::LocksOwnersOut(name("account"))]);
        assert_eq!(
            advice(vec![LimitRule {
                action: Action::Notify,
                ..account
            }]),
            []
        );
        let all = rule("all", KeyKind::Global, LaneFilter::Any, "500 per 1h");
        assert_eq!(advice(vec![all]), [Advice::LocksEverybodyOut(name("all"))]);
        assert_eq!(
            advice(vec![rule("account", KeyKind::Account, STRANGERS, "5 per 1h")]),
            []
        );
    }

    #[test]
    fn what_no_rule_counts_is_told_of() {
        let policy = Policy::default();
        assert_eq!(policy.advice(), Endpoint::ALL.map(Advice::Unguarded));
        let by_client = Policy {
            rules: vec![rule("client", KeyKind::Client, STRANGERS, "5 per 1h")],
            exempt: Vec::new(),
        };
        assert!(by_client.advice().contains(&Advice::EndlessGuesses));
    }

    #[test]
    fn exempting_everybody_is_told_of_and_a_private_network_is_not() {
        let exempt = ["0.0.0.0/0", "10.0.0.0/8", "fc00::/7", "2000::/3"];
        let policy = Policy {
            rules: Vec::new(),
            exempt: exempt.map(|net| net.parse().unwrap()).to_vec(),
        };
        let told: Vec<_> = policy
            .advice()
            .into_iter()
            .take_while(|a| matches!(a, Advice::ExemptsEverybody(_)))
            .collect();
        assert_eq!(
            told,
            ["0.0.0.0/0", "2000::/3"].map(|net| Advice::ExemptsEverybody(net.parse().unwrap()))
        );
    }

    #[test]
    fn a_cap_that_the_quota_keeps_anyway_is_idle() {
        let capped = |most| LimitRule {
            in_flight: Some(most),
            ..rule("capped", KeyKind::Client, STRANGERS, "5 per 1h")
        };
        assert_eq!(advice(vec![capped(5)]), [Advice::IdleCap(name("capped"))]);
        assert_eq!(advice(vec![capped(4)]), []);
    }
}
