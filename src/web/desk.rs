//! What every page has at hand: the settings, the flows, texts, templates and files.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;

use crate::domain::device::Device;
use crate::domain::fault::Fault;
use crate::domain::principal::Principal;
use crate::domain::target::{RequestPath, ReturnTo};
use crate::domain::token::{SessionToken, TokenDigest};
use crate::domain::unlock;
use crate::flows::{Presented, Standing};

use super::answer::Answer;
use super::assets::Assets;
use super::circle::{self, Step};
use super::cookie;
use super::csrf::FormTokens;
use super::device::{DeviceSeal, REMEMBERED_FOR};
use super::notice::{Notice, NoticeSeal, SHOWN_WITHIN};
use super::overrides;
use super::page::Pages;
use super::problem::Problem;
use super::routes::{ACCOUNT_PATH, ASK_UNLOCK_PATH, Owner, SIGNED_IN_PATH, Territory};
use super::settings::{PortalFlows, PortalProblem, PortalSettings};
use super::text::Texts;
use super::visit::Visit;
use super::voice::{CookieNames, Voice};

/// The portal's desk.
pub(super) struct Desk {
    /// What the operator decided.
    pub settings: PortalSettings,
    /// What the pages call.
    pub flows: PortalFlows,
    /// Whose a path is.
    pub territory: Territory,
    /// What the pages say.
    pub texts: Arc<Texts>,
    /// The templates.
    pub pages: Pages,
    /// The files.
    pub assets: Assets,
    /// The tokens in forms.
    pub tokens: FormTokens,
    /// The devices' cookies.
    pub devices: DeviceSeal,
    /// What the sign-in page says once.
    pub notices: NoticeSeal,
    /// The names of our cookies.
    pub names: CookieNames,
}

impl Desk {
    /// Reads and checks everything.
    pub(super) fn new(settings: PortalSettings, flows: PortalFlows) -> Result<Self, PortalProblem> {
        let texts = Arc::new(Texts::load(&settings.theme)?);
        let assets = Assets::load(&settings.branding, &settings.theme)?;
        let pages = Pages::load(&settings, &assets, &texts)?;
        // Our own are tried by the tests, a theme's at every start.
        if !settings.theme.is_empty()
            && let Some(problem) = overrides::problems(&pages).into_iter().next()
        {
            return Err(problem);
        }
        Ok(Self {
            territory: Territory::new(&settings.routes)?,
            pages,
            tokens: FormTokens::new(settings.form_key.clone()),
            devices: DeviceSeal::new(settings.device_key.clone()),
            notices: NoticeSeal::new(settings.notice_key.clone()),
            names: CookieNames::after(&settings.cookie),
            texts,
            assets,
            settings,
            flows,
        })
    }

    /// Who is visiting, without counting it as use of the session.
    pub(super) async fn visitor(&self, visit: &Visit) -> Result<Option<Arc<Principal>>, Fault> {
        Ok(match self.standing(visit).await? {
            Standing::Known(principal) | Standing::Former(principal, _) => Some(principal),
            Standing::Stranger | Standing::Refused(_) => None,
        })
    }

    /// The device of whoever is visiting, when somebody has signed in on it before.
    pub(super) fn device(&self, visit: &Visit) -> Option<Device> {
        let value = cookie::sole(&visit.headers, &self.names.device)?;
        self.devices.read(value)
    }

    /// The answer that hands the browser its session's token.
    pub(super) fn hand_over(&self, answer: Answer, token: &SessionToken) -> Answer {
        answer.with_cookie(cookie::set(&self.names.session, &token.expose(), None))
    }

    /// The answer with the device as it is known from now on.
    pub(super) fn remember(&self, answer: Answer, device: &Device) -> Answer {
        match self.devices.write(device) {
            Some(value) => answer.with_cookie(cookie::set(&self.names.device, &value, Some(REMEMBERED_FOR))),
            None => answer,
        }
    }

    /// To the sign-in page, which says this once. Only a person who navigates is given the cookie for it.
    pub(super) fn to_login(&self, voice: &Voice, notice: Notice) -> Answer {
        self.with_notice(Answer::see_other(&*self.settings.routes.login), voice, notice)
    }

    /// The answer, after which the sign-in page says this once.
    pub(super) fn with_notice(&self, answer: Answer, voice: &Voice, notice: Notice) -> Answer {
        match self.notices.write(notice, self.now()).filter(|_| voice.cookies) {
            Some(value) => answer.with_cookie(cookie::set(&self.names.notice, &value, Some(SHOWN_WITHIN))),
            None => answer,
        }
    }

