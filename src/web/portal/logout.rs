//! Signing out.

use std::sync::Arc;

use minijinja::context;
use serde_json::json;

use crate::domain::fault::Fault;
use crate::domain::principal::Principal;

use super::super::answer::{Answer, Page};
use super::super::cookie;
use super::super::desk::Desk;
use super::super::notice::Notice;
use super::super::problem::Problem;
use super::super::visit::{Submission, Visit};

/// Asks once more: a link or a picture on another site must not sign anybody out.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    if !visit.wants_page() {
        return Ok(Answer::problem(Problem::NotAcceptable));
    }
    Ok(match desk.visitor(&visit).await? {
        Some(principal) => form(&visit, &principal, None),
        None => Answer::see_other(&*desk.settings.routes.login),
    })
}

/// Ends the session on the server, then in the browser.
pub(in super::super) async fn submit(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let visitor = desk.visitor(&visit).await?;
    if let Some(principal) = visitor {
        if let Submission::Stale(_) = &visit.sent {
            return Ok(form(&visit, &principal, Some(Problem::StaleForm)));
        }
        desk.flows.sign_out.run(&principal, visit.client).await?;
    }
    let answer = if visit.wants_page() {
        desk.to_login(&visit.voice, Notice::SignedOut)
    } else {
        Answer::json(json!({ "signed_in": false, "login_url": desk.settings.routes.login }))
    };
    Ok(answer.with_cookie(cookie::clear(&desk.names.session)))
}

fn form(visit: &Visit, principal: &Principal, problem: Option<Problem>) -> Answer {
    let account = &principal.account;
    Answer::page(Page {
        problem,
        seed: Some(visit.seed.clone()),
        account_language: Some(account.language),
        ..Page::new(
            "logout.html",
            context! { name => &account.name, extension => account.extension.as_str() },
        )
    })
}
