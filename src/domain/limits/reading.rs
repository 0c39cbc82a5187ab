//! What a policy comes to, all its rules taken together, as statements that can be said in any language.

use std::time::Duration;

use super::allowance::{Allowance, Scope};
use super::attempt::{Endpoint, LaneKind};
use super::policy::{Action, KeyKind, LaneFilter, LimitRule, Policy, RuleName};
use super::quota::Quota;

/// One statement about a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// What strangers get at an endpoint, in one scope. `None`: nothing bounds it.
    Strangers(Endpoint, Scope, Option<Allowance>),
    /// What the owner of an account keeps on a device that is known for it, and who else can use that up, by which rules.
    Owner(Option<Allowance>, Vec<(Rival, Vec<RuleName>)>),
    /// How many people can sign in through one address when the day begins.
    Morning(Option<Morning>),
    /// A rule that stops nobody, and what it does instead beyond its quota.
    Soft(RuleName, Quota, Softness),
}

/// What a rule does that stops nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Softness {
    /// Strangers are answered late, or everybody that the rule is about.
    Slow,
    /// Somebody is told.
    Tell,
}

/// Who can use up what an owner needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Any stranger.
    Anybody,
    /// Strangers who come from her address.
    Address,
    /// Strangers who come from her network.
    Network,
    /// All strangers taken together.
    Everybody,
}

/// People who sign in through one address, on browsers that nobody has signed in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Morning {
    /// At the same moment; `None` is as many as like.
    pub at_once: Option<u64>,
    /// Within [`Morning::TIME`].
    pub people: u64,
    /// What bounds them.
    pub rule: RuleName,
}

impl Morning {
    /// The busiest time of the day.
    pub const TIME: Duration = Duration::from_mins(15);
    /// One of so many people mistypes the password once. Passwords that are right are given back.
    pub const MISTYPED: u64 = 10;
    /// Requests for the gateway's own pages that one sign-in takes: the page with what belongs to it, and the form.
    pub const PAGES: u64 = 6;

    fn of(policy: &Policy) -> Option<Self> {
        let allowed = |endpoint| Allowance::of(policy, endpoint, LaneKind::Strangers, Scope::Client);
        let tries = allowed(Endpoint::SignIn);
        let by_tries = tries
            .iter()
            .map(|tries| (tries, tries.most_within(Self::TIME).saturating_mul(Self::MISTYPED)));
        let pages = allowed(Endpoint::AnyRequest);
        let by_pages = pages
            .iter()
            .map(|pages| (pages, pages.most_within(Self::TIME) / Self::PAGES));
        let (bound, people) = by_tries.chain(by_pages).min_by_key(|(_, people)| *people)?;
        Some(Self {
            at_once: tries.as_ref().map(Allowance::at_once),
            people,
            rule: bound.tightest(Self::TIME)?.clone(),
        })
    }
}

/// What there is to say about each endpoint but the sign-in, by scope.
const OTHERS: [(Endpoint, Scope); 6] = [
    (Endpoint::ForgotPassword, Scope::Account),
    (Endpoint::ForgotPassword, Scope::Client),
    (Endpoint::SetPassword, Scope::Client),
    (Endpoint::ChangePassword, Scope::Device),
    (Endpoint::ApiToken, Scope::Client),
    (Endpoint::AnyRequest, Scope::Client),
];

impl Policy {
    /// Everything there is to say, the most important first.
    pub fn statements(&self) -> Vec<Statement> {
        let at = |endpoint, scope| {
            let lane = if scope == Scope::Device {
                LaneKind::Known
            } else {
                LaneKind::Strangers
            };
            Statement::Strangers(endpoint, scope, Allowance::of(self, endpoint, lane, scope))
        };
        let mut statements: Vec<_> = [
            Scope::Account,
            Scope::ClientAtAccount,
            Scope::Client,
            Scope::Subnet,
            Scope::Password,
            Scope::Everybody,
        ]
        .map(|scope| at(Endpoint::SignIn, scope))
        .to_vec();
        let keeps = Allowance::of(self, Endpoint::SignIn, LaneKind::Known, Scope::Device);
        statements.push(Statement::Owner(keeps, self.rivals()));
        statements.push(Statement::Morning(Morning::of(self)));
        statements.extend(self.rules.iter().filter_map(soft));
        statements.extend(OTHERS.map(|(endpoint, scope)| at(endpoint, scope)));
        statements
    }

