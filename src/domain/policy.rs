//! Who may go where. A [`Permit`] is the only thing that lets a request through, and only
//! [`Policy::judge`] makes one.

use std::sync::Arc;

use super::principal::Principal;
use super::rule::{Asked, Rule, Who};
use super::sharing::Sharing;
use super::target::RequestPath;

/// What the operator wrote about access. The first rule that speaks of a request decides; of what no rule speaks
/// needs a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    public: Vec<Rule>,
    shared: Vec<Sharing>,
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
        Self {
            rules,
            public,
            shared: Vec::new(),
        }
    }

    /// The same, with what pages of other origins may use.
    #[must_use]
    pub fn sharing(self, shared: Vec<Sharing>) -> Self {
        Self { shared, ..self }
    }

    /// What pages of other origins may use.
    pub fn shared(&self) -> &[Sharing] {
        &self.shared
    }

    /// The line by which a page of this origin may use this path: one that answers preflights, when there is one.
    pub fn shares(&self, path: &RequestPath<'_>, origin: &str) -> Option<&Sharing> {
        let lines = self.shared.iter().filter(|line| line.covers(path, origin));
        lines.max_by_key(|line| line.preflight)
    }

    /// The rules as the operator wrote them.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The paths open to everybody.
    pub fn public(&self) -> &[Rule] {
        &self.public
    }

    /// Judges a request by what it asks for and who is asking. Every reading an upstream might make of the path and of
    /// the method is judged by itself, and the strictest judgement counts: a rule that opens needs all readings, a rule
    /// that closes needs one.
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
        let methods = std::iter::once(asked.method).chain(asked.instead.iter().map(String::as_str));
        methods
            .map(|method| self.weigh_as(path, &Asked { method, ..*asked }, groups))
            .max()
            .unwrap_or(Gate::Closed)
    }

    fn weigh_as(&self, path: &RequestPath<'_>, asked: &Asked<'_>, groups: Option<&[String]>) -> Gate {
        let readings = path.readings().iter();
        readings
            .map(|reading| self.ruling(reading, asked).gate(groups))
            .max()
            .unwrap_or(Gate::Closed)
    }

    /// What decides when an upstream reads the path so.
    pub fn ruling(&self, reading: &str, asked: &Asked<'_>) -> Ruling<'_> {
        let mut near = None;
        for rule in &self.rules {
            if rule.matches(reading, asked) {
                return Ruling { rule: Some(rule), near };
            }
            if near.is_none() && rule.nearly_matches(reading, asked) {
                near = Some(rule);
            }
        }
        let rule = self.public.iter().find(|rule| rule.matches(reading, asked));
        Ruling { rule, near }
    }

    /// Whether some rule speaks of some methods alone.
    pub fn names_methods(&self) -> bool {
        self.rules.iter().any(Rule::names_methods)
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

/// The rules that decide about one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling<'a> {
    /// The first that speaks of it; `None` when no rule does.
    pub rule: Option<&'a Rule>,
    /// An earlier one that speaks of it but for a slash at its end, which many web clients take for the same path. It
    /// may close and never opens: `deny /admin/*` closes `/admin`, and `public /assets/*` does not open `/assets`.
    pub near: Option<&'a Rule>,
}

impl<'a> Ruling<'a> {
    /// The rule that decides about somebody in these groups.
    pub fn deciding(&self, groups: Option<&[String]>) -> Option<&'a Rule> {
        let near = self
            .near
            .filter(|near| gate(Some(near), groups) > gate(self.rule, groups));
        near.or(self.rule)
    }

    fn gate(&self, groups: Option<&[String]>) -> Gate {
        gate(self.deciding(groups), groups)
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
        instead: &[],
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
    fn a_rule_closes_its_path_with_and_without_a_slash_at_the_end_and_opens_it_as_written() {
        let person = member(&["staff"]);
        let policy = policy(&[
            "groups admins /admin/*",
            "deny /debug",
            "public /open/*",
            "signed-in /*",
        ]);
        for path in [
            "/admin", "/admin/", "/Admin", "/%61dmin", "//admin", "/debug", "/debug/",
        ] {
            assert!(matches!(judge(&policy, path, Some(&person)), Verdict::Deny), "{path}");
        }
        assert!(matches!(judge(&policy, "/open/", None), Verdict::Allow(_)));
        assert!(matches!(judge(&policy, "/open", None), Verdict::Challenge));
        assert!(matches!(judge(&policy, "/", Some(&person)), Verdict::Allow(_)));
    }

    #[test]
    fn an_earlier_rule_about_the_path_as_it_is_written_comes_first() {
        let person = member(&["staff"]);
        let policy = policy(&[
            "public /icon",
            "signed-in /app/*",
            "public /login-help",
            "groups admins /login-help/*",
            "deny /*",
        ]);
        assert!(matches!(judge(&policy, "/icon", None), Verdict::Allow(_)));
        assert!(matches!(judge(&policy, "/app/", Some(&person)), Verdict::Allow(_)));
        assert!(matches!(judge(&policy, "/login-help", None), Verdict::Allow(_)));
        assert!(matches!(judge(&policy, "/app", Some(&person)), Verdict::Deny));
    }

    #[test]
    fn a_request_that_asks_to_be_taken_for_another_method_is_judged_as_both() {
        let policy = policy(&["deny DELETE /reports/*", "public GET /status"]);
        let (person, instead) = (member(&[]), ["DELETE".to_owned()]);
        let judge = |path, method, principal| {
            let asked = Asked {
                method,
                instead: &instead,
                ..ASKED
            };
            policy.judge(&RequestPath::parse(path).unwrap(), &asked, principal)
        };
        assert!(matches!(judge("/reports/1", "POST", Some(&person)), Verdict::Deny));
        assert!(matches!(judge("/other", "POST", Some(&person)), Verdict::Allow(_)));
        assert!(matches!(judge("/status", "GET", None), Verdict::Challenge));
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
