//! `sekisho session`: who is signed in, and ending that.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::account::{Account, Extension};
use crate::domain::session::{Lifetime, Session, SessionId, SessionState};
use crate::flows::AccountChange;

use super::account::{no_such_account, person};
use super::open;
use super::output::{CARE, FAINT, GOOD, Output};
use super::table::{Styled, Table};

#[derive(Subcommand)]
pub enum Command {
    /// List sessions, newest first
    #[command(
        after_help = "A session is live, idle (no request for longer than sessions.idle), expired (older than \
        sessions.absolute) or ended (its account was disabled, or signed out everywhere). Only a live one opens \
        anything; the others are swept away in time."
    )]
    List(List),
    /// End one session, or all sessions of an account
    #[command(
        after_help = "Examples:\n  sekisho session end 0190b5f2-7f3c-7d1e-9c55-1f0f5e0a6a01\n  \
        sekisho session end --account 101\n\nThe requests of an ended session stop within a second, open WebSocket connections \
        too. Who may sign in can do so again: to prevent that, disable the account."
    )]
    End(End),
}

#[derive(Args)]
pub struct List {
    /// Only the sessions of this extension number
    #[arg(long, value_name = "EXTENSION", value_parser = Extension::parse)]
    account: Option<Extension>,
    /// Print JSON, with times in UTC
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct End {
    /// The session, as `sekisho session list` names it
    #[arg(value_name = "SESSION_ID", value_parser = session_id)]
    id: Option<SessionId>,
    /// Every session of this extension number
    #[arg(long, value_name = "EXTENSION", value_parser = Extension::parse)]
    account: Option<Extension>,
}

fn session_id(text: &str) -> Result<SessionId, &'static str> {
    SessionId::parse(text).ok_or("a session is named by its id, as `sekisho session list` shows it")
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(path, output),
            Self::End(end) => end.run(path, output),
        }
    }
}

impl List {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let (now, lifetime, sessions) = open::office(path, async |office, config| {
            let account = match &self.account {
                Some(extension) => {
                    let found = office.accounts.find(extension).await?;
                    Some(found.ok_or_else(|| no_such_account(extension))?.id)
                }
                None => None,
            };
            let sessions = office.accounts.sessions(account).await?;
            Ok((office.accounts.world.now(), config.sessions.lifetime, sessions))
        })?;
        show(&sessions, now, lifetime, self.json, output)
    }
}

impl End {
    fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let words = open::office(path, async |office, _| match (&self.account, self.id) {
            (Some(extension), _) => match office.accounts.end_sessions(extension).await? {
                AccountChange::Done(account) | AccountChange::Unchanged(account) => {
                    Ok(format!("Every session of {} has ended.", person(&account)))
                }
                _ => Err(no_such_account(extension)),
            },
            (None, Some(id)) if office.accounts.end_session(id).await? => Ok(format!("Session {id} has ended.")),
            (None, Some(id)) => bail!("there is no session {id}; see: sekisho session list"),
            (None, None) => bail!("name a session, or an account with --account"),
        })?;
        output.line(words)
    }
}

/// A session in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    id: SessionId,
    extension: &'a Extension,
    name: &'a str,
    created_at: Timestamp,
    last_seen_at: Timestamp,
    client: String,
    user_agent: &'a str,
    state: &'static str,
}

const fn state_name(state: SessionState) -> &'static str {
    match state {
        SessionState::Live => "live",
        SessionState::Idle => "idle",
        SessionState::Expired => "expired",
        SessionState::Ended => "ended",
    }
}

