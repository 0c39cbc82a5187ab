//! What follows from an address that many people share: the limits by client count it as several, and the operator hears.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Server;
use crate::domain::account::LoginName;
use crate::domain::limits::{Decision, Draw, NameDigest, Nanos, Reservation};
use crate::flows::{Crowd, Declared, Lookout, Sentinel};
use crate::ports::Limiter;

use super::monitor::Monitor;
use super::tasks::Tasks;

/// What was noted is looked at this often.
const LOOK: Duration = Duration::from_secs(2);

/// What the configuration says about addresses.
pub(super) fn declared(server: &Server) -> Declared {
    Declared {
        proxies: server.trusted_proxies.clone(),
        shared: server.shared_addresses.clone(),
    }
}

/// Looks for such addresses until the stop.
pub(super) fn watch(tasks: &Tasks, lookout: Lookout, monitor: &Arc<Monitor>) {
    let monitor = Arc::clone(monitor);
    let tell = move |crowds: &[Crowd]| monitor.tell_crowds(crowds);
    tasks.run_until_stop(|stop| lookout.run(LOOK, tell, stop));
}

/// The limits, with more room for a client that stands for many. Whatever counts by anything else than the client alone
/// stays as it is: what may be tried for one name, most of all.
pub(super) struct WidenedLimiter {
    inner: Arc<dyn Limiter>,
    sentinel: Arc<Sentinel>,
}

impl WidenedLimiter {
    /// Before these limits.
    pub fn new(inner: Arc<dyn Limiter>, sentinel: Arc<Sentinel>) -> Self {
        Self { inner, sentinel }
    }

    fn widened(&self, draw: Draw) -> Draw {
        match draw.key.client() {
            None => draw,
            Some(client) => Draw {
                quota: draw.quota.times(self.sentinel.budgets(client)),
                ..draw
            },
        }
    }
}

impl Limiter for WidenedLimiter {
    fn reserve(&self, draws: Vec<Draw>, now: Nanos) -> Decision {
        let draws = draws.into_iter().map(|draw| self.widened(draw)).collect();
        self.inner.reserve(draws, now)
    }

    fn refund(&self, reservation: &Reservation) {
        self.inner.refund(reservation);
    }

    fn digest(&self, name: &LoginName) -> NameDigest {
        self.inner.digest(name)
    }

    fn digest_text(&self, text: &str) -> NameDigest {
        self.inner.digest_text(text)
    }
}
