//! The person's own page: who I am, where I am signed in, my password, my language.

use std::sync::Arc;

use minijinja::context;
use serde_json::json;

use crate::domain::account::Email;
use crate::domain::browser::Browser;
use crate::domain::fault::Fault;
use crate::domain::language::Language;
use crate::domain::password::{Password, PasswordRules};
use crate::domain::principal::Principal;
use crate::domain::session::{Session, SessionId};
use crate::flows::{Confirmation, Ending, NewPassword, PasswordOutcome};

use super::super::answer::{Answer, Page, person};
use super::super::cookie;
use super::super::desk::Desk;
use super::super::form::{BodyProblem, Field, Fields};
use super::super::language::REMEMBERED_FOR;
use super::super::notice::Notice as LoginNotice;
use super::super::problem::Problem;
use super::super::routes::ACCOUNT_PATH;
use super::super::visit::{Submission, Visit};
use super::set_password::shown_rules;

/// What the form for a new password sends; `username` is there for password managers alone.
pub(in super::super) const PASSWORD_FIELDS: &[Field] = &[
    Field::required("old_password"),
    Field::required("password"),
    Field::required("confirmation"),
    Field::optional("keep_others"),
    Field::optional("username"),
];

/// What ending one session takes; the password only where the sign-in is not fresh.
pub(in super::super) const END_FIELDS: &[Field] = &[
    Field::required("session"),
    Field::optional("password"),
    Field::optional("username"),
];

/// What ending several sessions takes.
pub(in super::super) const END_ALL_FIELDS: &[Field] = &[Field::optional("password"), Field::optional("username")];

/// What the language form sends.
pub(in super::super) const LANGUAGE_FIELDS: &[Field] = &[Field::required("language")];

/// What the page says after an act: a closed list, so that no link puts words here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    PasswordChanged,
    SessionEnded,
    OthersEnded,
    LanguageSet,
}

impl Notice {
    const ALL: [Self; 4] = [
        Self::PasswordChanged,
        Self::SessionEnded,
        Self::OthersEnded,
        Self::LanguageSet,
    ];

    /// The name in the query and in message keys.
    const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordChanged => "password-changed",
            Self::SessionEnded => "session-ended",
            Self::OthersEnded => "others-ended",
            Self::LanguageSet => "language-set",
        }
    }

    /// What this browser did a moment ago: a link from elsewhere cannot say so.
    fn of(desk: &Desk, visit: &Visit) -> Option<Self> {
        let (text, proof) = (visit.query.sole("notice")?, visit.query.sole("done")?);
        let notice = Self::ALL.into_iter().find(|notice| notice.as_str() == text)?;
        desk.tokens
            .proves(&visit.seed, notice.as_str(), minute(desk), &proof)
            .then_some(notice)
    }

    /// Its part of the query.
    fn query(self, desk: &Desk, visit: &Visit) -> [(&'static str, String); 2] {
        let proof = desk.tokens.proof(&visit.seed, self.as_str(), minute(desk));
        [("notice", self.as_str().to_owned()), ("done", proof)]
    }
}

/// The minute it is, for what is true a moment only.
fn minute(desk: &Desk) -> i64 {
    desk.flows.own_account.world.now().as_second().div_euclid(60)
}

/// The page, or the same facts as JSON.
pub(in super::super) async fn show(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let Some(principal) = &visit.principal else {
        return Ok(Answer::problem(Problem::SignInRequired(None)));
    };
    if visit.wants_page() {
        return page(&desk, &visit, principal, Notice::of(&desk, &visit), None).await;
    }
    let sessions = desk.flows.own_account.sessions(principal).await?;
    let mut account = person(&principal.account);
    if let Some(members) = account.as_object_mut() {
        let email = principal.account.email.as_ref().map(Email::as_typed);
        members.insert("email".into(), email.into());
        members.insert("groups".into(), principal.account.groups.clone().into());
    }
    Ok(Answer::json(json!({
        "account": account,
        "fresh": desk.flows.own_account.is_fresh(principal),
        "sessions": sessions.iter().map(|session| entry(principal, session)).collect::<Vec<_>>(),
    })))
}

