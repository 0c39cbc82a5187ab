//! From a request to the answer: whose it is, whether it comes from our own pages, whether it may, and the call.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, request};
use tower::ServiceExt;
use url::form_urlencoded::byte_serialize;

use crate::domain::account::Role;
use crate::domain::fault::Fault;
use crate::domain::target::RequestPath;
use crate::flows::{Refusal, Standing};

use super::across;
use super::answer::Answer;
use super::cookie;
use super::csrf;
use super::desk::Desk;
use super::form::{Field, Fields, TOKEN_FIELD};
use super::notice::Notice;
use super::portal;
use super::problem::{Failure, Problem};
use super::respond;
use super::routes::{ACCOUNT_PATH, Access, Action, Owner, RouteInfo};
use super::settings::{PortalFlows, PortalProblem, PortalSettings};
use super::visit::{Submission, Visit};
use super::voice::{BodyKind, Medium, Voice};

/// The largest body that is read; the caller has a cap of its own.
pub const MAX_BODY: usize = 64 * 1024;

/// The gateway's own pages and API.
pub struct Portal {
    desk: Arc<Desk>,
    router: Router,
    routes: Vec<RouteInfo>,
}

impl Portal {
    /// Builds the portal; templates, texts and paths are checked here.
    ///
    /// # Errors
    /// What is wrong, and with which setting or file.
    pub fn new(settings: PortalSettings, flows: PortalFlows) -> Result<Self, PortalProblem> {
        let desk = Arc::new(Desk::new(settings, flows)?);
        let (router, routes) = portal::table(&desk.settings.routes).finish(Arc::clone(&desk));
        Ok(Self { desk, router, routes })
    }

    /// Whose a path is. Allocates nothing for plain paths.
    pub fn owner(&self, path: &RequestPath<'_>) -> Owner {
        self.desk.territory.owner(path)
    }

    /// Every route with who may use it.
    pub fn routes(&self) -> Vec<RouteInfo> {
        self.routes.clone()
    }

    /// Answers a request to one of our own paths, whose body was collected under a cap. Expects
    /// [`ClientAddr`](crate::domain::client::ClientAddr), [`At`](super::At) and [`RequestId`](super::RequestId) as
    /// extensions.
    pub async fn respond(&self, request: Request<Bytes>) -> Response<Bytes> {
        let answered = self.router.clone().oneshot(request.map(Body::from)).await;
        let (head, body) = answered.unwrap_or_else(|never| match never {}).into_parts();
        match to_bytes(body, usize::MAX).await {
            Ok(body) => Response::from_parts(head, body),
            Err(error) => {
                tracing::error!(%error, "could not collect an answer of our own");
                self.failure(None, Failure::Internal)
            }
        }
    }

    /// The answer to a request that needs a session and has none: to sign-in for a person who
    /// navigates, 401 for everything else. A WebSocket is the proxy's to close.
    pub fn challenge(&self, head: &request::Parts, reason: Option<Refusal>) -> Response<Bytes> {
        let voice = self.voice(head);
        let answer = if voice.across.as_ref().is_some_and(|across| across.answers(head)) {
            Answer::preflight(across::asked(head))
        } else {
            challenge(&self.desk, &voice, &head.method, &head.headers, reason)
        };
        respond::write(&self.desk, &voice, answer)
    }

    /// The answer to a failure the proxy decided on: a page for a person who navigates, JSON for everything else.
    pub fn failure(&self, head: Option<&request::Parts>, failure: Failure) -> Response<Bytes> {
        let mut voice = head.map_or_else(|| Voice::to_nobody(&self.desk.settings), |head| self.voice(head));
        if failure.bearer_error().is_some() {
            // Programs read it, whatever they accept.
            voice.medium = Medium::Json;
        }
        respond::write(&self.desk, &voice, Answer::problem(Problem::Failed(failure)))
    }

    /// How to answer a request that was not for us: `?lang` in it is the web client's business.
    fn voice(&self, head: &request::Parts) -> Voice {
        Voice::of(head, false, &self.desk.settings, &self.desk.names)
    }
}

/// A person goes to sign in and comes back; everything else learns what is missing. A dead cookie is
/// cleared only where a person sees it happen: a fetch that crosses a fresh sign-in must not undo it.
fn challenge(desk: &Desk, voice: &Voice, method: &Method, headers: &HeaderMap, reason: Option<Refusal>) -> Answer {
    if !voice.navigates() {
        return Answer::problem(Problem::SignInRequired(reason));
    }
    let returns = matches!(*method, Method::GET | Method::HEAD) && desk.may_return_to(&voice.target);
    let login = &desk.settings.routes.login;
    let location = if returns && voice.target != "/" {
        let target: String = byte_serialize(voice.target.as_bytes()).collect();
        format!("{login}?return_to={target}")
    } else {
        login.clone()
    };
    let answer = desk.lead(headers, voice, location);
    match reason {
        // It may well be alive: the sign-in page looks it up.
        None | Some(Refusal::Unasked) => answer,
        Some(_) => desk
            .with_notice(answer, voice, Notice::SessionEnded)
            .with_cookie(cookie::clear(&desk.names.session)),
    }
}

