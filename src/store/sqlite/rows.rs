//! A row into a type, and the texts and numbers a type is stored as. What cannot be understood is
//! [`Fault::Corrupt`]: a guess about stored data could open a door.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::error::ErrorKind;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::domain::account::{Account, AccountId, AccountState, Email, Extension, LoginName, Role};
use crate::domain::api_token::{ApiToken, ApiTokenId, ApiTokenName, LastUse};
use crate::domain::bounce::{Action, Bounce, Ignored, Report, StatusCode};
use crate::domain::campaigns::CampaignId;
use crate::domain::client::ClientAddr;
use crate::domain::device::Device;
use crate::domain::event::{Actor, Event, Fact};
use crate::domain::fault::Fault;
use crate::domain::key::KeyRecord;
use crate::domain::order::{Decree, Order, OrderId, PolicySource, Target, Words};
use crate::domain::outbox::{Addressee, Letter, LetterId, Matter};
use crate::domain::password::PasswordHash;
use crate::domain::scope::Scope;
use crate::domain::session::{Session, SessionId};
use crate::domain::site::SiteName;
use crate::domain::ticket::{Purpose, Ticket, TicketEnd, Way};
use crate::domain::token::TokenDigest;
use crate::domain::unlock::Unlock;
use crate::ports::{Changed, Credential, LetterListing, LetterStatus, TicketListing};

/// The columns [`account`] reads, from a table named `a`.
macro_rules! account_columns {
    () => {
        "a.id AS account_id, a.extension, a.name AS account_name, a.email AS account_email, a.role, a.groups_json, \
         a.language, a.state, a.generation AS account_generation, a.created_at AS account_created_at, a.updated_at"
    };
}
pub(super) use account_columns;

/// The columns [`session`] reads, from a table named `s`.
macro_rules! session_columns {
    () => {
        "s.id AS session_id, s.digest, s.account, s.generation, s.created_at, s.authenticated_at, s.last_seen_at, \
         s.client, s.user_agent"
    };
}
pub(super) use session_columns;

/// The columns [`letter_listing`] reads.
macro_rules! letter_columns {
    () => {
        "id, matter, account, email, client, user_agent, device, site, campaign, login, reader_name, reader_extension, \
         reader_language, created_at, status, attempts, due_at, words, ended_at, paced, sent_to, bounce, bounce_status, \
         bounce_words, bounced_at"
    };
}
pub(super) use letter_columns;

/// Why an operation stopped.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database refused or failed.
    Database(sqlx::Error),
    /// The tables could not be brought up to date.
    Migration(MigrateError),
    /// A column holds what this version cannot understand.
    Column(String),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<MigrateError> for Trouble {
    fn from(error: MigrateError) -> Self {
        Self::Migration(error)
    }
}

impl Trouble {
    pub(super) fn into_fault(self, what: String) -> Fault {
        match self {
            Self::Column(problem) => Fault::corrupt(what, problem),
            Self::Database(error) | Self::Migration(MigrateError::Execute(error)) if is_corruption(&error) => {
                Fault::corrupt(what, error)
            }
            Self::Database(error) => Fault::unavailable(what, error),
            Self::Migration(MigrateError::VersionMissing(version)) => Fault::unavailable(
                what,
                format!("it was written by a newer version (its tables are at {version}); run that version or newer"),
            ),
            Self::Migration(error) => Fault::unavailable(what, error),
        }
    }
}

/// A value of another type than expected, or SQLite itself says: malformed (11) or no database at all (26).
fn is_corruption(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        sqlx::Error::Database(cause) => {
            let code = cause.code().and_then(|code| code.parse::<u32>().ok());
            cause.kind() == ErrorKind::Other && matches!(code.map(|code| code & 0xff), Some(11 | 26))
        }
        _ => false,
    }
}

/// A time as stored.
pub(super) fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A generation as stored.
pub(super) fn generation(generation: u64) -> Result<i64, Trouble> {
    i64::try_from(generation).map_err(|_| Trouble::Column(format!("no column holds the generation {generation}")))
}

