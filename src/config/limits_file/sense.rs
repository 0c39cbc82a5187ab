//! What cannot be counted together: rules that are written well and could never do what they say.

use crate::domain::limits::PASSWORDS_KNOWN_FOR;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::fixed::Fixed;
use crate::domain::limits::policy::{Action, KeyKind, LaneFilter, LimitRule, RuleName};

use Endpoint as At;
use KeyKind as By;

/// Why a rule makes no sense.
pub(super) struct Nonsense {
    /// The parts that do not fit together; the first that is written is the one to look at.
    pub parts: &'static [&'static str],
    /// A sentence for the operator.
    pub why: String,
}

/// Everything that makes no sense in a rule.
pub(super) fn nonsense(rule: &LimitRule) -> Vec<Nonsense> {
    let mut found = Vec::new();
    if rule.endpoints.contains(&At::AnyRequest) && rule.endpoints.len() > 1 {
        found.push(Nonsense {
            parts: &["endpoint"],
            why: "\"any-request\" counts every request, many times as many as the others: give it a rule of its own"
                .to_owned(),
        });
        return found;
    }
    for endpoint in &rule.endpoints {
        found.extend(no_such_key(*endpoint, rule.key));
        found.extend(no_such_lane(*endpoint, rule.lane));
    }
    if rule.endpoints == [At::AnyRequest] {
        found.extend(is_quick(rule));
    }
    if rule.key == By::Device && rule.lane == LaneFilter::Only(LaneKind::Strangers) {
        found.push(Nonsense {
            parts: &["lane", "key"],
            why: "a stranger's device is not known, so key \"device\" counts none of lane \"strangers\": write lane = \
                  \"known\", or another key"
                .to_owned(),
        });
    }
    if found.is_empty() && rule.key == By::Password && rule.quota.period() > PASSWORDS_KNOWN_FOR {
        found.push(Nonsense {
            parts: &["quota", "key"],
            why: format!(
                "that two passwords were the same is known for {} and no longer, so that no quota for a longer time could be \
                 kept: write it for {0} or less",
                humantime::format_duration(PASSWORDS_KNOWN_FOR)
            ),
        });
    }
    found
}

fn no_such_key(endpoint: Endpoint, key: KeyKind) -> Option<Nonsense> {
    let nonsense = |why| {
        Some(Nonsense {
            parts: &["key", "endpoint"],
            why,
        })
    };
    let sensible: &[KeyKind] = match endpoint {
        At::ForgotPassword if key == By::Password => {
            return nonsense(
                "nobody gives a password at \"forgot-password\", so key \"password\" counts nothing there: write key = \
                 \"account\""
                    .to_owned(),
            );
        }
        At::SignIn | At::ChangePassword | At::ForgotPassword => return None,
        At::SetPassword | At::ApiToken => &[By::Client, By::Subnet, By::Global],
        At::AnyRequest => &[By::Client],
    };
    if sensible.contains(&key) {
        return None;
    }
    let words: Vec<_> = sensible.iter().map(|key| format!("{:?}", key.as_str())).collect();
    let (endpoint, key, words) = (endpoint.as_str(), key.as_str(), words.join(" or "));
    nonsense(format!(
        "\"{endpoint}\" cannot be counted by key \"{key}\", since the attempt does not tell it: write key = {words}"
    ))
}

fn no_such_lane(endpoint: Endpoint, lane: LaneFilter) -> Option<Nonsense> {
    let why = match (endpoint, lane) {
        (At::SetPassword | At::ApiToken | At::AnyRequest, LaneFilter::Only(lane)) => format!(
            "\"{}\" is tried before it is known for which account, so lane \"{}\" has no meaning there: write lane = \"any\"",
            endpoint.as_str(),
            lane.as_str()
        ),
        (At::ChangePassword, LaneFilter::Only(LaneKind::Strangers)) => {
            "nobody but somebody signed in comes to \"change-password\", so lane \"strangers\" counts nothing there: write \
             lane = \"known\" or \"any\""
                .to_owned()
        }
        _ => return None,
    };
    Some(Nonsense {
        parts: &["lane", "endpoint"],
        why,
    })
}

/// What counts every request is quick: nobody waits there, and nothing ends.
fn is_quick(rule: &LimitRule) -> Vec<Nonsense> {
    let mut found = Vec::new();
    if rule.action == Action::Slow {
        found.push(Nonsense {
            parts: &["action", "endpoint"],
            why: "\"any-request\" keeps nobody waiting, so action \"slow\" has no meaning there: write action = \"refuse\" or \
                  \"notify\""
                .to_owned(),
        });
    }
    if rule.in_flight.is_some() {
        found.push(Nonsense {
            parts: &["in_flight", "endpoint"],
            why: "\"any-request\" has no end to wait for, so nothing is under way there: leave in_flight out"
                .to_owned(),
        });
    }
    found
}

/// Why a rule may not have this name.
pub(super) fn reserved(name: &RuleName) -> Option<&'static str> {
    let name = name.as_str();
    (name.starts_with("mail.") || Fixed::parse(name).is_some())
        .then_some("the budgets of letters are counted under this name: choose another")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_shares_a_bucket_with_a_fixed_budget() {
        for fixed in Fixed::ALL {
            assert!(reserved(&RuleName::fixed(fixed)).is_some(), "{}", fixed.as_str());
        }
    }
}
