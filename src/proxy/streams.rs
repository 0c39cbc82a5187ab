//! Open streams and the sessions they belong to: a WebSocket or an event stream ends within a second of its session.
//!
//! A request is judged once, when it comes in; a stream may stay open for days after that. So each one holds a
//! [`Leash`], and [`Streams::check`] looks again at the sessions behind all of them twice a second. They are bound to the
//! session and not to its token, so that a person who gives the password again keeps a call, and to the generation of
//! its account, so that nobody keeps a stream through a new password; and to role and groups. See [`Bond`].
//!
//! [`Bond`]: crate::flows::Bond

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use tokio_util::sync::CancellationToken;

use crate::domain::client::ClientAddr;
use crate::domain::fault::Fault;
use crate::flows::{Authenticate, AuthenticateService, Tie};
use crate::telemetry::metrics::{StreamEnd, StreamKind, StreamMetrics};

use super::closing::{Farewell, SESSION_ENDED};

/// The open streams.
#[derive(Default)]
pub struct Streams {
    open: DashMap<u64, Open>,
    next: AtomicU64,
    stopping: AtomicBool,
    metrics: StreamMetrics,
}

/// One of them.
#[derive(Debug)]
struct Open {
    tie: Option<Tie>,
    client: Option<ClientAddr>,
    kind: StreamKind,
    ending: Ending,
}

/// Whether a stream is to end, and why.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    token: CancellationToken,
    farewell: Arc<OnceLock<Farewell>>,
}

impl Ending {
    /// Fires when the stream is to end.
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// How a WebSocket is closed, once the token has fired.
    pub fn farewell(&self) -> Option<Farewell> {
        self.farewell.get().copied()
    }

    /// Ends it so. The first word counts.
    pub(super) fn end(&self, farewell: Farewell) {
        let _ = self.farewell.set(farewell);
        self.token.cancel();
    }
}

/// Binds one stream to its session; dropping it forgets the stream.
pub struct Leash {
    streams: Arc<Streams>,
    id: u64,
    ending: Ending,
    kind: StreamKind,
}

impl Leash {
    /// What the stream is.
    pub const fn kind(&self) -> StreamKind {
        self.kind
    }

    /// Whether the stream is to end.
    pub const fn ending(&self) -> &Ending {
        &self.ending
    }
}

impl std::fmt::Debug for Leash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leash({}, ended: {})", self.id, self.ending.token.is_cancelled())
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.streams.open.remove(&self.id);
        let why = match self.ending.farewell() {
            Some(Farewell::RESTART) => StreamEnd::Stopping,
            Some(Farewell::ANEW) => StreamEnd::Renewed,
            Some(Farewell::BANNED) => StreamEnd::Banned,
            Some(farewell) if farewell.code == SESSION_ENDED => StreamEnd::SessionEnded,
            _ => StreamEnd::Closed,
        };
        self.streams.metrics.ended(self.kind, why);
    }
}

impl Streams {
    /// None are open.
    pub fn new(metrics: StreamMetrics) -> Self {
        Self {
            metrics,
            ..Self::default()
        }
    }

    /// Binds a stream to its session and to where it is open from, and every stream to the life of the gateway.
    pub fn bind(self: &Arc<Self>, tie: Option<Tie>, client: Option<ClientAddr>, kind: StreamKind) -> Leash {
        self.metrics.opened(kind);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let ending = Ending::default();
        let open = Open {
            tie,
            client,
            kind,
            ending: ending.clone(),
        };
        self.open.insert(id, open);
        // Looked at after the insertion: whoever ends them either sees this one or has said so before.
        if is_endless(kind) && self.stopping.load(Ordering::SeqCst) {
            ending.end(Farewell::RESTART);
        }
        Leash {
            streams: Arc::clone(self),
            id,
            ending,
            kind,
        }
    }

    /// Ends the streams whose session or API token is no longer live, or is not what it was when they were opened. Looking
    /// does not count as using it.
    ///
    /// # Errors
    /// When the store is down: streams then stay open like any other live session, by the rule for outages.
    pub async fn check(&self, people: &Authenticate, services: &AuthenticateService) -> Result<(), Fault> {
        let open: Vec<(u64, Tie)> = self
            .open
            .iter()
            .filter_map(|entry| Some((*entry.key(), entry.value().tie?)))
            .collect();
        let mut fault = None;
        for (id, tie) in open {
            let severed = match tie.severed(people, services).await {
                Ok(severed) => severed,
                Err(down) => {
                    fault = Some(down);
                    continue;
                }
            };
            if let Some(why) = severed
                && let Some((_, open)) = self.open.remove(&id)
            {
                open.ending.end(Farewell::severed(why));
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Ends the streams that have outlived the absolute limit of their sessions, also while the store is silent. Never waits.
    pub fn outlive(&self, people: &Authenticate) {
        for entry in &self.open {
            if let Some(why) = entry.tie.and_then(|tie| tie.outlived(people)) {
                entry.ending.end(Farewell::severed(why));
            }
        }
    }

    /// Ends the streams of clients that are banned, whatever they are.
    pub fn turn_away(&self, is_banned: impl Fn(ClientAddr) -> bool) {
        for entry in self.open.iter().filter(|entry| entry.client.is_some_and(&is_banned)) {
            entry.ending.end(Farewell::BANNED);
        }
    }

    /// Ends those that never end by themselves, because the gateway stops: waiting for them is pointless. An answer whose
    /// length was not told goes on to its end.
    pub fn end_endless(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for entry in self.open.iter().filter(|entry| is_endless(entry.kind)) {
            entry.ending.end(Farewell::RESTART);
        }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

const fn is_endless(kind: StreamKind) -> bool {
    match kind {
        StreamKind::WebSocket | StreamKind::Events => true,
        StreamKind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::domain::session::{Lifetime, SessionId, earlier};
    use crate::flows::{Bond, RecordSeen, Refusal, Right};
    use crate::store::{CachedSessions, MemoryStore};

    #[test]
    fn a_stream_ends_at_the_absolute_limit_of_its_session_although_nobody_is_asked() {
        let (store, world, lifetime) = (Arc::new(MemoryStore::new()), crate::app::world(), Lifetime::default());
        let (_, seen) = RecordSeen::new(store.clone(), store.clone());
        let sessions = CachedSessions::new(store, world.clock(), 9, Duration::ZERO);
        let people = Authenticate::new(Arc::new(sessions), world.clone(), lifetime, seen, None);
        let streams = Arc::new(Streams::default());
        let open = |since| {
            let bond = Bond {
                right: Right::Session(SessionId::new(Uuid::from_u128(7))),
                generation: 1,
                reach: 0,
                since,
            };
            streams.bind(Some(Tie::Person(bond)), None, StreamKind::WebSocket)
        };
        let (old, young) = (open(earlier(world.now(), lifetime.absolute)), open(world.now()));
        streams.outlive(&people);
        let expired = Farewell::without_session(Some(Refusal::Expired));
        assert_eq!(old.ending().farewell(), Some(expired));
        assert!(young.ending().farewell().is_none());
    }
}
