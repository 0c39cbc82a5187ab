//! What another policy would change, rule by rule.

use std::fmt;

use ipnet::IpNet;

use super::policy::{LimitRule, Policy, RuleName};

/// One rule that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleChange {
    /// The new policy has it.
    Added(LimitRule),
    /// The new policy does not have it.
    Removed(LimitRule),
    /// Both have it.
    Changed(RuleName, Vec<PartChange>),
}

impl RuleChange {
    /// Which rule.
    pub const fn name(&self) -> &RuleName {
        match self {
            Self::Added(rule) | Self::Removed(rule) => &rule.name,
            Self::Changed(name, _) => name,
        }
    }
}

/// One part of a rule with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartChange {
    /// The key in the file.
    pub part: &'static str,
    /// As the old policy writes it.
    pub before: String,
    /// As the new policy writes it.
    pub after: String,
}

/// What is not the same in two policies. The order of rules means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rules: those of the old policy in its order, then those that are new.
    pub rules: Vec<RuleChange>,
    /// Networks that the new policy alone exempts.
    pub exempted: Vec<IpNet>,
    /// Networks that the old policy alone exempts.
    pub counted_again: Vec<IpNet>,
}

impl Difference {
    /// From one policy to another.
    pub fn between(old: &Policy, new: &Policy) -> Self {
        let mut rules: Vec<_> = old
            .rules
            .iter()
            .filter_map(|rule| match new.rule(&rule.name) {
                None => Some(RuleChange::Removed(rule.clone())),
                Some(other) => {
                    let parts = changed_parts(rule, other);
                    (!parts.is_empty()).then(|| RuleChange::Changed(rule.name.clone(), parts))
                }
            })
            .collect();
        let added = new.rules.iter().filter(|rule| old.rule(&rule.name).is_none());
        rules.extend(added.cloned().map(RuleChange::Added));
        let only = |here: &[IpNet], there: &[IpNet]| here.iter().filter(|net| !there.contains(net)).copied().collect();
        Self {
            rules,
            exempted: only(&new.exempt, &old.exempt),
            counted_again: only(&old.exempt, &new.exempt),
        }
    }

    /// Whether both policies say the same.
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.exempted.is_empty() && self.counted_again.is_empty()
    }
}

/// The most that one line names.
const MOST_NAMED: usize = 5;

/// In one line, for events and logs: `sign-in.client changed, mine added, 10.0.0.0/8 exempt`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self
            .rules
            .iter()
            .map(|change| {
                let what = match change {
                    RuleChange::Added(_) => "added",
                    RuleChange::Removed(_) => "removed",
                    RuleChange::Changed(..) => "changed",
                };
                format!("{} {what}", change.name())
            })
            .collect();
        parts.extend(self.exempted.iter().map(|net| format!("{net} exempt")));
        parts.extend(self.counted_again.iter().map(|net| format!("{net} not exempt")));
        if parts.is_empty() {
            return f.write_str("nothing");
        }
        let more = parts.len().saturating_sub(MOST_NAMED);
        parts.truncate(MOST_NAMED);
        f.write_str(&parts.join(", "))?;
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        Ok(())
    }
}

impl Policy {
    /// The rule of this name.
    pub fn rule(&self, name: &RuleName) -> Option<&LimitRule> {
        self.rules.iter().find(|rule| rule.name == *name)
    }
}

impl LimitRule {
    /// The parts but for the name, each as a policy writes it.
    pub fn parts(&self) -> [(&'static str, String); 7] {
        let endpoints: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
        let in_flight = self
            .in_flight
            .map_or_else(|| "none".to_owned(), |most| most.to_string());
        [
            ("endpoint", endpoints.join(", ")),
            ("key", self.key.as_str().to_owned()),
            ("quota", self.quota.to_string()),
            ("lane", self.lane.as_str().to_owned()),
            ("in_flight", in_flight),
            ("action", self.action.as_str().to_owned()),
            ("enabled", self.enabled.to_string()),
        ]
    }
}

fn changed_parts(old: &LimitRule, new: &LimitRule) -> Vec<PartChange> {
    let both = old.parts().into_iter().zip(new.parts());
    both.filter(|((_, before), (_, after))| before != after)
        .map(|((part, before), (_, after))| PartChange { part, before, after })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::attempt::Endpoint;
    use crate::domain::limits::policy::{Action, KeyKind, LaneFilter};

    fn rule(name: &str, quota: &str) -> LimitRule {
        LimitRule {
            name: RuleName::parse(name).unwrap(),
            endpoints: vec![Endpoint::SignIn],
            key: KeyKind::Client,
            lane: LaneFilter::Any,
            quota: quota.parse().unwrap(),
            in_flight: None,
            action: Action::Refuse,
            enabled: true,
        }
    }

    fn policy(rules: &[LimitRule], exempt: &[&str]) -> Policy {
        Policy {
            rules: rules.to_vec(),
            exempt: exempt.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn what_changed_is_told_rule_by_rule_and_the_order_means_nothing() {
        let old = policy(
            &[
                rule("same", "1 per 1m"),
                rule("gone", "1 per 1m"),
                rule("kept", "1 per 1m"),
            ],
            &["10.0.0.0/8"],
        );
        let kept = LimitRule {
            enabled: false,
            ..rule("kept", "2 per 1m")
        };
        let new = policy(
            &[rule("new", "1 per 1m"), kept, rule("same", "1 per 1m")],
            &["192.0.2.0/24"],
        );
        let difference = Difference::between(&old, &new);
        assert_eq!(
            difference.to_string(),
            "gone removed, kept changed, new added, 192.0.2.0/24 exempt, 10.0.0.0/8 not exempt"
        );
        let RuleChange::Changed(_, parts) = &difference.rules[1] else {
            panic!("{difference:?}")
        };
        let parts: Vec<_> = parts
            .iter()
            .map(|part| (part.part, &*part.before, &*part.after))
            .collect();
        assert_eq!(parts, [("quota", "1 per 1m", "2 per 1m"), ("enabled", "true", "false")]);
    }

    #[test]
    fn equal_policies_have_no_difference_and_many_changes_are_one_short_line() {
        let one = policy(&[rule("a", "1 per 1m")], &[]);
        assert!(Difference::between(&one, &one).is_empty());
        assert_eq!(Difference::between(&one, &one).to_string(), "nothing");
        let rules: Vec<_> = (0..60).map(|number| rule(&format!("r{number}"), "1 per 1m")).collect();
        let line = Difference::between(&Policy::default(), &policy(&rules, &[])).to_string();
        assert!(line.ends_with("r4 added and 55 more"), "{line}");
    }
}
