//! How the gateway is, for load balancers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::domain::fault::Fault;

use super::super::answer::Answer;
use super::super::desk::Desk;
use super::super::visit::Visit;

/// Whether this process should be left running.
pub(in super::super) async fn live(desk: Arc<Desk>, _: Arc<Visit>) -> Result<Answer, Fault> {
    let live = desk.flows.health.live();
    Ok(Answer::health(live, json!({ "live": live })))
}

/// Whether it can serve people, part by part.
pub(in super::super) async fn ready(desk: Arc<Desk>, _: Arc<Visit>) -> Result<Answer, Fault> {
    let parts = desk.flows.health.parts().await;
    let ready = parts.iter().all(|part| part.well || !part.is_needed);
    let parts: BTreeMap<&str, bool> = parts.iter().map(|part| (part.name, part.well)).collect();
    Ok(Answer::health(ready, json!({ "ready": ready, "parts": parts })))
}
