//! The orders of operators, followed while the gateway runs.

use std::sync::Arc;
use std::time::Duration;

use crate::flows::OrderOffice;

use super::lasting::Lasting;
use super::tasks::Tasks;

/// An order is in force after this time at the latest, and one that is ended is in force no more.
const FOLLOW: Duration = Duration::from_millis(200);
/// How many are in force is told after this time.
const COUNT: Duration = Duration::from_secs(2);
/// That the time of an applied policy is over is recorded after this time.
const SETTLE: Duration = Duration::from_secs(1);

/// Takes up orders as they are given and ended, by whatever process.
pub(super) fn follow(tasks: &Tasks, lasting: &Lasting) {
    let standing = Arc::clone(&lasting.orders);
    let (exemptions, applied) = (Arc::clone(&lasting.exemptions), Arc::clone(&lasting.applied));
    tasks.every(FOLLOW, "following the orders of operators", move || {
        let standing = Arc::clone(&standing);
        let (exemptions, applied) = (Arc::clone(&exemptions), Arc::clone(&applied));
        async move {
            let followed = standing.follow().await;
            // Time goes on, whether the store answers or not.
            exemptions.look();
            applied.look().await;
            if followed? {
                tracing::info!("orders of an operator have changed and are taken up");
            }
            Ok(())
        }
    });
    let (standing, gauges) = (Arc::clone(&lasting.orders), lasting.monitor.metrics.work.orders.clone());
    tasks.every(COUNT, "counting the orders in force", move || {
        for (kind, count) in standing.counts() {
            if let Some(gauge) = gauges.get(&[kind]) {
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        async { Ok(()) }
    });
}

/// Writes down that the time of an applied policy is over, also when it was while nothing ran.
pub(super) fn settle(tasks: &Tasks, lasting: &Lasting) {
    let office = Arc::new(OrderOffice {
        orders: lasting.store.clone(),
        world: lasting.world.clone(),
    });
    let standing = Arc::clone(&lasting.orders);
    tasks.every(SETTLE, "ending applied policies", move || {
        let office = Arc::clone(&office);
        let is_due = standing.has_overdue_policy();
        async move {
            if !is_due {
                return Ok(());
            }
            for id in office.settle().await? {
                tracing::info!(order = %id, "the time of an applied policy is over; the policy of before is in force again");
            }
            Ok(())
        }
    });
}
