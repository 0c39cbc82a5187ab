//! The route table, walked: every route refuses whom it must and admits whom it must, and nothing is served that is
//! not in the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use sekisho::config::Hashing;
use sekisho::crypto::entropy::OsEntropy;
use sekisho::crypto::hashing::Argon2Hasher;
use sekisho::crypto::secrets::Pepper;
use sekisho::domain::language::Language;
use sekisho::domain::password::PasswordRules;
use sekisho::domain::session::Lifetime;
use sekisho::flows::{
    Authenticate, ForgotPassword, OwnAccount, RecordSeen, Refusals, SetPassword, SignIn, SignOut, StandingOrders,
    UnlockBrowser,
};
use sekisho::store::{CachedSessions, LimiterTerms, MemoryLimiter, MemoryStore};
use sekisho::web::{
    Access, Branding, Health, PartHealth, Portal, PortalFlows, PortalRoutes, PortalSettings, RouteInfo, Theme,
};
use zeroize::Zeroizing;

use crate::harness::{Answer, House, PASSWORD, Visitor};

struct Well;

#[async_trait]
impl Health for Well {
    fn live(&self) -> bool {
        true
    }

    async fn parts(&self) -> Vec<PartHealth> {
        Vec::new()
    }
}

/// The table of a portal with the default paths. It is the one the running gateway serves: both come from one place.
fn routes() -> Vec<RouteInfo> {
    let (world, store) = (sekisho::app::world(), Arc::new(MemoryStore::new()));
    let sessions = Arc::new(CachedSessions::new(store.clone(), world.clock(), 1, Duration::ZERO));
    let terms = LimiterTerms::alone(1, [0; 32], world.clock(), Arc::new(OsEntropy));
    let limiter = Arc::new(MemoryLimiter::new(terms));
    let hashing = Hashing {
        memory_kib: 8 << 10,
        passes: 1,
        threads: 1,
        queue: 1,
    };
    let hasher = Arc::new(Argon2Hasher::start(hashing, Pepper::from_bytes([0; 32]), Arc::new(OsEntropy)).unwrap());
    let (_writer, seen) = RecordSeen::new(store.clone(), store.clone());
    let orders = Arc::new(StandingOrders::new(store.clone(), world.clone()));
    let set_password = Arc::new(SetPassword {
        tickets: store.clone(),
        events: store.clone(),
        limiter: limiter.clone(),
        hasher: hasher.clone(),
        world: world.clone(),
        orders: orders.clone(),
        rules: PasswordRules::default(),
    });
    let flows = PortalFlows {
        own_account: Arc::new(OwnAccount {
            accounts: store.clone(),
            sessions: store.clone(),
            principals: sessions.clone(),
            events: store.clone(),
            limiter: limiter.clone(),
            hasher: hasher.clone(),
            refusals: Arc::new(Refusals::at_once()),
            orders: orders.clone(),
            set_password: set_password.clone(),
            world: world.clone(),
            lifetime: Lifetime::default(),
            fresh_for: Duration::from_mins(10),
        }),
        authenticate: Arc::new(Authenticate::new(
            sessions.clone(),
            world.clone(),
            Lifetime::default(),
            seen,
            None,
        )),
        sign_in: Arc::new(SignIn {
            accounts: store.clone(),
            sessions: store.clone(),
            principals: sessions.clone(),
            events: store.clone(),
            limiter: limiter.clone(),
            aliases: Arc::default(),
            hasher,
            refusals: Arc::new(Refusals::at_once()),
            orders: orders.clone(),
            world: world.clone(),
            sessions_per_account: 20,
            throttled_noted_at: AtomicI64::new(0),
        }),
        unlock: Arc::new(UnlockBrowser {
            unlocks: store.clone(),
            accounts: store.clone(),
            outbox: store.clone(),
            limiter: limiter.clone(),
            world: world.clone(),
            limited: false,
        }),
        sign_out: Arc::new(SignOut {
            sessions: store.clone(),
            principals: sessions,
            world: world.clone(),
        }),
        forgot_password: Arc::new(ForgotPassword {
            outbox: store,
            limiter,
            orders,
            world,
            limits: None,
        }),
        set_password,
        jwks: Arc::new(Bytes::new),
        health: Arc::new(Well),
    };
    Portal::new(settings(), flows)
        .unwrap_or_else(|problem| panic!("{problem}"))
        .routes()
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
            support: None,
        },
        theme: Theme::default(),
        cookie: "__Host-sekisho".into(),
        zone: jiff::tz::TimeZone::UTC,
        language: Language::En,
        lifetime: Lifetime::default(),
        form_key: Zeroizing::new([0; 32]),
        device_key: Zeroizing::new([0; 32]),
        notice_key: Zeroizing::new([0; 32]),
    }
}