    /// The rules on which an owner at a known device draws together with strangers.
    fn rivals(&self) -> Vec<(Rival, Vec<RuleName>)> {
        let shared = self.rules.iter().filter(|rule| {
            rule.is_in_force(Endpoint::SignIn) && rule.action == Action::Refuse && rule.lane == LaneFilter::Any
        });
        let mut rivals: Vec<(Rival, Vec<RuleName>)> = Vec::new();
        for rule in shared {
            let rival = match rule.key {
                KeyKind::Account => Rival::Anybody,
                KeyKind::Client | KeyKind::ClientAccount => Rival::Address,
                KeyKind::Subnet => Rival::Network,
                KeyKind::Global => Rival::Everybody,
                KeyKind::Device | KeyKind::Password => continue,
            };
            match rivals.iter_mut().find(|(known, _)| *known == rival) {
                Some((_, rules)) => rules.push(rule.name.clone()),
                None => rivals.push((rival, vec![rule.name.clone()])),
            }
        }
        rivals
    }
}

fn soft(rule: &LimitRule) -> Option<Statement> {
    let softness = match rule.action {
        Action::Refuse => return None,
        Action::Slow => Softness::Slow,
        Action::Notify => Softness::Tell,
    };
    rule.enabled
        .then(|| Statement::Soft(rule.name.clone(), rule.quota, softness))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[(&str, &[Endpoint], KeyKind, &str)]) -> Policy {
        let rule = |(name, endpoints, key, quota): &(&str, &[Endpoint], KeyKind, &str)| {
            LimitRule::new(name, endpoints, *key, quota).unwrap()
        };
        Policy {
            rules: rules.iter().map(rule).collect(),
            exempt: Vec::new(),
        }
    }

    fn morning(rules: &[(&str, &[Endpoint], KeyKind, &str)]) -> Option<(Option<u64>, u64, String)> {
        let morning = Morning::of(&policy(rules))?;
        Some((morning.at_once, morning.people, morning.rule.to_string()))
    }

    const SIGN_IN: &[Endpoint] = &[Endpoint::SignIn];
    const PAGES: &[Endpoint] = &[Endpoint::AnyRequest];

    #[test]
    fn the_morning_is_bounded_by_what_people_mistype_or_by_the_pages_they_ask_for() {
        let by_tries = ("tries", SIGN_IN, KeyKind::Client, "30 per 15m");
        assert_eq!(morning(&[by_tries]), Some((Some(30), 600, "tries".to_owned())));
        // 60 at once and 900 in a quarter of an hour are 160 sign-ins of six pages.
        let by_pages = ("pages", PAGES, KeyKind::Client, "60 per 1m");
        assert_eq!(
            morning(&[by_tries, by_pages]),
            Some((Some(30), 160, "pages".to_owned()))
        );
        assert_eq!(morning(&[by_pages]), Some((None, 160, "pages".to_owned())));
        let of_accounts = ("accounts", SIGN_IN, KeyKind::Account, "1 per 1h");
        assert_eq!(morning(&[of_accounts]), None, "each of them has an account of her own");
    }

    #[test]
    fn an_owner_shares_her_room_with_strangers_only_where_a_rule_is_about_both() {
        let mut policy = policy(&[
            ("address", SIGN_IN, KeyKind::Client, "30 per 15m"),
            ("both", SIGN_IN, KeyKind::ClientAccount, "10 per 15m"),
            ("account", SIGN_IN, KeyKind::Account, "50 per 1h"),
            ("device", SIGN_IN, KeyKind::Device, "5 per 15m"),
            ("pages", PAGES, KeyKind::Client, "60 per 1m"),
        ]);
        let name = |text: &str| RuleName::parse(text).unwrap();
        assert_eq!(
            policy.rivals(),
            [
                (Rival::Address, vec![name("address"), name("both")]),
                (Rival::Anybody, vec![name("account")])
            ]
        );
        for rule in &mut policy.rules {
            rule.lane = LaneFilter::Only(LaneKind::Strangers);
        }
        assert_eq!(policy.rivals(), []);
    }

    #[test]
    fn rules_that_stop_nobody_are_no_bound_and_are_told_of() {
        let mut policy = policy(&[("soft", SIGN_IN, KeyKind::Global, "5 per 1h")]);
        policy.rules[0].action = Action::Notify;
        let statements = policy.statements();
        assert!(statements.contains(&Statement::Strangers(Endpoint::SignIn, Scope::Everybody, None)));
        let told = Statement::Soft(policy.rules[0].name.clone(), policy.rules[0].quota, Softness::Tell);
        assert!(statements.contains(&told));
        policy.rules[0].enabled = false;
        assert!(!policy.statements().contains(&told));
    }
}
