//! Keeps browsers on TLS: `Strict-Transport-Security` (RFC 6797) on every answer.

use std::time::Duration;

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderValue};
use pingora::http::ResponseHeader;

/// What the gateway asks of browsers; nothing when it is off.
#[derive(Clone, Debug)]
pub struct Hsts(Option<(Policy, HeaderValue)>);

/// How long TLS is insisted on, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Policy {
    seconds: u64,
    subdomains: bool,
    preload: bool,
}

impl Hsts {
    /// For so long; zero is off.
    pub fn new(life: Duration, subdomains: bool) -> Self {
        let policy = Policy {
            seconds: life.as_secs(),
            subdomains,
            preload: false,
        };
        Self(
            (policy.seconds > 0)
                .then(|| policy.value().map(|value| (policy, value)))
                .flatten(),
        )
    }

    /// On an answer of our own.
    pub fn set(&self, headers: &mut HeaderMap) {
        match &self.0 {
            Some((_, value)) => headers.insert(STRICT_TRANSPORT_SECURITY, value.clone()),
            None => headers.remove(STRICT_TRANSPORT_SECURITY),
        };
    }

    /// On an answer of the web client, which may ask for more and not for less.
    pub fn guard(&self, response: &mut ResponseHeader) -> pingora::Result<()> {
        let Some((ours, value)) = &self.0 else {
            return Ok(());
        };
        let mut said = response.headers.get_all(STRICT_TRANSPORT_SECURITY).iter();
        let value = match (said.next().map(Policy::read), said.next()) {
            (None, _) => value.clone(),
            (Some(theirs), None) if theirs.and(*ours) == theirs => return Ok(()),
            // Browsers heed the first line alone.
            (Some(theirs), _) => theirs.and(*ours).value().unwrap_or_else(|| value.clone()),
        };
        response.insert_header("Strict-Transport-Security", value)
    }
}

impl Policy {
    fn read(value: &HeaderValue) -> Self {
        let mut policy = Self::default();
        for directive in value.to_str().unwrap_or_default().split(';') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "max-age" => policy.seconds = argument.trim().trim_matches('"').parse().unwrap_or(0),
                "includesubdomains" => policy.subdomains = true,
                "preload" => policy.preload = true,
                _ => {}
            }
        }
        policy
    }

    /// What both ask for.
    fn and(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.max(other.seconds),
            subdomains: self.subdomains || other.subdomains,
            preload: self.preload || other.preload,
        }
    }

    fn value(self) -> Option<HeaderValue> {
        let subdomains = if self.subdomains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        HeaderValue::from_str(&format!("max-age={}{subdomains}{preload}", self.seconds)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Duration = Duration::from_hours(365 * 24);

    fn guarded(hsts: &Hsts, theirs: &[&str]) -> Vec<String> {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for line in theirs {
            response.append_header("Strict-Transport-Security", *line).unwrap();
        }
        hsts.guard(&mut response).unwrap();
        let lines = response.headers.get_all(STRICT_TRANSPORT_SECURITY).iter();
        lines.map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_web_client_may_ask_for_more_and_not_for_less() {
        let hsts = Hsts::new(YEAR, false);
        for (theirs, sent) in [
            (&[][..], "max-age=31536000"),
            (
                &["max-age=63072000; includeSubDomains; preload"],
                "max-age=63072000; includeSubDomains; preload",
            ),
            (&["max-age=0"], "max-age=31536000"),
            (
                &["max-age=\"60\"; includeSubDomains"],
                "max-age=31536000; includeSubDomains",
            ),
            (&["nonsense"], "max-age=31536000"),
            (&["max-age=63072000", "max-age=0"], "max-age=63072000"),
        ] {
            assert_eq!(guarded(&hsts, theirs), [sent], "{theirs:?}");
        }
        assert_eq!(
            guarded(&Hsts::new(YEAR, true), &["max-age=63072000"]),
            ["max-age=63072000; includeSubDomains"]
        );
    }

    #[test]
    fn off_is_silent_and_leaves_the_word_to_the_web_client() {
        let off = Hsts::new(Duration::ZERO, true);
        assert_eq!(guarded(&off, &["max-age=5"]), ["max-age=5"]);
        assert!(guarded(&off, &[]).is_empty());
        let mut headers = HeaderMap::new();
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=1"));
        off.set(&mut headers);
        assert!(headers.is_empty());
        Hsts::new(YEAR, true).set(&mut headers);
        assert_eq!(
            headers[STRICT_TRANSPORT_SECURITY],
            "max-age=31536000; includeSubDomains"
        );
    }
}
