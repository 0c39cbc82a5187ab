//! How a request comes: a person navigating, a script fetching, a page opening a WebSocket. Who is not signed in is
//! answered in the way that the one who asked can read.

use http::header::{ACCEPT, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, request};

/// How a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approach {
    /// A person goes to an address.
    Navigation,
    /// A script asks, a page loads a part of itself, or a program does either.
    Fetch,
    /// A handshake for a WebSocket.
    WebSocket,
}

impl Approach {
    /// By what the browser says of it (Fetch Metadata), else by an upgrade, else by what is accepted.
    pub fn of(head: &request::Parts) -> Self {
        let upgrade = head.headers.contains_key(UPGRADE);
        match head.headers.get("sec-fetch-mode").map(HeaderValue::as_bytes) {
            Some(b"navigate") if is_whole_page(&head.headers) => Self::Navigation,
            Some(b"websocket") | None if upgrade => Self::WebSocket,
            None if looks(&head.method) && accepts(&head.headers, "text/html") => Self::Navigation,
            Some(_) | None => Self::Fetch,
        }
    }
}

/// What a navigation loads is a page of its own, rather than an `<object>` within another.
fn is_whole_page(headers: &HeaderMap) -> bool {
    let destination = headers.get("sec-fetch-dest").map(HeaderValue::as_bytes);
    matches!(destination, Some(b"document" | b"iframe" | b"frame"))
}

fn looks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a browser only fetches ahead: `Sec-Purpose` (Fetch Standard, section 2.2.7), and what older ones say.
pub(super) fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].iter().any(|name| {
        let said = headers.get_all(*name).iter();
        said.filter_map(|value| value.to_str().ok()).any(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("prefetch") || value.contains("preview")
        })
    })
}

/// Whether a media type is named as accepted.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let essence = range.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case(media_type)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approach(method: &str, headers: &[(&str, &str)]) -> Approach {
        let mut request = http::Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Approach::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_person_who_navigates_is_told_from_a_script_that_fetches_and_a_page_that_opens_a_websocket() {
        use Approach::{Fetch, Navigation, WebSocket};

        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let upgrade = ("upgrade", "websocket");
        let (navigate, document) = (("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"));
        for (method, headers, expected) in [
            ("GET", vec![html], Navigation),
            ("HEAD", vec![html], Navigation),
            ("POST", vec![html], Fetch),
            ("GET", vec![], Fetch),
            ("GET", vec![("accept", "*/*")], Fetch),
            ("GET", vec![("accept", "application/json")], Fetch),
            ("POST", vec![navigate, document], Navigation),
            ("GET", vec![html, navigate, ("sec-fetch-dest", "iframe")], Navigation),
            ("GET", vec![html, navigate, ("sec-fetch-dest", "object")], Fetch),
            ("GET", vec![html, navigate], Fetch),
            (
                "GET",
                vec![html, ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
                Fetch,
            ),
            (
                "GET",
                vec![html, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
                Fetch,
            ),
            ("GET", vec![html, upgrade], WebSocket),
            ("GET", vec![upgrade, ("sec-fetch-mode", "websocket")], WebSocket),
            ("GET", vec![("sec-fetch-mode", "websocket")], Fetch),
            // What the browser says of it comes first.
            ("GET", vec![upgrade, navigate, document], Navigation),
            ("GET", vec![upgrade, ("sec-fetch-mode", "cors")], Fetch),
        ] {
            assert_eq!(approach(method, &headers), expected, "{method} {headers:?}");
        }
    }
}
