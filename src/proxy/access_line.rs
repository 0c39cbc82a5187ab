//! The line that every request leaves in the log once it is over. A WebSocket keeps it until then, and nothing else of the
//! request it began with.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use pingora::http::RequestHeader;

use crate::domain::client::ClientAddr;
use crate::domain::party::Party;
use crate::domain::policy::Permit;

use super::exchange::Exchange;
use super::reception::without_query;

/// What is said of a request.
#[derive(Debug)]
pub struct AccessLine<'a> {
    request: Cow<'a, str>,
    client: Option<ClientAddr>,
    site: Option<Cow<'a, str>>,
    asked_by: Option<IpAddr>,
    method: Cow<'a, str>,
    path: Cow<'a, str>,
    extension: Option<Cow<'a, str>>,
    token: Option<Cow<'a, str>>,
    started: Instant,
}

impl<'a> AccessLine<'a> {
    /// Of a request with this head; or of the one that a proxy asked about.
    pub fn of(head: &'a RequestHeader, exchange: &'a Exchange) -> Self {
        let (method, path) = match exchange.about.as_deref() {
            Some((method, target)) => (method, Cow::Borrowed(without_query(target))),
            None => (
                &head.method,
                match String::from_utf8_lossy(head.raw_path()) {
                    Cow::Borrowed(sent) => Cow::Borrowed(without_query(sent)),
                    Cow::Owned(sent) => Cow::Owned(without_query(&sent).to_owned()),
                },
            ),
        };
        let origin = exchange.origin.as_ref();
        let party = exchange.permit().map(Permit::party);
        let person = party.and_then(Party::person);
        let service = party.and_then(Party::service);
        Self {
            request: Cow::Borrowed(&exchange.request_id),
            client: origin.map(|origin| origin.client),
            site: exchange.site().map(|site| site.place.name.as_str().into()),
            asked_by: origin.filter(|_| exchange.about.is_some()).map(|origin| origin.peer),
            method: method.as_str().into(),
            path,
            extension: person.map(|person| person.account.extension.as_str().into()),
            token: service.map(|service| service.token.name.as_str().into()),
            started: exchange.started,
        }
    }

    /// The same, from this peer where the head was refused before anybody asked whose it is.
    #[must_use]
    pub fn or_from(mut self, peer: impl FnOnce() -> Option<IpAddr>) -> Self {
        self.client = self.client.or_else(|| peer().map(ClientAddr::new));
        self
    }

    /// The same, to be kept when the request's own state is gone.
    pub fn into_owned(self) -> AccessLine<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        AccessLine {
            request: own(self.request),
            client: self.client,
            site: self.site.map(own),
            asked_by: self.asked_by,
            method: own(self.method),
            path: own(self.path),
            extension: self.extension.map(own),
            token: self.token.map(own),
            started: self.started,
        }
    }

    /// Says it: the request was answered with this status, and is over.
    pub fn write(&self, status: u16) {
        tracing::info!(
            target: "sekisho::access",
            request = &*self.request,
            client = self.client.map(tracing::field::display),
            site = self.site.as_deref(),
            asked_by = self.asked_by.map(tracing::field::display),
            method = %self.method,
            path = &*self.path,
            status,
            extension = self.extension.as_deref(),
            token = self.token.as_deref(),
            milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
