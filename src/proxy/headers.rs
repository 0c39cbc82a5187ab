//! What clients may not say and upstreams may rely on: names stripped, cookies taken out, ours set.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, COOKIE, FORWARDED, HOST, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::domain::client::ClientAddr;
use crate::domain::party::Party;
use crate::web::cookie;

use super::authorization;
use super::ready::Ready;
use super::whence::Whence;

/// Names no client may use, however spelled: those that carry our word, and those an upstream might take for it. TLS ends
/// here, so that among them are those by which proxies say that a client holds a certificate (RFC 9440 section 4). Some
/// servers believe whoever reaches them from their own machine about the path as well, and take `SCRIPT_NAME: /open` off
/// the front of it; and CGI makes of `Proxy` where a program is to send its own requests.
const ALWAYS: [&str; 57] = [
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-groups",
    "forwarded",
    "x-remote-user",
    "x-remote-name",
    "x-remote-email",
    "x-remote-groups",
    "x-authenticated-user",
    "x-webauth-user",
    "x-webauth-name",
    "x-webauth-email",
    "x-webauth-groups",
    "x-webauth-role",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "proxy-client-ip",
    "x-real-ip",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "x-envoy-original-path",
    "script-name",
    "x-script-name",
    "path-info",
    "daphne-root-path",
    "proxy",
    "client-cert",
    "client-cert-chain",
    "proxy-auth-cert",
    "ssl-client-cert",
    "ssl-client-i-dn",
    "ssl-client-issuer-dn",
    "ssl-client-s-dn",
    "ssl-client-subject-dn",
    "ssl-client-verify",
    "x-arr-clientcert",
    "x-amzn-mtls-clientcert",
    "x-amzn-mtls-clientcert-leaf",
    "x-amzn-mtls-clientcert-subject",
    "x-client-cert",
    "x-client-certificate",
    "x-client-dn",
    "x-client-verify",
    "x-ssl-cert",
    "x-ssl-client-cert",
    "x-ssl-client-cn",
    "x-ssl-client-dn",
    "x-ssl-client-i-dn",
    "x-ssl-client-issuer",
    "x-ssl-client-s-dn",
    "x-ssl-client-subject",
    "x-ssl-client-verify",
];

/// How names begin that only proxies may use, those of two old application servers (`WL-Proxy-Client-Cert`, `$WSRU`) among
/// them.
const BEGINNINGS: [&str; 4] = ["x-forwarded-", "x-auth-request-", "wl-proxy-", "-ws"];

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");
static REMOTE_NAME: HeaderName = HeaderName::from_static("remote-name");
static REMOTE_EMAIL: HeaderName = HeaderName::from_static("remote-email");
static REMOTE_GROUPS: HeaderName = HeaderName::from_static("remote-groups");

/// As many headers as a request may gain on its way upstream.
const GAINED: usize = 12;

/// Changes the headers of a request that goes upstream.
///
/// Pingora keeps a second map of the names as the client spelled them, and each change through it parses and copies the
/// name twice: half of what the gateway costs. Without it names go upstream in lower case, as they do in HTTP/2.
///
/// # Errors
/// Those of `change`; the request is then empty and must not be forwarded.
pub fn rewrite(
    request: &mut RequestHeader,
    change: impl FnOnce(&mut HeaderMap) -> pingora::Result<()>,
) -> pingora::Result<()> {
    let empty = RequestHeader::from(http::Request::new(()).into_parts().0);
    let mut parts = Parts::from(std::mem::replace(request, empty));
    parts.headers.reserve(GAINED);
    change(&mut parts.headers)?;
    *request = RequestHeader::from(parts);
    Ok(())
}

/// Forgets how the client spelled the names of the headers, before Pingora copies the request and takes out of both maps what
/// belongs to the connection. Of a target that Pingora keeps beside its own reading of it nothing is forgotten.
pub fn forget_spelling(request: &mut RequestHeader) -> pingora::Result<()> {
    if request.has_case() && request.raw_path().starts_with(b"/") {
        rewrite(request, |_| Ok(()))?;
    }
    Ok(())
}

