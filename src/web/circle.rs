//! Redirects that lead in a circle: to sign in, back, and to sign in again. The third in a row is answered with a page
//! that explains.
//!
//! A browser follows some twenty of them and then says something that helps nobody. The gateway remembers none, so the
//! browser carries the count itself, in a cookie that lasts for minutes. It is not signed: whoever changes it in their
//! own browser gets a page of explanations early or late.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// This many equal redirects in a row are one too many.
const MOST: u32 = 3;

/// A redirect follows another in a row within this time, in seconds. Signing in takes longer, so that a sign-in in
/// between starts the time anew, see [`signed_in`].
const IN_A_ROW: i64 = 10;

/// How long the cookie lives: as long as somebody may take to sign in.
pub(super) const KEPT_FOR: std::time::Duration = std::time::Duration::from_mins(10);

/// What becomes of a redirect.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is sent, with this as the cookie.
    Go(String),
    /// It would be the third in a row.
    Explain,
}

/// Redirects in a row: how many, when the last was, and where to.
struct Trail<'a> {
    count: u32,
    at: i64,
    to: &'a str,
}

/// One more redirect to `location`, for a browser that holds this cookie.
pub(super) fn step(held: Option<&str>, location: &str, now: Timestamp) -> Step {
    let (now, to) = (now.as_second(), mark(location));
    let row = held.and_then(Trail::read).filter(|trail| {
        let age = now.saturating_sub(trail.at);
        trail.to == to && (0..=IN_A_ROW).contains(&age)
    });
    let count = row.map_or(1, |trail| trail.count + 1);
    if count >= MOST {
        return Step::Explain;
    }
    Step::Go(
        Trail {
            count,
            at: now,
            to: &to,
        }
        .write(),
    )
}

/// Somebody has signed in: what comes at once after that comes in a row, however long it took.
pub(super) fn signed_in(held: Option<&str>, now: Timestamp) -> Option<String> {
    let trail = held.and_then(Trail::read)?;
    let at = now.as_second();
    Some(Trail { at, ..trail }.write())
}

impl<'a> Trail<'a> {
    fn read(value: &'a str) -> Option<Self> {
        let mut parts = value.splitn(3, '.');
        let count = parts.next()?.parse().ok().filter(|count| *count < MOST)?;
        let at = parts.next()?.parse().ok()?;
        let to = parts
            .next()
            .filter(|to| to.len() == MARK && to.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some(Self { count, at, to })
    }

    fn write(&self) -> String {
        format!("{}.{}.{}", self.count, self.at, self.to)
    }
}

/// Characters that stand for a place.
const MARK: usize = 16;

/// Tells one place from another, and says nothing about it.
fn mark(location: &str) -> String {
    use std::fmt::Write;

    let digest = Sha256::digest(location);
    digest.iter().take(MARK / 2).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use crate::domain::session::tests::at;

    use super::*;

    fn go(held: Option<&str>, to: &str, second: i64) -> String {
        match step(held, to, at(second)) {
            Step::Go(value) => value,
            Step::Explain => panic!("explained"),
        }
    }

    #[test]
    fn the_third_equal_redirect_in_a_row_is_explained() {
        let once = go(None, "/login", 0);
        let twice = go(Some(&once), "/login", 9);
        assert_eq!(step(Some(&twice), "/login", at(12)), Step::Explain);
        assert_eq!(step(Some(&twice), "/login", at(19)), Step::Explain);
    }

    #[test]
    fn another_place_and_a_pause_begin_anew() {
        let twice = go(Some(&go(None, "/login", 0)), "/login", 1);
        let other = go(Some(&twice), "/login?return_to=/calls", 2);
        assert!(other.starts_with("1."), "{other}");
        let later = go(Some(&twice), "/login", 12);
        assert!(later.starts_with("1."), "{later}");
        let back = go(Some(&twice), "/login", 0);
        assert!(back.starts_with("1."), "a clock that was set back: {back}");
    }

    #[test]
    fn signing_in_takes_no_time() {
        let mut held = go(None, "/login", 0);
        held = signed_in(Some(&held), at(60)).unwrap();
        held = go(Some(&held), "/login", 61);
        held = signed_in(Some(&held), at(200)).unwrap();
        assert_eq!(step(Some(&held), "/login", at(201)), Step::Explain);
        assert_eq!(signed_in(None, at(0)), None);
    }

    #[test]
    fn nonsense_counts_nothing() {
        for held in [
            "",
            "2",
            "2.0",
            "2.0.x",
            "9.1800000000.0000000000000000",
            "-1.0.0",
            &"2.".repeat(4000),
        ] {
            assert!(go(Some(held), "/login", 0).starts_with("1."), "{held}");
            assert_eq!(signed_in(Some(held), at(0)), None, "{held}");
        }
    }
}
