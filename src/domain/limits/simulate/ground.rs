//! [`Ground`]: what a policy says to made-up attempts, which come one after the other and end at once.
//!
//! It decides as a ledger does, which a property test holds it to, in a small part of the time: nothing is ever under way, so
//! a meter is one number; and who comes is known beforehand and numbered, so that no bucket has to be found by its name. A
//! ledger with as many meters as a gateway keeps refuses more than this where an attack has more names than that.

use std::collections::HashMap;
use std::time::Duration;

use super::super::attempt::Attempt;
use super::super::ledger::Refusal;
use super::super::meter::{Meter, Nanos};
use super::super::policy::{Action, KeyKind, Policy};

/// Who tries what, each by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub client: u32,
    pub subnet: u32,
    pub account: u32,
    pub password: u64,
    /// The one at this account that it knows.
    pub known_device: bool,
}

/// What is said to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Go on, after this time.
    Granted(Duration),
    /// Stop, for this time at least; by the rule of this number.
    Refused(Duration, usize),
}

/// The meters of a policy.
pub(super) struct Ground {
    strangers: Vec<Asked>,
    known: Vec<Asked>,
    meters: Vec<Field>,
    /// How many clients there are at most.
    clients: u64,
}

/// A rule, as it is asked by every attempt of a lane.
struct Asked {
    /// Its number in the policy.
    rule: usize,
    key: KeyKind,
    action: Action,
    for_anybody: bool,
    /// In nanoseconds: until room for one comes back, and until all of it does.
    interval: u64,
    whole: u64,
}

impl Ground {
    /// Nothing has been tried yet. `stranger` and `known` are attempts of the two lanes, whatever else they are.
    pub fn new(policy: &Policy, stranger: &Attempt, known: &Attempt, clients: u32) -> Self {
        Self {
            strangers: asked(policy, stranger),
            known: asked(policy, known),
            meters: policy.rules.iter().map(|_| Field::default()).collect(),
            clients: clients.into(),
        }
    }

    /// What is said to an attempt. It stays drawn where it is `wrong`.
    pub fn visit(&mut self, visit: &Visit, wrong: bool, now: Nanos) -> Answer {
        let asked = if visit.known_device {
            &self.known
        } else {
            &self.strangers
        };
        let (mut refusal, mut delay) = (Refusal::default(), Duration::ZERO);
        for rule in asked {
            let number = visit.number(rule.key, self.clients);
            let meters = self.meters.get(rule.rule);
            let Some(wait) = meters.and_then(|meters| rule.wait(meters.get(number), now)) else {
                continue;
            };
            match rule.action {
                Action::Refuse => refusal.by(&rule.rule, rule.for_anybody, wait),
                Action::Slow => delay = delay.max(wait.min(Action::LONGEST_DELAY)),
                Action::Notify => {}
            }
        }
        if let Some((wait, rule)) = refusal.first() {
            return Answer::Refused(wait, rule);
        }
        for rule in asked.iter().filter(|_| wrong) {
            let number = visit.number(rule.key, self.clients);
            if let Some(meters) = self.meters.get_mut(rule.rule) {
                let meter = meters.get(number);
                // Beyond the quota nothing more is drawn.
                if rule.wait(meter, now).is_none() {
                    meters.set(number, meter.charged(rule.interval, now));
                }
            }
        }
        Answer::Granted(delay)
    }
}

impl Asked {
    /// How long until there is room for one more; `None` when there is.
    fn wait(&self, meter: Meter, now: Nanos) -> Option<Duration> {
        let missing = meter.missing(now).saturating_add(self.interval);
        (missing > self.whole).then(|| Duration::from_nanos(missing - self.whole))
    }
}

/// The rules that such an attempt draws on, be its client exempt or not.
fn asked(policy: &Policy, attempt: &Attempt) -> Vec<Asked> {
    let rules = policy.rules.iter().enumerate();
    let asked = rules.filter_map(|(number, rule)| {
        let draw = rule.draw(attempt)?;
        let interval = u64::try_from(draw.quota.interval().as_nanos()).unwrap_or(u64::MAX);
        Some(Asked {
            rule: number,
            key: rule.key,
            action: draw.action,
            for_anybody: draw.for_anybody,
            interval,
            whole: interval.saturating_mul(draw.quota.burst().into()),
        })
    });
    asked.collect()
}

impl Visit {
    /// Whose meter it is, of a rule with this key.
    fn number(&self, key: KeyKind, clients: u64) -> u64 {
        match key {
            KeyKind::Client => self.client.into(),
            KeyKind::Subnet => self.subnet.into(),
            KeyKind::Account | KeyKind::Device => self.account.into(),
            KeyKind::ClientAccount => u64::from(self.account) * clients + u64::from(self.client),
            KeyKind::Password => self.password,
            KeyKind::Global => 0,
        }
    }
}

