//! What the demo prints once it is ready: where to go, who is there, and three things to try.

use std::path::Path;

use crate::config::Config;
use crate::crypto::devca::DevCertificates;
use crate::ports::AccountListing;

use super::super::account::state_style;
use super::super::output::{ACTION, FAINT, Output, STRONG};
use super::super::table::{Styled, Table};
use super::ground::Ground;
use super::people::SHARED;
use super::ports::Ports;

/// What there is to show.
pub struct Tour<'a> {
    pub config: &'a Config,
    pub ports: &'a Ports,
    pub ground: &'a Ground,
    pub certificates: &'a DevCertificates,
    pub accounts: &'a [AccountListing],
    pub logs_to_terminal: bool,
}

impl Tour<'_> {
    pub fn print(&self, output: &mut Output) -> anyhow::Result<()> {
        self.addresses(output)?;
        self.people(output)?;
        self.to_try(output)?;
        self.certificate(output)?;
        self.housekeeping(output)?;
        output.flush()
    }

    fn addresses(&self, output: &mut Output) -> anyhow::Result<()> {
        let doors = &self.config.doors;
        output.line(format_args!(
            "\n {STRONG}Sekisho 関所{STRONG:#}  the demo is ready; everything stays on this machine.\n"
        ))?;
        let mut place = |name: &str, address: &str, what: &str| {
            output.line(format_args!(
                " {STRONG}{name:<16}{STRONG:#} {ACTION}{address:<34}{ACTION:#} {FAINT}{what}{FAINT:#}"
            ))
        };
        place("In office", &doors.in_office.origin(), "one door to the web client")?;
        place("Out of office", &doors.out_of_office.origin(), "the other door")?;
        place(
            "Inbox",
            &format!("http://127.0.0.1:{}", self.ports.inbox),
            "every letter arrives here",
        )?;
        output.line("")
    }

    fn people(&self, output: &mut Output) -> anyhow::Result<()> {
        let mut table = Table::new(["Extension", "Name", "E-mail", "Letters in", "Role", "State"]);
        for AccountListing { account, .. } in self.accounts {
            table.row([
                Styled::new(account.extension.as_str(), STRONG),
                account.name.as_str().into(),
                Styled::or_dash(account.email.as_ref().map(|email| email.as_typed())),
                account.language.tag().into(),
                account.role.as_str().into(),
                Styled::new(account.state.as_str(), state_style(account.state)),
            ]);
        }
        output.table(&table)?;
        output.line("")
    }

    fn to_try(&self, output: &mut Output) -> anyhow::Result<()> {
        output.line(format_args!(" {STRONG}Three things to try{STRONG:#}"))?;
        let command = std::env::args().next().unwrap_or_else(|| "sekisho".to_owned());
        let config = self.ground.config();
        let thing = |number: u8, words: &str| format!("  {STRONG}{number}{STRONG:#}  {words}");
        output.line(thing(
            1,
            &format!(
                "Set a password. Open the inbox, follow a link of a Welcome mail, and then\n     \
                 sign in as {STRONG}101{STRONG:#} or {STRONG}102{STRONG:#}: the web client is told who you are, and shows how it checked."
            ),
        ))?;
        output.line(thing(
            2,
            &format!(
                "Forget it. Sign out, choose \"Forgot password?\", and type your address, then\n     \
                 {SHARED}: the page answers the same, but an address that two\n     accounts share gets no letter."
            ),
        ))?;
        output.line(thing(
            3,
            &format!(
                "Keep somebody out. While 101 is signed in, type in another terminal:\n     \
                 {ACTION}{} --config {} account disable 101{ACTION:#}",
                shown(Path::new(&command)),
                shown(&config)
            ),
        ))?;
        output.line("")
    }

    fn certificate(&self, output: &mut Output) -> anyhow::Result<()> {
        let authority = near(&self.certificates.authority);
        if self.certificates.new_authority {
            output.line(format_args!(
                " {STRONG}Certificate{STRONG:#}   A new certificate authority was made for this demo. The browser will warn, since it"
            ))?;
        } else {
            output.line(format_args!(
                " {STRONG}Certificate{STRONG:#}   The browser warns, since it"
            ))?;
        }
        output.line(format_args!(
            "               does not know the demo's certificate authority: continue past the warning, or\n               \
             import {ACTION}{authority}{ACTION:#}, which vouches for nothing but localhost."
        ))
    }

    fn housekeeping(&self, output: &mut Output) -> anyhow::Result<()> {
        let data = self.ground.directory().display();
        output.line(format_args!(
            " {STRONG}Data{STRONG:#}          {data} {FAINT}(--fresh starts over){FAINT:#}"
        ))?;
        if !self.logs_to_terminal {
            output.line(format_args!(
                " {STRONG}Log{STRONG:#}           {}",
                self.ground.log().display()
            ))?;
        }
        output.line(format_args!(" {STRONG}Stop{STRONG:#}          Ctrl-C\n"))
    }
}

/// A path as it can be typed where the demo was started.
fn near(path: &Path) -> String {
    std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// A path as a shell takes it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains([' ', '\'', '"', '$', '\\', '(', '&', ';']) {
        format!("'{}'", text.replace('\'', r"'\''"))
    } else {
        text
    }
}
