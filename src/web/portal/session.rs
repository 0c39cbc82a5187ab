//! Tells a script of the web client who is signed in and for how long. Asking does not count as use; posting does.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::domain::session::later;

use super::super::answer::{Answer, person};
use super::super::desk::Desk;
use super::super::problem::Problem;
use super::super::routes::SIGNED_IN_PATH;
use super::super::visit::Visit;
use super::super::voice::Voice;

/// The session of whoever asks.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    Ok(match &visit.principal {
        Some(principal) => Answer::json(facts(&desk, &visit.voice, principal)),
        None => Answer::problem(Problem::SignInRequired(None)),
    })
}

/// The person is still there, and says so.
pub(in super::super) async fn keep(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let standing = desk
        .flows
        .authenticate
        .run(&visit.presented(&desk.names), desk.now())
        .await?;
    Ok(match standing.principal() {
        Some(principal) => Answer::json(facts(&desk, &visit.voice, principal)),
        None => Answer::problem(Problem::SignInRequired(standing.refusal())),
    })
}

/// What the script for web clients says, by the names it has for it.
const TEXTS: [(&str, &str); 4] = [
    ("ends", "script-ends"),
    ("ended", "script-ended"),
    ("stay", "script-stay"),
    ("sign_in", "script-sign-in"),
];

fn facts(desk: &Desk, voice: &Voice, principal: &Principal) -> serde_json::Value {
    let lifetime = desk.settings.lifetime;
    let now = desk.flows.sign_in.world.now();
    let absolute = left(later(principal.session.created_at, lifetime.absolute), now);
    let idle = left(later(principal.last_seen(), lifetime.idle), now);
    let login = &desk.settings.routes.login;
    let texts: BTreeMap<&str, String> = TEXTS
        .into_iter()
        .map(|(name, key)| (name, desk.say(voice, key)))
        .collect();
    json!({
        "signed_in": true,
        "account": person(&principal.account),
        "signed_in_at": principal.session.created_at.to_string(),
        "seconds_left": absolute,
        "idle_seconds_left": idle.min(absolute),
        "idle_limit_seconds": lifetime.idle.as_secs(),
        "login_url": login,
        "logout_url": desk.settings.routes.logout,
        "script_url": desk.assets.address("session.js"),
        "window_url": format!("{login}?again=1&return_to={SIGNED_IN_PATH}"),
        "renewable": idle < absolute,
        "texts": texts,
    })
}

fn left(end: Timestamp, now: Timestamp) -> i64 {
    end.duration_since(now).max(SignedDuration::ZERO).as_secs()
}