/// Headers and cookies that are the gateway's own.
#[derive(Clone, Debug)]
pub struct Protected {
    /// By their length.
    names: Vec<Vec<Vec<u8>>>,
    first: [bool; 256],
    assertion: HeaderName,
    cookies: Vec<String>,
    plain: bool,
    ready: Arc<Ready>,
    whence: Arc<Whence>,
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
    /// `assertion` is the header that carries it, `cookies` the names of the session cookie (all of ours start with one):
    /// those it has had as well, since browsers go on sending it and the token in it opens the same session. `plain` is
    /// whether `Remote-User` and its kin are set as well.
    pub fn new(assertion: HeaderName, cookies: Vec<String>, plain: bool) -> Self {
        let mut all: Vec<Vec<u8>> = ALWAYS.iter().map(|name| name.as_bytes().to_vec()).collect();
        all.push(fold(assertion.as_str().as_bytes()).collect());
        let mut first = [false; 256];
        for name in all.iter().map(Vec::as_slice).chain(BEGINNINGS.map(str::as_bytes)) {
            if let Some(byte) = name.first()
                && let Some(slot) = first.get_mut(usize::from(*byte))
            {
                *slot = true;
            }
        }
        let mut names = vec![Vec::new(); all.iter().map(Vec::len).max().unwrap_or_default() + 1];
        for name in all {
            if let Some(alike) = names.get_mut(name.len()) {
                alike.push(name);
            }
        }
        Self {
            names,
            first,
            assertion,
            cookies,
            plain,
            ready: Arc::default(),
            whence: Arc::default(),
        }
    }

    /// What is known about where requests come from.
    pub fn whence(&self) -> &Whence {
        &self.whence
    }

    /// The names that the session cookie has or has had.
    pub fn cookies(&self) -> &[String] {
        &self.cookies
    }

    /// Removes every protected name from a request that goes upstream, our cookies and API tokens; joins the cookie crumbs
    /// of HTTP/2 (RFC 9113 section 8.2.3).
    pub fn strip(&self, headers: &mut HeaderMap) {
        let stripped: Vec<HeaderName> = headers.keys().filter(|name| self.is_protected(name)).cloned().collect();
        for name in stripped {
            headers.remove(&name);
        }
        authorization::strip(headers);
        self.strip_cookies(headers);
    }

    /// Alike after folding case and every sign: some upstream or other folds `_`, `.` and `!` to `-`.
    fn is_protected(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        let starts = fold(name).next().and_then(|byte| self.first.get(usize::from(byte)));
        let begins = |beginning: &str| {
            let start = name.get(..beginning.len());
            start.is_some_and(|start| fold(start).eq(beginning.bytes()))
        };
        let is_one = |protected: &Vec<u8>| fold(name).eq(protected.iter().copied());
        let alike = || self.names.get(name.len()).into_iter().flatten();
        starts.copied().unwrap_or(false) && (BEGINNINGS.into_iter().any(begins) || alike().any(is_one))
    }

    /// Takes our cookies out, and joins the others into one header.
    pub fn strip_cookies(&self, headers: &mut HeaderMap) {
        let mut values = headers.get_all(COOKIE).iter();
        let left = match (values.next(), values.next()) {
            (None, _) => return,
            (Some(only), None) => match cookie::without_ours(only.as_bytes(), &self.cookies) {
                Some(Cow::Borrowed(_)) => return,
                Some(Cow::Owned(left)) => left,
                None => Vec::new(),
            },
            (Some(_), Some(_)) => self.joined_cookies(headers),
        };
        match HeaderValue::from_maybe_shared(Bytes::from(left)) {
            Ok(left) if !left.is_empty() => headers.insert(COOKIE, left),
            // A value that came in as a header value is one still, so this is nothing left.
            _ => headers.remove(COOKIE),
        };
    }

