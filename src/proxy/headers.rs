//! What clients may not say and upstreams may rely on: names stripped, cookies taken out, ours set.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, COOKIE, FORWARDED, HOST, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::domain::account::Account;
use crate::domain::client::ClientAddr;
use crate::web::cookie;

/// Names no client may use, however spelled: those that carry our word, and those an upstream might take for it.
const ALWAYS: [&str; 31] = [
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-groups",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-user",
    "x-forwarded-by",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-remote-user",
    "x-remote-name",
    "x-remote-email",
    "x-remote-groups",
    "x-authenticated-user",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "x-real-ip",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
];

/// Headers and cookies that are the gateway's own.
#[derive(Clone, Debug)]
pub struct Protected {
    names: Vec<Vec<u8>>,
    first: [bool; 256],
    assertion: HeaderName,
    cookie_prefix: String,
    plain: bool,
}

/// What the upstream is told about where a request came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client.
    pub client: ClientAddr,
    /// The socket's peer: the last hop.
    pub peer: IpAddr,
    /// The host the client asked for, which is one of the doors'.
    pub host: HeaderValue,
}

impl Protected {
    /// `assertion` is the header that carries it, `cookie` the session cookie's name (all of ours start with it),
    /// `plain` whether `Remote-User` and its kin are set as well.
    pub fn new(assertion: HeaderName, cookie: &str, plain: bool) -> Self {
        let mut names: Vec<Vec<u8>> = ALWAYS.iter().map(|name| name.as_bytes().to_vec()).collect();
        names.push(fold(assertion.as_str().as_bytes()).collect());
        let mut first = [false; 256];
        for name in &names {
            if let Some(byte) = name.first()
                && let Some(slot) = first.get_mut(usize::from(*byte))
            {
                *slot = true;
            }
        }
        Self {
            names,
            first,
            assertion,
            cookie_prefix: cookie.to_owned(),
            plain,
        }
    }

    /// Removes every protected name from a request that goes upstream, and our cookies; joins the cookie crumbs
    /// of HTTP/2 (RFC 9113 section 8.2.3).
    pub fn strip(&self, request: &mut RequestHeader) {
        let stripped: Vec<HeaderName> = request
            .headers
            .keys()
            .filter(|name| self.is_protected(name))
            .cloned()
            .collect();
        for name in stripped {
            request.remove_header(&name);
        }
        self.strip_cookies(request);
    }

    /// Alike after folding case and every sign: some upstream or other folds `_`, `.` and `!` to `-`.
    fn is_protected(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        let starts = name.first().and_then(|byte| self.first.get(usize::from(*byte)));
        starts.copied().unwrap_or(false)
            && self
                .names
                .iter()
                .any(|protected| protected.len() == name.len() && fold(name).eq(protected.iter().copied()))
    }

    fn strip_cookies(&self, request: &mut RequestHeader) {
        let mut values = request.headers.get_all(COOKIE).iter();
        let (Some(first), second) = (values.next(), values.next()) else {
            return;
        };
        if second.is_none() && !contains(first.as_bytes(), self.cookie_prefix.as_bytes()) {
            return;
        }
        let kept: Vec<_> = request
            .headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| cookie::without_ours(value.as_bytes(), &self.cookie_prefix))
            .filter(|value| !value.is_empty())
            .map(std::borrow::Cow::into_owned)
            .collect();
        request.remove_header(&COOKIE);
        if let Ok(joined) = HeaderValue::from_bytes(&kept.join(&b"; "[..]))
            && !joined.is_empty()
        {
            // A value that came in as a header value is one still; nothing else can be inserted here.
            let _ = request.insert_header(COOKIE, joined);
        }
    }

    /// Tells the upstream who is asking: the assertion, and the plain headers where the operator wants them.
    ///
    /// # Errors
    /// When the assertion is no header value: never with a compact JWT, and then nothing is forwarded.
    pub fn set_identity(&self, request: &mut RequestHeader, jwt: Bytes, account: &Account) -> pingora::Result<()> {
        let value = HeaderValue::from_maybe_shared(jwt).map_err(|_| {
            pingora::Error::explain(
                pingora::ErrorType::InvalidHTTPHeader,
                "the assertion is no header value",
            )
        })?;
        request.insert_header(self.assertion.clone(), value)?;
        if self.plain {
            let email = account.email.as_ref().map_or("", |email| email.as_typed());
            request.insert_header("Remote-User", plain(account.extension.as_str()))?;
            request.insert_header("Remote-Name", plain(&account.name))?;
            request.insert_header("Remote-Email", plain(email))?;
            request.insert_header("Remote-Groups", plain(&account.groups.join(",")))?;
        }
        Ok(())
    }

    /// Keeps the upstream from setting our cookies, keeps shared caches from keeping what one person saw, and
    /// keeps browsers on TLS.
    pub fn guard_response(&self, response: &mut ResponseHeader, signed_in: bool) -> pingora::Result<()> {
        self.drop_forged_cookies(response)?;
        if signed_in && let Some(private) = private(&response.headers) {
            response.insert_header(CACHE_CONTROL, private)?;
        }
        if !response.headers.contains_key(STRICT_TRANSPORT_SECURITY) {
            response.insert_header(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"))?;
        }
        Ok(())
    }

    /// Takes the gateway's own cookies out of an answer.
    pub fn drop_forged_cookies(&self, response: &mut ResponseHeader) -> pingora::Result<()> {
        let ours = |value: &HeaderValue| {
            value
                .as_bytes()
                .trim_ascii_start()
                .starts_with(self.cookie_prefix.as_bytes())
        };
        if !response.headers.get_all(SET_COOKIE).iter().any(ours) {
            return Ok(());
        }
        let kept: Vec<HeaderValue> = response
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter(|value| !ours(value))
            .cloned()
            .collect();
        response.remove_header(&SET_COOKIE);
        for value in kept {
            response.append_header(SET_COOKIE, value)?;
        }
        tracing::warn!("the upstream tried to set a cookie of the gateway; it was dropped");
        Ok(())
    }
}

