//! A file read: rows that make sense, and lines refused with the reason. Nothing here knows which accounts exist.

use std::collections::HashMap;

use encoding_rs::Encoding;

use super::cell::{split_groups, unguard};
use super::columns::{Column, ColumnProblem, Columns, Mapping};
use super::lines::{LineProblem, Records};
use super::text::{Text, decode};
use crate::domain::account::{Email, EmailEdit, Extension, NameProblem, Role};
use crate::domain::language::Language;
use crate::domain::password::PasswordHash;
use crate::flows::accounts::{sound_groups, sound_name};

/// Most bytes of a file: some 300,000 people.
pub const MAX_FILE: usize = 32 * 1024 * 1024;

/// Most characters of one cell that is read.
const MAX_CELL: usize = 1000;

/// Judges a hash of another system: what is stored for it, or why it is refused. The reason never repeats a part of it.
pub type JudgeHash<'a> = &'a (dyn Fn(&str) -> Result<PasswordHash, String> + Send + Sync);

/// How a file is to be read.
pub struct Reading<'a> {
    /// The encoding, when it is told.
    pub encoding: Option<&'static Encoding>,
    /// What is told about columns.
    pub told: &'a [Mapping],
    /// Judges the column of password hashes.
    pub judge_hash: JudgeHash<'a>,
    /// Hears how many of how many lines are read.
    pub progress: &'a (dyn Fn(usize, usize) + Send + Sync),
}

/// A file read.
#[derive(Debug)]
pub struct Sheet {
    /// The encoding it was read in.
    pub encoding: &'static str,
    /// Which column is what.
    pub columns: Columns,
    /// The rows, in their order; no extension number twice.
    pub rows: Vec<Row>,
    /// The lines that are not among them, in their order.
    pub refused: Vec<RefusedLine>,
}

/// One person of the file. `None` is a column that the file does not have, or a cell that says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The line it begins on, counted from one.
    pub line: usize,
    /// The extension number.
    pub extension: Extension,
    /// The name.
    pub name: Option<GivenName>,
    /// The address; a column that is there and says nothing removes it.
    pub email: EmailEdit,
    /// The groups.
    pub groups: Option<Vec<String>>,
    /// The language of letters.
    pub language: Option<Language>,
    /// The role.
    pub role: Option<Role>,
    /// A hash of another system.
    pub hash: Option<PasswordHash>,
}

/// A name, whole or in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GivenName {
    /// As it is.
    Whole(String),
    /// To be put together as the person's language does it.
    Parts {
        /// The given name.
        first: String,
        /// The family name.
        last: String,
    },
}

impl GivenName {
    /// The whole name: family name first in Japanese.
    pub fn in_language(&self, language: Language) -> String {
        match (self, language) {
            (Self::Whole(name), _) => name.clone(),
            (Self::Parts { first, last }, Language::Ja) => format!("{last} {first}"),
            (Self::Parts { first, last }, Language::En) => format!("{first} {last}"),
        }
        .trim()
        .to_owned()
    }
}

/// A line that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLine {
    /// Its number, counted from one.
    pub line: usize,
    /// Whom it is about, when that can be read: with `--sync` that person is not missing.
    pub extension: Option<Extension>,
    /// Why.
    pub reason: RowProblem,
}

/// Why a line is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    /// It cannot be taken apart.
    #[error(transparent)]
    Line(#[from] LineProblem),
    /// It has more cells than there are headings.
    #[error("it has {0} cells under {1} headings; a comma inside a cell needs quotes around the cell")]
    TooManyCells(usize, usize),
    /// A cell is longer than anybody's.
    #[error("{0}: it is longer than 1000 characters")]
    Enormous(Column),
    /// A cell that a spreadsheet would run.
    #[error("{0}: it looks like a formula; if it is meant as text, write an apostrophe (') before it")]
    Formula(Column),
    /// The extension number.
    #[error("extension: {0}")]
    Extension(NameProblem),
    /// The address.
    #[error("email: {0}")]
    Email(NameProblem),
    /// The name.
    #[error("name: give 1 to 100 characters without control characters")]
    Name,
    /// A group.
    #[error("groups: each has 1 to 64 characters without control characters")]
    Group,
    /// The language.
    #[error("language: give ja or en")]
    Language,
    /// The role.
    #[error("role: give user or admin; if the column means something else: --map role=")]
    Role,
    /// The password hash.
    #[error("password_hash: {0}")]
    Hash(String),
    /// Another line is about the same person.
    #[error("line {0} has the same extension number; which one is right cannot be known")]
    Duplicate(usize),
    /// It would take the last administrator's role away.
    #[error("role: nobody would be left who can sign in as an administrator")]
    LastAdministrator,
}

