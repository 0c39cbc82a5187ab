//! Shows a visitor what this application received and whom it takes them for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::App;
use super::gate::Admitted;

/// `GET /me`: who the visitor is; also the way for a page to learn whether its session still lives.
pub async fn me(Extension(admitted): Extension<Arc<Admitted>>) -> Json<Value> {
    Json(json!(admitted.verified.claims))
}

/// `/headers`: the request as it arrived, and the assertion with all checks.
pub async fn headers(
    State(app): State<Arc<App>>,
    Extension(admitted): Extension<Arc<Admitted>>,
    request: Request<Body>,
) -> Json<Value> {
    let lines: Vec<Value> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    Json(json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "version": format!("{:?}", request.version()),
        "headers": lines,
        "assertion": {
            "name": app.rules.header.as_str(),
            "header": admitted.verified.raw_header,
            "claims": admitted.verified.raw_claims,
            "verified": true,
            "checks": admitted.checks,
        },
    }))
}
