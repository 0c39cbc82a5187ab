//! One line of the policy: for whom a path is open, and of which requests the line speaks.

use std::fmt;

use ipnet::{IpNet, Ipv4Net};

use super::method;
use super::target::RequestPath;

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
    methods: Vec<String>,
    path: Pattern,
    hosts: Vec<String>,
    networks: Vec<IpNet>,
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

/// Which paths the operator speaks of. A star stands for one segment or a part of one, and as the last segment for
/// everything below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
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
        let methods = match words.next_if(|word| !word.starts_with('/')) {
            None => Vec::new(),
            Some(word) => word.split(',').map(method).collect::<Result<_, _>>()?,
        };
        let path = words
            .next()
            .ok_or("a rule names a path: \"/*\" is every path")
            .map_err(str::to_owned)
            .and_then(Pattern::parse)?;
        let mut rule = Self {
            who,
            methods,
            path,
            hosts: Vec::new(),
            networks: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word {
                "at" if rule.hosts.is_empty() => {
                    let hosts = list(words.next(), "at", "deny /admin/* at phone.example.com")?;
                    if let Some(bad) = hosts.iter().find(|host| host.contains([':', '/', '*'])) {
                        return Err(format!("{bad:?} is no host name; write it without scheme and port"));
                    }
                    rule.hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
                }
                "from" if rule.networks.is_empty() => {
                    rule.networks = list(words.next(), "from", "deny /admin/* from 203.0.113.0/24")?
                        .iter()
                        .map(|text| network(text))
                        .collect::<Result<_, _>>()?;
                }
                "at" | "from" => return Err(format!("{word:?} may stand once; separate several by commas")),
                other => {
                    return Err(format!(
                        "{other:?} has no place after the path; what may follow is at HOSTS and from NETWORKS"
                    ));
                }
            }
        }
        Ok(rule)
    }

    /// A path that is open to everybody: `/favicon.ico` is exactly that, `/assets/*` everything below.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn public(path: &str) -> Result<Self, String> {
        Ok(Self {
            who: Who::Public,
            methods: Vec::new(),
            path: Pattern::parse(path)?,
            hosts: Vec::new(),
            networks: Vec::new(),
        })
    }

    /// The path as written.
    pub fn path(&self) -> &str {
        &self.path.text
    }

    /// Whether it speaks of this request, when the upstream reads the path so.
    pub fn matches(&self, reading: &str, asked: &Asked<'_>) -> bool {
        self.speaks_of_method(asked.method)
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(asked.host)))
            && (self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&asked.client)))
            && self.path.matches(reading)
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
        !self.methods.is_empty()
    }

    /// The hosts it speaks of; none are all.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whoever may look may also ask for the head alone, and whoever may not look may not do that either.
    fn speaks_of_method(&self, method: &str) -> bool {
        let named = |method| self.methods.iter().any(|known| known == method);
        self.methods.is_empty() || named(method) || (method == "HEAD" && named("GET"))
    }

    /// Whether `other`, coming later, never gets a request to see. Never wrongly; not always when it could be shown.
    pub fn hides(&self, other: &Self) -> bool {
        let within = |mine: &[String], theirs: &[String]| {
            mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(|host| mine.contains(host)))
        };
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty() && other.methods.iter().all(|m| self.methods.contains(m)));
        let networks = self.networks.is_empty()
            || (!other.networks.is_empty()
                && other
                    .networks
                    .iter()
                    .all(|net| self.networks.iter().any(|mine| mine.contains(net))));
        methods && within(&self.hosts, &other.hosts) && networks && self.path.covers(&other.path)
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
        if !self.methods.is_empty() {
            write!(f, " {}", self.methods.join(","))?;
        }
        write!(f, " {}", self.path.text)?;
        if !self.hosts.is_empty() {
            write!(f, " at {}", self.hosts.join(","))?;
        }
        if !self.networks.is_empty() {
            let networks: Vec<String> = self.networks.iter().map(IpNet::to_string).collect();
            write!(f, " from {}", networks.join(","))?;
        }
        Ok(())
    }
}

/// What follows a word, separated by commas.
fn list(given: Option<&str>, word: &str, example: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = given
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() || names.iter().any(|name| name.starts_with('/')) {
        return Err(format!(
            "names follow after {word:?}, separated by commas: \"{example}\""
        ));
    }
    Ok(names)
}

fn method(text: &str) -> Result<String, String> {
    if method::is_forwarded(text) {
        Ok(text.to_owned())
    } else if !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase()) {
        Err(format!("{text} is refused by the gateway whatever the rules say"))
    } else {
        Err(format!(
            "{text:?} is no method; write GET,POST and then a path that starts with a slash"
        ))
    }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map(|net: IpNet| plain_network(net).trunc())
        .map_err(|_| format!("{text:?} is no network, such as 10.0.0.0/8 or 2001:db8::/32"))
}

/// As clients are compared: an IPv4 address that is written as an IPv6 one is an IPv4 address.
pub fn plain_network(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return net };
    let plain = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96));
    let plain = plain.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    plain.map_or(net, IpNet::V4)
}

impl Pattern {
    /// Reads a path with stars in it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if !text.starts_with('/') {
            return Err("a path starts with a slash".into());
        }
        if text.contains("**") {
            return Err(
                "one star stands for a segment, and as the last segment for everything below: /a/*/b, /a/*".into(),
            );
        }
        let plain = text.replace('*', "x");
        let path = RequestPath::parse(&plain).map_err(|_| "it is not a path a browser could send".to_owned())?;
        if path.readings().len() > 1 {
            return Err("write the path plainly: lower case, no percent-encoding, no `;`, no `//`".into());
        }
        let last = text.rsplit('/').next().unwrap_or_default();
        if last.contains('*') && last != "*" && !last.starts_with('*') {
            // `/admin*` would be taken for everything that starts so, or for one segment alone.
            return Err("a star at the end stands after a slash, or before an ending: /assets/*, /files/*.css".into());
        }
        Ok(Self { text })
    }

    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it speaks of a path, whatever way an upstream reads that: for what a match opens.
    pub fn holds(&self, path: &RequestPath<'_>) -> bool {
        path.readings().iter().all(|reading| self.matches(reading))
    }

    /// Whether it speaks of a path that is read so.
    pub(super) fn matches(&self, reading: &str) -> bool {
        if !self.text.contains('*') {
            return self.text == reading;
        }
        let (pattern, below) = self.below();
        let mut segments = reading.split('/');
        for wanted in pattern.split('/') {
            let Some(segment) = segments.next() else { return false };
            if !is_like(wanted, segment) {
                return false;
            }
        }
        // `/a/*` is what lies below `/a/`, and `/a/` itself, not `/a`.
        segments.next().is_some() == below
    }

    /// Without a last star, and whether there was one.
    fn below(&self) -> (&str, bool) {
        self.text
            .strip_suffix("/*")
            .map_or((&self.text, false), |rest| (rest, true))
    }

    /// Whether every path of `other` is one of these.
    fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let (mine, below) = self.below();
        if mine.contains('*') {
            return !other.text.contains('*') && self.matches(&other.text);
        }
        if below {
            other.text.starts_with(mine) && other.text.as_bytes().get(mine.len()) == Some(&b'/')
        } else {
            false
        }
    }
}

/// A segment with at most a few stars, each of which stands for any part of a segment.
fn is_like(pattern: &str, segment: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = segment.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
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
