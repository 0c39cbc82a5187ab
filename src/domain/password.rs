//! Passwords as people type them, the rules a new one must meet, and the stored hash.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};
use zxcvbn::Score;

use super::common_passwords::is_common;

/// A password somebody typed: normalised once to NFC, wiped on drop, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password exactly as typed, apart from one NFC normalisation
    /// (NIST SP 800-63B-4 section 3.1.1.2), counted in code points.
    ///
    /// # Errors
    /// [`TooLong`] beyond `max_chars`: refused before any hashing.
    pub fn parse(typed: &str, max_chars: usize) -> Result<Self, TooLong> {
        // Four bytes hold any code point, and NFC never makes a text longer than three times its size.
        if typed.len() > 4 * max_chars {
            return Err(TooLong);
        }
        let mut normal = Zeroizing::new(String::with_capacity(3 * typed.len()));
        normal.extend(typed.nfc());
        if normal.chars().count() > max_chars {
            Err(TooLong)
        } else {
            Ok(Self(normal))
        }
    }

    /// The bytes to hash. Greppable on purpose.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether two typed passwords are the same.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Zeroize for Password {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// More characters than the rules allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password is longer than allowed")]
pub struct TooLong;

/// What a new password must meet. No composition rules by default (NIST SP 800-63B-4 section 3.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    /// Fewest characters (code points after NFC).
    pub min_chars: usize,
    /// Most characters; longer is refused without hashing.
    pub max_chars: usize,
    /// The least zxcvbn score, 0 to 4.
    pub min_score: u8,
    /// Words of this site that make a password guessable: company and product names.
    pub site_words: Vec<String>,
    /// Whether an upper-case letter, a lower-case letter, a digit and a special character must be there each.
    pub all_kinds: bool,
    /// Lists of known passwords besides the built-in one.
    pub listed: Listed,
}

/// Passwords that are known to attackers: from breaches, or of this site.
pub trait KnownPasswords: Send + Sync {
    /// Whether this is one of them. May now and then say so of one that is not.
    fn know(&self, password: &Password) -> bool;
}

/// Lists of known passwords that a new one must not be on.
#[derive(Clone, Default)]
pub struct Listed(Arc<[Arc<dyn KnownPasswords>]>);

impl Listed {
    /// These lists.
    pub fn new(lists: Vec<Arc<dyn KnownPasswords>>) -> Self {
        Self(lists.into())
    }

    fn know(&self, password: &Password) -> bool {
        self.0.iter().any(|list| list.know(password))
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&*other.0).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

impl Eq for Listed {}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listed({})", self.0.len())
    }
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            min_chars: 12,
            max_chars: 256,
            min_score: 3,
            site_words: Vec::new(),
            all_kinds: false,
            listed: Listed::default(),
        }
    }
}

/// Why a new password is not good enough. Closed, so that every page can say it in every language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weakness {
    /// Fewer characters than the rules ask for.
    TooShort,
    /// More characters than the rules allow.
    TooLong,
    /// Built from the person's own name, number or address, or the site's name.
    Personal,
    /// One of the passwords everybody tries first, or a slight change of one.
    Common,
    /// A run on the keyboard, a sequence or a repetition.
    Pattern,
    /// Guessable for another reason.
    Guessable,
    /// No upper-case letter, and the rules ask for one.
    NoUpper,
    /// No lower-case letter, and the rules ask for one.
    NoLower,
    /// No digit, and the rules ask for one.
    NoDigit,
    /// Neither sign nor blank, and the rules ask for one.
    NoSpecial,
}