/// A look at an address that only takes acts, as after a change of language on a refusal: the page itself.
pub(in super::super) async fn back(_: Arc<Desk>, _: Arc<Visit>) -> Result<Answer, Fault> {
    Ok(Answer::see_other(ACCOUNT_PATH))
}

/// Changes the password.
pub(in super::super) async fn password(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let (principal, fields) = match sound(&desk, &visit).await? {
        Ok(sound) => sound,
        Err(answer) => return Ok(answer),
    };
    let typed = NewPassword {
        password: fields.text("password"),
        confirmation: fields.text("confirmation"),
    };
    let old = read(&desk, fields.text("old_password"));
    let end_others = fields.text("keep_others").is_empty();
    let flow = &desk.flows.own_account;
    let changed = flow
        .change_password(
            principal,
            old.as_ref(),
            typed,
            end_others,
            visit.client,
            desk.device(&visit),
        )
        .await;
    let problem = match changed {
        Ok(PasswordOutcome::Done { token, device }) => {
            let json = json!({ "changed": true, "others_ended": end_others });
            let answer = desk.hand_over(done(&desk, &visit, Notice::PasswordChanged, json), &token);
            return Ok(match device {
                Some(device) => desk.remember(answer, &device),
                None => answer,
            });
        }
        Ok(PasswordOutcome::WrongOld) => Problem::WrongPassword("old_password"),
        Ok(PasswordOutcome::Same) => Problem::SamePassword,
        Ok(PasswordOutcome::Differ) => Problem::PasswordsDiffer,
        Ok(PasswordOutcome::Weak(weakness)) => {
            let PasswordRules {
                min_chars, max_chars, ..
            } = *desk.flows.set_password.rules();
            Problem::WeakPassword {
                weakness,
                min_chars,
                max_chars,
            }
        }
        Ok(PasswordOutcome::Throttled(wait)) => Problem::Throttled(wait),
        Ok(PasswordOutcome::Overtaken) => Problem::StaleForm,
        Err(fault) => visit.mishap(&fault),
    };
    refused(&desk, &visit, principal, problem).await
}

/// Ends one session.
pub(in super::super) async fn end(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let (principal, fields) = match sound(&desk, &visit).await? {
        Ok(sound) => sound,
        Err(answer) => return Ok(answer),
    };
    match SessionId::parse(fields.text("session")) {
        Some(id) => ending(&desk, &visit, principal, fields, Ending::One(id)).await,
        None => refused(&desk, &visit, principal, Problem::NoSuchSession).await,
    }
}

/// Ends all sessions but this one.
pub(in super::super) async fn end_others(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    match sound(&desk, &visit).await? {
        Ok((principal, fields)) => ending(&desk, &visit, principal, fields, Ending::Others).await,
        Err(answer) => Ok(answer),
    }
}

/// Signs out everywhere.
pub(in super::super) async fn end_all(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    match sound(&desk, &visit).await? {
        Ok((principal, fields)) => ending(&desk, &visit, principal, fields, Ending::All).await,
        Err(answer) => Ok(answer),
    }
}

/// Sets the language of pages and letters.
pub(in super::super) async fn language(desk: Arc<Desk>, visit: Arc<Visit>) -> Result<Answer, Fault> {
    let (principal, fields) = match sound(&desk, &visit).await? {
        Ok(sound) => sound,
        Err(answer) => return Ok(answer),
    };
    let Ok(language) = fields.text("language").parse::<Language>() else {
        return refused(&desk, &visit, principal, Problem::Body(BodyProblem::Shape)).await;
    };
    desk.flows.own_account.speak(principal, language, visit.client).await?;
    let answer = done(&desk, &visit, Notice::LanguageSet, json!({ "language": language }));
    // A language chosen in this browser before would hide the new one.
    Ok(if visit.wants_page() {
        answer.with_cookie(cookie::set(&desk.names.language, language.tag(), Some(REMEMBERED_FOR)))
    } else {
        answer
    })
}

