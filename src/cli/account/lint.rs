//! `sekisho account lint`: what an administrator should put in order, and how.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::crypto::hashing::weakness;
use crate::domain::account::Extension;
use crate::flows::inspect::{Disorder, Finding};

use super::super::open;
use super::super::output::{FAINT, Output};
use super::super::table::{Styled, Table};

/// The exit code when something was found: neither done nor failed.
pub const FOUND: u8 = 3;

#[derive(Args)]
pub struct Lint {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Entry<'a> {
    kind: &'static str,
    extensions: Vec<&'a Extension>,
    detail: &'a str,
    remedy: &'static str,
}

impl Lint {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<ExitCode> {
        let findings = open::office(path, async |office, config| {
            let today = config.passwords.hashing;
            Ok(office.inspection().run(&|hash| weakness(hash, &today)).await?)
        })?;
        if self.json {
            output.json(&findings.iter().map(entry).collect::<Vec<_>>())?;
        } else {
            show(&findings, output)?;
        }
        Ok(if findings.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FOUND)
        })
    }
}

fn entry(finding: &Finding) -> Entry<'_> {
    Entry {
        kind: finding.matter.as_str(),
        extensions: finding.accounts.iter().map(|account| &account.extension).collect(),
        detail: &finding.detail,
        remedy: finding.matter.remedy(),
    }
}

fn title(matter: Disorder) -> &'static str {
    match matter {
        Disorder::SharedEmail => "Shared e-mail addresses",
        Disorder::NoEmail => "No e-mail address",
        Disorder::MailBounces => "Mail to the address bounces",
        Disorder::NewPasswordNeeded => "The password was taken away, since an attack got in with it",
        Disorder::NeverActivated => "Invited, and no link was ever mailed",
        Disorder::LinkExpired => "The link expired before it was used",
        Disorder::NotSeen => "Not signed in for a year",
        Disorder::WeakHash => "Weak password hash",
        Disorder::LookAlike => "Names that look alike",
        Disorder::OddSpelling => "Unusual characters",
        Disorder::TokenExpired => "API tokens that have expired",
        Disorder::TokenExpiring => "API tokens that expire soon",
        Disorder::TokenUnused => "API tokens that nobody uses",
    }
}

fn show(findings: &[Finding], output: &mut Output) -> anyhow::Result<()> {
    if findings.is_empty() {
        return output.line("Everything is in order.");
    }
    for matter in findings.chunk_by(|one, next| one.matter == next.matter) {
        let kind = matter[0].matter;
        output.line(format_args!("{} ({})", title(kind), matter.len()))?;
        let mut table = Table::of_facts().unbroken(&[0]);
        for finding in matter {
            let people = finding.accounts.iter();
            table.row([
                Styled::people(people.map(|account| (account.extension.as_str(), account.name.as_str()))),
                Styled::or_dash(Some(&finding.detail)),
            ]);
        }
        output.table(&table)?;
        output.line(format_args!("{FAINT}→ {}{FAINT:#}\n", kind.remedy()))?;
    }
    output.line(format!("{} found.", findings.len()))
}

#[cfg(test)]
mod tests {
    use super::super::super::output::tests::Sheet;
    use super::super::tests::account;
    use super::*;

    #[test]
    fn findings_stand_together_by_kind_each_kind_with_what_to_do() {
        let finding = |matter, extension: &str, detail: &str| Finding {
            matter,
            accounts: vec![account(extension, "Yuki")],
            detail: detail.to_owned(),
        };
        let findings = [
            finding(Disorder::NoEmail, "101", ""),
            finding(Disorder::NoEmail, "102", ""),
            finding(Disorder::NotSeen, "103", "since 2025-01-01"),
        ];
        let sheet = Sheet::default();
        show(&findings, &mut sheet.output()).unwrap();
        let text = sheet.text();
        assert!(text.contains("No e-mail address (2)"), "{text}");
        assert_eq!(text.matches("add an address").count(), 1, "{text}");
        assert!(text.contains("103 Yuki  since 2025-01-01"), "{text}");
        assert!(text.ends_with("3 found.\n"), "{text}");
        let json = serde_json::to_value(entry(&findings[2])).unwrap();
        assert_eq!(json["kind"], "not-seen");
        assert_eq!(json["extensions"], serde_json::json!(["103"]));
    }
}
