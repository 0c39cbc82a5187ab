//! What the upstream is told about who is asking: the assertion of the permit, signed when none is fresh enough.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use jiff::Timestamp;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType};

use crate::domain::assertion::{Assertion, AssertionTerms};
use crate::domain::certificate::ClientCertificate;
use crate::domain::fault::Fault;
use crate::domain::party::Party;
use crate::domain::passes::{Pass, Passes};
use crate::domain::policy::Permit;
use crate::domain::session::later;

use super::exchange::Exchange;
use super::gateway::Gateway;
use super::headers;
use super::sites;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl Gateway {
    /// The assertion of a request that was let through, and whose it is; `None` when the permit names nobody.
    pub(super) fn identity<'a>(&self, exchange: &'a Exchange) -> pingora::Result<Option<(Bytes, &'a Party)>> {
        let permit = exchange
            .permit()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "nothing is forwarded without a permit"))?;
        let site = sites::admitted(exchange)?;
        let Some(passes) = permit.party().passes() else {
            return Ok(None);
        };
        let certificate = exchange.certificate.as_deref();
        // Not the time at which the request came: to connect may take longer than a statement lives.
        let now = self.parts.world.now();
        let reused = passes.of(&site.assertion, now).filter(|_| certificate.is_none());
        if let Some(jwt) = reused {
            return Ok(Some((jwt, permit.party())));
        }
        let signed = self.sign(&site.assertion, permit, passes, (certificate, now));
        let jwt = signed.map_err(|fault| {
            tracing::error!(
                request = &*exchange.request_id,
                fault = fault.chain(),
                "could not sign an assertion"
            );
            Error::explain(ErrorType::HTTPStatus(503), "no assertion")
        })?;
        Ok(Some((jwt, permit.party())))
    }

    /// Sets what the upstream may rely on, at the last moment, where no client can nominate it away.
    pub(super) fn set_upstream_headers(&self, request: &mut RequestHeader, exchange: &Exchange) -> pingora::Result<()> {
        let protected = &exchange.charter.protected;
        let origin = exchange
            .origin
            .as_ref()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "nothing is forwarded from nowhere"))?;
        let identity = self.identity(exchange)?;
        if !request.raw_path().starts_with(b"/") {
            // An origin server is sent the origin form (RFC 9112 section 3.2.1); the host has been compared.
            let target = request
                .uri
                .path_and_query()
                .map_or("/", http::uri::PathAndQuery::as_str)
                .to_owned();
            request.set_raw_path(target.as_bytes())?;
        }
        headers::rewrite(request, |headers| {
            protected.strip(headers);
            if let Some((jwt, party)) = identity {
                protected.set_identity(headers, jwt, party)?;
            }
            origin.set(headers, protected.whence())?;
            origin.set_host(headers, exchange.route.host());
            headers.insert(
                &X_REQUEST_ID,
                headers::value(Bytes::copy_from_slice(exchange.request_id.as_bytes()))?,
            );
            Ok(())
        })
    }

    /// A fresh assertion for this permit, to be reused until half its life is over. One that speaks of a certificate is for
    /// its connection alone, and signed for each request.
    fn sign(
        &self,
        terms: &Arc<AssertionTerms>,
        permit: &Permit,
        passes: &Passes,
        (certificate, now): (Option<&ClientCertificate>, Timestamp),
    ) -> Result<Bytes, Fault> {
        let jti = self.parts.world.uuid().to_string();
        let assertion = Assertion::for_permit(permit, terms, certificate, jti, now).ok_or_else(|| {
            Fault::corrupt(
                "a permit that names nobody was to be signed",
                "this is a fault of the gateway",
            )
        })?;
        let jwt = self.parts.signer.sign(&assertion)?;
        if certificate.is_some() {
            return Ok(jwt);
        }
        let pass = Pass {
            jwt: jwt.clone(),
            terms: Arc::clone(terms),
            signed_at: now,
            refresh_at: later(now, terms.life / 2),
        };
        passes.keep(&pass, now);
        Ok(jwt)
    }
}