/// Who asks and what was sent, or the answer where the form was not sound.
async fn sound<'a>(desk: &Desk, visit: &'a Visit) -> Result<Result<(&'a Principal, &'a Fields), Answer>, Fault> {
    let Some(principal) = &visit.principal else {
        return Ok(Err(Answer::problem(Problem::SignInRequired(None))));
    };
    Ok(match &visit.sent {
        Submission::Sound(fields) => Ok((principal, fields)),
        Submission::Stale(_) => Err(refused(desk, visit, principal, Problem::StaleForm).await?),
        Submission::None => Err(Answer::problem(Problem::NotAcceptable)),
    })
}

/// Ends sessions once the sign-in is fresh; asks for the password where it is not.
async fn ending(
    desk: &Desk,
    visit: &Visit,
    principal: &Principal,
    fields: &Fields,
    which: Ending,
) -> Result<Answer, Fault> {
    let flow = &desk.flows.own_account;
    if flow.is_fresh(principal) {
        let ended = end_now(desk, visit, principal, which).await?;
        return Ok(ended.unwrap_or_else(|| signed_out(desk, visit)));
    }
    let Some(password) = fields.find("password") else {
        return Ok(confirm(desk, visit, principal, fields, None));
    };
    let password = read(desk, password);
    let problem = match flow.confirm(principal, password.as_ref(), visit.client).await {
        Ok(Confirmation::Done(token)) => {
            // The session has a new token from here on, so the browser must be given it, whatever comes of the act.
            return Ok(match end_now(desk, visit, principal, which).await {
                Ok(Some(answer)) => desk.hand_over(answer, &token),
                Ok(None) => signed_out(desk, visit),
                Err(fault) => desk.hand_over(Answer::problem(visit.mishap(&fault)), &token),
            });
        }
        Ok(Confirmation::Refused) => Problem::WrongPassword("password"),
        Ok(Confirmation::Throttled(wait)) => Problem::Throttled(wait),
        Err(fault) => visit.mishap(&fault),
    };
    Ok(confirm(desk, visit, principal, fields, Some(problem)))
}

/// Ends sessions of a fresh sign-in; `None` when this browser's own is among them.
async fn end_now(desk: &Desk, visit: &Visit, principal: &Principal, which: Ending) -> Result<Option<Answer>, Fault> {
    let flow = &desk.flows.own_account;
    if !flow.end(principal, which, visit.client).await? {
        return refused(desk, visit, principal, Problem::NoSuchSession).await.map(Some);
    }
    let notice = match which {
        Ending::Others => Notice::OthersEnded,
        Ending::One(id) if id != principal.session.id => Notice::SessionEnded,
        Ending::One(_) | Ending::All => return Ok(None),
    };
    Ok(Some(done(desk, visit, notice, json!({ "ended": true }))))
}

/// This browser's own session ended as well.
fn signed_out(desk: &Desk, visit: &Visit) -> Answer {
    let answer = if visit.wants_page() {
        desk.to_login(&visit.voice, LoginNotice::SignedOut)
    } else {
        Answer::json(json!({ "signed_in": false, "login_url": desk.settings.routes.login }))
    };
    answer.with_cookie(cookie::clear(&desk.names.session))
}

fn done(desk: &Desk, visit: &Visit, notice: Notice, json: serde_json::Value) -> Answer {
    if visit.wants_page() {
        let query = notice.query(desk, visit).map(|(name, value)| format!("{name}={value}"));
        Answer::see_other(format!("{ACCOUNT_PATH}?{}", query.join("&")))
    } else {
        Answer::json(json)
    }
}

fn read(desk: &Desk, typed: &str) -> Option<Password> {
    Password::parse(typed, desk.flows.set_password.rules().max_chars).ok()
}

