//! What the proxies are asked for: one kind of traffic for each table.

use clap::ValueEnum;
use serde::Serialize;

use super::load::Protocol;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Answers of 1 KiB, as many as go through
    Small,
    /// The same over a few connections: how long an answer takes
    Calm,
    /// Answers of 64 KiB
    Medium,
    /// Answers of 10 MiB
    Large,
    /// Answers of 1 KiB by HTTP/2
    Http2,
    /// Answers of 1 KiB, each on a connection of its own
    Fresh,
    /// Memory of each idle WebSocket
    Sockets,
    /// Signed-in people while strangers try passwords
    Flood,
}

/// One kind of traffic.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Case {
    /// What it is called in tables.
    pub name: &'static str,
    /// Connections that send requests.
    pub connections: u32,
    /// Bytes of one answer.
    pub bytes: usize,
    /// What is spoken with the proxies.
    pub protocol: Protocol,
    /// Whether each request has a connection of its own, with a whole handshake.
    pub fresh: bool,
}

const SMALL: Case = Case {
    name: "HTTP/1.1, 1 KiB, 64 connections",
    connections: 64,
    bytes: 1 << 10,
    protocol: Protocol::Http1,
    fresh: false,
};

impl Part {
    /// Its traffic; `None` where a part is no table of proxies.
    pub const fn case(self) -> Option<Case> {
        Some(match self {
            Self::Small => SMALL,
            Self::Calm => Case {
                name: "HTTP/1.1, 1 KiB, 4 connections",
                connections: 4,
                ..SMALL
            },
            Self::Medium => Case {
                name: "HTTP/1.1, 64 KiB, 64 connections",
                bytes: 64 << 10,
                ..SMALL
            },
            Self::Large => Case {
                name: "HTTP/1.1, 10 MiB, 4 connections",
                connections: 4,
                bytes: 10 << 20,
                ..SMALL
            },
            Self::Http2 => Case {
                name: "HTTP/2, 1 KiB, 8 connections with 8 streams each",
                connections: 8,
                protocol: Protocol::Http2 { streams: 8 },
                ..SMALL
            },
            Self::Fresh => Case {
                name: "HTTP/1.1, 1 KiB, a new connection for each request, 16 at a time",
                connections: 16,
                fresh: true,
                ..SMALL
            },
            Self::Sockets | Self::Flood => return None,
        })
    }
}
