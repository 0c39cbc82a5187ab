//! The report: one HTML file with plots, for people who decide about a policy. It asks no network for anything, runs no
//! script, and says so to the browser.

mod plot;
mod words;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::app::world;
use crate::domain::language::Language;
use crate::domain::limits::replay::{Counted, Replayed};
use crate::domain::limits::tradeoff::Standing;

use super::replay::{Outcome, Side};
use super::sweep::Swept;
use plot::grouped;
use words::Words;

const STYLE: &str = include_str!("style.css");

/// Writes the page for its owner alone: it names client addresses.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, html: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let failed = || format!("{} cannot be written", file.display());
    let mut opened = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .with_context(failed)?;
    opened.write_all(html.as_bytes()).with_context(failed)
}

/// What a page is made with.
struct Press {
    words: &'static Words,
    language: Language,
    zone: TimeZone,
    now: Timestamp,
}

/// The page about a replay.
pub fn of_replay(outcome: &Outcome, language: Language) -> String {
    Press::new(language).replay(outcome)
}

/// The page about a sweep.
pub fn of_sweep(swept: &Swept, language: Language) -> String {
    Press::new(language).sweep(swept)
}

impl Press {
    fn new(language: Language) -> Self {
        Self {
            words: Words::of(language),
            language,
            zone: TimeZone::system(),
            now: world().now(),
        }
    }

    fn replay(&self, outcome: &Outcome) -> String {
        let words = self.words;
        let Some((first, last)) = outcome.active.replayed.span else {
            return self.page(words.replay, words.nothing, "");
        };
        let attempts = grouped(outcome.active.replayed.attempts);
        let lead = (words.span)(&attempts, &self.time(first), &self.time(last));
        let mut body = String::new();
        self.side_by_side(&mut body, outcome);
        self.over_time(&mut body, outcome);
        self.by_rule(&mut body, outcome);
        let judged = outcome.tried.as_ref().unwrap_or(&outcome.active);
        if !judged.replayed.addresses.is_empty() {
            body += "<div class=\"pair\">";
            let (title, head) = ((words.addresses)(&judged.name), words.address);
            self.counted(&mut body, &title, head, &judged.replayed.addresses);
            let (title, head) = ((words.networks)(&judged.name), words.network);
            self.counted(&mut body, &title, head, &judged.replayed.subnets);
            body += "</div>";
        }
        self.how_to_read(&mut body, outcome);
        self.page(words.replay, &lead, &body)
    }

    fn side_by_side(&self, body: &mut String, outcome: &Outcome) {
        let words = self.words;
        let mut columns: Vec<(&str, &Replayed)> = Vec::new();
        columns.extend(outcome.recorded.as_ref().map(|told| (words.as_it_was, told)));
        columns.extend(outcome.on_trial.as_ref().map(|told| (words.trial_as_it_was, told)));
        let sides = [Some(&outcome.active), outcome.tried.as_ref()];
        columns.extend(
            sides
                .into_iter()
                .flatten()
                .map(|side| (side.name.as_str(), &side.replayed)),
        );
        let head = std::iter::once("<td></td>".to_owned()).chain(
            columns
                .iter()
                .map(|(name, _)| format!("<th class=\"n\" scope=\"col\">{}</th>", escaped(name))),
        );
        let mut rows = String::new();
        let mut row = |name: &str, cell: &dyn Fn(&Replayed) -> String| {
            let cells: String = columns.iter().map(|(_, told)| cell(told)).collect();
            let _infallible = write!(rows, "<tr><th scope=\"row\">{}</th>{cells}</tr>", escaped(name));
        };
        let number = |count: u64| format!("<td class=\"n\">{}</td>", grouped(count));
        row(words.attempts, &|told| number(told.attempts));
        row(words.refused, &|told| number(told.refused));
        row(words.slowed, &|told| number(told.slowed));
        row(words.noted, &|told| number(told.noted));
        row(words.people, &|told| number(told.people.seen));
        row(words.stopped, &|told| {
            let class = if told.people.stopped > 0 { "bad" } else { "good" };
            format!("<td class=\"n {class}\">{}</td>", grouped(told.people.stopped))
        });
        row(words.waited, &|told| number(told.people.slowed));
        row(words.guesses, &|told| number(told.guesses.total));
        row(words.guesses_most, &|told| number(told.guesses.most));
        row(words.guesses_median, &|told| number(told.guesses.median));
        row(words.worst, &|told| {
            let worst = told.worst.map_or_else(
                || "–".to_owned(),
                |worst| (words.worst_at)(&grouped(worst.refused), &self.time(worst.at)),
            );
            format!("<td class=\"n\">{}</td>", escaped(&worst))
        });
        let (title, head) = (words.side_by_side, head.collect::<String>());
        let _infallible = write!(
            body,
            "<section><h2>{title}</h2><div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
        );
    }

