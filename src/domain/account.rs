//! An account: a person's record, and the names that person may sign in with.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::folding::{email_key, plain_lower};
use super::language::Language;

/// A person's record. The password hash is not part of it: whoever holds an `Account` holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Stable and never reused; the `sub` of every assertion.
    pub id: AccountId,
    /// The extension number, unique among accounts.
    pub extension: Extension,
    /// The person's name as pages, letters and the upstream show it.
    pub name: String,
    /// May be missing, and may be shared with other accounts.
    pub email: Option<Email>,
    /// What the person may do in the gateway itself.
    pub role: Role,
    /// Groups the upstream may rely on.
    pub groups: Vec<String>,
    /// The language of letters to this person.
    pub language: Language,
    /// Whether the person can sign in.
    pub state: AccountState,
    /// Raised whenever every session of the account must end; a session of an older generation is dead.
    pub generation: u64,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

/// Identifies an account for ever: opaque, and not inherited by a re-created account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountId(Uuid);

impl AccountId {
    /// From a fresh UUID (version 7).
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// From its textual form, as stored.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::parse_str(text).ok().map(Self)
    }

    /// In sixteen bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a person may do in the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Signs in and uses the web client.
    User,
    /// May use what is for administrators; the last one who can sign in is never disabled or removed.
    Admin,
}

impl Role {
    /// The name in the store, in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The opposite of [`Role::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// Whether an account can sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// Made, but no password has been set yet.
    Invited,
    /// Has a password and may sign in.
    Active,
    /// May not sign in; its sessions and links are dead.
    Disabled,
}

impl AccountState {
    /// The name in the store, in JSON and in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// The opposite of [`AccountState::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Invited, Self::Active, Self::Disabled]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What changes about an account; what is not mentioned stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountEdit {
    /// The new name.
    pub name: Option<String>,
    /// What becomes of the address.
    pub email: EmailEdit,
    /// The new role.
    pub role: Option<Role>,
    /// The new groups, all of them.
    pub groups: Option<Vec<String>>,
    /// The new language of letters and pages.
    pub language: Option<Language>,
}

/// What becomes of an account's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EmailEdit {
    /// It stays.
    #[default]
    Keep,
    /// The account has none any more.
    Remove,
    /// This one takes its place.
    Set(Email),
}

impl AccountEdit {
    /// The account as it is afterwards, and what is different about it. Nothing different: the account as it was.
    pub fn apply(&self, before: &Account, now: Timestamp) -> (Account, Vec<Field>) {
        let mut after = before.clone();
        after.name.clone_from(self.name.as_ref().unwrap_or(&before.name));
        match &self.email {
            EmailEdit::Keep => {}
            EmailEdit::Remove => after.email = None,
            EmailEdit::Set(email) => after.email = Some(email.clone()),
        }
        after.role = self.role.unwrap_or(before.role);
        after.groups.clone_from(self.groups.as_ref().unwrap_or(&before.groups));
        after.language = self.language.unwrap_or(before.language);
        // Addresses compare folded; here a new spelling is a change as well, since letters go to it.
        let spelling = |account: &Account| account.email.as_ref().map(|email| email.typed.clone());
        let changed: Vec<Field> = [
            (Field::Name, after.name != before.name),
            (Field::Email, spelling(&after) != spelling(before)),
            (Field::Role, after.role != before.role),
            (Field::Groups, after.groups != before.groups),
            (Field::Language, after.language != before.language),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect();
        if !changed.is_empty() {
            after.updated_at = now;
        }
        (after, changed)
    }
}

/// A part of an account that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The person's name.
    Name,
    /// The address.
    Email,
    /// The role.
    Role,
    /// The groups.
    Groups,
    /// The language.
    Language,
}

