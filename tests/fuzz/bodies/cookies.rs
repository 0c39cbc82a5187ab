//! What the fuzz target `cookies` does with its input; apart from the target because a test does the same with a bounded
//! number of inputs, on machines that have no fuzzer.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use sekisho::domain::token::SessionToken;
use sekisho::flows::Presented;
use sekisho::web::cookie::{presented, without_ours};

/// The session's cookie; the names of the others begin with it.
const NAME: &str = "__Host-sekisho";

/// Whatever stands in the `Cookie` lines of a request: a session is read only where exactly one is told, and nothing of
/// ours goes on to the upstream while everything else does.
pub fn cookies(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|b| *b == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let told = told(&headers);
    match presented(&headers, NAME) {
        Presented::Nothing => assert!(told.is_empty(), "a session is overlooked"),
        Presented::Token(token) => {
            let text = token.expose();
            assert!(
                !told.is_empty() && told.iter().all(|value| *value == text.as_bytes()),
                "another session is told as well"
            );
        }
        Presented::Unclear => {
            let token = |value: &[u8]| std::str::from_utf8(value).ok().and_then(SessionToken::parse).is_some();
            let alike = told.windows(2).all(|two| two[0] == two[1]);
            assert!(!(alike && token(told[0])), "one session is told, and it is not read");
        }
    }
    for value in headers.get_all(COOKIE) {
        upstream(value.as_bytes());
    }
}

/// What one line becomes on its way to the upstream.
fn upstream(line: &[u8]) {
    let left = without_ours(line, &[NAME.to_owned()]).unwrap_or_default();
    let mut after = pairs(&left).filter(|pair| !pair.is_empty());
    for pair in pairs(line).filter(|pair| !pair.is_empty() && !is_ours(pair)) {
        assert_eq!(after.next(), Some(pair), "a cookie of the web client is lost");
    }
    assert_eq!(after.next(), None, "a cookie of ours goes on, or one that nobody sent");
    assert!(HeaderValue::from_bytes(&left).is_ok(), "it is no header value any more");
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| *b == b';').map(<[u8]>::trim_ascii)
}

fn is_ours(pair: &[u8]) -> bool {
    pair.to_ascii_lowercase()
        .starts_with(NAME.to_ascii_lowercase().as_bytes())
}

/// The values of every cookie of the session's name.
fn told(headers: &HeaderMap) -> Vec<&[u8]> {
    let all = headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|line| pairs(line.as_bytes()));
    all.filter_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        (name.trim_ascii() == NAME.as_bytes()).then(|| value.trim_ascii())
    })
    .collect()
}