/// How many rows are wanted, as a parameter.
pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Groups as stored.
pub(super) fn groups(groups: &[String]) -> String {
    serde_json::Value::from(groups).to_string()
}

/// A digest as text, for the log of changes.
pub(super) fn digest_text(digest: &TokenDigest) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes())
}

pub(super) fn account(row: &SqliteRow) -> Result<Account, Trouble> {
    Ok(Account {
        id: parsed(row, "account_id", AccountId::parse)?,
        extension: parsed(row, "extension", |text| Extension::parse(text).ok())?,
        name: row.try_get("account_name")?,
        email: parsed_if_any(row, "account_email", |text| Email::parse(text).ok())?,
        role: parsed(row, "role", Role::parse)?,
        groups: parsed(row, "groups_json", |text| serde_json::from_str(text).ok())?,
        language: parsed(row, "language", |text| text.parse().ok())?,
        state: state(row)?,
        generation: count(row, "account_generation")?,
        created_at: time(row, "account_created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

pub(super) fn state(row: &SqliteRow) -> Result<AccountState, Trouble> {
    parsed(row, "state", AccountState::parse)
}

pub(super) fn credential(row: &SqliteRow) -> Result<Credential, Trouble> {
    let hash: Option<String> = row.try_get("password_hash")?;
    Ok(Credential {
        account: account(row)?,
        hash: hash.map(PasswordHash::from_phc),
        password_set_at: time_if_any(row, "password_set_at")?,
        welcomed: row.try_get("welcomed")?,
    })
}

pub(super) fn account_hash(row: &SqliteRow) -> Result<(AccountId, PasswordHash), Trouble> {
    let hash: String = row.try_get("password_hash")?;
    Ok((parsed(row, "id", AccountId::parse)?, PasswordHash::from_phc(hash)))
}

pub(super) fn session(row: &SqliteRow) -> Result<Session, Trouble> {
    Ok(Session {
        id: parsed(row, "session_id", SessionId::parse)?,
        digest: digest(row, "digest")?,
        account: parsed(row, "account", AccountId::parse)?,
        generation: count(row, "generation")?,
        created_at: time(row, "created_at")?,
        authenticated_at: time(row, "authenticated_at")?,
        last_seen_at: time(row, "last_seen_at")?,
        client: parsed(row, "client", client)?,
        user_agent: row.try_get("user_agent")?,
    })
}

pub(super) fn ticket(row: &SqliteRow) -> Result<Ticket, Trouble> {
    Ok(Ticket {
        digest: digest(row, "digest")?,
        account: parsed(row, "account", AccountId::parse)?,
        purpose: parsed(row, "purpose", Purpose::parse)?,
        way: parsed_if_any(row, "way", Way::parse)?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        ended: parsed_if_any(row, "ended", TicketEnd::parse)?,
    })
}

pub(super) fn ticket_listing(row: &SqliteRow) -> Result<TicketListing, Trouble> {
    let openings: i64 = row.try_get("openings")?;
    Ok(TicketListing {
        ticket: ticket(row)?,
        openings: u32::try_from(openings).map_err(|_| unreadable("openings", openings))?,
        opened_at: time_if_any(row, "opened_at")?,
        ended_at: time_if_any(row, "ended_at")?,
    })
}

pub(super) fn unlock(row: &SqliteRow) -> Result<Unlock, Trouble> {
    Ok(Unlock {
        digest: digest(row, "digest")?,
        account: parsed(row, "account", AccountId::parse)?,
        letter: parsed(row, "letter", LetterId::parse)?,
        sent_to: parsed(row, "sent_to", |text| Email::parse(text).ok())?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        ended_at: time_if_any(row, "ended_at")?,
    })
}

pub(super) fn letter(row: &SqliteRow) -> Result<Letter, Trouble> {
    let account = |row| parsed(row, "account", AccountId::parse);
    let matter: &str = row.try_get("matter")?;
    let matter = match matter {
        "welcome" => Matter::Welcome { account: account(row)? },
        "password-changed" => Matter::PasswordChanged { account: account(row)? },
        "new-device" => Matter::NewDevice {
            account: account(row)?,
            client: parsed(row, "client", client)?,
            user_agent: row.try_get::<Option<String>, _>("user_agent")?.unwrap_or_default(),
        },
        "email-changed" => Matter::EmailChanged {
            account: account(row)?,
            to: parsed(row, "email", |text| Email::parse(text).ok())?,
            reader: reader(row)?,
        },
        "account-unlocked" => Matter::AccountUnlocked { account: account(row)? },
        "new-password" => Matter::NewPassword { account: account(row)? },
        "campaign" => Matter::Campaign {
            to: parsed(row, "email", |text| Email::parse(text).ok())?,
            campaign: parsed(row, "campaign", CampaignId::parse)?,
        },
        "browser-unlock" => Matter::UnlockRequested {
            name: parsed(row, "login", |text| LoginName::parse(text).ok())?,
            client: parsed(row, "client", client)?,
            site: site(row)?,
        },
        "reset" => Matter::ResetRequested {
            email: parsed(row, "email", |text| Email::parse(text).ok())?,
            client: parsed(row, "client", client)?,
            device: device(row)?,
            site: site(row)?,
        },
        other => return Err(unreadable("matter", other)),
    };
    Ok(Letter {
        id: parsed(row, "id", LetterId::parse)?,
        matter,
        created_at: time(row, "created_at")?,
    })
}

/// Older backups do not name one.
fn site(row: &SqliteRow) -> Result<SiteName, Trouble> {
    match row.try_get::<Option<&str>, _>("site") {
        Ok(Some(text)) => SiteName::parse(text).map_err(|_| unreadable("site", text)),
        Ok(None) | Err(sqlx::Error::ColumnNotFound(_)) => Ok(SiteName::main()),
        Err(error) => Err(error.into()),
    }
}

/// A letter of before this was noted names none, and an older backup has no room for it.
fn reader(row: &SqliteRow) -> Result<Option<Addressee>, Trouble> {
    let name = match row.try_get::<Option<String>, _>("reader_name") {
        Ok(Some(name)) => name,
        Ok(None) | Err(sqlx::Error::ColumnNotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(Addressee {
        name,
        extension: parsed(row, "reader_extension", |text| Extension::parse(text).ok())?,
        language: parsed(row, "reader_language", |text| text.parse().ok())?,
    }))
}

/// The columns a matter is stored in, apart from its name.
pub(super) struct MatterColumns<'a> {
    pub(super) account: Option<String>,
    pub(super) email: Option<&'a str>,
    pub(super) client: Option<String>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) device: Option<Vec<u8>>,
    pub(super) site: Option<&'a str>,
    pub(super) campaign: Option<String>,
    pub(super) login: Option<&'a str>,
    pub(super) reader: Option<&'a Addressee>,
}

pub(super) fn matter(matter: &Matter) -> MatterColumns<'_> {
    let (email, client, user_agent) = match matter {
        Matter::Welcome { .. }
        | Matter::PasswordChanged { .. }
        | Matter::AccountUnlocked { .. }
        | Matter::NewPassword { .. } => (None, None, None),
        Matter::ResetRequested { email, client, .. } => (Some(email.as_typed()), Some(client), None),
        Matter::UnlockRequested { client, .. } => (None, Some(client), None),
        Matter::NewDevice { client, user_agent, .. } => (None, Some(client), Some(user_agent.as_str())),
        Matter::EmailChanged { to, .. } | Matter::Campaign { to, .. } => (Some(to.as_typed()), None, None),
    };
    MatterColumns {
        account: matter.account().map(|account| account.to_string()),
        email,
        client: client.map(ToString::to_string),
        user_agent,
        device: match matter {
            Matter::ResetRequested { device, .. } => device.as_ref().map(Device::to_bytes),
            _ => None,
        },
        site: matter.site().filter(|site| !site.is_main()).map(SiteName::as_str),
        campaign: match matter {
            Matter::Campaign { campaign, .. } => Some(campaign.to_string()),
            _ => None,
        },
        login: match matter {
            Matter::UnlockRequested { name, .. } => Some(name.as_typed()),
            _ => None,
        },
        reader: match matter {
            Matter::EmailChanged { reader, .. } => reader.as_ref(),
            _ => None,
        },
    }
}

/// A letter of before this was noted has none.
fn device(row: &SqliteRow) -> Result<Option<Device>, Trouble> {
    let bytes: Option<&[u8]> = row.try_get("device")?;
    bytes
        .map(|bytes| Device::parse(bytes).ok_or_else(|| unreadable("device", format_args!("{} bytes", bytes.len()))))
        .transpose()
}

pub(super) fn attempts(row: &SqliteRow) -> Result<u32, Trouble> {
    let attempts: i64 = row.try_get("attempts")?;
    u32::try_from(attempts).map_err(|_| unreadable("attempts", attempts))
}

pub(super) fn letter_listing(row: &SqliteRow) -> Result<LetterListing, Trouble> {
    let status = match row.try_get("status")? {
        "waiting" => LetterStatus::Waiting(time(row, "due_at")?),
        "delivered" => LetterStatus::Delivered(time(row, "ended_at")?),
        "withheld" => LetterStatus::Withheld(time(row, "ended_at")?),
        "given-up" => LetterStatus::GivenUp(time(row, "ended_at")?),
        "bounced" => LetterStatus::Bounced(time(row, "ended_at")?),
        other => return Err(unreadable("status", other)),
    };
    Ok(LetterListing {
        letter: letter(row)?,
        status,
        attempts: attempts(row)?,
        words: row.try_get("words")?,
        paced: row.try_get("paced")?,
        sent_to: parsed_if_any(row, "sent_to", |text| Email::parse(text).ok())?,
        bounce: match parsed_if_any(row, "bounce", Action::parse)? {
            Some(action) => Some(bounce(row, action)?),
            None => None,
        },
    })
}

/// A report, from the columns that follow its action.
pub(super) fn bounce(row: &SqliteRow, action: Action) -> Result<Bounce, Trouble> {
    Ok(Bounce {
        report: Report {
            action,
            status: parsed_if_any(row, "bounce_status", StatusCode::parse)?,
            words: row.try_get("bounce_words")?,
        },
        at: time(row, "bounced_at")?,
    })
}

pub(super) fn ignored(row: &SqliteRow) -> Result<(Ignored, u64), Trouble> {
    Ok((parsed(row, "reason", Ignored::parse)?, count(row, "count")?))
}

pub(super) fn event(row: &SqliteRow) -> Result<Event, Trouble> {
    let detail: Option<&str> = row.try_get("detail")?;
    Ok(Event {
        id: parsed(row, "id", |text| Uuid::parse_str(text).ok())?,
        at: time(row, "at")?,
        actor: parsed(row, "actor", Actor::parse)?,
        client: parsed_if_any(row, "client", client)?,
        account: parsed_if_any(row, "account", AccountId::parse)?,
        fact: parsed(row, "name", |name| Fact::parse(name, detail))?,
    })
}

pub(super) fn key(row: &SqliteRow) -> Result<KeyRecord, Trouble> {
    Ok(KeyRecord {
        kid: row.try_get("kid")?,
        algorithm: parsed(row, "algorithm", |text| text.parse().ok())?,
        sealed: row.try_get("sealed")?,
        public_jwk: row.try_get("public_jwk")?,
        created_at: time(row, "created_at")?,
        retired_at: time_if_any(row, "retired_at")?,
    })
}

pub(super) fn api_token(row: &SqliteRow) -> Result<ApiToken, Trouble> {
    let used_at = time_if_any(row, "used_at")?;
    Ok(ApiToken {
        id: parsed(row, "id", ApiTokenId::parse)?,
        name: parsed(row, "name", |text| ApiTokenName::parse(text).ok())?,
        digest: digest(row, "digest")?,
        scopes: parsed(row, "scopes_json", scopes_from_json)?,
        groups: parsed(row, "groups_json", |text| serde_json::from_str(text).ok())?,
        created_by: parsed(row, "created_by", Actor::parse)?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        revoked_at: time_if_any(row, "revoked_at")?,
        used: match used_at {
            Some(at) => Some(LastUse {
                at,
                client: parsed(row, "used_from", client)?,
            }),
            None => None,
        },
    })
}

/// Scopes as stored.
pub(super) fn scopes(scopes: &[Scope]) -> String {
    let lines: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    serde_json::Value::from(lines).to_string()
}

fn scopes_from_json(text: &str) -> Option<Vec<Scope>> {
    let lines: Vec<String> = serde_json::from_str(text).ok()?;
    lines.iter().map(|line| Scope::parse(line).ok()).collect()
}

pub(super) fn changed(row: &SqliteRow) -> Result<Changed, Trouble> {
    match row.try_get("kind")? {
        "account" => Ok(Changed::Account(parsed(row, "id", AccountId::parse)?)),
        "session" => Ok(Changed::Session(parsed(row, "id", digest_from_text)?)),
        "token" => Ok(Changed::Token(parsed(row, "id", ApiTokenId::parse)?)),
        "keys" => Ok(Changed::Keys),
        other => Err(unreadable("kind", other)),
    }
}

pub(super) fn order(row: &SqliteRow) -> Result<Order, Trouble> {
    let (kind, subject): (&str, &str) = (row.try_get("kind")?, row.try_get("subject")?);
    let text: Option<&str> = row.try_get("policy_text")?;
    let decree = decree(kind, subject, text).ok_or_else(|| unreadable("subject", format!("{kind} {subject}")))?;
    Ok(Order {
        id: parsed(row, "id", OrderId::parse)?,
        decree,
        reason: parsed_if_any(row, "reason", |text| Words::parse(text).ok())?,
        author: parsed(row, "author", |text| Words::parse(text).ok())?,
        made_at: time(row, "made_at")?,
        until: time_if_any(row, "until")?,
    })
}

fn decree(kind: &str, subject: &str, text: Option<&str>) -> Option<Decree> {
    Some(match kind {
        "ban" => Decree::Ban(Target::parse(subject)?),
        "exemption" => Decree::Exempt(subject.parse().ok()?),
        "policy" => Decree::Apply(match (subject.split_once(' ')?, text) {
            (("preset", name), None) => PolicySource::Preset(name.to_owned()),
            (("file", name), Some(text)) => PolicySource::File {
                name: name.to_owned(),
                text: text.to_owned(),
            },
            _ => return None,
        }),
        _ => return None,
    })
}

pub(super) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, Trouble> {
    let at: i64 = row.try_get(column)?;
    Timestamp::from_millisecond(at).map_err(|_| unreadable(column, at))
}

pub(super) fn time_if_any(row: &SqliteRow, column: &'static str) -> Result<Option<Timestamp>, Trouble> {
    match row.try_get::<Option<i64>, _>(column)? {
        Some(_) => time(row, column).map(Some),
        None => Ok(None),
    }
}

fn count(row: &SqliteRow, column: &'static str) -> Result<u64, Trouble> {
    let count: i64 = row.try_get(column)?;
    u64::try_from(count).map_err(|_| unreadable(column, count))
}

pub(super) fn digest(row: &SqliteRow, column: &'static str) -> Result<TokenDigest, Trouble> {
    let bytes: &[u8] = row.try_get(column)?;
    let bytes = bytes
        .try_into()
        .map_err(|_| unreadable(column, format_args!("{} bytes", bytes.len())))?;
    Ok(TokenDigest::from_bytes(bytes))
}

fn parsed<T>(row: &SqliteRow, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Trouble> {
    let text = row.try_get(column)?;
    parse(text).ok_or_else(|| unreadable(column, text))
}

fn parsed_if_any<T>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Trouble> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(|text| parse(text).ok_or_else(|| unreadable(column, text)))
        .transpose()
}

fn client(text: &str) -> Option<ClientAddr> {
    text.parse::<IpAddr>().ok().map(ClientAddr::new)
}

fn digest_from_text(text: &str) -> Option<TokenDigest> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.try_into().ok().map(TokenDigest::from_bytes)
}

pub(super) fn unreadable(column: &str, value: impl std::fmt::Display) -> Trouble {
    let value: String = value.to_string().chars().take(60).collect();
    Trouble::Column(format!("the column {column} holds {value:?}"))
}
