//! [`PageGuard`]: how many requests of any kind one client may make to our own pages, by the rules about `any-request` of
//! the policy in force. Their meters are governor's: nothing here is ever given back, replayed or kept over a restart.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use arc_swap::ArcSwap;
use governor::{DefaultKeyedRateLimiter, Quota as GovernorQuota, RateLimiter};
use ipnet::IpNet;

use crate::domain::client::ClientAddr;
use crate::domain::limits::Quota;
use crate::domain::limits::attempt::Endpoint;
use crate::domain::limits::policy::{Action, LimitRule, Policy, RuleName};
use crate::telemetry::metrics::{Metrics, RuleCounters};

/// A client and, of one that stands for many people, one of its buckets.
type Bucket = (IpAddr, u32);

/// Guards our own pages.
pub struct PageGuard {
    gates: ArcSwap<Gates>,
    decisions: RuleCounters,
    tell: Box<dyn Fn(&RuleName) + Send + Sync>,
}

#[derive(Default)]
struct Gates {
    rules: Vec<Arc<Gate>>,
    exempt: Vec<IpNet>,
}

struct Gate {
    rule: RuleName,
    quota: Quota,
    action: Action,
    limiter: DefaultKeyedRateLimiter<Bucket>,
}

impl PageGuard {
    /// Lets everybody in until a policy comes into force. `tell` is called where a rule is reached that only tells.
    pub fn new(metrics: &Metrics, tell: impl Fn(&RuleName) + Send + Sync + 'static) -> Self {
        Self {
            gates: ArcSwap::default(),
            decisions: metrics.work.limit_decisions.clone(),
            tell: Box::new(tell),
        }
    }

    /// From now on these rules guard. One whose name and quota stay the same goes on with what it has counted.
    pub fn govern(&self, policy: &Policy) {
        let before = self.gates.load();
        let gate = |rule: &LimitRule| {
            let same =
                |gate: &&Arc<Gate>| gate.rule == rule.name && gate.quota == rule.quota && gate.action == rule.action;
            let kept = before.rules.iter().find(same);
            kept.map_or_else(|| Arc::new(Gate::of(rule)), Arc::clone)
        };
        let rules = policy.rules.iter();
        let rules = rules.filter(|rule| rule.enabled && rule.endpoints.contains(&Endpoint::AnyRequest));
        self.gates.store(Arc::new(Gates {
            rules: rules.map(gate).collect(),
            exempt: policy.exempt.clone(),
        }));
    }

    /// Whether a request may come in. `bucket` is what its client is counted by.
    pub fn lets_in(&self, client: ClientAddr, bucket: &Bucket) -> bool {
        let gates = self.gates.load();
        if gates.exempt.iter().any(|network| network.contains(&client.ip())) {
            return true;
        }
        let mut granted = true;
        for gate in &gates.rules {
            let said = match (gate.limiter.check_key(bucket), gate.action) {
                (Ok(()), _) => "granted",
                (Err(_), Action::Refuse) => "refused",
                (Err(_), Action::Slow | Action::Notify) => "noted",
            };
            self.decisions.count(gate.rule.as_str(), said);
            if said == "noted" {
                (self.tell)(&gate.rule);
            }
            granted &= said != "refused";
        }
        granted
    }

    /// Forgets clients that have not come of late.
    pub fn sweep(&self) {
        for gate in &self.gates.load().rules {
            gate.limiter.retain_recent();
            gate.limiter.shrink_to_fit();
        }
    }
}

impl Gate {
    fn of(rule: &LimitRule) -> Self {
        let burst = NonZeroU32::new(rule.quota.burst()).unwrap_or(NonZeroU32::MIN);
        let quota = GovernorQuota::with_period(rule.quota.interval())
            .unwrap_or_else(|| GovernorQuota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        Self {
            rule: rule.name.clone(),
            quota: rule.quota,
            action: rule.action,
            limiter: RateLimiter::keyed(quota),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::limits::policy::KeyKind;
    use crate::telemetry::metrics::{About, AboutConfig};

    fn guard() -> PageGuard {
        guard_that_tells(|_| {})
    }

    fn guard_that_tells(tell: impl Fn(&RuleName) + Send + Sync + 'static) -> PageGuard {
        let about = About {
            version: "1",
            config: AboutConfig {
                digest: String::new(),
                limits: true,
                mail_security: "tls",
            },
            started: 0.0,
        };
        PageGuard::new(&Metrics::new(&about, &Arc::default()), tell)
    }

    fn rule(name: &str, quota: &str) -> LimitRule {
        LimitRule::new(name, &[Endpoint::AnyRequest], KeyKind::Client, quota).unwrap()
    }

    fn policy(rules: Vec<LimitRule>) -> Policy {
        Policy {
            rules,
            ..Policy::default()
        }
    }

    fn asks(guard: &PageGuard, client: &str) -> bool {
        let client = ClientAddr::new(client.parse().unwrap());
        guard.lets_in(client, &(client.limit_key(), 0))
    }

    #[test]
    fn a_rule_that_stays_the_same_goes_on_counting_and_another_one_begins_anew() {
        let guard = guard();
        assert!(asks(&guard, "192.0.2.1"), "no policy is in force yet");
        guard.govern(&policy(vec![rule("pages", "2 per 1h")]));
        assert!(asks(&guard, "192.0.2.1") && asks(&guard, "192.0.2.1") && !asks(&guard, "192.0.2.1"));
        assert!(asks(&guard, "192.0.2.2"));
        guard.govern(&policy(vec![rule("pages", "2 per 1h"), rule("more", "9 per 1h")]));
        assert!(!asks(&guard, "192.0.2.1"));
        guard.govern(&policy(vec![rule("pages", "3 per 1h")]));
        assert!(asks(&guard, "192.0.2.1"));
    }

    #[test]
    fn whoever_is_exempt_is_not_counted_and_a_rule_that_tells_stops_nobody() {
        let told = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&told);
        let guard = guard_that_tells(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let mut tells = rule("tells", "1 per 1h");
        tells.action = Action::Notify;
        let mut rules = policy(vec![tells, rule("pages", "3 per 1h")]);
        rules.exempt.push("198.51.100.0/24".parse().unwrap());
        guard.decisions.govern(["tells", "pages"]);
        guard.govern(&rules);
        let got_in = |client| (0..10).filter(|_| asks(&guard, client)).count();
        assert_eq!((got_in("192.0.2.1"), got_in("198.51.100.7")), (3, 10));
        let counted = |rule, said| guard.decisions.get(rule, said).unwrap().get();
        assert_eq!(told.load(Ordering::Relaxed), 9);
        assert_eq!((counted("tells", "granted"), counted("tells", "noted")), (1, 9));
        assert_eq!((counted("pages", "granted"), counted("pages", "refused")), (3, 7));
    }
}
