//! `sekisho limits watch`: what is being tried, as it is tried. Separate from the screen: what is shown is text, the same
//! for one look and for many.

mod screen;
mod view;

use std::env;
use std::fmt::Write as _;
use std::io::{IsTerminal, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::app::{self, Activity, world};
use crate::config::Config;
use crate::domain::campaigns::Campaign;

use super::super::event::People;
use super::super::open;
use super::super::output::{BAD, FAINT, Output, one_line};
use super::campaigns::readable;

use screen::{Key, Screen};
use view::{Room, View};

#[derive(Args)]
pub struct Watch {
    /// Look once
    #[arg(long)]
    once: bool,
    /// Print JSON, with times in UTC
    #[arg(long, requires = "once")]
    json: bool,
}

/// It is looked anew this often.
const LOOK: Duration = Duration::from_secs(1);

impl Watch {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let config = open::config(path)?;
        let look = || View::look(path, &config);
        if self.json {
            let view = look()?;
            return output.json(&view.seen());
        }
        if self.once {
            let room = screen::width().map_or(Room::PAPER, |width| Room { width, height: None });
            return output.text(&(look()?.lines(room, output).join("\n") + "\n"));
        }
        if !is_screen() {
            loop {
                output.line(look()?.line())?;
                output.flush()?;
                std::thread::sleep(LOOK);
            }
        }
        let mut screen = Screen::open()?;
        loop {
            // What goes wrong for a while, as at a restart, is shown and does not end the look.
            let looked = look();
            screen.show(|room| {
                let mut lines = match &looked {
                    Ok(view) => view.lines(room, output),
                    Err(error) => vec![format!("{BAD}{}{BAD:#}", one_line(error))],
                };
                if let Some(first) = lines.first_mut() {
                    let _ = write!(first, "  {FAINT}q ends it{FAINT:#}");
                }
                lines
            })?;
            if screen.key(LOOK) == Some(Key::Quit) {
                return Ok(());
            }
        }
    }
}

/// Whether lines can be put in their places and keys be heard.
fn is_screen() -> bool {
    stdin().is_terminal() && stdout().is_terminal() && env::var_os("TERM").is_some_and(|term| term != "dumb")
}

impl View {
    fn look(path: &Path, config: &Config) -> anyhow::Result<Self> {
        let directory = &config.store.directory;
        let asked = app::ask_for_activity(directory, path)
            .with_context(|| format!("could not ask the gateway on the store in {}", directory.display()))?;
        // The store is opened for names and for what nobody follows, and else left alone.
        let nobody = |campaign: &Campaign| campaign.people.is_empty() && campaign.successes.is_empty();
        let nameless = |activity: &Activity| activity.campaigns.iter().all(nobody);
        let (stored, people) = if asked.as_ref().is_some_and(nameless) {
            (Vec::new(), People::of([]))
        } else {
            open::office(path, async |office, _| {
                let accounts = office.accounts.list().await?.into_iter();
                let people = People::of(accounts.map(|listing| listing.account));
                Ok((readable(office.campaigns.living().await?), people))
            })?
        };
        Ok(match asked {
            Some(Activity { at, traffic, campaigns }) => Self {
                at,
                store: directory.clone(),
                traffic: Some(traffic),
                campaigns,
                people,
            },
            None => Self {
                at: world().now(),
                store: directory.clone(),
                traffic: None,
                campaigns: stored,
                people,
            },
        })
    }
}
