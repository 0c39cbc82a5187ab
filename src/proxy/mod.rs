//! The proxied path, and the only module that names Pingora.
//!
//! A request walks through `gateway` under the charter in force when it came in (`charter`): its head is refused when
//! upstreams could read it in two ways (`reception`, `framing`), its client is told (`client`), the site it is for is
//! chosen (`sites`), its session or API token is looked up and the policy judges it (`judgement`, `caller`), and
//! only a permit lets it on (`exchange`). What the upstream may rely on is set at the very last
//! moment (`identity`, `headers`); who may not pass is told so (`refusal`). A proxy that forwards by itself asks
//! (`question`) and is told what would have become of the request here (`forward_auth`).
//!
//! Connections are taken by `listeners`, put behind TLS (`secured`) and deadlines (`guarded`), and led from request to
//! request (`conversation`). A WebSocket is opened like a request (`tunnel`) and goes on without one (`carriage`).

mod access_line;
mod authorization;
mod breach;
mod bridge;
mod caller;
mod carriage;
mod cause;
mod charter;
mod client;
mod closing;
mod connections;
mod conversation;
mod destination;
mod exchange;
mod forward_auth;
mod framing;
mod gateway;
mod gather;
mod guarded;
mod headers;
mod hsts;
mod identity;
mod intake;
mod judgement;
mod listeners;
mod measure;
mod origins;
mod own_pages;
mod page_guard;
mod proxy_protocol;
mod pulse;
mod question;
mod ready;
mod reception;
mod redirect;
mod refusal;
mod requests;
mod roll;
mod secured;
mod sites;
mod sockets;
mod streams;
mod tunnel;
mod upstream;
mod whence;

pub use charter::{Charter, CharterTerms, InForce, Site};
pub use client::TrustedProxies;
pub use connections::{ConnectionLimits, Connections};
pub use framing::HeadLimits;
pub use gateway::{Gateway, GatewayParts};
pub use headers::Protected;
pub use hsts::Hsts;
pub use listeners::{Front, FrontTerms};
pub use measure::Measures;
pub use page_guard::PageGuard;
pub use proxy_protocol::{Said, read as read_proxy_header};
pub use redirect::Redirect;
pub use roll::Roll;
pub use sockets::{Bound, Forsaken, Given, Kept, bind, keep};
pub use streams::Streams;
pub use upstream::{
    Balance, ClientFiles, HealthCheck, Pool, PoolTerms, Protocol, ServerAddress, ServerHealth, Tolerance,
};
