//! [`View`]: what there is to see of what is being tried, as text of a given width, as a line and as JSON.

use std::net::IpAddr;
use std::path::PathBuf;

use anstyle::Style;
use jiff::Timestamp;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::domain::campaigns::{Campaign, Success, Traffic};

use super::super::super::event::People;
use super::super::super::output::{BAD, CARE, FAINT, GOOD, Output, STRONG, counted, plain};
use super::super::super::table::{Styled, Table};
use super::super::campaigns::{Entry, from, weight};

/// What there is to see.
pub struct View {
    pub at: Timestamp,
    /// The directory of the store, by which the gateway is found.
    pub store: PathBuf,
    /// `None`: no gateway is running.
    pub traffic: Option<Traffic>,
    pub campaigns: Vec<Campaign>,
    pub people: People,
}

/// The same in JSON.
#[derive(Serialize)]
pub struct Seen<'a> {
    at: Timestamp,
    running: bool,
    last_minute: Option<&'a Traffic>,
    campaigns: Vec<Entry<'a>>,
}

/// How much room there is.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Columns.
    pub width: usize,
    /// Lines; `None` is as many as it takes.
    pub height: Option<usize>,
}

impl Room {
    /// Where no terminal is there to measure.
    pub const PAPER: Self = Self {
        width: 100,
        height: None,
    };

    /// So many attacks are shown, that what else there is to see is seen as well.
    fn attacks(self) -> usize {
        self.height.map_or(usize::MAX, |height| (height / 3).max(2))
    }
}

/// The sign-ins of attacks that are shouted at once.
const SHOUTED: usize = 4;

/// From this width on, what belongs together stands side by side.
const WIDE: usize = 110;
/// From this width on, an attack has every column.
const WHOLE: usize = 92;
/// Below this width it has those alone that press most.
const NARROW: usize = 70;

/// The longest bar of a rank.
const LONGEST_BAR: usize = 24;

impl View {
    pub fn seen(&self) -> Seen<'_> {
        Seen {
            at: self.at,
            running: self.traffic.is_some(),
            last_minute: self.traffic.as_ref(),
            campaigns: self.campaigns.iter().map(|one| Entry::of(one, &self.people)).collect(),
        }
    }

    /// Everything, the most pressing first.
    pub fn lines(&self, room: Room, output: &Output) -> Vec<String> {
        let mut lines = vec![
            format!("{STRONG}sekisho limits watch{STRONG:#}  {}", output.second(self.at)),
            String::new(),
        ];
        let shouted = self.shouted(output);
        if !shouted.is_empty() {
            lines.extend(shouted);
            lines.push(String::new());
        }
        match &self.traffic {
            None => lines.push(format!(
                "{CARE}No gateway is running on the store in {}:{CARE:#} these are the attacks as they were stored.",
                plain(&self.store.display().to_string())
            )),
            Some(traffic) => lines.extend(told(traffic, room)),
        }
        lines.push(String::new());
        lines.extend(self.attacks(room, output));
        if let Some(traffic) = &self.traffic {
            let left = room
                .height
                .map_or(usize::MAX, |height| height.saturating_sub(lines.len()));
            lines.extend(ranks(traffic, room.width, left));
        }
        lines
    }

    /// Who was got into, the newest first.
    fn shouted(&self, output: &Output) -> Vec<String> {
        let mut all: Vec<(&Campaign, &Success)> = self
            .campaigns
            .iter()
            .flat_map(|campaign| campaign.successes.iter().map(move |success| (campaign, success)))
            .collect();
        all.sort_by_key(|(_, success)| std::cmp::Reverse(success.at));
        let mut lines: Vec<_> = all
            .iter()
            .take(SHOUTED)
            .map(|(campaign, success)| {
                let whom = self.people.find(success.person).map_or_else(
                    || "a removed account".to_owned(),
                    |account| format!("{} {}", account.extension, plain(&account.name)),
                );
                format!(
                    "{BAD}{} {} got into {whom}{BAD:#} at {}, from {}",
                    campaign.kind.as_str(),
                    campaign.id,
                    output.clock(success.at, self.at),
                    success.client
                )
            })
            .collect();
        if all.len() > SHOUTED {
            lines.push(format!(
                "{BAD}and {} more:{BAD:#} sekisho limits campaigns show ID",
                all.len() - SHOUTED
            ));
        }
        lines
    }

    fn attacks(&self, room: Room, output: &Output) -> Vec<String> {
        let count = self.campaigns.len();
        if count == 0 {
            return vec![format!("{GOOD}No attack is under way.{GOOD:#}")];
        }
        let mut newest: Vec<_> = self.campaigns.iter().collect();
        newest.sort_by_key(|campaign| std::cmp::Reverse((campaign.succeeded > 0, campaign.last_at)));
        // With the width that a screen has at least to show the column.
        let head = [
            ("Id", 0),
            ("Kind", 0),
            ("Since", WHOLE),
            ("Last", 0),
            ("Attempts", 0),
            ("Names", NARROW),
            ("From", NARROW),
            ("Got in", 0),
        ];
        let shown = |least: usize| room.width >= least;
        let columns = head.iter().filter(|(_, least)| shown(*least)).map(|(name, _)| *name);
        let mut table = Table::new(columns).unbroken(&[0, 1, 2, 3]);
        for campaign in newest.iter().take(room.attacks()) {
            let got_in = match campaign.succeeded {
                0 => Styled::faint("–"),
                count => Styled::new(&count.to_string(), BAD),
            };
            let row = [
                campaign.id.to_string().into(),
                Styled::new(campaign.kind.as_str(), weight(campaign)),
                output.clock(campaign.began_at, self.at).into(),
                ago(campaign.last_at, self.at).into(),
                campaign.attempts.to_string().into(),
                campaign.accounts.count().to_string().into(),
                from(campaign).into(),
                got_in,
            ];
            let cells = row.into_iter().zip(head).filter(|(_, (_, least))| shown(*least));
            table.row(cells.map(|(cell, _)| cell));
        }
        let mut lines = vec![format!("{STRONG}Attacks under way ({count}){STRONG:#}")];
        lines.extend(table.fitted().lines().map(ToOwned::to_owned));
        let more = count.saturating_sub(room.attacks());
        if more > 0 {
            lines.push(format!("{FAINT}and {more} more: sekisho limits campaigns{FAINT:#}"));
        }
        lines
    }

    /// One line, for a log.
    pub fn line(&self) -> String {
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

/// How long ago that was, in its largest unit: what changes each second must not move what stands beside it.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        _ => format!("{}h ago", seconds / 3600),
    }
}