    fn over_time(&self, body: &mut String, outcome: &Outcome) {
        let words = self.words;
        let all = &outcome.active.replayed.series;
        let sides = sides(outcome);
        let lines: Vec<_> = sides.iter().map(|side| &side.replayed.series).collect();
        let svg = plot::over_time(words.over_time, all, &lines, |index| {
            self.short(all.begins(index), all.step)
        });
        let legend = (words.over_time_legend)(
            &outcome.active.name,
            outcome.tried.as_ref().map(|side| side.name.as_str()),
        );
        figure(body, words.over_time, &svg, &legend);
    }

    fn by_rule(&self, body: &mut String, outcome: &Outcome) {
        let words = self.words;
        let sides = sides(outcome);
        let mut names: Vec<_> = sides.iter().flat_map(|side| side.replayed.rules.keys()).collect();
        names.sort();
        names.dedup();
        let refused = |side: &Side, name| side.replayed.rules.get(name).map_or(0, |figures| figures.refused);
        let rows: Vec<(String, Vec<u64>)> = names
            .into_iter()
            .map(|name| (name.to_string(), sides.iter().map(|side| refused(side, name)).collect()))
            .filter(|(_, values): &(String, Vec<u64>)| values.iter().any(|value| *value > 0))
            .collect();
        if rows.is_empty() {
            return;
        }
        let legend = (words.by_rule_legend)(
            &outcome.active.name,
            outcome.tried.as_ref().map(|side| side.name.as_str()),
        );
        figure(body, words.by_rule, &plot::bars(words.by_rule, &rows), &legend);
    }

    fn counted(&self, body: &mut String, title: &str, head: &str, counted: &[Counted]) {
        let rows: Vec<_> = counted
            .iter()
            .map(|one| {
                format!(
                    "<tr><td>{}</td><td class=\"n\">{}</td></tr>",
                    one.address,
                    grouped(one.refused)
                )
            })
            .collect();
        let rows = rows.concat();
        let (title, head, refused) = (escaped(title), escaped(head), self.words.refused);
        let _infallible = write!(
            body,
            "<section><h2>{title}</h2><table><thead><tr><th scope=\"col\">{head}</th><th class=\"n\" scope=\"col\">{refused}</th></tr></thead>\
             <tbody>{rows}</tbody></table></section>"
        );
    }

    fn how_to_read(&self, body: &mut String, outcome: &Outcome) {
        let words = self.words;
        let all = &outcome.active.replayed;
        let judged = outcome.tried.as_ref().unwrap_or(&outcome.active);
        let mut notes = vec![words.definition_people.to_owned(), words.definition_guesses.to_owned()];
        if all.people.seen == 0 {
            notes.push(words.nobody.to_owned());
        }
        if all.unknown > 0 {
            let (unknown, through) = (grouped(all.unknown), grouped(judged.replayed.unknown_granted));
            notes.push((words.unknown)(&unknown, &judged.name, &through));
        }
        if all.banned > 0 {
            notes.push((words.banned)(&grouped(all.banned)));
        }
        for order in &outcome.orders {
            let until = order
                .until
                .map_or_else(|| words.still.to_owned(), |until| self.time(until));
            let ordered = if order.understood {
                words.ordered
            } else {
                words.ordered_left_out
            };
            notes.push(ordered(&order.ordered, &self.time(order.from), &until, &order.author));
        }
        for side in sides(outcome) {
            let without = side.replayed.without.iter();
            notes.extend(without.map(|rule| (words.password)(rule.as_str(), &side.name)));
        }
        let notes: Vec<_> = notes.iter().map(|note| format!("<p>{}</p>", escaped(note))).collect();
        let notes = notes.concat();
        let _infallible = write!(
            body,
            "<section class=\"note\"><h2>{}</h2>{notes}</section>",
            words.how_to_read
        );
    }

