//! `sekisho account export`: everybody as a file for spreadsheets, which `account import` reads back.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::domain::account::Email;
use crate::flows::import::{Column, guard, join_groups};
use crate::ports::AccountListing;

use super::super::open;
use super::super::output::{Output, aside, counted};

#[derive(Args)]
pub struct Export {
    /// Where to write; made readable for its owner alone, and never over a file that is there [default: standard output]
    #[arg(value_name = "FILE.csv")]
    file: Option<PathBuf>,
    /// Leave out the byte order mark by which spreadsheets tell UTF-8
    #[arg(long)]
    no_bom: bool,
}

impl Export {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let listings = open::office(path, async |office, _| Ok(office.accounts.list().await?))?;
        let mark = if self.no_bom { "" } else { "\u{feff}" };
        let text = format!("{mark}{}", csv(&listings)?);
        let Some(file) = &self.file else {
            return output.text(&text);
        };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .with_context(|| format!("could not write {}", file.display()))?;
        let accounts = counted(listings.len(), "account is", "accounts are");
        aside(format_args!("{accounts} in {}", file.display()));
        Ok(())
    }
}

/// RFC 4180, with every cell guarded against being run as a formula. No hash, no token: nothing of that is in a listing.
fn csv(listings: &[AccountListing]) -> anyhow::Result<String> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let read_back = [
        Column::Extension,
        Column::Name,
        Column::Email,
        Column::Groups,
        Column::Language,
        Column::Role,
    ];
    let told = ["state", "created_at", "password_set_at", "last_sign_in_at"];
    writer.write_record(read_back.map(Column::as_str).iter().chain(&told))?;
    for listing in listings {
        let account = &listing.account;
        let time = |at: Option<jiff::Timestamp>| at.map_or_else(String::new, |at| at.to_string());
        let cells = [
            account.extension.to_string(),
            account.name.clone(),
            account.email.as_ref().map_or_else(String::new, Email::to_string),
            join_groups(&account.groups),
            account.language.tag().to_owned(),
            account.role.as_str().to_owned(),
            account.state.as_str().to_owned(),
            account.created_at.to_string(),
            time(listing.password_set_at),
            time(listing.last_sign_in_at),
        ];
        writer.write_record(cells.iter().map(|cell| guard(cell).into_owned()))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::account;
    use super::*;
    use crate::domain::account::EmailEdit;
    use crate::flows::import::{Reading, Sheet};

    #[test]
    fn an_export_runs_nothing_in_a_spreadsheet_and_is_read_back_to_the_letter() {
        let mut evil = account("-101", "=HYPERLINK(\"http://evil.example\",\"x\")");
        evil.groups = vec!["+sales".into(), "a;b".into()];
        let mut plain = account("102", "田中, \"ゆき\"");
        plain.groups = vec!["a;b".into()];
        plain.email = None;
        let accounts = [evil, plain];
        let listings = accounts.clone().map(|account| AccountListing {
            account,
            password_set_at: None,
            last_sign_in_at: None,
        });
        let text = csv(&listings).unwrap();
        for cell in text.split([',', '\n']).map(|cell| cell.trim_start_matches('"')) {
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell} in {text}");
        }
        let reading = Reading {
            encoding: None,
            told: &[],
            judge_hash: &|_| Err(String::new()),
            progress: &|_, _| {},
        };
        let sheet = Sheet::read(format!("\u{feff}{text}").as_bytes(), &reading).unwrap();
        assert!(sheet.refused.is_empty(), "{:?}", sheet.refused);
        for (row, account) in sheet.rows.iter().zip(&accounts) {
            assert_eq!(row.extension, account.extension);
            assert_eq!(row.name.as_ref().unwrap().in_language(account.language), account.name);
            let email = account.email.clone().map_or(EmailEdit::Remove, EmailEdit::Set);
            assert_eq!(row.email, email);
            assert_eq!(row.groups.as_ref(), Some(&account.groups));
        }
    }
}
