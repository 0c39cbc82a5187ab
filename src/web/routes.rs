//! The table of routes: method, path and who may use it. Nothing is served that is not in it.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodFilter, on};
use http::Method;

use crate::domain::fault::Fault;
use crate::domain::target::RequestPath;

use super::answer::Answer;
use super::desk::Desk;
use super::dispatch;
use super::form::Field;
use super::settings::{PortalProblem, PortalRoutes};
use super::visit::Visit;

/// Everything of ours that is not configurable lives under this prefix.
pub const RESERVED_PREFIX: &str = "/.sekisho/";

/// Where upstreams fetch the public keys.
pub const JWKS_PATH: &str = "/.well-known/sekisho/jwks.json";

/// Tells a script whether it is signed in.
pub const SESSION_PATH: &str = "/.sekisho/session";

/// Where a sign-in in a small window ends: the page closes itself.
pub const SIGNED_IN_PATH: &str = "/.sekisho/signed-in";

/// The person's own page.
pub const ACCOUNT_PATH: &str = "/.sekisho/account";

/// Takes the wish for a link that unlocks a browser.
pub const ASK_UNLOCK_PATH: &str = "/.sekisho/unlock/ask";

/// Remembers a language and goes back; for pages that are not at an address of their own.
pub(super) const LANGUAGE_PATH: &str = "/.sekisho/language";

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anyone,
    /// People with a live session.
    SignedIn,
    /// Administrators with a live session.
    Admin,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// The method; `HEAD` is served wherever `GET` is.
    pub method: Method,
    /// The path, with `{name}` where a segment is variable.
    pub path: String,
    /// Who may use it.
    pub access: Access,
    /// Its name in logs and metrics.
    pub name: &'static str,
}

/// What a route does. Looking changes nothing; a submission is checked for where it comes from.
#[derive(Clone)]
pub(super) enum Action {
    /// `GET`, and `HEAD` with it.
    Show(Run),
    /// `POST` with these fields.
    Submit {
        /// The fields it takes.
        fields: &'static [Field],
        /// What it does.
        run: Run,
    },
}

type Run = Arc<dyn Fn(Arc<Desk>, Arc<Visit>) -> Running + Send + Sync>;
type Running = Pin<Box<dyn Future<Output = Result<Answer, Fault>> + Send>>;

impl Action {
    /// A page or a piece of information.
    pub(super) fn show<F>(run: impl Fn(Arc<Desk>, Arc<Visit>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Answer, Fault>> + Send + 'static,
    {
        Self::Show(Arc::new(move |desk, visit| Box::pin(run(desk, visit))))
    }

    /// An act.
    pub(super) fn submit<F>(
        fields: &'static [Field],
        run: impl Fn(Arc<Desk>, Arc<Visit>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Answer, Fault>> + Send + 'static,
    {
        Self::Submit {
            fields,
            run: Arc::new(move |desk, visit| Box::pin(run(desk, visit))),
        }
    }

    /// Does it.
    pub(super) fn run(&self, desk: Arc<Desk>, visit: Arc<Visit>) -> Running {
        match self {
            Self::Show(run) | Self::Submit { run, .. } => run(desk, visit),
        }
    }

    const fn method(&self) -> Method {
        match self {
            Self::Show(_) => Method::GET,
            Self::Submit { .. } => Method::POST,
        }
    }
}

/// The table while it is written.
#[derive(Default)]
pub(super) struct Table {
    router: Router<Arc<Desk>>,
    routes: Vec<RouteInfo>,
}

impl Table {
    /// Adds a route. There is no other way to add one, and none without saying who may use it.
    #[must_use]
    pub(super) fn route(mut self, name: &'static str, path: &str, access: Access, action: Action) -> Self {
        let method = action.method();
        // `GET` as a filter takes `HEAD` along.
        let filter = if method == Method::GET {
            MethodFilter::GET
        } else {
            MethodFilter::POST
        };
        let serve = move |desk, request| dispatch::serve(desk, access, action.clone(), request);
        self.router = self.router.route(path, on(filter, serve));
        self.routes.push(RouteInfo {
            method,
            path: path.to_owned(),
            access,
            name,
        });
        self
    }

    /// The router, which answers everything else with 404 and other methods with 405.
    pub(super) fn finish(self, desk: Arc<Desk>) -> (Router, Vec<RouteInfo>) {
        let Self { router, routes } = self;
        let router = router
            .method_not_allowed_fallback(dispatch::not_that_way)
            .fallback(dispatch::nothing_here)
            .with_state(desk);
        (router, routes)
    }
}

/// Whose a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Ours: [`Portal::respond`](super::Portal::respond) answers.
    Ours,
    /// An upstream might read it as ours although it is not: 404 by us, so that no password posted to it gets there.
    NearMiss,
    /// The web client's.
    Upstream,
}

/// The paths that are ours, for telling owners apart.
pub(super) struct Territory {
    exact: [String; 5],
}

impl Territory {
    /// Checks the configured paths.
    pub(super) fn new(routes: &PortalRoutes) -> Result<Self, PortalProblem> {
        let named = [
            ("login", &routes.login),
            ("logout", &routes.logout),
            ("set_password", &routes.set_password),
            ("forgot_password", &routes.forgot_password),
        ];
        for (index, (key, path)) in named.iter().enumerate() {
            let taken = named
                .iter()
                .take(index)
                .any(|(_, other)| other.eq_ignore_ascii_case(path));
            if let Some(problem) = problem(path).or_else(|| taken.then_some("another route has this path already")) {
                return Err(PortalProblem::Route {
                    key,
                    path: (*path).clone(),
                    problem,
                });
            }
        }
        let [login, logout, set_password, forgot_password] = named.map(|(_, path)| path.clone());
        Ok(Self {
            exact: [login, logout, set_password, forgot_password, JWKS_PATH.to_owned()],
        })
    }

    /// Whose the path is; allocates nothing for the plain paths of the web client.
    pub(super) fn owner(&self, path: &RequestPath<'_>) -> Owner {
        let raw = path.raw();
        if raw.starts_with(RESERVED_PREFIX) || self.exact.iter().any(|route| route == raw) {
            return Owner::Ours;
        }
        let near = if path.readings().len() > 1 {
            path.nearly(RESERVED_PREFIX) || self.exact.iter().any(|route| path.nearly(route))
        } else {
            let bare = raw.trim_end_matches('/');
            bare.eq_ignore_ascii_case(RESERVED_PREFIX.trim_end_matches('/'))
                || self.exact.iter().any(|route| bare.eq_ignore_ascii_case(route))
        };
        if near { Owner::NearMiss } else { Owner::Upstream }
    }
}

fn problem(path: &str) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    if !path.starts_with('/') || path.len() < 2 {
        Some("write a path such as /login")
    } else if path.ends_with('/')
        || path.contains("//")
        || !path.bytes().all(plain)
        || RequestPath::parse(path).is_err()
    {
        Some("only letters, digits and -_.~ between single slashes, and no slash at the end")
    } else if format!("{}/", path.to_lowercase()).starts_with(RESERVED_PREFIX) || path.eq_ignore_ascii_case(JWKS_PATH) {
        Some("the gateway needs this path for something else")
    } else {
        None
    }
}
