//! Which policies are in force.

use std::sync::Arc;

use ipnet::IpNet;

use super::policy::Policy;

/// The policy that decides, and the one that is on trial beside it: it sees every attempt and stops none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regime {
    /// Decides.
    pub active: Arc<Policy>,
    /// On trial.
    pub candidate: Option<Arc<Policy>>,
}

impl Regime {
    /// The same with no rule counting clients of these networks, by an order for a while.
    #[must_use]
    pub fn exempting(self, networks: &[IpNet]) -> Self {
        if networks.is_empty() {
            return self;
        }
        let exempting = |policy: Arc<Policy>| {
            let mut policy = Arc::unwrap_or_clone(policy);
            policy.exempt.extend(networks);
            Arc::new(policy)
        };
        Self {
            active: exempting(self.active),
            candidate: self.candidate.map(exempting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exemption_by_order_holds_for_the_policy_on_trial_as_well() {
        let own: IpNet = "10.0.0.0/8".parse().unwrap();
        let policy = Arc::new(Policy {
            rules: Vec::new(),
            exempt: vec![own],
        });
        let regime = Regime {
            active: Arc::clone(&policy),
            candidate: Some(policy),
        };
        assert_eq!(regime.clone().exempting(&[]), regime);
        let order: IpNet = "192.0.2.0/24".parse().unwrap();
        let exempting = regime.exempting(&[order]);
        assert_eq!(exempting.active.exempt, [own, order]);
        assert_eq!(exempting.candidate.unwrap().exempt, [own, order]);
    }
}
