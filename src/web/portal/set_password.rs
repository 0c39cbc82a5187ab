//! Setting a password by link. Looking spends nothing, however often and by whomever; posting spends the link once.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use minijinja::context;
use serde_json::json;

use crate::domain::account::Account;
use crate::domain::fault::Fault;
use crate::domain::password::PasswordRules;
use crate::domain::ticket::Purpose;
use crate::domain::token::TicketToken;
use crate::flows::{Look, NewPassword, WithTicket};

use super::super::answer::{Answer, Page};
use super::super::cookie;
use super::super::desk::Desk;
use super::super::form::{Field, Fields};
use super::super::notice::Notice;
use super::super::problem::{Failure, Problem};
use super::super::visit::{Submission, Visit};
use super::super::voice::BodyKind;

/// What the form sends. A script took the token from the address itself and sends it as `ticket`;
/// `username` is there for password managers alone.
pub(in super::super) const FIELDS: &[Field] = &[
    Field::required("password"),
    Field::required("confirmation"),
    Field::optional("ticket"),
    Field::optional("username"),
];

/// How long a token stays in the browser once it has left the address bar.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// When whoever fetches ahead may ask again.
const PREFETCH_LATER: Duration = Duration::from_secs(1);

/// First the token moves from the address bar (history, shared screens) into a cookie, then the form is shown.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    // Mail scanners and link checkers ask with HEAD: nothing is looked up, set or recorded.
    if visit.method == Method::HEAD {
        return Ok(Answer::nothing());
    }
    // A browser that fetches ahead is no person who opens the link; what is no success it throws away, and asks
    // again when the person comes.
    if visit.voice.ahead {
        return Ok(Answer::problem(Problem::Failed(Failure::Unavailable {
            retry_after: PREFETCH_LATER,
        })));
    }
    // A fetch that would take a page is given no cookie, and so no form that needs one.
    let page = visit.wants_page() && visit.voice.cookies;
    let path = &desk.settings.routes.set_password;
    let token = if visit.query.has("ticket") {
        let token = visit.query.sole("ticket").and_then(|text| TicketToken::parse(&text));
        if let (Some(token), true) = (&token, page) {
            let kept = cookie::set(&desk.names.ticket, &token.expose(), Some(KEPT_FOR));
            return Ok(Answer::see_other(&**path).with_cookie(kept));
        }
        token
    } else {
        match cookie::sole(&visit.headers, &desk.names.ticket) {
            Some(text) => TicketToken::parse(text),
            None => return Ok(Answer::problem(Problem::LinkMissing)),
        }
    };
    Ok(
        match desk.flows.set_password.look(token.as_ref(), visit.client).await? {
            Look::Live { account, purpose } if page => form(&desk, &visit, &account, purpose, None),
            Look::Live { account, purpose } => Answer::json(json!({
                "purpose": purpose.as_str(),
                "account": { "extension": account.extension, "name": account.name },
                "rules": rules(desk.flows.set_password.rules()),
            })),
            other => Answer::problem(not_live(&other)),
        },
    )
}

/// Redeems the link.
pub(in super::super) async fn submit(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let fields = match &visit.sent {
        Submission::Sound(fields) => fields,
        Submission::Stale(_) => return stale(&desk, &visit).await,
        Submission::None => return Ok(Answer::problem(Problem::NotAcceptable)),
    };
    let Some(presented) = presented(&desk, &visit, fields) else {
        return Ok(Answer::problem(Problem::LinkMissing));
    };
    let typed = NewPassword {
        password: fields.text("password"),
        confirmation: fields.text("confirmation"),
    };
    let flow = &desk.flows.set_password;
    let outcome = match flow.redeem(presented.as_ref(), typed, visit.client).await {
        Ok(outcome) => outcome,
        Err(fault) => {
            let problem = visit.mishap(&fault);
            return again(&desk, &visit, presented.as_ref(), problem).await;
        }
    };
    Ok(match outcome {
        WithTicket::Done(_) => {
            let answer = if visit.wants_page() {
                desk.to_login(&visit.voice, Notice::PasswordSet)
            } else {
                Answer::json(json!({ "login_url": desk.settings.routes.login }))
            };
            answer.with_cookie(cookie::clear(&desk.names.ticket))
        }
        WithTicket::Differ(account, purpose) => refused(&desk, &visit, &account, purpose, Problem::PasswordsDiffer),
        WithTicket::Weak(account, purpose, weakness) => {
            let PasswordRules {
                min_chars, max_chars, ..
            } = *flow.rules();
            let problem = Problem::WeakPassword {
                weakness,
                min_chars,
                max_chars,
            };
            refused(&desk, &visit, &account, purpose, problem)
        }
        WithTicket::NotLive(look) => Answer::problem(not_live(&look)),
    })
}

