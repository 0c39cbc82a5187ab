//! The table of routes: method, path and who may use it. Nothing is served that is not in it.

use http::Method;

use crate::domain::target::RequestPath;

use super::settings::{PortalProblem, PortalRoutes};

/// Everything of ours that is not configurable lives under this prefix.
pub const RESERVED_PREFIX: &str = "/.sekisho/";

/// Where upstreams fetch the public keys.
pub const JWKS_PATH: &str = "/.well-known/sekisho/jwks.json";

/// Tells a script whether it is signed in.
pub const SESSION_PATH: &str = "/.sekisho/session";

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
