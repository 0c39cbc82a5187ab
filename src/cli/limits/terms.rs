//! What every order needs: for how long, why, and who gives it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::order::Words;
use crate::domain::session::later;
use crate::flows::OrderTerms;

use super::super::output::Output;

/// For how long.
#[derive(Args)]
#[group(id = "time", required = true, multiple = false)]
pub struct Time {
    /// For how long, such as 2h or 7d
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    span: Option<Duration>,
    /// Until when, such as 2027-01-31, "2027-01-31 18:00" or 2027-01-31T18:00:00Z; without Z in the zone of this machine
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    until: Option<Timestamp>,
    /// Until somebody ends it
    #[arg(long)]
    forever: bool,
}

/// Why and by whom.
#[derive(Args)]
pub struct Why {
    /// Why: whoever lists it wants to know
    #[arg(long, value_name = "TEXT", value_parser = Words::parse)]
    reason: Option<Words>,
    /// Who gives the order [default: whoever runs this command]
    #[arg(long, value_name = "NAME", value_parser = Words::parse)]
    author: Option<Words>,
}

/// A time that an order lasts.
pub fn span(text: &str) -> Result<Duration, &'static str> {
    // humantime takes a bare zero, which has no unit.
    humantime::parse_duration(text)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or("a time is a number and its unit, such as 30m, 2h or 7d")
}

/// A moment, on the clock of this machine unless it says its zone.
pub fn moment(text: &str) -> Result<Timestamp, &'static str> {
    const FORM: &str =
        "a moment is a day or a day and a time, such as 2027-01-31, \"2027-01-31 18:00\" or 2027-01-31T18:00:00Z";
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let local: DateTime = text.parse().map_err(|_| FORM)?;
    let zoned = local.to_zoned(TimeZone::system()).map_err(|_| FORM)?;
    Ok(zoned.timestamp())
}

/// When a time from now is over: on a whole second, which people can read, and never before it.
pub fn end(now: Timestamp, span: Duration) -> Timestamp {
    let end = later(now, span);
    let whole = |second: i64| Timestamp::from_second(second).unwrap_or(end);
    match end.subsec_nanosecond() {
        0 => end,
        _ => whole(end.as_second().saturating_add(1)),
    }
}

impl Time {
    /// Until when; `None` is for ever.
    ///
    /// # Errors
    /// When that is over already.
    pub fn until(&self, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
        let until = self.until.or_else(|| self.span.map(|span| end(now, span)));
        if let Some(until) = until.filter(|until| *until <= now) {
            anyhow::bail!("--until {until}: that is over already");
        }
        Ok(until)
    }
}

impl Why {
    /// The terms, with this time.
    pub fn terms(&self, until: Option<Timestamp>) -> OrderTerms {
        OrderTerms {
            reason: self.reason.clone(),
            author: self.author.clone().unwrap_or_else(whoever),
            until,
        }
    }
}

/// Who runs this command: the one who called sudo, else the user of the session, else a number.
fn whoever() -> Words {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let uid = || fs::metadata("/proc/self").map_or_else(|_| "unknown".to_owned(), |me| format!("uid {}", me.uid()));
    let words = named.and_then(|name| Words::parse(&name).ok());
    words.unwrap_or_else(|| Words::parse(&uid()).unwrap_or_else(|_| unreachable!("it is short and in one line")))
}

/// Until when, and how long that is, in words.
pub fn until_words(until: Option<Timestamp>, now: Timestamp, output: &Output) -> String {
    match until {
        None => "until somebody ends it".to_owned(),
        Some(until) => format!("until {} ({} left)", output.time(until), left(until, now)),
    }
}

/// How long it is until then, in the two largest units.
pub fn left(until: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(until.duration_since(now).as_secs()).unwrap_or(0);
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in units {
        let count = rest / size;
        rest %= size;
        if count > 0 || (!parts.is_empty() && parts.len() < 2) {
            parts.push(format!("{count}{unit}"));
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::tests::at;

    #[test]
    fn what_is_left_is_said_in_two_units() {
        for (seconds, words) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (7199, "1h 59m"),
            (86_400, "1d 0h"),
            (90_061, "1d 1h"),
        ] {
            assert_eq!(left(at(seconds), at(0)), words);
        }
        assert_eq!(left(at(0), at(10)), "0s");
    }

    #[test]
    fn a_moment_is_a_day_or_a_time_in_a_zone() {
        assert_eq!(
            moment("2027-01-31T18:00:00Z").unwrap().to_string(),
            "2027-01-31T18:00:00Z"
        );
        assert_eq!(
            moment("2027-01-31T18:00:00+09:00").unwrap().to_string(),
            "2027-01-31T09:00:00Z"
        );
        for local in ["2027-01-31", "2027-01-31 18:00", "2027-01-31T18:00:30"] {
            assert!(moment(local).is_ok(), "{local}");
        }
        for bad in ["", "tomorrow", "2027-02-31", "18:00"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_is_given_for_a_time_until_one_or_for_ever() {
        let time = |span, until, forever| Time { span, until, forever };
        assert_eq!(
            time(Some(Duration::from_secs(5)), None, false).until(at(1)).unwrap(),
            Some(at(6))
        );
        assert_eq!(time(None, Some(at(9)), false).until(at(1)).unwrap(), Some(at(9)));
        assert_eq!(time(None, None, true).until(at(1)).unwrap(), None);
        assert!(time(None, Some(at(1)), false).until(at(1)).is_err());
        assert!(span("0").is_err() && span("2").is_err() && span("2h").is_ok());
    }

    #[test]
    fn an_end_is_a_whole_second_and_never_early() {
        let now = at(1) + jiff::SignedDuration::from_millis(20);
        assert_eq!(end(now, Duration::from_secs(5)), at(7));
        assert_eq!(end(at(1), Duration::from_secs(5)), at(6));
        assert!(end(now, Duration::MAX) > now);
    }

    #[test]
    fn somebody_gives_every_order() {
        assert!(!whoever().as_str().is_empty());
    }
}
