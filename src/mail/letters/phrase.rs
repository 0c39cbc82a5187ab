//! How letters say durations, moments and names, and which ink stays readable on a colour.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::domain::browser::Browser;
use crate::domain::language::Language;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long something lasts: `72 hours`, `1 hour 30 minutes`, `72時間`. Whole days count as days from
/// four on, since nobody divides 168 hours in the head. Parts of a second are dropped.
pub(super) fn duration(language: Language, length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = if seconds >= 4 * DAY && seconds.is_multiple_of(DAY) {
        vec![(seconds / DAY, Unit::Day)]
    } else {
        vec![
            (seconds / HOUR, Unit::Hour),
            (seconds % HOUR / MINUTE, Unit::Minute),
            (seconds % MINUTE, Unit::Second),
        ]
    };
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| unit.say(language, count))
        .collect();
    match language {
        Language::En => said.join(" "),
        Language::Ja => said.concat(),
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    fn say(self, language: Language, count: u64) -> String {
        let (one, many, ja) = match self {
            Self::Day => ("day", "days", "日間"),
            Self::Hour => ("hour", "hours", "時間"),
            Self::Minute => ("minute", "minutes", "分"),
            Self::Second => ("second", "seconds", "秒"),
        };
        match language {
            Language::En => format!("{count} {}", if count == 1 { one } else { many }),
            Language::Ja => format!("{count}{ja}"),
        }
    }
}

/// A moment with its offset from UTC, so that it means one thing wherever it is read:
/// `Friday, 15 January 2027, 17:00 (UTC+09:00)`, `2027年1月15日（金）17:00（UTC+09:00）`.
pub(in crate::mail) fn moment(language: Language, at: Timestamp, zone: &TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    match language {
        Language::En => local.strftime("%A, %-d %B %Y, %H:%M (UTC%:z)").to_string(),
        Language::Ja => {
            let weekday = match local.weekday() {
                Weekday::Monday => '月',
                Weekday::Tuesday => '火',
                Weekday::Wednesday => '水',
                Weekday::Thursday => '木',
                Weekday::Friday => '金',
                Weekday::Saturday => '土',
                Weekday::Sunday => '日',
            };
            let date = local.strftime("%Y年%-m月%-d日");
            let time = local.strftime("%H:%M（UTC%:z）");
            format!("{date}（{weekday}）{time}")
        }
    }
}

/// A browser and its system: `Chrome on Windows`, `Chrome（Windows）`.
pub(super) fn device(language: Language, browser: Browser) -> String {
    match (language, browser.name, browser.system) {
        (Language::En, Some(name), Some(system)) => format!("{name} on {system}"),
        (Language::En, None, Some(system)) => format!("A browser on {system}"),
        (Language::Ja, Some(name), Some(system)) => format!("{name}（{system}）"),
        (Language::Ja, None, Some(system)) => format!("ブラウザー（{system}）"),
        (_, Some(name), None) => name.to_owned(),
        (Language::En, None, None) => "An unknown device".to_owned(),
        (Language::Ja, None, None) => "不明な端末".to_owned(),
    }
}

/// A name on one line. Line breaks in it could forge header or body lines; characters that turn the
/// writing direction around could make a link read as another.
pub(in crate::mail) fn one_line(text: &str) -> String {
    let visible: String = text
        .chars()
        .map(|c| {
            if c.is_control() || turns_lines_or_direction(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn turns_lines_or_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// White or near-black, whichever contrasts more with `#rrggbb` (WCAG 2.2 relative luminance).
pub(in crate::mail) fn ink_on(colour: &str) -> &'static str {
    let luminance = luminance(colour).unwrap_or(0.0);
    let with_white = 1.05 / (luminance + 0.05);
    let with_dark = (luminance + 0.05) / 0.05;
    if with_white >= with_dark { "#ffffff" } else { "#111111" }
}

fn luminance(colour: &str) -> Option<f64> {
    let digits = colour.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let channel = |at: usize| {
        let value = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
        let share = f64::from(value) / 255.0;
        Some(if share <= 0.04045 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        })
    };
    Some(0.2126 * channel(0)? + 0.7152 * channel(2)? + 0.0722 * channel(4)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(length: Duration) -> [String; 2] {
        Language::ALL.map(|language| duration(language, length))
    }

    #[test]
    fn a_duration_is_said_as_people_say_it() {
        assert_eq!(both(Duration::from_hours(72)), ["72 hours", "72時間"]);
        assert_eq!(both(Duration::from_mins(30)), ["30 minutes", "30分"]);
        assert_eq!(both(Duration::from_hours(1)), ["1 hour", "1時間"]);
        assert_eq!(both(Duration::from_mins(90)), ["1 hour 30 minutes", "1時間30分"]);
        assert_eq!(both(Duration::from_hours(7 * 24)), ["7 days", "7日間"]);
        assert_eq!(both(Duration::from_secs(5)), ["5 seconds", "5秒"]);
    }

    #[test]
    fn a_moment_names_its_offset() {
        let at: Timestamp = "2027-01-15T08:00:00Z".parse().unwrap();
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        assert_eq!(
            moment(Language::En, at, &tokyo),
            "Friday, 15 January 2027, 17:00 (UTC+09:00)"
        );
        assert_eq!(
            moment(Language::Ja, at, &tokyo),
            "2027年1月15日（金）17:00（UTC+09:00）"
        );
        assert_eq!(
            moment(Language::En, at, &TimeZone::UTC),
            "Friday, 15 January 2027, 08:00 (UTC+00:00)"
        );
    }

    #[test]
    fn a_device_is_called_as_people_call_it() {
        let firefox = Browser {
            name: Some("Firefox"),
            system: Some("Linux"),
        };
        let said = |browser| Language::ALL.map(|language| device(language, browser));
        assert_eq!(said(firefox), ["Firefox on Linux", "Firefox（Linux）"]);
        assert_eq!(said(Browser::default()), ["An unknown device", "不明な端末"]);
    }

    #[test]
    fn a_name_stays_on_one_line() {
        assert_eq!(one_line(" Yuki\r\nBcc: x@example.com "), "Yuki Bcc: x@example.com");
        assert_eq!(one_line("a\u{202e}b\u{0}c"), "a b c");
        assert_eq!(one_line("田中\u{3000}由紀"), "田中 由紀");
    }

    #[test]
    fn the_ink_contrasts_with_the_accent() {
        assert_eq!(ink_on("#0f766e"), "#ffffff");
        assert_eq!(ink_on("#ffd54f"), "#111111");
        assert_eq!(ink_on("#000000"), "#ffffff");
        assert_eq!(ink_on("#ffffff"), "#111111");
    }
}