impl Weakness {
    /// The stable name in JSON answers and message keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
            Self::Personal => "personal",
            Self::Common => "common",
            Self::Pattern => "pattern",
            Self::Guessable => "guessable",
            Self::NoUpper => "no-upper",
            Self::NoLower => "no-lower",
            Self::NoDigit => "no-digit",
            Self::NoSpecial => "no-special",
        }
    }

    /// Every weakness there is, in the order in which people are told.
    pub const ALL: [Self; 10] = [
        Self::TooShort,
        Self::TooLong,
        Self::NoUpper,
        Self::NoLower,
        Self::NoDigit,
        Self::NoSpecial,
        Self::Personal,
        Self::Common,
        Self::Pattern,
        Self::Guessable,
    ];
}

/// All that is wrong with a new password, at least one thing, so that people mend it in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weaknesses {
    first: Weakness,
    set: u16,
}

impl Weaknesses {
    /// `None` when there is nothing wrong.
    pub fn of(found: impl IntoIterator<Item = Weakness>) -> Option<Self> {
        let set = found.into_iter().fold(0, |set, weakness| set | bit(weakness));
        let first = Weakness::ALL.into_iter().find(|weakness| set & bit(*weakness) != 0)?;
        Some(Self { first, set })
    }

    /// What to tell first.
    pub const fn first(self) -> Weakness {
        self.first
    }

    /// All of them, in the order in which people are told.
    pub fn iter(self) -> impl Iterator<Item = Weakness> {
        Weakness::ALL
            .into_iter()
            .filter(move |weakness| self.set & bit(*weakness) != 0)
    }
}

impl From<Weakness> for Weaknesses {
    fn from(weakness: Weakness) -> Self {
        Self {
            first: weakness,
            set: bit(weakness),
        }
    }
}

const fn bit(weakness: Weakness) -> u16 {
    1 << weakness as u16
}

impl PasswordRules {
    /// Judges a new password. `own_words` are the person's name, number and address.
    ///
    /// # Errors
    /// All that is wrong with it at once. A password that is too long is looked at no further.
    pub fn check(&self, password: &Password, own_words: &[&str]) -> Result<(), Weaknesses> {
        let typed = password.expose();
        let chars = typed.chars().count();
        if chars > self.max_chars {
            return Err(Weakness::TooLong.into());
        }
        let words = self.words(own_words);
        let short = (chars < self.min_chars).then_some(Weakness::TooShort);
        let known = (is_common(typed) || self.listed.know(password)).then_some(Weakness::Common);
        let easy = match self.guessable(typed, &words, short.is_some()) {
            // What it is built from says more than that it is listed, and that it is listed more than that it is easy.
            Some(Weakness::Guessable) | None if known.is_some() => known,
            easy => easy,
        };
        match Weaknesses::of(short.into_iter().chain(self.missing_kinds(typed)).chain(easy)) {
            Some(weaknesses) => Err(weaknesses),
            None => Ok(()),
        }
    }

