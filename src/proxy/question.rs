//! What a proxy that asks before it forwards wants to know: may this request pass? Only here are the headers believed
//! in which a proxy repeats a request, and only from the proxies that the operator lists.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::client::TrustedProxies;
use super::framing;

/// Where proxies ask. The rest of the path says which proxy, and so how it repeats the request and takes the answer.
const PREFIX: &[u8] = b"/.sekisho/auth/";

/// How a proxy asks, and what it does with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// `auth_request` of nginx: it knows 200, 401 and 403 and passes nothing of the answer on.
    Verdict,
    /// The second question of nginx, after a refusal: the answer goes to the client.
    Refusal,
    /// `ForwardAuth` of Traefik and `forward_auth` of Caddy: the client is given whatever is not a 2xx.
    Forward,
    /// `ext_authz` of Envoy: the same, and the original target stands behind our path.
    Prefixed,
}

/// A question that can be answered.
#[derive(Debug)]
pub struct Question {
    /// How it is asked.
    pub manner: Manner,
    /// The head of the request it is about, as if that had come here itself.
    pub about: RequestHeader,
}

/// Why a question cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// The proxy leaves out what the judgement depends on.
    #[error("the proxy does not say {0} of the request")]
    Missing(&'static str),
    /// One header several times, or bytes that have no place in it.
    #[error("the proxy says {0} of the request in more than one way")]
    Ambiguous(&'static str),
    /// Two headers disagree: a client has sent one of them.
    #[error("the headers that repeat the request contradict each other about {0}")]
    Contradiction(&'static str),
    /// The request came over plain HTTP.
    #[error("the request did not come by HTTPS")]
    Insecure,
}

/// What is said of the request that a question is about.
#[derive(Clone, Copy, Default)]
struct Said<'a> {
    method: Option<&'a str>,
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    target: Option<&'a str>,
}

/// Headers that repeat the request and are not part of it.
const STATEMENTS: [&str; 6] = [
    "x-original-url",
    "x-original-method",
    "x-forwarded-method",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-uri",
];

/// The manner of a question, when a request is one: it comes from a listed proxy to one of the paths for this.
pub fn asked(session: &Session, proxies: &TrustedProxies) -> Option<Manner> {
    let rest = session.req_header().raw_path().strip_prefix(PREFIX)?;
    let peer = session.client_addr()?.as_inet()?.ip().to_canonical();
    if proxies.trusts(peer) { manner(rest) } else { None }
}

fn manner(rest: &[u8]) -> Option<Manner> {
    if rest.starts_with(b"envoy/") {
        return Some(Manner::Prefixed);
    }
    // Caddy lets the client's query stand behind our path; the question does not depend on it.
    match rest.split(|byte| *byte == b'?').next()? {
        b"nginx" => Some(Manner::Verdict),
        b"nginx/refusal" => Some(Manner::Refusal),
        b"traefik" | b"caddy" => Some(Manner::Forward),
        _ => None,
    }
}

impl Question {
    /// Reads it. `proxies` name their clients as all trusted ones do.
    ///
    /// # Errors
    /// What of it is missing, or can be understood in two ways.
    pub fn read(manner: Manner, head: &RequestHeader, proxies: &TrustedProxies) -> Result<Self, Unclear> {
        let headers = &head.headers;
        let said = match manner {
            Manner::Verdict | Manner::Refusal => original(headers)?,
            Manner::Forward => forwarded(headers)?,
            Manner::Prefixed => prefixed(head)?,
        };
        // Whatever else repeats the request must say the same: a client that sends such a header changes nothing.
        for other in [original(headers)?, forwarded(headers)?] {
            said.agrees_with(&other)?;
        }
        let method = said.method.ok_or(Unclear::Missing("the method"))?;
        let host = said.host.filter(|host| !host.is_empty());
        let host = host.ok_or(Unclear::Missing("the host"))?;
        let target = said.target.ok_or(Unclear::Missing("the target"))?;
        if said.scheme.ok_or(Unclear::Missing("the scheme"))? != "https" {
            return Err(Unclear::Insecure);
        }
        if !proxies.name_client(headers) {
            return Err(Unclear::Missing("the client"));
        }
        if !target.starts_with('/') || !framing::is_target(target.as_bytes()) {
            return Err(Unclear::Ambiguous("the target"));
        }
        let about = request(headers, method, host, target).ok_or(Unclear::Ambiguous("the method or host"))?;
        Ok(Self { manner, about })
    }
}

impl<'a> Said<'a> {
    fn agrees_with(&self, other: &Said<'a>) -> Result<(), Unclear> {
        let differ = |own: Option<&str>, other: Option<&str>| own.zip(other).is_some_and(|(own, other)| own != other);
        let hosts = self.host.zip(other.host);
        if differ(self.method, other.method) {
            Err(Unclear::Contradiction("the method"))
        } else if differ(self.scheme, other.scheme) {
            Err(Unclear::Contradiction("the scheme"))
        } else if hosts.is_some_and(|(own, other)| !own.eq_ignore_ascii_case(other)) {
            Err(Unclear::Contradiction("the host"))
        } else if differ(self.target, other.target) {
            Err(Unclear::Contradiction("the target"))
        } else {
            Ok(())
        }
    }
}

/// `X-Original-Method` and `X-Original-URL`.
fn original(headers: &HeaderMap) -> Result<Said<'_>, Unclear> {
    let mut said = Said {
        method: sole(headers, "x-original-method", "the method")?,
        ..Said::default()
    };
    if let Some(url) = sole(headers, "x-original-url", "the target")? {
        let (scheme, rest) = url.split_once("://").ok_or(Unclear::Ambiguous("the target"))?;
        let slash = rest.find('/').ok_or(Unclear::Ambiguous("the target"))?;
        let (host, target) = rest.split_at(slash);
        (said.scheme, said.host, said.target) = (Some(scheme), Some(host), Some(target));
    }
    Ok(said)
}

