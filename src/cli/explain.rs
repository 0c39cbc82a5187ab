//! `sekisho explain`: what would become of a request, by which rule, and what the web client would be told.

mod bans;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use url::Url;

use crate::config::limits_file::LimitsFile;
use crate::config::{Config, JWKS_PATH, RESERVED_PREFIX, Site};
use crate::domain::account::{Account, AccountState, Extension};
use crate::domain::api_token::{ApiToken, ApiTokenState};
use crate::domain::doors::Doors;
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::policy::{Action, LaneFilter, LimitRule};
use crate::domain::method;
use crate::domain::policy::Gate;
use crate::domain::rule::Asked;
use crate::domain::scope;
use crate::domain::site::{Place, SiteMap};
use crate::domain::target::RequestPath;
use crate::flows::TokenKey;

use bans::{InTheWay, Visitor};

use super::account::no_such_account;
use super::limits::pseudonym;
use super::open;
use super::output::{BAD, CARE, GOOD, Output, STRONG};
use super::table::{Styled, Table};
use super::token::no_such_token;

#[derive(Args)]
pub struct Explain {
    /// The address, as it is sent
    #[arg(long)]
    url: String,
    /// Who asks; left out, somebody who is not signed in
    #[arg(long = "as", value_name = "EXTENSION", value_parser = Extension::parse)]
    who: Option<Extension>,
    /// The program that asks, by the name or id of its API token
    #[arg(long, value_name = "NAME|ID", conflicts_with = "who", value_parser = TokenKey::parse)]
    token: Option<TokenKey>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,
    /// The browser, by the pseudonym that the log has for it
    #[arg(long, value_name = "PSEUDONYM", value_parser = pseudonym)]
    device: Option<NameDigest>,
    /// The method
    #[arg(long, default_value = "GET")]
    method: http::Method,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Who asks.
enum Who {
    /// Nobody known.
    Nobody,
    /// Somebody with an account.
    Person(Account),
    /// A program, by its token and what that is worth now.
    Program(Box<ApiToken>, ApiTokenState),
}

impl Who {
    /// Whose account it is, whatever may be done with it.
    const fn account(&self) -> Option<&Account> {
        match self {
            Self::Person(account) => Some(account),
            Self::Nobody | Self::Program(..) => None,
        }
    }

    /// The person who would be signed in.
    fn person(&self) -> Option<&Account> {
        match self {
            Self::Person(account) if account.state == AccountState::Active => Some(account),
            Self::Nobody | Self::Person(_) | Self::Program(..) => None,
        }
    }

    fn extension(&self) -> Option<&str> {
        match self {
            Self::Person(account) => Some(account.extension.as_str()),
            Self::Nobody | Self::Program(..) => None,
        }
    }

    fn token(&self) -> Option<&str> {
        match self {
            Self::Program(token, _) => Some(token.name.as_str()),
            Self::Nobody | Self::Person(_) => None,
        }
    }

    fn groups(&self) -> Option<&[String]> {
        match self {
            Self::Program(token, _) => Some(&token.groups),
            Self::Nobody | Self::Person(_) => self.person().map(|account| account.groups.as_slice()),
        }
    }
}

/// What would become of it.
#[derive(Serialize)]
struct Judgement<'a> {
    method: &'a str,
    url: &'a str,
    from: IpAddr,
    extension: Option<&'a str>,
    token: Option<&'a str>,
    door: Option<&'static str>,
    site: Option<String>,
    verdict: Verdict,
    why: String,
    readings: Vec<Reading>,
    headers: Vec<(String, String)>,
    limits: Vec<(String, String)>,
    bans: Vec<InTheWay>,
}

/// The end of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// To the web client.
    Forwarded,
    /// To the sign-in page, or 401.
    SignInFirst,
    /// Not even read, or 403 behind a trusted proxy.
    Banned,
    /// 403.
    Refused,
    /// 401, since the token opens nothing.
    InvalidToken,
    /// 403, since the token is not for this.
    OutOfScope,
    /// The gateway's own page.
    Ours,
    /// 404 by the gateway.
    NotFound,
    /// 405.
    NotThatWay,
    /// 400.
    BadRequest,
    /// 421.
    Misdirected,
}

/// One way an upstream might read the path.
#[derive(Serialize)]
struct Reading {
    path: String,
    rule: Option<String>,
}

