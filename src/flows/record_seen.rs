//! Writes down, off the proxied path, when sessions were last used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::session::SessionId;
use crate::ports::Sessions;

/// Notes uses without ever waiting.
#[derive(Clone)]
pub struct SeenSender(mpsc::Sender<(SessionId, Timestamp)>);

impl SeenSender {
    /// Notes one use. When the queue is full the note is dropped: the next use is a minute away at most.
    pub fn note(&self, session: SessionId, at: Timestamp) {
        let _ = self.0.try_send((session, at));
    }
}

/// Collects notes and writes them to the store in batches.
pub struct RecordSeen {
    sessions: Arc<dyn Sessions>,
    notes: mpsc::Receiver<(SessionId, Timestamp)>,
}

impl RecordSeen {
    /// The most notes that wait, and that one write takes.
    const CAPACITY: usize = 4096;

    /// The writer and the end to note uses at.
    pub fn new(sessions: Arc<dyn Sessions>) -> (Self, SeenSender) {
        let (sender, notes) = mpsc::channel(Self::CAPACITY);
        (Self { sessions, notes }, SeenSender(sender))
    }

    /// Writes until `done`, at most once per `pause`, and then what is left. What cannot be written is noted in the
    /// log and dropped: a session then idles out a minute early, never late.
    pub async fn run(mut self, pause: Duration, done: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let last = tokio::select! {
                biased;
                () = done.cancelled() => true,
                taken = self.notes.recv_many(&mut batch, Self::CAPACITY) => taken == 0,
            };
            if last {
                while let Ok(note) = self.notes.try_recv() {
                    batch.push(note);
                }
            }
            self.write(&mut batch).await;
            if last {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = done.cancelled() => {}
            }
        }
    }

    async fn write(&self, batch: &mut Vec<(SessionId, Timestamp)>) {
        let newest: HashMap<SessionId, Timestamp> = batch.drain(..).collect();
        let newest: Vec<_> = newest.into_iter().collect();
        if newest.is_empty() {
            return;
        }
        if let Err(fault) = self.sessions.touch(&newest).await {
            tracing::warn!(fault = fault.chain(), "could not record when sessions were last used");
        }
    }
}
