//! What can go wrong at the edge, by stable names.

use std::time::Duration;

/// A failure the proxy decided on. The page says it in plain words and no detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 400: the request cannot be read, or not in one way only.
    BadRequest,
    /// 403: the policy refuses.
    Forbidden,
    /// 404: nothing here, a near miss of our own routes among it.
    NotFound,
    /// 405: a method we do not forward; `allow` is the value of the `Allow` header.
    MethodNotAllowed {
        /// Methods that are served, separated by commas.
        allow: &'static str,
    },
    /// 408: the request took too long to arrive.
    RequestTimeout,
    /// 413: the body is too large.
    BodyTooLarge,
    /// 414: the address is too long.
    TargetTooLong,
    /// 421: the request came through no door of ours.
    Misdirected,
    /// 429: too many requests.
    TooManyRequests {
        /// When to try again.
        retry_after: Duration,
    },
    /// 431: the head is too large.
    HeadTooLarge,
    /// 500: we failed.
    Internal,
    /// 502: the web client did not answer in a way we understand, or could not be reached.
    BadGateway,
    /// 503: something we depend on is down.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// 504: the web client did not answer in time.
    GatewayTimeout,
}
