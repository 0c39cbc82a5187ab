//! Attempts out of the logs of other systems, so that a policy can be tried on them before it hits anybody here.
//!
//! A log is read line by line in bounded memory for each line, and sorted by time at the end. What is no attempt is passed
//! over; what looks like one and cannot be understood is refused with its line. Names are kept as digests that mean nothing
//! outside of this reading, and nothing of it is stored.

mod authelia;
mod csv;
mod mapping;
mod nginx;

use std::hash::Hash;
use std::io::{self, BufRead};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::domain::account::LoginName;
use crate::domain::client::ClientAddr;
use crate::domain::limits::NameDigest;
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;
use crate::domain::limits::policy::RuleName;
use crate::domain::limits::record::{AttemptRecord, Verdict};

pub use mapping::{Mapping, MappingProblem};

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Columns with a head: time, client, account, outcome, and by choice endpoint and lane.
    Csv,
    /// nginx's and Apache's combined format: posts to the path of the login page, by status.
    Nginx,
    /// Authelia's log, as text or JSON.
    Authelia,
}

/// What was read.
#[derive(Debug, Default)]
pub struct ForeignLog {
    /// Attempts in the order of their times.
    pub records: Vec<AttemptRecord>,
    /// Lines read.
    pub lines: u64,
    /// Lines that are no attempts.
    pub passed_over: u64,
    /// Lines whose time is before that of the line above: they have been put in order.
    pub out_of_order: u64,
    /// Lines that could not be understood.
    pub refused: u64,
    /// The first of them.
    pub refusals: Vec<Refusal>,
}

/// A line that could not be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its number, from 1.
    pub line: u64,
    /// Why, in words. Nothing of the line is repeated but what cannot be a secret.
    pub why: String,
}

/// The longest line that is read; of a longer one, no more is kept in memory.
const LONGEST_LINE: usize = 64 << 10;

/// The most attempts of one log, about 200 bytes each in memory.
pub const MOST_ATTEMPTS: usize = 5_000_000;

/// So many refused lines are told one by one.
const MOST_REFUSALS: usize = 20;

/// An attempt as a line tells it.
#[derive(Debug, PartialEq, Eq)]
struct Told<'a> {
    at: Timestamp,
    client: ClientAddr,
    /// `None` where the log does not say.
    account: Option<&'a str>,
    /// `None` where it was stopped, so that nobody knows.
    outcome: Option<Outcome>,
    endpoint: Endpoint,
    lane: LaneKind,
}

/// What a line comes to: an attempt, nothing, or why it cannot be understood.
type Line<'a> = Result<Option<Told<'a>>, String>;

/// Knows what the lines of one log mean.
trait Reader {
    fn line<'a>(&mut self, text: &'a str, scratch: &'a mut String) -> Line<'a>;
}

/// Reads a whole log. `read` is told after each line how many bytes of it there were.
///
/// # Errors
/// When it cannot be read, or has more than [`MOST_ATTEMPTS`].
pub fn read(
    mut input: impl BufRead,
    format: LogFormat,
    mapping: &Mapping,
    mut read: impl FnMut(u64),
) -> io::Result<ForeignLog> {
    let mut reader: Box<dyn Reader> = match format {
        LogFormat::Csv => Box::new(csv::Columns::new(mapping)),
        LogFormat::Nginx => Box::new(nginx::Combined::new(mapping)),
        LogFormat::Authelia => Box::new(authelia::Messages),
    };
    let mut log = ForeignLog::default();
    let (mut line, mut scratch) = (Vec::new(), String::new());
    let mut newest = Timestamp::MIN;
    while let Some(length) = next_line(&mut input, &mut line)? {
        read(length);
        log.lines += 1;
        let told = understand(&mut *reader, &line, length, &mut scratch);
        match told {
            Ok(None) => log.passed_over += 1,
            Ok(Some(told)) => {
                if log.records.len() >= MOST_ATTEMPTS {
                    let words = format!("it has more than {MOST_ATTEMPTS} attempts; split it");
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
                }
                log.out_of_order += u64::from(told.at < newest);
                newest = newest.max(told.at);
                log.records.push(told.record());
            }
            Err(why) => {
                log.refused += 1;
                if log.refusals.len() < MOST_REFUSALS {
                    log.refusals.push(Refusal { line: log.lines, why });
                }
            }
        }
    }
    // Those of one moment stay in the order of the log.
    log.records.sort_by_key(|record| record.at);
    Ok(log)
}