impl Field {
    /// The name in events and listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Email => "email",
            Self::Role => "role",
            Self::Groups => "groups",
            Self::Language => "language",
        }
    }

    /// What stands in this field of an account, as a report shows it.
    pub fn of(self, account: &Account) -> String {
        match self {
            Self::Name => account.name.clone(),
            Self::Email => account
                .email
                .as_ref()
                .map_or_else(String::new, |email| email.typed.clone()),
            Self::Role => account.role.as_str().to_owned(),
            Self::Groups => account.groups.join(", "),
            Self::Language => account.language.tag().to_owned(),
        }
    }

    /// The opposite of [`Field::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Name, Self::Email, Self::Role, Self::Groups, Self::Language]
            .into_iter()
            .find(|field| field.as_str() == text)
    }
}

/// An extension number in its one spelling: NFKC, no blanks or invisible characters, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Extension(String);

impl Extension {
    /// The longest extension number accepted, in characters.
    pub const MAX_CHARS: usize = 32;

    /// Reads an extension number as a person types it: full-width digits, blanks and pasted
    /// zero-width characters find the same account as the plain spelling.
    ///
    /// # Errors
    /// When nothing is left, it is too long, or a character is neither a letter, a digit nor one of `*#._-`.
    pub fn parse(text: &str) -> Result<Self, NameProblem> {
        if text.len() > 16 * Self::MAX_CHARS {
            return Err(NameProblem::TooLong);
        }
        let folded = plain_lower(text);
        match folded.chars().count() {
            0 => Err(NameProblem::Empty),
            n if n > Self::MAX_CHARS => Err(NameProblem::TooLong),
            _ if folded.chars().all(|c| c.is_ascii_alphanumeric() || "*#._-".contains(c)) => Ok(Self(folded)),
            _ => Err(NameProblem::BadExtension),
        }
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An e-mail address: kept as typed, compared by its folded key.
#[derive(Clone, Debug)]
pub struct Email {
    typed: String,
    key: String,
}

impl Email {
    /// The longest address accepted (RFC 5321 section 4.5.3.1.3 leaves 254 for a path without brackets).
    pub const MAX_BYTES: usize = 254;

    /// Reads exactly one address. Lists, display names, comments, control characters and blanks
    /// inside are refused: one text must never reach two mailboxes.
    ///
    /// # Errors
    /// When the text is not exactly one plain `local@domain` address.
    pub fn parse(text: &str) -> Result<Self, NameProblem> {
        // The at sign of an input method is meant as one; nothing else of what was typed changes.
        let typed = text.trim().replace(['＠', '﹫'], "@");
        if typed.is_empty() {
            return Err(NameProblem::Empty);
        }
        if typed.len() > Self::MAX_BYTES {
            return Err(NameProblem::TooLong);
        }
        let key = email_key(&typed);
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.contains("..")
                && !part
                    .chars()
                    .any(|c| c.is_control() || c.is_whitespace() || "()<>[]:;,\\\"@".contains(c))
        };
        let well_formed = |address: &str| {
            address
                .split_once('@')
                .is_some_and(|(local, domain)| plain(local) && plain(domain))
        };
        let local_fits = typed.split_once('@').is_some_and(|(local, _)| local.len() <= 64);
        if local_fits && well_formed(&typed) && well_formed(&key) {
            Ok(Self { typed, key })
        } else {
            Err(NameProblem::BadEmail)
        }
    }

    /// As the administrator typed it; letters are addressed to this spelling.
    pub fn as_typed(&self) -> &str {
        &self.typed
    }

    /// The spelling that comparisons use: NFKC and case-folded, the domain in its ASCII form.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// What somebody typed into the name field of the sign-in page, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginName {
    /// An extension number.
    Extension(Extension),
    /// An e-mail address.
    Email(Email),
}

impl LoginName {
    /// Whatever contains an at sign (in any width) is an address, the rest an extension number.
    ///
    /// # Errors
    /// When it is neither. The sign-in flow answers that exactly as it answers a wrong password.
    pub fn parse(text: &str) -> Result<Self, NameProblem> {
        if text.contains(['@', '＠', '﹫']) {
            Email::parse(text).map(Self::Email)
        } else {
            Extension::parse(text).map(Self::Extension)
        }
    }

