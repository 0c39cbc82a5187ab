//! The portal called with requests, as a browser or a script would send them.

mod account;
mod api;
mod edge;
mod fakes;
mod limited;
mod links;
mod pages;
mod sign_in;
mod stopped;
mod surface;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::account::{Account, AccountId, AccountState, Email, Extension, Role};
use crate::domain::client::ClientAddr;
use crate::domain::doors::{Door, Doors};
use crate::domain::language::Language;
use crate::domain::outbox::LetterId;
use crate::domain::password::PasswordRules;
use crate::domain::session::{Lifetime, later};
use crate::domain::site::{Place, Prefix, SiteName};
use crate::domain::target::RequestPath;
use crate::domain::ticket::{Purpose, Ticket};
use crate::domain::token::{TicketToken, UnlockToken};
use crate::domain::unlock::{self, Unlock};
use crate::flows::{
    Authenticate, ForgotPassword, OwnAccount, RecordSeen, Refusals, ResetLimits, SetPassword, SignIn, SignOut,
    StandingOrders, UnlockBrowser, World,
};
use crate::store::MemoryStore;

use super::{At, Branding, Health, PartHealth, Portal, PortalFlows, PortalRoutes, PortalSettings, RequestId, Theme};
use fakes::Fakes;

const PASSWORD: &str = "correct horse battery staple";

struct Well(bool);

#[async_trait]
impl Health for Well {
    fn live(&self) -> bool {
        true
    }

    async fn parts(&self) -> Vec<PartHealth> {
        let part = |name, well, is_needed| PartHealth { name, well, is_needed };
        vec![part("store", self.0, true), part("store-write", false, false)]
    }
}

/// A portal and the world behind it.
struct House {
    portal: Arc<Portal>,
    fakes: Arc<Fakes>,
}

fn account() -> Account {
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    Account {
        id: AccountId::new(Uuid::from_u128(1)),
        extension: Extension::parse("101").unwrap(),
        name: "Yuki Tanaka".into(),
        email: Some(Email::parse("yuki@example.com").unwrap()),
        role: Role::User,
        groups: Vec::new(),
        language: Language::En,
        state: AccountState::Active,
        generation: 1,
        created_at: at,
        updated_at: at,
    }
}

fn settings() -> PortalSettings {
    PortalSettings {
        routes: PortalRoutes {
            login: "/login".into(),
            logout: "/logout".into(),
            set_password: "/set-password".into(),
            forgot_password: "/forgot-password".into(),
        },
        branding: Branding {
            name: "Sekisho".into(),
            logo: None,
            accent: "#0f766e".into(),
            support: Some("help@example.com".into()),
        },
        theme: Theme::default(),
        cookie: "__Host-sekisho".into(),
        language: Language::En,
        zone: TimeZone::fixed(jiff::tz::offset(9)),
        lifetime: Lifetime::default(),
        form_key: Zeroizing::new([9; 32]),
        device_key: Zeroizing::new([8; 32]),
        notice_key: Zeroizing::new([7; 32]),
    }
}

impl House {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: PortalSettings) -> Self {
        let fakes = Fakes::new(account(), PASSWORD, Timestamp::from_second(1_800_000_000).unwrap());
        let portal = Portal::new(settings, flows(&fakes)).unwrap();
        Self {
            portal: Arc::new(portal),
            fakes,
        }
    }

    fn browser(&self) -> Browser {
        Browser {
            portal: Arc::clone(&self.portal),
            cookies: BTreeMap::new(),
            language: "en",
        }
    }

    /// A link as a letter would carry it.
    fn link(&self, byte: u8, purpose: Purpose) -> String {
        let token = TicketToken::from_entropy([byte; 32]);
        let now = *self.fakes.now.lock();
        let ticket = Ticket {
            digest: token.digest(),
            account: account().id,
            purpose,
            way: None,
            created_at: now,
            expires_at: later(now, Duration::from_mins(30)),
            ended: None,
        };
        self.fakes.tickets.lock().insert(ticket.digest, ticket);
        format!("/set-password?ticket={}", token.expose())
    }

    /// A link that unlocks a browser, as a letter would carry it.
    fn unlock_link(&self, byte: u8) -> String {
        let token = UnlockToken::from_entropy([byte; 32]);
        let now = *self.fakes.now.lock();
        self.fakes.password_set_at.lock().get_or_insert(now);
        let unlock = Unlock {
            digest: token.digest(),
            account: account().id,
            letter: LetterId::new(Uuid::from_u128(u128::from(byte))),
            sent_to: account().email.unwrap(),
            created_at: now,
            expires_at: later(now, unlock::LIFE),
            ended_at: None,
        };
        self.fakes.unlocks.lock().insert(unlock.digest, unlock);
        format!("{}?ticket={}", unlock::PATH, token.expose())
    }

    fn wait(&self, by: Duration) {
        let mut now = self.fakes.now.lock();
        *now = later(*now, by);
    }
}

