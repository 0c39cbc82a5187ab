//! Pages of other origins: which of them may ask, and that none opens a WebSocket unasked.

use http::HeaderValue;
use http::header::ORIGIN;
use pingora::proxy::Session;

use crate::domain::target::RequestPath;
use crate::web::Across;

use super::charter::Site;
use super::exchange::Exchange;
use super::headers::Origin;
use super::tunnel;

/// A WebSocket that a page of another origin opens, another site's among them. Browsers send cookies along from sibling
/// sites, so the handshake has to say where it comes from; programs without an `Origin` present a session of their own.
pub fn is_foreign_upgrade(session: &Session, exchange: &Exchange, site: &Site) -> bool {
    let origins = session.req_header().headers.get_all(ORIGIN);
    tunnel::is_handshake(session.req_header())
        && exchange.across.is_none()
        && origins.iter().any(|origin| !is_own(origin, site))
}

/// The page of another origin that asks, where the operator lets it.
pub fn across(session: &Session, site: &Site, origin: &Origin, path: &RequestPath<'_>) -> Option<Box<Across>> {
    let mut origins = session.req_header().headers.get_all(ORIGIN).iter();
    let sole = origins.next().filter(|_| origins.next().is_none())?;
    let line = site.policy.shares(path, sole.to_str().ok()?)?;
    let door = origin.host.to_str().ok()?;
    (!is_own(sole, site)).then(|| {
        Box::new(Across {
            origin: sole.clone(),
            door: format!("https://{door}"),
            preflight: line.preflight,
        })
    })
}

fn is_own(origin: &HeaderValue, site: &Site) -> bool {
    origin.to_str().is_ok_and(|origin| site.place.doors.has_origin(origin))
}
