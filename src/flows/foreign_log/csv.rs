//! A table of attempts: one a line, under a head with the names of the columns.

use super::{Line, Mapping, Reader, Told, client, time};
use crate::domain::limits::attempt::{Endpoint, LaneKind};
use crate::domain::limits::ledger::Outcome;

/// Where each thing stands.
#[derive(Default)]
struct Places {
    time: usize,
    client: usize,
    account: usize,
    outcome: usize,
    endpoint: Option<usize>,
    lane: Option<usize>,
    columns: usize,
}

pub(super) struct Columns<'m> {
    mapping: &'m Mapping,
    places: Option<Places>,
    /// Without a head that can be understood, no line can.
    headless: bool,
    /// Words besides those that are understood anyhow, in lower case.
    words: [(Option<Outcome>, Vec<String>); 3],
}

impl<'m> Columns<'m> {
    pub fn new(mapping: &'m Mapping) -> Self {
        let words = |key: &str| -> Vec<String> {
            let typed = mapping.typed(key).unwrap_or_default().split(',');
            typed
                .map(|word| word.trim().to_lowercase())
                .filter(|word| !word.is_empty())
                .collect()
        };
        Self {
            mapping,
            places: None,
            headless: false,
            words: [
                (Some(Outcome::Succeeded), words("succeeded")),
                (Some(Outcome::Failed), words("failed")),
                (None, words("refused")),
            ],
        }
    }

    fn head(&self, cells: &[(usize, usize)], text: &str) -> Result<Places, String> {
        let names: Vec<String> = cells
            .iter()
            .map(|(from, to)| text.get(*from..*to).unwrap_or_default().trim().to_lowercase())
            .collect();
        let place = |key: &str| {
            let wanted = self.mapping.word(key).to_lowercase();
            names.iter().position(|name| *name == wanted)
        };
        let needed = |key: &str| {
            place(key).ok_or_else(|| {
                let wanted = self.mapping.word(key);
                format!("the head has no column {wanted:?}; name the one that stands for it with --map {key}=COLUMN")
            })
        };
        Ok(Places {
            time: needed("time")?,
            client: needed("client")?,
            account: needed("account")?,
            outcome: needed("outcome")?,
            endpoint: place("endpoint"),
            lane: place("lane"),
            columns: names.len(),
        })
    }

    fn outcome(&self, word: &str) -> Result<Option<Outcome>, String> {
        let word = word.trim().to_lowercase();
        if let Some((outcome, _)) = self.words.iter().find(|(_, words)| words.contains(&word)) {
            return Ok(*outcome);
        }
        match word.as_str() {
            "succeeded" | "success" | "ok" | "true" | "1" => Ok(Some(Outcome::Succeeded)),
            "failed" | "failure" | "wrong" | "false" | "0" => Ok(Some(Outcome::Failed)),
            "not-tried" | "error" => Ok(Some(Outcome::NotTried)),
            "refused" | "throttled" | "blocked" | "banned" => Ok(None),
            other => {
                let other: String = other.chars().take(40).collect();
                Err(format!(
                    "{other:?} is no outcome: succeeded, failed, not-tried or refused; say what yours mean with --map succeeded=WORD,WORD"
                ))
            }
        }
    }
}

impl Reader for Columns<'_> {
    fn line<'a>(&mut self, text: &'a str, scratch: &'a mut String) -> Line<'a> {
        let text = text.trim_start_matches('\u{feff}');
        let cells = cells(text, scratch)?;
        let text: &'a str = scratch;
        if self.headless {
            return Ok(None);
        }
        let Some(places) = &self.places else {
            self.headless = true;
            self.places = Some(self.head(&cells, text)?);
            self.headless = false;
            return Ok(None);
        };
        if cells.len() != places.columns {
            return Err(format!(
                "it has {} cells, and the head has {}",
                cells.len(),
                places.columns
            ));
        }
        let cell = |place: usize| {
            let (from, to) = cells.get(place).copied().unwrap_or_default();
            text.get(from..to).unwrap_or_default().trim()
        };
        let account = cell(places.account);
        Ok(Some(Told {
            at: time(cell(places.time))?,
            client: client(cell(places.client))?,
            account: (!account.is_empty()).then_some(account),
            outcome: self.outcome(cell(places.outcome))?,
            endpoint: match places.endpoint.map(cell) {
                None | Some("") => Endpoint::SignIn,
                Some(word) => Endpoint::parse(word)
                    .ok_or_else(|| unknown(word, "endpoint", &Endpoint::ALL.map(Endpoint::as_str)))?,
            },
            lane: match places.lane.map(cell) {
                None | Some("" | "strangers") => LaneKind::Strangers,
                Some("known") => LaneKind::Known,
                Some(word) => return Err(unknown(word, "lane", &["strangers", "known"])),
            },
        }))
    }
}

fn unknown(word: &str, what: &str, known: &[&str]) -> String {
    let word: String = word.chars().take(40).collect();
    format!("{word:?} is no {what}: {}", known.join(", "))
}

/// Where the cells of a line stand in `plain`, into which it is written without quotes (RFC 4180). A cell does not go on
/// in the next line.
fn cells(text: &str, plain: &mut String) -> Result<Vec<(usize, usize)>, String> {
    plain.clear();
    let mut found = Vec::with_capacity(8);
    let mut rest = text;
    loop {
        let from = plain.len();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = unquote(quoted, plain)?;
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("something follows a closing quotation mark".to_owned());
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (cell, after) = rest.split_at(end);
            plain.push_str(cell);
            rest = after;
        }
        found.push((from, plain.len()));
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok(found),
        }
    }
}

/// Writes a quoted cell, and answers what follows it.
fn unquote<'t>(mut rest: &'t str, plain: &mut String) -> Result<&'t str, String> {
    loop {
        let end = rest.find('"').ok_or("a quotation mark is not closed in this line")?;
        plain.push_str(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 1..).unwrap_or_default();
        match rest.strip_prefix('"') {
            Some(after) => {
                plain.push('"');
                rest = after;
            }
            None => return Ok(rest),
        }
    }
}
