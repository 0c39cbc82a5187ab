//! Attempts in SQLite, in about a hundred bytes each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, query, query_as, query_scalar};
use uuid::Uuid;

use super::SqliteStore;
use super::rows::{Trouble, limit, unreadable};
use crate::domain::account::AccountId;
use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::policy::RuleName;
use crate::domain::limits::record::{AttemptRecord, Verdict};
use crate::ports::{AttemptPage, AttemptPlace, Attempts, Since};

#[async_trait]
impl Attempts for SqliteStore {
    async fn add(&self, records: &[AttemptRecord]) -> Result<(), Fault> {
        if records.is_empty() {
            return Ok(());
        }
        self.write(format!("keep {} attempts", records.len()), async {
            let mut tx = self.transaction().await?;
            let mut rules = HashMap::new();
            for record in records {
                insert(&mut tx, record, &mut rules).await?;
            }
            Ok(tx.commit().await?)
        })
        .await
    }

    async fn holds(&self, record: &AttemptRecord) -> Result<bool, Fault> {
        self.read("look for an attempt", async {
            let found =
                query("SELECT 1 FROM attempts WHERE at = $1 AND endpoint = $2 AND client = $3 AND account IS $4")
                    .bind(nanos(record.at))
                    .bind(number_of(&Endpoint::ALL, &record.endpoint))
                    .bind(address_bytes(record.client))
                    .bind(record.account.map(digest_bytes))
                    .fetch_optional(&self.readers)
                    .await?;
            Ok(found.is_some())
        })
        .await
    }

    async fn newest(&self) -> Result<i64, Fault> {
        self.read("find the newest attempt", async {
            let newest: i64 = query_scalar("SELECT coalesce(max(seq), 0) FROM attempts")
                .fetch_one(&self.readers)
                .await?;
            Ok(newest)
        })
        .await
    }

    async fn page(&self, since: Since, newest: i64, most: usize) -> Result<AttemptPage, Fault> {
        let (at, number) = match since {
            Since::Time(at) => (nanos(at), i64::MIN),
            Since::Place(place) => (nanos(place.at), place.number),
        };
        self.read("read attempts", async {
            let mut reader = self.readers.acquire().await?;
            let rules = rules(&mut reader).await?;
            // The sign keeps SQLite to the order of the times: hardly any has a higher number.
            let found = query(
                "SELECT seq, at, took, endpoint, client, budgets, account, person, device, lane, outcome, active, \
                 active_rule, candidate, candidate_rule FROM attempts \
                 WHERE at >= $1 AND (at > $1 OR seq > $2) AND +seq <= $3 ORDER BY at, seq LIMIT $4",
            )
            .bind(at)
            .bind(number)
            .bind(newest)
            .bind(limit(most))
            .fetch_all(&mut *reader)
            .await?;
            let records: Vec<AttemptRecord> = found.iter().map(|row| attempt(row, &rules)).collect::<Result<_, _>>()?;
            let last = match (found.last(), records.last()) {
                (Some(row), Some(record)) => Some(AttemptPlace {
                    at: record.at,
                    number: row.try_get("seq")?,
                }),
                _ => None,
            };
            Ok(AttemptPage { records, last })
        })
        .await
    }

    async fn count(&self, since: Timestamp) -> Result<u64, Fault> {
        self.read("count attempts", async {
            let count: i64 = query_scalar("SELECT count(*) FROM attempts WHERE at >= $1")
                .bind(nanos(since))
                .fetch_one(&self.readers)
                .await?;
            Ok(u64::try_from(count).unwrap_or_default())
        })
        .await
    }

    async fn sweep(&self, before: Timestamp, at_once: u64) -> Result<u64, Fault> {
        self.write("remove old attempts", async {
            let mut tx = self.transaction().await?;
            let removed = query(
                "DELETE FROM attempts WHERE seq IN (SELECT seq FROM attempts WHERE at < $1 ORDER BY at, seq LIMIT $2)",
            )
            .bind(nanos(before))
            .bind(signed(at_once))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(removed.rows_affected())
        })
        .await
    }

