//! The WebSocket of a page: presence and calls out, what the person does in.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::floor::Status;
use super::gate::Admitted;
use super::hub::{Hub, Page};
use super::{App, unix_now};

/// How often the page is pinged, so that nothing between takes the silence for death.
const PING: Duration = Duration::from_secs(20);
/// A page that says nothing for this long, not even a pong, is gone.
const SILENCE: Duration = Duration::from_mins(1);
/// A page that takes longer to accept a message is too slow.
const SLOW: Duration = Duration::from_secs(10);
/// The longest message of a page, in bytes.
const LONGEST: usize = 4096;
/// A person does not click faster than this, in messages between two pings.
const MOST: u32 = 200;

/// RFC 6455 and the registry it opened.
mod code {
    pub const GOING_AWAY: u16 = 1001;
    pub const POLICY: u16 = 1008;
    pub const TRY_AGAIN: u16 = 1013;
}

/// What a page sends.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Action {
    Dial { to: String },
    Answer,
    HangUp,
    Status { status: Status },
    Echo { at: f64 },
}

/// `GET /ws`.
pub async fn open(
    State(app): State<Arc<App>>,
    Extension(admitted): Extension<Arc<Admitted>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Ok(place) = Arc::clone(&app.hub.sockets).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    upgrade
        .max_message_size(LONGEST)
        .max_frame_size(LONGEST)
        .on_upgrade(async move |socket| {
            serve(socket, &app.hub, &admitted, &app.stop).await;
            drop(place);
        })
}

async fn serve(mut socket: WebSocket, hub: &Arc<Hub>, admitted: &Admitted, stop: &CancellationToken) {
    let claims = &admitted.verified.claims;
    let page = hub.join(&claims.ext, &claims.name);
    let Some(close) = converse(&mut socket, hub, &claims.ext, page, stop).await else {
        return;
    };
    let (code, reason) = close;
    let reason = Utf8Bytes::from_static(reason);
    let _ = send(&mut socket, Message::Close(Some(CloseFrame { code, reason }))).await;
    // The page answers the close; whatever it still says until then is not read any more.
    let _ = timeout(Duration::from_secs(2), async {
        while let Some(Ok(_)) = socket.recv().await {}
    })
    .await;
}

/// Until something ends it: the answer says how to close, or nothing when there is nobody left.
async fn converse(
    socket: &mut WebSocket,
    hub: &Arc<Hub>,
    ext: &str,
    mut page: Page,
    stop: &CancellationToken,
) -> Option<(u16, &'static str)> {
    send(socket, Message::Text(page.hello.clone())).await?;
    let mut pings = pings();
    let mut heard = Instant::now();
    let mut actions = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Some((code::GOING_AWAY, "stopping")),
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE {
                    return None;
                }
                actions = 0;
                send(socket, Message::Ping(Bytes::new())).await?;
            }
            note = page.notes.recv() => match note {
                Ok(note) if note.to.as_deref().is_none_or(|to| to == ext) => {
                    send(socket, Message::Text(note.text.clone())).await?;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Some((code::TRY_AGAIN, "too slow")),
                Err(RecvError::Closed) => return Some((code::GOING_AWAY, "stopping")),
            },
            message = socket.recv() => {
                heard = Instant::now();
                let Message::Text(text) = message?.ok()? else {
                    continue;
                };
                actions += 1;
                let (Ok(action), true) = (serde_json::from_str(&text), actions <= MOST) else {
                    return Some((code::POLICY, "not understood"));
                };
                if let Some(reply) = perform(action, hub, ext) {
                    send(socket, Message::Text(reply.into())).await?;
                }
            }
        }
    }
}

fn perform(action: Action, hub: &Hub, ext: &str) -> Option<String> {
    let now = unix_now();
    match action {
        Action::Dial { to } => hub.act(|floor| floor.dial(ext, &to, now)),
        Action::Answer => hub.act(|floor| floor.answer(ext, now)),
        Action::HangUp => hub.act(|floor| floor.hang_up(ext, now)),
        Action::Status { status } => hub.act(|floor| floor.set_status(ext, status)),
        Action::Echo { at } => return Some(serde_json::json!({ "type": "echo", "at": at }).to_string()),
    }
    None
}

/// `None` when the page is gone or too slow.
async fn send(socket: &mut WebSocket, message: Message) -> Option<()> {
    timeout(SLOW, socket.send(message)).await.ok()?.ok()
}

fn pings() -> Interval {
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}