/// `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
fn forwarded(headers: &HeaderMap) -> Result<Said<'_>, Unclear> {
    // Of a WebSocket, Traefik says `wss`.
    let scheme = sole(headers, "x-forwarded-proto", "the scheme")?;
    Ok(Said {
        method: sole(headers, "x-forwarded-method", "the method")?,
        scheme: scheme.map(|scheme| if scheme == "wss" { "https" } else { scheme }),
        host: sole(headers, "x-forwarded-host", "the host")?,
        target: sole(headers, "x-forwarded-uri", "the target")?,
    })
}

/// Method and host of the question, and its target without our path.
fn prefixed(head: &RequestHeader) -> Result<Said<'_>, Unclear> {
    let target = head.raw_path().strip_prefix(b"/.sekisho/auth/envoy");
    let host = match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => sole(&head.headers, "host", "the host")?,
    };
    Ok(Said {
        method: Some(head.method.as_str()),
        scheme: forwarded(&head.headers)?.scheme,
        host,
        target: target.and_then(|target| std::str::from_utf8(target).ok()),
    })
}

/// The value of a header that is there once.
fn sole<'a>(headers: &'a HeaderMap, name: &str, what: &'static str) -> Result<Option<&'a str>, Unclear> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Unclear::Ambiguous(what)),
        (Some(_), Some(_)) => Err(Unclear::Ambiguous(what)),
    }
}