    async fn bound(&self, most: u64, at_once: u64) -> Result<u64, Fault> {
        let kept = self.read("count attempts", async {
            // As long as all of them have more numbers than there may be, none has to be counted.
            let span: i64 = query_scalar("SELECT coalesce(max(seq) - min(seq) + 1, 0) FROM attempts")
                .fetch_one(&self.readers)
                .await?;
            if span <= signed(most) {
                return Ok(span);
            }
            Ok(query_scalar("SELECT count(*) FROM attempts")
                .fetch_one(&self.readers)
                .await?)
        });
        let surplus = kept.await?.saturating_sub(signed(most)).min(signed(at_once));
        if surplus <= 0 {
            return Ok(0);
        }
        self.write("remove attempts beyond the bound", async {
            let mut tx = self.transaction().await?;
            let stopped = query(
                "DELETE FROM attempts WHERE seq IN \
                 (SELECT seq FROM attempts WHERE outcome IS NULL ORDER BY at, seq LIMIT $1)",
            )
            .bind(surplus)
            .execute(&mut *tx)
            .await?
            .rows_affected();
            let others =
                query("DELETE FROM attempts WHERE seq IN (SELECT seq FROM attempts ORDER BY at, seq LIMIT $1)")
                    .bind(surplus.saturating_sub(signed(stopped)))
                    .execute(&mut *tx)
                    .await?
                    .rows_affected();
            tx.commit().await?;
            Ok(stopped + others)
        })
        .await
    }
}

