//! What a command says: lines, tables and JSON on standard output, one clear line for an error.
//!
//! Everything passes [`plain`] on its way to a terminal, since names of browsers and words of mail servers
//! come from strangers.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::table::Table;

/// Something that is well, and something just done.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something to look at.
pub const CARE: Style = AnsiColor::Yellow.on_default();
/// Something wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What may be skipped.
pub const FAINT: Style = Style::new().dimmed();
/// What is to be seen first.
pub const STRONG: Style = Style::new().bold();
/// Something to open or to type.
pub const ACTION: Style = AnsiColor::Cyan.on_default();

/// Where a command writes its result.
pub struct Output {
    out: Box<dyn Write>,
    /// Tables are fitted to a terminal; a file or a pipe gets one line a row.
    fit: bool,
    zone: TimeZone,
}

/// The reader has gone, as `| head` does when it has enough. No fault of anybody.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct ReaderGone;

impl Output {
    /// Standard output: in colour where that is a terminal, with times in the local zone.
    pub fn standard() -> Self {
        Self {
            fit: io::stdout().is_terminal(),
            out: Box::new(anstream::stdout()),
            zone: TimeZone::system(),
        }
    }

    /// One line.
    pub fn line(&mut self, text: impl Display) -> anyhow::Result<()> {
        let written = writeln!(self.out, "{text}");
        arrived(written)
    }

    /// Text as it is, which ends its own lines.
    pub fn text(&mut self, text: &str) -> anyhow::Result<()> {
        let written = self.out.write_all(text.as_bytes());
        arrived(written)
    }

    /// A table, fitted to the terminal where there is one.
    pub fn table(&mut self, table: &Table) -> anyhow::Result<()> {
        if self.fit {
            return self.line(table.fitted());
        }
        if table.is_shortened() {
            aside("Long names are shortened; they are whole with --json.");
        }
        self.line(table.lines())
    }

    /// A value for programs.
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(text)
    }

    /// Hands everything on.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        let written = self.out.flush();
        arrived(written)
    }

    /// A moment as the clock on this machine's wall shows it.
    pub fn time(&self, at: Timestamp) -> String {
        self.local(at, "%Y-%m-%d %H:%M")
    }

    /// The same to the second, where the order of things matters.
    pub fn second(&self, at: Timestamp) -> String {
        self.local(at, "%Y-%m-%d %H:%M:%S")
    }

    /// A moment as the clock shows it, with its day where that is not today's.
    pub fn clock(&self, at: Timestamp, now: Timestamp) -> String {
        let day = |moment| self.local(moment, "%Y-%m-%d");
        if day(at) == day(now) {
            self.local(at, "%H:%M:%S")
        } else {
            self.time(at)
        }
    }

    fn local(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }
}

fn arrived(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(anyhow::Error::new(error).context("could not write the output")),
        Ok(()) => Ok(()),
    }
}

/// A number, and the words for one thing or for several.
pub fn counted(count: impl Display, one: &str, several: &str) -> String {
    let count = count.to_string();
    let words = if count == "1" { one } else { several };
    format!("{count} {words}")
}

/// Says something on standard error, beside the result: a hint, a question, progress.
pub fn aside(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Says what went wrong, each thing in one line.
pub fn complain(error: &anyhow::Error) {
    for line in lines(error) {
        aside(format_args!("{BAD}sekisho:{BAD:#} {line}"));
    }
}

fn lines(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<Several>() {
        Some(Several(lines)) => lines.iter().map(|line| plain(line).into_owned()).collect(),
        None => vec![one_line(error)],
    }
}

/// Several things that are wrong, each worth a line of its own.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Several(pub Vec<String>);

impl Several {
    /// From whatever describes itself.
    pub fn of<T: Display>(problems: &[T]) -> Self {
        Self(problems.iter().map(ToString::to_string).collect())
    }
}

/// An error and its causes in one line. Some libraries repeat their cause in their own words: it is said once.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        if line.is_empty() {
            line = words;
        } else if !line.contains(&words) {
            line = format!("{line}: {words}");
        }
    }
    plain(&line).into_owned()
}

/// The text with everything visible that could move the cursor, colour the terminal or turn the reading direction.
pub fn plain(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if acts(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
pub mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::domain::fault::Fault;

    /// What a command under test has written.
    #[derive(Clone, Default)]
    pub struct Sheet(Arc<Mutex<Vec<u8>>>);

    impl Sheet {
        /// An output that writes here, in plain text, with times in UTC.
        pub fn output(&self) -> Output {
            Output {
                out: Box::new(anstream::StripStream::new(Box::new(self.clone()) as Box<dyn Write>)),
                fit: false,
                zone: TimeZone::UTC,
            }
        }

        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Sheet {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_told_apart_from_a_full_disk() {
        let mut output = Output {
            out: Box::new(Gone),
            fit: false,
            zone: TimeZone::UTC,
        };
        assert!(output.line("x").unwrap_err().is::<ReaderGone>());
        assert!(
            !arrived(Err(io::ErrorKind::StorageFull.into()))
                .unwrap_err()
                .is::<ReaderGone>()
        );
    }

    #[test]
    fn an_error_is_one_line_with_all_its_causes_each_said_once() {
        let cause = io::Error::other("disk\nfull");
        let error = anyhow::Error::from(Fault::unavailable("could not store 101", cause)).context("account add");
        assert_eq!(one_line(&error), "account add: could not store 101: disk full");

        let repeated = anyhow::Error::from(io::Error::other("no route")).context("could not connect: no route");
        assert_eq!(one_line(&repeated), "could not connect: no route");
    }

    #[test]
    fn several_problems_are_several_lines() {
        let error = anyhow::Error::from(Several::of(&["one", "two\u{1b}[2J"]));
        assert_eq!(lines(&error), ["one", "two\\u{1b}[2J"]);
    }

    #[test]
    fn nothing_a_stranger_wrote_acts_on_the_terminal() {
        assert_eq!(plain("田中 ゆき"), "田中 ゆき");
        assert_eq!(
            plain("a\u{1b}[31mb\rc\u{202e}d\u{9b}"),
            "a\\u{1b}[31mb c\\u{202e}d\\u{9b}"
        );
    }

    #[test]
    fn a_time_is_shown_in_the_zone_of_the_machine() {
        let at: Timestamp = "2026-03-04T23:05:06.789Z".parse().unwrap();
        let mut output = Sheet::default().output();
        assert_eq!(output.second(at), "2026-03-04 23:05:06");
        output.zone = TimeZone::fixed(jiff::tz::offset(9));
        assert_eq!(output.time(at), "2026-03-05 08:05");
        let later = |hours| at + jiff::SignedDuration::from_hours(hours);
        assert_eq!(output.clock(at, later(15)), "08:05:06");
        assert_eq!(output.clock(at, later(16)), "2026-03-05 08:05");
    }
}
