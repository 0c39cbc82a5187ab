//! `[sites.NAME]`: more web clients behind the same gateway, each on hosts or under a path of its own.

use serde_json::json;

use super::doors::{self, Otherwise};
use super::keys::forms::{Text, line};
use super::keys::within::Within;
use super::keys::{Family, Slot, Walker};
use super::routes::{JWKS_PATH, RESERVED_PREFIX};
use super::{Config, Routes, Server, Upstream, access};
use crate::domain::doors::{Door, Doors};
use crate::domain::policy::Policy;
use crate::domain::rule::Rule;
use crate::domain::site::{Place, Prefix, SiteName};

/// A site beside the main one, or the main one in the same words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// `NAME`; `main` for the main site.
    pub name: SiteName,
    /// `[sites.NAME.doors]`: default those of the main site.
    pub doors: Doors,
    /// `path`: where on its hosts it begins. Default `/`.
    pub path: Prefix,
    /// `[sites.NAME.upstream]`: required.
    pub upstream: Upstream,
    /// `[sites.NAME.access]`
    pub policy: Policy,
    /// `[sites.NAME.assertion]`: `audience`, default `sekisho-upstream-NAME`.
    pub audience: String,
}

const FAMILY: Family = Family {
    kind: "sites",
    doc: "More web clients behind the same gateway, under names of your own. The sections above describe the main site; \
          each further site has hosts of its own ([sites.NAME.doors]), or is a path on hosts of others. The longest path \
          that fits decides, whatever way a web client might read a request; where different readings lead to different \
          sites, the request is refused. People sign in once for each host. What is not written here, such as routes, \
          limits and letters, is the same for all sites.",
    example: "wiki",
    check_name: |name| match SiteName::parse(name) {
        Ok(name) if name.is_main() => Err("the main site has this name; choose another".to_owned()),
        Ok(_) => Ok(()),
        Err(why) => Err(why.to_owned()),
    },
};

/// What all sites share, and what the main one has for itself.
pub(super) struct Main<'a> {
    pub doors: &'a Doors,
    pub audience: &'a str,
    pub routes: &'a Routes,
    pub server: &'a Server,
}

pub(super) fn walk(sites: &mut Vec<Site>, walker: &mut impl Walker, main: &Main<'_>) {
    let known = std::mem::take(sites);
    let names: Vec<String> = known.iter().map(|site| site.name.to_string()).collect();
    walker.family(&FAMILY, &names, |walker, name| {
        let before = known.iter().find(|site| site.name.as_str() == name);
        let mut site = before.cloned().unwrap_or_else(|| example(name));
        site.walk(name, walker, main);
        sites.push(site);
    });
    check(sites, walker, main);
}

/// A site of which nothing is known but its name. The name may be a stand-in for all of them.
fn example(name: &str) -> Site {
    Site {
        name: SiteName::parse(name).unwrap_or_else(|_| SiteName::main()),
        doors: doors::example_of_site(),
        path: Prefix::root(),
        upstream: Upstream::default(),
        policy: Policy::default(),
        audience: audience(name),
    }
}

fn audience(name: &str) -> String {
    format!("sekisho-upstream-{name}")
}

impl Site {
    fn walk(&mut self, name: &str, walker: &mut impl Walker, main: &Main<'_>) {
        let outer = format!("sites.{name}");
        walker.section(
            &outer,
            "A further site. Its name stands in logs and in the records of letters.",
        );
        walker.key(
            "path",
            "Where on its hosts the site begins: \"/\" for the whole of them, \"/wiki\" for that path and everything below \
             it. The web client gets paths as they are, this part included.",
            &Text {
                parse: |text| Prefix::parse(text).map_err(|why| format!("{text:?}: {why}")),
                print: Prefix::to_string,
                schema: json!({ "pattern": "^/" }),
            },
            Slot::Default(&mut self.path),
        );
        let mut within = Within::new(walker, outer);
        doors::walk(&mut self.doors, &mut within, Otherwise::Of(main.doors));
        self.upstream.walk(&mut within, main.server);
        access::walk(&mut self.policy, &mut within);
        within.section(
            "assertion",
            "The signed statement for this site; everything but its audience is as in [assertion] above.",
        );
        within.key(
            "audience",
            "Whom the statement is for (aud). No two sites have the same, so that a statement for one web client is worth \
             nothing to another.",
            &line(),
            Slot::Derived(&mut self.audience, audience(name)),
        );
    }

