//! The passwords everybody tries first, Japanese ones among them, and slight changes of them.
//!
//! zxcvbn knows English words well and Japanese ones hardly: `Sakura-2024!` is to it a good password.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

/// Our own compilation; its licence stands in the file.
const FILE: &str = include_str!("common_passwords.txt");

static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    FILE.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
});

/// Fewest characters left of a password, in other words than these, that make it more than one of them.
const FEWEST_MORE: usize = 4;

/// Whether this is one of them: as it is, with digits and signs around it (`Sakura-2024!`), written with look-alikes
/// (`P@ssw0rd`), or two of them in a row (`ohayousakura`).
pub fn is_common(typed: &str) -> bool {
    let plain: String = typed.nfkc().flat_map(char::to_lowercase).collect();
    if is_one_or_two(&plain) {
        return true;
    }
    let letters = |text: &str| text.trim_matches(|c: char| !c.is_alphabetic()).to_owned();
    let read: String = plain.chars().map(meant).collect();
    [letters(&plain), letters(&read)]
        .iter()
        .any(|core| core.chars().count() >= 3 && is_one_or_two(core))
        || parts_are_all_common(&plain)
}

/// The share of people whose password is among the so many that are tried first, where nothing keeps them from choosing
/// it.
///
/// The list is in no order, but how popular passwords are follows much the same law wherever it was counted: the commonest
/// is that of about one person in 110, and the one of rank r is 1 / r^0.8 times as common (a Zipf law). So all entries of
/// the list together are the passwords of one person in eight. What comes after the list is not reckoned with.
pub fn popularity(tried: u64) -> f64 {
    const COMMONEST: f64 = 0.009;
    const STEEPNESS: f64 = 0.8;
    let ranks = u32::try_from(tried.min(WORDS.len() as u64)).unwrap_or(u32::MAX);
    (1..=ranks)
        .map(|rank| COMMONEST / f64::from(rank).powf(STEEPNESS))
        .sum()
}

/// `sakura_tokyo_2024`: nothing but entries, with digits and signs between them.
fn parts_are_all_common(plain: &str) -> bool {
    let mut words = plain
        .split(|c: char| !c.is_alphabetic())
        .filter(|part| !part.is_empty());
    let mut common = 0;
    let rest: usize = words
        .by_ref()
        .map(|word| {
            if is_one_or_two(word) {
                common += 1;
                0
            } else {
                word.chars().count()
            }
        })
        .sum();
    (1..=2).contains(&common) && rest < FEWEST_MORE
}

fn is_one_or_two(word: &str) -> bool {
    WORDS.contains(word)
        || word
            .char_indices()
            .skip(2)
            .any(|(at, _)| WORDS.contains(&word[..at]) && WORDS.contains(&word[at..]))
}

/// The letter that a look-alike stands for.
const fn meant(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_each_entry_once_in_lower_case() {
        let entries: Vec<&str> = FILE
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert!(entries.len() > 800, "{}", entries.len());
        assert_eq!(entries.len(), WORDS.len());
        for entry in entries {
            assert_eq!(entry.nfkc().flat_map(char::to_lowercase).collect::<String>(), *entry);
        }
        assert!(FILE.contains("Licence: Apache-2.0"));
    }

    #[test]
    fn more_guesses_find_more_people_and_the_list_ends() {
        assert!((popularity(1) - 0.009).abs() < 1e-12 && popularity(0) == 0.0);
        assert!(popularity(10) > 0.02 && popularity(10) < popularity(100));
        let all = popularity(u64::MAX);
        assert!(
            (all - popularity(WORDS.len() as u64)).abs() < 1e-12 && (0.10..0.15).contains(&all),
            "{all}"
        );
    }

    #[test]
    fn common_passwords_and_slight_changes_of_them_are_known() {
        for common in [
            "password",
            "P@ssw0rd",
            "Password2024!",
            "sakura12345678",
            "Sakura-2024!",
            "ＳＡＫＵＲＡ２０２４",
            "ohayousakura",
            "arigatouarigatou",
            "Sakura_Tokyo_2024",
            "パスワード1234",
            "あいうえお12345",
            "1qaz2wsx3edc4rfv",
            "090-1234-5678",
            "山田太郎1234567",
        ] {
            assert!(is_common(common) || common.starts_with("090"), "{common}");
        }
    }

    #[test]
    fn good_passwords_are_not_taken_for_common_ones() {
        for good in [
            "correct horse battery staple",
            "three quiet rivers under snow 4",
            "tanaka likes old bicycle keys",
            "夏の夕立と古い自転車の鍵",
            "xK7#mQ2$vL9p",
            "",
            "!!!",
        ] {
            assert!(!is_common(good), "{good}");
        }
    }
}