    fn joined_cookies(&self, headers: &HeaderMap) -> Vec<u8> {
        let kept: Vec<_> = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| cookie::without_ours(value.as_bytes(), &self.cookies))
            .filter(|value| !value.is_empty())
            .collect();
        kept.join(&b"; "[..])
    }

    /// Tells the upstream who is asking: the assertion, and the plain headers where the operator wants them. A program is
    /// named there as no person can be.
    ///
    /// # Errors
    /// When the assertion is no header value: never with a compact JWT, and then nothing is forwarded.
    pub fn set_identity(&self, headers: &mut HeaderMap, jwt: Bytes, party: &Party) -> pingora::Result<()> {
        headers.insert(&self.assertion, self.ready.value(jwt)?);
        if !self.plain {
            return Ok(());
        }
        match party {
            Party::Nobody => Ok(()),
            Party::Person(principal) => {
                let account = &principal.account;
                let email = account.email.as_ref().map_or("", |email| email.as_typed());
                set_plain(
                    headers,
                    account.extension.as_str(),
                    &account.name,
                    email,
                    &account.groups,
                )
            }
            Party::Service(service) => {
                let token = &service.token;
                set_plain(headers, &token.subject(), token.name.as_str(), "", &token.groups)
            }
        }
    }

    /// The names that carry an identity.
    pub fn identity_names(&self) -> [&HeaderName; 5] {
        [
            &self.assertion,
            &REMOTE_USER,
            &REMOTE_NAME,
            &REMOTE_EMAIL,
            &REMOTE_GROUPS,
        ]
    }

    /// Keeps the upstream from setting our cookies, and keeps shared caches from keeping what one person saw.
    pub fn guard_response(&self, response: &mut ResponseHeader, signed_in: bool) -> pingora::Result<()> {
        self.drop_forged_cookies(response)?;
        // An upstream that echoes what it was sent would hand the statement to the scripts of a page.
        if response.headers.contains_key(&self.assertion) {
            response.remove_header(&self.assertion);
        }
        if signed_in {
            for name in targeted(&response.headers) {
                response.remove_header(&name);
            }
            if let Some(private) = private(&response.headers) {
                // By its letters: Pingora looks for how a known name is spelled among all that it knows.
                response.insert_header("Cache-Control", private)?;
            }
        }
        Ok(())
    }

    /// Takes the gateway's own cookies out of an answer.
    pub fn drop_forged_cookies(&self, response: &mut ResponseHeader) -> pingora::Result<()> {
        // A cookie without a name is sent as its value alone (RFC 6265bis section 5.8.3), so `=NAME=VALUE` would come back as
        // one of ours from browsers that do not look out for that.
        let ours = |value: &HeaderValue| {
            let start = value.as_bytes().iter().position(|b| !b" \t=".contains(b));
            let value = value.as_bytes().get(start.unwrap_or_default()..).unwrap_or_default();
            self.cookies.iter().any(|name| value.starts_with(name.as_bytes()))
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
    pub fn set(&self, headers: &mut HeaderMap, whence: &Whence) -> pingora::Result<()> {
        let (client, forwarded) = whence.values(self)?;
        headers.insert(&X_FORWARDED_FOR, client);
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        headers.insert(&X_FORWARDED_HOST, self.host.clone());
        headers.insert(FORWARDED, forwarded);
        Ok(())
    }

    /// The client's address, and the whole of `Forwarded`, which holds it: one piece of memory for both.
    pub fn forwarded(&self) -> (Bytes, Bytes) {
        let client = self.client.ip();
        let (open, close) = if client.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
        let host = self.host.to_str().unwrap_or_default();
        let mut text = String::with_capacity(host.len() + 80);
        text.push_str("for=");
        text.push_str(open);
        let start = text.len();
        push_address(&mut text, client);
        let address = start..text.len();
        for piece in [close, ";host=\"", host, "\";proto=https"] {
            text.push_str(piece);
        }
        let text = Bytes::from(text);
        (text.slice(address), text)
    }

    /// The host without its port; the brackets of an IPv6 address stay.
    pub fn host_name(&self) -> &str {
        let host = self.host.to_str().unwrap_or_default();
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        }
    }

    /// Sets the `Host` the upstream sees.
    pub fn set_host(&self, headers: &mut HeaderMap, own: Option<&HeaderValue>) {
        headers.insert(HOST, own.unwrap_or(&self.host).clone());
    }
}

fn set_plain(headers: &mut HeaderMap, user: &str, name: &str, email: &str, groups: &[String]) -> pingora::Result<()> {
    headers.insert(&REMOTE_USER, value(plain(user))?);
    headers.insert(&REMOTE_NAME, value(plain(name))?);
    headers.insert(&REMOTE_EMAIL, value(plain(email))?);
    headers.insert(&REMOTE_GROUPS, value(plain(&groups.join(",")))?);
    Ok(())
}