impl Explain {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let config = open::config(path)?;
        let who = match (&self.who, &self.token) {
            (Some(extension), _) => Who::Person(account(path, extension)?),
            (None, Some(key)) => token(path, key)?,
            (None, None) => Who::Nobody,
        };
        let mut judgement = self.judge(&config, &who)?;
        let visitor = Visitor {
            from: self.from,
            account: who.account().map(|account| account.id),
            device: self.device,
        };
        judgement.meet(bans::look(path, &config, &visitor));
        if self.json {
            return output.json(&judgement);
        }
        let table = facts(&judgement, &who, output);
        output.table(&table)
    }

    fn judge<'a>(&'a self, config: &Config, who: &'a Who) -> anyhow::Result<Judgement<'a>> {
        let url: Url = self
            .url
            .parse()
            .with_context(|| format!("{:?} is no address, such as https://phone.example.com/admin", self.url))?;
        let host = url.host_str().context("--url names no host")?;
        anyhow::ensure!(
            self.url
                .split_once("://")
                .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(url.scheme())),
            "--url starts with https://"
        );
        let mut judgement = Judgement {
            method: self.method.as_str(),
            url: &self.url,
            from: self.from,
            extension: who.extension(),
            token: who.token(),
            door: None,
            site: None,
            verdict: Verdict::Misdirected,
            why: String::new(),
            readings: Vec::new(),
            headers: Vec::new(),
            limits: Vec::new(),
            bans: Vec::new(),
        };
        let sites = config.all_sites();
        let places: Vec<Place> = sites.iter().map(Site::place).collect();
        let map = SiteMap::new(&places);
        let Some(number) = map.host(&authority(&url)).filter(|_| url.scheme() == "https") else {
            judgement.why.push_str(
                "no door has this address; the doors are in [doors] and, for further sites, in [sites.NAME.doors]",
            );
            return Ok(judgement);
        };
        if !method::is_forwarded(self.method.as_str()) {
            judgement.verdict = Verdict::NotThatWay;
            judgement.why = format!("{} goes nowhere, whatever the rules say", self.method);
            return Ok(judgement);
        }
        let path = match RequestPath::parse(raw_path(&self.url)) {
            Ok(path) => path,
            Err(problem) => {
                judgement.verdict = Verdict::BadRequest;
                judgement.why = problem.to_string();
                return Ok(judgement);
            }
        };
        // The request line would be taken for one with a stray blank at its end.
        if self.url.split('#').next().is_some_and(|target| target.ends_with("%20")) {
            judgement.verdict = Verdict::BadRequest;
            judgement.why.push_str("the target ends in a blank");
            return Ok(judgement);
        }
        let front = map.root(number).and_then(|front| sites.get(front));
        judgement.door = front.and_then(|front| door(&front.doors, &url));
        if let Some((verdict, why)) = own(config, &path) {
            judgement.site = front.map(|front| front.name.to_string());
            (judgement.verdict, judgement.why) = (verdict, why);
            judgement.limits = limits(config, path.raw(), self.from);
            return Ok(judgement);
        }
        let Some(site) = map.choose(number, &path).and_then(|chosen| sites.get(chosen)) else {
            judgement.verdict = Verdict::BadRequest;
            "one web client or another could take the path for its own".clone_into(&mut judgement.why);
            return Ok(judgement);
        };
        judgement.site = Some(site.name.to_string());
        judgement.door = door(&site.doors, &url);
        let asked = Asked {
            method: self.method.as_str(),
            host,
            client: self.from.to_canonical(),
            instead: &[],
        };
        judgement.weigh(site, who, &path, &asked);
        if judgement.verdict == Verdict::Forwarded {
            let body = site.upstream.largest_body(&path);
            judgement
                .limits
                .extend(body.map(|most| ("largest body".to_owned(), most)));
            judgement.headers = headers(config, site, who, self.from, &url);
        }
        Ok(judgement)
    }
}

