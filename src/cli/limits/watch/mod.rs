//! `sekisho limits watch`: what is being tried, as it is tried. Separate from the screen: what is shown is text, the same
//! for one look and for many.

mod screen;

use std::io::{IsTerminal, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use crate::app::{self, Activity, world};
use crate::config::Config;
use crate::domain::campaigns::{Campaign, Traffic};

use super::super::event::People;
use super::super::open;
use super::super::output::{BAD, CARE, FAINT, GOOD, Output, STRONG, plain};
use super::super::table::{Styled, Table};
use super::campaigns::{Entry, table};

use screen::{Key, Screen};

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

/// What there is to see.
struct View {
    at: Timestamp,
    /// `None`: no gateway is running.
    traffic: Option<Traffic>,
    campaigns: Vec<Campaign>,
    people: People,
}

/// The same in JSON.
#[derive(Serialize)]
struct Seen<'a> {
    at: Timestamp,
    running: bool,
    last_minute: Option<&'a Traffic>,
    campaigns: Vec<Entry<'a>>,
}

impl Watch {
    pub fn run(&self, path: &Path, output: &mut Output) -> anyhow::Result<()> {
        let config = open::config(path)?;
        let look = || View::look(path, &config);
        if self.json {
            let view = look()?;
            return output.json(&view.seen());
        }
        if self.once {
            return output.text(&(look()?.lines(output).join("\n") + "\n"));
        }
        if !stdin().is_terminal() || !stdout().is_terminal() {
            loop {
                output.line(look()?.line())?;
                output.flush()?;
                std::thread::sleep(LOOK);
            }
        }
        let mut screen = Screen::open()?;
        loop {
            // What goes wrong for a while, as at a restart, is shown and does not end the look.
            let lines = match look() {
                Ok(view) => view.lines(output),
                Err(error) => vec![format!("{BAD}{error:#}{BAD:#}")],
            };
            screen.show(&lines)?;
            if screen.key(LOOK) == Some(Key::Quit) {
                return Ok(());
            }
        }
    }
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
                Ok((office.campaigns.living().await?, people))
            })?
        };
        Ok(match asked {
            Some(Activity { at, traffic, campaigns }) => Self {
                at,
                traffic: Some(traffic),
                campaigns,
                people,
            },
            None => Self {
                at: world().now(),
                traffic: None,
                campaigns: stored,
                people,
            },
        })
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            at: self.at,
            running: self.traffic.is_some(),
            last_minute: self.traffic.as_ref(),
            campaigns: self.campaigns.iter().map(|one| Entry::of(one, &self.people)).collect(),
        }
    }

    /// Everything, as a screen has it.
    fn lines(&self, output: &Output) -> Vec<String> {
        let mut lines = vec![format!(
            "{STRONG}sekisho limits watch{STRONG:#}  {}  {FAINT}q ends it{FAINT:#}",
            output.second(self.at)
        )];
        lines.push(String::new());
        match &self.traffic {
            None => lines.push(format!(
                "{CARE}No gateway is running on this store: these are the attacks as they were stored.{CARE:#}"
            )),
            Some(traffic) => lines.extend(traffic_lines(traffic)),
        }
        lines.push(String::new());
        lines.extend(self.campaign_lines(output));
        if let Some(traffic) = &self.traffic {
            lines.extend(top(traffic));
        }
        lines
    }

    fn campaign_lines(&self, output: &Output) -> Vec<String> {
        if self.campaigns.is_empty() {
            return vec![format!("{GOOD}No attack is under way.{GOOD:#}")];
        }
        let mut lines = vec![format!(
            "{STRONG}Attacks under way ({}){STRONG:#}",
            self.campaigns.len()
        )];
        let mut newest = self.campaigns.clone();
        newest.sort_by_key(|campaign| std::cmp::Reverse((campaign.succeeded > 0, campaign.last_at)));
        lines.extend(table(&newest, output).fitted().lines().map(ToOwned::to_owned));
        for (campaign, success) in newest
            .iter()
            .flat_map(|one| one.successes.iter().map(move |it| (one, it)))
        {
            let whom = self.people.find(success.person).map_or_else(
                || "a removed account".to_owned(),
                |account| format!("{} {}", account.extension, plain(&account.name)),
            );
            lines.push(format!(
                "{BAD}{} got into {whom}{BAD:#} at {}, from {}",
                campaign.id,
                output.second(success.at),
                success.client
            ));
        }
        lines
    }

    /// One line, for a log.
    fn line(&self) -> String {
        let mut words = vec![self.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()];
        if let Some(traffic) = &self.traffic {
            let Traffic {
                attempts,
                failed,
                stopped,
                ..
            } = traffic;
            words.push(format!("attempts/s={}", now(traffic)));
            words.push(format!("last_minute={attempts} failed={failed} stopped={stopped}"));
        } else {
            words.push("no gateway is running".to_owned());
        }
        words.push(format!("campaigns={}", self.campaigns.len()));
        words.extend(self.campaigns.iter().map(|campaign| {
            let Campaign {
                id,
                kind,
                attempts,
                succeeded,
                ..
            } = campaign;
            format!("{id}:{kind}:{attempts}:{succeeded}")
        }));
        words.join(" ")
    }
}

