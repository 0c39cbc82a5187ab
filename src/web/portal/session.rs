//! Tells a script of the web client who is signed in and for how long, without counting as use.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::json;

use crate::domain::fault::Fault;
use crate::domain::session::later;

use super::super::answer::{Answer, person};
use super::super::desk::Desk;
use super::super::problem::Problem;
use super::super::visit::Visit;

/// The session of whoever asks.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let Some(principal) = &visit.principal else {
        return Ok(Answer::problem(Problem::SignInRequired(None)));
    };
    let lifetime = desk.settings.lifetime;
    let now = desk.flows.sign_in.world.now();
    let left = later(principal.session.created_at, lifetime.absolute).duration_since(now);
    Ok(Answer::json(json!({
        "signed_in": true,
        "account": person(&principal.account),
        "signed_in_at": principal.session.created_at.to_string(),
        "seconds_left": left.max(SignedDuration::ZERO).as_secs(),
        "idle_limit_seconds": lifetime.idle.as_secs(),
        "logout_url": desk.settings.routes.logout,
    })))
}