/// The meters of one rule, by their numbers.
#[derive(Default)]
struct Field {
    low: Vec<Meter>,
    high: HashMap<u64, Meter>,
}

impl Field {
    /// Below this they lie side by side, in at most 8 MiB.
    const LOW: u64 = 1 << 20;

    fn get(&self, number: u64) -> Meter {
        let found = match usize::try_from(number) {
            Ok(place) if number < Self::LOW => self.low.get(place),
            _ => self.high.get(&number),
        };
        found.copied().unwrap_or_default()
    }

    fn set(&mut self, number: u64, meter: Meter) {
        match usize::try_from(number) {
            Ok(place) if number < Self::LOW => {
                if place >= self.low.len() {
                    self.low.resize(place + 1, Meter::default());
                }
                if let Some(found) = self.low.get_mut(place) {
                    *found = meter;
                }
            }
            _ => {
                self.high.insert(number, meter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::limits::attempt::Endpoint;
    use crate::domain::limits::ledger::{Decision, Ledger, Outcome};
    use crate::domain::limits::policy::{LaneFilter, LimitRule};
    use crate::domain::limits::{NameDigest, Quota};

    const CLIENTS: u32 = 12;

    fn attempt(visit: &Visit) -> Attempt {
        let [high, low] = [visit.subnet, visit.client].map(|number| u8::try_from(number).unwrap());
        let client = ClientAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, high, low)));
        Attempt {
            account: Some(NameDigest(1, visit.account.into())),
            device: visit.known_device.then_some(NameDigest(2, visit.account.into())),
            password: Some(NameDigest(3, visit.password)),
            ..Attempt::new(Endpoint::SignIn, client)
        }
    }

    fn visits() -> impl Strategy<Value = (Visit, bool, u64)> {
        let who = (0..CLIENTS, 0_u32..3, 0_u64..3, any::<bool>());
        let visit = who.prop_map(|(client, account, password, known_device)| Visit {
            client,
            subnet: client / 5,
            account,
            // Beyond what lies side by side, too.
            password: if password == 2 { Field::LOW } else { password },
            known_device,
        });
        let gap = prop_oneof![Just(0), 0_u64..2_000_000_000, 0_u64..60_000_000_000];
        (visit, any::<bool>(), gap)
    }

    fn rules() -> impl Strategy<Value = Vec<LimitRule>> {
        let parts = (
            prop::sample::select(KeyKind::ALL.to_vec()),
            prop::sample::select(LaneFilter::ALL.to_vec()),
            prop::sample::select(vec![Action::Refuse, Action::Refuse, Action::Slow, Action::Notify]),
            (1_u32..6, 1_u64..90),
        );
        let rules = prop::collection::vec(parts, 1..7);
        rules.prop_map(|rules| {
            let rule = |(number, (key, lane, action, (burst, seconds)))| LimitRule {
                lane,
                action,
                quota: Quota::new(burst, Duration::from_secs(seconds)).unwrap(),
                ..LimitRule::new(&format!("rule-{number}"), &[Endpoint::SignIn], key, "1 per 1s").unwrap()
            };
            rules.into_iter().enumerate().map(rule).collect()
        })
    }

    proptest! {
        #[test]
        fn it_decides_as_a_ledger_does(rules in rules(), visits in prop::collection::vec(visits(), 1..200)) {
            let policy = Policy { rules, exempt: Vec::new() };
            let [stranger, known] = [false, true].map(|known_device| attempt(&Visit {
                client: 0, subnet: 0, account: 0, password: 0, known_device,
            }));
            let mut ground = Ground::new(&policy, &stranger, &known, CLIENTS);
            let mut ledger = Ledger::new(Ledger::MOST);
            let mut now = 1_u64 << 40;
            for (visit, wrong, gap) in visits {
                now += gap;
                let said = match ledger.decide(policy.draws(&attempt(&visit)), Nanos(now)) {
                    Decision::Granted { reservation, delay, .. } => {
                        let outcome = if wrong { Outcome::Failed } else { Outcome::Succeeded };
                        ledger.settle(reservation, outcome, Nanos(now));
                        Answer::Granted(delay)
                    }
                    Decision::Refused { retry_after, rule } => {
                        let number = policy.rules.iter().position(|known| known.name == rule).unwrap();
                        Answer::Refused(retry_after, number)
                    }
                };
                prop_assert_eq!(ground.visit(&visit, wrong, Nanos(now)), said);
            }
        }
    }
}
