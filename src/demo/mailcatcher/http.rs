//! The inbox page, over plain HTTP for a browser on the same machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::message::Message;
use super::page::{Page, View};

/// What the page may load: its own style and script, and the letter in its frame.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a letter may do, also when it is opened without the frame: nothing but look, and open links.
const LETTER_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox";

/// How long open requests may take once the catcher stops.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves the page until `stop`.
pub(super) async fn serve(listener: TcpListener, inbox: Inbox, smtp: SocketAddr, stop: CancellationToken) {
    let routes = routes(inbox, smtp);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        // A browser may hold connections open on which it never asks for anything.
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving.into_future() => if let Err(error) = served {
            tracing::error!(%error, "the mail catcher's inbox page stopped");
        },
        () = overdue => {}
    }
}

struct Catcher {
    inbox: Inbox,
    page: Page,
}

fn routes(inbox: Inbox, smtp: SocketAddr) -> Router {
    let page = Page::new(smtp);
    Router::new()
        .route("/", get(index))
        .route("/list", get(list))
        .route("/messages/{id}", get(message))
        .route("/messages/{id}/letter", get(letter))
        .route("/messages/{id}/raw", get(raw))
        .route("/api/messages", get(api))
        .route("/clear", post(clear))
        .route(
            "/inbox.css",
            get(async || asset("text/css; charset=utf-8", include_str!("page/inbox.css"))),
        )
        .route(
            "/inbox.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("page/inbox.js"))),
        )
        .route(
            "/mark.svg",
            get(async || asset("image/svg+xml", include_str!("page/mark.svg"))),
        )
        .layer(DefaultBodyLimit::max(1024))
        .layer(middleware::from_fn(guard))
        .with_state(Arc::new(Catcher { inbox, page }))
}

/// Refuses requests under a name that is not this machine's own, and dresses every answer.
async fn guard(request: Request, next: Next) -> Response {
    // A page elsewhere can point its own name at 127.0.0.1 (DNS rebinding) and would then read
    // letters with live links; the name it asks under gives it away.
    let mut answer = if names_this_machine(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "Open this page as http://localhost.\n").into_response()
    };
    let headers = answer.headers_mut();
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(PAGE_POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(authority) = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .and_then(|host| host.parse::<Authority>().ok())
    else {
        return false;
    };
    let host = authority.host().to_ascii_lowercase();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a form of this very page sent the request.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        // `null` comes with our own `Referrer-Policy: no-referrer` from browsers too old to send
        // Sec-Fetch-Site, but from foreign sandboxed pages as well: refused.
        (None, Some(origin)) => {
            text(HOST.as_str()).is_some_and(|host| origin.strip_prefix("http://").is_some_and(|named| named == host))
        }
        // Not a browser.
        (None, None) => true,
    }
}

#[derive(Deserialize)]
struct Selection {
    selected: Option<u64>,
}

async fn index(State(catcher): State<Arc<Catcher>>) -> Response {
    html(catcher.page.inbox(&catcher.inbox.messages()))
}

async fn list(State(catcher): State<Arc<Catcher>>, Query(selection): Query<Selection>) -> Response {
    html(catcher.page.list(&catcher.inbox.messages(), selection.selected))
}

#[derive(Deserialize)]
struct Viewing {
    view: Option<View>,
}

async fn message(State(catcher): State<Arc<Catcher>>, Path(id): Path<u64>, Query(viewing): Query<Viewing>) -> Response {
    let messages = catcher.inbox.messages();
    match messages.iter().find(|message| message.id == id) {
        Some(message) => html(catcher.page.message(&messages, message, viewing.view)),
        None => gone(),
    }
}

/// The HTML part alone, for the frame.
async fn letter(State(catcher): State<Arc<Catcher>>, Path(id): Path<u64>) -> Response {
    let Some(message) = catcher.inbox.find(id) else {
        return gone();
    };
    let Some(part) = message.html.as_deref() else {
        return gone();
    };
    // Links open in a tab of their own. In front of whatever the letter begins with, since a parser
    // takes a second doctype, `html` and `head` in its stride.
    let document = format!("<!doctype html><base target=\"_blank\">{part}");
    ([(CONTENT_SECURITY_POLICY, LETTER_POLICY)], Html(document)).into_response()
}

async fn raw(State(catcher): State<Arc<Catcher>>, Path(id): Path<u64>) -> Response {
    match catcher.inbox.find(id) {
        Some(message) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], message.raw.clone()).into_response(),
        None => gone(),
    }
}

/// A letter for scripts.
#[derive(Serialize)]
struct Listed<'a> {
    id: u64,
    from: &'a str,
    to: &'a [String],
    sender: &'a str,
    subject: &'a str,
    date: Option<String>,
    text: Option<&'a str>,
    html: Option<&'a str>,
    links: Vec<String>,
}

async fn api(State(catcher): State<Arc<Catcher>>) -> Response {
    let messages = catcher.inbox.messages();
    let listed: Vec<Listed<'_>> = messages.iter().map(|message| listed(message)).collect();
    Json(listed).into_response()
}

fn listed(message: &Message) -> Listed<'_> {
    Listed {
        id: message.id,
        from: &message.from,
        to: &message.to,
        sender: &message.sender,
        subject: &message.subject,
        date: message.date.map(|date| date.to_string()),
        text: message.text.as_deref(),
        html: message.html.as_deref(),
        links: message.links(),
    }
}

async fn clear(State(catcher): State<Arc<Catcher>>, headers: HeaderMap) -> Response {
    if !is_own(&headers) {
        return (
            StatusCode::FORBIDDEN,
            "Only this page's own button empties the inbox.\n",
        )
            .into_response();
    }
    match catcher.inbox.clear() {
        Ok(()) => Redirect::to("/").into_response(),
        Err(error) => {
            tracing::warn!(%error, "the mail catcher could not remove its letters");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Not every letter could be removed.\n",
            )
                .into_response()
        }
    }
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], content).into_response()
}

