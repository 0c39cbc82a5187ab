//! Answers of ours to a page of another origin that the operator lets use a part of the web client (CORS, Fetch Standard
//! section 3.3). Every such answer names that one origin: there is no star where sessions are.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, request};

/// The page that asks. The proxy sets it as a request extension, and only where the operator lets that page ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Across {
    /// Its origin.
    pub origin: HeaderValue,
    /// The origin by which it asks: what an address of ours begins with for a page elsewhere.
    pub door: String,
    /// Whether its preflights are answered without a session.
    pub preflight: bool,
}

/// What such a page may do; what comes of it is judged when it does it.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// How long a browser remembers the answer to a preflight, in seconds.
const REMEMBERED: &str = "600";

/// The longest list of headers that is granted, in bytes.
const MOST_HEADERS: usize = 1024;

impl Across {
    /// Whether this is a preflight that is answered here.
    pub(super) fn answers(&self, head: &request::Parts) -> bool {
        self.preflight && head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Lets the page read the answer.
    pub(super) fn allow(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
}

/// What a preflight is told besides.
pub(super) fn grant(asked: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
    if let Some(names) = asked {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
}

/// The headers that a preflight asks for, when they are a plain list of names.
pub(super) fn asked(head: &request::Parts) -> Option<HeaderValue> {
    let mut values = head.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let sole = values.next().filter(|_| values.next().is_none())?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(byte);
    (sole.len() <= MOST_HEADERS && sole.as_bytes().iter().all(plain)).then(|| sole.clone())
}
