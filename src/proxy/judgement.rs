//! The judgement: for which site a request is, who is asking, and what the policy says to it. A request that comes to be
//! forwarded and one that another proxy asks about take this one way.

use std::sync::Arc;

use bytes::Bytes;
use pingora::proxy::Session;

use crate::domain::certificate::ClientCertificate;
use crate::domain::rule::Asked;
use crate::domain::target::RequestPath;
use crate::flows::{Right, Tie};
use crate::telemetry::metrics::Outcome;
use crate::web::{Failure, Owner};

use super::bridge::After;
use super::caller::{Caller, Case, Judged};
use super::charter::Charter;
use super::exchange::{Exchange, Stage};
use super::gateway::Gateway;
use super::headers;
use super::intake::{self, Intake};
use super::origins;
use super::pulse::Pulse;
use super::reception::Refused;
use super::refusal;
use super::sites;

/// Style sheets and pictures of our own pages.
const ASSETS: &str = "/.sekisho/assets/";

impl Gateway {
    /// Walks 4 and 5: who is asking, and what the policy says to it. `Some` is an answer of ours.
    pub(super) async fn judge(&self, session: &mut Session, exchange: &mut Exchange) -> Option<http::Response<Bytes>> {
        let charter = Arc::clone(&exchange.charter);
        let path = match charter.reception().receive(session, exchange) {
            Ok(path) => path,
            Err(Refused(failure)) => {
                exchange.after = After::Close;
                return Some(refusal::fail(Some(session), exchange, failure));
            }
        };
        let owner = charter.portal.owner(&path);
        if let Some(answer) = self.turn_away(session, exchange, owner, &path) {
            return Some(answer);
        }
        if owner == Owner::Ours {
            exchange.outcome = Outcome::OwnPage;
            // Boxed, so that the state of a proxied request has no room for what only our own pages need.
            return Some(Box::pin(self.own_page(session, exchange)).await);
        }
        // The certificate on the connection of a proxy that asks is the proxy's own.
        if exchange.about.is_none() {
            exchange.certificate = certificate(session).map(Box::new);
        }
        let site = sites::choose(&charter, exchange, &path);
        let (Some(site), Some(origin)) = (site, &exchange.origin) else {
            tracing::info!(
                request = &*exchange.request_id,
                problem = "the path could be meant for several sites",
                "refused"
            );
            return Some(refusal::fail(Some(session), exchange, Failure::BadRequest));
        };
        exchange.across = origins::across(session, site, origin, &path);
        let head = session.req_header();
        let caller = Caller::of(&head.headers, &charter.session_cookie);
        let instead = if caller.is_program() || site.policy.minds_methods() {
            headers::other_methods(&head.headers)
        } else {
            Vec::new()
        };
        let case = Case {
            policy: &site.policy,
            path: &path,
            asked: &Asked {
                method: head.method.as_str(),
                host: origin.host_name(),
                client: origin.client.ip(),
                instead: &instead,
            },
            client: origin.client,
            at: exchange.at,
            request: &exchange.request_id,
            forwards: exchange.about.is_none(),
        };
        let judged = match caller.judge(&charter, &case).await {
            Ok(judged) => judged,
            Err(fault) => {
                let answer = refusal::unjudged(session, exchange, &fault);
                exchange.outcome = Outcome::Failed;
                return Some(answer);
            }
        };
        match judged {
            Judged::Allow(..) if origins::is_foreign_upgrade(session, exchange, site) => {
                exchange.outcome = Outcome::Denied;
                Some(refusal::fail(Some(session), exchange, Failure::Forbidden))
            }
            Judged::Allow(permit, tie) => {
                if let Some(principal) = permit.principal() {
                    self.parts
                        .sentinel
                        .note(principal.account.id, origin.client, exchange.at);
                }
                exchange.intake = Intake::new(site.bodies.at(&path));
                if !exchange.intake.admits_declared(&head.headers) {
                    tracing::info!(request = &*exchange.request_id, problem = intake::TOO_LARGE, "refused");
                    exchange.after = After::Hear;
                    return Some(refusal::fail(Some(session), exchange, Failure::BodyTooLarge));
                }
                exchange.tie = tie;
                exchange.pulse = pulse(&charter, &path, exchange.tie);
                exchange.outcome = Outcome::Forwarded;
                exchange.stage = Stage::Admitted(permit);
                None
            }
            Judged::Deny => {
                exchange.outcome = Outcome::Denied;
                Some(refusal::fail(Some(session), exchange, Failure::Forbidden))
            }
            Judged::Challenge(refusal) => {
                exchange.outcome = Outcome::Challenged;
                Some(refusal::challenge(session, exchange, site, refusal))
            }
            Judged::Refuse(failure) => {
                exchange.outcome = match failure {
                    Failure::UnclearCredentials => Outcome::Refused,
                    Failure::InsufficientScope => Outcome::Denied,
                    _ => Outcome::Challenged,
                };
                Some(refusal::fail(Some(session), exchange, failure))
            }
        }
    }
}

impl Gateway {
    /// What is told to whoever gets no further, wherever that would be: a client that is banned, be it behind a trusted proxy
    /// or on a connection older than the ban, and who asks for what we do not serve.
    fn turn_away(
        &self,
        session: &Session,
        exchange: &mut Exchange,
        owner: Owner,
        path: &RequestPath<'_>,
    ) -> Option<http::Response<Bytes>> {
        let client = exchange.origin.as_ref().map(|origin| origin.client);
        // The page that says so is dressed as every other one.
        let is_dress = owner == Owner::Ours && path.raw().starts_with(ASSETS);
        if let Some(client) = client.filter(|client| !is_dress && self.parts.orders.bans(*client)) {
            exchange.outcome = Outcome::Banned;
            tracing::info!(request = &*exchange.request_id, %client, problem = "its client is banned", "refused");
            return Some(refusal::fail(Some(session), exchange, Failure::Banned));
        }
        match owner {
            // A proxy that asks about our own pages does not send their requests here: it must not forward them either.
            Owner::Ours if exchange.about.is_some() => Some(refusal::fail(Some(session), exchange, Failure::NotFound)),
            Owner::NearMiss => Some(refusal::fail(Some(session), exchange, Failure::NotFound)),
            Owner::Ours | Owner::Upstream => None,
        }
    }
}

/// Hears of the traffic of a stream at this path, where that counts as use.
fn pulse(charter: &Charter, path: &RequestPath<'_>, tie: Option<Tie>) -> Option<Pulse> {
    let active = || charter.active_streams.iter().any(|active| active.holds(path));
    let Some(Tie::Person(bond)) = tie else { return None };
    match bond.right {
        Right::Session(id) if active() => Some(Pulse::new(Arc::clone(&charter.authenticate), id)),
        _ => None,
    }
}

/// The certificate that the client proved to hold in its handshake; what it says in a header counts for nothing.
fn certificate(session: &Session) -> Option<ClientCertificate> {
    let digest = session.digest()?.ssl_digest.as_ref()?;
    (!digest.cert_digest.is_empty()).then(|| ClientCertificate {
        thumbprint: digest.cert_digest.clone(),
        subject: digest.organization.clone(),
    })
}
