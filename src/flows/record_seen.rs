//! Writes down, off the proxied path, when sessions and API tokens were last used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::api_token::{ApiTokenId, LastUse};
use crate::domain::session::SessionId;
use crate::ports::{ApiTokens, Sessions};

/// Something was used.
enum Note {
    Session(SessionId, Timestamp),
    Token(ApiTokenId, LastUse),
}

/// Notes uses without ever waiting.
#[derive(Clone)]
pub struct SeenSender(mpsc::Sender<Note>);

impl SeenSender {
    /// Notes one use. When the queue is full the note is dropped: the next use is a minute away at most.
    pub fn note(&self, session: SessionId, at: Timestamp) {
        let _ = self.0.try_send(Note::Session(session, at));
    }

    /// The same, of an API token.
    pub fn note_token(&self, token: ApiTokenId, used: LastUse) {
        let _ = self.0.try_send(Note::Token(token, used));
    }
}

/// Collects notes and writes them to the store in batches.
pub struct RecordSeen {
    sessions: Arc<dyn Sessions>,
    tokens: Arc<dyn ApiTokens>,
    notes: mpsc::Receiver<Note>,
}

impl RecordSeen {
    /// The most notes that wait, and that one write takes.
    const CAPACITY: usize = 4096;

    /// The writer and the end to note uses at.
    pub fn new(sessions: Arc<dyn Sessions>, tokens: Arc<dyn ApiTokens>) -> (Self, SeenSender) {
        let (sender, notes) = mpsc::channel(Self::CAPACITY);
        let writer = Self {
            sessions,
            tokens,
            notes,
        };
        (writer, SeenSender(sender))
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

    async fn write(&self, batch: &mut Vec<Note>) {
        let (mut sessions, mut tokens) = (HashMap::new(), HashMap::new());
        for note in batch.drain(..) {
            match note {
                Note::Session(id, at) => drop(sessions.insert(id, at)),
                Note::Token(id, used) => drop(tokens.insert(id, used)),
            }
        }
        if !sessions.is_empty() {
            let newest: Vec<_> = sessions.into_iter().collect();
            if let Err(fault) = self.sessions.touch(&newest).await {
                tracing::warn!(fault = fault.chain(), "could not record when sessions were last used");
            }
        }
        if !tokens.is_empty() {
            let newest: Vec<_> = tokens.into_iter().collect();
            if let Err(fault) = self.tokens.used(&newest).await {
                tracing::warn!(fault = fault.chain(), "could not record when API tokens were last used");
            }
        }
    }
}
