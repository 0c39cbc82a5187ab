//! `sekisho account`: people's records. No command sets, shows or takes a password: people set their own, by link.

mod add;
mod change;
mod edit;
mod export;
pub mod import;
mod lint;
mod list;

use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use crate::domain::account::{Account, Extension};

use super::output::Output;
pub use list::state_style;

#[derive(Subcommand)]
pub enum Command {
    /// Add a person and mail them a link to set their password
    #[command(after_help = "Examples:\n  \
        sekisho account add 101 --name \"Yuki Tanaka\" --email yuki@example.com --language ja\n  \
        sekisho account add 100 --name \"Sam Taylor\" --email sam@example.com --role admin --group it\n\n\
        The person is invited until they have set a password through the Welcome mail. Several accounts may share an \
        address; then none of them can use \"forgot password\", since nobody could say whose it is.")]
    Add(add::Add),
    /// List everybody
    List(list::List),
    /// Show one account
    Show(list::Show),
    /// Change a person's name, address, language, role or groups; what is not mentioned stays
    #[command(after_help = "Examples:\n  \
        sekisho account change 101 --email yuki.suzuki@example.com\n  \
        sekisho account change 101 --name \"Yuki Suzuki\" --language ja\n  \
        sekisho account change 101 --group sales --group osaka\n\n\
        A new address is told to the former one as well, and links mailed before stop working. A running gateway uses the \
        new record within a second.")]
    Change(edit::Edit),
    /// Bring many people in from a CSV file; shows what would change before anything does
    #[command(after_help = "Examples:\n  \
        sekisho account import people.csv\n  \
        sekisho account import people.csv --apply --welcome\n  \
        sekisho account import users.csv --map extension=Tel --map role= --encoding cp932\n  \
        sekisho account import people.csv --sync --skip-refused --apply\n\n\
        Headings of common phone systems are recognised, in English and Japanese. All lines are stored together or none; \
        a line that cannot be taken is refused with its reason, and then nothing is stored unless --skip-refused says so. \
        Columns for --map: extension, name, first_name, last_name, email, groups, language, role, password_hash.\n\n\
        An import enables nobody who was disabled, replaces nobody's password, and never disables the last administrator.")]
    Import(import::Import),
    /// Write everybody as CSV, without secrets, for spreadsheets and for `account import`
    #[command(after_help = "Example:\n  sekisho account export people.csv")]
    Export(export::Export),
    /// Look for what should be put in order: shared addresses, links never used, people long gone, names that look alike
    #[command(after_help = "The exit code is 0 when everything is in order and 3 when something was found.")]
    Lint(lint::Lint),
    /// Mail a Welcome link again to somebody who has not set a password yet; earlier links stop working
    #[command(after_help = "Examples:\n  \
        sekisho account welcome 101\n  \
        sekisho account welcome 101 --print --html sheet.html\n\n\
        --print is for somebody without a mailbox: it makes a sheet with the link and its QR code for both doors, to be \
        handed over. It is shown once and recorded as printed. Print the file, then delete it: whoever has the link \
        first can use it.")]
    Welcome(change::Welcome),
    /// Keep somebody out: sessions and links end within a second, the record stays
    Disable(Whose),
    /// Let a disabled person in again
    Enable(Whose),
    /// Remove an account for ever
    #[command(
        after_help = "Sessions and links end at once. The events stay. A later account with the same extension number is \
        somebody else to the web client. To keep somebody out for a while, disable the account instead."
    )]
    Remove(change::Remove),
}

/// An account that a command is about.
#[derive(Args)]
pub struct Whose {
    /// The extension number
    #[arg(value_name = "EXTENSION", value_parser = Extension::parse)]
    extension: Extension,
}

impl Command {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Add(add) => add.run(path, output),
            Self::List(list) => list.run(path, output),
            Self::Show(show) => show.run(path, output),
            Self::Change(edit) => edit.run(path, output),
            Self::Import(import) => import.run(path, output),
            Self::Export(export) => export.run(path, output),
            Self::Lint(lint) => return lint.run(path, output),
            Self::Welcome(welcome) => welcome.run(path, output),
            Self::Disable(whose) => change::disable(path, &whose.extension, output),
            Self::Enable(whose) => change::enable(path, &whose.extension, output),
            Self::Remove(remove) => remove.run(path, output),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Extension number and name, as every message calls a person.
pub fn person(account: &Account) -> String {
    format!("{} {}", account.extension, account.name)
}

/// What to say of an extension number that nobody has.
pub fn no_such_account(extension: &Extension) -> anyhow::Error {
    anyhow!("there is no account {extension}; see: sekisho account list")
}

#[cfg(test)]
pub mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::account::{AccountId, AccountState, Email, Role};
    use crate::domain::language::Language;

    /// Somebody invited.
    pub fn account(extension: &str, name: &str) -> Account {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        Account {
            id: AccountId::new(Uuid::from_u128(101)),
            extension: Extension::parse(extension).unwrap(),
            name: name.to_owned(),
            email: Some(Email::parse("yuki@phone.example").unwrap()),
            role: Role::User,
            groups: Vec::new(),
            language: Language::Ja,
            state: AccountState::Invited,
            generation: 1,
            created_at: at,
            updated_at: at,
        }
    }
}
