//! In front of every route: no valid assertion, no answer but why.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::verify::{self, Check, Examination, Refusal, Verified};
use super::{App, now};

/// What a handler knows about whom it answers; it is there or the handler is not reached.
pub struct Admitted {
    /// The verified assertion.
    pub verified: Verified,
    /// How it was verified.
    pub checks: Vec<Check>,
}

/// Verifies the assertion of a request and passes it on, or refuses it.
pub async fn admit(State(app): State<Arc<App>>, mut request: Request<Body>, next: Next) -> Response {
    let Examination { checks, outcome } = verify::examine(request.headers(), &app.rules, &app.keys, now()).await;
    let mut response = match outcome {
        Err(refusal) => refuse(&app, request.headers(), request.uri().query(), refusal, &checks),
        Ok(_) if foreign(request.method(), request.headers()) => StatusCode::FORBIDDEN.into_response(),
        Ok(verified) => {
            request.extensions_mut().insert(Arc::new(Admitted { verified, checks }));
            next.run(request).await
        }
    };
    protect(response.headers_mut());
    response
}

/// Another site has the visitor's browser send this. The gateway answers for who they are, and the
/// application for what they meant to do.
fn foreign(method: &Method, headers: &HeaderMap) -> bool {
    let acts = method != Method::GET && method != Method::HEAD || headers.contains_key(header::UPGRADE);
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    acts && !matches!(site, None | Some(b"same-origin" | b"none"))
}

fn refuse(app: &App, headers: &HeaderMap, query: Option<&str>, refusal: Refusal, checks: &[Check]) -> Response {
    tracing::info!(reason = %refusal, "the sample client refused a request");
    // RFC 9110 section 11.6.1 asks for a challenge with every 401.
    let challenge = [(header::WWW_AUTHENTICATE, "Assertion")];
    let body = if wants_html(headers) {
        app.pages.refusal(headers, query, refusal, checks)
    } else {
        let problem = json!({
            "type": "about:blank",
            "title": "No valid assertion",
            "status": 401,
            "reason": refusal,
            "checks": checks,
        });
        (
            [(header::CONTENT_TYPE, "application/problem+json")],
            problem.to_string(),
        )
            .into_response()
    };
    (StatusCode::UNAUTHORIZED, challenge, body).into_response()
}

/// A person is looking at it, not a script.
pub fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// What every answer says to the browser, unless it has said so itself.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
