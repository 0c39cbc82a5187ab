//! Who may go where. A [`Permit`] is the only thing that lets a request through, and only
//! [`Policy::judge`] makes one.

use std::sync::Arc;

use super::principal::Principal;
use super::rule::{Asked, Rule, Who};
use super::target::RequestPath;

/// What the operator wrote about access. The first rule that speaks of a request decides; of what no rule speaks
/// needs a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    public: Vec<Rule>,
}

/// The judgement on a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may go to the upstream.
    Allow(Permit),
    /// It might, after signing in.
    Challenge,
    /// It may not, whoever asks or since it is this person who asks.
    Deny,
}

/// Proof that a request was judged and may be forwarded. It has no public constructor.
#[derive(Clone, Debug)]
pub struct Permit {
    principal: Option<Arc<Principal>>,
}

impl Permit {
    /// Who is asking; nobody on a public path without a session.
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }
}

/// How far a request comes. The later, the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// To the upstream.
    Open,
    /// There, after signing in.
    SignIn,
    /// Nowhere.
    Closed,
}

impl Policy {
    /// From the operator's rules, and the paths open to everybody, which are asked last.
    pub const fn new(rules: Vec<Rule>, public: Vec<Rule>) -> Self {
        Self { rules, public }
    }

    /// The rules as the operator wrote them.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The paths open to everybody.
    pub fn public(&self) -> &[Rule] {
        &self.public
    }

    /// Judges a request by what it asks for and who is asking. Every reading an upstream might make of the path is
    /// judged by itself, and the strictest judgement counts: a rule that opens needs all readings, a rule that closes
    /// needs one.
    pub fn judge(&self, path: &RequestPath<'_>, asked: &Asked<'_>, principal: Option<&Arc<Principal>>) -> Verdict {
        let groups = principal.map(|principal| principal.account.groups.as_slice());
        match self.weigh(path, asked, groups) {
            Gate::Open => Verdict::Allow(Permit {
                principal: principal.cloned(),
            }),
            Gate::SignIn => Verdict::Challenge,
            Gate::Closed => Verdict::Deny,
        }
    }

    /// How far a request comes: the strictest of what holds for each reading. `groups` are the person's; `None` is
    /// nobody.
    pub fn weigh(&self, path: &RequestPath<'_>, asked: &Asked<'_>, groups: Option<&[String]>) -> Gate {
        let readings = path.readings().iter();
        readings
            .map(|reading| gate(self.rule_for(reading, asked), groups))
            .max()
            .unwrap_or(Gate::Closed)
    }

    /// The rule that decides when an upstream reads the path so; `None` when no rule speaks of it.
    pub fn rule_for(&self, reading: &str, asked: &Asked<'_>) -> Option<&Rule> {
        let mut all = self.rules.iter().chain(&self.public);
        all.find(|rule| rule.matches(reading, asked))
    }

    /// Rules that never get a request to see, each with the earlier one that keeps it from them.
    pub fn hidden(&self) -> Vec<(&Rule, &Rule)> {
        let all: Vec<&Rule> = self.rules.iter().chain(&self.public).collect();
        all.iter()
            .enumerate()
            .filter_map(|(index, rule)| {
                let earlier = all.iter().take(index).find(|earlier| earlier.hides(rule))?;
                Some((*rule, *earlier))
            })
            .collect()
    }
}

fn gate(rule: Option<&Rule>, groups: Option<&[String]>) -> Gate {
    match (rule.map_or(&Who::SignedIn, |rule| &rule.who), groups) {
        (Who::Public, _) | (Who::SignedIn, Some(_)) => Gate::Open,
        (Who::Groups(wanted), Some(groups)) if groups.iter().any(|group| wanted.contains(group)) => Gate::Open,
        (Who::SignedIn | Who::Groups(_), None) => Gate::SignIn,
        (Who::Deny, _) | (Who::Groups(_), Some(_)) => Gate::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::{account, session};
    use super::*;

    const ASKED: Asked<'static> = Asked {
        method: "GET",
        host: "in.test",
        client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    };

    fn policy(rules: &[&str]) -> Policy {
        Policy::new(
            rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect(),
            vec![
                Rule::public("/assets/*").unwrap(),
                Rule::public("/favicon.ico").unwrap(),
            ],
        )
    }

    fn judge(policy: &Policy, path: &str, principal: Option<&Arc<Principal>>) -> Verdict {
        policy.judge(&RequestPath::parse(path).unwrap(), &ASKED, principal)
    }

    fn member(groups: &[&str]) -> Arc<Principal> {
        let mut account = account();
        account.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Arc::new(Principal::new(session(), account))
    }

    #[test]
    fn what_no_rule_opens_is_challenged_and_a_session_opens_it() {
        let policy = policy(&[]);
        assert!(matches!(judge(&policy, "/", None), Verdict::Challenge));
        let verdict = judge(&policy, "/", Some(&member(&[])));
        assert!(matches!(verdict, Verdict::Allow(permit) if permit.principal().is_some()));
    }

    #[test]
    fn a_public_path_opens_plainly_and_in_no_other_spelling() {
        let policy = policy(&[]);
        assert!(
            matches!(judge(&policy, "/assets/app.js", None), Verdict::Allow(permit) if permit.principal().is_none())
        );
        assert!(matches!(judge(&policy, "/favicon.ico", None), Verdict::Allow(_)));
        for path in [
            "/assets",
            "/favicon.ico/",
            "/%61dmin",
            "/admin;/assets/x",
            "//assets/x",
            "/Assets/x",
            "/favicon.ico;x",
        ] {
            assert!(matches!(judge(&policy, path, None), Verdict::Challenge), "{path}");
        }
    }

    #[test]
    fn a_rule_that_closes_closes_every_spelling() {
        let policy = policy(&["deny /debug/*", "groups admins /admin/*"]);
        let person = member(&["staff"]);
        for path in [
            "/debug/x",
            "/Debug/x",
            "//debug/x",
            "/debug;v=1/x",
            "/%64ebug/x",
            "/admin/x",
            "/ADMIN/x",
        ] {
            assert!(matches!(judge(&policy, path, Some(&person)), Verdict::Deny), "{path}");
        }
        assert!(matches!(judge(&policy, "/debugger", Some(&person)), Verdict::Allow(_)));
        assert!(matches!(judge(&policy, "/debug/x", None), Verdict::Deny));
    }

    #[test]
    fn a_group_opens_for_its_members_and_strangers_may_sign_in() {
        let policy = policy(&["groups admins,ops /admin/*"]);
        assert!(matches!(
            judge(&policy, "/admin/x", Some(&member(&["ops"]))),
            Verdict::Allow(_)
        ));
        assert!(matches!(
            judge(&policy, "/admin/x", Some(&member(&["Ops"]))),
            Verdict::Deny
        ));
        assert!(matches!(judge(&policy, "/admin/x", None), Verdict::Challenge));
    }

    #[test]
    fn the_first_rule_that_speaks_of_a_request_decides() {
        let policy = policy(&["deny /assets/private/*", "signed-in /assets/*"]);
        assert!(matches!(judge(&policy, "/assets/app.js", None), Verdict::Challenge));
        assert!(matches!(
            judge(&policy, "/assets/private/x", Some(&member(&[]))),
            Verdict::Deny
        ));
        let hidden: Vec<String> = policy.hidden().iter().map(|(rule, _)| rule.to_string()).collect();
        assert_eq!(hidden, ["public /assets/*"]);
    }
}
