//! Reads the file along the keys, collecting every problem instead of stopping at the first.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::DeTable;

use super::forms::{Form, Given};
use super::{Family, Slot, Walker};
use crate::config::problem::Problem;

/// The file being read.
pub struct Reader<'t> {
    file: &'t Path,
    text: &'t str,
    root: &'t DeTable<'t>,
    section: Section<'t>,
    /// Every section asked for, with its line.
    sections: Vec<(String, Option<usize>)>,
    /// What is not to be reported once more as unknown.
    reported: Vec<String>,
    keys: BTreeMap<String, Read>,
    problems: Vec<Problem>,
}

/// The section whose keys are being read.
struct Section<'t> {
    name: String,
    found: Found<'t>,
    line: Option<usize>,
}

enum Found<'t> {
    Table(&'t DeTable<'t>),
    Nothing,
    /// Something that is no section; said once, so its keys are not reported as missing as well.
    Broken,
}

/// What became of a known key.
#[derive(Clone, Copy)]
struct Read {
    line: Option<usize>,
    failed: bool,
}

impl<'t> Reader<'t> {
    /// Reads `root`, which was parsed from `text`, the content of `file`.
    pub fn new(file: &'t Path, text: &'t str, root: &'t DeTable<'t>) -> Self {
        let section = Section {
            name: String::new(),
            found: Found::Nothing,
            line: None,
        };
        Self {
            file,
            text,
            root,
            section,
            sections: Vec::new(),
            reported: Vec::new(),
            keys: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Ends the walk: what no walk asked for is unknown. Returns all problems in the order of the file.
    pub fn finish(mut self) -> Vec<Problem> {
        self.report_unknown("", self.root);
        self.problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        self.problems
    }

    fn report(&mut self, line: Option<usize>, key: &str, message: String) {
        self.problems.push(Problem {
            file: Some(self.file.to_owned()),
            line,
            key: key.to_owned(),
            message,
        });
    }

    fn line_of(&self, offset: usize) -> usize {
        line_of(self.text, offset)
    }

    /// Everything under `prefix` that is neither a section nor a key.
    fn report_unknown(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = join(prefix, key.get_ref());
            let as_section = value.get_ref().as_table();
            // A quoted name with a dot in it, such as "sessions.idle", is one key and none of ours.
            let plain = !key.get_ref().contains('.');
            match as_section {
                _ if plain && self.keys.contains_key(&path) => {}
                _ if self.reported.contains(&path) => {}
                Some(table) if plain && self.is_section(&path) => self.report_unknown(&path, table),
                None if plain && self.sections.iter().any(|(known, _)| *known == path) => {} // reported as no section
                _ => {
                    let line = self.line_of(key.span().start);
                    let message = self.describe_unknown(prefix, key.get_ref(), as_section.is_some());
                    self.report(Some(line), &printable(&path), message);
                }
            }
        }
    }

    /// A section, or the table that a section such as `a.b` lives in.
    fn is_section(&self, path: &str) -> bool {
        let under = format!("{path}.");
        self.sections
            .iter()
            .any(|(known, _)| *known == path || known.starts_with(&under))
    }

    fn describe_unknown(&self, prefix: &str, key: &str, is_section: bool) -> String {
        let path = join(prefix, key);
        let (kind, near) = if is_section {
            (
                "section",
                nearest(&path, self.sections.iter().map(|(known, _)| known.as_str())),
            )
        } else {
            let siblings = self.keys.keys().filter_map(|known| {
                let (section, name) = known.rsplit_once('.')?;
                (section == prefix).then_some(name)
            });
            let elsewhere = || {
                self.keys
                    .keys()
                    .find(|known| known.rsplit_once('.').is_some_and(|(_, name)| name == key))
                    .map(String::as_str)
            };
            ("key", nearest(key, siblings).or_else(elsewhere))
        };
        let hint = near.map_or_else(|| "; remove it".to_owned(), |near| format!("; did you mean {near}?"));
        format!("there is no such {kind}{hint}")
    }

    /// The line of the section that a key would be written in.
    fn line_of_section(&self, key: &str) -> Option<usize> {
        let (section, _) = key.rsplit_once('.')?;
        let (_, line) = self.sections.iter().find(|(known, _)| known == section)?;
        *line
    }

    fn entry(&self, name: &str) -> Option<(usize, &'t Given<'t>)> {
        let Found::Table(table) = self.section.found else {
            return None;
        };
        let (key, value) = table.get_key_value(name)?;
        Some((self.line_of(key.span().start), value))
    }
}

impl Walker for Reader<'_> {
    fn section(&mut self, name: &str, _doc: &'static str) {
        let (mut found, mut line) = (Found::Table(self.root), None);
        for part in name.split('.') {
            let Found::Table(table) = found else { break };
            let entry = table.get_key_value(part);
            line = entry.map(|(key, _)| self.line_of(key.span().start)).or(line);
            found = match entry.map(|(_, value)| value.get_ref().as_table()) {
                Some(Some(table)) => Found::Table(table),
                Some(None) => Found::Broken,
                None => Found::Nothing,
            };
        }
        if matches!(found, Found::Broken) {
            self.report(
                line,
                name,
                format!("it is a section; write [{name}] on a line of its own"),
            );
        }
        self.sections.push((name.to_owned(), line));
        self.section = Section {
            name: name.to_owned(),
            found,
            line,
        };
    }

