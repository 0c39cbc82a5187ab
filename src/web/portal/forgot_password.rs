//! Asking for a link to set a new password.

use std::sync::Arc;

use minijinja::context;
use serde_json::json;

use crate::domain::account::Email;
use crate::domain::fault::Fault;
use crate::flows::ResetRequest;

use super::super::answer::{Answer, Page};
use super::super::desk::Desk;
use super::super::form::{Field, Fields};
use super::super::problem::Problem;
use super::super::visit::{Submission, Visit};

/// What the form sends.
pub(in super::super) const FIELDS: &[Field] = &[Field::required("email")];

/// The form.
pub(in super::super) async fn show(_: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    if !visit.wants_page() {
        return Ok(Answer::problem(Problem::NotAcceptable));
    }
    Ok(form(&visit, "", None))
}

/// Accepts the request; the answer is the same for every address there is or is not.
pub(in super::super) async fn submit(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let fields = match &visit.sent {
        Submission::Sound(fields) => fields,
        Submission::Stale(fields) => return Ok(refused(&visit, fields, Problem::StaleForm)),
        Submission::None => return Ok(Answer::problem(Problem::NotAcceptable)),
    };
    let flow = &desk.flows.forgot_password;
    let (email, site) = (fields.text("email"), &visit.at.name);
    let device = desk.device(&visit);
    Ok(match flow.run(email, visit.client, device, site).await {
        Ok(ResetRequest::Accepted) if visit.wants_page() => {
            Answer::page(Page::new("forgot_password_sent.html", context! {}))
        }
        Ok(ResetRequest::Accepted) => Answer::accepted(json!({ "accepted": true })),
        Ok(ResetRequest::NotAnAddress) => refused(&visit, fields, Problem::NotAnAddress),
        Ok(ResetRequest::Throttled(wait)) => refused(&visit, fields, Problem::Throttled(wait)),
        Err(fault) => refused(&visit, fields, visit.mishap(&fault)),
    })
}

fn refused(visit: &Visit, fields: &Fields, problem: Problem) -> Answer {
    if !visit.wants_page() {
        return Answer::problem(problem);
    }
    let typed = Some(fields.text("email")).filter(|text| text.len() <= Email::MAX_BYTES);
    form(visit, typed.unwrap_or_default(), Some(problem))
}

fn form(visit: &Visit, typed: &str, problem: Option<Problem>) -> Answer {
    Answer::page(Page {
        problem,
        seed: Some(visit.seed.clone()),
        ..Page::new("forgot_password.html", context! { typed => typed })
    })
}
