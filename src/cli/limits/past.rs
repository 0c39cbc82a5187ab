//! What operators had ordered while attempts were made: whoever tries policies on the past counts as was counted then.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::app::read_policy;
use crate::domain::limits::replay::{Ordered, Spell};
use crate::domain::order::Decree;
use crate::ports::PastOrder;

use super::super::open;
use super::super::output::{Output, aside, plain};

/// What is said of a policy that nobody can count by any more.
const LEFT_OUT: &str = ": not understood any more, and left out";

/// The orders that are taken into account.
#[derive(Debug, Default)]
pub struct Past {
    /// The times in which they held.
    pub spells: Vec<Spell>,
    /// What is said of each.
    pub told: Vec<Told>,
}

/// An order, as it is told beside the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// From then on.
    pub from: Timestamp,
    /// Until then; `None` is still in force.
    pub until: Option<Timestamp>,
    /// What: `preset strict`, `file tonight.toml`, `exempt 10.0.0.0/8`.
    pub ordered: String,
    /// By whom.
    pub author: String,
    #[serde(skip)]
    is_exemption: bool,
    /// Whether this version understands it. A policy that it does not was not in force either.
    pub understood: bool,
}

impl Past {
    /// Every order that is kept, since a meter may remember for a year. Told are those of this time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(config: &Path, since: Timestamp, until: Timestamp) -> anyhow::Result<Self> {
        let orders = open::office(config, async |office, _| {
            Ok(office.orders.bearing(Timestamp::MIN).await?)
        })?;
        let mut past = Self::default();
        for order in orders.iter().filter(|past| past.order.made_at < until) {
            past.add(order, order.until().is_none_or(|over| over > since));
        }
        Ok(past)
    }

    /// Leaves the policies out that were applied, as if there had been none.
    pub fn forget_policies(&mut self) {
        self.spells = self.exemptions();
        self.told.retain(|told| told.is_exemption);
    }

    /// Exemptions alone, which hold whichever policy is tried.
    pub fn exemptions(&self) -> Vec<Spell> {
        let spells = self.spells.iter();
        spells
            .filter(|spell| matches!(spell.ordered, Ordered::Exemption(_)))
            .cloned()
            .collect()
    }

    fn add(&mut self, past: &PastOrder, is_told: bool) {
        let (order, until) = (&past.order, past.until());
        let (ordered, what) = match &order.decree {
            Decree::Exempt(network) => (Some(Ordered::Exemption(*network)), format!("exempt {network}")),
            Decree::Apply(source) => (
                read_policy(source).ok().map(|policy| Ordered::Policy(policy.into())),
                source.to_string(),
            ),
            Decree::Ban(_) => return,
        };
        if ordered.is_none() && is_told {
            aside(format_args!(
                "{}: this policy was applied on {} and is not understood any more; it is left out",
                plain(&what),
                order.made_at
            ));
        }
        if is_told {
            self.told.push(Told {
                from: order.made_at,
                until,
                ordered: what,
                author: order.author.as_str().to_owned(),
                is_exemption: matches!(order.decree, Decree::Exempt(_)),
                understood: ordered.is_some(),
            });
        }
        self.spells.extend(ordered.map(|ordered| Spell {
            from: order.made_at,
            until,
            ordered,
        }));
    }
}

impl Told {
    /// A policy that is not understood any more.
    #[cfg(test)]
    pub fn left_out_for_a_test(from: Timestamp) -> Self {
        Self {
            from,
            until: None,
            ordered: "file tonight.toml".to_owned(),
            author: "root".to_owned(),
            is_exemption: false,
            understood: false,
        }
    }

    /// In words.
    pub fn line(&self, output: &Output) -> String {
        let until = self.until.map_or_else(|| "now".to_owned(), |until| output.time(until));
        let (from, ordered) = (output.time(self.from), plain(&self.ordered));
        let left_out = if self.understood { "" } else { LEFT_OUT };
        format!(
            "{ordered}, from {from} to {until}, by {}{left_out}",
            plain(&self.author)
        )
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;
    use crate::domain::order::{Order, OrderId, PolicySource, Words};
    use crate::domain::session::tests::at;

    #[test]
    fn a_policy_that_is_not_understood_any_more_is_told_as_left_out() {
        let mut past = Past::default();
        let today = PolicySource::Preset("strict".to_owned());
        let former = PolicySource::File {
            name: "tonight.toml".to_owned(),
            text: "[[rule]]\nname = \"sign-in.password\"\nquota = \"20 per 1h\"".to_owned(),
        };
        for (number, source) in [(1, today), (2, former)] {
            let order = Order {
                id: OrderId::new(Uuid::from_u128(number)),
                decree: Decree::Apply(source),
                reason: None,
                author: Words::parse("root").unwrap(),
                made_at: at(0),
                until: Some(at(0) + SignedDuration::from_hours(1)),
            };
            past.add(&PastOrder { order, ended_at: None }, true);
        }
        let lines: Vec<_> = past.told.iter().map(|told| told.line(&Output::standard())).collect();
        assert!(lines[0].ends_with("by root"), "{lines:?}");
        assert!(
            lines[1].ends_with("by root: not understood any more, and left out"),
            "{lines:?}"
        );
        assert_eq!(past.spells.len(), 1);
    }
}
