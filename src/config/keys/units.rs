//! Durations and sizes as operators write them: a number and its unit, never a bare number.

use std::fmt::Write as _;
use std::time::Duration;

use bytesize::ByteSize;

const TIMES: [(u128, &str); 7] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

const SIZES: [(u64, &str); 4] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

/// Reads `30m`, `1h 30m` or `7days`.
pub fn parse_time(text: &str) -> Option<Duration> {
    let bare_zero = text.trim() == "0"; // humantime takes it, but it has no unit
    humantime::parse_duration(text).ok().filter(|_| !bare_zero)
}

/// Writes a duration in the largest unit that expresses it exactly.
pub fn time(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, name) in TIMES {
        if nanos.is_multiple_of(unit) {
            let _infallible = write!(text, "{}{name}", nanos / unit);
            break;
        }
    }
    text
}

/// Reads `8 KiB` or `1 MB`, in bytes.
pub fn parse_size(text: &str) -> Option<u64> {
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    text.parse::<ByteSize>()
        .ok()
        .filter(|_| has_unit)
        .map(|size| size.as_u64())
}

/// Writes a size in the largest binary unit that expresses it exactly.
pub fn size(bytes: u64) -> String {
    let (unit, name) = SIZES
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit))
        .unwrap_or((1, "B"));
    format!("{} {name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_without_a_unit_is_no_duration_and_no_size() {
        for bad in ["", "30", "0", " 0 ", "m", "-1s", "30 parsecs", "99999999999999999999s"] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
        for bad in ["", "8", "KiB", "-8 KiB", "8 bananas", "8 KiB each"] {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn values_are_written_in_the_unit_people_would_choose() {
        for (seconds, text) in [(0, "0s"), (90, "90s"), (900, "15m"), (28_800, "8h"), (604_800, "7d")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
        assert_eq!(time(Duration::from_millis(1500)), "1500ms");
        for (bytes, text) in [(0, "0 B"), (8192, "8 KiB"), (19456 * 1024, "19 MiB"), (1025, "1025 B")] {
            assert_eq!(size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in any::<u64>(), bytes in any::<u64>()) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_time(&time(duration)), Some(duration));
            prop_assert_eq!(parse_size(&size(bytes)), Some(bytes));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "[0-9. ]{0,20}\\PC{0,8}") {
            let _ = parse_time(&text);
            let _ = parse_size(&text);
        }
    }
}
