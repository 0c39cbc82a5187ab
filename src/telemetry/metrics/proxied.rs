//! What happens on the proxied path: requests, connections, streams. Counted by atomics that were found beforehand.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Histogram, Labelled, names, register};

/// The proxied path.
#[derive(Clone, Debug, Default)]
pub struct ProxyMetrics {
    /// Requests.
    pub requests: RequestMetrics,
    /// Connections.
    pub connections: ConnectionMetrics,
    /// Streams.
    pub streams: StreamMetrics,
}

impl ProxyMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self {
            requests,
            connections,
            streams,
        } = self;
        register(registry, &names::REQUESTS, requests.counts.clone());
        register(registry, &names::REQUEST_DURATION, requests.durations.clone());
        register(registry, &names::UPSTREAM_ERRORS, requests.upstream_errors.clone());
        register(registry, &names::CONNECTIONS, connections.open.clone());
        register(registry, &names::CONNECTIONS_ACCEPTED, connections.accepted.clone());
        register(registry, &names::CONNECTIONS_REFUSED, connections.refused.clone());
        register(registry, &names::SLOW_CLIENTS, connections.slow.clone());
        register(
            registry,
            &names::HANDSHAKE_FAILURES,
            connections.handshake_failures.clone(),
        );
        register(registry, &names::BREACHES, connections.breaches.clone());
        register(registry, &names::STREAMS, streams.open.clone());
        register(registry, &names::STREAMS_ENDED, streams.ended.clone());
    }
}

