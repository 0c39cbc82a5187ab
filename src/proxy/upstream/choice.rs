//! Which server takes the next request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::server::Server;

/// How requests are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn.
    RoundRobin,
    /// The one where the least is open.
    LeastConnections,
}

/// Whose turn it is.
#[derive(Debug)]
pub struct Turn {
    balance: Balance,
    next: AtomicUsize,
}

impl Turn {
    /// The first one's.
    pub const fn new(balance: Balance) -> Self {
        Self {
            balance,
            next: AtomicUsize::new(0),
        }
    }

    /// A server that is in; when all are out, any: to try is better than to refuse. Never `avoid`, which have just failed.
    pub fn choose(
        &self,
        servers: &[Arc<Server>],
        avoid: &[Arc<Server>],
        now: impl FnOnce() -> Instant,
    ) -> Option<Arc<Server>> {
        let welcome = |server: &Arc<Server>| !avoid.iter().any(|avoid| Arc::ptr_eq(avoid, server));
        if let [only] = servers {
            return welcome(only).then(|| Arc::clone(only));
        }
        let now = now();
        self.among(servers, |server| welcome(server) && server.standing.is_in(now))
            .or_else(|| self.among(servers, welcome))
    }

    fn among(&self, servers: &[Arc<Server>], fits: impl Fn(&Arc<Server>) -> bool) -> Option<Arc<Server>> {
        let fitting = servers.iter().filter(|server| fits(server)).count();
        let turn = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(fitting)?;
        // Whose turn it is comes first: the least is often shared by several.
        let mut rest = servers
            .iter()
            .filter(|server| fits(server))
            .cycle()
            .skip(turn)
            .take(fitting);
        let chosen = match self.balance {
            Balance::RoundRobin => rest.next(),
            Balance::LeastConnections => rest.min_by_key(|server| server.open()),
        };
        chosen.map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::super::server::{Origin, Seat, ServerAddress, Target};
    use super::super::standing::Tolerance;
    use super::*;

    fn servers(count: u8) -> Vec<Arc<Server>> {
        let target = |number: u8| Target::Socket(format!("/run/{number}").into());
        let origin = Arc::new(Origin {
            address: ServerAddress::Socket("/run".into()),
            host: HeaderValue::from_static("localhost"),
            verified: None,
        });
        (0..count)
            .map(|number| Arc::new(Server::new(Arc::clone(&origin), target(number))))
            .collect()
    }

    fn take_out(server: &Server, now: Instant) {
        let strict = Tolerance {
            failures: 1,
            statuses: Vec::new(),
            pause: Duration::from_secs(10),
        };
        server.standing.failed(now, &strict);
    }

    fn index(servers: &[Arc<Server>], chosen: Option<Arc<Server>>) -> Option<usize> {
        let chosen = chosen?;
        servers.iter().position(|server| Arc::ptr_eq(server, &chosen))
    }

    #[test]
    fn each_server_has_its_turn() {
        let (servers, turn, now) = (servers(3), Turn::new(Balance::RoundRobin), Instant::now());
        let chosen: Vec<_> = (0..6)
            .map(|_| index(&servers, turn.choose(&servers, &[], || now)).unwrap())
            .collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_least_busy_server_is_chosen_and_a_seat_is_given_back_when_it_is_dropped() {
        let (servers, turn, now) = (servers(3), Turn::new(Balance::LeastConnections), Instant::now());
        let seats: Vec<Seat> = (0..6)
            .map(|_| Seat::take(turn.choose(&servers, &[], || now).unwrap()))
            .collect();
        assert!(servers.iter().all(|server| server.open() == 2), "{servers:?}");
        let mut seats = seats.into_iter();
        let left = seats.next().unwrap();
        let free = Arc::clone(left.server());
        drop(left);
        for _ in 0..5 {
            assert!(Arc::ptr_eq(&turn.choose(&servers, &[], || now).unwrap(), &free));
        }
        drop(seats);
        assert!(servers.iter().all(|server| server.open() == 0), "{servers:?}");
    }

    #[test]
    fn a_server_that_is_out_is_passed_over_while_another_is_left() {
        let (servers, turn, now) = (servers(2), Turn::new(Balance::RoundRobin), Instant::now());
        take_out(&servers[0], now);
        for _ in 0..4 {
            assert_eq!(index(&servers, turn.choose(&servers, &[], || now)), Some(1));
        }
        take_out(&servers[1], now);
        assert!(
            turn.choose(&servers, &[], || now).is_some(),
            "never refused without a try"
        );
    }

    #[test]
    fn a_second_try_goes_to_another_server_or_nowhere() {
        let (two, turn, now) = (servers(2), Turn::new(Balance::RoundRobin), Instant::now());
        for _ in 0..4 {
            assert_eq!(index(&two, turn.choose(&two, &two[..1], || now)), Some(1));
        }
        let one = servers(1);
        assert!(turn.choose(&one, &one, || now).is_none());
        assert!(turn.choose(&[], &[], || now).is_none());
    }
}