/// The answer to an act with the token that the session had until a moment ago, as when a form is sent twice: the
/// person's own page, which the browser asks for with the new token, and which shows what became of the first.
fn renewed(voice: &Voice) -> Answer {
    if voice.navigates() {
        Answer::see_other(ACCOUNT_PATH)
    } else {
        Answer::problem(Problem::SignInRequired(Some(Refusal::Renewed)))
    }
}

/// The way of every request to a route: the table calls nothing else.
pub(super) async fn serve(
    State(desk): State<Arc<Desk>>,
    access: Access,
    action: Action,
    request: Request<Body>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return refuse(&desk, &head, Problem::Failed(Failure::BodyTooLarge));
    };
    let request = Request::from_parts(head, body);
    let fresh = || desk.flows.sign_in.world.uuid();
    let Some(mut visit) = Visit::read(&request, &desk.settings, &desk.names, &desk.tokens, fresh) else {
        tracing::error!("a request reached the pages without a client address or a site");
        return refuse(&desk, &request.into_parts().0, Problem::Failed(Failure::Internal));
    };
    let voice = visit.voice.clone();
    let answer = match admit(&desk, &mut visit, access, &action, request.body()).await {
        Ok(None) => {
            let visit = Arc::new(visit);
            match action.run(Arc::clone(&desk), Arc::clone(&visit)).await {
                Ok(answer) => answer,
                Err(fault) => Answer::problem(visit.mishap(&fault)),
            }
        }
        Ok(Some(refusal)) => refusal,
        Err(fault) => Answer::problem(visit.mishap(&fault)),
    };
    respond::write(&desk, &voice, answer).map(Body::from)
}

/// Nothing of ours is at this path.
pub(super) async fn nothing_here(State(desk): State<Arc<Desk>>, request: Request<Body>) -> Response<Body> {
    refuse(&desk, &request.into_parts().0, Problem::Failed(Failure::NotFound))
}

/// The path is ours, the method is not. Only pages with forms take `POST`.
pub(super) async fn not_that_way(State(desk): State<Arc<Desk>>, request: Request<Body>) -> Response<Body> {
    let (head, _) = request.into_parts();
    let allow = if desk.is_page(head.uri.path()) {
        "GET, HEAD, POST"
    } else {
        "GET, HEAD"
    };
    refuse(&desk, &head, Problem::Failed(Failure::MethodNotAllowed { allow }))
}

fn refuse(desk: &Desk, head: &request::Parts, problem: Problem) -> Response<Body> {
    let voice = Voice::of(head, true, &desk.settings, &desk.names);
    respond::write(desk, &voice, Answer::problem(problem)).map(Body::from)
}

/// What must be in order before a page is asked; the answer when it is not.
async fn admit(
    desk: &Desk,
    visit: &mut Visit,
    access: Access,
    action: &Action,
    body: &[u8],
) -> Result<Option<Answer>, Fault> {
    if let Action::Submit { .. } = action
        && !csrf::same_origin(&visit.headers, &visit.at.doors)
    {
        return Ok(Some(Answer::problem(Problem::ForeignOrigin)));
    }
    if access != Access::Anyone {
        let principal = match desk.standing(visit).await? {
            Standing::Former(..) if matches!(action, Action::Submit { .. }) => return Ok(Some(renewed(&visit.voice))),
            Standing::Known(principal) | Standing::Former(principal, _) => principal,
            Standing::Stranger => return Ok(Some(challenge(desk, &visit.voice, &visit.method, &visit.headers, None))),
            Standing::Refused(reason) => {
                return Ok(Some(challenge(
                    desk,
                    &visit.voice,
                    &visit.method,
                    &visit.headers,
                    Some(reason),
                )));
            }
        };
        if access == Access::Admin && principal.account.role != Role::Admin {
            return Ok(Some(Answer::problem(Problem::Failed(Failure::Forbidden))));
        }
        visit.principal = Some(principal);
    }
    if let Action::Submit { fields, .. } = action {
        match read(desk, visit, fields, body) {
            Ok(sent) => visit.sent = sent,
            Err(problem) => return Ok(Some(Answer::problem(problem))),
        }
    }
    Ok(None)
}

/// Reads what was posted. JSON needs no form token: no page of another site can send it without our leave.
fn read(desk: &Desk, visit: &Visit, known: &[Field], body: &[u8]) -> Result<Submission, Problem> {
    match BodyKind::of(&visit.headers) {
        BodyKind::Json => Fields::from_json(body, known)
            .map(Submission::Sound)
            .map_err(Problem::Body),
        BodyKind::Form => {
            let fields = Fields::from_form(body, known).map_err(Problem::Body)?;
            let sound = !visit.seed.fresh && desk.tokens.agree(&visit.seed, fields.text(TOKEN_FIELD));
            Ok(if sound {
                Submission::Sound(fields)
            } else {
                Submission::Stale(fields)
            })
        }
        BodyKind::Other => Err(Problem::UnsupportedMediaType),
    }
}
