//! An upload of any size: counted and digested as it arrives, kept nowhere.

use axum::Json;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// What arrived.
#[derive(Serialize)]
struct Receipt {
    bytes: u64,
    /// In hexadecimal.
    sha256: String,
    seconds: f64,
}

/// `POST /upload`: the body is the file.
pub async fn receive(request: Request<Body>) -> Response {
    let started = Instant::now();
    let mut body = request.into_body();
    let (mut bytes, mut digest) = (0, Sha256::new());
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            // The sender has gone away half-way; nobody is left to read more than this.
            return StatusCode::BAD_REQUEST.into_response();
        };
        if let Some(data) = frame.data_ref() {
            bytes += data.len() as u64;
            digest.update(data);
        }
    }
    Json(Receipt {
        bytes,
        sha256: format!("{:x}", Bytes::copy_from_slice(&digest.finalize())),
        seconds: started.elapsed().as_secs_f64(),
    })
    .into_response()
}