/// The busiest rules and addresses.
fn top(traffic: &Traffic) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |title: &str, rows: Vec<(String, u64)>| {
        if rows.is_empty() {
            return;
        }
        lines.push(String::new());
        lines.push(format!("{STRONG}{title}{STRONG:#}"));
        let mut table = Table::of_facts();
        for (name, count) in rows {
            table.row([Styled::from(name), count.to_string().into()]);
        }
        lines.extend(table.fitted().lines().map(ToOwned::to_owned));
    };
    add("Stopped in the last minute, by rule", traffic.rules.clone());
    let sources = traffic
        .sources
        .iter()
        .map(|(address, count)| (address.to_string(), *count));
    add("Failed and stopped in the last minute, by address", sources.collect());
    lines
}

/// The attempts of the last whole second.
fn now(traffic: &Traffic) -> u64 {
    traffic.seconds.iter().rev().nth(1).copied().unwrap_or_default()
}

fn traffic_lines(traffic: &Traffic) -> Vec<String> {
    let Traffic {
        attempts,
        failed,
        succeeded,
        stopped,
        ..
    } = traffic;
    vec![
        format!(
            "{STRONG}{} attempts a second{STRONG:#}  {}",
            now(traffic),
            bars(&traffic.seconds)
        ),
        format!("Last minute: {attempts} attempts; {succeeded} succeeded, {failed} failed, {stopped} were stopped"),
    ]
}

/// A minute as a row of bars.
fn bars(seconds: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = seconds.iter().copied().max().unwrap_or_default().max(1);
    let bar = |count: &u64| {
        let height = usize::try_from(count * 7 / most).unwrap_or_default();
        BARS.get(height).copied().unwrap_or('█')
    };
    seconds.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::output::tests::Sheet;
    use super::*;

    fn view(running: bool) -> View {
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        View {
            at,
            traffic: running.then(|| Traffic {
                attempts: 90,
                failed: 70,
                succeeded: 5,
                stopped: 15,
                seconds: (0..60).map(|second| second % 9).collect(),
                rules: vec![("sign-in.client".to_owned(), 15)],
                sources: vec![("203.0.113.7".parse().unwrap(), 60)],
            }),
            campaigns: vec![Campaign::sample(true, at)],
            people: People::of([]),
        }
    }

    fn text(view: &View) -> String {
        let sheet = Sheet::default();
        let lines = view.lines(&sheet.output());
        sheet.output().text(&lines.join("\n")).unwrap();
        sheet.text()
    }

    #[test]
    fn one_look_tells_what_is_tried_what_is_stopped_and_which_attacks_are_under_way() {
        let text = text(&view(true));
        for words in [
            "4 attempts a second",
            "90 attempts",
            "sign-in.client",
            "203.0.113.7",
            "Attacks under way (1)",
            "spraying",
            "got into a removed account",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let json = serde_json::to_value(view(true).seen()).unwrap();
        assert_eq!(
            (&json["running"], &json["last_minute"]["stopped"]),
            (&true.into(), &15.into())
        );
        assert_eq!(json["campaigns"][0]["succeeded"], 1);
    }

    #[test]
    fn without_a_gateway_the_stored_attacks_are_shown_and_it_is_said() {
        let view = view(false);
        assert!(text(&view).contains("No gateway is running"));
        assert!(
            view.line().contains("no gateway is running campaigns=1"),
            "{}",
            view.line()
        );
        assert_eq!(
            serde_json::to_value(view.seen()).unwrap()["last_minute"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn a_minute_is_drawn_by_its_highest_second() {
        assert_eq!(bars(&[0, 1, 7, 14]), "▁▁▄█");
        assert_eq!(bars(&[0, 0]), "▁▁");
    }
}