fn understand<'a>(reader: &mut dyn Reader, line: &'a [u8], length: u64, scratch: &'a mut String) -> Line<'a> {
    if length > LONGEST_LINE as u64 {
        return Err(format!("the line has {length} bytes; {LONGEST_LINE} are the most"));
    }
    let text = std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to() + 1;
        format!("byte {at} of the line is no UTF-8")
    })?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Ok(None);
    }
    reader.line(text, scratch)
}

/// The next line with its end, of which no more than [`LONGEST_LINE`] bytes are kept; answers how long it is.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
    line.clear();
    let mut length = 0_u64;
    loop {
        let part = match input.fill_buf() {
            Ok(part) => part,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if part.is_empty() {
            return Ok((length > 0).then_some(length));
        }
        let end = memchr::memchr(b'\n', part);
        let taken = end.map_or(part.len(), |end| end + 1);
        let room = LONGEST_LINE.saturating_sub(line.len()).min(taken);
        line.extend_from_slice(part.get(..room).unwrap_or_default());
        input.consume(taken);
        length += taken as u64;
        if end.is_some() {
            return Ok(Some(length));
        }
    }
}

impl Told<'_> {
    fn record(&self) -> AttemptRecord {
        let account = self.account.map(account_digest);
        AttemptRecord {
            at: self.at,
            took: Duration::ZERO,
            endpoint: self.endpoint,
            client: self.client,
            budgets: 1,
            account,
            person: None,
            lane: self.lane,
            device: (self.lane == LaneKind::Known)
                .then(|| digest(&(account.map(|name| (name.0, name.1)), self.client.limit_key()))),
            outcome: self.outcome,
            active: match self.outcome {
                Some(_) => Verdict::Granted,
                None => stopped(),
            },
            candidate: None,
        }
    }
}

/// What stopped an attempt in another system has no name here.
fn stopped() -> Verdict {
    RuleName::parse("other-system").map_or(Verdict::Banned, Verdict::Refused)
}

/// Spellings of one name are one.
fn account_digest(name: &str) -> NameDigest {
    match LoginName::parse(name) {
        Ok(parsed) => digest(&parsed.key()),
        Err(_) => digest(&name.trim().to_lowercase()),
    }
}

/// Under no key: it lives as long as the command, beside the log it comes from.
fn digest(what: &impl Hash) -> NameDigest {
    let mut hasher = SipHasher24::new();
    what.hash(&mut hasher);
    let hash = hasher.finish128();
    NameDigest(hash.h1, hash.h2)
}

/// A time as logs have it: RFC 3339, a date and a time with an offset, or seconds since 1970.
fn time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    let at = text.parse().ok().or_else(|| seconds(text)).or_else(|| {
        let formats = ["%d/%b/%Y:%H:%M:%S %z", "%Y-%m-%d %H:%M:%S %z", "%Y/%m/%d %H:%M:%S %z"];
        formats
            .iter()
            .find_map(|format| strtime::parse(format, text).ok()?.to_timestamp().ok())
    });
    at.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        format!("{text:?} is no time: write 2026-01-31T09:00:00+09:00, or seconds since 1970; a time without an offset could be any")
    })
}

fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let nanos: String = part.chars().chain("000000000".chars()).take(9).collect();
    Timestamp::new(whole.parse().ok()?, nanos.parse().ok()?).ok()
}

fn client(text: &str) -> Result<ClientAddr, String> {
    let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
    bare.parse().map(ClientAddr::new).map_err(|_| {
        let text: String = text.chars().take(60).collect();
        format!("{text:?} is no client address")
    })
}

#[cfg(test)]
mod tests;