/// The page again with what is wrong; no password is shown again.
async fn refused(desk: &Desk, visit: &Visit, principal: &Principal, problem: Problem) -> Result<Answer, Fault> {
    if visit.wants_page() {
        page(desk, visit, principal, None, Some(problem)).await
    } else {
        Ok(Answer::problem(problem))
    }
}

/// Asks for the password and carries the act along, so that it is done in the same step.
fn confirm(desk: &Desk, visit: &Visit, principal: &Principal, fields: &Fields, problem: Option<Problem>) -> Answer {
    if !visit.wants_page() {
        return Answer::problem(problem.unwrap_or(Problem::ConfirmationRequired));
    }
    let account = &principal.account;
    let act = END_PATHS.iter().find(|path| visit.path.ends_with(*path));
    let content = context! {
        // From our own table, whatever the request looked like.
        action => format!("{ACCOUNT_PATH}{}", act.copied().unwrap_or_default()),
        session => fields.find("session"),
        extension => account.extension.as_str(),
        fresh_minutes => desk.flows.own_account.fresh_for.as_secs().div_ceil(60),
    };
    Answer::page(Page {
        problem,
        seed: Some(visit.seed.clone()),
        account_language: Some(account.language),
        ..Page::new("confirm.html", content)
    })
}

/// Below the page's own address.
pub(super) const END_PATHS: [&str; 3] = ["/sessions/end", "/sessions/end-others", "/sessions/end-all"];

async fn page(
    desk: &Desk,
    visit: &Visit,
    principal: &Principal,
    notice: Option<Notice>,
    problem: Option<Problem>,
) -> Result<Answer, Fault> {
    let account = &principal.account;
    let sessions = desk.flows.own_account.sessions(principal).await?;
    let now = desk.flows.own_account.world.now();
    let shown: Vec<_> = sessions
        .iter()
        .map(|session| {
            let browser = Browser::of(&session.user_agent);
            let (used_unit, used_count) = ago(now, last_used(principal, session));
            let (since_unit, since_count) = ago(now, session.created_at);
            context! {
                id => session.id.to_string(),
                browser => browser.name,
                system => browser.system,
                address => session.client.to_string(),
                current => session.id == principal.session.id,
                used_unit, used_count, since_unit, since_count,
            }
        })
        .collect();
    let content = context! {
        name => &account.name,
        extension => account.extension.as_str(),
        email => account.email.as_ref().map(Email::as_typed),
        language => account.language.tag(),
        sessions => shown,
        rules => shown_rules(desk, account),
        notice => notice.map(Notice::as_str),
    };
    Ok(Answer::page(Page {
        problem,
        seed: Some(visit.seed.clone()),
        account_language: Some(account.language),
        carry: notice
            .map(|notice| notice.query(desk, visit).to_vec())
            .unwrap_or_default(),
        ..Page::new("account.html", content)
    }))
}

/// The store hears of requests at most once a minute; of the session that asks, memory knows better.
fn last_used(principal: &Principal, session: &Session) -> jiff::Timestamp {
    if session.id == principal.session.id {
        principal.last_seen()
    } else {
        session.last_seen_at
    }
}

/// How long ago something was, as a unit and how many of it. It needs no time zone.
fn ago(now: jiff::Timestamp, then: jiff::Timestamp) -> (&'static str, i64) {
    match now.duration_since(then).as_secs() {
        ..120 => ("now", 0),
        seconds @ 120..7200 => ("minutes", seconds / 60),
        seconds @ 7200..172_800 => ("hours", seconds / 3600),
        seconds => ("days", seconds / 86_400),
    }
}

fn entry(principal: &Principal, session: &Session) -> serde_json::Value {
    let browser = Browser::of(&session.user_agent);
    json!({
        "id": session.id,
        "current": session.id == principal.session.id,
        "browser": browser.name,
        "system": browser.system,
        "address": session.client.to_string(),
        "signed_in_at": session.created_at.to_string(),
        "last_used_at": last_used(principal, session).to_string(),
    })
}
