//! A site: one web client behind the gateway, and the hosts and paths under which people reach it.
//!
//! Which site a request is for is judged like access to it: on every reading an upstream might make of the path.

use std::fmt;
use std::sync::Arc;

use super::doors::Doors;
use super::target::RequestPath;

/// Names a site in the configuration, in logs and in the records of letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteName(Arc<str>);

impl SiteName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 40;

    /// The site that is configured without a name.
    pub fn main() -> Self {
        Self("main".into())
    }

    /// Reads a name.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > Self::MAX_BYTES || !text.bytes().all(plain) || text.starts_with('-') {
            return Err("the name of a site is made of lower-case letters, digits and hyphens, at most 40");
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the main site's.
    pub fn is_main(&self) -> bool {
        &*self.0 == "main"
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where on its hosts a site begins: `/`, or a plain path such as `/wiki` and all that lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// The whole host.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Reads a prefix, which every upstream reads alike.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "/" {
            return Ok(Self::root());
        }
        if !text.starts_with('/') {
            return Err("a path starts with a slash");
        }
        if text.ends_with('/') {
            return Err("leave out the slash at the end; \"/wiki\" is that page and everything below it");
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.~/".contains(&b);
        match RequestPath::parse(text) {
            Ok(path) if path.readings().len() == 1 && text.bytes().all(plain) => Ok(Self(text.to_owned())),
            _ => {
                Err("write the path plainly: lower-case letters, digits, `-`, `_`, `.` and `~` between single slashes")
            }
        }
    }

    /// The path, without a slash at its end unless it is the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the whole host.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// Whether a path, read so, is this one or lies below it.
    pub fn holds(&self, reading: &str) -> bool {
        self.is_root()
            || reading
                .strip_prefix(self.0.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: SiteName,
    /// Its hosts.
    pub doors: Doors,
    /// Where on them it begins.
    pub path: Prefix,
}

/// All sites, to be found by host and path. Sites are told apart by their position in the list it is made from.
#[derive(Clone, Debug, Default)]
pub struct SiteMap {
    hosts: Vec<Host>,
}

/// One host and the sites on it.
#[derive(Clone, Debug)]
pub struct Host {
    authority: String,
    /// The longest prefix first.
    sites: Vec<(Prefix, usize)>,
}

impl SiteMap {
    /// From the sites. That no two share a host and a prefix, and that each host has a site at its root, is for the
    /// configuration to see to.
    pub fn new<'a>(places: impl IntoIterator<Item = &'a Place>) -> Self {
        let mut hosts: Vec<Host> = Vec::new();
        for (index, place) in places.into_iter().enumerate() {
            for door in [&place.doors.in_office, &place.doors.out_of_office] {
                let authority = door.authority().to_lowercase();
                let at = hosts.iter().position(|host| host.authority == authority);
                let at = at.unwrap_or_else(|| {
                    hosts.push(Host {
                        authority,
                        sites: Vec::new(),
                    });
                    hosts.len() - 1
                });
                if let Some(host) = hosts.get_mut(at)
                    && !host.sites.iter().any(|(prefix, _)| *prefix == place.path)
                {
                    host.sites.push((place.path.clone(), index));
                }
            }
        }
        for host in &mut hosts {
            host.sites.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.0.len()));
        }
        Self { hosts }
    }

    /// The host that a request names as [`as_doors_name`] has it, without regard to case; its number stays the same as
    /// long as the map lives.
    pub fn host(&self, authority: &str) -> Option<usize> {
        self.hosts
            .iter()
            .position(|host| host.authority.eq_ignore_ascii_case(authority))
    }

    /// The site to which everything of a host belongs that no other one claims.
    pub fn root(&self, host: usize) -> Option<usize> {
        let (_, site) = self.hosts.get(host)?.sites.last()?;
        Some(*site)
    }

    /// The site a request is for: the one with the longest prefix. `None` when upstreams could read the path so that
    /// it is for different ones.
    pub fn choose(&self, host: usize, path: &RequestPath<'_>) -> Option<usize> {
        let host = self.hosts.get(host)?;
        let (first, more) = path.readings().split_first()?;
        let site = host.site_for(first)?;
        let agreed = host.sites.len() == 1 || more.iter().all(|reading| host.site_for(reading) == Some(site));
        agreed.then_some(site)
    }
}

/// A host as doors name theirs: without the port that `https` has anyway (RFC 9110 section 4.2.3).
pub fn as_doors_name(authority: &str) -> &str {
    authority.strip_suffix(":443").unwrap_or(authority)
}

