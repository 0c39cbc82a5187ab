//! Unlocking a browser: the wish of somebody who was stopped, and the link that answers it. Looking uses nothing up; posting
//! uses the link up and gives this browser the device cookie that the account knows.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use minijinja::context;
use serde_json::json;

use crate::domain::account::Account;
use crate::domain::fault::Fault;
use crate::domain::token::UnlockToken;
use crate::domain::unlock;
use crate::flows::{UnlockLook, UnlockRequest, Unlocking};

use super::super::answer::{Answer, Page};
use super::super::cookie;
use super::super::desk::Desk;
use super::super::form::{Field, Fields};
use super::super::notice::Notice;
use super::super::problem::{Failure, Problem};
use super::super::visit::{Submission, Visit};
use super::super::voice::BodyKind;

/// What the form on the sign-in page sends.
pub(in super::super) const ASK_FIELDS: &[Field] = &[Field::required("login")];

/// What the form behind the link sends. A script took the token from the address itself and sends it as `ticket`.
pub(in super::super) const FIELDS: &[Field] = &[Field::optional("ticket")];

/// When whoever fetches ahead may ask again.
const PREFETCH_LATER: Duration = Duration::from_secs(1);

/// A look at the address of the wish leads to where it is made.
pub(in super::super) async fn back(desk: Arc<Desk>, _: Arc<Visit>) -> Result<Answer, Fault> {
    Ok(Answer::see_other(&*desk.settings.routes.login))
}

/// Accepts the wish; the answer is the same for every name there is or is not.
pub(in super::super) async fn ask(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let fields = match &visit.sent {
        Submission::Sound(fields) => fields,
        // The form was on the page that said why: a look at the sign-in page brings a fresh one.
        Submission::Stale(_) => return Ok(Answer::problem(Problem::StaleForm)),
        Submission::None => return Ok(Answer::problem(Problem::NotAcceptable)),
    };
    let flow = &desk.flows.unlock;
    Ok(
        match flow.ask(fields.text("login"), visit.client, &visit.at.name).await {
            Ok(UnlockRequest::Accepted) if visit.wants_page() => desk.to_login(&visit.voice, Notice::UnlockSent),
            Ok(UnlockRequest::Accepted) => Answer::accepted(json!({ "accepted": true })),
            Ok(UnlockRequest::Throttled(wait)) => Answer::problem(Problem::Throttled(wait)),
            Err(fault) => Answer::problem(visit.mishap(&fault)),
        },
    )
}

/// First the token moves from the address bar into a cookie, then the page asks whether to go on.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    // As with links that set a password: nothing happens for mail scanners and whoever fetches ahead.
    if visit.method == Method::HEAD {
        return Ok(Answer::nothing());
    }
    if visit.voice.ahead {
        return Ok(Answer::problem(Problem::Failed(Failure::Unavailable {
            retry_after: PREFETCH_LATER,
        })));
    }
    let page = visit.wants_page() && visit.voice.cookies;
    let token = if visit.query.has("ticket") {
        let token = visit.query.sole("ticket").and_then(|text| UnlockToken::parse(&text));
        if let (Some(token), true) = (&token, page) {
            let kept = cookie::set(&desk.names.unlock, &token.expose(), Some(unlock::LIFE));
            return Ok(Answer::see_other(unlock::PATH).with_cookie(kept));
        }
        token
    } else {
        cookie::sole(&visit.headers, &desk.names.unlock).and_then(UnlockToken::parse)
    };
    Ok(match desk.flows.unlock.look(token.as_ref(), visit.client).await? {
        UnlockLook::Live(account) if page => form(&visit, &account, None),
        UnlockLook::Live(account) => Answer::json(json!({
            "account": { "extension": account.extension, "name": account.name },
        })),
        UnlockLook::Dead => Answer::problem(Problem::UnlockDead),
        UnlockLook::Throttled(wait) => Answer::problem(Problem::Throttled(wait)),
    })
}

/// Makes this browser known.
pub(in super::super) async fn submit(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let fields = match &visit.sent {
        Submission::Sound(fields) => fields,
        Submission::Stale(_) => return stale(&desk, &visit).await,
        Submission::None => return Ok(Answer::problem(Problem::NotAcceptable)),
    };
    let token = presented(&desk, &visit, fields);
    let device = desk.device(&visit);
    Ok(
        match desk.flows.unlock.redeem(token.as_ref(), visit.client, device).await? {
            Unlocking::Done(device) => {
                let answer = if visit.wants_page() {
                    desk.to_login(&visit.voice, Notice::Unlocked)
                } else {
                    Answer::json(json!({ "login_url": desk.settings.routes.login }))
                };
                desk.remember(answer.with_cookie(cookie::clear(&desk.names.unlock)), &device)
            }
            Unlocking::Dead => Answer::problem(Problem::UnlockDead),
            Unlocking::Throttled(wait) => Answer::problem(Problem::Throttled(wait)),
        },
    )
}

/// The token sent as a field, or kept in the cookie. The cookie stands in for forms alone, whose own token is bound to it.
fn presented(desk: &Desk, visit: &Visit, fields: &Fields) -> Option<UnlockToken> {
    let kept = || match BodyKind::of(&visit.headers) {
        BodyKind::Form => cookie::sole(&visit.headers, &desk.names.unlock),
        BodyKind::Json | BodyKind::Other => None,
    };
    fields.find("ticket").or_else(kept).and_then(UnlockToken::parse)
}

/// The page again, as far as the link still works.
async fn stale(desk: &Desk, visit: &Visit) -> Result<Answer, Fault> {
    let token = cookie::sole(&visit.headers, &desk.names.unlock).and_then(UnlockToken::parse);
    if !visit.wants_page() {
        return Ok(Answer::problem(Problem::StaleForm));
    }
    Ok(match desk.flows.unlock.look(token.as_ref(), visit.client).await? {
        UnlockLook::Live(account) => form(visit, &account, Some(Problem::StaleForm)),
        UnlockLook::Dead => Answer::problem(Problem::UnlockDead),
        UnlockLook::Throttled(wait) => Answer::problem(Problem::Throttled(wait)),
    })
}

fn form(visit: &Visit, account: &Account, problem: Option<Problem>) -> Answer {
    let content = context! {
        name => &account.name,
        extension => account.extension.as_str(),
    };
    Answer::page(Page {
        problem,
        seed: Some(visit.seed.clone()),
        account_language: Some(account.language),
        ..Page::new("unlock.html", content)
    })
}