    fn words<'a>(&'a self, own_words: &[&'a str]) -> Vec<&'a str> {
        let mut words: Vec<&str> = self.site_words.iter().map(String::as_str).collect();
        words.extend(own_words.iter().flat_map(|word| {
            std::iter::once(*word).chain(
                word.split(|c: char| !c.is_alphanumeric())
                    .filter(|part| part.chars().count() >= 3),
            )
        }));
        words
    }

    /// The kinds of characters that the phone system's own rule asks for. Letters of scripts that know no case count as
    /// special ones: they are at least as hard to guess.
    fn missing_kinds(&self, typed: &str) -> impl Iterator<Item = Weakness> {
        let has = |kind: fn(char) -> bool| typed.chars().any(kind);
        let kinds = [
            (Weakness::NoUpper, has(char::is_uppercase)),
            (Weakness::NoLower, has(char::is_lowercase)),
            (Weakness::NoDigit, has(char::is_numeric)),
            (
                Weakness::NoSpecial,
                has(|c| !c.is_numeric() && !c.is_uppercase() && !c.is_lowercase()),
            ),
        ];
        let asked = self.all_kinds;
        kinds
            .into_iter()
            .filter(move |(_, there)| asked && !there)
            .map(|(weakness, _)| weakness)
    }

    fn guessable(&self, typed: &str, words: &[&str], is_short: bool) -> Option<Weakness> {
        // zxcvbn is quadratic in the length; what follows the first 72 characters can only add strength.
        let head: Zeroizing<String> = Zeroizing::new(typed.chars().take(72).collect());
        let estimate = zxcvbn::zxcvbn(&head, words);
        if estimate.score() < score(self.min_score) {
            // Of a password that is too short, "easy to guess" says nothing new.
            return Some(reason(&estimate, words)).filter(|reason| !is_short || *reason != Weakness::Guessable);
        }
        // Several own words in a row look long to an estimator, and are the first thing a colleague tries.
        (!is_short && without(typed, words).chars().count() < FEWEST_OF_ONES_OWN).then_some(Weakness::Personal)
    }
}

/// Characters that must be left of a password when the words everybody knows about its owner are taken out.
const FEWEST_OF_ONES_OWN: usize = 6;

/// The letters and digits of a password, in lower case, without these words.
fn without(typed: &str, words: &[&str]) -> Zeroizing<String> {
    let plain = |text: &str| {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    let mut words: Vec<String> = words
        .iter()
        .map(|word| plain(word))
        .filter(|word| word.chars().count() >= 3)
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut left = Zeroizing::new(plain(typed));
    if words.iter().any(|word| left.contains(word.as_str())) {
        for word in &words {
            left = Zeroizing::new(left.replace(word.as_str(), ""));
        }
        left
    } else {
        // Without any of the words, signs and blanks count as well.
        Zeroizing::new(typed.to_owned())
    }
}

fn score(n: u8) -> Score {
    match n {
        0 => Score::Zero,
        1 => Score::One,
        2 => Score::Two,
        3 => Score::Three,
        _ => Score::Four,
    }
}

fn reason(estimate: &zxcvbn::Entropy, words: &[&str]) -> Weakness {
    use zxcvbn::matching::patterns::MatchPattern;

    let Some(token) = longest(estimate).map(|part| &part.token) else {
        return Weakness::Guessable;
    };
    // Within a password every part counts as fifty guesses or more, so that "12345678" is as much a listed word as a row
    // of digits, and which of the two is named differs from one process to the next. By itself it is what it is.
    let alone = zxcvbn::zxcvbn(token, words);
    let own = words.iter().any(|word| word.to_lowercase() == token.to_lowercase());
    match longest(&alone).map(|part| &part.pattern) {
        Some(MatchPattern::Dictionary(_)) if own => Weakness::Personal,
        Some(MatchPattern::Dictionary(_)) => Weakness::Common,
        Some(MatchPattern::Spatial(_) | MatchPattern::Repeat(_) | MatchPattern::Sequence(_)) => Weakness::Pattern,
        _ => Weakness::Guessable,
    }
}

fn longest(estimate: &zxcvbn::Entropy) -> Option<&zxcvbn::matching::Match> {
    estimate.sequence().iter().max_by_key(|part| part.token.chars().count())
}

/// A stored password hash: a PHC string. It is no password, but it is nobody's to read either.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// From a PHC string made by the hasher or read from the store.
    pub const fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for the store and the hasher alone.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(typed: &str) -> Password {
        Password::parse(typed, 256).unwrap()
    }

    #[test]
    fn both_spellings_of_an_accent_are_one_password() {
        assert!(password("cafe\u{301} au lait").same_as(&password("caf\u{e9} au lait")));
        assert!(!password("Cafe au lait").same_as(&password("cafe au lait")));
        assert!(
            !password(" padded ").same_as(&password("padded")),
            "blanks are part of a password"
        );
    }

    #[test]
    fn length_counts_code_points_and_too_long_is_refused() {
        assert!(Password::parse(&"鍵".repeat(256), 256).is_ok());
        assert!(Password::parse(&"鍵".repeat(257), 256).is_err());
        assert!(Password::parse(&"a".repeat(10_000_000), 256).is_err());
    }

    #[test]
    fn weak_passwords_are_refused_with_their_reason() {
        let rules = PasswordRules {
            site_words: vec!["sekisho".into()],
            ..PasswordRules::default()
        };
        let check = |typed: &str| {
            rules
                .check(&password(typed), &["Yuki Tanaka", "101", "yuki.tanaka@example.com"])
                .map_err(Weaknesses::first)
        };
        assert_eq!(check("short"), Err(Weakness::TooShort));
        assert_eq!(check("Sakura-2024!!"), Err(Weakness::Common));
        assert_eq!(check("password1234"), Err(Weakness::Common));
        assert_eq!(check("aaaaaaaaaaaaaaaa"), Err(Weakness::Pattern));
        assert_eq!(check("パスワード12345678"), Err(Weakness::Common));
        assert_eq!(check("tanakatanaka"), Err(Weakness::Pattern));
        assert_eq!(check("sekishotanaka"), Err(Weakness::Personal));
        assert_eq!(check("yukitanaka101"), Err(Weakness::Personal));
        assert_eq!(check("Tanaka-Yuki-101!"), Err(Weakness::Personal));
        assert_eq!(check("tanaka likes old bicycle keys"), Ok(()));
        assert_eq!(check("correct horse battery staple"), Ok(()));
        assert_eq!(check("夏の夕立と古い自転車の鍵"), Ok(()));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let rules = PasswordRules {
            min_chars: 10,
            all_kinds: true,
            ..PasswordRules::default()
        };
        let check = |typed: &str| match rules.check(&password(typed), &["Yuki Tanaka", "101"]) {
            Ok(()) => Vec::new(),
            Err(weaknesses) => weaknesses.iter().map(Weakness::as_str).collect(),
        };
        assert_eq!(
            check("sakura"),
            ["too-short", "no-upper", "no-digit", "no-special", "common"]
        );
        assert_eq!(
            check("101"),
            ["too-short", "no-upper", "no-lower", "no-special", "personal"]
        );
        assert_eq!(check("quiet rivers under snow"), ["no-upper", "no-digit"]);
        assert!(check("Quiet Rivers-4").is_empty());
        assert!(
            check("夏の夕立Aと古いb鍵1").is_empty(),
            "Japanese letters count as special ones"
        );
    }

    #[test]
    fn a_listed_password_is_common_and_rules_with_the_same_lists_are_the_same() {
        struct Only(&'static str);
        impl KnownPasswords for Only {
            fn know(&self, password: &Password) -> bool {
                password.expose() == self.0
            }
        }
        let listed = Listed::new(vec![Arc::new(Only("correct horse battery staple"))]);
        let rules = PasswordRules {
            listed: listed.clone(),
            ..PasswordRules::default()
        };
        let refused = rules.check(&password("correct horse battery staple"), &[]);
        assert_eq!(refused, Err(Weakness::Common.into()));
        assert_eq!(rules.check(&password("three quiet rivers under snow"), &[]), Ok(()));
        assert_eq!(
            rules,
            PasswordRules {
                listed,
                ..rules.clone()
            }
        );
        assert_ne!(rules, PasswordRules::default());
    }

    #[test]
    fn the_longest_password_is_judged_quickly_enough_to_finish() {
        let rules = PasswordRules::default();
        let long: String = (0..256_u32).filter_map(|i| char::from_u32(33 + i % 90)).collect();
        assert_eq!(
            rules.check(&password(&long), &[]).err(),
            rules.check(&password(&long), &[]).err()
        );
    }

    #[test]
    fn passwords_and_hashes_never_print_themselves() {
        let hash = PasswordHash::from_phc("$argon2id$secret".into());
        assert_eq!(
            format!("{:?} {hash:?}", password("hunter2 hunter2")),
            "Password(..) PasswordHash(..)"
        );
    }
}
