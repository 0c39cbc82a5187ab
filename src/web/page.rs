//! Templates into pages. A template says things only through messages, so that no language is forgotten.

use std::sync::Arc;

use fluent_bundle::{FluentArgs, FluentValue};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value, context};
use rust_embed::Embed;

use crate::domain::language::Language;
use crate::domain::session::later;
use crate::domain::unlock;

use super::assets::Assets;
use super::problem::whole_seconds;
use super::routes::{ACCOUNT_PATH, ASK_UNLOCK_PATH};
use super::settings::{PortalProblem, PortalSettings};
use super::text::Texts;

#[derive(Embed)]
#[folder = "src/web/pages"]
struct Files;

/// Steps that filling a page may take, a thousand times what ours need: a theme that loops for ever is refused by its
/// check, and no request hangs on it.
const FUEL: u64 = 2_000_000;

/// The templates, compiled, with what every page shows.
pub(super) struct Pages {
    environment: Environment<'static>,
}

impl Pages {
    /// Compiles every template.
    pub(super) fn load(settings: &PortalSettings, assets: &Assets, texts: &Arc<Texts>) -> Result<Self, PortalProblem> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let texts = Arc::clone(texts);
        environment.add_function("t", move |state: &State<'_, '_>, key: String, values: Kwargs| {
            say(&texts, state, &key, &values)
        });
        environment.add_global("brand", brand(settings));
        environment.add_global("routes", routes(settings));
        environment.add_global("assets", Value::from_pairs(assets.addresses()));
        for name in Files::iter() {
            let broken = |problem: String| PortalProblem::BuiltIn {
                what: format!("page {name}"),
                problem,
            };
            let file = Files::get(&name).ok_or_else(|| broken("it is missing".into()))?;
            let ours = String::from_utf8(file.data.into_owned()).map_err(|_| broken("it is not UTF-8".into()))?;
            let theirs = settings.theme.pages.get(&*name);
            let source = theirs.cloned().unwrap_or(ours);
            environment
                .add_template_owned(name.to_string(), source)
                .map_err(|error| match theirs {
                    Some(_) => PortalProblem::Theme {
                        file: format!("pages/{name}"),
                        problem: error.to_string(),
                    },
                    None => broken(error.to_string()),
                })?;
        }
        environment
            .add_template_owned("mark.svg", assets.mark().to_owned())
            .map_err(|error| PortalProblem::BuiltIn {
                what: "mark.svg".to_owned(),
                problem: error.to_string(),
            })?;
        Ok(Self { environment })
    }

    /// What the templates are compiled in.
    pub(super) const fn environment(&self) -> &Environment<'static> {
        &self.environment
    }

    /// Fills a template. `frame` is what the layout needs of the request, `content` what the page shows.
    pub(super) fn render(&self, template: &str, frame: Value, content: Value) -> Result<String, Error> {
        self.environment
            .get_template(template)?
            .render(context! { ..content, ..frame })
    }
}

/// Our own templates, by file name.
pub(super) fn built_in() -> Vec<(String, Vec<u8>)> {
    Files::iter()
        .filter_map(|name| Files::get(&name).map(|file| (name.to_string(), file.data.into_owned())))
        .collect()
}

/// Says a message in the language of the page.
fn say(texts: &Texts, state: &State<'_, '_>, key: &str, values: &Kwargs) -> Result<String, Error> {
    let failed = |problem: String| Error::new(ErrorKind::InvalidOperation, problem);
    let language: Language = state
        .lookup("lang")
        .and_then(|lang| lang.as_str().and_then(|tag| tag.parse().ok()))
        .ok_or_else(|| failed("the page has no language".into()))?;
    let mut args = FluentArgs::new();
    for name in values.args() {
        let value: Value = values.peek(name)?;
        let value = match (i64::try_from(value.clone()), value.as_str()) {
            (_, Some(text)) => FluentValue::from(text.to_owned()),
            (Ok(number), None) => FluentValue::from(number),
            (Err(_), None) => return Err(failed(format!("{name} is neither a text nor a number"))),
        };
        args.set(name.to_owned(), value);
    }
    texts
        .say(language, key, Some(&args))
        .map_err(|problem| failed(problem.to_string()))
}

fn brand(settings: &PortalSettings) -> Value {
    let branding = &settings.branding;
    context! {
        name => &branding.name,
        logo => branding.logo.is_some(),
        support => &branding.support,
    }
}

fn routes(settings: &PortalSettings) -> Value {
    let routes = &settings.routes;
    context! {
        login => &routes.login,
        logout => &routes.logout,
        set_password => &routes.set_password,
        forgot_password => &routes.forgot_password,
        account => ACCOUNT_PATH,
        unlock => unlock::PATH,
        ask_unlock => ASK_UNLOCK_PATH,
    }
}

/// A wait as people say it: a unit and how many of it, rounded up.
pub(super) fn wait(wait: std::time::Duration) -> (&'static str, u64) {
    match whole_seconds(wait) {
        seconds @ 0..=90 => ("seconds", seconds),
        seconds @ 91..=5400 => ("minutes", seconds.div_ceil(60)),
        seconds => ("hours", seconds.div_ceil(3600)),
    }
}

/// When a wait is over, by the clock of the place, rounded up to a whole minute: `14:32 (UTC+09:00)`; with the day when that
/// is not today. The offset is said since the reader may be elsewhere.
pub(super) fn until(language: Language, wait: std::time::Duration, now: Timestamp, zone: &TimeZone) -> String {
    let millisecond = later(now, std::time::Duration::from_secs(whole_seconds(wait))).as_millisecond();
    let minute = millisecond.saturating_add(59_999).div_euclid(60_000);
    let at = Timestamp::from_second(minute.saturating_mul(60))
        .unwrap_or(now)
        .to_zoned(zone.clone());
    let today = at.date() == now.to_zoned(zone.clone()).date();
    let form = match (language, today) {
        (Language::En, true) => "%H:%M (UTC%:z)",
        (Language::En, false) => "%H:%M on %-d %B (UTC%:z)",
        (Language::Ja, true) => "%H:%M（UTC%:z）",
        (Language::Ja, false) => "%-m月%-d日 %H:%M（UTC%:z）",
    };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(language: Language, seconds: u64) -> String {
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        let now = "2027-01-15T05:24:31Z".parse().unwrap();
        until(language, Duration::from_secs(seconds), now, &tokyo)
    }

    #[test]
    fn when_to_try_again_is_never_too_early() {
        for (seconds, said_en) in [
            (1, "14:25 (UTC+09:00)"),
            (29, "14:25 (UTC+09:00)"),
            (30, "14:26 (UTC+09:00)"),
            (420, "14:32 (UTC+09:00)"),
            (9 * 3600, "23:25 (UTC+09:00)"),
            (10 * 3600, "00:25 on 16 January (UTC+09:00)"),
        ] {
            assert_eq!(said(Language::En, seconds), said_en, "{seconds}");
        }
        assert_eq!(said(Language::Ja, 420), "14:32（UTC+09:00）");
        assert_eq!(said(Language::Ja, 10 * 3600), "1月16日 00:25（UTC+09:00）");
    }

    #[test]
    fn a_wait_is_said_in_units_that_people_use_rounded_up() {
        for (seconds, wanted) in [
            (0, ("seconds", 1)),
            (90, ("seconds", 90)),
            (91, ("minutes", 2)),
            (361, ("minutes", 7)),
            (5400, ("minutes", 90)),
            (5401, ("hours", 2)),
        ] {
            assert_eq!(wait(Duration::from_secs(seconds)), wanted, "{seconds}");
        }
    }
}
