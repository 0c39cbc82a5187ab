//! The attempts that a policy is tried on: those of the store, or those of another system's log.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::app::world;
use crate::domain::limits::record::AttemptRecord;
use crate::domain::session::earlier;
use crate::flows::foreign_log::{self, ForeignLog, LogFormat, Mapping};
use crate::ports::Since;

use super::super::account::import::bar;
use super::super::open;
use super::super::output::{Several, aside};
use super::past::Past;

/// Which attempts.
#[derive(Args)]
pub struct TraceArgs {
    /// From then on: so long ago (30d), or since a day or moment (2026-01-31) [default: 30d, or all of --from]
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Until then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Read another system's log instead of the store; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// How that log is written
    #[arg(long, value_enum, default_value_t = Format::Csv, requires = "from")]
    format: Format,
    /// What its columns, words or statuses are called: time=ts, succeeded=200,302; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "from")]
    map: Vec<String>,
    /// Leave lines out that cannot be understood
    #[arg(long, requires = "from")]
    skip_refused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A head with time, client, account, outcome, and by choice endpoint and lane
    Csv,
    /// The combined format of nginx and Apache
    Nginx,
    /// Authelia's log, as text or JSON
    Authelia,
}

/// Attempts in the order of their times, to be gone through as often as one likes; what is kept meanwhile is not
/// among them.
pub struct Trace {
    /// The first moment that counts.
    pub since: Timestamp,
    until: Timestamp,
    source: Source,
    /// What was ordered meanwhile. Another system's log has no orders of ours.
    pub past: Past,
}

enum Source {
    /// That of this configuration, up to the attempt that was kept last when it was opened: a gateway goes on meanwhile.
    Store {
        config: PathBuf,
        newest: i64,
    },
    Log(ForeignLog),
}

/// Attempts of one read of the store.
const PAGE: usize = 10_000;

impl TraceArgs {
    /// Reads a log, or finds out what is wanted of the store.
    ///
    /// # Errors
    /// When a time cannot be understood, or a log has lines that cannot: each of them.
    pub fn open(&self, config: &Path) -> anyhow::Result<Trace> {
        let now = world().now();
        let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let (since, until) = (moment(&self.since)?, moment(&self.until)?);
        if since.is_some_and(|since| since >= until.unwrap_or(Timestamp::MAX)) {
            bail!("--since is not before --until");
        }
        let Some(file) = &self.from else {
            let since = since.unwrap_or_else(|| earlier(now, Duration::from_hours(30 * 24)));
            let until = until.unwrap_or(now);
            return Ok(Trace {
                since,
                until,
                past: Past::of(config, since, until)?,
                source: Source::Store {
                    config: config.to_owned(),
                    newest: open::office(config, async |office, _| Ok(office.attempts.newest().await?))?,
                },
            });
        };
        Ok(Trace {
            since: since.unwrap_or(Timestamp::MIN),
            until: until.unwrap_or(Timestamp::MAX),
            source: Source::Log(self.read(file)?),
            past: Past::default(),
        })
    }

    fn read(&self, file: &Path) -> anyhow::Result<ForeignLog> {
        let format = match self.format {
            Format::Csv => LogFormat::Csv,
            Format::Nginx => LogFormat::Nginx,
            Format::Authelia => LogFormat::Authelia,
        };
        let mapping = Mapping::parse(format, &self.map).context("--map")?;
        let shown = file.display();
        let unread = || format!("could not read {shown}");
        let (input, length): (Box<dyn Read>, u64) = if file == Path::new("-") {
            (Box::new(io::stdin()), 0)
        } else {
            let opened = File::open(file).with_context(unread)?;
            let length = opened.metadata().with_context(unread)?.len();
            (Box::new(opened), length)
        };
        let bar = bar(usize::try_from(length).unwrap_or(usize::MAX), "bytes");
        let log = foreign_log::read(BufReader::with_capacity(1 << 20, input), format, &mapping, |bytes| {
            bar.inc(bytes);
        });
        bar.finish_and_clear();
        let log = log.with_context(unread)?;
        let mut lines: Vec<_> = log
            .refusals
            .iter()
            .map(|refusal| format!("{shown}:{}: {}", refusal.line, refusal.why))
            .collect();
        let more = log.refused.saturating_sub(lines.len() as u64);
        if more > 0 {
            lines.push(format!("{shown}: {more} more lines cannot be understood"));
        }
        if log.refused > 0 && !self.skip_refused {
            lines.push(format!(
                "{shown}: nothing was tried; mend these lines or the mapping (--map), or leave them out with --skip-refused"
            ));
            return Err(Several(lines).into());
        }
        for line in &lines {
            aside(format_args!("left out: {line}"));
        }
        if log.records.is_empty() {
            let why = match self.format {
                Format::Nginx => "an attempt is a POST to /login, or to the page that --map path=/signin names",
                Format::Csv | Format::Authelia => "is it in the format of --format?",
            };
            bail!("{shown}: there is no attempt in its {} lines; {why}", log.lines);
        }
        if log.out_of_order > 0 {
            aside(format_args!(
                "{shown}: {} lines were not in the order of time and have been sorted",
                log.out_of_order
            ));
        }
        Ok(log)
    }
}

