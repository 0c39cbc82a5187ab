//! Which language a page speaks: the person's own choice first, then what is known, then the browser's wish.

use std::time::Duration;

use fluent_langneg::{LanguageIdentifier, NegotiationStrategy, negotiate_languages};
use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use crate::domain::language::Language;

use super::cookie;

/// How long a chosen language is remembered.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_hours(24 * 365);

/// Longest `Accept-Language` that is read, in bytes.
const MAX_HEADER: usize = 512;

/// The language of an answer, and whether the person chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    language: Language,
    chosen: bool,
}

impl Spoken {
    /// By `?lang`, then the cookie, then `Accept-Language`, then the operator's default.
    pub(super) fn negotiate(asked: Option<&str>, headers: &HeaderMap, cookie_name: &str, default: Language) -> Self {
        let kept = cookie::sole(headers, cookie_name);
        let choice = [asked, kept].into_iter().flatten().find_map(|text| text.parse().ok());
        Self {
            language: choice.unwrap_or_else(|| wished(headers).unwrap_or(default)),
            chosen: choice.is_some(),
        }
    }

    /// The language, unless an account is known that has its own and nothing else was chosen.
    pub(super) const fn or_of(self, account: Option<Language>) -> Language {
        match account {
            Some(language) if !self.chosen => language,
            _ => self.language,
        }
    }

    /// The language.
    pub(super) const fn language(self) -> Language {
        self.language
    }
}

/// What the browser wishes, as far as we speak it.
fn wished(headers: &HeaderMap) -> Option<Language> {
    let header = headers.get(ACCEPT_LANGUAGE)?.to_str().ok()?;
    if header.len() > MAX_HEADER {
        return None;
    }
    let mut wishes: Vec<(f32, LanguageIdentifier)> = header.split(',').filter_map(wish).collect();
    // The negotiation goes by order alone; a stable sort keeps the order among equal weights.
    wishes.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let wishes: Vec<LanguageIdentifier> = wishes.into_iter().map(|(_, id)| id).collect();
    let spoken: Vec<LanguageIdentifier> = Language::ALL.iter().filter_map(|l| l.tag().parse().ok()).collect();
    let found = negotiate_languages(&wishes, &spoken, None, NegotiationStrategy::Filtering);
    found.first().and_then(|id| id.language.as_str().parse().ok())
}

/// One entry such as `ja-JP;q=0.8`.
fn wish(entry: &str) -> Option<(f32, LanguageIdentifier)> {
    let (tag, weight) = entry.split_once(';').map_or((entry, None), |(tag, q)| (tag, Some(q)));
    let weight = match weight.map(str::trim) {
        None => 1.0,
        Some(q) => q.strip_prefix("q=")?.trim().parse().ok()?,
    };
    (weight > 0.0 && weight <= 1.0).then_some(())?;
    Some((weight, tag.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::COOKIE;

    use super::*;

    const COOKIE_NAME: &str = "__Host-sekisho-lang";

    fn negotiate(asked: Option<&str>, cookie: Option<&str>, accept: Option<&str>) -> Spoken {
        let mut headers = HeaderMap::new();
        if let Some(language) = cookie {
            let line = format!("{COOKIE_NAME}={language}");
            headers.insert(COOKIE, HeaderValue::from_str(&line).unwrap());
        }
        if let Some(accept) = accept {
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(accept).unwrap());
        }
        Spoken::negotiate(asked, &headers, COOKIE_NAME, Language::En)
    }

    #[test]
    fn the_persons_choice_comes_before_the_browsers_wish() {
        let spoken = |asked, cookie, accept| negotiate(asked, cookie, accept).language();
        assert_eq!(spoken(Some("ja"), Some("en"), Some("en")), Language::Ja);
        assert_eq!(spoken(Some("xx"), Some("ja"), Some("en")), Language::Ja);
        assert_eq!(spoken(None, Some("ja"), Some("en")), Language::Ja);
        assert_eq!(spoken(None, Some("<script>"), Some("ja")), Language::Ja);
        assert_eq!(spoken(None, None, None), Language::En);
    }

    #[test]
    fn an_account_speaks_its_own_language_unless_another_was_chosen() {
        let account = Some(Language::Ja);
        assert_eq!(negotiate(None, None, Some("en")).or_of(account), Language::Ja);
        assert_eq!(negotiate(Some("en"), None, None).or_of(account), Language::En);
        assert_eq!(negotiate(None, Some("en"), None).or_of(account), Language::En);
        assert_eq!(negotiate(None, None, Some("en")).or_of(None), Language::En);
    }

    #[test]
    fn the_browsers_weights_count_and_nonsense_does_not() {
        for (accept, language) in [
            ("ja", Language::Ja),
            ("ja-JP", Language::Ja),
            ("en;q=0.5, ja;q=0.9", Language::Ja),
            ("de, ja;q=0.2", Language::Ja),
            ("ja;q=0, en", Language::En),
            ("de-DE,fr", Language::En),
            ("ja;q=nan", Language::En),
            ("ja;q=7", Language::En),
            (";;;,,,q=1", Language::En),
            ("*", Language::En),
        ] {
            assert_eq!(negotiate(None, None, Some(accept)).language(), language, "{accept}");
        }
        let long = "ja,".repeat(1000);
        assert_eq!(negotiate(None, None, Some(&long)).language(), Language::En);
    }
}