macro_rules! closed_list {
    ($(#[$doc:meta])* $list:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $list {
            $($(#[$of])* $variant,)*
        }

        impl $list {
            const ALL: &[Self] = &[$(Self::$variant),*];

            /// The label's value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

closed_list! {
    /// What became of a request.
    Outcome {
        /// The web client answered it.
        Forwarded = "forwarded",
        /// It needs a session and had none.
        Challenged = "challenged",
        /// The rules let nobody, or not this person, do it.
        Denied = "denied",
        /// One of the gateway's own pages.
        OwnPage = "own-page",
        /// It could be read in two ways, was too large, for another host, or nearly one of our own paths.
        Refused = "refused",
        /// Something it needs does not work: the web client, the store.
        Failed = "failed",
        /// Its client left before there was an answer.
        Aborted = "aborted",
        /// Its client is banned.
        Banned = "banned",
    }
}

closed_list! {
    /// Why the web client did not answer.
    UpstreamError {
        /// Its name has never resolved.
        Unresolved = "unresolved",
        /// It takes no connection.
        Connect = "connect",
        /// Connecting took too long.
        ConnectTimeout = "connect-timeout",
        /// Its certificate is not the right one, or it speaks no TLS.
        Tls = "tls",
        /// It took too long to answer.
        ResponseTimeout = "response-timeout",
        /// It closed the connection in the middle.
        Closed = "closed",
        /// It did not speak HTTP.
        Protocol = "protocol",
        /// Something else.
        Other = "other",
    }
}

closed_list! {
    /// What a stream is.
    StreamKind {
        /// A WebSocket.
        WebSocket = "websocket",
        /// Server-sent events.
        Events = "events",
        /// Another answer that does not say how long it is.
        Other = "other",
    }
}

closed_list! {
    /// Why a stream ended.
    StreamEnd {
        /// One of its two sides ended it.
        Closed = "closed",
        /// Its session ended.
        SessionEnded = "session-ended",
        /// Its session lives on, and it is to be opened anew: the password changed, or the other sessions ended.
        Renewed = "renewed",
        /// The gateway stops.
        Stopping = "stopping",
        /// Its client was banned.
        Banned = "banned",
    }
}

closed_list! {
    /// Why a TLS handshake came to nothing.
    HandshakeFailure {
        /// One side gave up.
        Failed = "failed",
        /// It took too long.
        Timeout = "timeout",
    }
}

closed_list! {
    /// What a client was too slow at.
    SlowAt {
        /// Sending the head of a request.
        Head = "head",
        /// Sending a form to one of our own pages.
        Form = "form",
        /// Taking an answer.
        Answer = "answer",
    }
}

closed_list! {
    /// How a client broke the protocol before there was a request.
    Breach {
        /// What it sent over HTTP/1.1 is no head of a request, or far too much for one.
        Head = "head",
        /// Frames of HTTP/2 that have no place where they came, or a head that they make up and that is none.
        Frames = "http2",
        /// More resets, pieces of a head or empty frames than anybody needs.
        Flood = "http2-flood",
        /// More requests at once than one connection may have.
        Streams = "http2-streams",
    }
}

/// The first digit of a status; the last one stands for no answer at all.
const STATUS: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// Requests and their answers.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    counts: Labelled<Counter>,
    durations: Labelled<Histogram>,
    upstream_errors: Labelled<Counter>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let each = |outcome: &Outcome| STATUS.map(|status| [outcome.as_str(), status]);
        Self {
            counts: Labelled::new(&names::REQUESTS, Outcome::ALL.iter().flat_map(each)),
            durations: Labelled::new(
                &names::REQUEST_DURATION,
                Outcome::ALL.iter().map(|outcome| [outcome.as_str()]),
            ),
            upstream_errors: Labelled::new(
                &names::UPSTREAM_ERRORS,
                UpstreamError::ALL.iter().map(|kind| [kind.as_str()]),
            ),
        }
    }
}

impl RequestMetrics {
    /// A request is over: with this status, 0 for none, after this time, unless it was a stream.
    pub fn done(&self, outcome: Outcome, status: u16, took: Option<Duration>) {
        let class = match status / 100 {
            class @ 1..=5 => usize::from(class) - 1,
            _ => STATUS.len() - 1,
        };
        if let Some(count) = self.counts.at(outcome as usize * STATUS.len() + class) {
            count.inc();
        }
        if let (Some(took), Some(histogram)) = (took, self.durations.at(outcome as usize)) {
            histogram.observe(took);
        }
    }

    /// The web client did not answer.
    pub fn upstream_failed(&self, error: UpstreamError) {
        if let Some(count) = self.upstream_errors.at(error as usize) {
            count.inc();
        }
    }
}

/// Connections of clients.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    open: Gauge,
    accepted: Counter,
    refused: Labelled<Counter>,
    slow: Labelled<Counter>,
    handshake_failures: Labelled<Counter>,
    breaches: Labelled<Counter>,
}

impl Default for ConnectionMetrics {
    fn default() -> Self {
        Self {
            open: Gauge::default(),
            accepted: Counter::default(),
            refused: Labelled::new(&names::CONNECTIONS_REFUSED, [["total"], ["per-client"], ["banned"]]),
            slow: Labelled::new(&names::SLOW_CLIENTS, SlowAt::ALL.iter().map(|at| [at.as_str()])),
            handshake_failures: Labelled::new(
                &names::HANDSHAKE_FAILURES,
                HandshakeFailure::ALL.iter().map(|reason| [reason.as_str()]),
            ),
            breaches: Labelled::new(&names::BREACHES, Breach::ALL.iter().map(|kind| [kind.as_str()])),
        }
    }
}

impl ConnectionMetrics {
    /// A connection was taken.
    pub fn opened(&self) {
        self.open.inc();
        self.accepted.inc();
    }

    /// It has ended.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// Too many were open in all.
    pub fn refused_in_all(&self) {
        self.refused.count(&["total"]);
    }

    /// Too many of one client were open.
    pub fn refused_to_client(&self) {
        self.refused.count(&["per-client"]);
    }

    /// The client is banned.
    pub fn refused_to_banned(&self) {
        self.refused.count(&["banned"]);
    }

    /// Counts clients that were too slow at this.
    pub fn slow(&self, at: SlowAt) -> Counter {
        self.slow.at(at as usize).cloned().unwrap_or_default()
    }

    /// A client broke the protocol.
    pub fn breached(&self, kind: Breach) {
        if let Some(count) = self.breaches.at(kind as usize) {
            count.inc();
        }
    }

    /// A handshake came to nothing.
    pub fn handshake_failed(&self, reason: HandshakeFailure) {
        self.handshake_failures.count(&[reason.as_str()]);
    }
}

/// Streams bound to a session, or to the life of the gateway.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    open: Labelled<Gauge>,
    ended: Labelled<Counter>,
}

impl Default for StreamMetrics {
    fn default() -> Self {
        let each = |kind: &StreamKind| {
            let kind = kind.as_str();
            StreamEnd::ALL.iter().map(move |reason| [kind, reason.as_str()])
        };
        Self {
            open: Labelled::new(&names::STREAMS, StreamKind::ALL.iter().map(|kind| [kind.as_str()])),
            ended: Labelled::new(&names::STREAMS_ENDED, StreamKind::ALL.iter().flat_map(each)),
        }
    }
}

impl StreamMetrics {
    /// A stream begins.
    pub fn opened(&self, kind: StreamKind) {
        if let Some(open) = self.open.at(kind as usize) {
            open.inc();
        }
    }

    /// It is over.
    pub fn ended(&self, kind: StreamKind, why: StreamEnd) {
        if let Some(open) = self.open.at(kind as usize) {
            open.dec();
        }
        self.ended.count(&[kind.as_str(), why.as_str()]);
    }
}
