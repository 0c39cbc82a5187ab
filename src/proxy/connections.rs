//! How many connections are open, in all and by client, so that one client cannot take them all and a
//! stop knows when the last has ended.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::domain::client::ClientAddr;
use crate::telemetry::metrics::{Breach, ConnectionMetrics};

/// Bounds on open connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub total: usize,
    /// Of one client (IPv6: of one /64).
    pub per_client: usize,
}

/// The open connections.
pub struct Connections {
    limits: ConnectionLimits,
    metrics: ConnectionMetrics,
    open: AtomicUsize,
    by_client: DashMap<IpAddr, usize>,
    ended: Notify,
    turned_away: TurnedAway,
}

/// Connections of banned clients since that was said last.
struct TurnedAway {
    count: AtomicU64,
    begun: Instant,
    /// The second after `begun` in which it was said, counted from 1.
    said_in: AtomicU64,
}

impl Connections {
    /// None are open.
    pub fn new(limits: ConnectionLimits, metrics: ConnectionMetrics) -> Arc<Self> {
        Arc::new(Self {
            limits,
            metrics,
            open: AtomicUsize::new(0),
            by_client: DashMap::new(),
            ended: Notify::new(),
            turned_away: TurnedAway {
                count: AtomicU64::new(0),
                begun: Instant::now(),
                said_in: AtomicU64::new(0),
            },
        })
    }

    /// Counts a new connection in; `None` when there is no room for it. The peer stands for so many `clients`: a trusted
    /// proxy for any number.
    pub fn enter(self: &Arc<Self>, peer: IpAddr, clients: usize) -> Option<OpenConnection> {
        let client = ClientAddr::new(peer).limit_key();
        if self.open.fetch_add(1, Ordering::AcqRel) >= self.limits.total {
            self.leave_total();
            self.metrics.refused_in_all();
            return None;
        }
        let mut of_client = self.by_client.entry(client).or_insert(0);
        if *of_client >= self.limits.per_client.saturating_mul(clients) {
            drop(of_client);
            self.leave_total();
            self.metrics.refused_to_client();
            return None;
        }
        *of_client += 1;
        drop(of_client);
        self.metrics.opened();
        Some(OpenConnection {
            connections: Arc::clone(self),
            client,
        })
    }

    /// Counts one whose client is banned. Answers how many there were since the last such answer, at most once a second: a
    /// banned client sets the pace, and does not fill the log.
    pub fn turn_away(&self) -> Option<u64> {
        self.metrics.refused_to_banned();
        let TurnedAway { count, begun, said_in } = &self.turned_away;
        count.fetch_add(1, Ordering::Relaxed);
        let second = begun.elapsed().as_secs() + 1;
        (said_in.swap(second, Ordering::Relaxed) != second).then(|| count.swap(0, Ordering::Relaxed))
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Where they are counted.
    pub const fn metrics(&self) -> &ConnectionMetrics {
        &self.metrics
    }

    /// Waits until none is open.
    pub async fn drained(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open() == 0 {
                return;
            }
            ended.await;
        }
    }

    fn leave(&self, client: IpAddr) {
        self.by_client.remove_if_mut(&client, |_, count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
    }

    fn leave_total(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.ended.notify_waiters();
    }
}

/// One open connection; dropping it counts it out.
pub struct OpenConnection {
    connections: Arc<Connections>,
    client: IpAddr,
}

impl OpenConnection {
    /// Counts the connection for this client from now on, which came through the one it was counted for; `None` when the
    /// client has no room for it. `clients` as in [`Connections::enter`].
    pub fn pass_to(mut self, client: IpAddr, clients: usize) -> Option<Self> {
        let client = ClientAddr::new(client).limit_key();
        if client == self.client {
            return Some(self);
        }
        let mut of_client = self.connections.by_client.entry(client).or_insert(0);
        if *of_client >= self.connections.limits.per_client.saturating_mul(clients) {
            drop(of_client);
            self.connections.metrics.refused_to_client();
            return None;
        }
        *of_client += 1;
        drop(of_client);
        self.connections.leave(self.client);
        self.client = client;
        Some(self)
    }

    /// Its client broke the protocol.
    pub fn breached(&self, kind: Breach) {
        self.connections.metrics.breached(kind);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.leave(self.client);
        self.connections.metrics.closed();
        self.connections.leave_total();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_and_two() -> Arc<Connections> {
        let limits = ConnectionLimits {
            total: 3,
            per_client: 2,
        };
        Connections::new(limits, ConnectionMetrics::default())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_cannot_take_every_connection() {
        let connections = three_and_two();
        let first = connections.enter(ip("2001:db8::1"), 1).unwrap();
        let _second = connections.enter(ip("2001:db8::2"), 1).unwrap();
        assert!(connections.enter(ip("2001:db8::3"), 1).is_none(), "the same /64");
        let _other = connections.enter(ip("192.0.2.1"), 1).unwrap();
        assert!(connections.enter(ip("192.0.2.2"), 1).is_none(), "full");
        assert!(
            connections.enter(ip("192.0.2.1"), usize::MAX).is_none(),
            "the bound in all holds for proxies too"
        );
        drop(first);
        assert!(connections.enter(ip("2001:db8::3"), 1).is_some());
    }

    #[test]
    fn who_comes_through_a_proxy_is_counted_for_itself() {
        let connections = three_and_two();
        let through = || connections.enter(ip("10.0.0.5"), usize::MAX).unwrap();
        let first = through().pass_to(ip("192.0.2.1"), 1).unwrap();
        let _second = through().pass_to(ip("192.0.2.1"), 1).unwrap();
        assert!(through().pass_to(ip("192.0.2.1"), 1).is_none(), "two are enough");
        assert_eq!(connections.open(), 2, "what was refused is counted out");
        assert!(!connections.by_client.contains_key(&ip("10.0.0.5")));
        let itself = through().pass_to(ip("10.0.0.5"), usize::MAX).unwrap();
        drop((first, itself));
        assert!(connections.enter(ip("192.0.2.1"), 1).is_some());
    }

    #[test]
    fn banned_clients_do_not_fill_the_log() {
        let connections = three_and_two();
        let said: Vec<u64> = (0..1000).filter_map(|_| connections.turn_away()).collect();
        assert_eq!(said[0], 1);
        assert!(said.len() <= 2, "a thousand take no two seconds: {said:?}");
        assert_eq!(connections.open(), 0);
    }

    #[test]
    fn who_stands_for_several_has_room_for_as_many() {
        let connections = three_and_two();
        let _held: Vec<_> = (0..2).map(|_| connections.enter(ip("192.0.2.1"), 1).unwrap()).collect();
        assert!(connections.enter(ip("192.0.2.1"), 1).is_none());
        assert!(connections.enter(ip("192.0.2.1"), 2).is_some());
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_last_connection() {
        let connections = three_and_two();
        let open = connections.enter(ip("192.0.2.1"), 1).unwrap();
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.drained().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(open);
        waiting.await.unwrap();
        assert!(connections.by_client.is_empty());
    }
}
