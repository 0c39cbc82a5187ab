//! `sekisho token`: what programs may use, and until when.

use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::api_token::{ApiToken, ApiTokenId, ApiTokenName, ApiTokenState};
use crate::domain::scope::Scope;
use crate::flows::{Made, NewToken, NewTokenProblem, Revoking, TokenKey};

use super::open;
use super::output::{BAD, CARE, FAINT, GOOD, Output, STRONG, aside};
use super::table::{Styled, Table};

#[derive(Subcommand)]
pub enum Command {
    /// Make a token for a program, and print it once
    #[command(
        after_help = "Example:\n  sekisho token add nightly-report --scope \"GET /api/calls/*\" --expires 90d\n\nThe program \
        sends it as `Authorization: Bearer TOKEN`. It opens what its scopes name and the access rules let through, and \
        never a page of the gateway's own. A scope is [METHODS] PATH [at HOSTS] [from NETWORKS], as in a rule; without `at` \
        it is for every site.\n\nThe token stands alone on standard output. It is stored as a digest: nobody can show it \
        again. A running gateway takes it at once."
    )]
    Add(Add),
    /// List the tokens, newest first, ended ones for three months
    List(List),
    /// Show one token: its scopes, and when and from where it was last used
    Show(Show),
    /// Take a token back
    #[command(
        after_help = "Its requests stop within a second, open streams and WebSocket connections too. Its name is free again."
    )]
    Revoke(Revoke),
}

#[derive(Args)]
pub struct Add {
    /// What to call it: lower-case letters, digits, hyphens and dots, at most 30
    #[arg(value_name = "NAME", value_parser = ApiTokenName::parse)]
    name: ApiTokenName,
    /// What it is for: [METHODS] PATH [at HOSTS] [from NETWORKS]; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = Scope::parse)]
    scopes: Vec<Scope>,
    /// A group that it counts as a member of; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// How long it works, such as 90d; 366 days at most
    #[arg(long, value_name = "TIME", value_parser = life)]
    expires: Duration,
    /// Print the token and what is known of it as JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct List {
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Show {
    /// The token's name or id
    #[arg(value_name = "NAME|ID", value_parser = TokenKey::parse)]
    token: TokenKey,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Revoke {
    /// The token's name or id
    #[arg(value_name = "NAME|ID", value_parser = TokenKey::parse)]
    token: TokenKey,
}

fn life(text: &str) -> Result<Duration, &'static str> {
    // humantime takes a bare zero, which has no unit.
    humantime::parse_duration(text)
        .ok()
        .filter(|life| !life.is_zero())
        .ok_or("a time is a number and its unit, such as 90d or 12h")
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::Add(add) => add.run(path, output),
            Self::List(list) => list.run(path, output),
            Self::Show(show) => show.run(path, output),
            Self::Revoke(revoke) => revoke.run(path, output),
        }
    }
}

impl Add {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let new = NewToken::parse(self.name.clone(), self.scopes.clone(), &self.groups, self.expires)
            .map_err(|problem| anyhow!("{}", self.explain(&problem)))?;
        let made = open::office(path, async |office, _| Ok(office.tokens.add(new).await?))?;
        let Made::Done(token, secret) = made else {
            bail!(
                "NAME {0}: another token has this name; choose another, or take that one back: sekisho token revoke {0}",
                self.name
            );
        };
        let text = secret.expose();
        if self.json {
            return output.json(&Fresh {
                token: &text,
                entry: Entry::of(&token, token.created_at),
            });
        }
        aside(format_args!(
            "The token {} works until {}. Keep it well: nobody can show it again.",
            token.name,
            output.time(token.expires_at)
        ));
        output.line(text.as_str())
    }

    /// The problem, with the argument it is about as it was typed.
    fn explain(&self, problem: &NewTokenProblem) -> String {
        let typed = match problem {
            NewTokenProblem::Scopes => "--scope".to_owned(),
            NewTokenProblem::Group => format!("--group {:?}", self.groups.join(" ")),
            NewTokenProblem::Life => format!("--expires {}", humantime::format_duration(self.expires)),
        };
        format!("{typed}: {problem}")
    }
}

impl List {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (now, tokens) = open::office(path, async |office, _| {
            Ok((office.tokens.world.now(), office.tokens.list().await?))
        })?;
        list(&tokens, now, self.json, output)
    }
}

impl Show {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (now, token) = open::office(path, async |office, _| {
            let token = office.tokens.find(&self.token).await?;
            Ok((
                office.tokens.world.now(),
                token.ok_or_else(|| no_such_token(&self.token))?,
            ))
        })?;
        if self.json {
            return output.json(&Entry::of(&token, now));
        }
        let table = facts(&token, now, output);
        output.table(&table)
    }
}

impl Revoke {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let revoking = open::office(path, async |office, _| Ok(office.tokens.revoke(&self.token).await?))?;
        output.line(match revoking {
            Revoking::Done(token) => format!("The token {} opens nothing any more.", token.name),
            Revoking::Already(token) => format!("The token {} was revoked before.", token.name),
            Revoking::NotFound => return Err(no_such_token(&self.token)),
        })
    }
}

/// What to say of a token that there is none of.
pub fn no_such_token(key: &TokenKey) -> anyhow::Error {
    match key {
        TokenKey::Name(name) => anyhow!("there is no token {name}; see: sekisho token list"),
        TokenKey::Id(id) => anyhow!("there is no token {id}; see: sekisho token list"),
    }
}

/// A token that was just made, in JSON.
#[derive(Serialize)]
struct Fresh<'a> {
    token: &'a str,
    #[serde(flatten)]
    entry: Entry<'a>,
}

