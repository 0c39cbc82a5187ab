//! What a request says in `Authorization`: an API token of ours, something for the web client, or what nobody can tell.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};

use crate::domain::bearer::BearerToken;
use crate::flows::Claim;

use super::tunnel;

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
        let bearer = credentials(value, b"bearer");
        if could_be_ours(value) {
            let text = bearer.and_then(|text| std::str::from_utf8(text).ok());
            let token = text.and_then(BearerToken::parse);
            return Self::Ours(token.map_or(Claim::Malformed, Claim::Token));
        }
        // What is named in `Connection` is taken off on the way: the web client could not judge it.
        Self::Theirs {
            bearer: bearer.is_some_and(|text| !text.is_empty()) && !tunnel::nominates(headers, &AUTHORIZATION),
        }
    }
}

/// Takes what could be meant as an API token out of a request that goes upstream, wherever a client may have put it.
pub fn strip(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION] {
        let mut values = headers.get_all(&name).iter();
        if values.any(|value| could_be_ours(value.as_bytes())) {
            headers.remove(name);
        }
    }
}

/// Whether it could be meant as an API token: as it stands there, or as the name or password of `Basic`, which many programs
/// make of what they are given.
fn could_be_ours(value: &[u8]) -> bool {
    BearerToken::is_meant_by(value)
        || credentials(value, b"basic")
            .and_then(|encoded| LENIENT.decode(encoded).ok())
            .is_some_and(|plain| BearerToken::is_meant_by(&plain))
}

/// As servers decode `Basic`, whatever they let pass.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What follows the scheme, when that is this one.
fn credentials<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (named, rest) = value.split_at_checked(scheme.len())?;
    let separated = rest.first().is_none_or(|byte| *byte == b' ');
    (named.eq_ignore_ascii_case(scheme) && separated).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
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
            format!("Basic {}", BASE64_STANDARD.encode(format!("{}:", *text))),
            format!("basic  {}", BASE64_STANDARD_NO_PAD.encode(format!("program:{}", *text))),
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
    fn a_bearer_token_that_would_be_lost_on_the_way_is_none() {
        let mut headers = HeaderMap::new();
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer theirs"));
        for (connection, is_bearer) in [("keep-alive", true), ("close, Authorization", false)] {
            headers.insert(http::header::CONNECTION, HeaderValue::from_static(connection));
            let read = Authorization::of(&headers);
            assert!(
                matches!(read, Authorization::Theirs { bearer } if bearer == is_bearer),
                "{connection}"
            );
        }
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
