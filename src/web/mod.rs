//! The gateway's own pages and JSON API, as a function from request to response.
//!
//! No socket and no proxy engine is known here: the proxy hands a whole request in and writes the
//! answer out, so every page is tested by calling [`Portal::respond`].

pub mod cookie;
mod dispatch;
mod problem;
mod settings;

pub use dispatch::Portal;
pub use problem::Failure;
pub use routes::{Access, Owner, RouteInfo};
pub use settings::{Branding, Health, Logo, PortalFlows, PortalProblem, PortalRoutes, PortalSettings, RequestId};

mod routes;