    /// Whether both have a host and a server in common. To that server, the path of one is a path like that of the other.
    fn is_beside(&self, other: &Self) -> bool {
        let doors = [&other.doors.in_office, &other.doors.out_of_office];
        let is_here = |door: &&Door| [&self.doors.in_office, &self.doors.out_of_office].contains(door);
        let mut servers = other.upstream.servers.iter();
        doors.iter().any(is_here) && servers.any(|server| self.upstream.servers.contains(server))
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place {
            name: self.name.clone(),
            doors: self.doors.clone(),
            path: self.path.clone(),
        }
    }

    /// The name of one of its keys in the file.
    pub fn key(&self, key: &str) -> String {
        if self.name.is_main() {
            key.to_owned()
        } else {
            format!("sites.{}.{key}", self.name)
        }
    }

    /// What is in vain in the rules, whatever the others say. `sites` are all of them.
    pub(super) fn idle_rules(&self, routes: &Routes, sites: &[Self]) -> Vec<String> {
        let all = self.policy.rules().iter().chain(self.policy.public());
        all.filter_map(|rule| self.why_idle(rule, routes, sites)).collect()
    }

    fn why_idle(&self, rule: &Rule, routes: &Routes, sites: &[Self]) -> Option<String> {
        let (fixed, more) = rule
            .path()
            .split_once('*')
            .map_or((rule.path(), false), |(fixed, _)| (fixed, true));
        let meets = self.path.holds(fixed) || (more && self.path.as_str().starts_with(fixed));
        if !meets {
            return Some(format!(
                "\"{rule}\" never decides anything: the site has only what lies below {}",
                self.path
            ));
        }
        if routes.take(fixed, more) {
            return Some(format!(
                "\"{rule}\" never decides anything: the gateway answers there itself, and asks no rule"
            ));
        }
        if let Some(other) = self.whose(fixed, more, sites) {
            return Some(format!(
                "\"{rule}\" never decides anything: the path belongs to the site {}; write it in {}",
                other.name,
                other.key("access.rules")
            ));
        }
        let names = [&self.doors.in_office, &self.doors.out_of_office].map(Door::host);
        let elsewhere = |host: &&String| !names.iter().any(|name| name.eq_ignore_ascii_case(host));
        let stranger = rule.hosts().iter().find(elsewhere)?;
        Some(format!(
            "\"{rule}\" is never asked about {stranger}, which is the host of no door of its site"
        ))
    }

    /// Another site that takes this path, or all that begins so, from each of the doors of this one.
    fn whose<'a>(&self, fixed: &str, more: bool, sites: &'a [Self]) -> Option<&'a Self> {
        let has = |site: &Self, door: &Door| {
            let doors = [&site.doors.in_office, &site.doors.out_of_office];
            doors
                .iter()
                .any(|own| own.authority().eq_ignore_ascii_case(&door.authority()))
        };
        let takes = |site: &&Self| {
            // What begins with the bare name of a site need not be in it.
            let holds = site.path.holds(fixed) && !(more && site.path.as_str() == fixed);
            holds && site.path.as_str().len() > self.path.as_str().len()
        };
        let taking = |door: &Door| sites.iter().filter(takes).find(|site| has(site, door));
        let other = taking(&self.doors.in_office)?;
        taking(&self.doors.out_of_office).map(|_| other)
    }
}