    /// As it was typed, or nearly so: it reads back as the same name.
    pub fn as_typed(&self) -> &str {
        match self {
            Self::Extension(extension) => extension.as_str(),
            Self::Email(email) => email.as_typed(),
        }
    }

    /// The one spelling under which attempts for this name are counted.
    pub fn key(&self) -> &str {
        match self {
            Self::Extension(extension) => extension.as_str(),
            Self::Email(email) => email.key(),
        }
    }
}

/// Why a name, extension number or address was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// Nothing was given.
    #[error("nothing was given")]
    Empty,
    /// More than the field holds.
    #[error("it is too long")]
    TooLong,
    /// Not an extension number.
    #[error("an extension number has letters, digits and `*#._-` only")]
    BadExtension,
    /// Not one e-mail address.
    #[error("it is not one plain e-mail address such as name@example.com")]
    BadEmail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_extension_is_one_extension() {
        for spelling in ["101", " 101 ", "１０１", "1 0 1", "\u{200b}101", "101\u{feff}"] {
            assert_eq!(Extension::parse(spelling).unwrap().as_str(), "101", "{spelling:?}");
        }
    }

    #[test]
    fn an_extension_refuses_what_no_phone_system_has() {
        assert_eq!(Extension::parse("  "), Err(NameProblem::Empty));
        assert_eq!(Extension::parse("1/2"), Err(NameProblem::BadExtension));
        assert_eq!(Extension::parse("内線"), Err(NameProblem::BadExtension));
        assert_eq!(Extension::parse(&"1".repeat(33)), Err(NameProblem::TooLong));
        assert_eq!(Extension::parse(&"1".repeat(1 << 20)), Err(NameProblem::TooLong));
    }

    #[test]
    fn an_email_is_kept_as_typed_and_compared_folded() {
        let email = Email::parse(" Yuki@Example.COM ").unwrap();
        assert_eq!(email.as_typed(), "Yuki@Example.COM");
        assert_eq!(email, Email::parse("ｙｕｋｉ@example.com").unwrap());
    }

    #[test]
    fn a_text_that_could_reach_two_mailboxes_is_no_email() {
        for text in [
            "a@example.com,b@example.com",
            "a@example.com b@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "a@example.com;b@example.com",
            "<a@example.com>",
            "a@b@example.com",
            "a(b)@example.com",
            "\"a b\"@example.com",
            "@example.com",
            "a@",
            "a..b@example.com",
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_edit_changes_what_it_mentions_and_says_so() {
        let before = super::super::session::tests::account();
        let now = super::super::session::tests::at(9);
        assert_eq!(AccountEdit::default().apply(&before, now), (before.clone(), vec![]));
        let edit = AccountEdit {
            name: Some("Yuki Suzuki".into()),
            email: EmailEdit::Set(Email::parse("yuki@example.com").unwrap()),
            role: Some(before.role),
            ..AccountEdit::default()
        };
        let (after, changed) = edit.apply(&before, now);
        assert_eq!(changed, [Field::Name, Field::Email]);
        assert_eq!((after.name.as_str(), after.updated_at), ("Yuki Suzuki", now));
        let spelled = AccountEdit {
            email: EmailEdit::Set(Email::parse("Yuki@Example.com").unwrap()),
            ..AccountEdit::default()
        };
        assert_eq!(
            spelled.apply(&after, now).1,
            [Field::Email],
            "a new spelling is a change"
        );
        let removed = AccountEdit {
            email: EmailEdit::Remove,
            ..AccountEdit::default()
        };
        assert_eq!(removed.apply(&after, now).0.email, None);
        assert_eq!(removed.apply(&before, now).1, [], "there was none");
    }

    #[test]
    fn the_name_field_takes_an_extension_or_an_address() {
        assert!(matches!(LoginName::parse("101").unwrap(), LoginName::Extension(_)));
        assert!(matches!(
            LoginName::parse("a＠example.com").unwrap(),
            LoginName::Email(_)
        ));
        assert!(LoginName::parse("").is_err());
    }
}