impl Judgement<'_> {
    /// Bans stand before everything else.
    fn meet(&mut self, bans: Vec<InTheWay>) {
        if bans.iter().any(InTheWay::stops_requests) {
            self.verdict = Verdict::Banned;
            "Its address is banned, whatever it asks for and whoever is signed in.".clone_into(&mut self.why);
            self.headers.clear();
            self.limits.clear();
        }
        self.bans = bans;
    }

    /// By the token of a program, and by the policy of the site.
    fn weigh(&mut self, site: &Site, who: &Who, path: &RequestPath<'_>, asked: &Asked<'_>) {
        let groups = who.groups();
        self.readings = path
            .readings()
            .iter()
            .map(|reading| Reading {
                path: reading.to_string(),
                rule: site
                    .policy
                    .ruling(reading, asked)
                    .deciding(groups)
                    .map(ToString::to_string),
            })
            .collect();
        if let Who::Program(token, state) = who
            && let Some((verdict, why)) = program(token, *state, path, asked)
        {
            (self.verdict, self.why) = (verdict, why);
            return;
        }
        let gate = site.policy.weigh(path, asked, groups);
        self.verdict = match gate {
            Gate::Open => Verdict::Forwarded,
            Gate::SignIn => Verdict::SignInFirst,
            Gate::Closed => Verdict::Refused,
        };
        self.why = why(gate, who, self.readings.len());
        if gate == Gate::Closed && site.policy.guards_from(asked.method) {
            let method = asked.method;
            let _ = write!(
                self.why,
                " A {method} can name other paths in its body: where a rule closes something, it goes only where one names it."
            );
        }
        if gate == Gate::SignIn && method::names_paths_within(asked.method) {
            let method = asked.method;
            let _ = write!(
                self.why,
                " A {method} can name other paths in its body: without a session it goes only where a rule or a line of access.bearer names it."
            );
        }
        if gate == Gate::SignIn && scope::hold(site.policy.bearer(), path, asked) {
            self.why.push_str(
                " With a bearer token of the web client's own it goes there without a session (access.bearer).",
            );
        }
    }
}

/// The path as typed: a parsed address has been mended already in what the gateway judges.
fn raw_path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
}

fn account(path: &Path, extension: &Extension) -> anyhow::Result<Account> {
    open::office(path, async |office, _| {
        let listings = office.accounts.list().await?;
        let mut accounts = listings.into_iter().map(|listing| listing.account);
        accounts
            .find(|account| account.extension == *extension)
            .ok_or_else(|| no_such_account(extension))
    })
}

fn token(path: &Path, key: &TokenKey) -> anyhow::Result<Who> {
    open::office(path, async |office, _| {
        let found = office.tokens.find(key).await?;
        let token = found.ok_or_else(|| no_such_token(key))?;
        let state = token.state_at(office.tokens.world.now());
        Ok(Who::Program(Box::new(token), state))
    })
}

/// Why a token opens nothing here, whatever the rules say.
fn program(
    token: &ApiToken,
    state: ApiTokenState,
    path: &RequestPath<'_>,
    asked: &Asked<'_>,
) -> Option<(Verdict, String)> {
    match state {
        ApiTokenState::Live if token.is_for(path, asked) => None,
        ApiTokenState::Live => {
            let mut why = "It is answered 403: no scope of the token fits every way to read it.".to_owned();
            if method::names_paths_within(asked.method) {
                let method = asked.method;
                let _ = write!(
                    why,
                    " A {method} can name other paths in its body: a scope has to name it."
                );
            }
            Some((Verdict::OutOfScope, why))
        }
        ApiTokenState::Expired | ApiTokenState::Revoked => Some((
            Verdict::InvalidToken,
            format!("It is answered 401: the token is {}.", state.as_str()),
        )),
    }
}

/// The host as a request would name it.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn door(doors: &Doors, url: &Url) -> Option<&'static str> {
    let origin = url.origin().ascii_serialization();
    [("in office", &doors.in_office), ("out of office", &doors.out_of_office)]
        .into_iter()
        .find(|(_, door)| door.origin() == origin)
        .map(|(name, _)| name)
}

/// What the gateway answers itself.
fn own(config: &Config, path: &RequestPath<'_>) -> Option<(Verdict, String)> {
    let routes = &config.routes;
    let pages = [
        &routes.login,
        &routes.logout,
        &routes.set_password,
        &routes.forgot_password,
    ];
    let raw = path.raw();
    if raw.starts_with(RESERVED_PREFIX) || raw == JWKS_PATH || pages.iter().any(|page| *page == raw) {
        return Some((
            Verdict::Ours,
            "the gateway's own; no rule of [access] is asked".to_owned(),
        ));
    }
    let mut near = pages
        .iter()
        .map(|page| page.as_str())
        .chain([RESERVED_PREFIX, JWKS_PATH]);
    near.find(|route| path.nearly(route)).map(|route| {
        let why = format!("too much like {route}: a password sent there must not reach the web client");
        (Verdict::NotFound, why)
    })
}