impl Sheet {
    /// Reads a file of at most [`MAX_FILE`] bytes.
    ///
    /// # Errors
    /// When no line of it can be read, since its columns cannot be told.
    pub fn read(bytes: &[u8], reading: &Reading<'_>) -> Result<Self, ColumnProblem> {
        let Text { text, encoding } = decode(bytes, reading.encoding);
        let (columns, mut records) = head(&text, reading.told)?;
        records.expect(columns.count());
        let (mut rows, mut refused) = (Vec::new(), Vec::new());
        while let Some((line, fields)) = records.next() {
            match read_row(line, fields, &columns, reading.judge_hash) {
                Ok(row) => rows.push(row),
                Err(line) => refused.push(line),
            }
            (reading.progress)(records.lines_read(), records.lines());
        }
        let mut sheet = Self {
            encoding,
            columns,
            rows,
            refused,
        };
        sheet.refuse_duplicates();
        Ok(sheet)
    }

    /// Neither of two lines about one person is taken.
    fn refuse_duplicates(&mut self) {
        let mut lines: HashMap<&Extension, Vec<usize>> = HashMap::new();
        for row in &self.rows {
            lines.entry(&row.extension).or_default().push(row.line);
        }
        // A line that is refused for another reason may well be the right one of the two.
        for line in &self.refused {
            if let Some(extension) = &line.extension {
                lines.entry(extension).or_default().push(line.line);
            }
        }
        let twice: HashMap<Extension, Vec<usize>> = lines
            .into_iter()
            .filter(|(_, lines)| lines.len() > 1)
            .map(|(extension, lines)| (extension.clone(), lines))
            .collect();
        if twice.is_empty() {
            return;
        }
        let refused = &mut self.refused;
        self.rows.retain(|row| {
            let Some(lines) = twice.get(&row.extension) else {
                return true;
            };
            let other = if lines[0] == row.line { lines[1] } else { lines[0] };
            refused.push(RefusedLine {
                line: row.line,
                extension: Some(row.extension.clone()),
                reason: RowProblem::Duplicate(other),
            });
            false
        });
        refused.sort_by_key(|refused| refused.line);
    }
}

/// The columns, and the records that follow them, by the separator under which the headings make sense.
fn head<'t>(text: &'t str, told: &[Mapping]) -> Result<(Columns, Records<'t>), ColumnProblem> {
    let mut first_problem = None;
    for delimiter in [b',', b';', b'\t'] {
        let mut records = Records::of(text, delimiter);
        let columns = match records.next() {
            None => return Err(ColumnProblem::Empty),
            Some((_, Err(problem))) => Err(ColumnProblem::Unreadable(problem)),
            Some((_, Ok(headings))) => Columns::of(headings, told),
        };
        match columns {
            Ok(columns) => return Ok((columns, records)),
            Err(problem) => first_problem.get_or_insert(problem),
        };
    }
    Err(first_problem.unwrap_or(ColumnProblem::Empty))
}

fn read_row(
    line: usize,
    fields: Result<Vec<String>, LineProblem>,
    columns: &Columns,
    judge_hash: JudgeHash<'_>,
) -> Result<Row, RefusedLine> {
    let refused = |extension: Option<Extension>, reason| RefusedLine {
        line,
        extension,
        reason,
    };
    let record = fields.map_err(|problem| refused(None, problem.into()))?;
    let cells = Cells {
        columns,
        record: &record,
    };
    let extension = cells.extension().map_err(|reason| refused(None, reason))?;
    cells
        .row(line, extension.clone(), judge_hash)
        .map_err(|reason| refused(Some(extension), reason))
}

/// The cells of one record, by column.
struct Cells<'a> {
    columns: &'a Columns,
    record: &'a [String],
}

