//! The combined format of nginx and Apache: who posted to the login page, and with which status it was answered.
//!
//! It holds no name but that of HTTP authentication, so a policy's rules by account mostly count nothing on it.

use super::{Line, Mapping, Reader, Told, client, time};
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;

pub(super) struct Combined<'m> {
    path: &'m str,
    /// Statuses that mean something else than usual.
    typed: Vec<(u16, Option<Outcome>)>,
}

impl<'m> Combined<'m> {
    pub fn new(mapping: &'m Mapping) -> Self {
        let meanings = [
            ("succeeded", Some(Outcome::Succeeded)),
            ("failed", Some(Outcome::Failed)),
            ("refused", None),
            ("not-tried", Some(Outcome::NotTried)),
        ];
        let statuses = |key| mapping.statuses(key).unwrap_or_default().into_iter();
        Self {
            path: mapping.typed("path").unwrap_or("/login"),
            typed: meanings
                .into_iter()
                .flat_map(|(key, outcome)| statuses(key).map(move |status| (status, outcome)))
                .collect(),
        }
    }

    /// A login page that is answered with a redirect has let somebody in, one that is shown again has not.
    fn outcome(&self, status: u16) -> Option<Outcome> {
        let typed = self.typed.iter().find(|(known, _)| *known == status);
        match (typed, status) {
            (Some((_, outcome)), _) => *outcome,
            (None, 302 | 303) => Some(Outcome::Succeeded),
            (None, 429) => None,
            (None, 408 | 499 | 500..) => Some(Outcome::NotTried),
            (None, _) => Some(Outcome::Failed),
        }
    }
}

impl Reader for Combined<'_> {
    fn line<'a>(&mut self, text: &'a str, _: &'a mut String) -> Line<'a> {
        // A name has no quotation mark in it: nginx and Apache escape them. So the first one begins the request, whatever
        // brackets somebody put into the name before it.
        let (before, after) = text.split_once('"').ok_or("there is no request in quotation marks")?;
        let (request, after) = after.split_at(closing(after).ok_or("the request's quotation mark is not closed")?);
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split(['?', '#']).next().unwrap_or_default();
        if method != "POST" || path != self.path {
            return Ok(None);
        }
        let (who, when) = before
            .trim_end()
            .strip_suffix(']')
            .and_then(|before| before.rsplit_once(" ["))
            .ok_or("there is no time in brackets before the request")?;
        let (address, names) = who.split_once(' ').ok_or("there is no client address")?;
        let name = names.split_once(' ').map_or("-", |(_, name)| name.trim());
        let status = after
            .get(1..)
            .unwrap_or_default()
            .split_whitespace()
            .next()
            .unwrap_or_default();
        let status: u16 = status.parse().map_err(|_| "there is no status after the request")?;
        Ok(Some(Told {
            at: time(when)?,
            client: client(address)?,
            account: (name != "-" && !name.is_empty()).then_some(name),
            outcome: self.outcome(status),
            endpoint: Endpoint::SignIn,
            lane: LaneKind::Strangers,
        }))
    }
}

/// Where the first quotation mark is that no backslash escapes.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}
