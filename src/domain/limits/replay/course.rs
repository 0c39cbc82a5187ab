//! [`Course`]: which policy was in force when. That of the files, but for the times in which an operator had ordered another
//! one, or that some clients are counted by none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::domain::limits::policy::Policy;
use crate::domain::limits::regime::Regime;

/// A time in which something was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spell {
    /// From then on.
    pub from: Timestamp,
    /// From then on no more; `None` is still in force.
    pub until: Option<Timestamp>,
    /// What.
    pub ordered: Ordered,
}

/// What was ordered for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// This policy in the place of the other one.
    Policy(Arc<Policy>),
    /// No rule counts clients from there.
    Exemption(IpNet),
}

/// Policies one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    in_force: Arc<Policy>,
    later: VecDeque<(Timestamp, Arc<Policy>)>,
}

impl From<Arc<Policy>> for Course {
    fn from(policy: Arc<Policy>) -> Self {
        Self {
            in_force: policy,
            later: VecDeque::new(),
        }
    }
}

impl Course {
    /// This policy, with what was ordered.
    pub fn new(policy: &Arc<Policy>, spells: &[Spell]) -> Self {
        let mut moments: Vec<Timestamp> = spells
            .iter()
            .flat_map(|spell| [Some(spell.from), spell.until])
            .flatten()
            .collect();
        moments.sort_unstable();
        moments.dedup();
        let later = moments.into_iter().map(|at| (at, in_force(policy, spells, at)));
        Self {
            in_force: Arc::clone(policy),
            later: later.collect(),
        }
    }

    /// The policy at this time. Times are asked for in their order.
    pub fn at(&mut self, at: Timestamp) -> &Policy {
        while let Some((_, policy)) = self.later.pop_front_if(|(from, _)| *from <= at) {
            self.in_force = policy;
        }
        &self.in_force
    }

    /// All of them.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        let later = self.later.iter().map(|(_, policy)| policy);
        std::iter::once(&self.in_force).chain(later).map(AsRef::as_ref)
    }

    /// How long any meter of any of them remembers.
    pub fn memory(&self) -> Duration {
        self.policies().map(Policy::memory).max().unwrap_or_default()
    }
}

/// Of several policies that were ordered the newest counts, and every exemption does.
fn in_force(policy: &Arc<Policy>, spells: &[Spell], at: Timestamp) -> Arc<Policy> {
    let now = spells
        .iter()
        .filter(|spell| spell.from <= at && spell.until.is_none_or(|until| at < until));
    let (mut active, mut exempt) = ((Timestamp::MIN, policy), Vec::new());
    for spell in now {
        match &spell.ordered {
            Ordered::Policy(ordered) if spell.from >= active.0 => active = (spell.from, ordered),
            Ordered::Policy(_) => {}
            Ordered::Exemption(network) => exempt.push(*network),
        }
    }
    let regime = Regime {
        active: Arc::clone(active.1),
        candidate: None,
    };
    regime.exempting(&exempt).active
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::attempt::Endpoint;
    use crate::domain::limits::policy::{KeyKind, LimitRule};
    use crate::domain::session::tests::at;

    fn policy(name: &str) -> Arc<Policy> {
        Arc::new(Policy {
            rules: LimitRule::new(name, &[Endpoint::SignIn], KeyKind::Client, "1 per 1h")
                .into_iter()
                .collect(),
            exempt: Vec::new(),
        })
    }

    fn spell(from: i64, until: Option<i64>, ordered: Ordered) -> Spell {
        Spell {
            from: at(from),
            until: until.map(at),
            ordered,
        }
    }

    #[test]
    fn an_order_holds_from_its_beginning_to_its_end_and_the_newest_policy_counts() {
        let spells = [
            spell(10, Some(30), Ordered::Policy(policy("strict"))),
            spell(20, Some(25), Ordered::Policy(policy("relaxed"))),
            spell(24, None, Ordered::Exemption("10.0.0.0/8".parse().unwrap())),
        ];
        let mut course = Course::new(&policy("files"), &spells);
        assert_eq!(course.policies().count(), 6);
        for (second, name, exempt) in [
            (0, "files", 0),
            (10, "strict", 0),
            (19, "strict", 0),
            (20, "relaxed", 0),
            (24, "relaxed", 1),
            (25, "strict", 1),
            (30, "files", 1),
            (1000, "files", 1),
        ] {
            let policy = course.at(at(second));
            let found = (policy.rules[0].name.as_str(), policy.exempt.len());
            assert_eq!(found, (name, exempt), "{second}");
        }
    }
}