impl Cells<'_> {
    fn row(&self, line: usize, extension: Extension, judge_hash: JudgeHash<'_>) -> Result<Row, RowProblem> {
        let filled = self
            .record
            .iter()
            .rposition(|cell| !cell.trim().is_empty())
            .map_or(0, |last| last + 1);
        if filled > self.columns.count() {
            return Err(RowProblem::TooManyCells(filled, self.columns.count()));
        }
        Ok(Row {
            line,
            extension,
            name: self.name()?,
            email: self.email()?,
            groups: self.groups()?,
            language: self.language()?,
            role: self.role()?,
            hash: match self.text(Column::Hash)? {
                None | Some("") => None,
                Some(text) => Some(judge_hash(text).map_err(RowProblem::Hash)?),
            },
        })
    }

    /// The cell as text: guarded formulas are freed, bare ones refused.
    fn text(&self, column: Column) -> Result<Option<&str>, RowProblem> {
        let Some(cell) = self.columns.cell(column, self.record) else {
            return Ok(None);
        };
        if cell.len() > MAX_CELL && cell.chars().count() > MAX_CELL {
            return Err(RowProblem::Enormous(column));
        }
        unguard(cell).map(Some).ok_or(RowProblem::Formula(column))
    }

    fn extension(&self) -> Result<Extension, RowProblem> {
        let text = self.text(Column::Extension)?.unwrap_or_default();
        Extension::parse(text).map_err(RowProblem::Extension)
    }

    fn name(&self) -> Result<Option<GivenName>, RowProblem> {
        if let Some(whole) = self.text(Column::Name)?.filter(|name| !name.is_empty()) {
            let whole = sound_name(whole).map_err(|_| RowProblem::Name)?;
            return Ok(Some(GivenName::Whole(whole)));
        }
        let part = |column| self.text(column).map(Option::unwrap_or_default);
        let (first, last) = (part(Column::FirstName)?, part(Column::LastName)?);
        if first.is_empty() && last.is_empty() {
            return Ok(None);
        }
        sound_name(&format!("{first} {last}")).map_err(|_| RowProblem::Name)?;
        Ok(Some(GivenName::Parts {
            first: first.to_owned(),
            last: last.to_owned(),
        }))
    }

    fn email(&self) -> Result<EmailEdit, RowProblem> {
        Ok(match self.text(Column::Email)? {
            None => EmailEdit::Keep,
            Some("") => EmailEdit::Remove,
            Some(text) => EmailEdit::Set(Email::parse(text).map_err(RowProblem::Email)?),
        })
    }

    fn groups(&self) -> Result<Option<Vec<String>>, RowProblem> {
        let Some(cell) = self.text(Column::Groups)? else {
            return Ok(None);
        };
        let mut groups: Vec<String> = Vec::new();
        for group in split_groups(cell) {
            if !groups.iter().any(|known| known == group) {
                groups.push(group.to_owned());
            }
        }
        let groups = sound_groups(&groups).map_err(|_| RowProblem::Group)?;
        Ok(Some(groups))
    }

    fn language(&self) -> Result<Option<Language>, RowProblem> {
        let text = self.text(Column::Language)?.unwrap_or_default().to_lowercase();
        Ok(Some(match text.as_str() {
            "" => return Ok(None),
            "ja" | "jp" | "jpn" | "japanese" | "日本語" => Language::Ja,
            "en" | "eng" | "english" | "英語" => Language::En,
            other if other.starts_with("ja-") || other.starts_with("ja_") => Language::Ja,
            other if other.starts_with("en-") || other.starts_with("en_") => Language::En,
            _ => return Err(RowProblem::Language),
        }))
    }

    fn role(&self) -> Result<Option<Role>, RowProblem> {
        let text = self.text(Column::Role)?.unwrap_or_default().to_lowercase();
        Ok(Some(match text.as_str() {
            "" => return Ok(None),
            "user" | "users" | "一般" | "利用者" | "ユーザー" | "ユーザ" => Role::User,
            "admin" | "administrator" | "管理者" => Role::Admin,
            _ => return Err(RowProblem::Role),
        }))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn reading<'a>() -> Reading<'a> {
        Reading {
            encoding: None,
            told: &[],
            judge_hash: &|text| match text {
                "$good" => Ok(PasswordHash::from_phc(text.to_owned())),
                _ => Err("it is not known".to_owned()),
            },
            progress: &|_, _| {},
        }
    }

    pub(crate) fn sheet(text: &str) -> Sheet {
        Sheet::read(text.as_bytes(), &reading()).unwrap()
    }

    fn reasons(sheet: &Sheet) -> Vec<(usize, String)> {
        let reason = |refused: &RefusedLine| (refused.line, refused.reason.to_string());
        sheet.refused.iter().map(reason).collect()
    }

    #[test]
    fn a_row_is_read_from_what_a_phone_system_offers() {
        let sheet = sheet(
            "Extension,First Name,Last Name,E-mail,Department,Language,Role\r\n\
             １０１,由紀,田中,Yuki@Example.com,\"営業, sales\",Japanese,Admin\r\n\
             102,Sam,Taylor,,,,\r\n",
        );
        assert!(sheet.refused.is_empty(), "{:?}", sheet.refused);
        let yuki = &sheet.rows[0];
        assert_eq!(yuki.extension.as_str(), "101");
        assert_eq!(yuki.name.as_ref().unwrap().in_language(Language::Ja), "田中 由紀");
        assert_eq!(yuki.email, EmailEdit::Set(Email::parse("Yuki@Example.com").unwrap()));
        assert_eq!(yuki.groups.as_deref().unwrap(), ["営業", "sales"]);
        assert_eq!((yuki.language, yuki.role), (Some(Language::Ja), Some(Role::Admin)));
        let sam = &sheet.rows[1];
        assert_eq!(sam.name.as_ref().unwrap().in_language(Language::En), "Sam Taylor");
        assert_eq!(
            (sam.email.clone(), sam.groups.clone(), sam.role),
            (EmailEdit::Remove, Some(vec![]), None)
        );
    }

    #[test]
    fn a_number_stands_once_even_when_one_of_its_lines_is_refused_for_another_reason() {
        let sheet =
            sheet("extension,name,email\n900,Right,r@example.com\n900,Wrong,not-an-address\n901,A,a@example.com\n");
        let taken: Vec<&str> = sheet.rows.iter().map(|row| row.extension.as_str()).collect();
        assert_eq!(taken, ["901"]);
        assert_eq!(reasons(&sheet).len(), 2);
    }

    #[test]
    fn each_bad_line_is_refused_with_its_reason_and_the_rest_is_read() {
        let sheet = sheet(&format!(
            "extension,name,email,groups,language,role,password_hash\n\
             101,Yuki,yuki@example.com,,,,\n\
             1/2,A,,,,,\n\
             103,=cmd|' /C calc'!A0,,,,,\n\
             104,A,a@example.com b@example.com,,,,\n\
             105,\"A,,,,,\n\
             106,{},,,,,\n\
             107,A,,,fr,,\n\
             108,A,,,,owner,\n\
             109,A,,,,,$bad-secret\n\
             110,A,,x,y,z,z,z,z\n\
             111,One,,,,,\n\
             111,Two,,,,,\n\
             ,A,,,,,\n\
             112,{},,,,,\n\
             113,Sam,,,,,$good\n",
            "x".repeat(2000),
            "y".repeat(101),
        ));
        let taken: Vec<_> = sheet.rows.iter().map(|row| row.extension.as_str()).collect();
        assert_eq!(taken, ["101", "113"]);
        assert!(sheet.rows[1].hash.is_some());
        let reasons = reasons(&sheet);
        for (line, says) in [
            (3, "extension: an extension number has"),
            (4, "name: it looks like a formula"),
            (5, "email: it is not one plain"),
            (6, "a quote (\") is opened"),
            (7, "name: it is longer than 1000"),
            (8, "language: give ja or en"),
            (9, "role: give user or admin"),
            (10, "password_hash: it is not known"),
            (11, "it has 9 cells under 7 headings"),
            (12, "line 13 has the same"),
            (13, "line 12 has the same"),
            (14, "extension: nothing was given"),
            (15, "name: give 1 to 100"),
        ] {
            let found = reasons.iter().find(|(number, _)| *number == line);
            assert!(
                found.is_some_and(|(_, reason)| reason.starts_with(says)),
                "{line}: {found:?}"
            );
        }
        assert_eq!(reasons.len(), 13);
        assert!(!format!("{:?}", sheet.refused).contains("bad-secret"));
    }

    #[test]
    fn semicolons_and_tabs_separate_as_well() {
        for separator in [";", "\t"] {
            let text = "extension,name,email\n101,Yuki,y@example.com\n".replace(',', separator);
            assert_eq!(sheet(&text).rows.len(), 1, "{separator:?}");
        }
        let problem = Sheet::read(b"a,b\n1,2\n", &reading()).unwrap_err();
        assert!(problem.to_string().contains("(there are: a, b)"), "{problem}");
        assert_eq!(Sheet::read(b"\n\n", &reading()).unwrap_err(), ColumnProblem::Empty);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Sheet::read(&bytes, &reading());
            let headed = [b"extension,name,email,groups,language,role,password_hash\n".as_slice(), &bytes].concat();
            let _ = Sheet::read(&headed, &reading());
        }

        #[test]
        fn every_line_is_either_taken_or_refused_once(lines in prop::collection::vec("[0-9]{1,2},[\"=a-z]{0,4},[a-z@.]{0,8}", 0..30)) {
            let text = format!("extension,name,email\n{}", lines.join("\n"));
            let sheet = sheet(&text);
            let mut seen: Vec<usize> = sheet.rows.iter().map(|row| row.line).collect();
            seen.extend(sheet.refused.iter().map(|refused| refused.line));
            seen.sort_unstable();
            let count = seen.len();
            seen.dedup();
            prop_assert_eq!(seen.len(), count);
            prop_assert!(count <= lines.len());
            if !text.contains('"') {
                prop_assert_eq!(count, lines.len());
            }
        }
    }
}
