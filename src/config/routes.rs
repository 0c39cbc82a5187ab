//! `[routes]`: the paths of the gateway's own pages.

use serde_json::json;

use super::keys::forms::Text;
use super::keys::{Slot, Walker};
use crate::domain::target::RequestPath;

/// Everything else of the gateway lives under this prefix.
pub const RESERVED_PREFIX: &str = "/.sekisho/";

/// Where upstreams fetch the public keys.
pub const JWKS_PATH: &str = "/.well-known/sekisho/jwks.json";

/// Paths of the gateway's own pages, so that they take the place of the web client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// Default `/login`.
    pub login: String,
    /// Default `/logout`.
    pub logout: String,
    /// Default `/set-password`.
    pub set_password: String,
    /// Default `/forgot-password`.
    pub forgot_password: String,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            login: "/login".to_owned(),
            logout: "/logout".to_owned(),
            set_password: "/set-password".to_owned(),
            forgot_password: "/forgot-password".to_owned(),
        }
    }
}

impl Routes {
    /// Whether the gateway answers every request for such a path itself, be it for being too much like one of its own. `below`:
    /// the path is only where others begin.
    pub(super) fn take(&self, path: &str, below: bool) -> bool {
        if below {
            return path.starts_with(RESERVED_PREFIX);
        }
        let pages = [&self.login, &self.logout, &self.set_password, &self.forgot_password];
        let mut own = pages
            .into_iter()
            .map(String::as_str)
            .chain([RESERVED_PREFIX, JWKS_PATH]);
        RequestPath::parse(path).is_ok_and(|path| own.any(|route| path.nearly(route)))
    }

    pub(super) fn walk(&mut self, walker: &mut impl Walker) {
        walker.section(
            "routes",
            "Paths of the gateway's own pages. Give them the paths of the web client's pages, and they take their place. \
             Each is a plain lower-case path; /.sekisho/ and /.well-known/sekisho/jwks.json are taken.",
        );
        let mut taken = Vec::new();
        for (name, full_name, doc, route) in [
            ("login", "routes.login", "Where people sign in.", &mut self.login),
            (
                "logout",
                "routes.logout",
                "Where they sign out: a POST does it, a GET asks first.",
                &mut self.logout,
            ),
            (
                "set_password",
                "routes.set_password",
                "Where people set a password; the links of letters lead here.",
                &mut self.set_password,
            ),
            (
                "forgot_password",
                "routes.forgot_password",
                "Where they ask for a link.",
                &mut self.forgot_password,
            ),
        ] {
            walker.key(name, doc, &route_form(), Slot::Default(route));
            walker.check(&[full_name], || {
                let double = taken.iter().find(|(_, known)| known == route);
                double.map_or(Ok(()), |(other, _)| {
                    Err(format!("{route:?} is {other} as well; every page needs its own path"))
                })
            });
            taken.push((full_name, route.clone()));
        }
    }
}

fn route_form() -> Text<String> {
    Text {
        parse: parse_route,
        print: Clone::clone,
        schema: json!({ "pattern": "^/[a-z0-9._~/-]*[a-z0-9._~-]$" }),
    }
}

fn parse_route(text: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("{text:?} {why}"));
    if !text.starts_with('/') {
        return wrong("is not a path; it must start with a slash");
    }
    if text == "/" {
        return wrong("is the front page of the web client; choose a path of its own, such as \"/login\"");
    }
    if text.ends_with('/') {
        return wrong("ends in a slash; leave the slash out");
    }
    let Ok(path) = RequestPath::parse(text) else {
        return wrong("is not a path a browser could send");
    };
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/');
    if path.readings().len() != 1 || !text.bytes().all(plain) {
        return wrong("is not plain; use lower-case letters, digits, `-`, `_`, `.` and `~` between single slashes");
    }
    if path.nearly(RESERVED_PREFIX) || path.nearly(JWKS_PATH) {
        return wrong("is taken by the gateway itself");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_plain_path_that_nobody_else_has() {
        for good in ["/login", "/account/sign-in", "/a.b_c~", "/.sekish"] {
            assert_eq!(parse_route(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "login",
            "/",
            "//",
            "/login/",
            "/Login",
            "/%6cogin",
            "/login;x",
            "//login",
            "/a//b",
            "/../login",
            "/ログイン",
            "/log in",
            "/login?x",
            "/login#x",
            "/.sekisho",
            "/.sekisho/login",
            JWKS_PATH,
        ] {
            assert!(parse_route(bad).is_err(), "{bad:?}");
        }
    }
}
