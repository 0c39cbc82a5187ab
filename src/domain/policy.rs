//! Who may go where. A [`Permit`] is the only thing that lets a request through, and only
//! [`Policy::judge`] makes one.

use std::sync::Arc;

use super::method;
use super::party::Party;
use super::principal::Principal;
use super::rule::{Asked, Rule, Who};
use super::scope::{self, Scope};
use super::service::Service;
use super::sharing::Sharing;
use super::target::RequestPath;

/// What the operator wrote about access. The first rule that speaks of a request decides; of what no rule speaks
/// needs a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    public: Vec<Rule>,
    shared: Vec<Sharing>,
    bearer: Vec<Scope>,
    /// Whether the rules of another site keep something from somebody that is on the same servers, beside what is here.
    beside_closed: bool,
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
    party: Party,
}

impl Permit {
    /// Who is asking; nobody on a public path without a session.
    pub const fn party(&self) -> &Party {
        &self.party
    }

    /// The person who is asking, when it is one.
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        self.party.person()
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
            bearer: Vec::new(),
            beside_closed: false,
        }
    }

    /// The same, beside these policies of other sites, on the same hosts and the same servers.
    #[must_use]
    pub fn beside<'a>(self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        let beside_closed = others.into_iter().any(|other| other.rules.iter().any(Rule::narrows));
        Self { beside_closed, ..self }
    }

    /// The same, with where bearer tokens of the web client's own do instead of a session.
    #[must_use]
    pub fn passing(self, bearer: Vec<Scope>) -> Self {
        Self { bearer, ..self }
    }

    /// Where bearer tokens of the web client's own do instead of a session.
    pub fn bearer(&self) -> &[Scope] {
        &self.bearer
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
        self.judge_party(path, asked, principal.into())
    }

    /// The same for a program. The rules see in it somebody signed in who is in the groups of its token; but what the
    /// token is not for is closed to it, open to the whole world or not.
    pub fn judge_service(&self, path: &RequestPath<'_>, asked: &Asked<'_>, service: &Arc<Service>) -> Verdict {
        if service.token.is_for(path, asked) {
            self.judge_party(path, asked, Party::Service(Arc::clone(service)))
        } else {
            Verdict::Deny
        }
    }

    /// The same for somebody of whom nothing is known here, and who brings a bearer token of the web client's own. Where
    /// such tokens do instead of a session the web client is the judge; what the rules close they close here as well.
    pub fn judge_bearer(&self, path: &RequestPath<'_>, asked: &Asked<'_>) -> Verdict {
        match self.judge_party(path, asked, Party::Nobody) {
            Verdict::Challenge if scope::hold(&self.bearer, path, asked) => {
                Verdict::Allow(Permit { party: Party::Nobody })
            }
            verdict => verdict,
        }
    }

    fn judge_party(&self, path: &RequestPath<'_>, asked: &Asked<'_>, party: Party) -> Verdict {
        match self.weigh(path, asked, party.groups()) {
            Gate::Open => Verdict::Allow(Permit { party }),
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
        let guarded = self.guards_from(asked.method);
        let reaches = method::names_paths_within(asked.method);
        readings
            .map(|reading| {
                let ruling = self.ruling(reading, asked);
                let is_named = ruling.rule.is_some_and(|rule| rule.names(asked.method));
                match ruling.gate(groups) {
                    _ if guarded && !is_named => Gate::Closed,
                    // What its body names may be for people who are signed in.
                    Gate::Open if groups.is_none() && reaches && !is_named => Gate::SignIn,
                    gate => gate,
                }
            })
            .max()
            .unwrap_or(Gate::Closed)
    }

    /// Whether this method could reach, by what its body names, what a rule keeps from somebody. Then it goes only where a
    /// rule lets it by its name.
    pub fn guards_from(&self, method: &str) -> bool {
        method::names_paths_within(method) && (self.beside_closed || self.rules.iter().any(Rule::narrows))
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

    /// Whether it can make a difference which method a request has.
    pub fn minds_methods(&self) -> bool {
        let minds = |rule: &Rule| rule.names_methods() || rule.narrows() || rule.who == Who::Public;
        self.beside_closed || self.rules.iter().chain(&self.public).any(minds) || !self.bearer.is_empty()
    }

    /// Lines about bearer tokens that open what a rule keeps for members of groups, each with that rule.
    pub fn passed_by(&self) -> Vec<(&Scope, &Rule)> {
        let for_groups = |rule: &&Rule| matches!(rule.who, Who::Groups(_));
        let lines = self.bearer.iter();
        lines
            .filter_map(|line| {
                let mut rules = self.rules.iter().filter(for_groups);
                Some((line, rules.find(|rule| rule.meets(line))?))
            })
            .collect()
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
    use super::super::api_token::tests::token;
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
    fn a_method_whose_body_names_paths_goes_only_where_a_rule_names_it_once_something_is_closed() {
        let person = member(&["staff"]);
        let judge = |policy: &Policy, path, method, instead: &[&str]| {
            let instead: Vec<String> = instead.iter().map(|method| (*method).to_owned()).collect();
            let asked = Asked {
                method,
                instead: &instead,
                ..ASKED
            };
            let verdict = policy.judge(&RequestPath::parse(path).unwrap(), &asked, Some(&person));
            matches!(verdict, Verdict::Allow(_))
        };
        let open = policy(&["signed-in /*"]);
        assert!(judge(&open, "/dav/", "REPORT", &[]) && judge(&open, "/dav/", "SEARCH", &[]));
        for closed in ["deny /dav/private/*", "groups admins /admin/*"] {
            let policy = policy(&[closed, "signed-in /*"]);
            for (method, instead) in [
                ("REPORT", &[][..]),
                ("SEARCH", &[]),
                ("POST", &["REPORT"]),
                ("POST", &["BIND"]),
            ] {
                assert!(!judge(&policy, "/dav/", method, instead), "{closed}: {method}");
            }
            assert!(judge(&policy, "/dav/", "PROPFIND", &[]) && judge(&policy, "/dav/", "POST", &[]));
            assert!(policy.minds_methods());
        }
        let beside = policy(&[]).beside([&open, &policy(&["groups admins /*"])]);
        for (method, instead) in [("REPORT", &[][..]), ("POST", &["REPORT"])] {
            assert!(
                !judge(&beside, "/dav/", method, instead),
                "another site closes something"
            );
            assert!(judge(&policy(&[]).beside([&open]), "/dav/", method, instead));
        }
        assert!(judge(&beside, "/dav/", "POST", &[]) && beside.minds_methods());
        let named = policy(&["deny /dav/private/*", "signed-in PROPFIND,REPORT /dav/*"]);
        assert!(judge(&named, "/dav/", "REPORT", &[]));
        assert!(!judge(&named, "/dav/private/x", "REPORT", &[]) && !judge(&named, "/other", "REPORT", &[]));
        assert!(!judge(&named, "/dav/", "SEARCH", &[]));
    }

    #[test]
    fn a_method_whose_body_names_paths_opens_to_nobody_what_no_rule_opens_by_its_name() {
        let (person, overriding) = (member(&[]), ["REPORT".to_owned()]);
        let judge = |policy: &Policy, path, method, instead, principal| {
            let asked = Asked {
                method,
                instead,
                ..ASKED
            };
            policy.judge(&RequestPath::parse(path).unwrap(), &asked, principal)
        };
        let public = policy(&["public /cal/*", "public GET,SEARCH /find/*"]);
        for (policy, path, method, instead) in [
            (&public, "/cal/", "REPORT", &[][..]),
            (&public, "/cal/", "SEARCH", &[]),
            (&public, "/cal/", "POST", &overriding),
            (&public, "/find/", "REPORT", &[]),
            (&policy(&[]), "/assets/x", "REPORT", &[]),
            (&policy(&[]), "/assets/x", "POST", &overriding),
        ] {
            let verdict = judge(policy, path, method, instead, None);
            assert!(matches!(verdict, Verdict::Challenge), "{path}: {method}: {verdict:?}");
            let verdict = judge(policy, path, method, instead, Some(&person));
            assert!(matches!(verdict, Verdict::Allow(_)), "{path}: {method}: {verdict:?}");
            assert!(policy.minds_methods(), "what it asks to be taken for is read");
        }
        for (path, method) in [("/cal/", "PROPFIND"), ("/cal/", "POST"), ("/find/", "SEARCH")] {
            let verdict = judge(&public, path, method, &[], None);
            assert!(matches!(verdict, Verdict::Allow(_)), "{path}: {method}: {verdict:?}");
        }
    }

    #[test]
    fn a_token_opens_to_a_method_whose_body_names_paths_what_it_names_it_for() {
        let lines = ["/cal/*", "REPORT /dav/*"];
        let scopes = lines.map(|line| Scope::parse(line).unwrap()).to_vec();
        let policy = Policy::default().passing(scopes);
        assert!(
            Policy::default()
                .passing(vec![Scope::parse("/cal/*").unwrap()])
                .minds_methods()
        );
        assert!(!Policy::default().minds_methods());
        let (service, overriding) = (program(&lines, &[]), ["REPORT".to_owned()]);
        for (path, method, instead, opens) in [
            ("/cal/", "REPORT", &[][..], false),
            ("/cal/", "SEARCH", &[], false),
            ("/cal/", "POST", &overriding, false),
            ("/cal/", "POST", &[], true),
            ("/dav/", "REPORT", &[], true),
            ("/dav/", "SEARCH", &[], false),
        ] {
            let path = RequestPath::parse(path).unwrap();
            let asked = Asked {
                method,
                instead,
                ..ASKED
            };
            let (ours, theirs) = (
                policy.judge_service(&path, &asked, &service),
                policy.judge_bearer(&path, &asked),
            );
            assert_eq!(matches!(ours, Verdict::Allow(_)), opens, "{method}: {ours:?}");
            assert_eq!(matches!(theirs, Verdict::Allow(_)), opens, "{method}: {theirs:?}");
        }
    }

    fn program(scopes: &[&str], groups: &[&str]) -> Arc<Service> {
        let mut token = token("reports", scopes);
        token.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Arc::new(Service::new(token))
    }

    #[test]
    fn a_program_comes_as_far_as_its_token_and_the_rules_let_it() {
        let policy = policy(&["deny /debug/*", "groups ops /admin/*"]);
        let judge =
            |path, service: &Arc<Service>| policy.judge_service(&RequestPath::parse(path).unwrap(), &ASKED, service);
        let (narrow, wide) = (program(&["GET /api/*"], &[]), program(&["/*"], &["ops"]));
        for (service, path, open) in [
            (&narrow, "/api/x", true),
            (&narrow, "/API/x", false),
            (&narrow, "//api/x", false),
            (&narrow, "/", false),
            (&narrow, "/assets/app.js", false),
            (&wide, "/", true),
            (&wide, "/assets/app.js", true),
            (&wide, "/admin/x", true),
            (&wide, "/debug/x", false),
            (&program(&["/*"], &["sales"]), "/admin/x", false),
        ] {
            let verdict = judge(path, service);
            let fits = match &verdict {
                Verdict::Allow(permit) => open && matches!(permit.party(), Party::Service(_)),
                Verdict::Deny => !open,
                Verdict::Challenge => false,
            };
            assert!(fits, "{path}: {verdict:?}");
        }
    }

    #[test]
    fn a_token_for_one_method_opens_nothing_that_asks_to_be_taken_for_another() {
        let (policy, instead) = (policy(&[]), ["DELETE".to_owned()]);
        let path = RequestPath::parse("/api/x").unwrap();
        let posting = Asked {
            method: "POST",
            instead: &instead,
            ..ASKED
        };
        let poster = program(&["POST /api/*"], &[]);
        assert!(matches!(policy.judge_service(&path, &posting, &poster), Verdict::Deny));
        let plain = Asked {
            instead: &[],
            ..posting
        };
        assert!(matches!(
            policy.judge_service(&path, &plain, &poster),
            Verdict::Allow(_)
        ));
    }

    #[test]
    fn a_bearer_token_of_the_web_client_opens_what_a_session_would_and_nothing_that_is_closed() {
        let lines = ["/api/v1/*", "GET /admin/*"].map(|line| Scope::parse(line).unwrap());
        let policy = policy(&["deny /api/v1/debug/*", "groups ops /admin/*"]).passing(lines.to_vec());
        let judge = |path, method| policy.judge_bearer(&RequestPath::parse(path).unwrap(), &Asked { method, ..ASKED });
        for (path, method) in [("/api/v1/x", "POST"), ("/api/v1/", "GET"), ("/admin/x", "GET")] {
            let verdict = judge(path, method);
            assert!(
                matches!(&verdict, Verdict::Allow(permit) if !permit.party().is_known()),
                "{path}: {verdict:?}"
            );
        }
        for path in ["/api/V1/x", "//api/v1/x", "/api/v1", "/api/v1;x/y", "/"] {
            assert!(matches!(judge(path, "GET"), Verdict::Challenge), "{path}");
        }
        assert!(matches!(judge("/admin/x", "POST"), Verdict::Challenge));
        assert!(matches!(judge("/api/v1/debug/x", "GET"), Verdict::Deny));
        let passed: Vec<_> = policy.passed_by().iter().map(|(line, _)| line.to_string()).collect();
        assert_eq!(passed, ["GET /admin/*"]);
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
