//! What an import would change, as people and programs read it.

use jiff::Timestamp;
use serde::Serialize;

use super::super::super::output::{BAD, CARE, FAINT, GOOD, Output, counted, plain};
use super::super::super::table::{Styled, Table};
use crate::domain::account::{Account, Email, Extension, Field};
use crate::flows::import::{Difference, ImportPlan, Person, Sheet};

/// The report in JSON; the table is made from it.
#[derive(Serialize)]
pub struct Report {
    encoding: &'static str,
    columns: Vec<ColumnEntry>,
    ignored_headings: Vec<String>,
    counts: Counts,
    new: Vec<Entry>,
    changed: Vec<Entry>,
    disabled: Vec<Entry>,
    kept_administrators: Vec<Entry>,
    refused: Vec<Entry>,
    last_letter_at: Option<Timestamp>,
    /// Whether it was done.
    pub applied: bool,
    #[serde(skip)]
    most: usize,
}

#[derive(Serialize)]
struct ColumnEntry {
    column: &'static str,
    heading: String,
}

#[derive(Default, Serialize)]
struct Counts {
    new: usize,
    changed: usize,
    disabled: usize,
    unchanged: usize,
    refused: usize,
    welcome: usize,
    still_disabled: usize,
    hashes_unused: usize,
    shared_addresses: usize,
}

/// One line of the report.
#[derive(Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    extension: Option<Extension>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeEntry>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    password_imported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct ChangeEntry {
    field: &'static str,
    before: String,
    after: String,
}

impl Report {
    /// What is known once the file has been read.
    pub fn of(sheet: &Sheet) -> Self {
        let column = |(column, heading): (crate::flows::import::Column, &str)| ColumnEntry {
            column: column.as_str(),
            heading: heading.to_owned(),
        };
        Self {
            encoding: sheet.encoding,
            columns: sheet.columns.read().map(column).collect(),
            ignored_headings: sheet.columns.ignored().map(str::to_owned).collect(),
            counts: Counts::default(),
            new: Vec::new(),
            changed: Vec::new(),
            disabled: Vec::new(),
            kept_administrators: Vec::new(),
            refused: Vec::new(),
            last_letter_at: None,
            applied: false,
            most: 0,
        }
    }

    /// Adds what it would change. Tables show at most so many lines of each kind.
    pub fn compare(&mut self, plan: &ImportPlan, most: usize) {
        let difference = &plan.difference;
        self.counts = counts(difference);
        self.new = difference.new.iter().map(newcomer).collect();
        self.changed = difference.changed.iter().map(changed).collect();
        self.disabled = difference.disabled.iter().map(somebody).collect();
        self.kept_administrators = difference.kept.iter().map(somebody).collect();
        self.refused = difference
            .refused
            .iter()
            .map(|refused| Entry {
                line: Some(refused.line),
                extension: refused.extension.clone(),
                reason: Some(refused.reason.to_string()),
                ..Entry::empty()
            })
            .collect();
        self.last_letter_at = plan.last_letter_at;
        self.most = most;
    }

    /// For people: what was read, what would change, and how much in all.
    pub fn print(&self, plan: &ImportPlan, output: &mut Output) -> anyhow::Result<()> {
        output.line(plain(&self.reading()))?;
        let mut table = Table::new(["Line", "", "Extension", "Name", "What"]).unbroken(&[0, 1, 2]);
        let kinds = [
            ("new", GOOD, &self.new),
            ("changed", CARE, &self.changed),
            ("disabled", BAD, &self.disabled),
            ("kept", CARE, &self.kept_administrators),
            ("refused", BAD, &self.refused),
        ];
        let mut left_out = Vec::new();
        let mut any = false;
        for (kind, style, entries) in kinds {
            for entry in entries.iter().take(self.most) {
                any = true;
                table.row([
                    Styled::or_dash(entry.line.map(|line| line.to_string()).as_deref()),
                    Styled::new(kind, style),
                    Styled::or_dash(entry.extension.as_ref().map(Extension::as_str)),
                    entry
                        .name
                        .as_deref()
                        .map_or_else(|| Styled::or_dash(None), Styled::name),
                    Styled::or_dash(Some(&entry.what(kind))),
                ]);
            }
            if entries.len() > self.most {
                left_out.push(format!("{} more {kind}", entries.len() - self.most));
            }
        }
        if any {
            output.table(&table)?;
        }
        if !left_out.is_empty() {
            output.line(format!("and {} (--most shows more, --json all)", left_out.join(", ")))?;
        }
        output.line(self.summary())?;
        for note in self.notes(plan, output) {
            output.line(format_args!("{FAINT}{note}{FAINT:#}"))?;
        }
        Ok(())
    }