/// The attempts of the last whole second.
fn now(traffic: &Traffic) -> u64 {
    traffic.seconds.iter().rev().nth(1).copied().unwrap_or_default()
}

fn told(traffic: &Traffic, room: Room) -> Vec<String> {
    let Traffic {
        attempts,
        failed,
        succeeded,
        stopped,
        ..
    } = traffic;
    // Where there is no room for a whole minute it is the oldest that is left out.
    let first = traffic.seconds.len().saturating_sub(room.width);
    vec![
        bars(&traffic.seconds[first..]),
        format!(
            "{STRONG}{} a second{STRONG:#}, {attempts} in the last minute:",
            counted(now(traffic), "attempt", "attempts")
        ),
        format!("{succeeded} succeeded, {failed} failed, {stopped} were stopped"),
    ]
}

/// Seconds as a row of bars.
fn bars(seconds: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = seconds.iter().copied().max().unwrap_or_default().max(1);
    let bar = |count: &u64| {
        let height = usize::try_from(count * 7 / most).unwrap_or_default();
        BARS.get(height).copied().unwrap_or('█')
    };
    seconds.iter().map(bar).collect()
}

/// The busiest rules and addresses, in so many lines at most.
fn ranks(traffic: &Traffic, width: usize, height: usize) -> Vec<String> {
    const RULES: &str = "Stopped in the last minute, by rule";
    const SOURCES: &str = "Failed and stopped in the last minute, by address";
    let is_wide = width >= WIDE;
    let width = if is_wide { width / 2 - 2 } else { width };
    let rules = rank(RULES, &traffic.rules, CARE, width);
    let sources = rank(SOURCES, &named(&traffic.sources), BAD, width);
    let mut lines = Vec::new();
    let blocks = if is_wide && !rules.is_empty() {
        vec![beside(&rules, &sources, width + 4)]
    } else {
        // Where there is too little room for all of both, the first of each are seen, or of the rules alone.
        let half = (height / 2).max(height.saturating_sub(sources.len() + 1));
        let most = if half < 3 { height } else { half }.saturating_sub(1);
        vec![rules.into_iter().take(most).collect(), sources]
    };
    for block in blocks.into_iter().filter(|block| !block.is_empty()) {
        lines.push(String::new());
        lines.extend(block);
    }
    lines
}

/// Addresses as they are counted: of IPv6 a network each.
fn named(sources: &[(IpAddr, u64)]) -> Vec<(String, u64)> {
    let name = |(address, count): &(IpAddr, u64)| match address {
        IpAddr::V4(address) => (address.to_string(), *count),
        IpAddr::V6(address) => (format!("{address}/64"), *count),
    };
    sources.iter().map(name).collect()
}

/// Names with their numbers, and a bar for each.
fn rank(title: &str, rows: &[(String, u64)], style: Style, width: usize) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let names = widest(&mut rows.iter().map(|(name, _)| name.width()));
    let counts = widest(&mut rows.iter().map(|(_, count)| count.to_string().len()));
    let longest = width.saturating_sub(names + counts + 4).min(LONGEST_BAR);
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
    let mut lines = vec![format!("{STRONG}{title}{STRONG:#}")];
    for (name, count) in rows {
        let length = usize::try_from(count.saturating_mul(longest as u64).div_ceil(most)).unwrap_or_default();
        let pad = " ".repeat(names - name.width());
        let bar = "▇".repeat(length);
        lines.push(format!("{name}{pad}  {count:>counts$}  {style}{bar}{style:#}"));
    }
    lines
}