/// The methods that a request asks the web client to take it for, in capitals. Many frameworks obey these headers, so
/// that a `POST` is a `DELETE` to them; they go upstream unchanged, and the policy judges both.
pub fn other_methods(headers: &HeaderMap) -> Vec<String> {
    const NAMES: [&[u8]; 3] = [b"x-http-method-override", b"x-http-method", b"x-method-override"];
    let asks = |name: &HeaderName| {
        NAMES
            .iter()
            .any(|known| fold(name.as_str().as_bytes()).eq(known.iter().copied()))
    };
    headers
        .iter()
        .filter(|(name, _)| asks(name))
        .flat_map(|(_, value)| value.as_bytes().split(|b| *b == b','))
        .map(|method| String::from_utf8_lossy(method.trim_ascii()).to_uppercase())
        .collect()
}

/// Whether making a request twice changes no more than making it once, whatever method the web client takes it for.
pub fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    let is_repeatable = |name: &String| Method::from_bytes(name.as_bytes()).is_ok_and(|method| method.is_idempotent());
    method.is_idempotent() && other_methods(headers).iter().all(is_repeatable)
}

/// A header value of ours, which takes the bytes over.
pub fn value(bytes: impl Into<Bytes>) -> pingora::Result<HeaderValue> {
    HeaderValue::from_maybe_shared(bytes.into()).map_err(|_| {
        pingora::Error::explain(
            pingora::ErrorType::InvalidHTTPHeader,
            "what the gateway wanted to say is no header value",
        )
    })
}

/// An address as it is usually written. The machinery that formats numbers takes its time for the usual ones.
fn push_address(text: &mut String, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        // Writing into a string cannot fail.
        let _ = write!(text, "{address}");
        return;
    };
    for (place, byte) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
            if byte >= least {
                text.push(char::from(b'0' + byte / unit % 10));
            }
        }
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

/// Fields that tell some caches in front of us otherwise than `Cache-Control` does, and that those believe instead: such as
/// `CDN-Cache-Control` (RFC 9213), and what nginx and older caches have of their own.
fn targeted(headers: &HeaderMap) -> Vec<HeaderName> {
    let is_targeted = |name: &&HeaderName| {
        let name = name.as_str();
        name.ends_with("-cache-control") || ["surrogate-control", "edge-control", "x-accel-expires"].contains(&name)
    };
    headers.keys().filter(is_targeted).cloned().collect()
}