fn show(
    sessions: &[(Session, Account)],
    now: Timestamp,
    lifetime: Lifetime,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let state = |session: &Session, account| session.state_at(now, session.last_seen_at, account, lifetime);
    if json {
        let entries: Vec<_> = sessions
            .iter()
            .map(|(session, account)| Entry {
                id: session.id,
                extension: &account.extension,
                name: &account.name,
                created_at: session.created_at,
                last_seen_at: session.last_seen_at,
                client: session.client.to_string(),
                user_agent: &session.user_agent,
                state: state_name(state(session, account)),
            })
            .collect();
        return output.json(&entries);
    }
    if sessions.is_empty() {
        return output.line("Nobody is signed in.");
    }
    let mut table = Table::new([
        "Session",
        "Account",
        "Signed in",
        "Last seen",
        "From",
        "Browser",
        "State",
    ])
    .unbroken(&[0]);
    for (session, account) in sessions {
        let state = state(session, account);
        let style = match state {
            SessionState::Live => GOOD,
            SessionState::Idle => CARE,
            SessionState::Expired | SessionState::Ended => FAINT,
        };
        table.row([
            session.id.to_string().into(),
            Styled::people([(account.extension.as_str(), account.name.as_str())]),
            output.time(session.created_at).into(),
            output.time(session.last_seen_at).into(),
            session.client.to_string().into(),
            Styled::or_dash(Some(browser(&session.user_agent))),
            Styled::new(state_name(state), style),
        ]);
    }
    output.table(&table)
}

/// The name by which people know a browser; what it says of itself where it is none of those.
fn browser(user_agent: &str) -> &str {
    // In this order: each of them also claims to be the ones below it.
    let known = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    known
        .iter()
        .find(|(mark, _)| user_agent.contains(mark))
        .map_or_else(|| user_agent.split(' ').next().unwrap_or_default(), |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::super::account::tests::account;
    use super::super::output::tests::Sheet;
    use super::*;
    use crate::domain::account::AccountState;
    use crate::domain::client::ClientAddr;
    use crate::domain::session::later;
    use crate::domain::token::TokenDigest;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_session_is_shown_as_the_gateway_would_judge_it() {
        let begun: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let lifetime = Lifetime {
            idle: DAY,
            absolute: 7 * DAY,
        };
        let mut yuki = account("101", "田中 ゆき");
        yuki.state = AccountState::Active;
        let session = Session {
            id: SessionId::new(Uuid::from_u128(7)),
            digest: TokenDigest::from_bytes([0; 32]),
            account: yuki.id,
            generation: yuki.generation,
            created_at: begun,
            authenticated_at: begun,
            last_seen_at: begun,
            client: ClientAddr::new("192.0.2.1".parse().unwrap()),
            user_agent: "Mozilla/5.0 (X11) Chrome/120 Safari/537 Edg/120".to_owned(),
        };
        let print = |account: &Account, after, json| {
            let sheet = Sheet::default();
            let sessions = [(session.clone(), account.clone())];
            show(&sessions, later(begun, after), lifetime, json, &mut sheet.output()).unwrap();
            sheet.text()
        };
        let text = print(&yuki, Duration::from_mins(5), false);
        for words in ["101 田中 ゆき", "192.0.2.1", "Edge", "live"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(print(&yuki, 2 * DAY, false).contains("idle"));
        assert!(print(&yuki, 8 * DAY, false).contains("expired"));
        let disabled = Account {
            state: AccountState::Disabled,
            ..yuki.clone()
        };
        assert!(print(&disabled, Duration::ZERO, false).contains("ended"));

        let json: serde_json::Value = serde_json::from_str(&print(&yuki, Duration::ZERO, true)).unwrap();
        assert_eq!(
            json[0],
            serde_json::json!({
                "id": session.id.to_string(), "extension": "101", "name": "田中 ゆき",
                "created_at": "2026-01-02T03:04:05Z", "last_seen_at": "2026-01-02T03:04:05Z",
                "client": "192.0.2.1", "user_agent": session.user_agent, "state": "live",
            })
        );
    }

    #[test]
    fn a_browser_goes_by_its_name() {
        assert_eq!(
            browser("Mozilla/5.0 (iPhone) AppleWebKit CriOS/120 Mobile Safari/604"),
            "Chrome"
        );
        assert_eq!(browser("Mozilla/5.0 (X11; rv:120) Gecko Firefox/120"), "Firefox");
        assert_eq!(browser("curl/8.1 (x)"), "curl/8.1");
        assert_eq!(browser(""), "");
    }
}
