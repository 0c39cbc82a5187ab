//! What follows from an address that many people share: the limits by client count it as several, and the operator hears.

use std::sync::Arc;
use std::time::Duration;

use crate::config::Server;
use crate::flows::{Crowd, Declared, Lookout};

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
