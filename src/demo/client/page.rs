//! The pages of the sample client: templates, texts in two languages and static files, all embedded.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::App;
use super::gate::{Admitted, wants_html};
use super::verify::{Check, Refusal};

/// The cookie that remembers a chosen language.
const COOKIE: &str = "phone_lang";

/// Name, media type and contents of every static file.
const ASSETS: [(&str, &str, &str); 8] = [
    ("app.css", "text/css; charset=utf-8", include_str!("static/app.css")),
    ("app.js", JAVASCRIPT, include_str!("static/app.js")),
    ("page.js", JAVASCRIPT, include_str!("static/page.js")),
    ("phone.js", JAVASCRIPT, include_str!("static/phone.js")),
    ("calls.js", JAVASCRIPT, include_str!("static/calls.js")),
    ("upload.js", JAVASCRIPT, include_str!("static/upload.js")),
    ("request.js", JAVASCRIPT, include_str!("static/request.js")),
    ("icon.svg", "image/svg+xml", include_str!("static/icon.svg")),
];
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const REFUSAL_STYLE: &str = include_str!("static/refusal.css");

type Texts = BTreeMap<String, String>;

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Lang {
    En,
    Ja,
}

impl Lang {
    fn parse(tag: &str) -> Option<Self> {
        match tag.trim().split('-').next()? {
            primary if primary.eq_ignore_ascii_case("en") => Some(Self::En),
            primary if primary.eq_ignore_ascii_case("ja") => Some(Self::Ja),
            _ => None,
        }
    }

    /// As chosen in the address, else as chosen before, else as the browser prefers.
    fn choose(headers: &HeaderMap, query: Option<&str>) -> Self {
        chosen(query)
            .or_else(|| remembered(headers))
            .or_else(|| preferred(headers))
            .unwrap_or(Self::En)
    }

    const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }
}

/// Templates and texts, parsed once.
pub struct Pages {
    templates: Environment<'static>,
    en: Texts,
    ja: Texts,
    logout_path: String,
    refusal_policy: String,
}

impl Pages {
    /// Fails only when an embedded file is wrong, which the tests would show.
    pub fn new(logout_path: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.add_template("phone", include_str!("static/phone.html"))?;
        templates.add_template("notice", include_str!("static/notice.html"))?;
        let digest = STANDARD.encode(Sha256::digest(REFUSAL_STYLE));
        Ok(Self {
            templates,
            en: serde_json::from_str(include_str!("static/en.json"))?,
            ja: serde_json::from_str(include_str!("static/ja.json"))?,
            logout_path: logout_path.to_owned(),
            refusal_policy: format!("default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"),
        })
    }

    /// Why a request is refused, step by step. The style is in the page: a refused browser gets no file.
    pub fn refusal(&self, headers: &HeaderMap, query: Option<&str>, refusal: Refusal, checks: &[Check]) -> Response {
        let reason = refusal.to_string();
        self.notice(headers, query, "refused", &reason, checks)
    }

    fn notice(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        title: &str,
        reason: &str,
        checks: &[Check],
    ) -> Response {
        let lang = Lang::choose(headers, query);
        let page = self.render(
            "notice",
            lang,
            context! { style => REFUSAL_STYLE, title, reason, checks => Serde(checks) },
        );
        ([(header::CONTENT_SECURITY_POLICY, &self.refusal_policy)], page).into_response()
    }

    fn render(&self, template: &str, lang: Lang, values: minijinja::Value) -> Response {
        let texts = match lang {
            Lang::En => &self.en,
            Lang::Ja => &self.ja,
        };
        let values = context! { t => texts.clone(), lang => lang.tag(), ..values };
        match self
            .templates
            .get_template(template)
            .and_then(|page| page.render(values))
        {
            Ok(page) => Html(page).into_response(),
            Err(error) => {
                tracing::error!(%error, template, "a page of the sample client could not be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// `GET /`.
pub async fn phone(
    State(app): State<Arc<App>>,
    Extension(admitted): Extension<Arc<Admitted>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let claims = &admitted.verified.claims;
    let lang = Lang::choose(&headers, uri.query());
    let since = Timestamp::from_second(claims.auth_time).unwrap_or_default();
    let values = context! {
        me => Serde(claims),
        since => since.to_string(),
        since_text => since.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        session => tail(&claims.sid),
        initials => initials(&claims.name),
        logout => app.pages.logout_path.as_str(),
        audience => app.rules.audience.as_str(),
    };
    let page = app.pages.render("phone", lang, values);
    let cookie = chosen(uri.query()).map(|lang| {
        let cookie = format!(
            "{COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax; Secure; HttpOnly",
            lang.tag()
        );
        [(header::SET_COOKIE, cookie)]
    });
    match cookie {
        Some(cookie) => (cookie, page).into_response(),
        None => page,
    }
}

/// `GET /{file}`: revalidated each time, so that an update of the program shows at once.
pub async fn asset(State(app): State<Arc<App>>, Path(file): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    let Some((_, media_type, contents)) = ASSETS.iter().find(|(name, ..)| *name == file) else {
        return not_found(State(app), headers, uri).await;
    };
    let tag = format!("\"{}\"", STANDARD.encode(Sha256::digest(contents)));
    let cache = [
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::ETAG, tag.as_str()),
    ];
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known == tag.as_str());
    if known {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    (cache, [(header::CONTENT_TYPE, *media_type)], *contents).into_response()
}

/// Every other path.
pub async fn not_found(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Response {
    if wants_html(&headers) {
        let page = app
            .pages
            .notice(&headers, uri.query(), "not_found", "not_found_text", &[]);
        return (StatusCode::NOT_FOUND, page).into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}

fn chosen(query: Option<&str>) -> Option<Lang> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, _)| *name == "lang")
        .and_then(|(_, tag)| Lang::parse(tag))
}

fn remembered(headers: &HeaderMap) -> Option<Lang> {
    let all = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut cookies = all.flat_map(|line| cookie::Cookie::split_parse(line.to_owned()).flatten());
    cookies
        .find(|cookie| cookie.name() == COOKIE)
        .and_then(|cookie| Lang::parse(cookie.value()))
}

/// The language of the highest weight in `Accept-Language` (RFC 9110 section 12.5.4), the first of equals.
fn preferred(headers: &HeaderMap) -> Option<Lang> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let mut best: Option<(Lang, f32)> = None;
    for range in accepted.split(',') {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight: f32 = weight
            .trim()
            .strip_prefix("q=")
            .and_then(|q| q.parse().ok())
            .unwrap_or(0.0);
        if let Some(lang) = Lang::parse(tag)
            && weight > best.map_or(0.0, |(_, weight)| weight)
        {
            best = Some((lang, weight));
        }
    }
    best.map(|(lang, _)| lang)
}

/// The end of an id, enough to tell two apart.
fn tail(id: &str) -> String {
    let skipped = id.chars().count().saturating_sub(8);
    id.chars().skip(skipped).collect()
}

/// What stands in the place of a portrait: the family name's first character, or two Latin initials.
fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let first = words.next().unwrap_or('?');
    let last = words.next_back().filter(|_| first.is_ascii_alphabetic());
    first
        .to_uppercase()
        .chain(last.into_iter().flat_map(char::to_uppercase))
        .collect()
}
