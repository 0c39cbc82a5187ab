//! The gateway's own pages and JSON API, as a function from request to response.
//!
//! No socket and no proxy engine is known here: the proxy hands a whole request in and writes the
//! answer out, so every page is tested by calling [`Portal::respond`].

mod across;
mod answer;
mod approach;
mod assets;
mod circle;
pub mod cookie;
mod csrf;
mod desk;
mod device;
mod dispatch;
mod form;
mod language;
mod leaks;
mod notice;
mod overrides;
mod page;
mod portal;
mod problem;
mod respond;
mod routes;
mod samples;
mod settings;
mod text;
mod theme;
mod visit;
mod voice;

#[cfg(test)]
mod tests;

pub use across::Across;
pub use approach::Approach;
pub use dispatch::{MAX_BODY, Portal};
pub use overrides::{Theme, check_theme};
pub use problem::Failure;
pub use routes::{Access, JWKS_PATH, Owner, RESERVED_PREFIX, RouteInfo};
pub use settings::{
    At, Branding, Health, Logo, PartHealth, PortalFlows, PortalProblem, PortalRoutes, PortalSettings, RequestId,
};