async fn insert(
    tx: &mut SqliteConnection,
    record: &AttemptRecord,
    rules: &mut HashMap<RuleName, i64>,
) -> Result<(), Trouble> {
    let (active, rule) = numbered(&record.active);
    let active_rule = rule_id(tx, rule, rules).await?;
    let (candidate, rule) = record
        .candidate
        .as_ref()
        .map_or((None, None), |verdict| (Some(numbered(verdict).0), numbered(verdict).1));
    let candidate_rule = rule_id(tx, rule, rules).await?;
    query(
        "INSERT INTO attempts (at, took, endpoint, client, budgets, account, person, device, lane, outcome, active, \
         active_rule, candidate, candidate_rule) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(nanos(record.at))
    .bind(i64::try_from(record.took.as_nanos()).unwrap_or(i64::MAX))
    .bind(number_of(&Endpoint::ALL, &record.endpoint))
    .bind(address_bytes(record.client))
    .bind(i64::from(record.budgets))
    .bind(record.account.map(digest_bytes))
    .bind(record.person.map(|person| person.to_bytes().to_vec()))
    .bind(record.device.map(digest_bytes))
    .bind(number_of(&LANES, &record.lane))
    .bind(record.outcome.map(|outcome| number_of(&Outcome::ALL, &outcome)))
    .bind(active)
    .bind(active_rule)
    .bind(candidate)
    .bind(candidate_rule)
    .execute(tx)
    .await?;
    Ok(())
}

/// The number under which a rule is written; a rule that nobody has named before gets one.
async fn rule_id(
    tx: &mut SqliteConnection,
    rule: Option<&RuleName>,
    known: &mut HashMap<RuleName, i64>,
) -> Result<Option<i64>, Trouble> {
    let Some(rule) = rule else {
        return Ok(None);
    };
    if let Some(id) = known.get(rule) {
        return Ok(Some(*id));
    }
    query("INSERT INTO attempt_rules (name) VALUES ($1) ON CONFLICT (name) DO NOTHING")
        .bind(rule.as_str())
        .execute(&mut *tx)
        .await?;
    let id: i64 = query_scalar("SELECT id FROM attempt_rules WHERE name = $1")
        .bind(rule.as_str())
        .fetch_one(&mut *tx)
        .await?;
    known.insert(rule.clone(), id);
    Ok(Some(id))
}

/// The names of the rules by their numbers.
pub(super) async fn rules(connection: &mut SqliteConnection) -> Result<HashMap<i64, RuleName>, Trouble> {
    let rules: Vec<(i64, String)> = query_as("SELECT id, name FROM attempt_rules")
        .fetch_all(connection)
        .await?;
    rules
        .into_iter()
        .map(|(id, name)| Ok((id, rule_name(&name)?)))
        .collect()
}

/// A row, with the names of its rules.
pub(super) fn attempt(row: &SqliteRow, rules: &HashMap<i64, RuleName>) -> Result<AttemptRecord, Trouble> {
    let candidate = match row.try_get::<Option<i64>, _>("candidate")? {
        Some(_) => Some(verdict(row, ["candidate", "candidate_rule"], rules)?),
        None => None,
    };
    let person = match row.try_get::<Option<&[u8]>, _>("person")? {
        Some(bytes) => Some(AccountId::new(
            Uuid::from_slice(bytes).map_err(|_| strange_length("person", bytes))?,
        )),
        None => None,
    };
    let outcome = match row.try_get::<Option<i64>, _>("outcome")? {
        Some(number) => Some(numbered_in(&Outcome::ALL, "outcome", number)?),
        None => None,
    };
    Ok(AttemptRecord {
        at: Timestamp::from_nanosecond(i128::from(row.try_get::<i64, _>("at")?))
            .map_err(|error| unreadable("at", error))?,
        took: Duration::from_nanos(unsigned(row, "took")?),
        endpoint: numbered_in(&Endpoint::ALL, "endpoint", row.try_get("endpoint")?)?,
        client: address(row.try_get("client")?)?,
        budgets: u32::try_from(unsigned(row, "budgets")?).map_err(|error| unreadable("budgets", error))?,
        account: digest(row, "account")?,
        person,
        lane: numbered_in(&LANES, "lane", row.try_get("lane")?)?,
        device: digest(row, "device")?,
        outcome,
        active: verdict(row, ["active", "active_rule"], rules)?,
        candidate,
    })
}

const LANES: [LaneKind; 2] = [LaneKind::Strangers, LaneKind::Known];

/// A verdict as a number, and its rule.
const fn numbered(verdict: &Verdict) -> (i64, Option<&RuleName>) {
    match verdict {
        Verdict::Granted => (0, None),
        Verdict::Slowed(rule) => (1, Some(rule)),
        Verdict::Noted(rule) => (2, Some(rule)),
        Verdict::Refused(rule) => (3, Some(rule)),
        Verdict::Banned => (4, None),
    }
}

fn verdict(row: &SqliteRow, columns: [&'static str; 2], rules: &HashMap<i64, RuleName>) -> Result<Verdict, Trouble> {
    let [number, rule] = columns;
    let named = || -> Result<RuleName, Trouble> {
        let id: Option<i64> = row.try_get(rule)?;
        let found = id.and_then(|id| rules.get(&id));
        found.cloned().ok_or_else(|| unreadable(rule, format_args!("{id:?}")))
    };
    match row.try_get(number)? {
        0 => Ok(Verdict::Granted),
        1 => Ok(Verdict::Slowed(named()?)),
        2 => Ok(Verdict::Noted(named()?)),
        3 => Ok(Verdict::Refused(named()?)),
        4 => Ok(Verdict::Banned),
        other => Err(unreadable(number, other)),
    }
}

fn rule_name(text: &str) -> Result<RuleName, Trouble> {
    RuleName::parse(text).ok_or_else(|| unreadable("name", text))
}

/// The place in a closed list whose order never changes.
fn number_of<T: PartialEq>(all: &[T], one: &T) -> i64 {
    let place = all.iter().position(|other| other == one).unwrap_or(all.len());
    i64::try_from(place).unwrap_or(i64::MAX)
}

fn numbered_in<T: Copy>(all: &[T], column: &'static str, number: i64) -> Result<T, Trouble> {
    let place = usize::try_from(number).ok();
    let found = place.and_then(|place| all.get(place)).copied();
    found.ok_or_else(|| unreadable(column, number))
}

fn digest_bytes(NameDigest(one, other): NameDigest) -> Vec<u8> {
    [one.to_be_bytes(), other.to_be_bytes()].concat()
}

fn digest(row: &SqliteRow, column: &'static str) -> Result<Option<NameDigest>, Trouble> {
    let Some(bytes) = row.try_get::<Option<&[u8]>, _>(column)? else {
        return Ok(None);
    };
    let whole: [u8; 16] = bytes.try_into().map_err(|_| strange_length(column, bytes))?;
    let number = u128::from_be_bytes(whole);
    let [one, other] =
        [number >> 64, number & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default());
    Ok(Some(NameDigest(one, other)))
}

fn address_bytes(client: ClientAddr) -> Vec<u8> {
    match client.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn address(bytes: &[u8]) -> Result<ClientAddr, Trouble> {
    let four: Result<[u8; 4], _> = bytes.try_into();
    let sixteen: Result<[u8; 16], _> = bytes.try_into();
    match (four, sixteen) {
        (Ok(four), _) => Ok(ClientAddr::new(IpAddr::from(four))),
        (_, Ok(sixteen)) => Ok(ClientAddr::new(IpAddr::from(sixteen))),
        _ => Err(strange_length("client", bytes)),
    }
}

fn strange_length(column: &'static str, bytes: &[u8]) -> Trouble {
    unreadable(column, format_args!("{} bytes", bytes.len()))
}

fn unsigned(row: &SqliteRow, column: &'static str) -> Result<u64, Trouble> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| unreadable(column, number))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Exact until the year 2262.
fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at.as_second() < 0 { i64::MIN } else { i64::MAX })
}
