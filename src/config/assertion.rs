//! `[assertion]`: the signed statement the web client gets with every request.

use std::time::Duration;

use http::HeaderName;
use serde_json::json;

use super::keys::forms::{OneOf, Switch, Text, Time, line};
use super::keys::{Slot, Walker};
use crate::domain::assertion::{self, AssertionTerms};
use crate::domain::doors::Doors;
use crate::domain::key::SigningAlgorithm;

/// `[assertion]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Header that carries it. Default `X-Sekisho-Assertion`.
    pub header: String,
    /// `issuer` (default: the out-of-office door), `audience` (default `sekisho-upstream`), `life` (default `60s`, at most `5m`).
    pub terms: AssertionTerms,
    /// `ES256` (default) or `EdDSA`.
    pub algorithm: SigningAlgorithm,
    /// Age at which a key is replaced by itself. Default `90d`.
    pub rotate_every: Duration,
    /// Also set `Remote-User`, `Remote-Name`, `Remote-Email`, `Remote-Groups`. Default `false`; stripped from clients always.
    pub plain_headers: bool,
}

impl Assertion {
    pub(super) fn default_for(doors: &Doors) -> Self {
        Self {
            header: "X-Sekisho-Assertion".to_owned(),
            terms: AssertionTerms {
                issuer: doors.out_of_office.origin(),
                audience: "sekisho-upstream".to_owned(),
                life: Duration::from_mins(1),
            },
            algorithm: SigningAlgorithm::default(),
            rotate_every: Duration::from_hours(90 * 24),
            plain_headers: false,
        }
    }

    pub(super) fn walk(&mut self, walker: &mut impl Walker, doors: &Doors) {
        walker.section(
            "assertion",
            "The signed statement (JWT) of who is asking that the web client gets with every request. It verifies it with \
             the keys at /.well-known/sekisho/jwks.json and believes nothing else about who is asking.",
        );
        walker.key(
            "header",
            "The header that carries it. What clients send under this name is removed.",
            &Text {
                parse: parse_header,
                print: Clone::clone,
                schema: json!({ "pattern": "^[A-Za-z0-9-]+$", "maxLength": 64 }),
            },
            Slot::Default(&mut self.header),
        );
        walker.key(
            "issuer",
            "The name under which the gateway signs (iss). Without it, the out-of-office door.",
            &line(),
            Slot::Derived(&mut self.terms.issuer, doors.out_of_office.origin()),
        );
        walker.key(
            "audience",
            "Whom the statement is for (aud). The web client must refuse statements for others, so give each web client a \
             name of its own.",
            &line(),
            Slot::Default(&mut self.terms.audience),
        );
        walker.key(
            "life",
            "How long one statement is valid. Short, since it cannot be called back; too short, and clocks that differ \
             break it.",
            &Time {
                least: Duration::from_secs(5),
                most: assertion::Assertion::MAX_LIFE,
            },
            Slot::Default(&mut self.terms.life),
        );
        self.walk_keys(walker);
    }

    fn walk_keys(&mut self, walker: &mut impl Walker) {
        walker.key(
            "algorithm",
            "ES256 is verified everywhere; EdDSA is faster, where the web client knows it.",
            &OneOf(
                [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa]
                    .map(|a| (a.as_str(), a))
                    .into(),
            ),
            Slot::Default(&mut self.algorithm),
        );
        walker.key(
            "rotate_every",
            "The age at which a new signing key takes over by itself. The old one stays published until its last statement \
             has expired.",
            &Time {
                least: Duration::from_hours(1),
                most: Duration::from_hours(3650 * 24),
            },
            Slot::Default(&mut self.rotate_every),
        );
        walker.key(
            "plain_headers",
            "Also sends Remote-User, Remote-Name, Remote-Email and Remote-Groups, for a web client that cannot verify a \
             signature. Anybody who reaches such a web client past the gateway can be whoever they like. What clients \
             send under these names is removed either way.",
            &Switch,
            Slot::Default(&mut self.plain_headers),
        );
    }
}

/// Headers that mean something else to HTTP, to proxies or to the gateway itself.
const TAKEN: [&str; 38] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

fn parse_header(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    // Underscores are left out: many servers read them as hyphens, and some drop such headers.
    if HeaderName::from_bytes(text.as_bytes()).is_err() || text.len() > 64 || !text.chars().all(plain) {
        return Err(format!(
            "{text:?} is not the name of a header; use letters, digits and hyphens, at most 64, such as \
             \"X-Sekisho-Assertion\""
        ));
    }
    let lower = text.to_ascii_lowercase();
    if TAKEN.contains(&lower.as_str()) || lower.starts_with("sec-") || lower.starts_with("x-forwarded-") {
        return Err(format!(
            "{text:?} already means something else; choose a name of its own, such as \"X-Sekisho-Assertion\""
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_a_name_of_its_own() {
        for good in ["X-Sekisho-Assertion", "Cf-Access-Jwt-Assertion", "assertion"] {
            assert_eq!(parse_header(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "X Assertion",
            "X:A",
            "X_Assertion",
            "é",
            "Host",
            "COOKIE",
            "Authorization",
            "Connection",
            "Sec-Fetch-Site",
            "Remote-User",
            "X-Forwarded-User",
            "Transfer-Encoding",
            "X-Request-Id",
        ] {
            assert!(parse_header(bad).is_err(), "{bad:?}");
        }
        assert!(parse_header(&"x".repeat(65)).is_err());
    }
}