    fn sweep(&self, swept: &Swept) -> String {
        let words = self.words;
        let lead = (words.rule_of)(swept.rule.as_str(), &swept.policy, &swept.current.to_string());
        let points: Vec<_> = swept.cells.iter().map(|cell| (cell.point, cell.standing)).collect();
        let axes = [words.guesses_possible, words.people_stopped];
        let mut body = String::new();
        figure(
            &mut body,
            words.tradeoff,
            &plot::tradeoff(words.tradeoff, axes, &points),
            &(words.tradeoff_legend)(swept.key),
        );
        let mut rows = String::new();
        for cell in swept.front() {
            let knee = if cell.standing == Standing::Knee {
                words.knee
            } else {
                ""
            };
            let class = if cell.point.stopped > 0 { "bad" } else { "good" };
            let _infallible = write!(
                rows,
                "<tr><th scope=\"row\">{}</th><td class=\"n {class}\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"good\">{knee}</td></tr>",
                cell.point.quota,
                grouped(cell.point.stopped),
                grouped(cell.point.guesses),
                grouped(cell.replayed.guesses.most),
                grouped(cell.replayed.refused),
            );
        }
        let heads = [
            words.people_stopped,
            words.guesses_possible,
            words.guesses_seen,
            words.refused,
        ];
        let heads = heads
            .map(|head| format!("<th class=\"n\" scope=\"col\">{}</th>", escaped(head)))
            .concat();
        let _infallible = write!(
            body,
            "<section><div class=\"scroll\"><table><thead><tr><th scope=\"col\">{}</th>{heads}<td></td></tr></thead><tbody>{rows}</tbody></table></div></section>",
            words.quota
        );
        let notes = [
            (swept.people == 0, words.nobody),
            (swept.cut, words.cut),
            (!swept.of_sign_ins, words.no_sign_ins),
        ];
        let notes = notes.into_iter().filter(|(holds, _)| *holds);
        let notes: Vec<_> = notes.map(|(_, note)| format!("<p>{}</p>", escaped(note))).collect();
        let notes = notes.concat();
        let (how, definition) = (words.how_to_read, escaped(words.definition_people));
        let _infallible = write!(
            body,
            "<section class=\"note\"><h2>{how}</h2><p>{definition}</p>{notes}</section>"
        );
        self.page(words.sweep, &lead, &body)
    }

    /// The style sheet is the only thing that the browser is allowed to take up, and that by its digest.
    fn page(&self, title: &str, lead: &str, body: &str) -> String {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        let (lang, title, lead) = (self.language.tag(), escaped(title), escaped(lead));
        let made = escaped(&(self.words.made)(&self.time(self.now)));
        format!(
            "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n<p class=\"lead\">{lead}<br>{made}</p>\n{body}\n</main>\n</body>\n</html>\n"
        )
    }

    fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// As much of a time as tells steps of this length apart.
    fn short(&self, at: Timestamp, step: i64) -> String {
        let format = if step >= 12 * 60 * 60 {
            "%Y-%m-%d"
        } else {
            "%m-%d %H:%M"
        };
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

fn sides(outcome: &Outcome) -> Vec<&Side> {
    [Some(&outcome.active), outcome.tried.as_ref()]
        .into_iter()
        .flatten()
        .collect()
}

fn figure(body: &mut String, title: &str, svg: &str, legend: &str) {
    let (title, legend) = (escaped(title), escaped(legend));
    let _infallible = write!(
        body,
        "<figure><h2>{title}</h2>{svg}<figcaption>{legend}</figcaption></figure>"
    );
}

/// A text as it may stand in HTML, in an attribute as well.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
