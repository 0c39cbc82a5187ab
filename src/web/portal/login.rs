//! Signing in.

use std::sync::Arc;

use minijinja::context;
use serde_json::json;

use crate::domain::fault::Fault;
use crate::domain::password::Password;
use crate::flows::{Attempt, SignInOutcome};

use super::super::answer::{Answer, Page, person};
use super::super::desk::Desk;
use super::super::form::{Field, Fields};
use super::super::notice::Notice;
use super::super::problem::Problem;
use super::super::visit::{Submission, Visit};

/// What the form sends.
pub(in super::super) const FIELDS: &[Field] = &[
    Field::required("login"),
    Field::required("password"),
    Field::optional("return_to"),
    // The form was shown again because no cookie had come with it.
    Field::optional("again"),
];

/// The query that asks for the form although somebody is signed in, and the field of a form that is shown again.
const AGAIN: &str = "again";

/// The longest typed name that is shown again, in bytes: as long as any name may be.
const SHOWN_NAME: usize = 254;

/// The form; somebody who is signed in goes on at once, except after setting a password, which may be another's, and
/// where a page asks for a new session before the old one is over (`again`).
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    if !visit.wants_page() {
        return Ok(Answer::problem(Problem::NotAcceptable));
    }
    let return_to = desk.return_to(visit.query.sole("return_to").as_deref());
    let notice = desk.notice(&visit);
    let said = matches!(
        notice,
        Some(Notice::PasswordSet | Notice::UnlockSent | Notice::Unlocked)
    );
    let needed = said || visit.query.has(AGAIN);
    let answer = if !needed && desk.visitor(&visit).await?.is_some() {
        desk.lead(&visit.headers, &visit.voice, return_to.as_str().to_owned())
    } else {
        form(&visit, return_to.as_str(), "", notice, None)
    };
    Ok(desk.notice_shown(answer, &visit))
}

/// Signs in, or says the same for everything that is wrong.
pub(in super::super) async fn submit(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let fields = match &visit.sent {
        Submission::Sound(fields) => fields,
        Submission::Stale(fields) if visit.seed.fresh && fields.find(AGAIN).is_some() => {
            // Twice without the cookie that was sent each time: it does not come back.
            return Ok(Answer::problem(Problem::RedirectLoop));
        }
        Submission::Stale(fields) => return Ok(refused(&desk, &visit, fields, Problem::StaleForm)),
        Submission::None => return Ok(Answer::problem(Problem::NotAcceptable)),
    };
    let attempt = Attempt {
        name: fields.text("login"),
        password: Password::parse(fields.text("password"), desk.flows.set_password.rules().max_chars).ok(),
        client: visit.client,
        user_agent: visit.user_agent(),
        device: desk.device(&visit),
        replaces: desk.replaces(&visit).await?,
    };
    Ok(match desk.flows.sign_in.run(attempt).await {
        Ok(SignInOutcome::Done {
            token, account, device, ..
        }) => {
            let return_to = desk.return_to(fields.find("return_to"));
            let answer = if visit.wants_page() {
                Answer::see_other(return_to.as_str())
            } else {
                Answer::json(json!({ "return_to": return_to.as_str(), "account": person(&account) }))
            };
            desk.after_sign_in(desk.remember(desk.hand_over(answer, &token), &device), &visit)
        }
        Ok(SignInOutcome::Refused) => refused(&desk, &visit, fields, Problem::WrongCredentials),
        Ok(SignInOutcome::Throttled { wait, unlockable }) => {
            let problem = if unlockable {
                Problem::Stopped(wait)
            } else {
                Problem::Throttled(wait)
            };
            refused(&desk, &visit, fields, problem)
        }
        Err(fault) => refused(&desk, &visit, fields, visit.mishap(&fault)),
    })
}

/// The form again with what is wrong. The name stays, the password never does.
fn refused(desk: &Desk, visit: &Visit, fields: &Fields, problem: Problem) -> Answer {
    if !visit.wants_page() {
        return Answer::problem(problem);
    }
    let return_to = desk.return_to(fields.find("return_to"));
    let typed = Some(fields.text("login")).filter(|name| name.len() <= SHOWN_NAME);
    form(
        visit,
        return_to.as_str(),
        typed.unwrap_or_default(),
        None,
        Some(problem),
    )
}

fn form(visit: &Visit, return_to: &str, typed: &str, notice: Option<Notice>, problem: Option<Problem>) -> Answer {
    let content = context! {
        typed => typed,
        return_to => return_to,
        notice => notice.map(Notice::as_str),
        unlockable => matches!(problem, Some(Problem::Stopped(_))) && !typed.is_empty(),
        without_cookie => problem == Some(Problem::StaleForm) && visit.seed.fresh,
    };
    let mut carry = Vec::new();
    if return_to != "/" {
        carry.push(("return_to", return_to.to_owned()));
    }
    if visit.query.has(AGAIN) {
        carry.push((AGAIN, "1".to_owned()));
    }
    Answer::page(Page {
        problem,
        seed: Some(visit.seed.clone()),
        carry,
        ..Page::new("login.html", content)
    })
}
