//! From a request to the answer: whose it is, whether it may, and the call.

use bytes::Bytes;
use http::{Request, Response, request};

use crate::domain::target::RequestPath;
use crate::flows::Refusal;

use super::problem::Failure;
use super::routes::{Owner, RouteInfo, Territory};
use super::settings::{PortalFlows, PortalProblem, PortalSettings};

/// The gateway's own pages and API.
pub struct Portal {
    territory: Territory,
}

impl Portal {
    /// Builds the portal; templates, texts and paths are checked here.
    ///
    /// # Errors
    /// What is wrong, and with which setting or file.
    pub fn new(settings: PortalSettings, flows: PortalFlows) -> Result<Self, PortalProblem> {
        let _ = flows;
        Ok(Self {
            territory: Territory::new(&settings.routes)?,
        })
    }

    /// Whose a path is. Allocates nothing for plain paths.
    pub fn owner(&self, path: &RequestPath<'_>) -> Owner {
        self.territory.owner(path)
    }

    /// Every route with who may use it.
    pub fn routes(&self) -> Vec<RouteInfo> {
        Vec::new()
    }

    /// Answers a request to one of our own paths, whose body was collected under a cap. Expects
    /// [`ClientAddr`](crate::domain::client::ClientAddr) and [`RequestId`](super::RequestId) as extensions.
    pub async fn respond(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.failure(Some(&request.into_parts().0), Failure::NotFound)
    }

    /// The answer to a request that needs a session and has none: to sign-in for a person who
    /// navigates, 401 for everything else.
    pub fn challenge(&self, head: &request::Parts, reason: Option<Refusal>) -> Response<Bytes> {
        let _ = reason;
        self.failure(Some(head), Failure::Forbidden)
    }

    /// The answer to a failure the proxy decided on: a page for a person who navigates, JSON for everything else.
    pub fn failure(&self, head: Option<&request::Parts>, failure: Failure) -> Response<Bytes> {
        let _ = (head, failure);
        Response::new(Bytes::new())
    }
}
