//! Carries what happens in the office to every open page: one lock, two bounded channels.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::{MissedTickBehavior, interval};

use super::floor::{CallRecord, Floor, Message};
use super::unix_now;

/// The most open WebSocket connections, and as many event streams.
pub const MAX_PAGES: usize = 1000;
/// What a page may be behind before it is dropped.
const BACKLOG: usize = 256;
/// Calls shown to a page that opens the log.
const HISTORY: usize = 20;

/// The office and its channels.
pub struct Hub {
    inner: Mutex<Inner>,
    notes: broadcast::Sender<Arc<Envelope>>,
    calls: broadcast::Sender<LoggedCall>,
    /// Free places for WebSocket connections.
    pub sockets: Arc<Semaphore>,
    /// Free places for event streams.
    pub streams: Arc<Semaphore>,
}

struct Inner {
    floor: Floor,
    history: VecDeque<LoggedCall>,
}

/// A message as sent, and for whom.
pub struct Envelope {
    /// One extension, or everybody.
    pub to: Option<String>,
    /// The JSON.
    pub text: Utf8Bytes,
}

/// A finished call as an event of the stream.
#[derive(Clone)]
pub struct LoggedCall {
    /// Counts up.
    pub id: u64,
    /// The event, framed.
    pub frame: Bytes,
}

/// An open page of a person; dropping it lets them leave.
pub struct Page {
    hub: Arc<Hub>,
    ext: String,
    /// The first message for this page.
    pub hello: Utf8Bytes,
    /// All that follow.
    pub notes: broadcast::Receiver<Arc<Envelope>>,
}

impl Hub {
    /// An office at work.
    pub fn new() -> Arc<Self> {
        let mut floor = Floor::new(unix_now());
        let (_, records) = floor.take();
        Arc::new(Self {
            inner: Mutex::new(Inner {
                floor,
                history: records.iter().map(LoggedCall::new).collect(),
            }),
            notes: broadcast::channel(BACKLOG).0,
            calls: broadcast::channel(BACKLOG).0,
            sockets: Arc::new(Semaphore::new(MAX_PAGES)),
            streams: Arc::new(Semaphore::new(MAX_PAGES)),
        })
    }

    /// Lets the office work for as long as this is polled.
    pub async fn work(&self) {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            seconds.tick().await;
            self.act(|floor| floor.tick(unix_now()));
        }
    }

    /// Changes something and tells everybody concerned, in the order in which it happened.
    pub fn act(&self, change: impl FnOnce(&mut Floor)) {
        let mut inner = self.inner.lock();
        change(&mut inner.floor);
        self.publish(&mut inner);
    }

    /// Opens a page for this person.
    pub fn join(self: &Arc<Self>, ext: &str, name: &str) -> Page {
        let mut inner = self.inner.lock();
        inner.floor.join(ext, name);
        self.publish(&mut inner);
        let hello = Message::Hello {
            you: ext.to_owned(),
            people: inner.floor.people(),
        };
        Page {
            hub: Arc::clone(self),
            ext: ext.to_owned(),
            hello: json(&hello).into(),
            notes: self.notes.subscribe(),
        }
    }

    /// The last calls after this id, and all that follow.
    pub fn calls_since(&self, id: u64) -> (Vec<Bytes>, broadcast::Receiver<LoggedCall>) {
        let inner = self.inner.lock();
        let earlier = inner.history.iter().filter(|call| call.id > id);
        (earlier.map(|call| call.frame.clone()).collect(), self.calls.subscribe())
    }

    fn publish(&self, inner: &mut Inner) {
        let (notes, records) = inner.floor.take();
        // Sending fails only while nobody listens, and then there is nobody to tell.
        for note in notes {
            let text = json(&note.message).into();
            let _ = self.notes.send(Arc::new(Envelope { to: note.to, text }));
        }
        for record in &records {
            let call = LoggedCall::new(record);
            inner.history.push_back(call.clone());
            let _ = self.calls.send(call);
        }
        let surplus = inner.history.len().saturating_sub(HISTORY);
        inner.history.drain(..surplus);
    }
}

impl LoggedCall {
    fn new(record: &CallRecord) -> Self {
        let frame = format!("id: {}\nevent: call\ndata: {}\n\n", record.id, json(record));
        Self {
            id: record.id,
            frame: frame.into(),
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.hub.act(|floor| floor.leave(&self.ext, unix_now()));
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a message of the sample client has no JSON form");
        "{}".to_owned()
    })
}