/// The `Cache-Control` that keeps an answer out of shared caches; `None` when it keeps out already.
fn private(headers: &HeaderMap) -> Option<HeaderValue> {
    if !headers.contains_key(CACHE_CONTROL) {
        return Some(HeaderValue::from_static("private"));
    }
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
        let cookies = ["__Host-sekisho", "__Host-former"].map(str::to_owned).into();
        Protected::new(HeaderName::from_static("x-sekisho-assertion"), cookies, false)
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn origin(client: &str) -> Origin {
        let client: IpAddr = client.parse().unwrap();
        Origin {
            client: ClientAddr::new(client),
            peer: client,
            host: HeaderValue::from_static("in.test:8443"),
        }
    }

    /// Where another proxy forwards, its configuration has to do what [`Protected::strip`] does. Envoy is told in the answer
    /// to take off the four that carry an identity, and Traefik overwrites the address itself.
    #[test]
    fn the_documented_proxies_take_off_whatever_the_gateway_takes_off() {
        const OTHERS: [(&str, &str, &[&str]); 4] = [
            (
                "proxy_set_header ",
                include_str!("../../docs/forward-auth/nginx.conf"),
                &[],
            ),
            (
                "request_header -",
                include_str!("../../docs/forward-auth/Caddyfile"),
                &[],
            ),
            (
                "",
                include_str!("../../docs/forward-auth/traefik.yml"),
                &[
                    "remote-user",
                    "remote-name",
                    "remote-email",
                    "remote-groups",
                    "x-real-ip",
                ],
            ),
            (
                "- ",
                include_str!("../../docs/forward-auth/envoy.yaml"),
                &["remote-user", "remote-name", "remote-email", "remote-groups"],
            ),
        ];
        for (beginning, file, otherwise) in OTHERS {
            let lines = file.lines().filter_map(|line| line.trim().strip_prefix(beginning));
            let words = lines.filter_map(|line| line.split([' ', ':']).next());
            let taken_off: Vec<String> = words.map(str::to_lowercase).collect();
            let is_taken_off = |name: &str| {
                let is_like = |word: &String| match (word.strip_prefix('*'), word.strip_suffix('*')) {
                    (Some(_), Some(_)) => name.contains(word.trim_matches('*')),
                    (Some(end), None) => name.ends_with(end),
                    (None, Some(start)) => name.starts_with(start),
                    (None, None) => name == word,
                };
                taken_off.iter().any(is_like)
            };
            let left: Vec<_> = ALWAYS.iter().filter(|name| !is_taken_off(name)).collect();
            let left: Vec<_> = left.into_iter().filter(|name| !otherwise.contains(name)).collect();
            assert!(left.is_empty(), "{beginning}: {left:?}");
        }
    }

    #[test]
    fn every_header_that_asks_for_another_method_is_heard() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-http-method-override", "delete"),
            ("x_http_method", "PATCH, put"),
            ("x-method-override", "Merge"),
            ("x-method", "LOCK"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut heard = other_methods(&headers);
        heard.sort();
        assert_eq!(heard, ["DELETE", "MERGE", "PATCH", "PUT"]);
    }

    #[test]
    fn a_request_that_may_be_taken_for_another_method_is_not_made_twice() {
        for (method, instead, is) in [
            (Method::GET, None, true),
            (Method::POST, None, false),
            (Method::GET, Some("POST"), false),
            (Method::GET, Some("delete"), true),
            (Method::PUT, Some("get, patch"), false),
            (Method::POST, Some("PUT"), false),
        ] {
            let fields: Vec<_> = instead
                .map(|instead| ("x-http-method-override", instead))
                .into_iter()
                .collect();
            assert_eq!(is_idempotent(&method, &headers(&fields)), is, "{method} {instead:?}");
        }
    }

    #[test]
    fn a_client_cannot_say_who_it_is_in_any_spelling() {
        let mut headers = headers(&[
            ("X-Sekisho-Assertion", "forged"),
            ("x_sekisho_assertion", "forged"),
            ("X-SEKISHO_Assertion", "forged"),
            ("x.sekisho.assertion", "forged"),
            ("Remote_User", "root"),
            ("remote-groups", "admins"),
            ("X-Forwarded-For", "1.1.1.1"),
            ("Forwarded", "for=1.1.1.1"),
            ("X-Original-URL", "/admin"),
            ("X-Original-Method", "DELETE"),
            ("SCRIPT_NAME", "/open"),
            ("Path-Info", "/admin"),
            ("X-Script-Name", "/open"),
            ("Daphne-Root-Path", "/open"),
            ("$WSRU", "root"),
            ("WL-Proxy-Client-IP", "1.1.1.1"),
            ("Proxy", "http://evil.test"),
            ("X-Forwarded-Uri", "/admin"),
            ("X_Forwarded_Method", "DELETE"),
            ("X-Forwarded-Access-Token", "forged"),
            ("X-Auth-Request-Preferred-Username", "root"),
            ("X-Original-Filename", "a.wav"),
            ("Accept", "*/*"),
            ("X-Requested-With", "fetch"),
        ]);
        protected().strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-original-filename", "x-requested-with"]);
    }

    #[test]
    fn a_client_cannot_say_which_certificate_it_holds() {
        let mut headers = headers(&[
            ("Client-Cert", ":MIIB:"),
            ("Client_Cert_Chain", ":MIIB:"),
            ("X-Forwarded-Client-Cert", "Subject=\"CN=root\""),
            ("X-Forwarded-Tls-Client-Cert-Info", "Subject"),
            ("X-SSL-Client-Verify", "SUCCESS"),
            ("SSL_CLIENT_S_DN", "CN=root"),
            ("X-Client-Version", "7"),
        ]);
        protected().strip(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-client-version"]);
    }

    #[test]
    fn our_cookies_stay_here_and_all_others_go_on_as_they_came() {
        let mut mixed = headers(&[
            ("Cookie", "a=1; __Host-sekisho=secret; b=\"2\""),
            ("Cookie", "__Host-sekisho-form=x"),
            ("Cookie", "c=3"),
        ]);
        protected().strip(&mut mixed);
        let values: Vec<_> = mixed.get_all(COOKIE).iter().collect();
        assert_eq!(values, ["a=1; b=\"2\"; c=3"]);
        for (sent, left) in [
            ("__Host-sekisho=secret", None),
            ("__host-SEKISHO=secret; a=1", Some("a=1")),
            ("a=1;  b=2", Some("a=1;  b=2")),
            ("a=1; __Host-sekisho=secret", Some("a=1")),
            ("__Host-former=secret; a=1; __Host-former-form=x", Some("a=1")),
        ] {
            let mut one = headers(&[("Cookie", sent)]);
            protected().strip(&mut one);
            assert_eq!(one.get(COOKIE).map(|value| value.to_str().unwrap()), left, "{sent}");
        }
    }

    #[test]
    fn the_upstream_is_told_where_a_request_comes_from() {
        for (client, address, forwarded) in [
            (
                "192.0.2.7",
                "192.0.2.7",
                "for=192.0.2.7;host=\"in.test:8443\";proto=https",
            ),
            (
                "2001:db8::7",
                "2001:db8::7",
                "for=\"[2001:db8::7]\";host=\"in.test:8443\";proto=https",
            ),
        ] {
            let mut headers = headers(&[]);
            origin(client).set(&mut headers, &Whence::default()).unwrap();
            assert_eq!(headers.get(&X_FORWARDED_FOR).unwrap(), address);
            assert_eq!(headers.get(FORWARDED).unwrap(), forwarded);
            assert_eq!(headers.get(&X_FORWARDED_HOST).unwrap(), "in.test:8443");
            assert_eq!(headers.get(&X_FORWARDED_PROTO).unwrap(), "https");
        }
    }

    #[test]
    fn every_address_is_written_as_usual() {
        for byte in 0..=u8::MAX {
            let address = IpAddr::from([byte, 255 - byte, 0, 10]);
            let mut text = String::new();
            push_address(&mut text, address);
            assert_eq!(text, address.to_string());
        }
    }

    #[test]
    fn nothing_but_the_headers_of_a_request_is_rewritten() {
        let mut request = RequestHeader::build("POST", b"/a/%62?c=%64", None).unwrap();
        request.append_header("Accept", "a/b").unwrap();
        request.append_header("Accept", "c/d").unwrap();
        rewrite(&mut request, |headers| {
            headers.insert(HOST, HeaderValue::from_static("in.test"));
            Ok(())
        })
        .unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.raw_path(), b"/a/%62?c=%64");
        let accepted: Vec<_> = request.headers.get_all("accept").iter().collect();
        assert_eq!(accepted, ["a/b", "c/d"]);
        assert_eq!(request.headers.get(HOST).unwrap(), "in.test");
    }

    #[test]
    fn a_request_whose_rewriting_fails_says_nothing_any_more() {
        let mut request = RequestHeader::build("GET", b"/secret", None).unwrap();
        request.append_header("Cookie", "a=1").unwrap();
        let failed = rewrite(&mut request, |_| {
            Err(pingora::Error::new(pingora::ErrorType::InternalError))
        });
        assert!(failed.is_err());
        assert!(request.headers.is_empty() && request.raw_path() == b"/");
    }

    #[test]
    fn the_upstream_cannot_set_our_cookie() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for forged in [
            "__Host-sekisho=forged; Path=/",
            " __Host-sekisho=forged",
            "=__Host-sekisho=forged; Secure",
            "\t = __Host-sekisho-form=x",
        ] {
            response.append_header(SET_COOKIE, forged).unwrap();
        }
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
    fn what_one_person_saw_is_private_to_caches_that_are_told_apart_as_well() {
        let fields = [
            ("CDN-Cache-Control", "max-age=60"),
            ("Vendor-CDN-Cache-Control", "public"),
            ("Surrogate-Control", "max-age=60"),
            ("Edge-Control", "cache-maxage=60"),
            ("X-Accel-Expires", "60"),
            ("X-Other", "1"),
        ];
        for (signed_in, left) in [(true, 2), (false, fields.len())] {
            let mut response = ResponseHeader::build(200, None).unwrap();
            for (name, value) in fields {
                response.insert_header(name, value).unwrap();
            }
            protected().guard_response(&mut response, signed_in).unwrap();
            assert_eq!(response.headers.len(), left, "{response:?}");
            assert!(response.headers.contains_key("x-other"));
            assert_eq!(response.headers.contains_key(CACHE_CONTROL), signed_in);
        }
    }

    #[test]
    fn odd_names_make_one_sound_header_value() {
        assert_eq!(plain("Yuki"), "Yuki");
        assert_eq!(plain("田\r\nX: y%"), "%E7%94%B0%0D%0AX: y%25");
    }
}
