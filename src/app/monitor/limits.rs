//! Counts what the limits decide, by rule.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use crate::app::notices::Notices;
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::fixed::Fixed;
use crate::domain::limits::ledger::Decision;
use crate::domain::limits::policy::{Action, Policy};
use crate::ports::Witness;
use crate::proxy::PageGuard;
use crate::telemetry::metrics::{Labelled, Metrics, RuleCounters};

/// Counts decisions of the policy in force and of the one on trial.
pub struct LimitsWitness {
    decisions: RuleCounters,
    trials: RuleCounters,
    sign_ins: Labelled<Counter>,
    resets: Labelled<Counter>,
    pages: Arc<PageGuard>,
    notices: Arc<Notices>,
}

impl LimitsWitness {
    pub fn new(metrics: &Metrics, pages: Arc<PageGuard>, notices: Arc<Notices>) -> Self {
        Self {
            decisions: metrics.work.limit_decisions.clone(),
            trials: metrics.work.limit_trials.clone(),
            sign_ins: metrics.facts.sign_ins.clone(),
            resets: metrics.facts.resets.clone(),
            pages,
            notices,
        }
    }

    /// Attempts that come to nothing here are recorded nowhere else, or not each of them.
    fn refused(&self, endpoint: Option<Endpoint>, rule: &str) {
        let throttled = ["throttled", "throttled"];
        match (endpoint, Fixed::parse(rule)) {
            (Some(Endpoint::SignIn | Endpoint::ChangePassword), _) => self.sign_ins.count(&throttled),
            (Some(Endpoint::ForgotPassword), _) | (None, Some(Fixed::ResetRepeat)) => self.resets.count(&throttled),
            (None, Some(Fixed::ResetAgain)) => self.resets.count(&["repeated", "none"]),
            _ => {}
        }
    }
}

impl Witness for LimitsWitness {
    fn decided(&self, endpoint: Option<Endpoint>, decision: &Decision) {
        count(&self.decisions, decision);
        match decision {
            Decision::Refused { rule, .. } => self.refused(endpoint, rule.as_str()),
            Decision::Granted { beyond, .. } => {
                for (rule, _) in beyond.iter().filter(|(_, action)| *action == Action::Notify) {
                    self.notices.reached(rule);
                }
            }
        }
    }

    fn tried(&self, decision: &Decision) {
        count(&self.trials, decision);
    }

    fn governs(&self, active: &Policy, candidate: Option<&Policy>) {
        self.decisions.govern(names(active));
        self.pages.govern(active);
        self.trials.govern(candidate.into_iter().flat_map(names));
    }
}

fn names(policy: &Policy) -> impl Iterator<Item = &str> {
    let rules = policy.rules.iter().filter(|rule| rule.enabled);
    rules.map(|rule| rule.name.as_str())
}

fn count(counters: &RuleCounters, decision: &Decision) {
    match decision {
        Decision::Refused { rule, .. } => counters.count(rule.as_str(), "refused"),
        Decision::Granted {
            reservation, beyond, ..
        } => {
            for rule in reservation.rules() {
                counters.count(rule.as_str(), "granted");
            }
            for (rule, action) in beyond {
                let said = match action {
                    Action::Slow => "slowed",
                    Action::Notify | Action::Refuse => "noted",
                };
                counters.count(rule.as_str(), said);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::office::world;
    use crate::domain::limits::Nanos;
    use crate::domain::limits::ledger::{Draw, Ledger, Subject};
    use crate::domain::limits::policy::{KeyKind, LimitRule, RuleName};
    use crate::telemetry::metrics::{About, AboutConfig};

    fn metrics() -> Metrics {
        let about = About {
            version: "1",
            config: AboutConfig {
                digest: String::new(),
                limits: true,
                mail_security: "tls",
            },
            started: 0.0,
        };
        Metrics::new(&about, &Arc::default())
    }

    fn draw(rule: RuleName, action: Action) -> Draw {
        Draw {
            action,
            ..Draw::new(rule, Subject::Global, "1 per 1h".parse().unwrap())
        }
    }

    #[test]
    fn every_decision_of_a_rule_in_force_and_of_a_fixed_budget_is_counted() {
        let metrics = metrics();
        let (notices, _waiting) = Notices::new(world());
        let pages = Arc::new(PageGuard::new(&metrics, |_| {}));
        let witness = LimitsWitness::new(&metrics, pages, notices);
        let rule = |name| LimitRule::new(name, &[Endpoint::SignIn], KeyKind::Client, "1 per 1h").unwrap();
        let policy = Policy {
            rules: vec![rule("stop"), rule("slow"), rule("tell")],
            ..Policy::default()
        };
        witness.governs(&policy, Some(&policy));
        let mut ledger = Ledger::new(100);
        let mut decide = |rule: &str, action, endpoint| {
            let decision = ledger.decide(vec![draw(RuleName::parse(rule).unwrap(), action)], Nanos(0));
            witness.decided(endpoint, &decision);
            witness.tried(&decision);
        };
        for (rule, action) in [
            ("stop", Action::Refuse),
            ("slow", Action::Slow),
            ("tell", Action::Notify),
        ] {
            decide(rule, action, Some(Endpoint::SignIn));
            decide(rule, action, Some(Endpoint::SignIn));
        }
        for fixed in Fixed::ALL {
            decide(fixed.as_str(), Action::Refuse, None);
            decide(fixed.as_str(), Action::Refuse, None);
        }
        let work = &metrics.work;
        for (rule, said) in [
            ("stop", "granted"),
            ("stop", "refused"),
            ("slow", "slowed"),
            ("tell", "noted"),
        ] {
            for counters in [&work.limit_decisions, &work.limit_trials] {
                assert_eq!(counters.get(rule, said).unwrap().get(), 1, "{rule} {said}");
            }
        }
        for fixed in Fixed::ALL {
            for said in ["granted", "refused"] {
                let counted = work.limit_decisions.get(fixed.as_str(), said);
                assert_eq!(counted.unwrap().get(), 1, "{fixed:?} {said}");
            }
        }
        let count = |labelled: &Labelled<Counter>, values: &[&str]| labelled.get(values).unwrap().get();
        assert_eq!(count(&metrics.facts.sign_ins, &["throttled", "throttled"]), 1);
        assert_eq!(count(&metrics.facts.resets, &["throttled", "throttled"]), 1);
        assert_eq!(count(&metrics.facts.resets, &["repeated", "none"]), 1);
    }
}
