//! Answers into responses: the only place with status codes, security headers and pages made of problems.

use std::collections::BTreeMap;

use bytes::Bytes;
use fluent_bundle::FluentArgs;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use minijinja::{Value, context};
use serde_json::Value as Json;
use url::form_urlencoded::Serializer;

use crate::domain::language::Language;

use super::across;
use super::answer::{Answer, Body, Page};
use super::assets::Asset;
use super::cookie;
use super::desk::Desk;
use super::language::REMEMBERED_FOR;
use super::page;
use super::problem::{Failure, Problem, whole_seconds};
use super::routes::LANGUAGE_PATH;
use super::voice::{Medium, Voice};

/// A style sheet or script of another site, an inline script and a frame around us are all refused.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// On every answer of ours.
const SECURITY: [(HeaderName, &str); 8] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Makes the response.
pub(super) fn write(desk: &Desk, voice: &Voice, answer: Answer) -> Response<Bytes> {
    let Answer { body, mut cookies } = answer;
    if let Some(language) = voice.asked.filter(|_| voice.cookies) {
        cookies.push(cookie::set(&desk.names.language, language.tag(), Some(REMEMBERED_FOR)));
    }
    let mut response = match body {
        Body::Page(page) => {
            if let Some(seed) = page.seed.as_ref().filter(|seed| seed.fresh && voice.cookies) {
                cookies.push(cookie::set(&desk.names.form, &seed.text, None));
            }
            write_page(desk, voice, page)
        }
        Body::Problem(problem) if voice.medium == Medium::Page => {
            write_page(desk, voice, problem_page(desk, voice, problem))
        }
        Body::Problem(problem) => write_problem(desk, voice, problem),
        Body::Json(json) => typed(StatusCode::OK, JSON, json.to_string()),
        Body::Accepted(json) => typed(StatusCode::ACCEPTED, JSON, json.to_string()),
        Body::Unready(json) => typed(StatusCode::SERVICE_UNAVAILABLE, JSON, json.to_string()),
        Body::SeeOther(location) => see_other(&location),
        Body::Keys(jwks) => cached(
            typed(StatusCode::OK, "application/jwk-set+json", jwks),
            "public, max-age=60",
        ),
        Body::File { file, pinned } => {
            let keep = if pinned {
                "public, max-age=31536000, immutable"
            } else {
                "public, no-cache"
            };
            let response = typed(StatusCode::OK, file.media_type, file.bytes.clone());
            tagged(cached(response, keep), &file)
        }
        Body::NotModified(file) => tagged(cached(bare(StatusCode::NOT_MODIFIED), "public, no-cache"), &file),
        Body::Nothing => typed(StatusCode::OK, HTML, Bytes::new()),
        Body::Preflight(headers) => {
            let mut response = bare(StatusCode::NO_CONTENT);
            across::grant(headers.as_ref(), response.headers_mut());
            response
        }
    };
    for (name, value) in SECURITY {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if let Some(across) = &voice.across {
        across.allow(response.headers_mut());
    }
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    if voice.bodiless {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        *response.body_mut() = Bytes::new();
    }
    response
}

fn write_page(desk: &Desk, voice: &Voice, page: Page) -> Response<Bytes> {
    let language = voice.spoken.or_of(page.account_language);
    let frame = context! {
        lang => language.tag(),
        languages => languages(desk, voice, language, &page.carry),
        form_token => page.seed.as_ref().map(|seed| desk.tokens.token(seed)),
        problem => page.problem.map(|problem| spelled(desk, language, problem)),
        request_id => voice.request_id.as_deref(),
    };
    let status = page.problem.map_or(StatusCode::OK, status);
    match desk.pages.render(page.template, frame, page.content) {
        Ok(html) => {
            let mut response = typed(status, HTML, html);
            if let Some(problem) = page.problem {
                explain_in_head(desk, problem, response.headers_mut());
            }
            response
        }
        Err(error) => {
            tracing::error!(
                template = page.template,
                error = format!("{error:#}"),
                "could not fill a page"
            );
            let text = "500 Internal Server Error\n";
            typed(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", text)
        }
    }
}

fn write_problem(desk: &Desk, voice: &Voice, problem: Problem) -> Response<Bytes> {
    let status = status(problem);
    let (title, detail) = words(desk, voice.spoken.language(), problem);
    let mut members = problem.members();
    members.insert("type".into(), problem.urn().into());
    members.insert("title".into(), title.into());
    members.insert("status".into(), status.as_u16().into());
    members.insert("detail".into(), detail.into());
    if let Problem::SignInRequired(_) = problem {
        // A page elsewhere would read a path as one of its own.
        let door = voice.across.as_ref().map_or("", |across| &across.door);
        let login = format!("{door}{}", desk.settings.routes.login);
        members.insert("login_url".into(), login.into());
    }
    if let Some(id) = &voice.request_id {
        members.insert("request_id".into(), (**id).into());
    }
    let mut response = typed(status, PROBLEM, Json::Object(members).to_string());
    explain_in_head(desk, problem, response.headers_mut());
    response
}

/// The page of a problem that has none of its own.
fn problem_page(desk: &Desk, voice: &Voice, problem: Problem) -> Page {
    let content = match problem {
        Problem::LinkDead(..) | Problem::LinkUnknown | Problem::LinkMissing | Problem::UnlockDead => context! {},
        _ => context! { retry => desk.may_return_to(&voice.target).then_some(&voice.target) },
    };
    let template = match problem {
        Problem::LinkDead(..) | Problem::LinkUnknown | Problem::LinkMissing | Problem::UnlockDead => "link.html",
        Problem::RedirectLoop => "circle.html",
        _ => "failure.html",
    };
    Page {
        problem: Some(problem),
        ..Page::new(template, content)
    }
}

/// A problem as templates see it.
fn spelled(desk: &Desk, language: Language, problem: Problem) -> BTreeMap<&'static str, Value> {
    let (title, detail) = words(desk, language, problem);
    let members = problem.members();
    let text = |key: &str| Value::from(members.get(key).and_then(Json::as_str).unwrap_or_default());
    BTreeMap::from([
        ("name", problem.name().into()),
        ("title", title.into()),
        ("detail", detail.into()),
        ("field", text("field")),
        ("state", text("state")),
        ("purpose", text("purpose")),
        ("status", status(problem).as_u16().into()),
    ])
}

/// A problem in words: what it is, and what to do.
fn words(desk: &Desk, language: Language, problem: Problem) -> (String, String) {
    let key = match problem {
        Problem::LinkDead(state, _) => format!("link-{}", state.as_str()),
        Problem::LinkUnknown => "link-unknown".to_owned(),
        Problem::WeakPassword { weakness, .. } => format!("weak-{}", weakness.first().as_str()),
        _ => problem.name().to_owned(),
    };
    let mut args = FluentArgs::new();
    let wait = problem.retry_after().unwrap_or_default();
    let (unit, count) = page::wait(wait);
    args.set("unit", unit);
    args.set("count", count);
    args.set("at", page::until(language, wait, desk.now(), &desk.settings.zone));
    if let Problem::WeakPassword {
        min_chars, max_chars, ..
    } = problem
    {
        args.set("min", min_chars);
        args.set("max", max_chars);
    }
    let say = |key: &str| match desk.texts.say(language, key, Some(&args)) {
        Ok(said) => said,
        Err(error) => {
            tracing::error!(%error, "could not say a message");
            problem.name().to_owned()
        }
    };
    let detail = match problem {
        // All of it at once: nobody likes to learn the rules one refusal at a time.
        Problem::WeakPassword { weakness, .. } => {
            let details = weakness
                .iter()
                .map(|weakness| say(&format!("problem-weak-{}-detail", weakness.as_str())));
            details.collect::<Vec<_>>().join(language.between_sentences())
        }
        _ => say(&format!("problem-{key}-detail")),
    };
    (say(&format!("problem-{key}")), detail)
}

fn status(problem: Problem) -> StatusCode {
    match problem {
        Problem::Failed(failure) => match failure {
            Failure::BadRequest | Failure::UnclearCredentials => StatusCode::BAD_REQUEST,
            Failure::InvalidToken => StatusCode::UNAUTHORIZED,
            Failure::Forbidden | Failure::Banned | Failure::InsufficientScope => StatusCode::FORBIDDEN,
            Failure::NotFound => StatusCode::NOT_FOUND,
            Failure::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Failure::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Failure::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::TargetTooLong => StatusCode::URI_TOO_LONG,
            Failure::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Failure::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Failure::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Failure::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::BadGateway => StatusCode::BAD_GATEWAY,
            Failure::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Failure::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
        },
        Problem::SignInRequired(_) | Problem::WrongCredentials => StatusCode::UNAUTHORIZED,
        Problem::Throttled(_) | Problem::Stopped(_) => StatusCode::TOO_MANY_REQUESTS,
        Problem::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Problem::ForeignOrigin
        | Problem::RedirectLoop
        | Problem::StaleForm
        | Problem::ConfirmationRequired
        | Problem::WrongPassword(_) => StatusCode::FORBIDDEN,
        Problem::NoSuchSession => StatusCode::NOT_FOUND,
        Problem::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Problem::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Problem::Body(super::form::BodyProblem::Syntax) | Problem::LinkMissing => StatusCode::BAD_REQUEST,
        Problem::Body(_)
        | Problem::NotAnAddress
        | Problem::PasswordsDiffer
        | Problem::SamePassword
        | Problem::WeakPassword { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Problem::LinkUnknown | Problem::LinkDead(..) | Problem::UnlockDead => StatusCode::GONE,
    }
}

/// What a status owes the head: RFC 9110 sections 10.2.1, 10.2.3 and 11.6.1.
fn explain_in_head(desk: &Desk, problem: Problem, headers: &mut HeaderMap) {
    if let Some(wait) = problem.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    if let Problem::Failed(Failure::MethodNotAllowed { allow }) = problem {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if let Problem::Failed(failure) = problem
        && let Some(error) = failure.bearer_error()
    {
        if let Ok(how) = HeaderValue::try_from(format!("Bearer error=\"{error}\"")) {
            headers.insert(WWW_AUTHENTICATE, how);
        }
    } else if status(problem) == StatusCode::UNAUTHORIZED {
        // Browsers pass over a scheme they do not know and show no dialogue of their own.
        let login = &desk.settings.routes.login;
        let how = format!("Cookie form-action=\"{login}\", cookie-name=\"{}\"", desk.names.session);
        if let Ok(how) = HeaderValue::try_from(how) {
            headers.insert(WWW_AUTHENTICATE, how);
        }
    }
}

/// The switch: every language, its own name, and the address of the same page in it.
fn languages(desk: &Desk, voice: &Voice, current: Language, carry: &[(&'static str, String)]) -> Vec<Value> {
    let path = voice.target.split('?').next().unwrap_or_default();
    let address = |language: Language| {
        let mut query = Serializer::new(String::new());
        query.append_pair("lang", language.tag());
        if desk.is_page(path) {
            query.extend_pairs(carry);
            format!("{path}?{}", query.finish())
        } else {
            query.append_pair("return_to", &voice.target);
            format!("{LANGUAGE_PATH}?{}", query.finish())
        }
    };
    let entry = |language: Language| {
        let name = match language {
            Language::En => "English",
            Language::Ja => "日本語",
        };
        context! { tag => language.tag(), name => name, href => address(language), current => language == current }
    };
    Language::ALL.into_iter().map(entry).collect()
}

fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = bare(status);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    *response.body_mut() = body.into();
    response
}

fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn see_other(location: &str) -> Response<Bytes> {
    let mut response = bare(StatusCode::SEE_OTHER);
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

fn cached(mut response: Response<Bytes>, how: &'static str) -> Response<Bytes> {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(how));
    response
}

fn tagged(mut response: Response<Bytes>, file: &Asset) -> Response<Bytes> {
    if let Ok(tag) = HeaderValue::try_from(entity_tag(file)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The entity tag of a file.
pub(super) fn entity_tag(file: &Asset) -> String {
    format!("\"{}\"", file.version)
}
