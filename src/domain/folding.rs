//! The spelling under which names are compared: what two people would call the same text is one key. Separate from
//! the names themselves, because each name folds a little differently and all of it rests on the same Unicode rules.

use std::borrow::Cow;

use idna::AsciiDenyList;
use unicase::UniCase;
use unicode_normalization::UnicodeNormalization;

/// NFKC, without blanks and invisible characters, in lower case.
pub(super) fn plain_lower(text: &str) -> String {
    text.nfkc()
        .filter(|c| !c.is_whitespace() && !is_invisible(*c))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The key of an e-mail address. The part before the at sign is case-folded after NFKC (Unicode 3.13, `toNFKC_Casefold`
/// without its removals); the domain is compared as DNS would look it up, in the ASCII form of UTS 46, so that
/// `例え.jp` and `xn--r8jz45g.jp` are one domain. A domain that has no such form compares as it was typed.
pub(super) fn email_key(text: &str) -> String {
    let plain = plain_lower(text);
    let Some((local, domain)) = plain.split_once('@') else {
        return plain;
    };
    format!("{}@{}", settled(local, case_folded), settled(domain, ascii_domain))
}

/// Case folding undoes some of a normalisation and the other way round; a few rounds bring both to rest.
fn settled(text: &str, step: impl Fn(&str) -> String) -> String {
    let mut settled = text.to_owned();
    for _ in 0..4 {
        let next = step(&settled);
        if next == settled {
            break;
        }
        settled = next;
    }
    settled
}

fn case_folded(text: &str) -> String {
    plain_lower(&UniCase::new(text).to_folded_case())
}

fn ascii_domain(domain: &str) -> String {
    let ascii = idna::domain_to_ascii_cow(domain.as_bytes(), AsciiDenyList::EMPTY).map(Cow::into_owned);
    ascii.unwrap_or_else(|_| plain_lower(domain))
}

/// Format characters that a copy from a chat or a spreadsheet brings along unseen.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::account::{Email, Extension};

    fn key(text: &str) -> String {
        Email::parse(text).unwrap().key().to_owned()
    }

    #[test]
    fn one_mailbox_has_one_key_however_it_is_spelt() {
        for (one, other) in [
            ("Yuki@Example.com", "yuki@example.COM"),
            ("ｙｕｋｉ＠ｅｘａｍｐｌｅ．ｃｏｍ", "yuki@example.com"),
            ("yuki@例え.jp", "yuki@xn--r8jz45g.jp"),
            ("yuki@BÜCHER.example", "yuki@xn--bcher-kva.example"),
            ("yuki@example。com", "yuki@example.com"),
            ("STRASSE@example.com", "straße@example.com"),
            ("ΟΔΟΣ@example.com", "οδος@example.com"),
            ("Jose\u{301}@example.com", "JOS\u{c9}@example.com"),
        ] {
            assert_eq!(key(one), key(other), "{one} and {other}");
        }
    }

    #[test]
    fn letters_that_only_look_alike_stay_different() {
        for (one, other) in [
            ("yuki@example.com", "yuk\u{131}@example.com"),
            ("paypal@example.com", "p\u{430}ypal@example.com"),
            ("yuki@stra\u{df}e.example", "yuki@strasse.example"),
        ] {
            assert_ne!(key(one), key(other), "{one} and {other}");
        }
    }

    proptest! {
        #[test]
        fn the_key_of_a_key_is_itself(text in r"[\PC]{1,20}@[\PC]{1,20}") {
            if let Ok(email) = Email::parse(&text) {
                let again = Email::parse(email.key());
                prop_assert_eq!(again.map(|again| again.key().to_owned()), Ok(email.key().to_owned()));
            }
        }

        #[test]
        fn case_width_and_composition_never_make_another_key(text in r"[a-zäöüéß]{1,12}@[a-zäöüé]{1,12}\.(com|jp|de)") {
            let wide: String = text
                .chars()
                .map(|c| if c.is_ascii_lowercase() { char::from_u32(u32::from(c) + 0xfee0).unwrap() } else { c })
                .collect();
            let upper: String = text.chars().map(|c| if c == 'ß' { c } else { c.to_uppercase().next().unwrap() }).collect();
            let decomposed: String = text.nfd().collect();
            for spelling in [&wide, &upper, &decomposed] {
                prop_assert_eq!(key(spelling), key(&text), "{}", spelling);
            }
        }

        #[test]
        fn no_text_panics_a_name(text in any::<String>()) {
            let _ = Email::parse(&text);
            let _ = Email::parse(&format!("a@{text}"));
            let _ = Extension::parse(&text);
        }

        #[test]
        fn every_spelling_of_an_extension_is_read_as_one(digits in "[0-9]{1,8}", blanks in r"[ \u{3000}\u{200b}\u{feff}]{0,3}") {
            let wide: String = digits.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect();
            let spelt = format!("{blanks}{wide}{blanks}");
            let read = Extension::parse(&spelt).unwrap();
            prop_assert_eq!(read.as_str(), digits);
        }
    }
}
