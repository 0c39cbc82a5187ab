//! Of which requests a rule, a token or another line of the configuration speaks.

use std::fmt;
use std::iter::Peekable;
use std::str::SplitWhitespace;

use ipnet::{IpNet, Ipv4Net};

use super::method;
use super::pattern::Pattern;
use super::rule::Asked;
use super::target::RequestPath;

/// Requests, by their outside: `[METHODS] PATH [at HOSTS] [from NETWORKS]`.
///
/// ```text
/// GET /api/*
/// /reports/*/export at phone.example.com
/// GET,POST /metrics from 10.0.0.0/8
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    methods: Vec<String>,
    path: Pattern,
    hosts: Vec<String>,
    networks: Vec<IpNet>,
}

impl Scope {
    /// Reads a line.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(&mut text.split_whitespace().peekable())
    }

    /// Every request to this path.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn of_path(path: &str) -> Result<Self, String> {
        Ok(Self {
            methods: Vec::new(),
            path: Pattern::parse(path)?,
            hosts: Vec::new(),
            networks: Vec::new(),
        })
    }

    /// Reads the rest of a line.
    pub(super) fn read(words: &mut Peekable<SplitWhitespace<'_>>) -> Result<Self, String> {
        let methods = match words.next_if(|word| !word.starts_with('/')) {
            None => Vec::new(),
            Some(word) => word.split(',').map(method).collect::<Result<_, _>>()?,
        };
        let path = words
            .next()
            .ok_or("a rule names a path: \"/*\" is every path")
            .map_err(str::to_owned)
            .and_then(Pattern::parse)?;
        let mut scope = Self {
            methods,
            path,
            hosts: Vec::new(),
            networks: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word {
                "at" if scope.hosts.is_empty() => {
                    let hosts = list(words.next(), "at", "/admin/* at phone.example.com")?;
                    if let Some(bad) = hosts.iter().find(|host| host.contains([':', '/', '*'])) {
                        return Err(format!("{bad:?} is no host name; write it without scheme and port"));
                    }
                    scope.hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
                }
                "from" if scope.networks.is_empty() => {
                    scope.networks = list(words.next(), "from", "/admin/* from 203.0.113.0/24")?
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
        Ok(scope)
    }

    /// The path as written.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// The hosts it speaks of; none are all.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Whether it speaks of some methods alone.
    pub const fn names_methods(&self) -> bool {
        !self.methods.is_empty()
    }

    /// Whether it names this method.
    pub fn names(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known == method)
    }

    /// Whether it speaks of this request, when the upstream reads the path so.
    pub fn matches(&self, reading: &str, asked: &Asked<'_>) -> bool {
        self.speaks_of_method(asked.method)
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(asked.host)))
            && (self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&asked.client)))
            && self.path.matches(reading)
    }

    /// Whoever may look may also ask for the head alone, and whoever may not look may not do that either.
    fn speaks_of_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.names(method) || (method == "HEAD" && self.names("GET"))
    }

    /// Whether every request of `other` is one of these. Never wrongly; not always when it could be shown.
    pub fn covers(&self, other: &Self) -> bool {
        let within = |mine: &[String], theirs: &[String]| {
            mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(|host| mine.contains(host)))
        };
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty() && other.methods.iter().all(|m| self.speaks_of_method(m)));
        let networks = self.networks.is_empty()
            || (!other.networks.is_empty()
                && other
                    .networks
                    .iter()
                    .all(|net| self.networks.iter().any(|mine| mine.contains(net))));
        methods && within(&self.hosts, &other.hosts) && networks && self.path.covers(&other.path)
    }
}

/// Whether these speak of a request whatever way an upstream reads its path and its method: for what a match opens. Of a
/// method by whose body more could be reached than its path, the one that does has to speak by its name.
pub fn hold(scopes: &[Scope], path: &RequestPath<'_>, asked: &Asked<'_>) -> bool {
    let mut methods = std::iter::once(asked.method).chain(asked.instead.iter().map(String::as_str));
    methods.all(|method| {
        let asked = Asked { method, ..*asked };
        let reaches = method::names_paths_within(method);
        let speaks = |scope: &Scope, reading| scope.matches(reading, &asked) && (!reaches || scope.names(method));
        let mut readings = path.readings().iter();
        readings.all(|reading| scopes.iter().any(|scope| speaks(scope, reading)))
    })
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        f.write_str(self.path.as_str())?;
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
pub(super) fn list(given: Option<&str>, word: &str, example: &str) -> Result<Vec<String>, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(scopes: &[&str], method: &str, path: &str, instead: &[String]) -> bool {
        let scopes: Vec<Scope> = scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect();
        let asked = Asked {
            method,
            host: "in.test",
            client: std::net::IpAddr::from([192, 0, 2, 7]),
            instead,
        };
        hold(&scopes, &RequestPath::parse(path).unwrap(), &asked)
    }

    #[test]
    fn a_scope_reads_back_as_it_was_written() {
        for text in ["/a", "GET /api/*", "GET,POST /api/* at in.test from 10.0.0.0/8"] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "GET", "public /a", "get /a", "/a /b", "/a at"] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_opens_needs_every_reading_of_the_path_and_of_the_method() {
        let scopes = ["GET /api/*", "POST /api/jobs", "/shared/*"];
        for (method, path, is) in [
            ("GET", "/api/x", true),
            ("HEAD", "/api/x", true),
            ("POST", "/api/x", false),
            ("POST", "/api/jobs", true),
            ("GET", "/API/x", false),
            ("GET", "//api/x", false),
            ("GET", "/api/a%2F..b", true),
            ("GET", "/api", false),
            ("DELETE", "/shared/x", true),
        ] {
            assert_eq!(holds(&scopes, method, path, &[]), is, "{method} {path}");
        }
        let delete = ["DELETE".to_owned()];
        assert!(!holds(&scopes, "POST", "/api/jobs", &delete));
        assert!(holds(&scopes, "POST", "/shared/jobs", &delete));
        assert!(!holds(&[], "GET", "/", &[]), "nothing opens nothing");
    }
}