fn why(gate: Gate, who: &Who, readings: usize) -> String {
    let strictest = if readings > 1 {
        " Of the ways to read the path, the strictest counts."
    } else {
        ""
    };
    let state = match who {
        Who::Person(account) => Some(account.state),
        Who::Nobody | Who::Program(..) => None,
    };
    let who = match state {
        Some(AccountState::Disabled) => " The account is disabled, so nobody is signed in with it.",
        Some(AccountState::Invited) => " The account has never set a password, so nobody is signed in with it.",
        Some(AccountState::Active) | None => "",
    };
    let what = match gate {
        Gate::Open => "It goes to the web client.",
        Gate::SignIn => "A browser is led to the sign-in page; a script is answered 401, a WebSocket is refused.",
        Gate::Closed => "It is answered 403.",
    };
    format!("{what}{strictest}{who}")
}

/// What the web client is told, with placeholders for what only a real request has.
fn headers(config: &Config, site: &Site, who: &Who, from: IpAddr, url: &Url) -> Vec<(String, String)> {
    let own = |name: &str, value: String| (name.to_owned(), value);
    let host = url.authority().to_owned();
    let mut headers = Vec::new();
    if let Who::Program(token, _) = who {
        let groups = token.groups.join(",");
        let says = format!(
            "a signed statement: iss {}, aud {}, sub {}, amr token, name {}, groups [{groups}]",
            config.assertion.terms.issuer,
            site.audience,
            token.subject(),
            token.name,
        );
        headers.push(own(&config.assertion.header, says));
        if config.assertion.plain_headers {
            headers.push(own("Remote-User", token.subject()));
            headers.push(own("Remote-Name", token.name.to_string()));
            headers.push(own("Remote-Email", String::new()));
            headers.push(own("Remote-Groups", groups));
        }
    }
    if let Some(account) = who.person() {
        let terms = &config.assertion.terms;
        let groups = account.groups.join(",");
        let email = account.email.as_ref().map_or("", |email| email.as_typed());
        let says = format!(
            "a signed statement: iss {}, aud {}, ext {}, name {}, email {}, groups [{groups}]",
            terms.issuer,
            site.audience,
            account.extension,
            account.name,
            if email.is_empty() { "none" } else { email }
        );
        headers.push(own(&config.assertion.header, says));
        if config.assertion.plain_headers {
            headers.push(own("Remote-User", account.extension.to_string()));
            headers.push(own("Remote-Name", account.name.clone()));
            headers.push(own("Remote-Email", email.to_owned()));
            headers.push(own("Remote-Groups", groups));
        }
    }
    headers.push(own("X-Forwarded-For", from.to_canonical().to_string()));
    headers.push(own("X-Forwarded-Proto", "https".to_owned()));
    headers.push(own("X-Forwarded-Host", host));
    headers.push(own("Forwarded", "the same, as RFC 7239 writes it".to_owned()));
    headers.push(own(
        "X-Request-Id",
        "the number of the request, as in the log".to_owned(),
    ));
    headers
}

/// The rules of the limits that count a request to one of our own pages.
fn limits(config: &Config, path: &str, from: IpAddr) -> Vec<(String, String)> {
    let only = |name: &str, why: String| vec![(name.to_owned(), why)];
    if !config.limits.enabled {
        return only("limits.enabled", "false: nothing is counted".to_owned());
    }
    let policy = match LimitsFile::in_force(&config.limits) {
        Ok(file) => file.policy,
        Err(problems) => {
            let why = format!(
                "{} things are wrong with it; sekisho limits check names them",
                problems.len()
            );
            return only("limits.policy", why);
        }
    };
    if let Some(network) = policy
        .exempt
        .iter()
        .find(|network| network.contains(&from.to_canonical()))
    {
        return only("exempt", format!("{network}: no rule counts it"));
    }
    let routes = &config.routes;
    let mut endpoints = vec![Endpoint::AnyRequest];
    if path == routes.login {
        endpoints.push(Endpoint::SignIn);
    } else if path == routes.forgot_password {
        endpoints.push(Endpoint::ForgotPassword);
    } else if path == routes.set_password {
        endpoints.push(Endpoint::SetPassword);
    }
    let rules = policy
        .rules
        .iter()
        .filter(|rule| endpoints.iter().any(|endpoint| rule.is_in_force(*endpoint)));
    rules.map(|rule| (rule.name.to_string(), counted(rule))).collect()
}