    /// What the sign-in page has to say to this browser.
    pub(super) fn notice(&self, visit: &Visit) -> Option<Notice> {
        let value = cookie::sole(&visit.headers, &self.names.notice)?;
        self.notices.read(value, self.now())
    }

    /// The answer that has said it, or had no reason to: it is not said again.
    pub(super) fn notice_shown(&self, answer: Answer, visit: &Visit) -> Answer {
        let held = cookie::holds(&visit.headers, &self.names.notice);
        if held && visit.voice.cookies {
            answer.with_cookie(cookie::clear(&self.names.notice))
        } else {
            answer
        }
    }

    /// To somewhere else, unless that would be the third time in a row: then why signing in leads nowhere.
    pub(super) fn lead(&self, headers: &HeaderMap, voice: &Voice, location: String) -> Answer {
        // A browser that goes ahead asks again when the person follows.
        if !voice.cookies || voice.ahead {
            return Answer::see_other(location);
        }
        let held = cookie::sole(headers, &self.names.circle);
        match circle::step(held, &location, self.now()) {
            Step::Go(value) => {
                let kept = cookie::set(&self.names.circle, &value, Some(circle::KEPT_FOR));
                Answer::see_other(location).with_cookie(kept)
            }
            Step::Explain => {
                let request = voice.request_id.as_deref().unwrap_or_default();
                tracing::warn!(
                    request,
                    "signing in leads in a circle: a cookie does not come back, or the web client does not believe the gateway"
                );
                Answer::problem(Problem::RedirectLoop).with_cookie(cookie::clear(&self.names.circle))
            }
        }
    }

    /// The answer to a sign-in, after which a redirect counts as in a row with the one before.
    pub(super) fn after_sign_in(&self, answer: Answer, visit: &Visit) -> Answer {
        let held = cookie::sole(&visit.headers, &self.names.circle).filter(|_| visit.voice.cookies);
        match circle::signed_in(held, self.now()) {
            Some(value) => answer.with_cookie(cookie::set(&self.names.circle, &value, Some(circle::KEPT_FOR))),
            None => answer,
        }
    }

    /// The session of this browser that a new one takes the place of, whatever token it has by now.
    pub(super) async fn replaces(&self, visit: &Visit) -> Result<Option<TokenDigest>, Fault> {
        let presented = visit.presented(&self.names);
        let Presented::Token(token) = &presented else {
            return Ok(None);
        };
        Ok(Some(match self.flows.authenticate.look(&presented).await? {
            Standing::Former(principal, _) => principal.session.digest,
            Standing::Known(_) | Standing::Stranger | Standing::Refused(_) => token.digest(),
        }))
    }

    /// One message without variables, in the language that was asked for.
    pub(super) fn say(&self, voice: &Voice, key: &str) -> String {
        let said = self.texts.say(voice.spoken.language(), key, None);
        said.unwrap_or_else(|error| {
            tracing::error!(%error, "could not say a message");
            String::new()
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.flows.sign_in.world.now()
    }

    /// The standing of whoever is visiting, without counting it as use of the session.
    pub(super) async fn standing(&self, visit: &Visit) -> Result<Standing, Fault> {
        self.flows.authenticate.look(&visit.presented(&self.names)).await
    }

    /// Where to go after signing in: where the person wanted to, as long as that is a page of the
    /// web client. Our own pages would lead in circles.
    pub(super) fn return_to(&self, asked: Option<&str>) -> ReturnTo {
        asked
            .and_then(|text| self.may_return_to(text).then(|| ReturnTo::parse(text)).flatten())
            .unwrap_or_else(ReturnTo::root)
    }

    /// Whether a target is a page of the web client, the person's own, or the one that closes a small window, that one may
    /// come back to.
    pub(super) fn may_return_to(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or_default();
        let open = [ACCOUNT_PATH, SIGNED_IN_PATH].contains(&path)
            || RequestPath::parse(path).is_ok_and(|path| self.territory.owner(&path) == Owner::Upstream);
        open && ReturnTo::parse(target).is_some()
    }

    /// Whether a path is one of the pages that take `POST`.
    pub(super) fn is_page(&self, path: &str) -> bool {
        let routes = &self.settings.routes;
        [
            &routes.login,
            &routes.logout,
            &routes.set_password,
            &routes.forgot_password,
        ]
        .iter()
        .any(|page| *page == path)
            || [unlock::PATH, ASK_UNLOCK_PATH].contains(&path)
            || path
                .strip_prefix(ACCOUNT_PATH)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