/// Where a variable segment is filled in.
fn concrete(path: &str) -> String {
    path.split('/')
        .map(|segment| if segment.starts_with('{') { "x" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

/// What each act is sent so that it is refused for no other reason; by the route's path.
fn fields(path: &str) -> Vec<(&'static str, &'static str)> {
    match path {
        "/login" => vec![("login", "101"), ("password", PASSWORD)],
        "/forgot-password" => vec![("email", "nobody@example.com")],
        "/.sekisho/unlock/ask" => vec![("login", "999")],
        "/set-password" => vec![("password", PASSWORD), ("confirmation", PASSWORD)],
        _ => vec![],
    }
}

async fn ask(visitor: &Visitor, route: &RouteInfo, origin: Option<&str>) -> Answer {
    let path = concrete(&route.path);
    let asking = visitor
        .ask(route.method.clone(), &path)
        .header("accept", "application/json");
    let asking = match origin {
        Some(origin) => asking.header("origin", origin),
        None => asking,
    };
    if route.method == Method::POST {
        let body: BTreeMap<_, _> = fields(&path).into_iter().collect();
        asking.json(&serde_json::to_value(body).unwrap()).send().await
    } else {
        asking.send().await
    }
}

/// Refused for who is asking or where from, not for what was asked.
fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status, 401 | 403)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_whom_it_must_and_admits_whom_it_must() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let boss = house.welcome_with("102", &["--role", "admin"]).await;
    let routes = routes();
    assert!(routes.len() >= 10, "{routes:?}");
    let before = house.upstream.count();
    for route in &routes {
        let name = format!("{} {}", route.method, route.path);
        let anonymous = ask(&house.visitor(), route, Some("https://in.test")).await;
        assert_ne!(anonymous.status, 405, "{name}: {anonymous:?}");
        assert!(anonymous.status < 500, "{name}: {anonymous:?}");
        let signed_in = ask(&house.signed_in(&person).await, route, Some("https://in.test")).await;
        let admin = ask(&house.signed_in(&boss).await, route, Some("https://in.test")).await;
        match route.access {
            Access::Anyone => {
                assert!(!is_refused(&anonymous), "{name} is for anyone: {anonymous:?}");
                assert!(!is_refused(&signed_in) && !is_refused(&admin), "{name}: {signed_in:?}");
            }
            Access::SignedIn => {
                assert_eq!(anonymous.status, 401, "{name} needs a session: {anonymous:?}");
                assert!(!is_refused(&signed_in) && !is_refused(&admin), "{name}: {signed_in:?}");
            }
            Access::Admin => {
                assert_eq!(anonymous.status, 401, "{name} needs a session: {anonymous:?}");
                assert_eq!(signed_in.status, 403, "{name} needs an administrator: {signed_in:?}");
                assert!(!is_refused(&admin), "{name}: {admin:?}");
            }
        }
        for origin in [Some("https://evil.example"), Some("null"), None] {
            let foreign = ask(&house.signed_in(&boss).await, route, origin).await;
            if route.method == Method::GET {
                assert!(!is_refused(&foreign), "{name} only looks: {foreign:?}");
            } else {
                assert_eq!(foreign.status, 403, "{name} from {origin:?}: {foreign:?}");
            }
        }
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let path = concrete(&route.path);
            let answer = house
                .visitor()
                .ask(method.clone(), &path)
                .header("origin", "https://in.test")
                .send()
                .await;
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        }
        if route.method == Method::GET {
            let head = house.visitor().ask(Method::HEAD, &concrete(&route.path)).send().await;
            assert!(head.body.is_empty() && head.status < 500, "{name}: {head:?}");
        }
    }
    assert_eq!(house.upstream.count(), before, "none of it reached the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_changes_nothing() {
    let house = House::open().await;
    let person = house.welcome("101").await;
    let visitor = house.signed_in(&person).await;
    let state = async || {
        let accounts: serde_json::Value = house.gateway.cli_json(&["account", "list", "--json"]).await;
        let letters: serde_json::Value = house.gateway.cli_json(&["mail", "list", "--json"]).await;
        (accounts, letters, house.events().await)
    };
    let before = state().await;
    for route in routes().iter().filter(|route| route.method == Method::GET) {
        for method in [Method::GET, Method::HEAD] {
            visitor.ask(method, &concrete(&route.path)).send().await;
        }
    }
    assert_eq!(state().await, before);
    assert!(visitor.passes().await);
}
