//! Which column of a file is which field of an account: by its heading, or as the operator says.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// A field that a file can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The extension number.
    Extension,
    /// The whole name.
    Name,
    /// The given name.
    FirstName,
    /// The family name.
    LastName,
    /// The e-mail address.
    Email,
    /// The groups.
    Groups,
    /// The language of letters.
    Language,
    /// The role.
    Role,
    /// A password hash of another system.
    Hash,
}

impl Column {
    /// Every column.
    pub const ALL: [Self; 9] = [
        Self::Extension,
        Self::Name,
        Self::FirstName,
        Self::LastName,
        Self::Email,
        Self::Groups,
        Self::Language,
        Self::Role,
        Self::Hash,
    ];

    /// The name on the command line and in our own exports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::Name => "name",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Email => "email",
            Self::Groups => "groups",
            Self::Language => "language",
            Self::Role => "role",
            Self::Hash => "password_hash",
        }
    }

    /// Reads a name as [`Column::as_str`] gives it, hyphens allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase().replace('-', "_");
        Self::ALL.into_iter().find(|column| column.as_str() == text)
    }

    /// Headings of phone systems' user exports, the surest first, in the spelling of [`simplified`].
    const fn headings(self) -> &'static [&'static str] {
        match self {
            Self::Extension => &[
                "extension",
                "extensionnumber",
                "ext",
                "extn",
                "extno",
                "内線番号",
                "内線",
                "extensionid",
                "number",
                "phonenumber",
                "telephonenumber",
                "番号",
            ],
            Self::Name => &[
                "name",
                "fullname",
                "displayname",
                "氏名",
                "名前",
                "表示名",
                "calleridname",
            ],
            Self::FirstName => &["firstname", "givenname", "forename", "名"],
            Self::LastName => &["lastname", "surname", "familyname", "姓"],
            Self::Email => &[
                "email",
                "emailaddress",
                "mail",
                "mailaddress",
                "mailid",
                "voicemailemail",
                "eメール",
                "メールアドレス",
                "メール",
                "電子メール",
            ],
            Self::Groups => &[
                "groups",
                "group",
                "department",
                "dept",
                "departments",
                "グループ",
                "部署",
                "部門",
                "所属",
                "部署名",
            ],
            Self::Language => &["language", "lang", "locale", "preferredlanguage", "言語", "使用言語"],
            Self::Role => &["role", "userrole", "役割", "権限", "ロール"],
            Self::Hash => &["passwordhash", "pwhash", "hash", "userpassword", "パスワードハッシュ"],
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the operator says about a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The field.
    pub column: Column,
    /// The heading it stands under; `None` when it is not to be read.
    pub heading: Option<String>,
}

/// The columns of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    at: Vec<(Column, usize)>,
    headings: Vec<String>,
}

/// Why the columns of a file cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnProblem {
    /// There is no heading.
    #[error("the file is empty; its first line must be the headings")]
    Empty,
    /// The first line cannot be read.
    #[error("the first line, the headings: {0}")]
    Unreadable(super::LineProblem),
    /// No column is the extension number.
    #[error("no heading is known as the extension number; say which one is: --map extension=HEADING (there are: {0})")]
    NoExtension(String),
    /// A heading that was told is not there.
    #[error("--map {column}={heading}: there is no such heading (there are: {headings})")]
    NoSuchHeading {
        /// The field.
        column: Column,
        /// The heading told.
        heading: String,
        /// The headings there are.
        headings: String,
    },
    /// A heading stands there twice.
    #[error("the heading {heading:?} stands there twice; rename one")]
    Twice {
        /// The heading.
        heading: String,
    },
}

impl Columns {
    /// Finds the columns under these headings.
    ///
    /// # Errors
    /// When the extension number is not among them, or what was told does not fit.
    pub fn of(headings: Vec<String>, told: &[Mapping]) -> Result<Self, ColumnProblem> {
        let simple: Vec<String> = headings.iter().map(|heading| simplified(heading)).collect();
        let mut at: Vec<(Column, usize)> = Vec::new();
        for Mapping { column, heading } in told {
            let Some(heading) = heading else { continue };
            let wanted = simplified(heading);
            let found = simple.iter().position(|simple| *simple == wanted);
            let index = found.ok_or_else(|| ColumnProblem::NoSuchHeading {
                column: *column,
                heading: heading.clone(),
                headings: headings.join(", "),
            })?;
            at.push((*column, index));
        }
        let spoken_for: Vec<usize> = at.iter().map(|(_, index)| *index).collect();
        for column in Column::ALL {
            if told.iter().any(|told| told.column == column) {
                continue;
            }
            let known = column.headings().iter().find_map(|heading| {
                let index = simple.iter().position(|simple| simple == heading)?;
                (!spoken_for.contains(&index)).then_some(index)
            });
            if let Some(index) = known {
                at.push((column, index));
            }
        }
        for (_, index) in &at {
            if simple.iter().filter(|heading| **heading == simple[*index]).count() > 1 {
                let heading = headings[*index].clone();
                return Err(ColumnProblem::Twice { heading });
            }
        }
        let columns = Self { at, headings };
        columns.check()?;
        Ok(columns)
    }

