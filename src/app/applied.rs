//! The policy that an operator has applied for a while: in force in the place of the configuration's until its time is over.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::limits_file;
use crate::domain::limits::policy::Policy;
use crate::domain::order::{Decree, Order, OrderId, PolicySource};
use crate::flows::StandingOrders;

use super::regime::Regimes;

/// Sees when such an order comes into force and when it passes: by a command or by its time, also when that came while
/// nothing ran.
pub(super) struct Applied {
    standing: Arc<StandingOrders>,
    regimes: Arc<Regimes>,
    in_force: Mutex<Option<OrderId>>,
}

impl Applied {
    /// None is in force yet: [`Applied::look`] comes first.
    pub fn new(standing: Arc<StandingOrders>, regimes: Arc<Regimes>) -> Self {
        Self {
            standing,
            regimes,
            in_force: Mutex::default(),
        }
    }

    /// Looks whether another policy is applied than before, or none any more.
    pub async fn look(&self) {
        let order = self.standing.policy();
        let id = order.as_ref().map(|order| order.id);
        if std::mem::replace(&mut *self.in_force.lock(), id) != id {
            self.regimes.overrule(order.as_ref().and_then(understood)).await;
        }
    }
}

/// The policy of an order. One that this version does not understand leaves the configuration's in force.
fn understood(order: &Order) -> Option<Arc<Policy>> {
    let Decree::Apply(source) = &order.decree else {
        return None;
    };
    match read(source) {
        Ok(policy) => {
            let name = source.to_string();
            tracing::info!(
                policy = name,
                author = order.author.as_str(),
                "an operator has applied another policy"
            );
            Some(Arc::new(policy))
        }
        Err(problems) => {
            let problem = problems.join("; ");
            tracing::error!(order = %order.id, problem, "the applied policy cannot be used; that of the configuration stays in force");
            None
        }
    }
}

/// Reads a policy that is to be applied.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub fn read(source: &PolicySource) -> Result<Policy, Vec<String>> {
    match source {
        PolicySource::Preset(name) => limits_file::preset(name).ok_or_else(|| {
            vec![format!(
                "there is no preset {name:?}; write relaxed, standard or strict, or the path of a policy file"
            )]
        }),
        PolicySource::File { name, text } => limits_file::parse(text)
            .map_err(|problems| problems.iter().map(|problem| format!("{name}: {problem}")).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_a_whole_or_refused_with_every_reason() {
        let preset = |name: &str| read(&PolicySource::Preset(name.to_owned()));
        assert!(!preset("strict").unwrap().rules.is_empty());
        assert!(preset("stricter").unwrap_err()[0].contains("relaxed, standard or strict"));
        let file = |text: &str| {
            read(&PolicySource::File {
                name: "tonight.toml".to_owned(),
                text: text.to_owned(),
            })
        };
        assert_eq!(file("preset = \"strict\"\n").unwrap(), preset("strict").unwrap());
        let wrong = file("preset = \"strictest\"\nrules = 3\n").unwrap_err();
        assert!(
            wrong.len() == 2 && wrong.iter().all(|line| line.starts_with("tonight.toml: ")),
            "{wrong:?}"
        );
    }
}