/// A token in JSON, without its secret.
#[derive(Serialize)]
struct Entry<'a> {
    id: ApiTokenId,
    name: &'a ApiTokenName,
    scopes: Vec<String>,
    groups: &'a [String],
    created_by: String,
    created_at: Timestamp,
    expires_at: Timestamp,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    last_used_from: Option<String>,
    state: &'static str,
}

impl<'a> Entry<'a> {
    fn of(token: &'a ApiToken, now: Timestamp) -> Self {
        Self {
            id: token.id,
            name: &token.name,
            scopes: scopes(token),
            groups: &token.groups,
            created_by: token.created_by.to_string(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: token.used.map(|used| used.at),
            last_used_from: token.used.map(|used| used.client.to_string()),
            state: token.state_at(now).as_str(),
        }
    }
}

fn scopes(token: &ApiToken) -> Vec<String> {
    token.scopes.iter().map(Scope::to_string).collect()
}

fn state(token: &ApiToken, now: Timestamp) -> Styled {
    let state = token.state_at(now);
    let style = match state {
        ApiTokenState::Live => GOOD,
        ApiTokenState::Expired => CARE,
        ApiTokenState::Revoked => FAINT,
    };
    Styled::new(state.as_str(), style)
}

fn list(tokens: &[ApiToken], now: Timestamp, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        let entries: Vec<_> = tokens.iter().map(|token| Entry::of(token, now)).collect();
        return output.json(&entries);
    }
    if tokens.is_empty() {
        return output
            .line("There are no tokens. Make one: sekisho token add NAME --scope \"GET /api/*\" --expires 90d");
    }
    let mut table = Table::new(["Name", "Scopes", "Groups", "Expires", "Last used", "From", "State"]).unbroken(&[0]);
    for token in tokens {
        let (used, from) = token.used.map_or((None, None), |used| {
            (Some(output.time(used.at)), Some(used.client.to_string()))
        });
        let groups = (!token.groups.is_empty()).then(|| token.groups.join(", "));
        table.row([
            token.name.to_string().into(),
            scopes(token).join("; ").into(),
            Styled::or_dash(groups.as_deref()),
            output.time(token.expires_at).into(),
            Styled::or_dash(used.as_deref()),
            Styled::or_dash(from.as_deref()),
            state(token, now),
        ]);
    }
    output.table(&table)
}

fn facts(token: &ApiToken, now: Timestamp, output: &Output) -> Table {
    let mut table = Table::of_facts();
    table.fact("Name", Styled::new(token.name.as_str(), STRONG));
    table.fact("Id", token.id.to_string());
    table.fact("State", state(token, now));
    for (index, scope) in scopes(token).into_iter().enumerate() {
        table.fact(if index == 0 { "Scopes" } else { "" }, scope);
    }
    let groups = (!token.groups.is_empty()).then(|| token.groups.join(", "));
    table.fact("Groups", Styled::or_dash(groups.as_deref()));
    table.fact(
        "Made",
        format!("{} by {}", output.time(token.created_at), token.created_by),
    );
    table.fact("Expires", output.time(token.expires_at));
    if let Some(revoked) = token.revoked_at {
        table.fact("Revoked", Styled::new(&output.time(revoked), BAD));
    }
    let used = token
        .used
        .map(|used| format!("{} from {}", output.time(used.at), used.client));
    table.fact("Last used", Styled::or_dash(used.as_deref()));
    table
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::api_token::LastUse;
    use crate::domain::api_token::tests::token;
    use crate::domain::client::ClientAddr;
    use crate::domain::session::tests::at;

    fn used() -> ApiToken {
        let mut used = token("reports", &["GET /api/*", "/hooks/x from 10.0.0.0/8"]);
        used.groups = vec!["ops".to_owned()];
        used.used = Some(LastUse {
            at: at(60),
            client: ClientAddr::new("192.0.2.7".parse().unwrap()),
        });
        used
    }

    #[test]
    fn a_token_is_listed_with_what_it_is_for_and_where_it_was_used() {
        let (used, now) = (used(), at(100));
        let print = |json| {
            let sheet = Sheet::default();
            list(std::slice::from_ref(&used), now, json, &mut sheet.output()).unwrap();
            sheet.text()
        };
        let text = print(false);
        for words in [
            "reports",
            "GET /api/*; /hooks/x from 10.0.0.0/8",
            "ops",
            "192.0.2.7",
            "live",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&print(true)).unwrap();
        assert_eq!(
            json[0]["scopes"],
            serde_json::json!(["GET /api/*", "/hooks/x from 10.0.0.0/8"])
        );
        assert_eq!(json[0]["last_used_from"], "192.0.2.7");
        assert_eq!(json[0]["state"], "live");
        assert!(
            json[0].get("token").is_none() && json[0].get("digest").is_none(),
            "{json}"
        );
    }

    #[test]
    fn a_token_is_shown_as_the_gateway_would_judge_it() {
        let shown = |token: &ApiToken, now| {
            let sheet = Sheet::default();
            let table = facts(token, now, &sheet.output());
            sheet.output().table(&table).unwrap();
            sheet.text()
        };
        let used = used();
        assert!(shown(&used, at(100)).contains("live"));
        assert!(shown(&used, at(1000)).contains("expired"));
        let revoked = ApiToken {
            revoked_at: Some(at(50)),
            ..used
        };
        assert!(shown(&revoked, at(100)).contains("revoked"));
    }

    #[test]
    fn a_life_has_a_unit() {
        assert_eq!(life("90d"), Ok(Duration::from_hours(90 * 24)));
        for bad in ["0", "0s", "90", "soon"] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }
}