    fn family(&mut self, family: &Family, _known: &[String], mut member: impl FnMut(&mut Self, &str)) {
        let kind = family.kind;
        let Some((key, given)) = self.root.get_key_value(kind) else {
            return;
        };
        let line = self.line_of(key.span().start);
        self.sections.push((kind.to_owned(), Some(line)));
        let Some(table) = given.get_ref().as_table() else {
            let message = format!(
                "write [{kind}.{}] on a line of its own, with a name of yours",
                family.example
            );
            return self.report(Some(line), kind, message);
        };
        let mut names: Vec<_> = table.keys().collect();
        names.sort_by_key(|name| name.span().start);
        for name in names {
            let path = join(kind, name.get_ref());
            let is_section = table.get(name).is_some_and(|value| value.get_ref().is_table());
            let why = match (family.check_name)(name.get_ref()) {
                Err(why) => why,
                Ok(()) if is_section => {
                    member(self, name.get_ref());
                    continue;
                }
                Ok(()) => format!("it is a section; write [{path}] on a line of its own"),
            };
            self.report(Some(self.line_of(name.span().start)), &printable(&path), why);
            self.reported.push(path);
        }
    }

    fn key<F: Form>(&mut self, name: &'static str, _doc: &'static str, form: &F, slot: Slot<'_, F::Value>) {
        let path = join(&self.section.name, name);
        let mut read = Read {
            line: None,
            failed: false,
        };
        if let Some((line, given)) = self.entry(name) {
            read.line = Some(line);
            match form.read(given) {
                Ok(value) => fill(slot, value),
                Err(misread) => {
                    read.failed = true;
                    for problem in misread {
                        self.report(Some(self.line_of(problem.at)), &path, problem.why);
                    }
                }
            }
        } else {
            match slot {
                Slot::Required(example) => {
                    read.failed = true;
                    if !matches!(self.section.found, Found::Broken) {
                        let (section, example) = (self.section.name.as_str(), form.write(example));
                        let message = format!("it is missing; write in [{section}], for example: {name} = {example}");
                        self.report(self.section.line, &path, message);
                    }
                }
                Slot::Derived(value, otherwise) => *value = otherwise,
                Slot::Default(_) | Slot::Optional(..) => {}
            }
        }
        self.keys.insert(path, read);
    }

    fn moved(&mut self, name: &'static str, instead: &str) {
        if let Some((line, _)) = self.entry(name) {
            let path = join(&self.section.name, name);
            self.report(Some(line), &path, instead.to_owned());
            self.reported.push(path);
        }
    }

    fn check(&mut self, keys: &[&str], rule: impl FnOnce() -> Result<(), String>) {
        let reads: Vec<_> = keys
            .iter()
            .filter_map(|key| self.keys.get(*key).map(|read| (*key, *read)))
            .collect();
        if reads.iter().any(|(_, read)| read.failed) {
            return;
        }
        if let Err(message) = rule() {
            let blamed = reads.iter().find(|(_, read)| read.line.is_some()).or(reads.first());
            let (key, line) = blamed.map_or(("", None), |(key, read)| (*key, read.line));
            let line = line.or_else(|| self.line_of_section(key));
            self.report(line, key, message);
        }
    }
}

/// The line, counted from 1, in which the byte at `offset` stands.
pub fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

fn fill<T>(slot: Slot<'_, T>, value: T) {
    match slot {
        Slot::Required(place) | Slot::Default(place) | Slot::Derived(place, _) => *place = value,
        Slot::Optional(place, _) => *place = Some(value),
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

/// The tables of a text, or the first place where it is not TOML, and why: what follows is mostly a consequence.
pub fn parse_toml(text: &str) -> Result<Spanned<DeTable<'_>>, (Option<usize>, String)> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let offset = |error: &toml::de::Error| error.span().map_or(usize::MAX, |span| span.start);
    let Some(error) = errors.iter().min_by_key(|error| offset(error)) else {
        return Ok(root);
    };
    let line = error.span().map(|span| line_of(text, span.start));
    let words: Vec<_> = error.message().split_whitespace().collect();
    Err((line, format!("this is not TOML: {}", words.join(" "))))
}

/// A key as it may stand in one line of a message.
pub fn printable(path: &str) -> String {
    path.chars()
        .take(100)
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// The known name that `name` was probably meant to be.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 100 {
        return None;
    }
    known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| {
            let prefix = name.len() >= 3 && (known.starts_with(name) || name.starts_with(known));
            prefix || *distance <= known.len().div_ceil(3)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters must be changed, added or removed to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.chars().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for (b, above) in other.iter().zip(row.windows(2)) {
            let &[diagonal, above] = above else { continue };
            left = (diagonal + usize::from(a != *b)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_key_that_was_meant() {
        let known = ["idle", "absolute", "outage_grace", "cookie"];
        for (typed, meant) in [
            ("idel", Some("idle")),
            ("idl", Some("idle")),
            ("absolut", Some("absolute")),
            ("outage-grace", Some("outage_grace")),
            ("cookies", Some("cookie")),
            ("zzz", None),
        ] {
            assert_eq!(nearest(typed, known.into_iter()), meant, "{typed}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn lines_are_counted_from_one_and_an_offset_beyond_the_end_is_the_last() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 2), 2);
        assert_eq!(line_of("a\nb\nc", 99), 3);
    }
}