/// The head that the request had at the proxy, but for what concerns the proxy's connection alone.
fn request(headers: &HeaderMap, method: &str, host: &str, target: &str) -> Option<RequestHeader> {
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let host = HeaderValue::from_str(host).ok()?;
    let mut about = RequestHeader::build(method, target.as_bytes(), Some(headers.len() + 1)).ok()?;
    about.insert_header(HOST, host).ok()?;
    let own = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, CONNECTION, UPGRADE];
    for (name, value) in headers {
        if !own.contains(name) && !STATEMENTS.contains(&name.as_str()) {
            about.append_header(name.clone(), value.clone()).ok()?;
        }
    }
    // Proxies take `Upgrade` off their question. Nothing but a handshake says these (RFC 6455 section 4.1; in HTTP/2
    // there is no key, RFC 8441), and pages cannot send them in a fetch.
    if headers.keys().any(|name| name.as_str().starts_with("sec-websocket-")) {
        about.insert_header(UPGRADE, "websocket").ok()?;
        about.insert_header(CONNECTION, "Upgrade").ok()?;
    }
    Some(about)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    const NGINX: &[(&str, &str)] = &[
        ("host", "gate.internal"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-original-method", "POST"),
        ("x-original-url", "https://in.test/a?b=c"),
        ("cookie", "x=y"),
        ("content-length", "0"),
    ];
    const TRAEFIK: &[(&str, &str)] = &[
        ("host", "gate.internal:8443"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "in.test"),
        ("x-forwarded-uri", "/a?b=c"),
        ("cookie", "x=y"),
    ];
    const ENVOY: &[(&str, &str)] = &[
        ("host", "in.test"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("cookie", "x=y"),
        ("content-length", "0"),
    ];

    fn read(target: &str, fields: &[(&str, &str)]) -> Result<Question, Unclear> {
        let manner = manner(target.strip_prefix("/.sekisho/auth/").unwrap().as_bytes()).unwrap();
        let method = if manner == Manner::Prefixed { "POST" } else { "GET" };
        let mut head = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        for (name, value) in fields {
            head.append_header((*name).to_owned(), (*value).to_owned()).unwrap();
        }
        Question::read(manner, &head, &TrustedProxies::default())
    }

    /// The fields with one more, in place of the one with its name.
    fn with<'a>(fields: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut fields: Vec<_> = fields.iter().copied().filter(|(known, _)| *known != name).collect();
        fields.push((name, value));
        fields
    }

    #[test]
    fn every_proxy_is_understood() {
        for (path, fields) in [
            ("/.sekisho/auth/nginx", NGINX),
            ("/.sekisho/auth/nginx/refusal", NGINX),
            ("/.sekisho/auth/traefik", TRAEFIK),
            ("/.sekisho/auth/caddy", TRAEFIK),
            ("/.sekisho/auth/envoy/a?b=c", ENVOY),
        ] {
            let about = read(path, fields).unwrap().about;
            assert_eq!(
                (about.method.as_str(), about.raw_path()),
                ("POST", &b"/a?b=c"[..]),
                "{path}"
            );
            let mut names: Vec<_> = about.headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["cookie", "host", "x-forwarded-for"], "{path}");
            assert_eq!(about.headers.get("host").unwrap(), "in.test", "{path}");
        }
    }

    #[test]
    fn other_paths_are_no_questions() {
        for rest in ["", "nginx/", "nginx/x", "Nginx", "apache", "envoy", "caddy/"] {
            assert_eq!(manner(rest.as_bytes()), None, "{rest}");
        }
        assert_eq!(manner(b"caddy?b=c"), Some(Manner::Forward), "the client's query");
    }

    #[test]
    fn what_is_left_out_is_refused() {
        for (path, fields) in [
            ("/.sekisho/auth/nginx", NGINX),
            ("/.sekisho/auth/traefik", TRAEFIK),
            ("/.sekisho/auth/envoy/a", ENVOY),
        ] {
            for (left_out, _) in fields.iter().filter(|(name, _)| name.starts_with("x-")) {
                let rest: Vec<_> = fields.iter().copied().filter(|(name, _)| name != left_out).collect();
                let refused = read(path, &rest);
                assert!(matches!(refused, Err(Unclear::Missing(_))), "{left_out}: {refused:?}");
            }
            for nobody in ["", "unknown", ", ", "203.0.113.7, unknown"] {
                let refused = read(path, &with(fields, "x-forwarded-for", nobody));
                assert_eq!(refused.unwrap_err(), Unclear::Missing("the client"), "{nobody}");
            }
        }
    }

    #[test]
    fn what_is_said_twice_or_in_two_ways_is_refused() {
        for (path, fields) in [("/.sekisho/auth/nginx", NGINX), ("/.sekisho/auth/caddy", TRAEFIK)] {
            for name in STATEMENTS {
                let same = match name {
                    "x-original-url" => "https://in.test/a?b=c",
                    "x-forwarded-proto" => "https",
                    "x-forwarded-host" => "in.test",
                    "x-forwarded-uri" => "/a?b=c",
                    _ => "POST",
                };
                let mut once = with(fields, name, same);
                assert!(read(path, &once).is_ok(), "{name}");
                once.push((name, same));
                assert!(matches!(read(path, &once), Err(Unclear::Ambiguous(_))), "{path} {name}");
            }
        }
        for (name, other) in [
            ("x-forwarded-method", "GET"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "out.test"),
            ("x-forwarded-uri", "/public"),
        ] {
            let refused = read("/.sekisho/auth/nginx", &with(NGINX, name, other));
            assert!(matches!(refused, Err(Unclear::Contradiction(_))), "{name}: {refused:?}");
        }
        for (name, other) in [
            ("x-original-method", "GET"),
            ("x-original-url", "https://in.test/public"),
            ("x-original-url", "https://out.test/a?b=c"),
            ("x-original-url", "http://in.test/a?b=c"),
        ] {
            for (path, fields) in [
                ("/.sekisho/auth/traefik", TRAEFIK),
                ("/.sekisho/auth/envoy/a?b=c", ENVOY),
            ] {
                let refused = read(path, &with(fields, name, other));
                assert!(
                    matches!(refused, Err(Unclear::Contradiction(_))),
                    "{path} {name}: {refused:?}"
                );
            }
        }
    }

    #[test]
    fn what_no_server_would_take_for_a_request_is_refused() {
        for url in [
            "in.test/a",
            "https://in.test",
            "https:///a",
            "/a",
            "https://in.test/a b",
            "https://in.test/a#b",
        ] {
            assert!(
                read("/.sekisho/auth/nginx", &with(NGINX, "x-original-url", url)).is_err(),
                "{url}"
            );
        }
        for target in ["a", "https://in.test/a", "", "*", "/a b", "/a#b"] {
            assert!(
                read("/.sekisho/auth/caddy", &with(TRAEFIK, "x-forwarded-uri", target)).is_err(),
                "{target}"
            );
        }
        let plain = read("/.sekisho/auth/caddy", &with(TRAEFIK, "x-forwarded-proto", "http"));
        assert_eq!(plain.unwrap_err(), Unclear::Insecure);
    }

    #[test]
    fn a_handshake_is_known_by_what_no_other_request_says() {
        for (name, value) in [
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ] {
            let fields = [NGINX, &[(name, value)]].concat();
            let about = read("/.sekisho/auth/nginx", &with(&fields, "x-original-method", "GET"))
                .unwrap()
                .about;
            assert!(super::super::tunnel::is_handshake(&about), "{name}");
        }
    }
}