    fn check(&self) -> Result<(), ColumnProblem> {
        let headings = || self.headings.join(", ");
        if !self.has(Column::Extension) {
            return Err(ColumnProblem::NoExtension(headings()));
        }
        Ok(())
    }

    /// Whether the file has this column.
    pub fn has(&self, column: Column) -> bool {
        self.at.iter().any(|(known, _)| *known == column)
    }

    /// How many columns the file has, known or not.
    pub fn count(&self) -> usize {
        self.headings.len()
    }

    /// The cell of a record, without blanks around it; `None` when the file has no such column. A record may be short:
    /// programs leave empty cells at its end out.
    pub fn cell<'r>(&self, column: Column, record: &'r [String]) -> Option<&'r str> {
        let (_, index) = self.at.iter().find(|(known, _)| *known == column)?;
        Some(record.get(*index).map_or("", |cell| cell.trim()))
    }

    /// Each column that is read, with its heading.
    pub fn read(&self) -> impl Iterator<Item = (Column, &str)> {
        self.at
            .iter()
            .map(|(column, index)| (*column, self.headings[*index].as_str()))
    }

    /// Headings that mean nothing here.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        let read = |index: usize| self.at.iter().any(|(_, known)| *known == index);
        let headings = self.headings.iter().enumerate();
        headings
            .filter(move |(index, heading)| !read(*index) && !heading.trim().is_empty())
            .map(|(_, heading)| heading.as_str())
    }
}

/// NFKC, in lower case, letters and digits alone: `E-Mail Address` and `email_address` are one heading.
fn simplified(heading: &str) -> String {
    heading
        .nfkc()
        .filter(|c| c.is_alphanumeric() || *c == 'ー')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(headings: &str, told: &[Mapping]) -> Result<Columns, ColumnProblem> {
        Columns::of(headings.split(',').map(str::to_owned).collect(), told)
    }

    fn told(column: Column, heading: Option<&str>) -> Mapping {
        Mapping {
            column,
            heading: heading.map(str::to_owned),
        }
    }

    #[test]
    fn headings_of_several_phone_systems_are_known() {
        for (headings, read) in [
            (
                "Extension Number,First Name,Last Name,E-mail Address",
                "extension first_name last_name email",
            ),
            (
                "内線番号,氏名,メールアドレス,部署,言語",
                "extension name email groups language",
            ),
            (
                "Ext.,DISPLAY NAME,Email,Department,Role",
                "extension name email groups role",
            ),
            ("number,姓,名,Ｅメール", "extension first_name last_name email"),
            (
                "extension,name,email,groups,language,role,password-hash,state",
                "extension name email groups language role password_hash",
            ),
        ] {
            let columns = columns(headings, &[]).unwrap_or_else(|problem| panic!("{headings}: {problem}"));
            let found: Vec<_> = columns.read().map(|(column, _)| column.as_str()).collect();
            assert_eq!(found.join(" "), read, "{headings}");
        }
    }

    #[test]
    fn the_operator_is_believed_before_the_heading() {
        let map = [told(Column::Extension, Some("tel")), told(Column::Role, None)];
        let columns = columns("Extension,Tel,Name,Role", &map).unwrap();
        let record: Vec<String> = ["9", " 101 ", "Yuki"].map(str::to_owned).into();
        assert_eq!(columns.cell(Column::Extension, &record), Some("101"));
        assert_eq!(columns.cell(Column::Role, &record), None);
        assert_eq!(columns.cell(Column::Name, &record[..1]), Some(""));
        assert_eq!(columns.ignored().collect::<Vec<_>>(), ["Extension", "Role"]);
    }

    #[test]
    fn what_is_missing_is_said_with_what_is_there() {
        let words = |headings, told: &[Mapping]| columns(headings, told).unwrap_err().to_string();
        assert!(words("tel,name", &[]).contains("--map extension=HEADING (there are: tel, name)"));
        assert!(
            columns("extension,email", &[]).is_ok(),
            "people who are known need no name"
        );
        assert!(
            words("extension,name", &[told(Column::Email, Some("m"))])
                .starts_with("--map email=m: there is no such heading")
        );
        assert!(words("Extension,name,extension", &[]).contains("twice"));
    }
}
