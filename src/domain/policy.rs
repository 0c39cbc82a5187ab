//! Who may go where. A [`Permit`] is the only thing that lets a request through, and only
//! [`Policy::judge`] makes one.

use std::fmt;
use std::sync::Arc;

use super::principal::Principal;
use super::target::RequestPath;

/// What the operator wrote about access: everything needs a session but what is listed as public.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// One line of the policy: a path that needs no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Exactly this path.
    Exact(String),
    /// Everything under this prefix, which ends in a slash.
    Under(String),
}

impl Rule {
    /// Reads `/favicon.ico` (exactly that) or `/assets/*` (everything below).
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = text.strip_suffix('*').unwrap_or(text);
        if !plain.starts_with('/') {
            return Err("a public path starts with a slash");
        }
        if plain.contains('*') {
            return Err("a star may stand only at the end, after a slash: /assets/*");
        }
        let path = RequestPath::parse(plain).map_err(|_| "it is not a path a browser could send")?;
        if path.readings().len() > 1 {
            return Err("write the path plainly: lower case, no percent-encoding, no `;`, no `//`");
        }
        match (text.ends_with('*'), plain.ends_with('/')) {
            (true, true) => Ok(Self::Under(plain.to_owned())),
            (true, false) => Err("a star may stand only after a slash: /assets/*"),
            (false, _) => Ok(Self::Exact(plain.to_owned())),
        }
    }

    fn matches(&self, reading: &str) -> bool {
        match self {
            Self::Exact(path) => reading == path,
            Self::Under(prefix) => reading.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Under(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// The judgement on a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may go to the upstream.
    Allow(Permit),
    /// It might, after signing in.
    Challenge,
}

/// Proof that a request was judged and may be forwarded. It has no public constructor.
#[derive(Clone, Debug)]
pub struct Permit {
    principal: Option<Arc<Principal>>,
}

impl Permit {
    /// Who is asking; nobody on a public path without a session.
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }
}

impl Policy {
    /// From the operator's rules.
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// What the operator wrote.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Judges a request by its path and who is asking.
    pub fn judge(&self, path: &RequestPath, principal: Option<&Arc<Principal>>) -> Verdict {
        match principal {
            Some(principal) => Verdict::Allow(Permit {
                principal: Some(Arc::clone(principal)),
            }),
            None if self.is_public(path) => Verdict::Allow(Permit { principal: None }),
            None => Verdict::Challenge,
        }
    }

    /// A rule that opens must match every reading an upstream might make of the path.
    fn is_public(&self, path: &RequestPath) -> bool {
        self.rules
            .iter()
            .any(|rule| path.readings().iter().all(|reading| rule.matches(reading)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::{account, session};
    use super::*;

    fn policy() -> Policy {
        Policy::new(vec![
            Rule::parse("/assets/*").unwrap(),
            Rule::parse("/favicon.ico").unwrap(),
        ])
    }

    fn anonymous(path: &str) -> Verdict {
        policy().judge(&RequestPath::parse(path).unwrap(), None)
    }

    #[test]
    fn what_no_rule_opens_is_challenged_and_a_session_opens_it() {
        assert!(matches!(anonymous("/"), Verdict::Challenge));
        let principal = Arc::new(Principal::new(session(), account()));
        let verdict = policy().judge(&RequestPath::parse("/").unwrap(), Some(&principal));
        assert!(matches!(verdict, Verdict::Allow(permit) if permit.principal().is_some()));
    }

    #[test]
    fn a_public_path_opens_plainly_and_in_no_other_spelling() {
        assert!(matches!(anonymous("/assets/app.js"), Verdict::Allow(permit) if permit.principal().is_none()));
        assert!(matches!(anonymous("/favicon.ico"), Verdict::Allow(_)));
        for path in [
            "/assets",
            "/favicon.ico/",
            "/%61dmin",
            "/admin;/assets/x",
            "//assets/x",
            "/Assets/x",
            "/favicon.ico;x",
        ] {
            assert!(matches!(anonymous(path), Verdict::Challenge), "{path}");
        }
    }

    #[test]
    fn a_rule_that_could_be_read_in_two_ways_is_refused() {
        for bad in ["assets/*", "/a*", "/*/a", "/%61", "/A/*", "/a;b", "//a", "/a/../b"] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }
}