/// The token sent as a field, or kept in the cookie: nothing, something that is no token, or a token. The cookie stands
/// in for forms alone, whose own token is bound to it; JSON that did not name its link could spend another that this
/// browser has opened since.
#[expect(clippy::option_option, reason = "nothing and nonsense are answered differently")]
fn presented(desk: &Desk, visit: &Visit, fields: &Fields) -> Option<Option<TicketToken>> {
    let kept = || match BodyKind::of(&visit.headers) {
        BodyKind::Form => cookie::sole(&visit.headers, &desk.names.ticket),
        BodyKind::Json | BodyKind::Other => None,
    };
    fields.find("ticket").or_else(kept).map(TicketToken::parse)
}

async fn stale(desk: &Desk, visit: &Visit) -> Result<Answer, Fault> {
    match cookie::sole(&visit.headers, &desk.names.ticket) {
        Some(text) => again(desk, visit, TicketToken::parse(text).as_ref(), Problem::StaleForm).await,
        None => Ok(Answer::problem(Problem::LinkMissing)),
    }
}

/// The form again, as far as the link still works.
async fn again(desk: &Desk, visit: &Visit, token: Option<&TicketToken>, problem: Problem) -> Result<Answer, Fault> {
    if !visit.wants_page() {
        return Ok(Answer::problem(problem));
    }
    // Whatever is broken may break the look as well; what was wrong first is what to tell.
    Ok(match desk.flows.set_password.look_again(token, visit.client).await {
        Ok(Look::Live { account, purpose }) => form(desk, visit, &account, purpose, Some(problem)),
        Ok(other) => Answer::problem(not_live(&other)),
        Err(_) => Answer::problem(problem),
    })
}

fn refused(desk: &Desk, visit: &Visit, account: &Account, purpose: Purpose, problem: Problem) -> Answer {
    if visit.wants_page() {
        form(desk, visit, account, purpose, Some(problem))
    } else {
        Answer::problem(problem)
    }
}

fn not_live(look: &Look) -> Problem {
    match look {
        Look::Dead { state, purpose } => Problem::LinkDead(*state, *purpose),
        Look::Throttled(wait) => Problem::Throttled(*wait),
        Look::Unknown | Look::Live { .. } => Problem::LinkUnknown,
    }
}

fn form(desk: &Desk, visit: &Visit, account: &Account, purpose: Purpose, problem: Option<Problem>) -> Answer {
    let content = context! {
        name => &account.name,
        extension => account.extension.as_str(),
        purpose => purpose.as_str(),
        rules => shown_rules(desk, account),
    };
    Answer::page(Page {
        problem,
        seed: Some(visit.seed.clone()),
        account_language: Some(account.language),
        ..Page::new("set_password.html", content)
    })
}

/// The rules as pages show them before they are broken.
pub(super) fn shown_rules(desk: &Desk, account: &Account) -> minijinja::Value {
    let rules = desk.flows.set_password.rules();
    context! {
        min_chars => rules.min_chars,
        min_score => rules.min_score,
        all_kinds => rules.all_kinds,
        // What the estimate in the page counts as easy: no more than the page shows anyway.
        words => format!("{} {}", account.name, account.extension.as_str()),
    }
}

fn rules(rules: &PasswordRules) -> serde_json::Value {
    json!({ "min_chars": rules.min_chars, "max_chars": rules.max_chars, "min_score": rules.min_score,
        "all_kinds": rules.all_kinds })
}
