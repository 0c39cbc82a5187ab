//! One line of the policy: for whom a path is open, and of which requests the line speaks.

use std::fmt;

use super::scope::{Scope, list};

/// One line of the policy: `WHO [METHODS] PATH [at HOSTS] [from NETWORKS]`.
///
/// ```text
/// public GET /assets/*
/// groups admins,ops /admin/* from 10.0.0.0/8
/// deny /debug/*
/// signed-in /reports/*/export at phone.example.com
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it lets through.
    pub who: Who,
    scope: Scope,
}

/// Whom a rule lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, signed in or not.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Whoever is signed in and belongs to one of these groups.
    Groups(Vec<String>),
    /// Nobody.
    Deny,
}

/// What of a request the rules look at, beside its path.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Method, in capitals.
    pub method: &'a str,
    /// Host, without the port.
    pub host: &'a str,
    /// The client.
    pub client: std::net::IpAddr,
    /// Other methods that the request asks the web client to take it for, in capitals.
    pub instead: &'a [String],
}

impl Rule {
    /// Reads a line.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace().peekable();
        let who = match words.next() {
            Some("public") => Who::Public,
            Some("signed-in") => Who::SignedIn,
            Some("deny") => Who::Deny,
            Some("groups") => Who::Groups(list(words.next(), "groups", "groups admins,ops /admin/*")?),
            _ => {
                return Err(
                    "a rule starts with public, signed-in, deny or groups NAMES, as in \"deny /debug/*\"".into(),
                );
            }
        };
        let scope = Scope::read(&mut words)?;
        Ok(Self { who, scope })
    }

    /// A path that is open to everybody: `/favicon.ico` is exactly that, `/assets/*` everything below.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn public(path: &str) -> Result<Self, String> {
        Ok(Self {
            who: Who::Public,
            scope: Scope::of_path(path)?,
        })
    }

    /// The path as written.
    pub fn path(&self) -> &str {
        self.scope.path()
    }

    /// Whether it speaks of this request, when the upstream reads the path so.
    pub fn matches(&self, reading: &str, asked: &Asked<'_>) -> bool {
        self.scope.matches(reading, asked)
    }

    /// Whether it speaks of the same request but for a slash at the end of the path.
    pub fn nearly_matches(&self, reading: &str, asked: &Asked<'_>) -> bool {
        match reading.strip_suffix('/') {
            Some("") => false,
            Some(bare) => self.matches(bare, asked),
            None => self.matches(&format!("{reading}/"), asked),
        }
    }

    /// Whether it speaks of some methods alone.
    pub const fn names_methods(&self) -> bool {
        self.scope.names_methods()
    }

    /// Whether it names this method.
    pub fn names(&self, method: &str) -> bool {
        self.scope.names(method)
    }

    /// Whether it keeps something from people who are signed in.
    pub const fn narrows(&self) -> bool {
        matches!(self.who, Who::Deny | Who::Groups(_))
    }

    /// The hosts it speaks of; none are all.
    pub fn hosts(&self) -> &[String] {
        self.scope.hosts()
    }

    /// Whether it speaks of all requests of `scope`, or the other way round. Not always when they have some in common.
    pub fn meets(&self, scope: &Scope) -> bool {
        self.scope.covers(scope) || scope.covers(&self.scope)
    }

    /// Whether `other`, coming later, never gets a request to see. Never wrongly; not always when it could be shown.
    pub fn hides(&self, other: &Self) -> bool {
        self.scope.covers(&other.scope)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Public => f.write_str("public")?,
            Who::SignedIn => f.write_str("signed-in")?,
            Who::Deny => f.write_str("deny")?,
            Who::Groups(names) => write!(f, "groups {}", names.join(","))?,
        }
        write!(f, " {}", self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GET: Asked<'static> = Asked {
        method: "GET",
        host: "in.test",
        client: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
        instead: &[],
    };

    fn matches(rule: &str, path: &str) -> bool {
        Rule::parse(rule).unwrap().matches(path, &GET)
    }

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        for text in [
            "public GET /assets/*",
            "groups admins,ops GET,POST /admin/* at phone.example.com from 10.0.0.0/8,2001:db8::/32",
            "deny /debug/*",
            "signed-in /reports/*/export",
            "public /files/*.css",
        ] {
            assert_eq!(Rule::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "",
            "allow /a",
            "public",
            "public a/*",
            "public /a*",
            "public /%61",
            "public /A/*",
            "public /a;b",
            "public //a",
            "public /a/../b",
            "public /a/**",
            "public get /a",
            "public TRACE /a",
            "deny FOO /a",
            "groups /a",
            "groups",
            "deny /a from here",
            "deny /a at https://x",
            "deny /a at",
            "deny /a from 10.0.0.0/8 from ::/0",
            "deny /a or else",
        ] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_star_is_a_segment_and_at_the_end_everything_below() {
        for (rule, path, is) in [
            ("deny /a", "/a", true),
            ("deny /a", "/a/", false),
            ("deny /a/*", "/a/", true),
            ("deny /a/*", "/a/b/c", true),
            ("deny /a/*", "/a", false),
            ("deny /a/*", "/ab", false),
            ("deny /a/*/c", "/a/b/c", true),
            ("deny /a/*/c", "/a/b/b/c", false),
            ("deny /a/*/c/*", "/a/b/c/d", true),
            ("deny /a/*.css", "/a/x.css", true),
            ("deny /a/*.css", "/a/x.css/y", false),
            ("deny /a/*.css", "/a/x.js", false),
            ("deny /*", "/", true),
            ("deny /*", "/anything/at/all", true),
        ] {
            assert_eq!(matches(rule, path), is, "{rule} {path}");
        }
    }

    #[test]
    fn method_host_and_network_narrow_a_rule() {
        assert!(matches("deny GET /a", "/a"));
        assert!(!matches("deny POST /a", "/a"));
        assert!(matches("deny /a at IN.test", "/a"));
        assert!(!matches("deny /a at out.test", "/a"));
        assert!(matches("deny /a from 192.0.2.0/24", "/a"));
        assert!(!matches("deny /a from 198.51.100.0/24", "/a"));
        assert!(matches("deny /a from ::ffff:192.0.2.0/120", "/a"));
        assert!(matches("deny /a from ::ffff:192.0.2.7", "/a"));
        let head = Asked { method: "HEAD", ..GET };
        assert!(Rule::parse("public GET /a").unwrap().matches("/a", &head));
        assert!(Rule::parse("deny HEAD /a").unwrap().matches("/a", &head));
        assert!(!matches("deny HEAD /a", "/a"));
    }

    #[test]
    fn a_rule_that_never_gets_a_request_is_told_from_one_that_does() {
        for (first, second, hidden) in [
            ("deny /*", "public /a", true),
            ("deny /a/*", "public /a/b/*", true),
            ("deny /a/*", "public /a", false),
            ("deny GET /a/*", "public /a/b", false),
            ("deny GET,POST /a/*", "public GET /a/b", true),
            ("deny GET /a/*", "public HEAD /a/b", true),
            ("deny HEAD /a/*", "public GET /a/b", false),
            ("deny /a/* from 10.0.0.0/8", "public /a/b from 10.1.0.0/16", true),
            ("deny /a/* from 10.0.0.0/8", "public /a/b", false),
            ("deny /a/* at in.test", "public /a/b", false),
            ("deny /a/*/c", "public /a/b/c", true),
            ("deny /a/*/c", "public /a/b/*", false),
        ] {
            let (first, second) = (Rule::parse(first).unwrap(), Rule::parse(second).unwrap());
            assert_eq!(first.hides(&second), hidden, "{first} | {second}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,60}") {
            let _ = Rule::parse(&text);
        }

        #[test]
        fn a_hidden_rule_never_sees_a_request(
            first in "deny( GET)? /[ab](/[ab*])?(/\\*)?",
            second in "public( GET)? /[ab](/[ab*])?(/\\*)?",
            path in "/[ab](/[ab]{0,2}){0,3}",
        ) {
            let (Ok(first), Ok(second)) = (Rule::parse(&first), Rule::parse(&second)) else { return Ok(()) };
            if first.hides(&second) && second.matches(&path, &GET) {
                prop_assert!(first.matches(&path, &GET), "{first} | {second} | {path}");
            }
        }
    }
}