impl Host {
    fn site_for(&self, reading: &str) -> Option<usize> {
        let mut sites = self.sites.iter();
        sites.find(|(prefix, _)| prefix.holds(reading)).map(|(_, site)| *site)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::doors::Door;
    use super::*;

    fn place(name: &str, in_office: &str, out_of_office: &str, path: &str) -> Place {
        let door = |host: &str| Door::parse(&format!("https://{host}")).unwrap();
        Place {
            name: SiteName::parse(name).unwrap(),
            doors: Doors {
                in_office: door(in_office),
                out_of_office: door(out_of_office),
            },
            path: Prefix::parse(path).unwrap(),
        }
    }

    /// Two sites on one host, one of them with a part that is a third, and one on a host of its own.
    fn map() -> SiteMap {
        SiteMap::new(&[
            place("main", "phone.office", "phone.example", "/"),
            place("wiki", "phone.office", "phone.example", "/wiki"),
            place("images", "phone.office", "phone.example", "/wiki/images"),
            place("crm", "crm.example:8443", "CRM.example", "/"),
        ])
    }

    fn chosen(host: &str, path: &str) -> Option<usize> {
        let map = map();
        map.choose(map.host(host).unwrap(), &RequestPath::parse(path).unwrap())
    }

    #[test]
    fn the_host_and_the_longest_prefix_choose_the_site() {
        for (host, path, site) in [
            ("phone.example", "/", 0),
            ("Phone.Example", "/wikis", 0),
            ("phone.example", "/my/wiki", 0),
            ("phone.example", "/wiki", 1),
            ("phone.office", "/wiki/", 1),
            ("phone.example", "/wiki/imagesque", 1),
            ("phone.example", "/wiki/images/a%20b.PNG", 2),
            ("crm.example", "/wiki", 3),
            ("crm.example:8443", "//wiki", 3),
        ] {
            assert_eq!(chosen(host, path), Some(site), "{host}{path}");
        }
        for stranger in ["", "example", "phone.example:8443", "crm.example.", "phone.example "] {
            assert_eq!(map().host(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn the_port_that_https_has_anyway_is_no_part_of_a_name() {
        for (authority, name) in [
            ("phone.example:443", "phone.example"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("phone.example:8443", "phone.example:8443"),
            ("phone.example:0443", "phone.example:0443"),
            (":443", ""),
        ] {
            assert_eq!(as_doors_name(authority), name);
        }
    }

    #[test]
    fn a_path_that_two_web_clients_might_take_for_theirs_is_nobodys() {
        for path in [
            "/Wiki/x",
            "//wiki/x",
            "/wiki//images/x",
            "/%77iki/x",
            "/wiki%2Fx",
            "/wiki;v=1/x",
            "/wiki/images%2fx",
            "/%2577iki",
        ] {
            assert_eq!(chosen("phone.example", path), None, "{path}");
        }
        assert_eq!(
            chosen("phone.example", "/wiki/a;b//c%2Fd"),
            Some(1),
            "it is the wiki's either way"
        );
        assert_eq!(chosen("phone.example", "/WikiPages"), Some(0));
    }

    #[test]
    fn what_nobody_else_claims_is_the_roots() {
        let map = map();
        assert_eq!(map.root(map.host("phone.example").unwrap()), Some(0));
        assert_eq!(map.root(map.host("crm.example").unwrap()), Some(3));
        assert_eq!(map.root(99), None);
    }

    #[test]
    fn names_and_prefixes_are_written_plainly() {
        for bad in ["", "Wiki", "a.b", "a b", "-a", "ウィキ", &"x".repeat(41)] {
            assert!(SiteName::parse(bad).is_err(), "{bad}");
        }
        assert!(SiteName::parse("wiki-2").is_ok());
        for bad in [
            "", "wiki", "/wiki/", "//", "/Wiki", "/a//b", "/a/../b", "/%61", "/a;b", "/a b", "/*",
        ] {
            assert!(Prefix::parse(bad).is_err(), "{bad}");
        }
        assert!(Prefix::parse("/").unwrap().is_root());
        assert_eq!(Prefix::parse("/wiki/v2").unwrap().as_str(), "/wiki/v2");
    }

    proptest! {
        #[test]
        fn no_reading_of_a_chosen_path_is_another_sites(path in "/[wikWIK/;%2f5cages.x]{0,24}") {
            let map = map();
            let host = map.host("phone.example").unwrap();
            if let Ok(path) = RequestPath::parse(&path)
                && let Some(site) = map.choose(host, &path)
            {
                for reading in path.readings() {
                    let read = RequestPath::parse(reading);
                    let again = read.ok().and_then(|read| map.hosts[host].site_for(read.raw()));
                    prop_assert!(again.is_none_or(|again| again == site), "{reading}");
                }
            }
        }
    }
}
