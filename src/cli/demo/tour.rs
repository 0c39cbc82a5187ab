//! What the demo prints once it is ready: where to go, who is there, and four things to try.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::domain::account::Email;
use crate::ports::AccountListing;

use super::super::account::state_style;
use super::super::output::{ACTION, FAINT, Output, STRONG};
use super::super::table::{Styled, Table};
use super::people::SHARED;

/// What there is to show.
pub struct Tour<'a> {
    pub config: &'a Config,
    pub inbox_port: u16,
    pub accounts: &'a [AccountListing],
    /// How this program was called, for commands to type.
    pub program: String,
    /// The configuration file for those commands.
    pub config_file: &'a Path,
    pub authority: PathBuf,
    pub data: &'a Path,
    /// Where the log goes, unless it goes to the terminal.
    pub log: Option<PathBuf>,
}

impl Tour<'_> {
    pub fn print(&self, output: &mut Output) -> anyhow::Result<()> {
        self.addresses(output)?;
        self.people(output)?;
        self.to_try(output)?;
        self.practical(output)?;
        output.flush()
    }

    fn addresses(&self, output: &mut Output) -> anyhow::Result<()> {
        let doors = &self.config.doors;
        let inbox = format!("http://127.0.0.1:{}", self.inbox_port);
        output.line(format_args!(
            "\n {STRONG}Sekisho 関所{STRONG:#}  The demo is ready. Everything stays on this machine.\n"
        ))?;
        for (name, address, what) in [
            ("In office", doors.in_office.origin(), "one door to the web client"),
            ("Out of office", doors.out_of_office.origin(), "the other door"),
            ("Inbox", inbox, "every letter arrives here"),
        ] {
            output.line(format_args!(
                " {STRONG}{name:<14}{STRONG:#} {ACTION}{address:<32}{ACTION:#} {FAINT}{what}{FAINT:#}"
            ))?;
        }
        output.line("")
    }

    fn people(&self, output: &mut Output) -> anyhow::Result<()> {
        let mut table = Table::new(["Extension", "Name", "E-mail", "Language", "Role", "State"]);
        for AccountListing { account, .. } in self.accounts {
            table.row([
                Styled::new(account.extension.as_str(), STRONG),
                account.name.as_str().into(),
                Styled::or_dash(account.email.as_ref().map(Email::as_typed)),
                account.language.tag().into(),
                account.role.as_str().into(),
                Styled::new(account.state.as_str(), state_style(account.state)),
            ]);
        }
        for line in table.lines().lines() {
            output.line(format_args!(" {line}"))?;
        }
        output.line("")
    }

    fn to_try(&self, output: &mut Output) -> anyhow::Result<()> {
        let program = format!(
            "{} --config {}",
            typed(Path::new(&self.program)),
            typed(self.config_file)
        );
        output.line(format_args!(
            " {STRONG}Four things to try{STRONG:#}\n\
             \n  {STRONG}1{STRONG:#}  Set a password. Open the inbox, follow a link of a Welcome mail, then\
             \n     sign in as 101 or 102. The web client is told who you are, and shows\
             \n     how it checked that.\
             \n  {STRONG}2{STRONG:#}  Forget it. Sign out, choose \"Forgot your password?\", and type your\
             \n     address; then type {SHARED}. The page answers the same,\
             \n     but an address that two accounts share gets no letter.\
             \n  {STRONG}3{STRONG:#}  Keep somebody out. While 101 is signed in, type in another terminal:\
             \n     {ACTION}{program} account disable 101{ACTION:#}\
             \n  {STRONG}4{STRONG:#}  Guess. Look on from another terminal with\
             \n     {ACTION}{program} limits watch{ACTION:#}\
             \n     and type wrong passwords for 102: after five you are told when to try\
             \n     again, and there you see which rule stopped you.\n"
        ))
    }

    fn practical(&self, output: &mut Output) -> anyhow::Result<()> {
        let authority = self.authority.display();
        output.line(format_args!(
            " {STRONG}Certificate{STRONG:#}    The browser warns: it does not know the authority that the demo\
             \n                made for itself. Continue past the warning, or let it trust\
             \n                {ACTION}{authority}{ACTION:#}, which vouches for nothing but localhost.\
             \n {STRONG}Data{STRONG:#}           {} {FAINT}(--fresh starts over){FAINT:#}",
            self.data.display()
        ))?;
        if let Some(log) = &self.log {
            output.line(format_args!(" {STRONG}Log{STRONG:#}            {}", log.display()))?;
        }
        output.line(format_args!(" {STRONG}Stop{STRONG:#}           Ctrl-C\n"))
    }
}

/// A path as a shell takes it.
fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::account::tests::account;
    use super::super::super::output::tests::Sheet;
    use super::super::settings;
    use super::*;

    #[test]
    fn the_tour_names_every_place_to_go_in_lines_that_fit_a_terminal() {
        let mut config = settings::load().unwrap();
        settings::move_to(&mut config, 9443).unwrap();
        let accounts = [AccountListing {
            account: account("101", "田中 ゆき"),
            password_set_at: None,
            last_sign_in_at: None,
        }];
        let tour = Tour {
            config: &config,
            inbox_port: 9025,
            accounts: &accounts,
            program: "./target/release/sekisho".to_owned(),
            config_file: Path::new("my data/sekisho.toml"),
            authority: "certs/ca.pem".into(),
            data: Path::new("my data"),
            log: Some("my data/demo.log".into()),
        };
        let sheet = Sheet::default();
        tour.print(&mut sheet.output()).unwrap();
        let text = sheet.text();
        for words in [
            "https://localhost:9443 ",
            "https://sekisho.localhost:9443 ",
            "http://127.0.0.1:9025 ",
            "田中 ゆき",
            "./target/release/sekisho --config 'my data/sekisho.toml' account disable 101",
            "./target/release/sekisho --config 'my data/sekisho.toml' limits watch",
            "certs/ca.pem",
            "my data/demo.log",
            "Ctrl-C",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        for line in text.lines().filter(|line| !line.contains("--config")) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