/// By what a rule counts how many of whom, and what it does beyond, where that is not to refuse.
fn counted(rule: &LimitRule) -> String {
    let mut text = format!("{} by {}", rule.quota, rule.key.as_str());
    if let LaneFilter::Only(lane) = rule.lane {
        text.push_str(match lane {
            LaneKind::Strangers => ", of strangers",
            LaneKind::Known => ", of known browsers",
        });
    }
    if rule.action != Action::Refuse {
        text.push_str(", beyond it ");
        text.push_str(rule.action.as_str());
    }
    text
}

fn facts(judgement: &Judgement<'_>, who: &Who, output: &Output) -> Table {
    let mut table = Table::of_facts();
    let request = format!("{} {}", judgement.method, judgement.url);
    table.fact("Request", Styled::new(&request, STRONG));
    table.fact("From", judgement.from.to_string());
    let who = match who {
        Who::Nobody => "nobody signed in".to_owned(),
        Who::Person(account) => format!("{} {} [{}]", account.extension, account.name, account.groups.join(", ")),
        Who::Program(token, _) => format!("the token {} [{}]", token.name, token.groups.join(", ")),
    };
    table.fact("As", who);
    table.fact("Door", Styled::or_dash(judgement.door));
    table.fact("Site", Styled::or_dash(judgement.site.as_deref()));
    for (index, reading) in judgement.readings.iter().enumerate() {
        let rule = reading.rule.as_deref().unwrap_or("no rule speaks of it: signed-in");
        let name = if index == 0 { "Rule" } else { "" };
        table.fact(name, format!("{}  →  {rule}", reading.path));
    }
    let (verdict, style) = match judgement.verdict {
        Verdict::Forwarded => ("forwarded", GOOD),
        Verdict::SignInFirst => ("sign in first", CARE),
        Verdict::Ours => ("answered by the gateway", GOOD),
        Verdict::Banned => ("banned", BAD),
        Verdict::Refused | Verdict::OutOfScope => ("refused, 403", BAD),
        Verdict::InvalidToken => ("refused, 401", BAD),
        Verdict::NotFound => ("refused, 404", BAD),
        Verdict::NotThatWay => ("refused, 405", BAD),
        Verdict::BadRequest => ("refused, 400", BAD),
        Verdict::Misdirected => ("refused, 421", BAD),
    };
    table.fact("Verdict", Styled::new(verdict, style));
    table.fact("Why", judgement.why.as_str());
    for (index, ban) in judgement.bans.iter().enumerate() {
        let told = ban.told(output);
        table.fact(if index == 0 { "Bans" } else { "" }, Styled::new(&told, BAD));
    }
    for (index, (name, value)) in judgement.headers.iter().enumerate() {
        table.fact(if index == 0 { "Headers" } else { "" }, format!("{name}: {value}"));
    }
    for (index, (name, quota)) in judgement.limits.iter().enumerate() {
        table.fact(if index == 0 { "Limits" } else { "" }, format!("{name} = {quota}"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Policy;
    use crate::domain::rule::Rule;
    use crate::domain::site::{Prefix, SiteName};

    fn config() -> Config {
        Config {
            policy: Policy::new(
                vec![
                    Rule::parse("groups admins /admin/*").unwrap(),
                    Rule::parse("deny /debug/*").unwrap(),
                ],
                vec![Rule::public("/assets/*").unwrap()],
            ),
            ..Config::default()
        }
    }

    fn judged(path: &str, groups: Option<&[&str]>) -> (Verdict, usize) {
        judged_as(http::Method::GET, path, groups)
    }

    fn judged_as(method: http::Method, path: &str, groups: Option<&[&str]>) -> (Verdict, usize) {
        let config = config();
        let explain = Explain {
            url: format!("{}{path}", config.doors.in_office.origin()),
            who: None,
            token: None,
            from: "203.0.113.7".parse().unwrap(),
            device: None,
            method,
            json: false,
        };
        let who = groups.map_or(Who::Nobody, |groups| {
            let mut account = super::super::account::tests::account("101", "田中 ゆき");
            account.state = AccountState::Active;
            account.groups = groups.iter().map(|group| (*group).to_owned()).collect();
            Who::Person(account)
        });
        let judgement = explain.judge(&config, &who).unwrap();
        (judgement.verdict, judgement.headers.len())
    }

    fn of_program(path: &str, state: ApiTokenState) -> (Verdict, usize) {
        let config = config();
        let explain = Explain {
            url: format!("{}{path}", config.doors.in_office.origin()),
            who: None,
            token: None,
            from: "203.0.113.7".parse().unwrap(),
            device: None,
            method: http::Method::GET,
            json: false,
        };
        let mut token = crate::domain::api_token::tests::token("reports", &["GET /api/*", "/admin/*", "/debug/*"]);
        token.groups = vec!["admins".to_owned()];
        let who = Who::Program(Box::new(token), state);
        let judgement = explain.judge(&config, &who).unwrap();
        (judgement.verdict, judgement.headers.len())
    }

    #[test]
    fn a_request_of_a_program_is_explained_as_the_gateway_would_judge_it() {
        let live = |path| of_program(path, ApiTokenState::Live);
        assert_eq!(live("/api/x"), (Verdict::Forwarded, 6));
        assert_eq!(live("/admin/x"), (Verdict::Forwarded, 6));
        assert_eq!(live("/debug/x"), (Verdict::Refused, 0));
        for path in ["/", "/API/x", "/assets/app.js"] {
            assert_eq!(live(path), (Verdict::OutOfScope, 0), "{path}");
        }
        assert_eq!(live("/login"), (Verdict::Ours, 0));
        for state in [ApiTokenState::Expired, ApiTokenState::Revoked] {
            assert_eq!(of_program("/api/x", state), (Verdict::InvalidToken, 0));
        }
    }

    #[test]
    fn a_request_is_explained_as_the_gateway_would_judge_it() {
        assert_eq!(judged("/", None), (Verdict::SignInFirst, 0));
        assert_eq!(judged("/", Some(&[])), (Verdict::Forwarded, 6));
        assert_eq!(judged("/assets/app.js", None), (Verdict::Forwarded, 5));
        assert_eq!(judged("/admin/x", Some(&["staff"])), (Verdict::Refused, 0));
        assert_eq!(judged("//admin/x", Some(&["staff"])), (Verdict::Refused, 0));
        assert_eq!(judged("/admin/x", Some(&["admins"])), (Verdict::Forwarded, 6));
        assert_eq!(judged("/debug/x?y", Some(&["admins"])), (Verdict::Refused, 0));
        assert_eq!(judged("/a/../b", Some(&[])), (Verdict::BadRequest, 0));
        assert_eq!(judged("/login", None), (Verdict::Ours, 0));
        assert_eq!(judged("/Login/", None), (Verdict::NotFound, 0));
        assert_eq!(judged("/admin", Some(&["staff"])), (Verdict::Refused, 0));
        assert_eq!(judged("/open%20", None), (Verdict::BadRequest, 0));
        assert_eq!(judged("?next=/admin/x", Some(&["staff"])), (Verdict::Forwarded, 6));
        assert_eq!(judged("#/debug/x", Some(&["staff"])), (Verdict::Forwarded, 6));
        let traced = judged_as(http::Method::TRACE, "/", Some(&["admins"]));
        assert_eq!(traced, (Verdict::NotThatWay, 0));
    }

    #[test]
    fn the_site_is_named_and_a_path_of_two_sites_is_refused() {
        let mut config = config();
        let mut wiki = config.all_sites().remove(0);
        wiki.name = SiteName::parse("wiki").unwrap();
        wiki.path = Prefix::parse("/wiki").unwrap();
        wiki.policy = Policy::default();
        wiki.audience = "wiki".to_owned();
        config.sites.push(wiki);
        for (path, site, verdict) in [
            ("/wiki/admin/x", Some("wiki"), Verdict::SignInFirst),
            ("/debug/x", Some("main"), Verdict::Refused),
            ("/login", Some("main"), Verdict::Ours),
            ("//wiki/x", None, Verdict::BadRequest),
        ] {
            let explain = Explain {
                url: format!("{}{path}", config.doors.out_of_office.origin()),
                who: None,
                token: None,
                from: "203.0.113.7".parse().unwrap(),
                device: None,
                method: http::Method::GET,
                json: false,
            };
            let judgement = explain.judge(&config, &Who::Nobody).unwrap();
            assert_eq!(
                (judgement.site.as_deref(), judgement.verdict),
                (site, verdict),
                "{path}"
            );
            assert_eq!(judgement.door, Some("out of office"));
        }
    }

    #[test]
    fn an_address_of_no_door_is_misdirected() {
        let explain = Explain {
            url: "https://other.example/".to_owned(),
            who: None,
            token: None,
            from: "::1".parse().unwrap(),
            device: None,
            method: http::Method::GET,
            json: false,
        };
        assert_eq!(
            explain.judge(&config(), &Who::Nobody).unwrap().verdict,
            Verdict::Misdirected
        );
    }
}