/// What must hold between sites. Every contradiction is named once, where the later of two stands.
fn check(sites: &[Site], walker: &mut impl Walker, main: &Main<'_>) {
    let first = Place {
        name: SiteName::main(),
        doors: main.doors.clone(),
        path: Prefix::root(),
    };
    let places: Vec<Place> = std::iter::once(first).chain(sites.iter().map(Site::place)).collect();
    for (index, site) in sites.iter().enumerate() {
        let [path, in_office, out_of_office, audience] =
            ["path", "doors.in_office", "doors.out_of_office", "assertion.audience"].map(|key| site.key(key));
        let place = [path.as_str(), &in_office, &out_of_office];
        let earlier = places.iter().take(index + 1);
        walker.check(&place, || {
            let mut taken = earlier.filter(|other| other.path == site.path);
            let double = taken.find_map(|other| Some((other, shared(&other.doors, &site.doors)?)));
            double.map_or(Ok(()), |(other, door)| {
                let (path, name) = (&site.path, &other.name);
                Err(format!(
                    "{} is the site {name} as well; give this one another path or other doors",
                    door.link(path.as_str())
                ))
            })
        });
        walker.check(&place, || reached(site, &places));
        walker.check(&[path.as_str()], || unclaimed(&site.path, main.routes));
        let mut others = std::iter::once(("main", main.audience)).chain(
            sites
                .iter()
                .take(index)
                .map(|other| (other.name.as_str(), other.audience.as_str())),
        );
        walker.check(&[audience.as_str(), "assertion.audience"], || {
            let double = others.find(|(_, audience)| *audience == site.audience);
            double.map_or(Ok(()), |(name, audience)| {
                Err(format!(
                    "{audience:?} is the audience of the site {name} as well: each could pass statements on to the other"
                ))
            })
        });
    }
}

/// A door that both have.
fn shared<'a>(one: &Doors, other: &'a Doors) -> Option<&'a Door> {
    let ours = [one.in_office.authority(), one.out_of_office.authority()];
    [&other.in_office, &other.out_of_office]
        .into_iter()
        .find(|door| ours.contains(&door.authority()))
}

/// People who sign in without being led there from a page land at the root of the host.
fn reached(site: &Site, places: &[Place]) -> Result<(), String> {
    let roots = |door: &Door| {
        let mut roots = places.iter().filter(|place| place.path.is_root());
        roots.any(|root| {
            let doors = &root.doors;
            [&doors.in_office, &doors.out_of_office]
                .iter()
                .any(|other| other.authority() == door.authority())
        })
    };
    let lost = [&site.doors.in_office, &site.doors.out_of_office]
        .into_iter()
        .find(|door| !roots(door));
    lost.map_or(Ok(()), |door| {
        Err(format!(
            "{door} belongs to no site: one of the sites must have it as a door and path = \"/\""
        ))
    })
}

/// The gateway's own pages exist on every host, whatever sites there are.
fn unclaimed(path: &Prefix, routes: &Routes) -> Result<(), String> {
    let own = [
        routes.login.as_str(),
        &routes.logout,
        &routes.set_password,
        &routes.forgot_password,
        RESERVED_PREFIX.trim_end_matches('/'),
        JWKS_PATH,
    ];
    let inside = Prefix::parse(RESERVED_PREFIX.trim_end_matches('/')).is_ok_and(|own| own.holds(path.as_str()));
    let covered = own.into_iter().find(|own| path.holds(own));
    match covered {
        _ if path.is_root() => Ok(()),
        Some(own) => Err(format!(
            "\"{path}\" would cover {own}, which the gateway answers itself"
        )),
        None if inside => Err(format!("\"{path}\" is taken by the gateway itself")),
        None => Ok(()),
    }
}

impl Config {
    /// Every site, the main one first.
    pub fn all_sites(&self) -> Vec<Site> {
        let main = Site {
            name: SiteName::main(),
            doors: self.doors.clone(),
            path: Prefix::root(),
            upstream: self.upstream.clone(),
            policy: self.policy.clone(),
            audience: self.assertion.terms.audience.clone(),
        };
        let sites: Vec<Site> = std::iter::once(main).chain(self.sites.iter().cloned()).collect();
        let beside = |site: &Site| {
            let others = sites
                .iter()
                .filter(|other| other.name != site.name && other.is_beside(site));
            site.policy.clone().beside(others.map(|other| &other.policy))
        };
        let policies: Vec<Policy> = sites.iter().map(beside).collect();
        let with = |(site, policy): (Site, Policy)| Site { policy, ..site };
        sites.into_iter().zip(policies).map(with).collect()
    }
}
