//! What a request says in `Authorization`: an API token of ours, something for the web client, or what nobody can tell.

use http::HeaderMap;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};

use crate::domain::bearer::BearerToken;
use crate::flows::Claim;

/// What it says.
#[derive(Debug)]
pub enum Authorization {
    /// Nothing.
    Absent,
    /// Something that is not for us: it goes to the web client as it is.
    Theirs {
        /// Whether it is a bearer token (RFC 6750 section 2.1).
        bearer: bool,
    },
    /// What could be meant as an API token. It goes nowhere.
    Ours(Claim),
    /// It stands there several times: we might judge one and the web client another.
    Unclear,
}

impl Authorization {
    /// Reads it.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Self::Absent;
        };
        if values.next().is_some() {
            return Self::Unclear;
        }
        let value = value.as_bytes();
        let bearer = credentials(value);
        if BearerToken::is_meant_by(value) {
            let text = bearer.and_then(|text| std::str::from_utf8(text).ok());
            let token = text.and_then(BearerToken::parse);
            return Self::Ours(token.map_or(Claim::Malformed, Claim::Token));
        }
        Self::Theirs {
            bearer: bearer.is_some_and(|text| !text.is_empty()),
        }
    }
}

/// Takes what could be meant as an API token out of a request that goes upstream, wherever a client may have put it.
pub fn strip(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION] {
        let mut values = headers.get_all(&name).iter();
        if values.any(|value| BearerToken::is_meant_by(value.as_bytes())) {
            headers.remove(name);
        }
    }
}

/// What follows the scheme, when that is `Bearer`.
fn credentials(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let separated = rest.first().is_none_or(|byte| *byte == b' ');
    (scheme.eq_ignore_ascii_case(SCHEME) && separated).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn said(values: &[&str]) -> Authorization {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        Authorization::of(&headers)
    }

    #[test]
    fn a_token_of_ours_is_told_from_what_is_for_the_web_client() {
        let secret = BearerToken::from_entropy([7; 32]);
        let text = secret.expose();
        for scheme in ["Bearer", "bearer", "BEARER", "Bearer  "] {
            let read = said(&[&format!("{scheme} {}", *text)]);
            assert!(
                matches!(&read, Authorization::Ours(Claim::Token(token)) if token.digest() == secret.digest()),
                "{scheme}: {read:?}"
            );
        }
        for broken in [
            format!("Token {}", *text),
            (*text).clone(),
            format!("Bearer {}x", *text),
            format!("Bearer {0},{0}", *text),
            format!("Bearer {0}, Bearer {0}", *text),
            format!("Bearer \"{}\"", *text),
            "Bearer SEKISHO_".to_owned(),
            format!("Bearer\t{}", *text),
        ] {
            let read = said(&[&broken]);
            assert!(matches!(read, Authorization::Ours(Claim::Malformed)), "{broken}");
        }
        for (theirs, is_bearer) in [
            ("Bearer eyJhbGciOi.x.y", true),
            ("bearer abc", true),
            ("Bearer", false),
            ("Bearer ", false),
            ("Bearers abc", false),
            ("Basic dXNlcjpwYXNz", false),
            ("", false),
        ] {
            let read = said(&[theirs]);
            assert!(
                matches!(read, Authorization::Theirs { bearer } if bearer == is_bearer),
                "{theirs}: {read:?}"
            );
        }
        assert!(matches!(said(&[]), Authorization::Absent));
    }

    #[test]
    fn two_fields_are_unclear_whatever_they_say() {
        let ours = format!("Bearer {}", *BearerToken::from_entropy([7; 32]).expose());
        for two in [["Basic a", "Basic a"], ["Bearer x", &ours], [&ours, &ours]] {
            assert!(matches!(said(&two), Authorization::Unclear), "{two:?}");
        }
    }

    #[test]
    fn what_could_be_ours_goes_nowhere_and_the_rest_goes_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (AUTHORIZATION, "Bearer theirs"),
            (PROXY_AUTHORIZATION, "Bearer SEKISHO_x"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.get(AUTHORIZATION).unwrap(), "Bearer theirs");
        assert!(!headers.contains_key(PROXY_AUTHORIZATION));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Token sekisho_x"));
        strip(&mut headers);
        assert!(headers.is_empty());
    }
}