/// Two blocks side by side, the second from this column on.
fn beside(one: &[String], other: &[String], column: usize) -> Vec<String> {
    let line = |lines: &[String], row: usize| lines.get(row).cloned().unwrap_or_default();
    (0..one.len().max(other.len()))
        .map(|row| {
            let (one, other) = (line(one, row), line(other, row));
            if other.is_empty() {
                return one;
            }
            let shown = anstream::adapter::strip_str(&one).to_string().width();
            format!("{one}{}{other}", " ".repeat(column.saturating_sub(shown)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::super::account::tests::account;
    use super::super::super::super::output::tests::Sheet;
    use super::*;

    fn view(running: bool) -> View {
        let at = "2026-01-02T03:04:15Z".parse().unwrap();
        View {
            at,
            store: "/var/lib/sekisho".into(),
            traffic: running.then(|| Traffic {
                attempts: 90,
                failed: 70,
                succeeded: 5,
                stopped: 15,
                seconds: (0..60).map(|second| second % 9).collect(),
                rules: vec![("sign-in.client".to_owned(), 12), ("ban".to_owned(), 3)],
                sources: vec![("203.0.113.7".parse().unwrap(), 60), ("2001:db8::".parse().unwrap(), 1)],
            }),
            campaigns: vec![Campaign::sample(true, "2026-01-02T03:04:05Z".parse().unwrap())],
            people: People::of([]),
        }
    }

    fn text_in(view: &View, room: Room) -> String {
        let sheet = Sheet::default();
        let lines = view.lines(room, &sheet.output());
        sheet.output().text(&lines.join("\n")).unwrap();
        sheet.text()
    }

    fn text(view: &View) -> String {
        text_in(view, Room::PAPER)
    }

    #[test]
    fn one_look_tells_what_is_tried_what_is_stopped_and_which_attacks_are_under_way() {
        let text = text(&view(true));
        for words in [
            "4 attempts a second, 90 in the last minute:",
            "5 succeeded, 70 failed, 15 were stopped",
            "sign-in.client  12  ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇\n",
            "ban              3  ▇▇▇▇▇▇\n",
            "203.0.113.7    60",
            "2001:db8::/64   1",
            "10s ago",
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
    fn without_a_gateway_the_stored_attacks_are_shown_and_it_is_said_where_it_was_looked_for() {
        let view = view(false);
        assert!(text(&view).contains("No gateway is running on the store in /var/lib/sekisho"));
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
    fn whoever_was_got_into_comes_first_and_the_newest_of_them() {
        let mut view = view(true);
        let campaign = &mut view.campaigns[0];
        let mut yuki = account("101", "田中 ゆき");
        yuki.id = campaign.successes[0].person;
        let first = campaign.successes[0];
        campaign.successes = (0..6)
            .map(|second| Success {
                at: first.at + jiff::SignedDuration::from_secs(second),
                ..first
            })
            .collect();
        let id = campaign.id;
        view.people = People::of([yuki]);
        let text = text(&view);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[2].starts_with(&format!("spraying {id} got into 101 田中 ゆき at 03:0")),
            "{text}"
        );
        assert!(lines[2] > lines[3] && lines[5] > lines[6], "{text}");
        assert_eq!(lines[6], "and 2 more: sekisho limits campaigns show ID");
    }

    #[test]
    fn a_small_screen_shows_the_newest_seconds_and_some_of_every_kind() {
        let mut view = view(true);
        view.campaigns = std::iter::repeat_n(view.campaigns[0].clone(), 30).collect();
        for campaign in &mut view.campaigns {
            campaign.successes.clear();
        }
        let room = Room {
            width: 40,
            height: Some(24),
        };
        let text = text_in(&view, room);
        let drawn = text.lines().find(|line| line.contains('█')).unwrap();
        assert!(drawn.chars().count() == 40 && drawn.ends_with("█▁▁▂▃▄▅"), "{text}");
        assert!(text.contains("and 22 more: sekisho limits campaigns"), "{text}");
        let row = text.lines().position(|line| line.contains("by address")).unwrap();
        assert!(row < 23, "{text}");
        let head = text.lines().find(|line| line.starts_with("Id")).unwrap();
        assert_eq!(
            head.split_whitespace().collect::<Vec<_>>(),
            ["Id", "Kind", "Last", "Attempts", "Got", "in"]
        );
    }

    #[test]
    fn a_wide_screen_has_rules_and_addresses_side_by_side() {
        let room = Room {
            width: 120,
            height: None,
        };
        let text = text_in(&view(true), room);
        let both = text.lines().find(|line| line.contains("by rule")).unwrap();
        assert!(both.contains("by address"), "{text}");
        assert!(text.lines().all(|line| line.width() <= 120), "{text}");
    }

    #[test]
    fn a_minute_is_drawn_by_its_highest_second() {
        assert_eq!(bars(&[0, 1, 7, 14]), "▁▁▄█");
        assert_eq!(bars(&[0, 0]), "▁▁");
    }
}