impl Origin {
    /// Sets `X-Forwarded-*` and `Forwarded` (RFC 7239) to what we know ourselves.
    pub fn set(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        let client = self.client.ip();
        request.insert_header("X-Forwarded-For", client.to_string())?;
        request.insert_header("X-Forwarded-Proto", HeaderValue::from_static("https"))?;
        request.insert_header("X-Forwarded-Host", self.host.clone())?;
        let host = self.host.to_str().unwrap_or_default();
        let node = match client {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("\"[{ip}]\""),
        };
        request.insert_header(FORWARDED, format!("for={node};host=\"{host}\";proto=https"))
    }

    /// Sets the `Host` the upstream sees.
    pub fn set_host(&self, request: &mut RequestHeader, own: Option<&HeaderValue>) -> pingora::Result<()> {
        request.insert_header(HOST, own.unwrap_or(&self.host).clone())
    }
}

fn fold(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().map(|b| {
        if b.is_ascii_alphanumeric() {
            b.to_ascii_lowercase()
        } else {
            b'-'
        }
    })
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A value that may hold any character, for a header that may not: percent-encoded outside visible ASCII (RFC 3986).
fn plain(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte == b' ' || (byte.is_ascii_graphic() && byte != b'%') {
            value.push(char::from(byte));
        } else {
            value.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    value
}

fn hex(digit: u8) -> char {
    char::from_digit(u32::from(digit), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

/// The `Cache-Control` that keeps an answer out of shared caches; `None` when it keeps out already.
fn private(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut directives: Vec<&str> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .collect();
    let is = |directive: &str, name: &str| directive.eq_ignore_ascii_case(name);
    if directives
        .iter()
        .any(|directive| is(directive, "private") || is(directive, "no-store"))
    {
        return None;
    }
    directives.retain(|directive| !is(directive, "public") && !directive.to_ascii_lowercase().starts_with("s-maxage"));
    directives.insert(0, "private");
    HeaderValue::from_str(&directives.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protected() -> Protected {
        Protected::new(HeaderName::from_static("x-sekisho-assertion"), "__Host-sekisho", false)
    }

    fn request(fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn a_client_cannot_say_who_it_is_in_any_spelling() {
        let mut request = request(&[
            ("X-Sekisho-Assertion", "forged"),
            ("x_sekisho_assertion", "forged"),
            ("X-SEKISHO_Assertion", "forged"),
            ("x.sekisho.assertion", "forged"),
            ("Remote_User", "root"),
            ("remote-groups", "admins"),
            ("X-Forwarded-For", "1.1.1.1"),
            ("Forwarded", "for=1.1.1.1"),
            ("X-Original-URL", "/admin"),
            ("Accept", "*/*"),
            ("X-Requested-With", "fetch"),
        ]);
        protected().strip(&mut request);
        let mut left: Vec<&str> = request.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-requested-with"]);
    }

    #[test]
    fn our_cookies_stay_here_and_all_others_go_on_as_they_came() {
        let mut mixed = request(&[
            ("Cookie", "a=1; __Host-sekisho=secret; b=\"2\""),
            ("Cookie", "__Host-sekisho-form=x"),
            ("Cookie", "c=3"),
        ]);
        protected().strip(&mut mixed);
        let values: Vec<_> = mixed.headers.get_all(COOKIE).iter().collect();
        assert_eq!(values, ["a=1; b=\"2\"; c=3"]);
        let mut only_ours = request(&[("Cookie", "__Host-sekisho=secret")]);
        protected().strip(&mut only_ours);
        assert!(!only_ours.headers.contains_key(COOKIE));
        let mut none = request(&[("Cookie", "a=1;  b=2")]);
        protected().strip(&mut none);
        assert_eq!(none.headers.get(COOKIE).unwrap(), "a=1;  b=2");
    }

    #[test]
    fn the_upstream_cannot_set_our_cookie() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        response
            .append_header(SET_COOKIE, "__Host-sekisho=forged; Path=/")
            .unwrap();
        response.append_header(SET_COOKIE, "theirs=1").unwrap();
        protected().guard_response(&mut response, true).unwrap();
        let values: Vec<_> = response.headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(values, ["theirs=1"]);
    }

    #[test]
    fn what_one_person_saw_is_private() {
        for (theirs, ours) in [
            (None, "private"),
            (Some("public, max-age=60"), "private, max-age=60"),
            (Some("s-maxage=9, max-age=1"), "private, max-age=1"),
            (Some("no-store"), "no-store"),
            (Some("private"), "private"),
            (Some("no-cache"), "private, no-cache"),
        ] {
            let mut response = ResponseHeader::build(200, None).unwrap();
            if let Some(theirs) = theirs {
                response.insert_header(CACHE_CONTROL, theirs).unwrap();
            }
            protected().guard_response(&mut response, true).unwrap();
            assert_eq!(response.headers.get(CACHE_CONTROL).unwrap(), ours);
        }
    }

    #[test]
    fn odd_names_make_one_sound_header_value() {
        assert_eq!(plain("Yuki"), "Yuki");
        assert_eq!(plain("田\r\nX: y%"), "%E7%94%B0%0D%0AX: y%25");
    }
}