fn html(rendered: Result<String, minijinja::Error>) -> Response {
    match rendered {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not show the mail catcher's inbox");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "This letter is not here any more.\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    const LETTER: &str = concat!(
        "From: Sekisho <no-reply@example.com>\r\n",
        "Subject: =?utf-8?b?44OR44K544Ov44O844OJPGI+?=\r\n",
        "MIME-Version: 1.0\r\n",
        "Content-Type: multipart/alternative; boundary=x\r\n\r\n",
        "--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSee https://example.com/?a=1&b=2 <i>\r\n",
        "--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><script>1</script></body></html>\r\n--x--\r\n",
    );

    fn inbox() -> Inbox {
        let inbox = Inbox::default();
        inbox
            .accept("from@example.com".into(), vec!["to@example.com".into()], LETTER.into())
            .unwrap();
        inbox
    }

    async fn ask(inbox: &Inbox, request: axum::http::request::Builder) -> (StatusCode, HeaderMap, String) {
        let smtp = "127.0.0.1:1025".parse().unwrap();
        let answer = routes(inbox.clone(), smtp)
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (head, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn get(path: &str) -> axum::http::request::Builder {
        Request::get(path).header(HOST, "localhost:8025")
    }

    #[tokio::test]
    async fn the_inbox_lists_letters_and_escapes_them() {
        let (status, headers, page) = ask(&inbox(), get("/")).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], PAGE_POLICY);
        assert!(
            page.contains("<span class=\"subject\" lang=\"ja\">パスワード&lt;b&gt;</span>"),
            "{page}"
        );
        assert!(
            page.contains("to@example.com") && page.contains("smtp://127.0.0.1:1025"),
            "{page}"
        );
        let (_, _, empty) = ask(&Inbox::default(), get("/")).await;
        assert!(empty.contains("Waiting for the first letter."));
    }

    #[tokio::test]
    async fn a_letter_shows_each_of_its_sides() {
        let inbox = inbox();
        let (_, _, html) = ask(&inbox, get("/messages/1")).await;
        assert!(
            html.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""),
            "{html}"
        );
        let (_, _, text) = ask(&inbox, get("/messages/1?view=text")).await;
        assert!(text.contains("href=\"https:&#x2f;&#x2f;example.com&#x2f;?a=1&amp;b=2\">https:&#x2f;&#x2f;example.com&#x2f;?a=1&amp;b=2</a> &lt;i&gt;"), "{text}");
        let (_, _, source) = ask(&inbox, get("/messages/1?view=source")).await;
        assert!(source.contains("Subject: =?utf-8?b?"));
        let (_, headers, raw) = ask(&inbox, get("/messages/1/raw")).await;
        assert_eq!(raw, LETTER);
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(ask(&inbox, get("/messages/2")).await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_letter_in_the_frame_may_open_links_and_nothing_else() {
        let (_, headers, letter) = ask(&inbox(), get("/messages/1/letter")).await;
        assert!(letter.starts_with("<!doctype html><base target=\"_blank\"><html>"));
        assert_eq!(headers[CONTENT_SECURITY_POLICY], LETTER_POLICY);
    }

    #[tokio::test]
    async fn scripts_read_letters_as_json() {
        let (_, _, json) = ask(&inbox(), get("/api/messages")).await;
        let listed: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(listed[0]["subject"], "パスワード<b>");
        assert_eq!(listed[0]["links"][0], "https://example.com/?a=1&b=2");
        assert_eq!(listed[0]["to"][0], "to@example.com");
    }

    #[tokio::test]
    async fn only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:8025",
            "mail.localhost",
            "127.0.0.1:8025",
            "[::1]:8025",
        ] {
            let (status, ..) = ask(&inbox(), Request::get("/").header(HOST, host)).await;
            assert_eq!(status, StatusCode::OK, "{host}");
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:8025",
            "192.0.2.1",
            "",
        ] {
            let (status, _, body) = ask(&inbox(), Request::get("/api/messages").header(HOST, host)).await;
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
            assert!(!body.contains("example.com/?a=1"));
        }
        assert_eq!(
            ask(&inbox(), Request::get("/")).await.0,
            StatusCode::MISDIRECTED_REQUEST
        );
    }

    #[tokio::test]
    async fn only_the_pages_own_button_empties_the_inbox() {
        let inbox = inbox();
        let post = || Request::post("/clear").header(HOST, "localhost:8025");
        for foreign in [
            post().header("sec-fetch-site", "cross-site"),
            post().header("sec-fetch-site", "same-site"),
            post().header(ORIGIN, "http://example.com"),
            post().header(ORIGIN, "http://localhost:3000"),
            post().header(ORIGIN, "null"),
        ] {
            assert_eq!(ask(&inbox, foreign).await.0, StatusCode::FORBIDDEN);
        }
        assert_eq!(ask(&inbox, get("/clear")).await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(inbox.messages().len(), 1);
        let own = post()
            .header("sec-fetch-site", "same-origin")
            .header(ORIGIN, "http://localhost:8025");
        assert_eq!(ask(&inbox, own).await.0, StatusCode::SEE_OTHER);
        assert!(inbox.messages().is_empty());
    }

    #[tokio::test]
    async fn a_stop_does_not_wait_for_an_idle_browser() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, inbox(), address, stop.clone()));
        let idle = tokio::net::TcpStream::connect(address).await.unwrap();
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), serving)
            .await
            .expect("ends in time")
            .unwrap();
        drop(idle);
    }
}