    fn reading(&self) -> String {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|entry| format!("{} ({})", entry.column, entry.heading))
            .collect();
        let mut words = format!("Read as {}: {}.", self.encoding, columns.join(", "));
        if !self.ignored_headings.is_empty() {
            words = format!("{words} Not read: {}.", self.ignored_headings.join(", "));
        }
        words
    }

    fn summary(&self) -> String {
        let counts = &self.counts;
        format!(
            "{} new, {} changed, {} disabled, {} unchanged, {} refused; {}",
            counts.new,
            counts.changed,
            counts.disabled,
            counts.unchanged,
            counts.refused,
            counted(counts.welcome, "Welcome mail", "Welcome mails")
        )
    }

    fn notes(&self, plan: &ImportPlan, output: &Output) -> Vec<String> {
        let counts = &self.counts;
        let mut notes = Vec::new();
        let mut note = |wanted: bool, words: String| {
            if wanted {
                notes.push(words);
            }
        };
        note(
            counts.still_disabled > 0,
            counted(
                counts.still_disabled,
                "person of the file is disabled and stays so; an import enables nobody.",
                "people of the file are disabled and stay so; an import enables nobody.",
            ),
        );
        note(
            counts.hashes_unused > 0,
            counted(
                counts.hashes_unused,
                "password hash is not used: this person has a password here.",
                "password hashes are not used: these people have a password here.",
            ),
        );
        note(
            counts.shared_addresses > 0,
            counted(
                counts.shared_addresses,
                "address is shared by several people; see: sekisho account lint",
                "addresses are shared by several people; see: sekisho account lint",
            ),
        );
        if let Some(at) = plan.last_letter_at {
            note(
                true,
                format!("At mail.rate the last letter leaves at about {}.", output.time(at)),
            );
        }
        notes
    }
}

impl Entry {
    fn empty() -> Self {
        Self {
            line: None,
            extension: None,
            name: None,
            email: None,
            changes: Vec::new(),
            password_imported: false,
            reason: None,
        }
    }

    fn what(&self, kind: &str) -> String {
        if let Some(reason) = &self.reason {
            return reason.clone();
        }
        let or_none = |text: &str| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text.to_owned()
            }
        };
        let mut words: Vec<String> = self
            .changes
            .iter()
            .map(|change| {
                format!(
                    "{}: {} → {}",
                    change.field,
                    or_none(&change.before),
                    or_none(&change.after)
                )
            })
            .collect();
        words.extend(self.email.clone());
        if self.password_imported {
            words.push("with the password of the other system".to_owned());
        }
        match kind {
            "disabled" => words.push("not in the file".to_owned()),
            "kept" => words.push("not in the file, and the only administrator who can sign in".to_owned()),
            _ => {}
        }
        words.join("; ")
    }
}

fn counts(difference: &Difference) -> Counts {
    Counts {
        new: difference.new.len(),
        changed: difference.changed.len(),
        disabled: difference.disabled.len(),
        unchanged: difference.unchanged,
        refused: difference.refused.len(),
        welcome: difference.welcome.len(),
        still_disabled: difference.still_disabled,
        hashes_unused: difference.hashes_unused,
        shared_addresses: difference.shared_addresses,
    }
}

fn somebody(account: &Account) -> Entry {
    Entry {
        extension: Some(account.extension.clone()),
        name: Some(account.name.clone()),
        ..Entry::empty()
    }
}

fn newcomer(person: &Person) -> Entry {
    let account = &person.record.after;
    Entry {
        line: Some(person.line),
        email: account.email.as_ref().map(Email::to_string),
        password_imported: person.record.hash.is_some(),
        ..somebody(account)
    }
}

fn changed(person: &Person) -> Entry {
    let before = person.record.before.as_ref().unwrap_or(&person.record.after);
    let change = |field: &Field| ChangeEntry {
        field: field.as_str(),
        before: field.of(before),
        after: field.of(&person.record.after),
    };
    Entry {
        line: Some(person.line),
        changes: person.fields.iter().map(change).collect(),
        password_imported: person.record.hash.is_some(),
        ..somebody(before)
    }
}
