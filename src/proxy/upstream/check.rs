//! Asking a server for its health, on a connection of its own.

use std::time::Duration;

use http::HeaderValue;
use http::header::{HOST, USER_AGENT};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, OrErr};

use super::super::cause::cause;
use super::standing::HealthCheck;

/// Asks servers for their health.
pub struct Prober {
    check: HealthCheck,
    connector: Connector,
}

impl Prober {
    /// Asks in this way.
    pub fn new(check: HealthCheck) -> Self {
        Self {
            check,
            connector: Connector::new(None),
        }
    }

    /// How often.
    pub const fn interval(&self) -> Duration {
        self.check.interval
    }

    /// So many good answers bring a server back.
    pub const fn rise(&self) -> u32 {
        self.check.rise
    }

    /// So many bad ones take it out.
    pub const fn fall(&self) -> u32 {
        self.check.fall
    }

    /// Asks one; healthy is whoever answers 2xx or 3xx in time. Otherwise the reason is given.
    pub async fn ask(&self, peer: pingora::Result<HttpPeer>, host: &HeaderValue) -> Result<(), String> {
        let asking = async { status(&self.connector, &peer?, &self.check.path, host).await };
        match tokio::time::timeout(self.check.timeout, asking).await {
            Ok(Ok(200..400)) => Ok(()),
            Ok(Ok(status)) => Err(format!("its health check answers {status}")),
            Ok(Err(error)) => Err(format!("its health check fails: {}", cause(&error))),
            Err(_) => Err(format!(
                "its health check has no answer within {:?}",
                self.check.timeout
            )),
        }
    }
}

async fn status(connector: &Connector, peer: &HttpPeer, path: &str, host: &HeaderValue) -> pingora::Result<u16> {
    let mut request = RequestHeader::build("GET", path.as_bytes(), Some(2))?;
    let (mut session, _) = connector.get_http_session(peer).await?;
    if session.as_http2().is_some() {
        let scheme = if peer.is_tls() { "https" } else { "http" };
        let authority = host.to_str().unwrap_or_default();
        let uri = format!("{scheme}://{authority}{path}").parse();
        request.set_uri(uri.or_err(pingora::ErrorType::InternalError, "the path of the health check")?);
        request.set_version(http::Version::HTTP_2);
    } else {
        request.insert_header(HOST, host.clone())?;
    }
    request.insert_header(USER_AGENT, HeaderValue::from_static("sekisho-health"))?;
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let head = session.response_header();
    let head = head.ok_or_else(|| Error::explain(pingora::ErrorType::ReadError, "no head"))?;
    Ok(head.status.as_u16())
}
