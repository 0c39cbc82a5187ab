//! The call log as server-sent events: the last calls at once, then each as it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, interval_at, timeout};

use super::App;

/// How often a comment is sent into the silence, so that nothing between takes it for death.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A page that takes longer to accept an event is too slow.
const SLOW: Duration = Duration::from_secs(10);

/// `GET /events`.
pub async fn stream(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Ok(place) = Arc::clone(&app.hub.streams).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (sender, frames) = mpsc::channel(16);
    tokio::spawn(feed(app, last_seen(&headers), sender, place));
    (
        [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        Body::new(Feed(frames)),
    )
        .into_response()
}

/// The id of the last event that a reconnecting page has seen.
fn last_seen(headers: &HeaderMap) -> u64 {
    let id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    id.and_then(|id| id.parse().ok()).unwrap_or(0)
}

async fn feed(app: Arc<App>, seen: u64, page: mpsc::Sender<Bytes>, _place: OwnedSemaphorePermit) {
    let (earlier, mut calls) = app.hub.calls_since(seen);
    let mut silence = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    let mut frames = vec![Bytes::from_static(b"retry: 3000\n\n")];
    frames.extend(earlier);
    loop {
        for frame in frames.drain(..) {
            if !matches!(timeout(SLOW, page.send(frame)).await, Ok(Ok(()))) {
                return;
            }
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = page.closed() => return,
            _ = silence.tick() => frames.push(Bytes::from_static(b":\n\n")),
            call = calls.recv() => match call {
                Ok(call) => frames.push(call.frame),
                // It reconnects and asks for what it missed.
                Err(_) => return,
            },
        }
    }
}

/// The events as a response body.
struct Feed(mpsc::Receiver<Bytes>);

impl http_body::Body for Feed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(context)
            .map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}
