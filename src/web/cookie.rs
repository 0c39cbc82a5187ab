//! Our cookies: reading what a request presents, and keeping them from the upstream.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::COOKIE;

use crate::domain::token::SessionToken;
use crate::flows::Presented;

/// What a request presents as its session: from every `Cookie` header, HTTP/2 crumbs among them.
///
/// The same value twice is one value; two different ones, or one that is no token, are
/// [`Presented::Unclear`].
pub fn presented(headers: &HeaderMap, cookie_name: &str) -> Presented {
    let mut values = values(headers, cookie_name);
    let Some(first) = values.next() else {
        return Presented::Nothing;
    };
    if values.any(|other| other != first) {
        return Presented::Unclear;
    }
    let token = std::str::from_utf8(first).ok().and_then(SessionToken::parse);
    token.map_or(Presented::Unclear, Presented::Token)
}

/// The value of one of our lesser cookies; `None` when it is missing, ambiguous or not plain text.
pub(super) fn sole<'a>(headers: &'a HeaderMap, cookie_name: &str) -> Option<&'a str> {
    let mut values = values(headers, cookie_name);
    let first = values.next()?;
    if values.any(|other| other != first) {
        return None;
    }
    std::str::from_utf8(first).ok()
}

/// Whether a request brings a cookie of this name, whatever is in it.
pub(super) fn holds(headers: &HeaderMap, cookie_name: &str) -> bool {
    values(headers, cookie_name).next().is_some()
}

/// One `Cookie` header value without the cookies whose names start with one of `prefixes`, the others byte for byte.
///
/// `None` when nothing is left; borrowed, without any allocation, when nothing of ours is in it.
/// Names are compared without regard to case, as some upstreams do.
pub fn without_ours<'a>(value: &'a [u8], prefixes: &[String]) -> Option<Cow<'a, [u8]>> {
    let ours = |pair: &[u8]| {
        let pair = pair.trim_ascii_start();
        prefixes.iter().any(|prefix| {
            let start = pair.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        })
    };
    if !Pairs(Some(value)).any(ours) {
        return Some(Cow::Borrowed(value));
    }
    let mut rest = Vec::with_capacity(value.len());
    for pair in Pairs(Some(value)).filter(|pair| !ours(pair)) {
        if rest.is_empty() {
            rest.extend_from_slice(pair.trim_ascii_start());
        } else {
            rest.push(b';');
            rest.extend_from_slice(pair);
        }
    }
    (!rest.trim_ascii().is_empty()).then_some(Cow::Owned(rest))
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|value| Pairs(Some(value.as_bytes())))
        .filter_map(move |pair| {
            let rest = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
            let value = rest.trim_ascii_start().strip_prefix(b"=")?;
            Some(value.trim_ascii())
        })
}

/// The pairs of one `Cookie` header value, byte for byte, found many bytes at a time.
struct Pairs<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let Some(end) = memchr::memchr(b';', rest) else {
            self.0 = None;
            return Some(rest);
        };
        let (pair, tail) = rest.split_at(end);
        self.0 = tail.get(1..);
        Some(pair)
    }
}

/// A cookie of ours: `__Host-` asks for `Secure`, `Path=/` and no `Domain`.
pub(super) fn set(name: &str, value: &str, max_age: Option<std::time::Duration>) -> String {
    let mut cookie = cookie::Cookie::build((name, value))
        .path("/")
        .secure(true)
        .http_only(true)
        .same_site(cookie::SameSite::Lax);
    if let Some(seconds) = max_age.and_then(|age| i64::try_from(age.as_secs()).ok()) {
        cookie = cookie.max_age(cookie::time::Duration::seconds(seconds));
    }
    cookie.build().to_string()
}

/// Makes the browser forget a cookie of ours.
pub(super) fn clear(name: &str) -> String {
    set(name, "", Some(std::time::Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NAME: &str = "__Host-sekisho";

    fn present(lines: &[&str]) -> Presented {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        presented(&headers, NAME)
    }

    fn token(byte: u8) -> String {
        format!("{NAME}={}", SessionToken::from_entropy([byte; 32]).expose())
    }

    #[test]
    fn a_session_is_read_from_every_cookie_header_and_crumb() {
        assert!(matches!(present(&[]), Presented::Nothing));
        assert!(matches!(
            present(&["a=1; b=2", "__Host-sekisho-form=x"]),
            Presented::Nothing
        ));
        let lines = ["a=1", &token(1), "b=2"];
        assert!(
            matches!(present(&lines), Presented::Token(found) if found.digest() == SessionToken::from_entropy([1; 32]).digest())
        );
        assert!(matches!(
            present(&[&format!("a=1;{};b=2", token(1))]),
            Presented::Token(_)
        ));
    }

    #[test]
    fn two_different_sessions_are_unclear_and_the_same_twice_is_one() {
        assert!(matches!(present(&[&token(1), &token(1)]), Presented::Token(_)));
        assert!(matches!(present(&[&token(1), &token(2)]), Presented::Unclear));
        assert!(matches!(
            present(&[&format!("{}; {}", token(1), token(2))]),
            Presented::Unclear
        ));
        assert!(matches!(present(&[&token(1), "__Host-sekisho="]), Presented::Unclear));
        assert!(matches!(present(&["__Host-sekisho=nonsense"]), Presented::Unclear));
    }

    #[test]
    fn our_cookies_leave_the_header_and_the_others_stay_byte_for_byte() {
        for (before, after) in [
            ("a=1; __Host-sekisho=x; b=2", Some("a=1; b=2")),
            ("__Host-sekisho=x; b=\"2 ;3\"", Some("b=\"2 ;3\"")),
            ("a=1;__Host-sekisho-form=x", Some("a=1")),
            ("__Host-sekisho=x; __Host-sekisho-lang=ja", None),
            ("__HOST-SEKISHO=x; ;", None),
            ("  __Host-sekisho =x;b=2", Some("b=2")),
            ("a=__Host-sekisho=x", Some("a=__Host-sekisho=x")),
        ] {
            let left = without_ours(before.as_bytes(), &[NAME.to_owned()]);
            assert_eq!(left.as_deref(), after.map(str::as_bytes), "{before:?}");
        }
    }

    #[test]
    fn a_header_without_our_cookies_is_not_copied() {
        for line in ["", "a=1; b=2", "sekisho=1; __Host-sek=2"] {
            assert!(
                matches!(
                    without_ours(line.as_bytes(), &[NAME.to_owned()]),
                    Some(Cow::Borrowed(_))
                ),
                "{line:?}"
            );
        }
    }

    #[test]
    fn a_cookie_of_ours_meets_its_prefix() {
        assert_eq!(
            set(NAME, "v", None),
            "__Host-sekisho=v; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            clear(NAME),
            "__Host-sekisho=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }
}
