//! The first look at a request: what could be read in two ways is refused, and where it comes from and for which site
//! it is are told.

use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::domain::method;
use crate::domain::site::{Place, SiteMap, as_doors_name};
use crate::domain::target::RequestPath;
use crate::web::Failure;

use super::client::TrustedProxies;
use super::destination;
use super::exchange::Exchange;
use super::framing::{self, HeadLimits, HeadProblem};
use super::headers::Origin;

/// Receives requests.
pub struct Reception {
    sites: SiteMap,
    trusted: TrustedProxies,
    limits: HeadLimits,
}

/// Why a request is answered before anybody looked at who sent it.
pub struct Refused(pub Failure);

impl Reception {
    /// A request for another host than the sites' is not for us.
    pub fn new<'a>(sites: impl IntoIterator<Item = &'a Place>, trusted: TrustedProxies, limits: HeadLimits) -> Self {
        Self {
            sites: SiteMap::new(sites),
            trusted,
            limits,
        }
    }

    /// All sites.
    pub const fn sites(&self) -> &SiteMap {
        &self.sites
    }

    /// Walks 1 to 3: refuses what could be read in two ways, and tells where the request comes from.
    pub fn receive<'a>(&self, session: &'a Session, exchange: &mut Exchange) -> Result<RequestPath<'a>, Refused> {
        let head = session.req_header();
        let checked = match session.as_http1() {
            Some(h1) => framing::check(&h1.get_headers_raw_bytes(), self.limits),
            None => framing::check_fields(&head.headers).and_then(|()| measure(head, self.limits)),
        };
        checked.map_err(|problem| {
            tracing::info!(request = &*exchange.request_id, %problem, "refused");
            Refused(match problem {
                HeadProblem::TooLarge | HeadProblem::TooManyFields => Failure::HeadTooLarge,
                _ => Failure::BadRequest,
            })
        })?;
        if !method::is_forwarded(head.method.as_str()) {
            return Err(Refused(Failure::MethodNotAllowed {
                allow: "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            }));
        }
        let (origin, host) = self.origin(session, &exchange.request_id)?;
        exchange.origin = Some(origin);
        exchange.host = Some(host);
        let path = std::str::from_utf8(head.raw_path()).ok().map(without_query);
        let path = path.ok_or(Refused(Failure::BadRequest))?;
        let path = strip_absolute(path).ok_or(Refused(Failure::BadRequest))?;
        let refused = |problem: &dyn std::fmt::Display| {
            tracing::info!(request = &*exchange.request_id, %problem, "refused");
            Refused(Failure::BadRequest)
        };
        let path = RequestPath::parse(path).map_err(|problem| refused(&problem))?;
        let is_here = |named: &str| self.sites.host(as_doors_name(named)) == Some(host);
        match destination::of(head, is_here).map_err(|problem| refused(&problem))? {
            Some(destination) => Ok(path.and(destination)),
            None => Ok(path),
        }
    }

    /// The client, and the host it asked for, which must be a site's.
    fn origin(&self, session: &Session, request: &str) -> Result<(Origin, usize), Refused> {
        let head = session.req_header();
        let peer = peer(session).ok_or(Refused(Failure::BadRequest))?;
        let authority = head.uri.authority().map(http::uri::Authority::as_str);
        let mut hosts = head.headers.get_all(HOST).iter();
        let field = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(host),
            (None, _) if head.version == Version::HTTP_2 => None,
            _ => return Err(Refused(Failure::BadRequest)),
        };
        let named = field.map(HeaderValue::to_str).transpose();
        let named = named.map_err(|_| Refused(Failure::BadRequest))?;
        let host = match (authority, named) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
                return Err(Refused(Failure::BadRequest));
            }
            (Some(host), _) | (None, Some(host)) => host,
            (None, None) => return Err(Refused(Failure::BadRequest)),
        };
        let door = as_doors_name(host);
        let number = self.sites.host(door).ok_or_else(|| {
            tracing::info!(request, host = door, problem = "no door has this host", "refused");
            Refused(Failure::Misdirected)
        })?;
        let origin = Origin {
            client: self.trusted.resolve(peer, &head.headers),
            peer,
            host: match (authority, field) {
                (None, Some(field)) if door == host => field.clone(),
                _ => HeaderValue::from_str(door).map_err(|_| Refused(Failure::BadRequest))?,
            },
        };
        Ok((origin, number))
    }
}

/// The other end of the connection.
pub fn peer(session: &Session) -> Option<IpAddr> {
    let address = session.client_addr()?.as_inet()?;
    Some(address.ip().to_canonical())
}

/// A target without its query.
pub fn without_query(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// The path of a target in absolute form; its host has been compared already.
pub fn strip_absolute(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let rest = target
        .strip_prefix("https://")
        .or_else(|| target.strip_prefix("http://"))?;
    rest.find('/').and_then(|slash| rest.get(slash..))
}

/// Judges the size of a head that came over HTTP/2.
fn measure(head: &RequestHeader, limits: HeadLimits) -> Result<(), HeadProblem> {
    if head.headers.len() > limits.fields {
        return Err(HeadProblem::TooManyFields);
    }
    if head_bytes(head) > limits.bytes {
        return Err(HeadProblem::TooLarge);
    }
    Ok(())
}

fn head_bytes(head: &RequestHeader) -> usize {
    let fields: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    fields + head.raw_path().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_target_is_judged_by_its_path() {
        assert_eq!(strip_absolute("/a"), Some("/a"));
        assert_eq!(strip_absolute("https://door.example/a"), Some("/a"));
        assert_eq!(strip_absolute("https://door.example"), None);
        assert_eq!(strip_absolute("ftp://door.example/a"), None);
    }
}