fn flows(fakes: &Arc<Fakes>) -> PortalFlows {
    let world = World::new(Arc::clone(fakes) as _, Arc::clone(fakes) as _);
    let quota = "5 per 1m".parse().unwrap();
    let (_, seen) = RecordSeen::new(Arc::clone(fakes) as _, Arc::clone(fakes) as _);
    let orders = Arc::new(StandingOrders::new(Arc::new(MemoryStore::new()), world.clone()));
    let set_password = Arc::new(SetPassword {
        tickets: Arc::clone(fakes) as _,
        events: Arc::clone(fakes) as _,
        limiter: Arc::clone(fakes) as _,
        hasher: Arc::clone(fakes) as _,
        world: world.clone(),
        orders: orders.clone(),
        rules: PasswordRules::default(),
    });
    PortalFlows {
        own_account: Arc::new(OwnAccount {
            accounts: Arc::clone(fakes) as _,
            sessions: Arc::clone(fakes) as _,
            principals: Arc::clone(fakes) as _,
            events: Arc::clone(fakes) as _,
            limiter: Arc::clone(fakes) as _,
            hasher: Arc::clone(fakes) as _,
            refusals: Arc::new(Refusals::at_once()),
            orders: orders.clone(),
            set_password: Arc::clone(&set_password),
            world: world.clone(),
            lifetime: Lifetime::default(),
            fresh_for: Duration::from_mins(10),
        }),
        authenticate: Arc::new(Authenticate::new(
            Arc::clone(fakes) as _,
            world.clone(),
            Lifetime::default(),
            seen,
            None,
        )),
        sign_in: Arc::new(SignIn {
            accounts: Arc::clone(fakes) as _,
            sessions: Arc::clone(fakes) as _,
            principals: Arc::clone(fakes) as _,
            events: Arc::clone(fakes) as _,
            limiter: Arc::clone(fakes) as _,
            aliases: Arc::default(),
            hasher: Arc::clone(fakes) as _,
            refusals: Arc::new(Refusals::at_once()),
            orders: orders.clone(),
            world: world.clone(),
            sessions_per_account: 20,
            throttled_noted_at: AtomicI64::new(0),
        }),
        unlock: Arc::new(UnlockBrowser {
            unlocks: Arc::clone(fakes) as _,
            accounts: Arc::clone(fakes) as _,
            outbox: Arc::clone(fakes) as _,
            limiter: Arc::clone(fakes) as _,
            world: world.clone(),
            limited: true,
        }),
        sign_out: Arc::new(SignOut {
            sessions: Arc::clone(fakes) as _,
            principals: Arc::clone(fakes) as _,
            world: world.clone(),
        }),
        forgot_password: Arc::new(ForgotPassword {
            outbox: Arc::clone(fakes) as _,
            limiter: Arc::clone(fakes) as _,
            orders,
            world,
            limits: Some(ResetLimits {
                again: quota,
                repeat: quota,
            }),
        }),
        set_password,
        jwks: Arc::new(|| Bytes::from_static(b"{\"keys\":[]}")),
        health: Arc::new(Well(true)),
    }
}

/// The site whose pages are asked for.
fn place() -> Place {
    Place {
        name: SiteName::main(),
        doors: Doors {
            in_office: Door::parse("https://phone.office.example").unwrap(),
            out_of_office: Door::parse("https://phone.example.com").unwrap(),
        },
        path: Prefix::root(),
    }
}

/// A request as the proxy hands it over.
fn request(method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body.into()).unwrap();
    let client = ClientAddr::new("192.0.2.7".parse().unwrap());
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(At(Arc::new(place())));
    request.extensions_mut().insert(RequestId("01J9REQUEST".into()));
    request
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

fn json(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|_| panic!("no JSON: {}", text(response)))
}

fn location(response: &Response<Bytes>) -> &str {
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "{}", text(response));
    response.headers()[LOCATION].to_str().unwrap()
}

fn set_cookies(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

/// The value of a form's hidden field.
fn hidden(page: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let start = page.find(&field).unwrap_or_else(|| panic!("no field {name} in {page}")) + field.len();
    let value = &page[start..];
    value[..value.find('"').unwrap()].replace("&#x2f;", "/")
}

fn encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// A person's browser: it keeps cookies and says where a request comes from.
struct Browser {
    portal: Arc<Portal>,
    cookies: BTreeMap<String, String>,
    language: &'static str,
}

impl Browser {
    async fn get(&mut self, target: &str) -> Response<Bytes> {
        self.send("GET", target, "none", "").await
    }

    /// Posts a form with the token of the page it was on.
    async fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        let page = text(&self.get(target).await);
        let token = hidden(&page, "token");
        let mut all = vec![("token", token.as_str())];
        all.extend_from_slice(fields);
        self.post_as(target, "same-origin", &all).await
    }

    async fn post_as(&mut self, target: &str, site: &str, fields: &[(&str, &str)]) -> Response<Bytes> {
        self.send("POST", target, site, &encode(fields)).await
    }

    async fn sign_in(&mut self) -> Response<Bytes> {
        let answer = self
            .post(
                "/login",
                &[("login", "101"), ("password", PASSWORD), ("return_to", "/")],
            )
            .await;
        assert_eq!(location(&answer), "/");
        answer
    }

    async fn send(&mut self, method: &str, target: &str, site: &str, body: &str) -> Response<Bytes> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let mut headers = vec![
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
            ("accept-language", self.language),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-site", site),
            ("user-agent", "Test/1.0"),
        ];
        if method == "POST" {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let answer = self
            .portal
            .respond(request(method, target, &headers, body.to_owned()))
            .await;
        for cookie in set_cookies(answer.headers()) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// A script of our own origin that speaks JSON.
async fn call(portal: &Portal, method: &str, target: &str, cookie: &str, body: &str) -> Response<Bytes> {
    let mut headers = vec![
        ("accept", "application/json"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-site", "same-origin"),
    ];
    if method == "POST" {
        headers.push(("content-type", "application/json"));
    }
    if !cookie.is_empty() {
        headers.push(("cookie", cookie));
    }
    portal.respond(request(method, target, &headers, body.to_owned())).await
}