impl Trace {
    /// Whether these are attempts at this gateway, with verdicts of its own.
    pub const fn is_own(&self) -> bool {
        matches!(self.source, Source::Store { .. })
    }

    /// Hands on every attempt, and those of `before` ahead of the first, in the order of their times. `times` is how much
    /// work each of them is, as the bar shows it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn each(&self, before: Duration, mut take: impl FnMut(&[AttemptRecord])) -> anyhow::Result<()> {
        let from = earlier(self.since, before);
        match &self.source {
            Source::Log(log) => {
                let first = log.records.partition_point(|record| record.at < from);
                let end = log.records.partition_point(|record| record.at < self.until);
                let wanted = log.records.get(first..end).unwrap_or_default();
                let bar = bar(wanted.len(), "attempts");
                for page in wanted.chunks(PAGE) {
                    take(page);
                    bar.inc(page.len() as u64);
                }
                bar.finish_and_clear();
                Ok(())
            }
            Source::Store { config, newest } => open::office(config, async |office, _| {
                let total = office.attempts.count(from).await?;
                let bar = bar(usize::try_from(total).unwrap_or(usize::MAX), "attempts");
                let mut since = Since::Time(from);
                loop {
                    let page = office.attempts.page(since, *newest, PAGE).await?;
                    let end = page.records.partition_point(|record| record.at < self.until);
                    take(page.records.get(..end).unwrap_or_default());
                    advance(&bar, end);
                    match page.last {
                        Some(place) if end == PAGE => since = Since::Place(place),
                        _ => break,
                    }
                }
                bar.finish_and_clear();
                Ok(())
            }),
        }
    }
}

fn advance(bar: &ProgressBar, attempts: usize) {
    bar.inc(attempts as u64);
}

/// A moment as people write it.
fn moment(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(earlier(now, ago));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let day: Date = text
        .parse()
        .ok()
        .with_context(|| format!("{text:?} is no time: write 30d, 2026-01-31 or 2026-01-31T09:00:00+09:00"))?;
    Ok(day.to_zoned(TimeZone::system())?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::ClientAddr;
    use crate::domain::limits::attempt::{Endpoint, LaneKind};
    use crate::domain::limits::record::Verdict;

    fn keep(config: &Path, ago: &[u64]) {
        let records: Vec<_> = ago
            .iter()
            .map(|seconds| AttemptRecord {
                at: earlier(world().now(), Duration::from_secs(*seconds)),
                took: Duration::ZERO,
                endpoint: Endpoint::SignIn,
                client: ClientAddr::new([192, 0, 2, 7].into()),
                budgets: 1,
                account: None,
                person: None,
                lane: LaneKind::Strangers,
                device: None,
                outcome: None,
                active: Verdict::Granted,
                candidate: None,
            })
            .collect();
        open::office(config, async |office, _| Ok(office.attempts.add(&records).await?)).unwrap();
    }

    fn times(trace: &Trace) -> Vec<Timestamp> {
        let mut times = Vec::new();
        let read = trace.each(Duration::ZERO, |page| times.extend(page.iter().map(|record| record.at)));
        read.unwrap();
        times
    }

    #[test]
    fn a_trace_is_the_same_however_often_it_is_read_while_a_gateway_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("sekisho.toml");
        let store = home.path().join("store");
        let needed = "doors.in_office = \"https://phone.office.example.com\"\n\
                      doors.out_of_office = \"https://phone.example.com\"\n\
                      upstream.url = \"http://127.0.0.1:5000\"\n\
                      mail.from = \"no-reply@example.com\"\n\
                      mail.smtp_host = \"smtp.example.com\"\n";
        let text = format!("{needed}store.directory = \"{}\"\n", store.display());
        std::fs::write(&config, text).unwrap();
        keep(&config, &[500, 400, 300]);
        for until in [None, Some("2999-01-01".to_owned())] {
            let args = TraceArgs {
                since: None,
                until,
                from: None,
                format: Format::Csv,
                map: Vec::new(),
                skip_refused: false,
            };
            let trace = args.open(&config).unwrap();
            let once = times(&trace);
            // Some were made before and are only now written down, some are made now.
            keep(&config, &[600, 450, 0]);
            assert!(once.len() >= 3);
            assert_eq!(times(&trace), once);
        }
    }

    #[test]
    fn a_moment_is_so_long_ago_a_day_or_a_point_in_time() {
        let now: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
        assert_eq!(moment("1day", now).unwrap().to_string(), "2026-01-31T00:00:00Z");
        assert_eq!(moment("90m", now).unwrap().to_string(), "2026-01-31T22:30:00Z");
        assert_eq!(
            moment("2026-01-31T09:00:00+09:00", now).unwrap().to_string(),
            "2026-01-31T00:00:00Z"
        );
        assert!(moment("2026-01-31", now).is_ok());
        assert!(moment("yesterday", now).unwrap_err().to_string().contains("2026-01-31"));
    }
}
