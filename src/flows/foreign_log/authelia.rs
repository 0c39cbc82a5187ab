//! Authelia's log: its messages about first factors, as text or as JSON.
//!
//! Attempts that succeeded are in it at the level debug alone. What a second factor came to is passed over: no password was
//! tried there.

use std::borrow::Cow;

use serde::Deserialize;

use super::{Line, Reader, Told, client, time};
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;

pub(super) struct Messages;

/// The fields of a line.
#[derive(Default, Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    msg: Cow<'a, str>,
    #[serde(borrow, default)]
    remote_ip: Cow<'a, str>,
}

impl Reader for Messages {
    fn line<'a>(&mut self, text: &'a str, scratch: &'a mut String) -> Line<'a> {
        let fields: Fields<'_> = if text.starts_with('{') {
            serde_json::from_str(text).map_err(|error| format!("it begins like JSON and is none: {error}"))?
        } else {
            fields(text)
        };
        let Some((outcome, name)) = first_factor(&fields.msg) else {
            return Ok(None);
        };
        if fields.remote_ip.is_empty() {
            return Err("it has no remote_ip".to_owned());
        }
        let (at, client) = (time(&fields.time)?, client(&fields.remote_ip)?);
        name.clone_into(scratch);
        let name: &'a str = scratch;
        Ok(Some(Told {
            at,
            client,
            account: (!name.is_empty()).then_some(name),
            outcome,
            endpoint: Endpoint::SignIn,
            lane: LaneKind::Strangers,
        }))
    }
}

/// How a first factor ended, and for whom.
fn first_factor(message: &str) -> Option<(Option<Outcome>, &str)> {
    if let Some(name) = message.strip_prefix("Successful 1FA authentication attempt made by user '") {
        return Some((Some(Outcome::Succeeded), name.strip_suffix('\'')?));
    }
    let rest = message.strip_prefix("Unsuccessful 1FA authentication attempt by user '")?;
    if let Some((name, _)) = rest.rsplit_once("' and they are banned until ") {
        return Some((None, name));
    }
    // Older versions append what went wrong.
    let name = rest
        .split_once("': ")
        .map(|(name, _)| name)
        .or_else(|| rest.strip_suffix('\''))?;
    Some((Some(Outcome::Failed), name))
}

/// `key=value` and `key="value"`, as logrus writes them. What is written otherwise is no field.
fn fields(text: &str) -> Fields<'_> {
    let mut fields = Fields::default();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_start();
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquoted(quoted)
        } else {
            let (value, after) = after.split_at(after.find(' ').unwrap_or(after.len()));
            (Cow::Borrowed(value), after)
        };
        match key {
            "time" => fields.time = value,
            "msg" => fields.msg = value,
            "remote_ip" => fields.remote_ip = value,
            _ => {}
        }
        rest = after;
    }
    fields
}

/// A quoted value without its escapes, and what follows it.
fn unquoted(text: &str) -> (Cow<'_, str>, &str) {
    let mut plain = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (Cow::Owned(plain), text.get(at + 1..).unwrap_or_default()),
            '\\' => plain.extend(chars.next().map(|(_, c)| c)),
            c => plain.push(c),
        }
    }
    (Cow::Owned(plain), "")
}
