//! Which site a request is for: chosen once, from its host and its path, and the only one that it can go to.

use pingora::{Error, ErrorType};

use crate::domain::target::RequestPath;

use super::charter::{Charter, Site};
use super::exchange::Exchange;

/// Chooses the site; `None` when the path could be meant for several.
pub fn choose<'a>(charter: &'a Charter, exchange: &mut Exchange, path: &RequestPath<'_>) -> Option<&'a Site> {
    let sites = charter.reception().sites();
    exchange.chosen = exchange.host.and_then(|host| sites.choose(host, path));
    charter.site(exchange.chosen?)
}

/// Where a request that was let through goes.
pub fn admitted(exchange: &Exchange) -> pingora::Result<&Site> {
    match (exchange.permit(), exchange.site()) {
        (Some(_), Some(site)) => Ok(site),
        _ => Error::e_explain(ErrorType::InternalError, "no site without a permit"),
    }
}
